//! The sender and the receiver as programs, on loopback, over both families: honest ones, rubbish, and peers that behave
//! badly.

#![expect(clippy::disallowed_methods, reason = "the tests start the programs as a user does")]

use std::{
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use pathchirp::protocol::{
    message::{Answer, Asked, End, HELLO, Reason, Wish},
    packet::Packet,
};
use readings::{Kind, Reading};
use serde_json::Value;
use station::world::clock::pause;
use timed_udp::clock::Mono;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// How long an answer on loopback may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Within this, nothing comes that would have come at all.
const A_WHILE: Duration = Duration::from_millis(300);

const WISH: Wish = Wish {
    low: 1_000_000,
    high: 50_000_000,
    average: 2_000_000,
    spread: 1_200_000,
    duration: 60_000,
    payload: 1_000,
    group: 1,
};

/// A sender, which ends with this.
struct Sender {
    child: Child,
    port: u16,
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sender {
    /// Returns when it has bound its port.
    fn start(args: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pathchirp_snd"));
        command.args(["-U", &port.to_string()]).args(args).stderr(Stdio::piped());
        let mut sender = Self { child: command.spawn().expect("it starts"), port };
        let begun = Mono::now();
        while UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok() {
            assert!(Mono::now().since(begun) < PATIENCE, "it does not listen");
            assert!(sender.child.try_wait().expect("ours").is_none(), "it ended");
            pause(Duration::from_millis(5));
        }
        sender
    }

    fn at(&self, address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, self.port)
    }

    /// Ends it as an operator does, and gives its log.
    fn end(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("ours");
        let mut log = String::new();
        let _ = self.child.stderr.take().expect("piped").read_to_string(&mut log);
        let status = self.child.wait().expect("ours");
        assert!(status.success(), "{status}: {log}");
        log
    }

    fn receive(&self, args: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pathchirp_rcv"));
        command.args(["-U", &self.port.to_string()]).args(args.split(' '));
        command.output().expect("it starts")
    }
}

/// A port that nobody had a moment ago in either family.
fn free_port() -> u16 {
    loop {
        let four = UdpSocket::bind((V4, 0)).expect("a port");
        let port = four.local_addr().expect("bound").port();
        if UdpSocket::bind((V6, port)).is_ok() {
            return port;
        }
    }
}

/// A client made by hand.
struct Client(UdpSocket);

impl Client {
    fn new(sender: SocketAddr) -> Self {
        let own: IpAddr = if sender.is_ipv4() { V4 } else { V6 };
        let socket = UdpSocket::bind((own, 0)).expect("a port");
        socket.connect(sender).expect("loopback");
        Self(socket)
    }

    fn say(&self, asked: Asked) {
        self.send(&asked.octets());
    }

    fn send(&self, octets: &[u8]) {
        self.0.send(octets).expect("loopback");
    }

    /// What comes within `patience`.
    fn next(&self, patience: Duration) -> Option<Vec<u8>> {
        self.0.set_read_timeout(Some(patience)).expect("not zero");
        let mut room = vec![0; 65_535];
        let length = self.0.recv(&mut room).ok()?;
        room.truncate(length);
        Some(room)
    }

    fn answer(&self) -> Answer {
        loop {
            let octets = self.next(PATIENCE).expect("an answer");
            if !Packet::is_one(&octets) {
                return Answer::read(&octets).expect("a message");
            }
        }
    }

    fn cookie(&self) -> [u8; 16] {
        self.say(Asked::Hello { nonce: 1 });
        match self.answer() {
            Answer::Cookie { nonce: 1, cookie } => cookie,
            other => panic!("{other:?} is no cookie"),
        }
    }

    fn request(&self, nonce: u64, wish: Wish) -> Answer {
        self.say(Asked::Request { nonce, cookie: self.cookie(), wish });
        self.answer()
    }

    /// Begins a session.
    fn begin(&self) -> u64 {
        match self.request(2, WISH) {
            Answer::Accepted { nonce: 2, session, .. } => session,
            other => panic!("{other:?} accepts nothing"),
        }
    }

    /// How many packets of chirps come within a time.
    fn packets(&self, length: Duration) -> usize {
        let until = Mono::now() + length;
        let mut count = 0;
        while Mono::now() < until {
            count += usize::from(self.next(A_WHILE).is_some_and(|it| Packet::is_one(&it)));
        }
        count
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn reading(output: &Output) -> readings::available::Available {
    let end = readings::End::Exited(output.status.code().expect("it exited"));
    let left = readings::Output { stdout: &output.stdout, stderr: &output.stderr, end };
    match readings::read("pathchirp", &left) {
        Ok(Reading::Available(found)) => found,
        other => panic!("{other:?} is no reading"),
    }
}

/// On loopback there is no queue: so much is available, or more, or the machine is too busy to tell; nothing else.
#[test]
fn a_run_over_either_family_ends_with_a_bound_or_a_reason_and_keeps_to_its_average() {
    let sender = Sender::start(&[]);
    for host in ["127.0.0.1", "::1"] {
        let output = sender.receive(&format!("-S {host} -t 4 -a 1 -l 1 -u 50 --json"));
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(told["address"], host);
        let bytes = told["overhead_bytes"].as_u64().expect("a number");
        assert!(bytes * 8 <= 4_000_000 && bytes > 0, "{bytes} bytes in 4 s of 1 Mbit/s");
        let found = reading(&output);
        assert_eq!(found.overhead_bytes, Some(bytes));
        assert_eq!(found.complete, output.status.success(), "{found:?}");
        assert!(found.min_bps.is_some() || found.problem.is_some(), "{found:?}");
        assert!(told["chirps"]["came"].as_u64() > Some(5), "{told}");
    }
}

#[test]
fn the_row_of_the_document_runs_as_it_is() {
    let sender = Sender::start(&[]);
    let output = sender.receive("-S localhost -4 -t 10 -J 6 -a 2 -l 100 -u 10000");
    let said = text(&output.stderr);
    assert!(said.starts_with("Sender host is:  127.0.0.1 \n"), "{said}");
    let found = reading(&output);
    assert_eq!(found.address, Some(V4));
    assert!(found.min_bps.is_some() || found.problem.is_some(), "{said}");
}

#[test]
fn where_nobody_listens_that_is_told_with_what_to_do() {
    let sender = Sender::start(&[]);
    let other = free_port().to_string();
    let output = sender.receive(&format!("-S 127.0.0.1 -U {other} -t 5"));
    assert_eq!(output.status.code(), Some(2), "the port twice is usage");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathchirp_rcv"));
    let output = command.args(["-S", "127.0.0.1", "-U", &other]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("refused") && said.contains("start a pathchirp_snd"), "{said}");
    assert_eq!(reading(&output).problem.map(|it| it.kind), Some(Kind::Refused));
}

#[test]
fn who_does_not_give_the_cookie_back_gets_nothing_but_that() {
    let sender = Sender::start(&[]);
    for address in [V4, V6] {
        let client = Client::new(sender.at(address));
        let mut cookie = client.cookie();
        cookie[3] ^= 1;
        client.say(Asked::Request { nonce: 2, cookie, wish: WISH });
        let other = Client::new(sender.at(address));
        client.say(Asked::Request { nonce: 2, cookie: other.cookie(), wish: WISH });
        assert_eq!(client.next(A_WHILE), None);
        assert_eq!(other.next(A_WHILE), None);
    }
    let log = sender.end();
    assert!(log.contains("4 requests without a good cookie"), "{log}");
}

#[test]
fn what_is_too_short_or_makes_no_sense_has_no_answer() {
    let sender = Sender::start(&[]);
    let client = Client::new(sender.at(V4));
    let hello = Asked::Hello { nonce: 1 }.octets();
    for octets in [&hello[..HELLO - 1], &[], b"chrp", &[0xff; 2_000]] {
        client.send(octets);
    }
    assert_eq!(client.next(A_WHILE), None);
    // An honest one is served all the same.
    client.cookie();
}

#[test]
fn chirps_come_while_they_are_answered_and_stop_without_a_word_of_the_client() {
    let sender = Sender::start(&[]);
    let client = Client::new(sender.at(V4));
    let session = client.begin();
    assert!(client.packets(Duration::from_secs(1)) > 10);
    let feedback = Asked::Feedback { session, chirp: 1, low: 1_000_000, high: 2_000_000 };
    client.say(feedback);
    assert!(client.packets(Duration::from_secs(1)) > 5);
    let end = loop {
        let octets = client.next(PATIENCE).expect("chirps, or the end");
        match Packet::read(&octets) {
            Ok(packet) => assert!(packet.session == session),
            Err(_) => break Answer::read(&octets),
        }
    };
    assert_eq!(end, Ok(Answer::End { session, why: End::Silence }));
    assert_eq!(client.next(A_WHILE), None);
}

#[test]
fn a_session_ends_at_the_clients_word_and_a_recorded_request_begins_none() {
    let sender = Sender::start(&[]);
    let client = Client::new(sender.at(V6));
    let cookie = client.cookie();
    let request = Asked::Request { nonce: 2, cookie, wish: WISH };
    client.say(request);
    let Answer::Accepted { session, .. } = client.answer() else { panic!("not accepted") };
    client.say(Asked::End { session, why: End::Stopped });
    while client.next(A_WHILE).is_some() {}
    client.say(request);
    while let Some(octets) = client.next(A_WHILE) {
        // A chirp that was begun before the client's word may be sent late by a busy machine.
        let packet = Packet::read(&octets).expect("nothing else");
        assert_eq!(packet.session, session, "of the session that was");
    }
}

#[test]
fn the_senders_own_limits_are_kept_and_told() {
    let sender = Sender::start(&["-u", "20", "-a", "0.5", "-t", "5", "--largest", "1200"]);
    let client = Client::new(sender.at(V4));
    let refused = client.request(2, Wish { payload: 1_400, ..WISH });
    let expected = Answer::Refused { nonce: 2, reason: Reason::Octets, wait: 0, limit: 1_200 };
    assert_eq!(refused, expected);
    let Answer::Accepted { granted, .. } = client.request(3, WISH) else { panic!("refused") };
    assert_eq!((granted.high, granted.average, granted.duration), (20_000_000, 500_000, 5_000));
    while let Some(octets) = client.next(A_WHILE) {
        let packet = Packet::read(&octets).expect("of a chirp");
        assert!(packet.high <= 20_000_000);
        if packet.chirp > 0 {
            break;
        }
    }
}

#[test]
fn one_address_cannot_have_all_sessions_and_hears_when_to_come_again() {
    let sender = Sender::start(&["--per-address", "1"]);
    let first = Client::new(sender.at(V4));
    let session = first.begin();
    let second = Client::new(sender.at(V4));
    match second.request(2, WISH) {
        Answer::Refused { reason: Reason::BusyForAddress, wait, limit: 1, .. } => {
            assert!((1..=60).contains(&wait));
        }
        other => panic!("{other:?}"),
    }
    let output = sender.receive("-S 127.0.0.1 -t 5 -a 1");
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    assert_eq!(reading(&output).problem.map(|it| it.kind), Some(Kind::Busy));
    first.say(Asked::End { session, why: End::Stopped });
    while first.next(A_WHILE).is_some() {}
    second.begin();
}

#[test]
fn a_flood_of_hellos_and_rubbish_disturbs_no_session() {
    let sender = Sender::start(&[]);
    let client = Client::new(sender.at(V4));
    let session = client.begin();
    let (over, mut packets) = (AtomicBool::new(false), [0; 4]);
    thread::scope(|scope| {
        scope.spawn(|| {
            let flood = Client::new(sender.at(V4));
            let (hello, request) = (
                Asked::Hello { nonce: 5 }.octets(),
                Asked::Request { nonce: 5, cookie: [1; 16], wish: WISH }.octets(),
            );
            while !over.load(Ordering::Relaxed) {
                for octets in [&hello[..], &request, &[7; 900]] {
                    // Its own queue may be full.
                    let _ = flood.0.send(octets);
                }
            }
        });
        let begun = Mono::now();
        while Mono::now().since(begun) < Duration::from_secs(4) {
            // What is lost in the flood is said again.
            client.say(Asked::Feedback { session, chirp: 0, low: 1_000_000, high: 5_000_000 });
            let octets = client.next(A_WHILE);
            if octets.is_some_and(|it| Packet::is_one(&it)) {
                packets
                    [usize::try_from(Mono::now().since(begun).as_secs()).expect("few").min(3)] += 1;
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(packets.iter().all(|it| *it > 3), "of each second: {packets:?}");
    let log = sender.end();
    assert!(log.lines().count() < 20, "the log is not filled: {log}");
    assert!(log.contains("packets that make no sense"), "{log}");
}

/// A receiver that has taken three chirps of a measurement that goes on, and what it said until then.
fn in_the_middle(sender: &Sender) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathchirp_rcv"));
    command.args(["-S", "127.0.0.1", "-t", "60", "-l", "1", "-u", "20", "-a", "1", "-vv"]);
    command.args(["-U", &sender.port.to_string()]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ours");
    let stderr = child.stderr.as_mut().expect("piped");
    let (mut said, mut room) = (String::new(), [0; 4_096]);
    while !said.contains("chirp 2:") {
        let length = stderr.read(&mut room).expect("a pipe");
        assert!(length > 0, "it ended: {said}");
        said += &text(&room[..length]);
    }
    (child, said)
}

/// Everything a receiver said until it ended, and its status.
fn the_end((mut child, mut said): (Child, String)) -> (Option<i32>, String) {
    let _ = child.stderr.take().expect("piped").read_to_string(&mut said);
    (child.wait().expect("ours").code(), said)
}

#[test]
fn a_sender_that_ends_tells_its_clients_and_one_that_is_killed_is_noticed() {
    for kills in [false, true] {
        let mut sender = Sender::start(&[]);
        let receiver = in_the_middle(&sender);
        if kills {
            sender.child.kill().expect("ours");
        } else {
            sender.end();
        }
        let (status, said) = the_end(receiver);
        assert_eq!(status, Some(if kills { 1 } else { 75 }), "{said}");
        assert!(said.contains("unexpectedly"), "{said}");
    }
}

/// Its first answer to what waits for it meets a closed port, and the kernel tells it that before it gives it the rest,
/// in which the sender says that it ends.
#[test]
fn a_receiver_that_was_held_up_while_the_sender_ended_hears_its_last_word() {
    let sender = Sender::start(&[]);
    let receiver = in_the_middle(&sender);
    let pid = rustix::process::Pid::from_child(&receiver.0);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("ours");
    // Of 1 Mbit/s, more comes in this time than is received at once.
    pause(Duration::from_secs(2));
    sender.end();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("ours");
    let (status, said) = the_end(receiver);
    assert_eq!(status, Some(75), "{said}");
    assert!(said.contains("it was told to end"), "{said}");
}

/// However slow the chirps are that its clients want: none is longer than a second, and no end waits for more.
#[test]
fn a_sender_that_is_told_to_end_does_so_at_once_whatever_its_clients_want() {
    let sender = Sender::start(&[]);
    let greedy = Client::new(sender.at(V4));
    let wish = Wish { low: 1_000, high: 1_000, payload: 1_472, group: 250, ..WISH };
    let limit = 1_500 * 8 * 250;
    let refused = Answer::Refused { nonce: 2, reason: Reason::Slow, wait: 0, limit };
    assert_eq!(greedy.request(2, wish), refused);

    let clients = [Client::new(sender.at(V4)), Client::new(sender.at(V4))];
    for client in &clients {
        let session = client.begin();
        client.say(Asked::Feedback { session, chirp: 0, low: 1_000, high: 1_000 });
        while let Some(octets) = client.next(PATIENCE) {
            let packet = Packet::read(&octets).expect("of a chirp");
            if packet.groups == 2 {
                assert_eq!(packet.high, 1_028 * 8, "two groups in a second");
                break;
            }
        }
    }
    let begun = Mono::now();
    sender.end();
    let took = Mono::now().since(begun);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_second_sender_on_the_same_port_says_who_has_it() {
    let sender = Sender::start(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathchirp_snd"));
    let output = command.args(["-U", &sender.port.to_string()]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(75));
    assert!(text(&output.stderr).contains("another sender has it already"));
}
