//! Servers that are kept alive: started, found dead, found deaf, and left alone.
//!
//! A process counts as a server by its name, whoever of our user started it; so each story has servers
//! with names of its own.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Output,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use stories::{
    Station,
    program::{command, said, succeed},
    until,
};

/// A station whose servers are ended with it.
struct Servers {
    station: Station,
    names: Vec<String>,
}

/// Names of one process are told apart by a number.
static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Servers {
    fn new() -> Self {
        let station = Station::new();
        fs::write(station.path("config/servers.alive"), "").expect("written");
        Self { station, names: Vec::new() }
    }

    /// A name that no process of this machine has.
    fn name(&mut self, what: &str) -> String {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{what}-{}-{number}", std::process::id());
        self.names.push(name.clone());
        name
    }

    /// A server that is a script of the story's own.
    fn script(&mut self, what: &str, script: &str) -> String {
        let name = self.name(what);
        self.station.tool(&name, script);
        name
    }

    /// A server written in Perl, which every Debian has.
    fn perl(&mut self, what: &str, script: &str) -> String {
        let name = self.name(what);
        let path = self.station.path("bin").join(&name);
        fs::write(&path, format!("#!/usr/bin/perl\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
        name
    }

    fn list(&self, lines: &[String]) -> &Self {
        let text = lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
        fs::write(self.station.path("config/servers.alive"), text).expect("written");
        self
    }

    fn keep(&self) -> Output {
        self.station.run("keep-servers-alive", &[])
    }

    /// A run that has nothing to say.
    #[track_caller]
    fn keep_quietly(&self) {
        let output = self.keep();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(told(&output), "", "{}", said(&output));
    }

    /// Runs until one has something to say: two failures count as two when they are some time apart.
    #[track_caller]
    fn keep_until_told(&self) -> Output {
        until("a run has something to say", || {
            Some(self.keep()).filter(|output| !told(output).is_empty())
        })
    }

    fn state(&self, name: &str) -> serde_json::Value {
        let output = self.station.run("keep-servers-alive", &["--dry-run", "--json"]);
        let all: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let all = all.as_array().expect("a list").clone();
        all.into_iter().find(|server| server["name"] == name).expect("the server")
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for name in &self.names {
            for pid in pids(name) {
                signal(pid, Signal::KILL);
            }
        }
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The processes that have `name` among their arguments, zombies left out.
fn pids(name: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("a proc").filter_map(Result::ok);
    let has = |command: Vec<u8>| {
        let mut words = command.split(|byte| *byte == 0).take(3);
        words.any(|word| word.split(|byte| *byte == b'/').next_back() == Some(name.as_bytes()))
    };
    let named = all.filter(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(has));
    named.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect()
}

#[track_caller]
fn pid(name: &str) -> i32 {
    let pids = pids(name);
    assert_eq!(pids.len(), 1, "processes of {name}: {pids:?}");
    pids[0]
}

fn signal(pid: i32, signal: Signal) {
    // It may have ended by itself.
    let _ = kill_process(Pid::from_raw(pid).expect("a pid"), signal);
}

#[track_caller]
fn kill(name: &str) {
    signal(pid(name), Signal::KILL);
    until("it is gone", || pids(name).is_empty().then_some(()));
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

fn until_it_answers(port: u16) {
    until("it answers", || TcpStream::connect(("127.0.0.1", port)).ok());
}

#[test]
fn a_real_server_is_started_and_started_again_after_it_was_killed() {
    let mut servers = Servers::new();
    let name = servers.name("bw-iperf-server");
    symlink("/usr/bin/iperf", servers.station.path("bin").join(&name)).expect("a link");
    let port = free_port();
    servers.list(&[format!("{name},bin,-s -p {port} -w 20M")]);
    servers.station.configure(&format!(
        "[servers.{name}]\nlistens = ['tcp:{port}']\ntest = 'iperf -c 127.0.0.1 -p {port} -n 8K'"
    ));
    servers.keep_quietly();
    until_it_answers(port);
    let first = pid(&name);
    servers.keep_quietly();
    servers.keep_quietly();
    assert_eq!(pid(&name), first, "it was left alone");
    let words = fs::read(format!("/proc/{first}/cmdline")).expect("it runs");
    assert!(words.ends_with(format!("\0-s\0-p\0{port}\0-w\x0020M\0").as_bytes()), "{words:?}");
    let log = fs::read_to_string(servers.station.path("log").join(format!("{name}.log")));
    assert!(log.expect("a log").contains("Server listening"));

    kill(&name);
    let output = servers.keep();
    assert!(output.status.success(), "{}", said(&output));
    let again = pid(&name);
    let expected = format!(
        "keep-servers-alive: warning: {name} had ended; it was started again, pid {again}\n"
    );
    assert_eq!(told(&output), expected);
    until_it_answers(port);
    servers.keep_quietly();
}

#[test]
fn a_server_that_dies_at_once_is_told_of_once_and_put_off() {
    let mut servers = Servers::new();
    let name = servers.script("dies", "echo no port >&2; exit 3");
    servers.list(&[format!("{name},bin,")]);
    let output = servers.keep();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let expected = format!("{name} does not stay up: exit status 3; ");
    assert!(told(&output).contains(&expected), "{}", said(&output));
    let log = servers.station.path("log").join(format!("{name}.log"));
    let starts = || fs::read_to_string(&log).expect("a log").lines().count();
    for _ in 0..5 {
        let output = servers.keep();
        assert_eq!(output.status.code(), Some(1), "it still stands so");
        assert_eq!(told(&output), "", "it is told once");
    }
    assert_eq!(starts(), 2, "at once, at once again, and then after five minutes");
    assert_eq!(servers.state(&name)["state"], "waiting");
}

#[test]
fn a_server_whose_configuration_is_wrong_waits_for_another() {
    let mut servers = Servers::new();
    let script = "print STDERR \"started\\n\"; exit 78 if $ARGV[0] ne 'right'; sleep 600;";
    let name = servers.perl("wrong", script);
    servers.list(&[format!("{name},bin,never")]);
    let output = servers.keep();
    assert!(
        told(&output).contains("its configuration is wrong (exit status 78)"),
        "{}",
        said(&output)
    );
    let log = servers.station.path("log").join(format!("{name}.log"));
    for _ in 0..3 {
        assert_eq!(told(&servers.keep()), "");
    }
    assert_eq!(fs::read_to_string(&log).expect("a log").lines().count(), 1);
    servers.list(&[format!("{name},bin,right")]);
    servers.keep_quietly();
    pid(&name);
}

#[test]
fn a_server_that_goes_into_the_background_is_up() {
    let mut servers = Servers::new();
    let name = servers.perl(
        "forks",
        "exit 0 if fork; require POSIX; POSIX::setsid(); exit 0 if fork; sleep 600;",
    );
    servers.list(&[format!("{name},bin,-d >& {name}.out &")]);
    servers.keep_quietly();
    let daemon = pid(&name);
    servers.keep_quietly();
    assert_eq!(pid(&name), daemon);
    assert!(servers.station.path("log").join(format!("{name}.out")).exists());
}

#[test]
fn a_server_that_ends_well_and_leaves_nothing_is_not_up() {
    let mut servers = Servers::new();
    let name = servers.script("ends", "exit 0");
    servers.list(&[format!("{name},,")]);
    let output = servers.keep();
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("no process of its name goes on"), "{}", said(&output));
}

/// A server that listens on the port that it is given; on USR1 it closes it and goes on.
const LISTENS: &str = "use Socket; my $s; socket($s, PF_INET, SOCK_STREAM, 0) or die;\n\
    setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1); bind($s, sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or die $!;\n\
    listen($s, 5) or die; $SIG{USR1} = sub { close $s };\n\
    while (1) { my $c; if (accept($c, $s)) { print $c \"hello\\n\"; close $c } else { sleep 1 } }";

#[test]
fn a_server_that_closes_its_port_is_replaced_in_the_second_run() {
    let mut servers = Servers::new();
    let name = servers.perl("closes", LISTENS);
    let port = free_port();
    servers.list(&[format!("{name},bin,{port}")]);
    servers.station.configure(&format!("[servers.{name}]\nlistens = ['tcp:{port}']"));
    servers.keep_quietly();
    until_it_answers(port);
    servers.keep_quietly();
    let deaf = pid(&name);
    signal(deaf, Signal::USR1);
    until("its port is closed", || TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
    servers.keep_quietly();
    assert_eq!(pid(&name), deaf, "once may be chance");
    assert_eq!(servers.state(&name)["action"], "none", "nor is twice in the same second");
    let output = servers.keep_until_told();
    let expected =
        format!("{name} does not listen on tcp:{port}; it was ended and started again, pid ");
    assert!(told(&output).contains(&expected), "{}", said(&output));
    assert_ne!(pid(&name), deaf);
    until_it_answers(port);
    servers.keep_quietly();
}

#[test]
fn a_script_listens_through_what_it_starts_and_both_are_replaced() {
    let mut servers = Servers::new();
    let helper = servers.perl("helper", LISTENS);
    let port = free_port();
    let path = servers.station.path("bin").join(&helper);
    let name = servers.script("wraps", &format!("{} {port} &\nwait", path.display()));
    servers.list(&[format!("{name},bin,")]);
    servers.station.configure(&format!("[servers.{name}]\nlistens = ['tcp:{port}']"));
    servers.keep_quietly();
    until_it_answers(port);
    for _ in 0..3 {
        servers.keep_quietly();
    }
    let (deaf, of_it) = (pid(&name), pid(&helper));
    signal(of_it, Signal::USR1);
    until("its port is closed", || TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
    servers.keep_quietly();
    let output = servers.keep_until_told();
    assert!(told(&output).contains("it was ended and started again"), "{}", said(&output));
    until_it_answers(port);
    assert!(pid(&name) != deaf && pid(&helper) != of_it, "what it had started is ended with it");
    servers.keep_quietly();
}

#[test]
fn a_port_that_another_process_has_is_not_the_servers() {
    let mut servers = Servers::new();
    let name = servers.perl("lost", "sleep 600");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = other.local_addr().expect("bound").port();
    servers.list(&[format!("{name},bin,")]);
    servers.station.configure(&format!("[servers.{name}]\nlistens = ['tcp:{port}']"));
    servers.keep_quietly();
    let state = servers.state(&name);
    assert_eq!(state["why"], format!("does not listen on tcp:{port}; another process does"));
}

#[test]
fn a_server_that_is_stopped_fails_its_test_and_is_replaced() {
    let mut servers = Servers::new();
    let name = servers.perl("stuck", LISTENS);
    let port = free_port();
    servers.list(&[format!("{name},bin,{port}")]);
    let test = servers.perl(
        "test",
        &format!("use IO::Socket::INET; my $s = IO::Socket::INET->new('127.0.0.1:{port}') or exit 1; exit(<$s> eq \"hello\\n\" ? 0 : 1)"),
    );
    servers.station.configure(&format!(
        "[servers.{name}]\nlistens = ['tcp:{port}']\ntest = '{test} now'\ntest-limit = '2s'"
    ));
    servers.keep_quietly();
    until_it_answers(port);
    servers.keep_quietly();
    let stuck = pid(&name);
    signal(stuck, Signal::STOP);
    servers.keep_quietly();
    assert_eq!(pids(&test), Vec::<i32>::new(), "a test is ended at its limit");
    let output = servers.keep_until_told();
    let expected =
        format!("{name} runs, but its test took more than 2 s; it was ended and started again");
    assert!(told(&output).contains(&expected), "{}", said(&output));
    assert_ne!(pid(&name), stuck);
    until_it_answers(port);
    servers.keep_quietly();
}

#[test]
fn a_test_that_is_not_installed_is_no_fault_of_the_server() {
    let mut servers = Servers::new();
    let name = servers.perl("fine", "sleep 600");
    servers.list(&[format!("{name},bin,")]);
    servers.station.configure(&format!("[servers.{name}]\ntest = 'no-such-test-at-all'"));
    servers.keep_quietly();
    let first = pid(&name);
    let output = servers.keep();
    let expected = format!("{name} cannot be tested: no-such-test-at-all is not installed\n");
    assert!(told(&output).ends_with(&expected), "{}", said(&output));
    for _ in 0..3 {
        assert_eq!(told(&servers.keep()), "");
    }
    assert_eq!(pid(&name), first);
}

#[test]
fn twenty_copies_at_once_start_each_server_once() {
    let mut servers = Servers::new();
    let names: Vec<String> = (0..5).map(|_| servers.perl("one", "sleep 600")).collect();
    servers.list(&names.iter().map(|name| format!("{name},bin,")).collect::<Vec<_>>());
    let (station, barrier) = (Arc::new(&servers.station), Arc::new(Barrier::new(20)));
    let statuses: Vec<Option<i32>> = thread::scope(|scope| {
        let copy = |_| {
            let (station, barrier) = (Arc::clone(&station), Arc::clone(&barrier));
            scope.spawn(move || {
                barrier.wait();
                station.run("keep-servers-alive", &[]).status.code()
            })
        };
        let copies: Vec<_> = (0..20).map(copy).collect();
        copies.into_iter().map(|copy| copy.join().expect("it ran")).collect()
    });
    assert!(statuses.iter().all(|status| matches!(status, Some(0 | 75))), "{statuses:?}");
    assert!(statuses.contains(&Some(0)) && statuses.contains(&Some(75)), "{statuses:?}");
    for name in &names {
        pid(name);
    }
    // None of the servers holds the lock of the program that started them.
    servers.keep_quietly();
}

#[test]
#[ignore = "needs root to become another user"]
fn a_process_of_another_user_is_not_the_server() {
    let mut servers = Servers::new();
    let name = servers.perl("theirs", "sleep 600");
    let script = servers.station.path("bin").join(&name);
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("mine");
    let copy = folder.path().join(&name);
    fs::copy(&script, &copy).expect("copied");
    let mut other = command("setpriv");
    other.args(["--reuid=47111", "--regid=47111", "--clear-groups"]).arg(&copy);
    let mut other = stories::Program::start(other, &servers.station.path("log/other"));
    until("it runs", || (pids(&name).len() == 1).then_some(()));
    servers.list(&[format!("{name},bin,")]);
    assert_eq!(servers.state(&name)["action"], "start");
    servers.keep_quietly();
    assert_eq!(pids(&name).len(), 2);
    assert_eq!(other.ended(), None);
}

#[test]
fn a_broken_list_leaves_the_last_good_one_in_force() {
    let mut servers = Servers::new();
    let name = servers.perl("good", "sleep 600");
    servers.list(&[format!("{name},bin,")]);
    servers.keep_quietly();
    servers.list(&[format!("{name},bin,-x | tee")]);
    let output = servers.keep();
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(
        told(&output).contains("  ^") && told(&output).contains("servers.alive:1:"),
        "{}",
        said(&output)
    );
    kill(&name);
    let output = servers.keep();
    assert_eq!(output.status.code(), Some(78), "it still stands so");
    assert!(told(&output).contains("had ended"), "the last good list goes on: {}", said(&output));
    assert!(!told(&output).contains("tee"), "the mistake is told once: {}", said(&output));
    fs::remove_file(servers.station.path("config/servers.alive")).expect("there");
    let output = servers.keep();
    assert_eq!(output.status.code(), Some(78));
    assert!(told(&output).contains("No such file"), "{}", said(&output));
    assert_eq!(told(&servers.keep()), "");
    servers.list(&[format!("{name},bin,")]);
    servers.keep_quietly();
}

#[test]
fn a_state_file_that_is_none_changes_nothing() {
    let mut servers = Servers::new();
    let name = servers.perl("kept", "sleep 600");
    servers.list(&[format!("{name},bin,")]);
    servers.keep_quietly();
    let first = pid(&name);
    let state = servers.station.path("keepalives/keep-servers-alive.state");
    for junk in ["", "{", "\0\0\0", "{\"servers\": []}"] {
        fs::write(&state, junk).expect("written");
        let output = servers.keep();
        assert!(output.status.success(), "{}", said(&output));
        assert!(told(&output).contains("what went before is forgotten"), "{}", said(&output));
        servers.keep_quietly();
    }
    assert_eq!(pid(&name), first);
}

#[test]
fn a_held_station_is_left_alone() {
    let mut servers = Servers::new();
    let name = servers.perl("held", "sleep 600");
    servers.list(&[format!("{name},bin,")]);
    let mut hold = servers.station.command("iepm");
    succeed(hold.env("USER", "ann").args(["hold", "5m", "--reason", "new disk"]));
    servers.keep_quietly();
    let output = servers.station.run("keep-servers-alive", &["-v"]);
    assert!(told(&output).contains("ann holds the station for"), "{}", said(&output));
    assert_eq!(pids(&name), Vec::<i32>::new());
    fs::write(servers.station.path("keepalives/hold"), "keep off").expect("written");
    let output = servers.keep();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(pids(&name), Vec::<i32>::new(), "somebody wanted something");
    fs::remove_file(servers.station.path("keepalives/hold")).expect("there");
    servers.keep_quietly();
    pid(&name);
}

#[test]
fn the_shipped_list_tells_once_what_is_not_installed() {
    let station = Station::new();
    let list = station.path("config/servers.alive");
    let sample = fs::read_to_string(&list).expect("a sample");
    // Names that no process of the machine has, and a directory that has none of them.
    let line = |line: &str| match line.split_once(',').filter(|_| !line.starts_with('#')) {
        Some((name, rest)) => {
            let (_, parameters) = rest.split_once(',').expect("three fields");
            format!("{name}-{},bin,{parameters}\n", std::process::id())
        }
        None => format!("{line}\n"),
    };
    let text: String = sample.lines().map(line).collect();
    fs::write(&list, text).expect("written");
    let keep = |arguments: &[&str]| station.run("keep-servers-alive", arguments);
    let output = keep(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(told(&output).matches(" is not installed: ").count(), 7, "{}", said(&output));
    let output = keep(&[]);
    assert_eq!((output.status.code(), told(&output)), (Some(1), String::new()));
    assert_eq!(keep(&["--check"]).status.code(), Some(1));
}

#[test]
fn what_would_be_done_is_told_and_not_done() {
    let mut servers = Servers::new();
    let name = servers.perl("dry", "sleep 600");
    servers.list(&[format!("{name},bin,-a 'b c'")]);
    let output = servers.station.run("keep-servers-alive", &["--dry-run"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with(&format!("{name} does not run; would be started: /")), "{said}");
    assert_eq!(pids(&name), Vec::<i32>::new());
    assert!(!Path::new(&servers.station.path("keepalives/keep-servers-alive.state")).exists());
    let output = servers.station.run("keep-servers-alive", &["--check"]);
    assert!(output.status.success());
    servers.list(&["x,bin,;".to_owned()]);
    let output = servers.station.run("keep-servers-alive", &["--check"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(told(&output).ends_with("\n  x,bin,;\n        ^\n"), "{}", told(&output));
}

#[test]
fn a_log_in_tmp_is_never_reached_through_a_link() {
    let mut servers = Servers::new();
    let name = servers.perl("linked", "print 'owned'; sleep 600");
    let folder = tempfile::tempdir().expect("a folder");
    let (precious, link) = (folder.path().join("precious"), folder.path().join("server.log"));
    fs::write(&precious, "precious").expect("written");
    symlink(&precious, &link).expect("a link");
    servers.list(&[format!("{name},bin,>& {} &", link.display())]);
    let output = servers.keep();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(told(&output).contains("cannot be started: cannot open"), "{}", said(&output));
    assert_eq!(fs::read_to_string(&precious).expect("there"), "precious");
    assert_eq!(pids(&name), Vec::<i32>::new());
}
