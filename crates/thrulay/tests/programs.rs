//! The server and the client as programs, on loopback, over both families: tests that go well, and those that do not.

#[path = "common/bed.rs"]
mod bed;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::Stdio,
    thread,
};

use bed::{Server, V4, V6, document, ended, free_port, program, told, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use timed_udp::clock::Mono;

fn number(it: &Value, at: &str) -> f64 {
    it.pointer(at).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {at} in {it}"))
}

fn signal(id: u32, signal: Signal) {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, signal).expect("ours");
}

#[test]
fn a_test_is_printed_in_the_references_form_over_both_families() {
    let server = Server::start(&[]);
    for address in [V4, V6] {
        let output = server.measure(address, "-t 2 -v");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("# local window = "), "{text}");
        assert!(lines[6].ends_with("jitter     min      avg      max"), "{text}");
        let rows = lines.iter().filter(|line| line.starts_with(" ( 0)")).count();
        assert!(
            (2..=3).contains(&rows) && lines.last().expect("some").starts_with("#(**)"),
            "{text}"
        );
        assert_eq!(lines[lines.len() - 1].split_whitespace().count(), 9, "{text}");
        assert!(output.stderr.is_empty(), "{}", told(&output));
    }
}

#[test]
fn several_streams_are_told_each_and_together_and_the_server_counts_as_much() {
    let server = Server::start(&[]);
    let it = server.measured(V4, "-t 1 -m 3 -l 8192 -w 65536");
    assert_eq!(it["tcp"]["by_stream"].as_array().map(Vec::len), Some(3));
    let each = [0, 1, 2].map(|n| number(&it, &format!("/tcp/by_stream/{n}/bytes")));
    assert!(each.iter().all(|bytes| *bytes > 0.0), "{it}");
    let all = number(&it, "/tcp/total/bytes");
    assert!((each.iter().sum::<f64>() - all).abs() < 0.5, "{it}");
    assert!(number(&it, "/tcp/server_bytes") >= all, "{it}");
    let [min, avg, max] =
        ["min", "avg", "max"].map(|of| number(&it, &format!("/tcp/total/rtt/{of}_ms")));
    assert!(min > 0.0 && min <= avg && avg <= max && max < 1_000.0, "{it}");
    assert_eq!(number(&it, "/tcp/local_window").to_bits(), 131_072_f64.to_bits(), "{it}");
    assert!(it["tcp"]["total"]["retransmits"].is_u64(), "{it}");
}

#[test]
fn all_packets_of_a_udp_test_are_accounted_for() {
    let server = Server::start(&[]);
    for (address, args) in [(V4, "-t 1 -u 2M"), (V6, "-b -t 1 -u 2M -l 500")] {
        let it = server.measured(address, args);
        let [sent, unique, lost] =
            ["/udp/sent", "/udp/received/unique", "/udp/received/lost"].map(|at| number(&it, at));
        assert!((sent - unique - lost).abs() < 0.5 && sent > 100.0, "{it}");
        assert!(unique > sent / 2.0, "{it}");
        assert_eq!(it["udp"]["received"]["duplicates"], 0, "{it}");
    }
}

#[test]
fn the_servers_limits_are_kept_and_told() {
    let server = Server::start(&["--duration", "1", "--streams", "2", "--rate", "1M"]);
    let it = server.measured(V4, "-t 600");
    assert_eq!(it["tcp"]["duration_s"], 1, "{it}");
    assert!(it["warnings"][0].as_str().is_some_and(|it| it.contains("1 s")), "{it}");
    for (args, word) in [("-m 3 -t 1", "3 streams"), ("-u 2M -t 1", "bit/s"), ("-u 1M -t 9", "9 s")]
    {
        let output = server.measure(V4, args);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(
            told(&output).contains("denied test") && told(&output).contains(word),
            "{}",
            told(&output)
        );
    }
}

#[test]
fn whoever_comes_while_all_is_taken_may_try_later_and_then_is_served() {
    let server = Server::start(&["--per-address", "1"]);
    let mut first = server.client(V4, "-t 30").spawn().expect("it starts");
    let mut lines = BufReader::new(first.stdout.take().expect("piped")).lines();
    lines.by_ref().find(|line| line.as_ref().is_ok_and(|it| it.starts_with(" ( 0)")));
    let output = server.measure(V4, "-t 1");
    assert_eq!(output.status.code(), Some(75), "{}", told(&output));
    assert!(told(&output).contains("busy running a test"), "{}", told(&output));
    let _ = server.measured(V6, "-t 1");
    first.kill().expect("ours");
    first.wait().expect("ours");
    until("it is served", || server.measure(V4, "-t 1").status.success().then_some(()));
}

#[test]
fn a_server_that_dies_in_the_middle_is_an_error_and_what_was_measured_is_printed() {
    for args in ["-t 60", "-t 60 --json", "-t 60 -u 1M"] {
        let mut server = Server::start(&[]);
        let mut client = server.client(V4, args).spawn().expect("it starts");
        let mut printed = String::new();
        let mut out = BufReader::new(client.stdout.take().expect("piped"));
        if args == "-t 60" {
            while !printed.contains("\n ( 0)") {
                out.read_line(&mut printed).expect("a row");
            }
        } else {
            station::world::clock::pause(std::time::Duration::from_millis(1_500));
        }
        server.child.kill().expect("ours");
        out.read_to_string(&mut printed).expect("text");
        let output = ended(client);
        assert_eq!(output.status.code(), Some(1), "{args}: {printed}");
        assert!(told(&output).contains("premature end of test"), "{}", told(&output));
        let reading = readings::thrulay::read(&readings::Output {
            stdout: printed.as_bytes(),
            stderr: &output.stderr,
            end: readings::End::Exited(1),
        });
        let reading = reading.expect("a reading");
        assert_eq!(reading.problem.map(|it| it.kind), Some(readings::Kind::Broken), "{printed}");
        assert!(!reading.complete && reading.flows.len() == 1, "{printed}");
    }
}

#[test]
fn who_is_asked_to_end_prints_what_there_is() {
    let server = Server::start(&[]);
    for args in ["-t 60 --json", "-t 60 -u 1M --json"] {
        let client = server.client(V4, args).spawn().expect("it starts");
        station::world::clock::pause(std::time::Duration::from_millis(1_200));
        signal(client.id(), Signal::INT);
        let output = ended(client);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        let it = document(&output);
        let told = it["problem"].as_str().unwrap_or_default();
        assert!(told.contains("asked to"), "{it}");
        let measured =
            it.pointer("/tcp/total/bytes").or_else(|| it.pointer("/udp/received/unique"));
        assert!(measured.and_then(Value::as_u64).is_some_and(|it| it > 0), "{it}");
    }
    let _ = server.measured(V4, "-t 1");
}

#[test]
fn a_client_of_few_packets_hears_between_them_that_it_is_to_end_and_that_its_server_is_gone() {
    for (ends, word) in [(true, "asked to"), (false, "premature end of test")] {
        let mut server = Server::start(&[]);
        // A packet in twelve seconds.
        let client = server.client(V4, "-t 60 -u 1k --json").spawn().expect("it starts");
        station::world::clock::pause(std::time::Duration::from_millis(1_500));
        let asked = Mono::now();
        if ends {
            signal(client.id(), Signal::TERM);
        } else {
            server.child.kill().expect("ours");
        }
        let output = ended(client);
        let took = Mono::now().since(asked).as_secs();
        assert!(took < 6, "{took} s: {}", told(&output));
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        let it = document(&output);
        assert!(it["problem"].as_str().is_some_and(|it| it.contains(word)), "{it}");
        assert_eq!(it["udp"]["sent"], 1, "{it}");
        assert_eq!(it["udp"]["received"]["unique"].as_u64(), ends.then_some(1), "{it}");
    }
}

#[test]
fn the_server_ends_when_it_is_asked_to_and_a_second_one_says_who_has_the_port() {
    let mut server = Server::start(&["-d", "-v"]);
    let second = program("thrulayd").args(["-p", &server.port.to_string()]).output().expect("run");
    assert_eq!(second.status.code(), Some(75), "{}", told(&second));
    assert!(told(&second).contains("another server has it already"), "{}", told(&second));
    signal(server.child.id(), Signal::TERM);
    let status = until("it ends", || server.child.try_wait().expect("ours"));
    assert_eq!(status.code(), Some(0));
}

/// What a client makes of a listener that says this and no more.
fn meets(said: &'static [u8], stays: bool) -> String {
    let listener = TcpListener::bind((V4, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let host = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(said).expect("there");
        if stays {
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let mut command = program("thrulay");
    command.args(["-p", &port.to_string(), "-t", "1", "127.0.0.1"]);
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    host.join().expect("well");
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(output.stdout.is_empty(), "{}", told(&output));
    told(&output)
}

#[test]
fn whoever_is_no_server_of_ours_is_told_by_what_it_is() {
    assert!(meets(b"thrulay/2+", true).contains("reference"));
    assert!(meets(b"iepm-thrulay/9\r\n", true).contains("another version"));
    assert!(meets(b"SSH-2.0-OpenSSH_9.9\r\n", true).contains("no thrulayd"));
    assert!(meets(b"", false).contains("without a word"));
    assert!(meets(b"iepm-thrulay/1\r\n\xff\xff\xff\xff", true).contains("makes no sense"));
    assert!(meets(b"iepm-thrulay/1\r\n\x45\0\0", true).contains("no place there"));
}

#[test]
fn nobody_there_is_told_at_once() {
    let port = free_port().to_string();
    let output = program("thrulay").args(["-p", &port, "127.0.0.1"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("connection refused"), "{}", told(&output));
    let output = program("thrulay").args(["-4", "-p", &port, "::1"]).output().expect("it starts");
    assert!(told(&output).contains("no address associated"), "{}", told(&output));
    let output = program("thrulay").args(["-T", "3", "127.0.0.1"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
}
