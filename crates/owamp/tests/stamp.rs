//! The reflector and the sender of STAMP as programs, on loopback, over both families: honest ones, rubbish, and peers
//! that answer wrongly.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use owamp::stamp::packet::{self, Answer};
use serde_json::Value;
use station::world::clock::pause;
use timed_udp::{
    clock::wall,
    ntp::{ErrorEstimate, NtpTime},
};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const BOTH: [IpAddr; 2] = [V4, V6];
/// How long an answer on loopback may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
const ERROR: ErrorEstimate =
    ErrorEstimate { synchronised: true, z: false, scale: 10, multiplier: 50 };

#[expect(clippy::disallowed_methods, reason = "the tests start the programs as a user does")]
fn program(name: &str) -> Command {
    match name {
        "stamp-reflector" => Command::new(env!("CARGO_BIN_EXE_stamp-reflector")),
        _ => Command::new(env!("CARGO_BIN_EXE_stamp-sender")),
    }
}

/// A reflector, which ends with this.
struct Reflector {
    child: Child,
    port: u16,
}

impl Drop for Reflector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reflector {
    /// Returns when it has bound its port.
    fn start(args: &[&str]) -> Self {
        let port = free_port();
        let mut command = program("stamp-reflector");
        command.args(["-p", &port.to_string()]).args(args).stderr(Stdio::null());
        let mut reflector = Self { child: command.spawn().expect("it starts"), port };
        let begun = timed_udp::clock::Mono::now();
        while UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok() {
            assert!(timed_udp::clock::Mono::now().since(begun) < PATIENCE, "it does not listen");
            assert!(reflector.child.try_wait().expect("ours").is_none(), "it ended");
            pause(Duration::from_millis(5));
        }
        reflector
    }

    fn at(&self, address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, self.port)
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

fn sender(target: SocketAddr, args: &[&str]) -> Output {
    let target = target.to_string();
    program("stamp-sender").args(args).arg(target).output().expect("it starts")
}

fn measured(target: SocketAddr, args: &[&str]) -> Value {
    let output = sender(target, &[args, &["--json"]].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn asked(number: u32, length: usize) -> Vec<u8> {
    let mut packet = vec![0; length.max(packet::BASE)];
    packet::ask(&mut packet, number, wall(), ERROR).expect("room");
    packet.truncate(length);
    packet
}

/// A socket that asks.
struct Asker(UdpSocket);

impl Asker {
    fn new(target: SocketAddr) -> Self {
        let own: IpAddr = if target.is_ipv4() { V4 } else { V6 };
        let socket = UdpSocket::bind((own, 0)).expect("a port");
        socket.connect(target).expect("loopback");
        Self(socket)
    }

    fn send(&self, packet: &[u8]) {
        self.0.send(packet).expect("loopback");
    }

    /// What comes within `patience`.
    fn next(&self, patience: Duration) -> Option<Vec<u8>> {
        self.0.set_read_timeout(Some(patience)).expect("not zero");
        let mut room = vec![0; 65_535];
        let length = self.0.recv(&mut room).ok()?;
        room.truncate(length);
        Some(room)
    }

    /// The answer to a packet that surely gets one: what was sent before and had none has none.
    fn answer_to(&self, number: u32, length: usize) -> Vec<u8> {
        self.send(&asked(number, length));
        self.next(PATIENCE).expect("an answer")
    }
}

#[test]
fn an_honest_pair_measures_round_trips_and_both_ways_over_both_families() {
    let reflector = Reflector::start(&[]);
    for address in BOTH {
        let it = measured(reflector.at(address), &["-c", "50", "-i", "0.005", "-s", "100"]);
        assert_eq!((&it["sent"], &it["received"]), (&50.into(), &50.into()), "{it}");
        let median = |at: &str| it.pointer(at).and_then(Value::as_i64).expect("a delay");
        let round = median("/round_trip/median_ns");
        let ways = median("/there/delay/median_ns") + median("/back/delay/median_ns");
        // Medians of sums are not sums of medians, but by one clock they are near.
        assert!((1..50_000_000).contains(&round) && (round - ways).abs() < 5_000_000, "{it}");
        for way in ["/there", "/back"] {
            assert_eq!(it.pointer(&format!("{way}/hops/max")), Some(&0.into()), "{it}");
            assert_eq!(it.pointer(&format!("{way}/ttl/255")), Some(&50.into()), "{it}");
        }
        assert_eq!(it["wrong"], 0);
    }
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let reflector = Reflector::start(&[]);
    let other = SocketAddr::new([127, 9, 8, 7].into(), reflector.port);
    assert_eq!(measured(other, &["-c", "3", "-i", "0.01"])["received"], 3);
}

#[test]
fn what_is_printed_for_people_is_in_the_manner_of_the_reference() {
    let reflector = Reflector::start(&[]);
    let output = sender(reflector.at(V4), &["-c", "5", "-i", "0.01"]);
    let text = String::from_utf8(output.stdout).expect("text");
    for part in [
        "Approximately 2.0 seconds until results available\n\n--- stamp statistics from [127.0.0.1]:",
        "\n5 sent, 0 lost (0.000%), 0 send duplicates, 0 reflect duplicates\n",
        "\nround-trip time min/median/max = ",
        "\nreflector processing time min/max = ",
        "\nsend hops = 0 (consistently)\nreflect hops = 0 (consistently)\nno reordering\n",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn an_answer_is_as_long_as_its_packet_and_what_is_too_short_has_none() {
    let reflector = Reflector::start(&[]);
    for address in BOTH {
        let asker = Asker::new(reflector.at(address));
        for length in (0..packet::SHORTEST).step_by(4).chain([40]) {
            asker.send(&asked(999, length));
        }
        for (number, length) in (0..).zip([41, 42, 43, 44, 45, 100, 1_400, 9_000]) {
            let answer = asker.answer_to(number, length);
            let read = Answer::read(&answer).expect("an answer");
            assert_eq!((answer.len(), read.of, read.number), (length, number, number));
        }
        assert_eq!(asker.next(Duration::from_millis(50)), None);
    }
}

#[test]
fn each_port_has_numbers_of_its_own_and_without_state_they_are_the_packets() {
    let (stateful, stateless) = (Reflector::start(&[]), Reflector::start(&["--stateless"]));
    let numbers = |reflector: &Reflector| {
        let asker = Asker::new(reflector.at(V4));
        [5, 7, 9].map(|it| Answer::read(&asker.answer_to(it, 44)).expect("an answer").number)
    };
    for _ in 0..2 {
        assert_eq!(numbers(&stateful), [0, 1, 2]);
        assert_eq!(numbers(&stateless), [5, 7, 9]);
    }
}

#[test]
fn two_reflectors_do_not_answer_each_other() {
    let (one, other) = (Reflector::start(&[]), Reflector::start(&[]));
    let answer = Asker::new(other.at(V4)).answer_to(1, 44);
    let asker = Asker::new(one.at(V4));
    asker.send(&answer);
    // The next one to be answered is the next that asks.
    let read = Answer::read(&asker.answer_to(77, 44)).expect("an answer");
    assert_eq!((read.of, read.number), (77, 0));
}

#[test]
fn only_those_who_are_allowed_are_answered_and_nobody_without_end() {
    let stranger = Reflector::start(&["--allow", "192.0.2.0/24"]);
    let asker = Asker::new(stranger.at(V4));
    asker.send(&asked(0, 44));
    assert_eq!(asker.next(Duration::from_millis(200)), None);
    let scarce = Reflector::start(&["--per-source", "10"]);
    let asker = Asker::new(scarce.at(V4));
    let begun = wall();
    (0..500).for_each(|number| asker.send(&asked(number, 44)));
    // The first ten come however busy the machine is.
    let first = (0..10).map_while(|_| asker.next(PATIENCE)).count();
    let rest = std::iter::from_fn(|| asker.next(Duration::from_millis(50))).count();
    let answers = first + rest;
    let seconds = usize::try_from(wall().nanos_since(begun) / 1_000_000_000).expect("forward");
    assert!((10..=10 * (seconds + 2)).contains(&answers), "{answers} in {seconds} s");
}

/// Rubbish from many addresses and ports until it is told to stop; counts octets both ways.
struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    came: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Flood {
    fn begin(target: SocketAddr) -> Self {
        let (stop, sent, came) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicU64::new(0)),
        );
        let (until, out, back) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&came));
        let thread = thread::spawn(move || {
            let sources: Vec<UdpSocket> = (0..200).map(|n| source(target, n)).collect();
            let mut random = 88_172_645_463_325_252_u64;
            while !until.load(Ordering::Relaxed) {
                for socket in &sources {
                    let rubbish = rubbish(&mut random);
                    if socket.send_to(&rubbish, target).is_ok() {
                        out.fetch_add(rubbish.len() as u64, Ordering::Relaxed);
                    }
                    let mut room = [0; 2_048];
                    while let Ok(length) = socket.recv(&mut room) {
                        back.fetch_add(length as u64, Ordering::Relaxed);
                    }
                }
                pause(Duration::from_millis(5));
            }
        });
        Self { stop, sent, came, thread: Some(thread) }
    }

    fn end(&mut self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(thread::JoinHandle::join);
        (self.sent.load(Ordering::Relaxed), self.came.load(Ordering::Relaxed))
    }
}

fn source(target: SocketAddr, n: u8) -> UdpSocket {
    let own = if target.is_ipv4() { IpAddr::from([127, 0, 1, n]) } else { V6 };
    let socket = UdpSocket::bind((own, 0)).expect("loopback");
    socket.set_nonblocking(true).expect("a socket");
    socket
}

/// Octets without sense, packets that ask, and answers.
fn rubbish(random: &mut u64) -> Vec<u8> {
    let mut next = || {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random
    };
    let length = usize::try_from(next() % 300).expect("small");
    match next() % 3 {
        0 => (0..length).map(|_| next().to_le_bytes()[0]).collect(),
        1 => asked(u32::from_le_bytes([0, 1, 2, next().to_le_bytes()[0]]), length),
        _ => {
            let mut answer = asked(1, length.max(44));
            packet::answer(&mut answer, 1, wall(), 3).expect("long enough");
            answer
        }
    }
}

#[test]
fn an_honest_sender_measures_undisturbed_while_others_flood_the_reflector() {
    for address in BOTH {
        let reflector = Reflector::start(&[]);
        let mut flood = Flood::begin(reflector.at(address));
        let it = if address.is_ipv4() {
            measured(reflector.at(address), &["-c", "100", "-i", "0.01"])
        } else {
            // Over IPv6 the flood has our own address, and with it our share of the answers.
            let reflected = measured(reflector.at(V4), &["-c", "100", "-i", "0.01"]);
            assert!(flood.sent.load(Ordering::Relaxed) > 0);
            reflected
        };
        let (sent, came) = flood.end();
        assert!(it["received"].as_u64() >= Some(98), "{it}");
        assert_eq!(it["wrong"], 0, "{it}");
        assert!(sent > 100_000 && came <= sent, "{came} octets came back for {sent}");
    }
}

/// What a peer does with a packet.
#[derive(Clone, Copy)]
enum Deed {
    Answer,
    Late,
    Twice,
    Wrong,
    LoseThere,
    LoseBack,
}

/// A reflector that keeps state and does with each packet what it is told, `seconds` for the late ones.
fn peer(deeds: Vec<Deed>, late: Duration) -> (SocketAddr, thread::JoinHandle<()>) {
    let socket = UdpSocket::bind((V4, 0)).expect("a port");
    let place = socket.local_addr().expect("bound");
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("not zero");
    let thread = thread::spawn(move || {
        let mut reflected = 0;
        let mut held: Vec<(NtpTime, Vec<u8>, SocketAddr)> = Vec::new();
        let begun = wall();
        while wall().nanos_since(begun) < 8_000_000_000 {
            held.retain(|(due, answer, to)| {
                let is_due = wall().nanos_since(*due) >= 0;
                is_due.then(|| socket.send_to(answer, to));
                !is_due
            });
            let mut room = [0; 2_048];
            let Ok((length, from)) = socket.recv_from(&mut room) else { continue };
            let packet = &mut room[..length];
            let number = packet::number(packet).expect("long enough") as usize;
            let deed = deeds.get(number).copied().unwrap_or(Deed::Answer);
            if matches!(deed, Deed::LoseThere) {
                continue;
            }
            packet::answer(packet, reflected, wall(), 255).expect("long enough");
            reflected += 1;
            packet::stamp(packet, wall(), ERROR).expect("long enough");
            if matches!(deed, Deed::Wrong) {
                packet[30] ^= 1;
            }
            match deed {
                Deed::LoseBack => {}
                Deed::Late => {
                    let due = wall().unix_nanos() + i128::try_from(late.as_nanos()).expect("short");
                    held.push((NtpTime::from_unix_nanos(due), packet.to_vec(), from));
                }
                _ => drop(socket.send_to(packet, from)),
            }
            if matches!(deed, Deed::Twice) {
                drop(socket.send_to(packet, from));
            }
            if number > deeds.len() {
                // That was the one that closes.
                return;
            }
        }
    });
    (place, thread)
}

#[test]
fn a_peer_that_answers_wrongly_twice_late_or_not_at_all_is_seen_through() {
    use Deed::{Answer, Late, LoseBack, LoseThere, Twice, Wrong};
    let deeds = vec![
        Late, Wrong, Twice, LoseThere, Answer, LoseBack, Answer, LoseThere, LoseBack, LoseBack,
    ];
    let (place, thread) = peer(deeds, Duration::from_millis(1_700));
    let it = measured(place, &["-c", "10", "-i", "0.1", "-L", "1.5"]);
    thread.join().expect("the peer ends");
    assert_eq!((&it["sent"], &it["lost"], &it["late"]), (&10.into(), &7.into(), &1.into()), "{it}");
    assert_eq!(it["wrong"], 1, "{it}");
    assert_eq!(it["duplicates"], serde_json::json!({"there": 0, "back": 1}), "{it}");
    let losses =
        serde_json::json!({"there": 2, "back": 4, "unknown": 0, "reflector_numbers": "own"});
    assert_eq!(it["losses"], losses, "{it}");
    assert_eq!(it["loss_periods"]["longest"], 3, "{it}");
}

#[test]
fn without_an_answer_the_status_is_1_and_what_is_to_be_done_is_told() {
    let told = |output: Output| {
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("text")
    };
    for address in BOTH {
        let nobody = SocketAddr::new(address, free_port());
        let refused = told(sender(nobody, &["-c", "2", "-i", "0.01", "-L", "0.5"]));
        assert!(refused.contains("start a stamp-reflector, or name its port"), "{refused}");
        let silent = UdpSocket::bind((address, 0)).expect("a port");
        let silent = silent.local_addr().map(|it| (it, silent)).expect("bound");
        let text = told(sender(silent.0, &["-c", "2", "-i", "0.01", "-L", "0.2"]));
        assert!(text.contains("nobody answered 2 packets") && text.contains("--allow"), "{text}");
    }
    let text = told(sender(SocketAddr::new(V4, 9), &["-6"]));
    assert!(text.contains("finding 127.0.0.1: no address associated with it is of IPv6"), "{text}");
}

#[test]
fn root_becomes_nobody_when_the_port_is_bound() {
    let reflector = Reflector::start(&[]);
    let asker = Asker::new(reflector.at(V4));
    asker.answer_to(0, 44);
    let status = std::fs::read_to_string(format!("/proc/{}/status", reflector.child.id()));
    let status = status.expect("it runs");
    assert!(!status.contains("Uid:\t0"), "{status}");
}
