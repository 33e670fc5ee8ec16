//! The two programs on loopback, and clients that mean no good.

#![expect(clippy::disallowed_methods, reason = "the tests start real programs and wait for them")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server with ports of its own.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(options: &[&str]) -> Self {
        Self::of_rate("20", options)
    }

    fn of_rate(mbits: &str, options: &[&str]) -> Self {
        let udp =
            UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        for port in (20_000..32_000)
            .step_by(7)
            .map(|port| port + u16::try_from(std::process::id() % 7).expect("small"))
        {
            let mut command = Command::new(env!("CARGO_BIN_EXE_pathload_snd"));
            command.args([
                "-i",
                "-B",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "--udp-port",
                &udp.to_string(),
            ]);
            command.args(["--rate", mbits]).args(options).stderr(Stdio::piped());
            let mut child = command.spawn().expect("it starts");
            let mut first = String::new();
            let mut told = BufReader::new(child.stderr.take().expect("piped"));
            told.read_line(&mut first).expect("a line");
            if first.contains("serves ") {
                // What it says later goes nowhere, but must not stop it.
                thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
                return Self { child, port };
            }
            child.wait().expect("it ends");
        }
        panic!("no port is free");
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn client(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pathload_rcv"));
        command.args(["-s", "127.0.0.1", "-p", &self.port.to_string()]).args(options);
        command
    }

    fn measured(&self, options: &[&str]) -> Output {
        self.client(options).output().expect("it starts")
    }

    /// A connection of our own, from another address of this machine.
    fn from(&self, own: [u8; 4]) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((own, 0)).into()).expect("an address");
        socket.connect(&self.address().into()).expect("connected");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    fn memory(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(stream: &TcpStream) -> Value {
    let mut text = String::new();
    let mut octet = [0];
    while (&*stream).read(&mut octet).is_ok_and(|count| count == 1) && octet != *b"\n" {
        text.push(char::from(octet[0]));
    }
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

fn told(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_path_that_is_faster_than_the_servers_limit_has_a_lower_bound_or_the_reason_is_told() {
    let server = Server::start(&[]);
    let output = server.measured(&["--json"]);
    let reading: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(reading["address"], "127.0.0.1");
    if output.status.success() {
        let least = reading["min_bit_per_s"].as_f64().expect("a bound");
        assert!(least > 1e6 && least < 2.1e7, "{reading:#}");
    } else {
        // A machine that is too busy to keep the gaps says so.
        assert!(
            reading["problem"].as_str().is_some_and(|why| why.contains("CS @ sender")),
            "{reading:#}"
        );
    }
    assert!(
        reading["overhead_bytes"].as_u64().is_some_and(|octets| octets > 100_000),
        "{reading:#}"
    );
    assert!(!reading["fleets"].as_array().expect("fleets").is_empty());
}

#[test]
fn who_does_not_knock_gets_no_packet_and_keeps_nobody_out_for_long() {
    let server = Server::start(&[]);
    let silent = server.from([127, 0, 0, 2]);
    let hello = line(&silent);
    assert_eq!((&hello["say"], &hello["version"]), (&Value::from("hello"), &Value::from(1)));
    // A knock without the token, and one with it from another address than the connection's.
    let port = u16::try_from(hello["port"].as_u64().expect("a port")).expect("a port");
    let thief = UdpSocket::bind("127.0.0.3:0").expect("a port");
    thief.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
    let token = pathload::protocol::Token::of_text(hello["token"].as_str().expect("a token"))
        .expect("a token");
    for knock in [[0; 20], token.knock()] {
        thief.send_to(&knock, ("127.0.0.1", port)).expect("sent");
        assert!(thief.recv(&mut [0; 2_048]).is_err(), "nobody has shown that he is there");
    }
    let began = Instant::now();
    let output = server.measured(&["-t", "30", "--json"]);
    assert!(told(&output).contains("\"fleets\""), "{}", told(&output));
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(line(&silent), Value::Null, "it was sent away");
}

#[test]
fn an_address_is_measured_once_at_a_time_and_is_told_so() {
    let server = Server::start(&[]);
    let first = server.from([127, 0, 0, 1]);
    assert_eq!(line(&first)["say"], "hello");
    let output = server.measured(&[]);
    assert_eq!(output.status.code(), Some(75), "{}", told(&output));
    assert!(told(&output).contains("the server is busy"), "{}", told(&output));
}

#[test]
fn who_waits_is_told_how_many_are_before_and_a_full_queue_says_so() {
    let server = Server::start(&["--waiting", "1"]);
    let first = server.from([127, 0, 0, 2]);
    assert_eq!(line(&first)["say"], "hello");
    let second = server.from([127, 0, 0, 3]);
    assert_eq!(line(&second)["before"], 1);
    let third = server.from([127, 0, 0, 4]);
    assert_eq!(line(&third)["say"], "refused");
    drop(first);
    let next = line(&second);
    assert_eq!(next["say"], "hello", "{next}");
}

#[test]
fn clients_that_come_together_are_measured_one_after_the_other() {
    let server = Server::start(&[]);
    let first = server.from([127, 0, 0, 2]);
    assert_eq!(line(&first)["say"], "hello");
    let mut client = server.client(&["-t", "40"]);
    let client = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // Who comes behind the client is told that two are before: the client is in the queue, and waits.
    let third = behind(&server, 2);
    drop(first);
    let mut next = line(&third);
    while next["say"] == "wait" {
        assert!(next["before"].as_u64().is_some_and(|before| before <= 2), "{next}");
        next = line(&third);
    }
    assert_eq!(next["say"], "hello", "{next}");
    let output = client.wait_with_output().expect("it ends");
    assert!(told(&output).contains("Receiving Fleet 0"), "{}", told(&output));
}

/// A connection that so many are before; until so many have come it is tried anew.
fn behind(server: &Server, before: u64) -> TcpStream {
    let began = Instant::now();
    loop {
        let stream = server.from([127, 0, 0, 4]);
        let said = line(&stream);
        if said["before"] == before {
            return stream;
        }
        assert!(began.elapsed() < PATIENCE, "{said}");
        drop(stream);
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_client_that_is_killed_makes_room_at_once() {
    let server = Server::start(&[]);
    let mut command = server.client(&[]);
    let mut client =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut lines = BufReader::new(client.stdout.take().expect("piped")).lines();
    while !lines.next().expect("a line").expect("text").starts_with("Receiving Fleet") {}
    client.kill().expect("ours");
    client.wait().expect("it ends");
    let next = server.from([127, 0, 0, 2]);
    let mut said = line(&next);
    while said["say"] == "wait" {
        said = line(&next);
    }
    assert_eq!(said["say"], "hello", "{said}");
}

#[test]
fn who_waited_for_as_long_as_he_had_may_try_later() {
    // The one before says nothing for five seconds, and then the next one.
    let server = Server::start(&[]);
    let first = server.from([127, 0, 0, 2]);
    assert_eq!(line(&first)["say"], "hello");
    let second = server.from([127, 0, 0, 3]);
    assert_eq!(line(&second)["say"], "wait");
    let output = server.measured(&["-t", "5"]);
    assert_eq!(output.status.code(), Some(75), "{}", told(&output));
    assert!(told(&output).contains("for as long as we had"), "{}", told(&output));
}

#[test]
fn what_makes_no_sense_ends_its_own_conversation_and_no_other() {
    let server = Server::start(&[]);
    let endless = vec![b'x'; 100_000];
    for nonsense in
        [&b"\n"[..], b"{\"say\":\"stream\"}\n", b"\x00\xff\n", &endless, b"{\"say\":\"bye\"}\n"]
    {
        let mut stream = server.from([127, 0, 0, 5]);
        assert_eq!(line(&stream)["say"], "hello");
        // It may be gone before it has all.
        let _ = stream.write_all(nonsense);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
    let crowd: Vec<_> = (0..200).map(|_| server.from([127, 0, 0, 6])).collect();
    drop(crowd);
    let output = server.measured(&["-t", "40", "--json"]);
    assert!(told(&output).contains("\"fleets\""), "{}", told(&output));
    assert!(server.memory() < 60_000, "{} kB", server.memory());
}

#[test]
fn a_stream_beyond_the_limits_is_refused() {
    let server = Server::start(&[]);
    for (packets, octets, gap) in [
        (100_000, 500, 1_000_000),
        (100, 9_000, 10_000_000),
        (100, 1_500, 1_000),
        (100, 40, 1_000_000),
        (4_000, 1_500, 10_000_000),
        (0, 500, 1_000_000),
    ] {
        let mut stream = server.from([127, 0, 0, 7]);
        let hello = line(&stream);
        let token = pathload::protocol::Token::of_text(hello["token"].as_str().expect("a token"))
            .expect("a token");
        let udp = UdpSocket::bind("127.0.0.7:0").expect("a port");
        udp.set_read_timeout(Some(Duration::from_millis(300))).expect("set");
        let port = u16::try_from(hello["port"].as_u64().expect("a port")).expect("a port");
        udp.send_to(&token.knock(), ("127.0.0.1", port)).expect("sent");
        assert_eq!(line(&stream)["say"], "known");
        let request = format!(
            "{{\"say\":\"stream\",\"stream\":1,\"packets\":{packets},\"octets\":{octets},\"gap\":{gap}}}\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        assert_eq!(line(&stream)["say"], "refused", "{request}");
        assert!(udp.recv(&mut [0; 2_048]).is_err(), "{request}");
    }
}

#[test]
fn a_server_that_is_killed_ends_the_measurement_with_its_reason() {
    let mut server = Server::start(&[]);
    let mut command = server.client(&[]);
    let mut client =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(client.stdout.take().expect("piped")).lines();
    while !lines.next().expect("a line").expect("text").starts_with("Receiving Fleet") {}
    server.child.kill().expect("ours");
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    let output = client.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        rest.iter().any(|line| line.starts_with("Measurement terminated: the server went away")),
        "{rest:?}"
    );
}

#[test]
fn a_server_that_has_less_time_than_we_would_take_is_asked_for_no_more() {
    // A stream of 1 Mbit/s and its pause take more than a second: there is no time for a fleet.
    let server = Server::of_rate("1", &["--duration", "5"]);
    let output = server.measured(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("the time was over before"), "{}", told(&output));
    assert!(!told(&output).contains("frequent CS"), "nobody was late: {}", told(&output));
}

#[test]
fn a_server_that_grants_no_rate_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathload_rcv"));
    command.args(["-s", "127.0.0.1", "-p", &port.to_string()]);
    let client = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let (mut stream, _) = listener.accept().expect("it comes");
    let hello = format!(
        "{{\"say\":\"hello\",\"version\":1,\"token\":\"{}\",\"port\":9,\"limits\":{{\"rate\":999,\"packets\":100,\"octets\":1500,\"seconds\":60}}}}\n",
        "0".repeat(32)
    );
    stream.write_all(hello.as_bytes()).expect("sent");
    let output = client.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("999 bit/s are granted, which is no rate"), "{}", told(&output));
}

#[test]
fn without_a_server_there_is_advice() {
    let server = Server::start(&[]);
    let mut client = server.client(&[]);
    drop(server);
    let output = client.output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("make sure that pathload_snd runs there"), "{}", told(&output));
}

#[test]
fn without_i_a_server_ends_after_one_measurement() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathload_snd"));
    command.args(["-q", "-B", "127.0.0.9", "-p", "28111", "--udp-port", "28112", "--rate", "20"]);
    let mut server = command.spawn().expect("it starts");
    let began = Instant::now();
    let output = loop {
        let mut client = Command::new(env!("CARGO_BIN_EXE_pathload_rcv"));
        let output = client
            .args(["-s", "127.0.0.9", "-p", "28111", "-t", "20"])
            .output()
            .expect("it starts");
        if !told(&output).contains("refused") || began.elapsed() > PATIENCE {
            break output;
        }
    };
    assert!(told(&output).contains("RESULT"), "{}", told(&output));
    let status = server.wait().expect("it ends");
    assert!(status.success(), "{status}");
}
