//! The wire of the test network: what was set is what real programs see, and what the wire tells is what was
//! done.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::Output,
    time::Duration,
};

use rstest::rstest;
use stories::{
    Lab, Program,
    program::said,
    until,
    wire::{Cause, Direction, End, Line, Passage, Rate, Traffic, Which, realtime},
};

const V4: &str = "192.0.2.2";
const V6: &str = "2001:db8:2::2";

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn pings(lab: &Lab, arguments: &str) -> Output {
    let mut ping = lab.host("client").command(Path::new("ping"));
    ping.arg("-n").args(arguments.split(' ')).output().expect("ping starts")
}

/// The sequence numbers and round-trip times, in milliseconds, of ping's lines, in their order.
fn replies(output: &Output) -> Vec<(u64, f64)> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let reply = |line: &str| {
        let (_, rest) = line.split_once("icmp_seq=")?;
        let sequence = rest.split(' ').next()?.parse().ok()?;
        let (time, _) = rest.split_once("time=")?.1.split_once(" ms")?;
        Some((sequence, time.parse().ok()?))
    };
    text.lines().filter_map(reply).collect()
}

fn sequences(output: &Output) -> Vec<u64> {
    replies(output).into_iter().map(|(sequence, _)| sequence).collect()
}

/// What passed one way of a ping: its sequence numbers are the third and fourth octets after the type.
fn echoes(passages: &[Passage], to: Direction) -> Vec<(u64, &Passage)> {
    let ours = passages.iter().filter(|passage| passage.to == to && passage.seen.is_echo());
    ours.map(|passage| (u64::from(passage.seen.mark(4).expect("an echo") & 0xffff), passage))
        .collect()
}

#[rstest]
#[case(V4)]
#[case(V6)]
#[ignore = "needs root for network namespaces"]
fn ping_sees_the_delays_of_both_ways_together(#[case] server: &str) {
    let lab = Lab::with_wire();
    lab.wire().set(Direction::Out, Line { delay: milliseconds(30), ..Line::default() });
    lab.wire().set(Direction::Back, Line { delay: milliseconds(10), ..Line::default() });
    let output = pings(&lab, &format!("-c 5 -i 0.05 {server}"));
    let passages = lab.wire().passages();
    let (out, back) = (echoes(&passages, Direction::Out), echoes(&passages, Direction::Back));
    let seen = replies(&output);
    assert_eq!((seen.len(), out.len(), back.len()), (5, 5, 5), "{}", said(&output));
    for (((sequence, time), (there, one)), (here, two)) in seen.into_iter().zip(out).zip(back) {
        assert_eq!((there, here), (sequence, sequence));
        let (one, two) = (one.delay().unwrap(), two.delay().unwrap());
        assert!(one >= milliseconds(30) && two >= milliseconds(10), "{one:?} {two:?}");
        // Ping prints three digits.
        let both = (one + two).as_secs_f64() * 1e3;
        assert!(time >= both * 0.99, "{time} ms of ping, {both} ms of the wire");
    }
    assert_eq!(lab.wire().missed(), 0);
}

#[rstest]
#[case(V4)]
#[case(V6)]
#[ignore = "needs root for network namespaces"]
fn ping_sees_what_was_lost_doubled_and_overtaken(#[case] server: &str) {
    let lab = Lab::with_wire();
    let line = Line { counts: Traffic::Echoes, ..Line::default() };
    lab.wire().set(
        Direction::Out,
        Line {
            loses: Which::Numbers(vec![3, 4]),
            holds: vec![(Which::Numbers(vec![0]), milliseconds(300))],
            ..line.clone()
        },
    );
    lab.wire().set(Direction::Back, Line { doubles: (Which::OneIn(3), milliseconds(1)), ..line });
    let output = pings(&lab, &format!("-c 10 -i 0.1 -W 2 {server}"));
    let text = said(&output);
    let passages = lab.wire().passages();
    let lost: Vec<_> = echoes(&passages, Direction::Out)
        .into_iter()
        .filter(|(_, passage)| passage.end == End::Lost(Cause::Chosen))
        .map(|(sequence, _)| sequence)
        .collect();
    assert_eq!(lost, [4, 5], "{text}");
    // In which order replies left the wire, the second ones too.
    let mut back = echoes(&passages, Direction::Back);
    back.sort_by_key(|(_, passage)| passage.left());
    let order: Vec<_> = back.iter().map(|(sequence, _)| *sequence).collect();
    assert_ne!(order.first(), Some(&1), "the first was overtaken: {text}");
    assert_eq!(sequences(&output), order, "{text}");
    let copies = back.iter().filter(|(_, passage)| passage.is_copy).count();
    assert_eq!((copies, text.matches("(DUP!)").count()), (2, 2), "{text}");
    assert!(text.contains("10 packets transmitted, 8 received, +2 duplicates, 20% packet loss"));
}

/// A datagram as the receiver had it: its number, when it was sent and when it was there.
#[derive(Debug, Clone, Copy)]
struct Had {
    number: u32,
    sent: Duration,
    came: Duration,
}

/// Two programs that send each other datagrams with their number and their time.
struct Talk {
    client: UdpSocket,
    server: UdpSocket,
}

impl Talk {
    fn over(lab: &Lab, client: &str, server: &str) -> Self {
        let on = |host: &str, address: &str, port| {
            let address = SocketAddr::new(address.parse().expect("an address"), port);
            let socket = lab.host(host).inside(move || UdpSocket::bind(address).expect("a port"));
            socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a time-out");
            socket
        };
        let (client, server) = (on("client", client, 8760), on("server", server, 8761));
        client.connect(server.local_addr().expect("an address")).expect("a peer");
        server.connect(client.local_addr().expect("an address")).expect("a peer");
        Self { client, server }
    }

    fn ends(&self, to: Direction) -> (&UdpSocket, &UdpSocket) {
        match to {
            Direction::Out => (&self.client, &self.server),
            Direction::Back => (&self.server, &self.client),
        }
    }

    /// Sends so many datagrams one way, `apart` from each other.
    fn send(&self, to: Direction, many: u32, apart: Duration) {
        for number in 0..many {
            let nanoseconds = u64::try_from(realtime().as_nanos()).expect("a time of today");
            let octets = [&number.to_be_bytes()[..], &nanoseconds.to_be_bytes()].concat();
            self.ends(to).0.send(&octets).expect("sent");
            stories::pause(apart);
        }
    }

    /// Takes so many.
    fn take(&self, to: Direction, many: usize) -> Vec<Had> {
        let mut octets = [0; 12];
        let one = |_| {
            assert_eq!(receive(self.ends(to).1, &mut octets), 12);
            let number = u32::from_be_bytes(octets[..4].try_into().expect("four"));
            let sent = u64::from_be_bytes(octets[4..].try_into().expect("eight"));
            Had { number, sent: Duration::from_nanos(sent), came: realtime() }
        };
        (0..many).map(one).collect()
    }

    /// Nothing more comes.
    fn is_quiet(&self, to: Direction) -> bool {
        let socket = self.ends(to).1;
        socket.set_nonblocking(true).expect("a mode");
        let quiet = socket.recv(&mut [0; 12]).is_err();
        socket.set_nonblocking(false).expect("a mode");
        quiet
    }
}

#[track_caller]
fn receive(socket: &UdpSocket, octets: &mut [u8]) -> usize {
    loop {
        match socket.recv(octets) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => return received.expect("a datagram"),
        }
    }
}

fn going(passages: &[Passage], to: Direction) -> Vec<Passage> {
    passages.iter().filter(|passage| passage.to == to).cloned().collect()
}

/// What the receiver had and what the wire tells are the same: the same numbers in the same order, and each
/// time within those that enclose it.
#[track_caller]
fn agree(had: &[Had], passages: &[Passage]) {
    let mut left: Vec<_> = passages.iter().filter(|passage| passage.left().is_some()).collect();
    left.sort_by_key(|passage| passage.left());
    assert_eq!(had.len(), left.len());
    for (had, passage) in had.iter().zip(left) {
        assert_eq!(Some(had.number), passage.seen.mark(0));
        let times = [had.sent, passage.arrived, passage.left().expect("it left"), had.came];
        assert!(times.is_sorted(), "sent, on the wire, off the wire, come: {times:?}");
    }
}

#[rstest]
#[case("198.51.100.2", V4)]
#[case("2001:db8:1::2", V6)]
#[ignore = "needs root for network namespaces"]
fn a_program_has_what_the_wire_tells_number_by_number(#[case] client: &str, #[case] server: &str) {
    let lab = Lab::with_wire();
    let talk = Talk::over(&lab, client, server);
    let counts = Traffic::Ports(8760..=8761);
    let line = Line {
        delay: milliseconds(5),
        loses: Which::Marked(0, vec![7, 8, 9, 40]),
        doubles: (Which::Marked(0, vec![20]), milliseconds(1)),
        holds: vec![(Which::Numbers(vec![30]), milliseconds(200))],
        counts: counts.clone(),
        ..Line::default()
    };
    lab.wire().set(Direction::Out, line);
    lab.wire().set(Direction::Back, Line { loses: Which::OneIn(10), counts, ..Line::default() });
    for (to, many) in [(Direction::Out, 50 - 4 + 1), (Direction::Back, 50 - 5)] {
        talk.send(to, 50, milliseconds(2));
        let had = talk.take(to, many);
        assert!(talk.is_quiet(to));
        // The last one may be there before it is told of.
        let passages = until("all are told of", || {
            let passages = going(&lab.wire().passages(), to);
            (passages.len() == 50 + usize::from(to == Direction::Out)).then_some(passages)
        });
        agree(&had, &passages);
        assert!(passages.iter().all(|passage| passage.seen.ttl == ttl(to)), "{passages:?}");
        if to == Direction::Out {
            assert_eq!(had.last().unwrap().number, 30, "it was overtaken by all others: {had:?}");
        }
    }
    assert_eq!(lab.wire().missed(), 0);
}

/// The wire lies behind the router on the way out and before it on the way back.
fn ttl(to: Direction) -> u8 {
    match to {
        Direction::Out => 63,
        Direction::Back => 64,
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn each_way_has_its_own_delay_and_changes_while_packets_are_under_way() {
    let lab = Lab::with_wire();
    let talk = Talk::over(&lab, "198.51.100.2", V4);
    let late = [(Direction::Out, 80), (Direction::Back, 5)];
    for (to, delay) in late {
        lab.wire().set(to, Line { delay: milliseconds(delay), ..Line::default() });
    }
    for (to, delay) in late {
        talk.send(to, 20, milliseconds(1));
        // What comes next has another line; what is under way keeps its own.
        lab.wire().set(to, Line::default());
        talk.send(to, 1, milliseconds(0));
        let had = talk.take(to, 21);
        let slow = had.iter().filter(|had| had.came >= had.sent + milliseconds(delay)).count();
        assert!(slow >= 20, "{had:?}");
        let passages = going(&lab.wire().passages(), to);
        let held = passages.iter().filter(|passage| passage.delay() >= Some(milliseconds(delay)));
        // On a machine that stands still the last one may be late as well.
        assert!(held.count() >= 20, "{passages:?}");
        assert_eq!(passages.len(), 21);
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn no_packet_leaves_before_its_time_and_most_leave_at_it() {
    let lab = Lab::with_wire();
    let talk = Talk::over(&lab, "198.51.100.2", V4);
    let varies: Vec<_> = [0, 3, 1, 7].map(milliseconds).to_vec();
    let delay = milliseconds(2);
    lab.wire().set(Direction::Out, Line { delay, varies: varies.clone(), ..Line::default() });
    for _ in 0..4 {
        // A socket has room for more than these.
        talk.send(Direction::Out, 100, milliseconds(2));
        talk.take(Direction::Out, 100);
    }
    let told = |passages: Vec<Passage>| (passages.len() == 400).then_some(passages);
    let passages = until("all are told of", || told(lab.wire().passages()));
    let mut late: Vec<Duration> = passages
        .iter()
        .map(|passage| {
            let turn = usize::try_from(passage.number.unwrap() % 4).unwrap();
            passage.delay().unwrap().checked_sub(delay + varies[turn]).expect("not before its time")
        })
        .collect();
    late.sort_unstable();
    println!("late: {:?} at the median, {:?} the 1 in 20", late[200], late[380]);
    assert!(late[200] < milliseconds(5), "{late:?}");
}

/// A server of iperf for datagrams on the lab's server.
fn iperf_server(lab: &Lab, log: &Path) -> Program {
    let mut server = lab.host("server").command(Path::new("iperf"));
    server.args(["-s", "-u", "-f", "k"]);
    let server = Program::start(server, log);
    until("the server listens", || server.log().contains("listening").then_some(()));
    server
}

/// Kilobits a second, datagrams that were lost, and all: `... 1919 Kbits/sec 1.039 ms 1624/2364 (69%)`.
fn figures(report: &str) -> Option<(f64, usize, usize)> {
    let rate = report.split_once(" Kbits/sec")?.0.rsplit(' ').next()?.parse().ok()?;
    let (lost, all) = report.split_once(" ms ")?.1.split_once(" (")?.0.trim().split_once('/')?;
    Some((rate, lost.trim().parse().ok()?, all.trim().parse().ok()?))
}

#[test]
#[ignore = "needs root for network namespaces"]
fn iperf_finds_the_rate_of_the_wire_and_as_many_losses_as_the_wire_made() {
    let place = tempfile::tempdir().unwrap();
    let lab = Lab::with_wire();
    let rate = Some(Rate { bits: 2_000_000, queue: 20_000 });
    lab.wire().set(Direction::Out, Line { rate, ..Line::default() });
    let server = iperf_server(&lab, &place.path().join("log"));
    let mut client = lab.host("client").command(Path::new("iperf"));
    client.args(["-c", V4, "-u", "-b", "6M", "-t", "3", "-l", "1000"]);
    stories::program::succeed(&mut client);
    let report = until("the server reports", || {
        server.log().lines().last().filter(|line| line.ends_with("%)")).map(str::to_owned)
    });
    let (rate, lost, all) = figures(&report).unwrap_or_else(|| panic!("{report}"));
    // Of 1042 octets of a frame, a thousand are iperf's.
    let expected = 2000.0 * 1000.0 / 1042.0;
    assert!((rate / expected - 1.0).abs() < 0.1, "of {expected} kbit/s: {report}");
    // Its last packets carry negative numbers and are repeated until they are answered.
    let mut ends = BTreeMap::new();
    for passage in going(&lab.wire().passages(), Direction::Out) {
        let mark =
            passage.seen.mark(0).filter(|mark| passage.seen.ports.is_some() && *mark < 1 << 31);
        ends.extend(mark.map(|mark| (mark, passage.end)));
    }
    let full = ends.values().filter(|end| **end == End::Lost(Cause::Full)).count();
    assert!(full > 500, "{full} of {}", ends.len());
    // How its last ones count is up to its version.
    let is_near = |one: usize, two: usize| one.abs_diff(two) <= 2;
    assert!(is_near(lost, full) && is_near(all, ends.len()), "{full} {} {report}", ends.len());
    assert_eq!(lab.wire().missed(), 0);
}

#[test]
#[ignore = "needs root for network namespaces"]
fn tcp_goes_over_a_wire_in_packets_of_the_wires_size() {
    let place = tempfile::tempdir().unwrap();
    let lab = Lab::with_wire();
    lab.wire().set_both(&Line { delay: milliseconds(5), ..Line::default() });
    let mut server = lab.host("server").command(Path::new("iperf3"));
    server.args(["-s", "--forceflush"]);
    let server = Program::start(server, &place.path().join("log"));
    until("the server listens", || server.log().contains("listening").then_some(()));
    let mut client = lab.host("client").command(Path::new("iperf3"));
    stories::program::succeed(client.args(["-c", V6, "-n", "2M"]));
    let passages = lab.wire().passages();
    let longest = passages.iter().map(|passage| passage.seen.length).max();
    assert_eq!(longest, Some(1514));
    let lost = passages.iter().filter(|passage| passage.left().is_none()).count();
    assert_eq!((lost, lab.wire().missed()), (0, 0));
}

#[test]
#[ignore = "needs root for network namespaces"]
fn nothing_is_left_of_a_wire() {
    let lab = Lab::with_wire();
    lab.wire().set_both(&Line { delay: Duration::from_secs(3600), ..Line::default() });
    let lost = pings(&lab, &format!("-c 1 -W 1 {V4}"));
    assert!(said(&lost).contains("100% packet loss"));
    let own = lab.host("server").file();
    let name = own.file_name().unwrap().to_str().unwrap().replace("server", "");
    let ours = || {
        let names = std::fs::read_dir("/run/netns").unwrap().flatten();
        names.filter(|entry| entry.file_name().to_str().unwrap().starts_with(&name)).count()
    };
    assert_eq!(ours(), 4, "three hosts and the wire");
    drop(lab);
    assert_eq!(ours(), 0);
}
