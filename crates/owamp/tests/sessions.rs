//! Sessions between real sockets on loopback.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::mpsc::Receiver,
    time::Duration,
};

use owamp::{
    protocol::{PacketKey, Record, SessionKeys, Sid, Slot},
    session::{
        ClockReport, EngineSettings, Event, Handle, ReceiveReport, ReceiveSpec, Refusal,
        SendReport, SendSpec, Source, Timetable, start, units_of,
    },
};
use timed_udp::{
    clock::{KnownState, Mono, wall},
    ntp::NtpTime,
    socket::{Opening, TimedSocket},
};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(60);
const SID: Sid = Sid([9; 16]);

/// An engine and what it has told.
struct Bed {
    handle: Handle,
    events: Receiver<Event>,
}

impl Bed {
    fn new() -> Self {
        let (handle, events) = start(&EngineSettings::default()).expect("it starts");
        Self { handle, events }
    }

    fn received(&self) -> (u64, ReceiveReport, ClockReport) {
        loop {
            match self.events.recv_timeout(PATIENCE).expect("it ends") {
                Event::Received { id, report, clock } => return (id, report, clock),
                Event::Sent { .. } => {}
            }
        }
    }

    fn sent(&self) -> SendReport {
        loop {
            match self.events.recv_timeout(PATIENCE).expect("it ends") {
                Event::Sent { report, .. } => return report,
                Event::Received { .. } => {}
            }
        }
    }
}

fn open(address: IpAddr) -> TimedSocket {
    Opening::at(address).open().unwrap_or_else(|error| panic!("{error}"))
}

fn every(millis: u64, count: u32) -> Timetable {
    let slot = Slot::Fixed { offset: units_of(Duration::from_millis(millis)) };
    Timetable::of(&SID, &[slot], count)
}

fn keys(secret: u8) -> [PacketKey; 3] {
    let keys = SessionKeys::new([secret; 48]).of_session(&SID);
    let (one, other) = (Box::new(keys.clone()), Box::new(keys));
    [PacketKey::Open, PacketKey::Authenticated(one), PacketKey::Encrypted(other)]
}

fn send_spec(socket: TimedSocket, peer: SocketAddr, count: u32) -> SendSpec {
    SendSpec {
        id: 1,
        socket,
        peer,
        key: PacketKey::Open,
        start: wall(),
        timetable: every(2, count),
        padding: 0,
        is_zero_padded: false,
        too_late: PATIENCE,
    }
}

fn receive_spec(socket: TimedSocket, from: SocketAddr, count: u32) -> ReceiveSpec {
    ReceiveSpec {
        id: 2,
        socket,
        peer: Source { address: from.ip(), port: Some(from.port()) },
        key: PacketKey::Open,
        start: wall(),
        timetable: every(2, count),
        // Longer than any machine is busy: what is late is to be taken all the same.
        timeout: PATIENCE,
        most_records: u64::MAX,
    }
}

fn records(report: &ReceiveReport) -> Vec<Record> {
    report.records.iter().map(|record| record.expect("it is read")).collect()
}

/// Numbers of the records, those of lost packets apart.
fn numbers(report: &ReceiveReport) -> (Vec<u32>, Vec<u32>) {
    let (came, lost): (Vec<Record>, Vec<Record>) =
        records(report).into_iter().partition(|record| record.received.is_some());
    let seqs = |records: Vec<Record>| records.into_iter().map(|record| record.seq).collect();
    (seqs(came), seqs(lost))
}

/// After so long a packet that is sent by hand is lost.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Who sends packets by hand, and the engine that receives them.
struct ByHand {
    bed: Bed,
    socket: UdpSocket,
    to: SocketAddr,
    key: PacketKey,
    begun: NtpTime,
}

impl ByHand {
    fn new(count: u32, key: PacketKey) -> Self {
        let socket = UdpSocket::bind((V4, 0)).expect("a socket");
        let from = socket.local_addr().expect("an address");
        let here = open(V4);
        let (bed, to) = (Bed::new(), here.local());
        let spec =
            ReceiveSpec { key: key.clone(), timeout: TIMEOUT, ..receive_spec(here, from, count) };
        let begun = spec.start;
        bed.handle.receive(spec).expect("it is taken");
        Self { bed, socket, to, key, begun }
    }

    fn packet(&self, seq: u32) -> Vec<u8> {
        let mut packet = vec![0; 60];
        let error = KnownState::ask(Mono::now()).estimate_at(Mono::now());
        self.key.seal(seq, wall(), error, &mut packet).expect("room");
        packet
    }

    fn send(&self, seq: u32) {
        self.socket.send_to(&self.packet(seq), self.to).expect("it is sent");
    }

    /// Ends the session when all that was sent has been read, or has had its time.
    fn end(&self, next: u32) -> ReceiveReport {
        self.bed.handle.stop(2, PATIENCE, Some(next)).expect("it is there");
        self.bed.received().1
    }
}

#[test]
fn both_directions_at_once_in_every_mode_and_version_lose_nothing() {
    for address in [V4, V6] {
        for key in keys(1) {
            let bed = Bed::new();
            let pairs = [(open(address), open(address)), (open(address), open(address))];
            for (pair, (from, to)) in (0..).zip(pairs) {
                let (from_address, to_address) = (from.local(), to.local());
                let receive = receive_spec(to, from_address, 40);
                let send = send_spec(from, to_address, 40);
                let receive = ReceiveSpec { id: 10 + pair, key: key.clone(), ..receive };
                let send = SendSpec { id: 20 + pair, key: key.clone(), padding: 33, ..send };
                bed.handle.receive(receive).expect("it is taken");
                bed.handle.send(send).expect("it is taken");
            }
            for _ in 0..2 {
                let report = bed.sent();
                assert_eq!((report.next_seq, report.sent, report.skips.count()), (40, 40, 0));
                assert_eq!((report.late.count(), report.errors.len()), (40, 0));
                assert!(report.leaving.count() > 0, "the kernel told when a packet left");
            }
            for id in [10, 11] {
                bed.handle.stop(id, Duration::ZERO, Some(40)).expect("it is there");
                let (_, report, clock) = bed.received();
                let (came, lost) = numbers(&report);
                assert!(came.into_iter().eq(0..40) && lost.is_empty());
                assert_eq!((report.counts.refused.total(), report.dropped), (0, 0));
                assert_eq!(clock.steps, []);
            }
        }
    }
}

#[test]
fn a_record_tells_what_the_packet_and_the_kernel_told() {
    let by_hand = ByHand::new(5, PacketKey::Open);
    let before = wall();
    by_hand.send(3);
    let report = by_hand.end(0);
    let record = records(&report)[0];
    let received = record.received.expect("it came");
    assert!(before <= record.sent && record.sent <= received && received <= wall());
    assert!(record.send_error.is_some() && record.receive_error.is_some());
    assert_eq!((record.seq, record.ttl), (3, 64), "a socket by hand sends with the system's TTL");
}

#[test]
fn lost_doubled_and_reordered_packets_are_told_by_number() {
    let by_hand = ByHand::new(10, PacketKey::Open);
    for seq in [0, 1, 4, 3, 3, 6, 6, 6, 9] {
        by_hand.send(seq);
    }
    let report = by_hand.end(10);
    let (came, lost) = numbers(&report);
    assert_eq!(came, [0, 1, 4, 3, 3, 6, 6, 6, 9]);
    assert_eq!(lost, [2, 5, 7, 8]);
    assert_eq!((report.counts.came, report.counts.duplicates, report.counts.lost), (6, 3, 4));
    let all = records(&report);
    let of_five = all.iter().find(|record| record.seq == 5).expect("it is there");
    let due = of_five.sent.nanos_since(by_hand.begun);
    assert!((due - 12_000_000).abs() < 10, "{due}: the time it was to be sent");
}

#[test]
fn what_is_not_of_the_sender_is_refused_and_counted() {
    for (key, others) in keys(1).into_iter().zip(keys(2)).skip(1) {
        let by_hand = ByHand::new(10, key);
        by_hand.send(1);
        let stranger = UdpSocket::bind((V4, 0)).expect("a socket");
        stranger.send_to(&by_hand.packet(2), by_hand.to).expect("it is sent");
        let send = |packet: &[u8]| {
            by_hand.socket.send_to(packet, by_hand.to).expect("it is sent");
        };
        let mut forged = vec![0; 60];
        let error = KnownState::ask(Mono::now()).estimate_at(Mono::now());
        others.seal(3, wall(), error, &mut forged).expect("room");
        send(&forged);
        send(&by_hand.packet(4)[..40]);
        send(&[]);
        by_hand.send(10);
        let mut old = vec![0; 60];
        let long_ago = NtpTime(wall().0 - units_of(PATIENCE * 3));
        by_hand.key.seal(5, long_ago, error, &mut old).expect("room");
        send(&old);
        let report = by_hand.end(2);
        assert_eq!(numbers(&report), (vec![1], vec![0]));
        let refused = report.counts.refused;
        assert_eq!((refused.address, refused.key, refused.malformed), (1, 1, 2), "{refused:?}");
        assert_eq!((refused.number, refused.time), (1, 1), "{refused:?}");
    }
}

#[test]
fn a_flood_of_copies_is_counted_and_takes_no_room() {
    let by_hand = ByHand::new(10, PacketKey::Open);
    let packet = by_hand.packet(1);
    for _ in 0..100 {
        by_hand.socket.send_to(&packet, by_hand.to).expect("it is sent");
    }
    let report = by_hand.end(2);
    assert_eq!(report.records.count(), 8 + 1, "eight copies, and a lost packet");
    assert_eq!(report.counts.refused.copies, 92);
}

#[test]
fn no_more_records_are_kept_than_were_asked_for() {
    let (from, to) = (open(V4), open(V4));
    let (bed, peer) = (Bed::new(), to.local());
    let spec = ReceiveSpec { most_records: 3, ..receive_spec(to, from.local(), 10) };
    bed.handle.receive(spec).expect("it is taken");
    bed.handle.send(send_spec(from, peer, 10)).expect("it is taken");
    assert_eq!(bed.sent().sent, 10);
    bed.handle.stop(2, Duration::ZERO, Some(10)).expect("it is there");
    let (_, report, _) = bed.received();
    assert_eq!((report.records.count(), report.records.not_kept(), report.counts.came), (3, 7, 10));
}

#[test]
fn what_is_on_its_way_when_a_session_is_stopped_is_not_lost() {
    let (from, to) = (open(V4), open(V4));
    let bed = Bed::new();
    bed.handle.receive(receive_spec(to, from.local(), 10)).expect("it is taken");
    bed.handle.stop(2, Duration::from_millis(100), Some(10)).expect("it is there");
    let (_, report, _) = bed.received();
    assert_eq!(numbers(&report), (vec![], vec![]), "each had a minute");
}

#[test]
fn a_session_ends_by_itself_when_its_last_packet_has_had_its_time() {
    let (from, to) = (open(V4), open(V4));
    let bed = Bed::new();
    let timeout = Duration::from_millis(300);
    bed.handle
        .receive(ReceiveSpec { timeout, ..receive_spec(to, from.local(), 5) })
        .expect("taken");
    let (id, report, _) = bed.received();
    assert_eq!((id, numbers(&report).1), (2, vec![0, 1, 2, 3, 4]), "nobody sent anything");
}

#[test]
fn nobody_listens_and_the_session_is_sent_all_the_same() {
    let gone = open(V4).local();
    let bed = Bed::new();
    bed.handle.send(send_spec(open(V4), gone, 20)).expect("it is taken");
    let report = bed.sent();
    assert_eq!((report.sent, report.skips.count()), (20, 0));
    assert!(report.errors.keys().all(|errno| *errno == 111), "{:?}", report.errors);
    assert!(!report.errors.is_empty(), "the host said that nobody listens");
}

#[test]
fn what_would_be_later_than_the_time_out_is_skipped_and_not_lost() {
    let (from, to) = (open(V4), open(V4));
    let bed = Bed::new();
    // 1,000 s of packets, one a second, begun 100 s ago.
    let start = NtpTime(wall().0 - units_of(Duration::from_secs(100)));
    let spec = send_spec(from, to.local(), 1);
    let too_late = Duration::from_millis(100);
    let timetable = every(1_000, 1_000);
    bed.handle.send(SendSpec { start, too_late, timetable, ..spec }).expect("it is taken");
    // It was taken up when the skipping is over, which a second session shows.
    bed.handle.send(SendSpec { id: 3, ..send_spec(open(V4), to.local(), 1) }).expect("taken");
    assert_eq!(bed.sent().sent, 1);
    bed.handle.stop(1, Duration::ZERO, None).expect("it is there");
    let report = bed.sent();
    let first = report.skips.ranges().first().expect("packets were skipped");
    assert_eq!(first.first, 0);
    assert!(first.last >= 98, "{first:?}");
    assert_eq!(report.skips.count() + report.sent, u64::from(report.next_seq));
}

#[test]
fn a_session_too_far_off_is_refused_with_the_reason() {
    let bed = Bed::new();
    let start = NtpTime(wall().0 + units_of(Duration::from_hours(48)));
    let spec = SendSpec { start, ..send_spec(open(V4), open(V4).local(), 1) };
    let refusal = bed.handle.send(spec).expect_err("it is two days ahead");
    assert!(matches!(refusal, Refusal::Start(172_790..=172_800)), "{refusal}");
    let spec = SendSpec { padding: 65_001, ..send_spec(open(V4), open(V4).local(), 1) };
    assert!(matches!(bed.handle.send(spec), Err(Refusal::Padding(65_001))));
}

#[test]
fn an_engine_that_nobody_can_tell_anything_ends() {
    let Bed { handle, events } = Bed::new();
    let other = handle.clone();
    drop(handle);
    other.send(send_spec(open(V4), open(V4).local(), 1)).expect("it goes on");
    assert!(matches!(events.recv_timeout(PATIENCE), Ok(Event::Sent { .. })));
    drop(other);
    assert!(
        events
            .recv_timeout(PATIENCE)
            .is_err_and(|error| { error == std::sync::mpsc::RecvTimeoutError::Disconnected })
    );
}

#[test]
fn hundreds_of_sessions_go_on_side_by_side() {
    const SESSIONS: u64 = 300;
    let bed = Bed::new();
    let start = NtpTime(wall().0 + units_of(Duration::from_millis(300)));
    for id in 0..SESSIONS {
        let (from, to) = (open(V4), open(V4));
        let (from_address, to_address) = (from.local(), to.local());
        let timetable = || every(20, 20);
        let receive = ReceiveSpec { id, start, ..receive_spec(to, from_address, 0) };
        let send = SendSpec { id: SESSIONS + id, start, ..send_spec(from, to_address, 0) };
        let receive = ReceiveSpec { timetable: timetable(), ..receive };
        bed.handle.receive(receive).expect("it is taken");
        bed.handle.send(SendSpec { timetable: timetable(), ..send }).expect("it is taken");
    }
    for _ in 0..SESSIONS {
        assert_eq!(bed.sent().sent, 20);
    }
    for id in 0..SESSIONS {
        bed.handle.stop(id, Duration::ZERO, Some(20)).expect("it is there");
        let (_, report, _) = bed.received();
        assert_eq!((report.counts.came, report.counts.lost), (20, 0));
    }
}
