//! `pathchirp_snd` and `pathchirp_rcv` between two hosts with a narrow link in between: what is free is found, over both
//! families; a sender that dies is noticed; floods and forged requests come to nothing.

use std::{
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::Output,
    time::Duration,
};

use pathchirp::protocol::message::{Answer, Asked, End as Why, Wish};
use readings::{End, Kind, Reading, available::Available};
use serde_json::Value;
use stories::{
    Lab, Program,
    bottleneck::{Bottleneck, CrossTraffic},
    mischief::Flood,
    program::{binaries, said, succeed},
    until,
};

const SENDER: &str = "192.0.2.2:8365";
const LINK: Bottleneck = Bottleneck { bits: 20_000_000, queue: Duration::from_millis(200) };
const WISH: Wish = Wish {
    low: 1_000_000,
    high: 50_000_000,
    average: 2_000_000,
    spread: 1_200_000,
    duration: 60_000,
    payload: 1_000,
    group: 1,
};

/// A sender on the server, and the network.
struct Bed {
    lab: Lab,
    folder: tempfile::TempDir,
    sender: Program,
}

impl Bed {
    fn new() -> Self {
        let lab = Lab::up();
        lab.narrows(LINK);
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let sender =
            Program::start(lab.host("server").command(&binaries().join("pathchirp_snd")), &log);
        until("the sender listens", || sender.log().contains("serves on [::]").then_some(()));
        Self { lab, folder, sender }
    }

    fn receiver(&self, args: &str) -> std::process::Command {
        let mut command = self.lab.host("client").command(&binaries().join("pathchirp_rcv"));
        command.args(args.split(' '));
        command
    }

    fn receive(&self, args: &str) -> Output {
        self.receiver(args).output().expect("it starts")
    }

    /// A run that comes to a result. On a machine that is busy with other things one may say that it does not, and why.
    #[track_caller]
    fn measure(&self, args: &str) -> (Output, Available) {
        for _ in 0..5 {
            let output = self.receive(args);
            let found = reading(&output);
            if found.complete && output.status.success() {
                return (output, found);
            }
            assert!(said(&output).contains(" chirps count: "), "{}", said(&output));
        }
        panic!("in five runs the machine was too busy to measure anything");
    }

    /// A socket of the client, with which somebody speaks to the sender by hand.
    fn socket(&self, own: &'static str) -> UdpSocket {
        self.lab.host("client").inside(move || {
            let socket = UdpSocket::bind((own, 0)).expect("a port");
            socket.connect(SENDER).expect("a way");
            socket
        })
    }
}

fn reading(output: &Output) -> Available {
    let end = End::Exited(output.status.code().expect("it exited"));
    let left = readings::Output { stdout: &output.stdout, stderr: &output.stderr, end };
    match readings::read("pathchirp", &left) {
        Ok(Reading::Available(found)) => found,
        other => panic!("{other:?}: {}", said(output)),
    }
}

fn cookie(socket: &UdpSocket) -> [u8; 16] {
    let mut room = [0; 2_000];
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("not zero");
    until("a cookie", || {
        socket.send(&Asked::Hello { nonce: 1 }.octets()).expect("a way");
        let length = socket.recv(&mut room).ok()?;
        match Answer::read(&room[..length]) {
            Ok(Answer::Cookie { nonce: 1, cookie }) => Some(cookie),
            _ => None,
        }
    })
}

/// How exactly it is found is measured by the bench, where nothing else goes on.
#[test]
#[ignore = "needs root for network namespaces"]
fn what_a_narrow_link_has_left_is_found_over_both_families_and_the_reading_has_it() {
    let bed = Bed::new();
    let crossing = bed.lab.crosses(CrossTraffic { bits: 5_000_000, packet: 1_500 });
    for host in ["192.0.2.2", "2001:db8:2::2", "server.example"] {
        let mark = crossing.mark();
        let args = format!("-S {host} -t 10 -J 6 -a 2 -l 1 -u 200 --json");
        let (output, found) = bed.measure(&args);
        let free = 20e6 - crossing.rate_since(mark);
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let median = told["median_bps"].as_f64().expect("estimates");
        assert!(median > free / 2.0 && median < free * 2.0, "{free}: {}", said(&output));
        let bytes = found.overhead_bytes.expect("told");
        assert!(bytes > 100_000 && bytes * 8 <= 20_000_000, "{bytes} bytes in 10 s of 2 Mbit/s");
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn the_row_of_the_document_prints_estimates_line_by_line() {
    let bed = Bed::new();
    let (output, found) = bed.measure("-S 192.0.2.2 -t 10 -J 6 -a 2 -l 100 -u 10000");
    assert_eq!(found.address, Some([192, 0, 2, 2].into()));
    // How many of its chirps count is a matter of how busy the machine is.
    assert!(!found.estimates.is_empty(), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.lines().all(|line| line.split(' ').count() == 2), "{text}");
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_sender_that_dies_in_the_middle_leaves_its_estimates_and_the_reason() {
    let mut bed = Bed::new();
    let log = bed.folder.path().join("receiver");
    let mut receiver =
        Program::start(bed.receiver("-S 192.0.2.2 -t 300 -J 6 -a 2 -l 1 -u 50"), &log);
    until("some estimates", || (receiver.log().lines().count() > 4).then_some(()));
    bed.sender.kill();
    let status = until("the receiver notices", || receiver.ended());
    assert_eq!(status, Some(1), "{}", receiver.log());
    let text = receiver.log();
    assert!(text.contains("closed unexpectedly"), "{text}");
    let (lines, rest): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    let (stdout, stderr) = (lines.join("\n") + "\n", rest.join("\n"));
    let left = readings::Output {
        stdout: stdout.as_bytes(),
        stderr: stderr.as_bytes(),
        end: End::Exited(1),
    };
    let Ok(Reading::Available(found)) = readings::read("pathchirp", &left) else {
        panic!("no reading of {text}")
    };
    assert!(found.min_bps.is_some() && !found.complete, "{found:?}");
    assert_eq!(found.problem.map(|it| it.kind), Some(Kind::Broken));
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_session_of_which_the_last_word_is_lost_is_over_all_the_same() {
    let bed = Bed::new();
    let last = Answer::End { session: 1, why: Why::Over }.octets().len() + 28;
    bed.lab.router_filters(&format!("-p udp --sport 8365 -m length --length {last} -j DROP"));
    let output = bed.receive("-S 192.0.2.2 -t 5 -J 6 -a 2 -l 20 -u 40 --json");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(told["chirps"]["came"].as_u64() > Some(1), "{told}");
    assert!(told["problem"].is_null() || said(&output).contains(" chirps count: "), "{told}");
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_hostile_flood_keeps_nobody_from_measuring() {
    let bed = Bed::new();
    let sender: SocketAddr = SENDER.parse().expect("an address");
    let floods = [1, 2].map(|nonce| {
        Flood::begin(&bed.lab.host("router"), Duration::from_micros(300), move |_| {
            let forged = Asked::Request { nonce, cookie: [1; 16], wish: WISH };
            let messages = [Asked::Hello { nonce }.octets(), forged.octets(), vec![7; 700]];
            messages.map(|octets| (sender, octets)).into()
        })
    });
    let output = bed.receive("-S 192.0.2.2 -t 10 -J 6 -a 2 -l 1 -u 200 --json");
    let forged: u64 = floods.map(Flood::end).iter().sum();
    assert!(forged > 10_000, "{forged} forged messages");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(told["chirps"]["came"].as_u64() > Some(5), "{told}");
    let mut sender = bed.sender;
    assert_eq!(sender.terminate(), Some(0));
    let log = sender.log();
    assert!(log.contains("requests without a good cookie") && log.lines().count() < 20, "{log}");
}

/// The forger sends from the victim's address, and sees a cookie only at its own.
#[test]
#[ignore = "needs root for network namespaces"]
fn a_forged_request_turns_no_packet_against_its_victim() {
    let bed = Bed::new();
    let mut ip = bed.lab.host("client").command(Path::new("ip"));
    succeed(ip.args(["addr", "add", "198.51.100.77/24", "dev", "eth0"]));
    let (forger, victim) = (bed.socket("198.51.100.2"), bed.socket("198.51.100.77"));
    let cookie = cookie(&forger);
    for nonce in 0..100 {
        victim.send(&Asked::Request { nonce, cookie, wish: WISH }.octets()).expect("a way");
        let feedback = Asked::Feedback { session: nonce, chirp: 0, low: 1_000, high: 1_000_000 };
        victim.send(&feedback.octets()).expect("a way");
    }
    // The sender hears one after the other: what is asked for now is answered when all that was judged.
    forger.send(&Asked::Request { nonce: 7, cookie, wish: WISH }.octets()).expect("a way");
    let mut room = [0; 2_000];
    let length = forger.recv(&mut room).expect("an answer");
    assert!(matches!(Answer::read(&room[..length]), Ok(Answer::Accepted { nonce: 7, .. })));
    assert_eq!(forger.peer_addr().expect("connected"), SENDER.parse::<SocketAddr>().expect("one"));
    victim.set_read_timeout(Some(Duration::from_secs(1))).expect("not zero");
    assert!(victim.recv(&mut room).is_err(), "the victim got something");
}
