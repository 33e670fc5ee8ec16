//! Clients that take what they can get, or vanish with it.

use socket2::{Domain, Socket, Type};

use super::*;

impl Bed {
    /// A client in open mode, from another address of this host.
    fn from(&self, address: [u8; 4]) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((address, 0)).into()).expect("an address");
        socket.connect(&self.place.into()).expect("it listens");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Client::greet(stream, Mode::Open, "", b"").expect("let in")
    }
}

/// A session that costs next to nothing and never ends.
fn idle() -> RequestSession {
    let slots = vec![Slot::Fixed { offset: u64::MAX }];
    RequestSession {
        packets: 0,
        slots,
        sender: "0.0.0.0:0".parse().expect("any"),
        ..receives(0, 0)
    }
}

#[test]
fn one_client_that_asks_for_all_test_ports_leaves_some_to_the_next() {
    let bed = Bed::new("", |settings| settings.ports = "61000-61039".parse().ok());
    let (mut greedy, mut honest) = (bed.client(Mode::Open), bed.from([127, 0, 0, 2]));
    let asked = (0..50).map(|_| greedy.ask(idle()).accept);
    let granted = asked.filter(|accept| *accept == Accept::Yes).count();
    assert!((10..=30).contains(&granted), "{granted}");
    let request = RequestSession { sender: "0.0.0.0:0".parse().expect("any"), ..receives(1, 0) };
    assert_eq!(honest.ask(request).accept, Accept::Yes);
}

#[test]
fn one_client_that_asks_for_all_the_disk_leaves_some_to_the_next() {
    let bed =
        Bed::new("limit all with disk=100m, allow_open_mode=on\nassign default all\n", |_| {});
    let (mut greedy, mut honest) = (bed.client(Mode::Open), bed.from([127, 0, 0, 2]));
    let idle = |packets| RequestSession { packets, ..idle() };
    assert_eq!(greedy.ask(idle(2_097_152)).accept, Accept::PermanentLimit);
    for packets in [100_000, 1_000, 10] {
        while greedy.ask(idle(packets)).accept == Accept::Yes {}
    }
    assert_eq!(honest.ask(idle(10_000)).accept, Accept::Yes);
}

#[test]
fn sessions_that_nobody_starts_are_given_back_soon() {
    let limits = "limit all with sessions=1, allow_open_mode=on\nassign default all\n";
    let bed = Bed::new(limits, |settings| settings.unstarted = Duration::ZERO);
    let mut sleepy = bed.client(Mode::Open);
    assert_eq!(sleepy.ask(idle()).accept, Accept::Yes);
    assert_eq!(bed.client(Mode::Open).ask(idle()).accept, Accept::TemporaryLimit);
    until(|| (bed.client(Mode::Open).ask(idle()).accept == Accept::Yes).then_some(()));
    assert!(matches!(sleepy.stream.read(&mut [0]), Ok(0)), "it was ended");
}

#[test]
fn who_connects_often_and_says_no_more_keeps_nobody_out() {
    let bed = Bed::new("", |settings| (settings.connections, settings.per_address) = (20, 15));
    let mut at_work = bed.client(Mode::Open);
    assert_eq!(at_work.ask(idle()).accept, Accept::Yes);
    assert_eq!(at_work.start(), Accept::Yes);
    let mut known: Vec<_> = (0..40).map(|_| bed.client(Mode::Open)).collect();
    known.extend((0..40).map(|_| bed.from([127, 0, 0, 2])));
    assert_eq!(bed.from([127, 0, 0, 3]).ask(idle()).accept, Accept::Yes);
    assert!(bed.server.doors.count() <= 20);
    assert_eq!(at_work.stop(Vec::new()).accept, Accept::Yes, "it was left alone");
}

#[test]
fn keys_are_made_of_passphrases_one_at_a_time() {
    let bed = Bed::new("", |_| {});
    let turn = bed.server.turns.take(who::Who::at([192, 0, 2, 1].into())).expect("nobody waits");
    thread::scope(|scope| {
        let client = scope.spawn(|| bed.user(Mode::Encrypted, "iepm", b"secret").is_ok());
        until(|| (bed.server.turns.count() == 2).then_some(()));
        assert_eq!(bed.client(Mode::Open).ask(idle()).accept, Accept::Yes, "it needs no key");
        assert!(!client.is_finished());
        drop(turn);
        assert!(client.join().expect("it ran"), "let in");
    });
}

/// The timer of the connection between these ports, as the kernel tells it: 2 is that of keepalive.
fn timer(ours: u16, theirs: u16) -> Option<String> {
    let all = std::fs::read_to_string("/proc/net/tcp").expect("it is there");
    let (ours, theirs) = (format!(":{ours:04X}"), format!(":{theirs:04X}"));
    all.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_it = words.get(1)?.ends_with(&ours) && words.get(2)?.ends_with(&theirs);
        is_it.then(|| words.get(5).and_then(|timer| timer.split(':').next()).map(str::to_owned))?
    })
}

#[test]
fn whether_a_client_is_still_there_is_looked_after_while_its_sessions_go_on() {
    let bed = Bed::new("", |_| {});
    let mut client = bed.client(Mode::Open);
    assert_eq!(client.ask(idle()).accept, Accept::Yes);
    assert_eq!(client.start(), Accept::Yes);
    let theirs = client.stream.local_addr().expect("bound").port();
    until(|| timer(bed.place.port(), theirs).filter(|timer| timer == "02"));
}

/// Has the server send packets so many milliseconds apart that were to begin 4 s ago; waits for the first, and stops.
fn sent_late(client: &mut Client, millis: u64, padding: u32) -> SessionEnd {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = RequestSession {
        start: timed_udp::ntp::NtpTime(wall().0 - units_of(Duration::from_secs(4))),
        timeout: 86_400 << 32,
        slots: every(millis),
        padding,
        ..sends(1_000_000, socket.local_addr().expect("bound").port())
    };
    assert_eq!(client.ask(request).accept, Accept::Yes);
    assert_eq!(client.start(), Accept::Yes);
    socket.recv_from(&mut [0; 2_000]).expect("a packet");
    client.stop(Vec::new()).ends.remove(0)
}

#[test]
fn what_is_past_when_sessions_start_is_not_sent_at_once() {
    let bed = Bed::new("", |_| {});
    let end = sent_late(&mut bed.client(Mode::Open), 1, 600);
    let skipped: u32 = end.skips.iter().map(|range| range.last - range.first + 1).sum();
    assert_eq!(end.skips.first().map(|range| range.first), Some(0));
    assert!(skipped > 3_000, "{skipped} of {}", end.next_seq);
}

#[test]
fn sessions_that_follow_one_another_quickly_send_no_more_than_one() {
    let limits = "limit all with bandwidth=6k, share=100, allow_open_mode=on\nassign default all\n";
    let bed = Bed::new(limits, |_| {});
    let mut client = bed.client(Mode::Open);
    // Two seconds of it have left at once.
    sent_late(&mut client, 100, 20);
    assert_eq!(client.ask(sends(1, 9_000)).accept, Accept::PermanentLimit, "500 packets a second");
    let again = || RequestSession { slots: every(100), ..sends(1, 9_000) };
    assert_eq!(client.ask(again()).accept, Accept::TemporaryLimit);
    until(|| (client.ask(again()).accept == Accept::Yes).then_some(()));
}

#[test]
fn a_session_whose_records_were_not_all_kept_did_not_end_well() {
    let bed = Bed::new("", |_| {});
    let mut client = bed.client(Mode::Open);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let answer = client.ask(receives(2, socket.local_addr().expect("bound").port()));
    assert_eq!((answer.accept, client.start()), (Accept::Yes, Accept::Yes));
    // There is room for two of each packet.
    for seq in [0, 0, 0, 0, 1] {
        let mut packet = [0; 40];
        client.key(&answer.sid).seal(seq, wall(), ERROR, &mut packet).expect("room");
        socket.send_to(&packet, ("127.0.0.1", answer.port)).expect("sent");
    }
    client.stop(vec![SessionEnd { sid: answer.sid, next_seq: 2, skips: Vec::new() }]);
    let (ack, _, records) = client.fetch(FetchSession::whole(answer.sid)).expect("there");
    assert_eq!(records.len(), 4);
    assert_eq!(ack.finished, Finished::Badly(2));
}
