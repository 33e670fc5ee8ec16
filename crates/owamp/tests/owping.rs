//! The programs themselves, on the loopback: `owping` against `owampd`.
#![expect(clippy::disallowed_methods, reason = "real programs are started and waited for")]

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const OWPING: &str = env!("CARGO_BIN_EXE_owping");
const OWAMPD: &str = env!("CARGO_BIN_EXE_owampd");

/// A server of a test's own; it ends with it.
struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < patience, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

fn secret(path: &Path, hex: &str) {
    fs::write(path, format!("# names and passphrases\niepm\t{hex}\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("closed");
}

impl Server {
    fn up() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        secret(&folder.path().join("owamp-server.pfs"), "73746174696f6e");
        let port = free_port();
        let child = Command::new(OWAMPD)
            .args(["-Z", "-f", "-S", &format!(":{port}"), "-c"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let server = Self { child, port, folder };
        until("the server answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    fn owping(&self, args: &[&str]) -> Command {
        let mut command = Command::new(OWPING);
        command.args(["-p", &self.port.to_string()]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(both).expect("UTF-8")
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

#[test]
fn a_test_goes_both_ways_in_every_mode_over_both_families() {
    let server = Server::up();
    let keys = server.folder.path().join("keys");
    secret(&keys, "73746174696f6e");
    let keys = keys.to_str().expect("UTF-8");
    for (target, mode) in [("127.0.0.1", "O"), ("::1", "O"), ("127.0.0.1", "A"), ("::1", "E")] {
        let args =
            ["-A", mode, "-u", "iepm", "-k", keys, "-c", "20", "-i", "0.01", "-L", "1", "--json"];
        let output = server.owping(&args).arg(target).output().expect("run");
        assert!(output.status.success(), "{}", text(&output));
        let it = document(&output);
        for (place, direction) in ["to", "from"].iter().enumerate() {
            let session = &it["sessions"][place];
            assert_eq!(session["direction"], *direction);
            assert_eq!((&session["sent"], &session["lost"]), (&20.into(), &0.into()), "{session}");
            assert_eq!((&session["finished"], &session["hops"]["max"]), (&true.into(), &0.into()));
            assert!(session["delay"]["median_ns"].is_number());
        }
    }
}

#[test]
fn one_direction_alone_is_measured_and_printed_in_each_form() {
    let server = Server::up();
    let run = |args: &str| {
        let args: Vec<_> = args.split(' ').collect();
        let mut command = server.owping(&args);
        command.args(["-c", "5", "-i", "0.01f", "-L", "0.5", "localhost"]);
        let output = command.output().expect("run");
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let raw = run("-R -t");
    let numbers: Vec<_> = raw.lines().map(|line| line.split(' ').next().expect("a word")).collect();
    assert_eq!(numbers, ["0", "1", "2", "3", "4"]);
    let machine = run("-M -f");
    assert!(
        machine.contains("\nSENT\t5\n") && machine.contains("\nFROM_HOST\tlocalhost\n"),
        "{machine}"
    );
    let human = run("-4 -a 90");
    assert_eq!(human.matches("5 sent, 0 lost (0.000%), 0 duplicates").count(), 2, "{human}");
    assert_eq!(run("-Q -t"), "");
}

#[test]
fn a_wrong_passphrase_and_one_that_nobody_has_are_refused() {
    let server = Server::up();
    let keys = server.folder.path().join("keys");
    secret(&keys, "00");
    let keys = keys.to_str().expect("UTF-8");
    for (user, reason) in [
        ("iepm", "the server refused our name (-u) and passphrase (-k)"),
        ("nobody", "no passphrase of \"nobody\""),
    ] {
        let output = server.owping(&["-A", "A", "-u", user, "-k", keys, "127.0.0.1"]).output();
        let output = output.expect("run");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains(reason), "{}", text(&output));
    }
    let output = server.owping(&["-A", "E", "127.0.0.1"]).output().expect("run");
    assert!(text(&output).contains("need a user (-u)"), "{}", text(&output));
}

#[test]
fn who_is_not_there_or_no_server_is_told_from_one_that_is() {
    let nobody = free_port().to_string();
    let run = |port: &str| {
        let output = Command::new(OWPING).args(["--json", "-p", port, "127.0.0.1"]).output();
        let output = output.expect("run");
        assert_eq!(output.status.code(), Some(1));
        let it = document(&output);
        assert_eq!(it["sessions"].as_array().map(Vec::len), Some(0));
        it["problem"].as_str().expect("a reason").to_owned()
    };
    assert!(run(&nobody).contains("no OWAMP server listens there"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let web = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    assert!(run(&port).contains("the server ended the connection"));
    web.join().expect("served");
}

#[test]
fn an_interrupted_test_tells_what_was_sent_until_then() {
    let server = Server::up();
    let args = ["-c", "6000", "-i", "0.01f", "-L", "1", "--json", "127.0.0.1"];
    let child = server.owping(&args).spawn().expect("started");
    thread::sleep(Duration::from_secs(2));
    kill_process(Pid::from_child(&child), Signal::INT).expect("sent");
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(1));
    let it = document(&output);
    assert!(it["problem"].as_str().expect("a reason").contains("interrupted"));
    for session in it["sessions"].as_array().expect("two") {
        let sent = session["sent"].as_u64().expect("a number");
        assert!((1..6000).contains(&sent), "{session}");
        assert_eq!((&session["lost"], &session["finished"]), (&0.into(), &false.into()));
    }
}

#[test]
fn a_server_that_dies_in_the_middle_is_no_loss() {
    let mut server = Server::up();
    let args = ["-c", "6000", "-i", "0.01f", "-L", "1", "--json", "127.0.0.1"];
    let child = server.owping(&args).spawn().expect("started");
    thread::sleep(Duration::from_secs(2));
    server.child.kill().expect("killed");
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(1));
    let it = document(&output);
    assert!(
        it["problem"].as_str().expect("a reason").contains("the server ended the connection"),
        "{it}"
    );
    let sessions = it["sessions"].as_array().expect("a list");
    // Of the way there nobody knows anything.
    assert!(
        sessions
            .iter()
            .all(|session| session["direction"] == "from" && session["finished"] == false),
        "{it}"
    );
}

#[test]
fn a_stream_goes_on_without_gaps_until_it_is_asked_to_end() {
    let server = Server::up();
    let args = ["-c", "0", "-N", "20", "-i", "0.05f", "-L", "0.5", "-t", "--json", "127.0.0.1"];
    let mut child = server.owping(&args).spawn().expect("started");
    let (tell, told) = std::sync::mpsc::channel();
    let lines = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let reader = thread::spawn(move || {
        use std::io::BufRead;
        for line in lines.lines().map_while(Result::ok) {
            let _ = tell.send(serde_json::from_str::<Value>(&line).expect("a document"));
        }
    });
    let patience = Duration::from_secs(60);
    let documents: Vec<_> =
        (0..3).map(|_| told.recv_timeout(patience).expect("one more")).collect();
    kill_process(Pid::from_child(&child), Signal::TERM).expect("sent");
    assert!(child.wait().expect("ended").success(), "who is asked to end does so well");
    reader.join().expect("read");
    for pair in documents.windows(2) {
        let (before, after) = (&pair[0]["sessions"][0], &pair[1]["sessions"][0]);
        assert_eq!((&before["sent"], &before["lost"]), (&20.into(), &0.into()));
        let gap = after["first_us"].as_i64().expect("a time")
            - before["last_us"].as_i64().expect("a time");
        assert!(
            (49_000..52_000).contains(&gap),
            "from one session's last packet to the next one's first: {gap} us"
        );
    }
}
