//! The servers of iperf and iperf3 that a station runs for others: real ones, over the loopback.
//!
//! A process counts as a server by its name, whoever of our user started it; so each story has names and
//! ports of its own.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use stories::{
    Program, Station, pause,
    program::{command, said, succeed},
    until, until_within,
};

/// A station with one server, which is ended with it.
struct Served {
    station: Station,
    server: String,
    port: u16,
}

/// Names of one process are told apart by a number.
static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Served {
    /// `program` is what the server's name leads to; `parameters` what follows on its port.
    fn by(program: PathBuf, name: &str, parameters: &str) -> Self {
        let station = Station::new();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let server = format!("{name}-{}-{number}", std::process::id());
        symlink(program, station.path("bin").join(&server)).expect("a link");
        let listener = TcpListener::bind("[::]:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let line = format!("{server},bin,-p {port} {parameters}\n");
        fs::write(station.path("config/servers.alive"), line).expect("written");
        Self { station, server, port }
    }

    #[track_caller]
    fn keep(&self) {
        let output = self.station.run("keep-servers-alive", &[]);
        assert!(output.status.success(), "{}", said(&output));
        until("it listens", || self.listens().then_some(()));
    }

    /// Whether its port is listened on; a connection would be a test.
    fn listens(&self) -> bool {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
        let port = format!(":{:04X}", self.port);
        let is = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.len() > 3 && fields[1].ends_with(&port) && fields[3] == "0A"
        };
        tables.into_iter().flatten().any(|table| table.lines().any(is))
    }

    /// The server's processes that have all of `words` among their arguments.
    fn pids(&self, words: &[&str]) -> Vec<i32> {
        let all = fs::read_dir("/proc").expect("a proc").filter_map(Result::ok);
        let port = self.port.to_string();
        let has = |command: Vec<u8>| {
            let command = String::from_utf8_lossy(&command).into_owned();
            let own: Vec<&str> = command.split('\0').collect();
            own.contains(&port.as_str()) && words.iter().all(|word| own[0].ends_with(word))
        };
        let ours = all.filter(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(has));
        ours.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect()
    }

    #[track_caller]
    fn pid(&self, word: &str) -> i32 {
        let pids = self.pids(&[word]);
        assert_eq!(pids.len(), 1, "processes of {word}: {pids:?}");
        pids[0]
    }

    /// A whole test of iperf3; a moment without a server lies between two.
    #[track_caller]
    fn until_tested(&self, family: &str, host: &str) {
        let port = self.port.to_string();
        let arguments = [family, "-c", host, "-J", "-p", &port, "-n", "1M"];
        until("a test of iperf3 ends well", || {
            command("iperf3")
                .args(arguments)
                .output()
                .expect("installed")
                .status
                .success()
                .then_some(())
        });
    }

    fn log(&self) -> String {
        let log = self.station.path("log").join(format!("{}.log", self.server));
        fs::read_to_string(log).unwrap_or_default()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The supervisor first, for it would start another one; what it has just started may not yet be called so.
        for _ in 0..50 {
            let words = [self.server.as_str(), "iperf3"];
            let left: Vec<i32> = words.iter().flat_map(|word| self.pids(&[word])).collect();
            for pid in left {
                signal(pid, Signal::KILL);
            }
            pause(Duration::from_millis(10));
        }
    }
}

fn signal(pid: i32, signal: Signal) {
    // It may have ended by itself.
    let _ = kill_process(Pid::from_raw(pid).expect("a pid"), signal);
}

fn kernels_name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).expect("it runs").trim().to_owned()
}

#[test]
fn a_client_that_hangs_is_ended_and_the_server_is_not() {
    let iperf = fs::read_link(Station::new().path("bin/bw-iperf-server")).expect("init made it");
    let bed = Served::by(iperf.clone(), "bw-iperf-server", "-s -w 20M");
    bed.keep();
    // A target that takes a connection and reads nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
    let name = format!("bw-iperf-client-{}", std::process::id());
    let client = bed.station.path("bin").join(&name);
    symlink(iperf, &client).expect("a link");
    let mut hangs = command(&client);
    let port = deaf.local_addr().expect("bound").port().to_string();
    hangs.args(["-c", "127.0.0.1", "-p", &port, "-n", "500M"]);
    let mut hangs = Program::start(hangs, &bed.station.path("log/client"));
    let server = bed.pid(&bed.server);
    assert_eq!(kernels_name(server), "bw-iperf-server");
    let client_pid = i32::try_from(hangs.pid()).expect("a pid");
    until("it is called so", || (kernels_name(client_pid) == "bw-iperf-client").then_some(()));

    fs::write(bed.station.path("config/cleanup-list"), format!("/bin/{name},1\n")).expect("room");
    until_within(Duration::from_secs(150), "bw-cleanup ends the client", || {
        pause(Duration::from_secs(1));
        succeed(&mut bed.station.command("bw-cleanup"));
        hangs.ended()
    });
    assert_eq!(bed.pid(&bed.server), server, "the server goes on");
    let port = bed.port.to_string();
    let told = succeed(command("iperf").args(["-c", "127.0.0.1", "-p", &port, "-n", "1M"]));
    assert!(told.contains("connected with 127.0.0.1"), "{told}");
    bed.keep();
    assert_eq!(bed.pid(&bed.server), server);
}

fn iperf3_server(limit: &str) -> Served {
    let program = stories::program::binaries().join("bw-iperf3-server");
    Served::by(program, "bw-iperf3-server", limit)
}

#[test]
fn each_test_has_a_server_of_its_own_over_both_families() {
    let served = iperf3_server("");
    served.keep();
    let (supervisor, first) = (served.pid(&served.server), served.pid("iperf3"));
    for _ in 0..3 {
        served.until_tested("-4", "127.0.0.1");
        served.until_tested("-6", "::1");
    }
    until("another server came", || {
        let now = served.pids(&["iperf3"]);
        (now.len() == 1 && now[0] != first).then_some(())
    });
    served.keep();
    assert_eq!(served.pid(&served.server), supervisor, "it is left alone");
    signal(supervisor, Signal::TERM);
    until("both have ended", || {
        (served.pids(&[&served.server]).is_empty() && served.pids(&["iperf3"]).is_empty())
            .then_some(())
    });
}

#[test]
fn a_test_that_never_ends_is_ended_and_the_next_is_served() {
    let served = iperf3_server("--limit 2");
    served.keep();
    let stuck = served.pid("iperf3");
    let _silent = TcpStream::connect(("127.0.0.1", served.port)).expect("it listens");
    until("its server is ended", || (!served.pids(&["iperf3"]).contains(&stuck)).then_some(()));
    served.until_tested("-4", "127.0.0.1");
    until("it is told", || served.log().contains("a test had not ended after").then_some(()));
}

#[test]
fn what_a_killed_one_left_on_the_port_is_ended_by_the_next() {
    let served = iperf3_server("");
    served.keep();
    let (supervisor, left) = (served.pid(&served.server), served.pid("iperf3"));
    signal(supervisor, Signal::KILL);
    until("it is gone", || served.pids(&[&served.server]).is_empty().then_some(()));
    assert_eq!(served.pid("iperf3"), left);
    succeed(&mut served.station.command("keep-servers-alive"));
    until("another server has the port", || {
        let now = served.pids(&["iperf3"]);
        (now.len() == 1 && now[0] != left).then_some(())
    });
    served.until_tested("-4", "127.0.0.1");
    assert!(served.log().contains("that bw-iperf3-server left running"), "{}", served.log());
}

#[test]
fn a_port_that_is_taken_is_told_and_tried_again() {
    let served = iperf3_server("");
    let other = TcpListener::bind(("::", served.port)).expect("a port");
    let output = served.station.run("keep-servers-alive", &[]);
    assert!(output.status.success(), "{}", said(&output));
    until("it is told", || served.log().contains("if its port is taken").then_some(()));
    drop(other);
    served.until_tested("-6", "::1");
}
