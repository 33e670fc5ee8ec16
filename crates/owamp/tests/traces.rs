//! What the reference tools (5.2.3) said to each other on loopback, captured with tcpdump: each message is read and
//! written again, and comes out the same, octet by octet. The user is `iepm`, the passphrase `station-secret`.

use std::{fs, path::Path};

use owamp::{
    protocol::{
        Accept, AcceptSession, FetchAck, FetchSession, Fetched, Finished, Inbound, KeyId, Limits,
        Mode, Modes, Outbound, PacketKey, PassPhrase, Record, Request, RequestSession, Schedule,
        ServerGreeting, ServerStart, SessionKeys, SetUpResponse, Sid, StartAck, StopSessions,
    },
    stamp::packet::{Answer, answer, is_answer, stamp},
};
use timed_udp::ntp::NtpTime;

const LIMITS: Limits = Limits { slots: 4, sessions: 2, skips: 10 };
const SECRET: &[u8] = b"station-secret";

/// What went over the wire: the control connection's two streams, and the test packets with their ports.
#[derive(Default)]
struct Trace {
    client: Vec<u8>,
    server: Vec<u8>,
    packets: Vec<([u16; 2], Vec<u8>)>,
}

fn number(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn capture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    fs::read(folder.join(name)).expect("a capture")
}

/// Reads a capture of Ethernet frames with IPv4, in which the server has port `server`.
fn trace(name: &str, server: u16) -> Trace {
    let file = capture(name);
    let mut trace = Trace::default();
    let mut rest = &file[24..];
    while let Some((head, behind)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let (frame, next) = behind.split_at(length);
        rest = next;
        let ip = &frame[14..];
        let ip = &ip[..usize::from(number(ip, 2))];
        let inner = &ip[usize::from(ip[0] & 15) * 4..];
        let ports = [number(inner, 0), number(inner, 2)];
        if ip[9] == 17 {
            trace.packets.push((ports, inner[8..].to_vec()));
            continue;
        }
        let stream = if ports[0] == server { &mut trace.server } else { &mut trace.client };
        stream.extend_from_slice(&inner[usize::from(inner[12] >> 4) * 4..]);
    }
    trace
}

/// One direction of a connection: each message that is read of it is written again.
struct Side<'a> {
    from: Inbound<&'a [u8]>,
    again: Outbound,
    there: &'a [u8],
}

impl<'a> Side<'a> {
    fn new(there: &'a [u8], keys: Option<&SessionKeys>, iv: [u8; 16]) -> Self {
        let (from, again) = match keys {
            Some(keys) => (Inbound::sealed(there, keys, &iv), Outbound::sealed(keys, &iv)),
            None => (Inbound::open(there), Outbound::open()),
        };
        Self { from, again, there }
    }

    fn is_over(&mut self) -> bool {
        self.from.from().is_empty()
    }

    /// What was written again is what was read, and no octet more was read.
    fn check(&mut self) {
        let again = self.again.take();
        let (read, rest) = self.there.split_at(again.len());
        assert_eq!(again, read);
        assert_eq!(self.from.from().len(), rest.len(), "read no further");
        self.there = rest;
    }
}

struct Granted {
    request: RequestSession,
    answer: AcceptSession,
}

impl Granted {
    fn sid(&self) -> Sid {
        if self.request.server_receives { self.answer.sid } else { self.request.sid }
    }

    fn ports(&self) -> [u16; 2] {
        if self.request.server_receives {
            return [self.request.sender.port(), self.answer.port];
        }
        [self.answer.port, self.request.receiver.port()]
    }
}

struct Heard {
    granted: Vec<Granted>,
    records: Vec<Record>,
    keys: Option<SessionKeys>,
}

fn set_up(trace: &Trace, mode: Mode) -> (SetUpResponse, Option<SessionKeys>) {
    let bytes = trace.server.first_chunk().expect("a greeting");
    let greeting = ServerGreeting::from_bytes(bytes);
    assert_eq!(&greeting.to_bytes(), bytes);
    let set_up_bytes = trace.client.first_chunk().expect("a response");
    let set_up = SetUpResponse::from_bytes(set_up_bytes).expect("sound");
    assert_eq!((&set_up.to_bytes(), set_up.mode), (set_up_bytes, mode));
    assert!(greeting.modes.has(mode));
    if mode == Mode::Open {
        return (set_up, None);
    }
    assert_eq!(set_up.key_id, KeyId::new("iepm").expect("short"));
    let how = greeting.derivation().expect("sound");
    let open = |secret: &[u8]| {
        let secret = PassPhrase(secret.to_vec());
        SessionKeys::from_token(&set_up.token, &greeting.challenge, &secret, &how)
    };
    assert!(open(b"station-secreT").is_err());
    let keys = open(SECRET).expect("the right one");
    let token = keys.to_token(&greeting.challenge, &PassPhrase(SECRET.to_vec()), &how);
    assert_eq!(token, set_up.token);
    (set_up, Some(keys))
}

/// Follows a conversation from its first to its last octet.
fn follow(trace: &Trace, mode: Mode) -> Heard {
    let (set_up, keys) = set_up(trace, mode);
    let server = &trace.server[ServerGreeting::LENGTH..];
    let bytes = server.first_chunk().expect("a start");
    let start = ServerStart::from_bytes(bytes);
    assert_eq!((&start.to_bytes(), start.accept), (bytes, Accept::Yes));
    let client = &trace.client[SetUpResponse::LENGTH..];
    let mut client = Side::new(client, keys.as_ref(), set_up.client_iv);
    let mut server = Side::new(&server[ServerStart::LENGTH..], keys.as_ref(), start.server_iv);
    let since = ServerStart::read_start_time(&mut server.from).expect("there");
    ServerStart::put_start_time(&mut server.again, since);
    server.check();
    let mut heard = Heard { granted: Vec::new(), records: Vec::new(), keys };
    while !client.is_over() {
        let request = Request::read(&mut client.from, &LIMITS).expect("sound").expect("there");
        request.put(&mut client.again);
        client.check();
        answered(request, &mut server, &mut heard);
    }
    assert!(server.is_over(), "all was read");
    heard
}

fn answered(request: Request, server: &mut Side<'_>, heard: &mut Heard) {
    match request {
        Request::Session(request) => {
            let answer = AcceptSession::read(&mut server.from).expect("sound");
            assert_eq!(answer.accept, Accept::Yes);
            answer.put(&mut server.again);
            heard.granted.push(Granted { request: *request, answer });
        }
        Request::Start => {
            let answer = StartAck::read(&mut server.from).expect("sound");
            assert_eq!(answer.accept, Accept::Yes);
            answer.put(&mut server.again);
        }
        Request::Stop(theirs) => {
            let ours = StopSessions::read(&mut server.from, &LIMITS).expect("sound");
            ours.put(&mut server.again);
            let ends = theirs.ends.iter().chain(&ours.ends);
            ends.for_each(|end| assert!(heard.granted.iter().any(|it| it.sid() == end.sid)));
        }
        Request::Fetch(fetch) => fetched(fetch, server, heard),
    }
    server.check();
}

fn fetched(fetch: FetchSession, server: &mut Side<'_>, heard: &mut Heard) {
    assert_eq!(fetch, FetchSession::whole(fetch.sid));
    let ack = FetchAck::read(&mut server.from).expect("sound");
    ack.put(&mut server.again);
    assert_eq!((ack.accept, ack.finished), (Accept::Yes, Finished::Well));
    if server.is_over() {
        // This capture ends here.
        return;
    }
    let fetched = Fetched::read(&ack, &mut server.from, &LIMITS).expect("sound");
    fetched.put(&mut server.again);
    let asked = heard.granted.iter().find(|granted| granted.sid() == fetch.sid).expect("ours");
    assert_eq!(fetched.session.sid, fetch.sid);
    assert_eq!(fetched.session.slots, asked.request.slots);
    let mut records = Vec::new();
    Fetched::read_records(&ack, &mut server.from, |record| records.push(record)).expect("sound");
    for record in &records {
        Fetched::put_record(&record.to_bytes(), &mut server.again);
    }
    Fetched::put_end(&mut server.again);
    heard.records.extend(records);
}

/// Every packet of a session opens, is sealed again the same, and left when the schedule of its identifier says.
fn check_packets(trace: &Trace, granted: &Granted, mode: Mode, keys: Option<&SessionKeys>) {
    let key = PacketKey::of_session(mode, keys, &granted.sid()).expect("keys");
    let mine = trace.packets.iter().filter(|(ports, _)| *ports == granted.ports());
    let packets: Vec<&Vec<u8>> = mine.map(|(_, bytes)| bytes).collect();
    assert_eq!(packets.len(), granted.request.packets as usize);
    let schedule = Schedule::new(&granted.sid(), &granted.request.slots);
    for (bytes, (seq, offset)) in packets.into_iter().zip((0..).zip(schedule)) {
        let packet = key.open(bytes).expect("authentic");
        assert_eq!(packet.seq, seq);
        let due = NtpTime(granted.request.start.0.wrapping_add(offset));
        let late = packet.sent.nanos_since(due);
        assert!((0..20_000_000).contains(&late), "packet {seq} left {late} ns after its time");
        let mut again = vec![0xff; bytes.len()];
        key.seal(packet.seq, packet.sent, packet.error, &mut again).expect("room");
        assert_eq!(&again, bytes);
    }
}

#[test]
fn an_open_conversation_is_read_and_written_again_and_its_records_are_those_that_were_printed() {
    let trace = trace("open-to-raw.pcap", 8861);
    let heard = follow(&trace, Mode::Open);
    assert_eq!(heard.granted.len(), 1);
    heard.granted.iter().for_each(|granted| check_packets(&trace, granted, Mode::Open, None));
    let printed = String::from_utf8(capture("open-to-raw.txt")).expect("text");
    let printed: Vec<String> = printed
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|words| words.len() == 8)
        .map(|words| format!("{} {} {} {}", words[0], words[1], words[4], words[7]))
        .collect();
    // The client has received them itself, and nothing is fetched: what it printed is what left.
    assert!(heard.records.is_empty());
    assert_eq!(printed.len(), trace.packets.len());
    for ((_, bytes), line) in trace.packets.iter().zip(printed) {
        let packet = PacketKey::Open.open(bytes).expect("sound");
        assert!(line.starts_with(&format!("{} {} ", packet.seq, packet.sent.0)), "{line}");
    }
}

#[test]
fn an_open_conversation_both_ways_is_read_and_written_again() {
    let trace = trace("open-both.pcap", 8861);
    let heard = follow(&trace, Mode::Open);
    assert_eq!(heard.granted.len(), 2);
    heard.granted.iter().for_each(|granted| check_packets(&trace, granted, Mode::Open, None));
}

#[test]
fn two_way_packets_are_answered_octet_by_octet_as_the_reference_answers_them() {
    let trace = trace("twamp-open.pcap", 8862);
    assert_eq!(trace.packets.len(), 20);
    for pair in trace.packets.chunks(2) {
        let [(_, asked), (_, answered)] = pair else { panic!("a packet without an answer") };
        let read = Answer::read(answered).expect("an answer");
        assert_eq!(Some(read.number), owamp::stamp::packet::number(asked));
        assert_eq!((read.of, read.ttl), (read.number, 255));
        let mut ours = asked.clone();
        answer(&mut ours, read.number, read.came, read.ttl).expect("long enough");
        stamp(&mut ours, read.sent, read.error.expect("told")).expect("long enough");
        assert_eq!(&ours, answered);
        assert!(is_answer(answered) && !is_answer(asked));
    }
}

#[test]
fn what_fuzzing_begins_with_is_of_the_traces() {
    let open = trace("open-both.pcap", 8861);
    assert_eq!(capture("open-both.client"), open.client);
    assert_eq!(capture("open-both.server"), open.server);
    assert_eq!(capture("open-both.packet"), open.packets[0].1);
    let two_way = trace("twamp-open.pcap", 8862);
    assert_eq!(capture("twamp-open.packet"), two_way.packets[0].1);
    assert_eq!(capture("twamp-open.answer"), two_way.packets[1].1);
    // These were decrypted.
    let requests = capture("auth-both.requests");
    let mut from = Inbound::open(&requests[..]);
    while Request::read(&mut from, &LIMITS).expect("sound").is_some() {}
    let fetched = capture("auth-both.fetched");
    assert_eq!(FetchAck::read(&mut Inbound::open(&fetched[..])).expect("sound").records, 5);
}

#[test]
fn sealed_conversations_are_opened_and_sealed_again() {
    for (name, mode) in
        [("auth-both.pcap", Mode::Authenticated), ("enc-both.pcap", Mode::Encrypted)]
    {
        let trace = trace(name, 8861);
        let heard = follow(&trace, mode);
        assert_eq!(heard.granted.len(), 2);
        for granted in &heard.granted {
            check_packets(&trace, granted, mode, heard.keys.as_ref());
        }
        if !heard.records.is_empty() {
            let numbers: Vec<u32> = heard.records.iter().map(|record| record.seq).collect();
            assert_eq!(numbers, [0, 1, 2, 3, 4]);
            assert!(heard.records.iter().all(|record| record.received > Some(record.sent)));
        }
    }
}

#[test]
fn a_greeting_to_a_client_without_the_passphrase_and_the_greeting_of_a_two_way_server_are_read() {
    for (name, port, modes) in [("auth-baduser.pcap", 8861, 7), ("twamp-open.pcap", 8862, 15)] {
        let trace = trace(name, port);
        let bytes = trace.server.first_chunk().expect("a greeting");
        let greeting = ServerGreeting::from_bytes(bytes);
        assert_eq!((greeting.modes, &greeting.to_bytes()), (Modes(modes), bytes));
    }
}

#[test]
fn a_sealed_conversation_that_is_changed_or_cut_anywhere_is_refused() {
    let trace = trace("auth-both.pcap", 8861);
    let (set_up, keys) = set_up(&trace, Mode::Authenticated);
    let keys = keys.expect("sealed");
    let whole = &trace.client[SetUpResponse::LENGTH..];
    let read = |bytes: &[u8]| {
        let mut from = Inbound::sealed(bytes, &keys, &set_up.client_iv);
        let mut requests = 0;
        loop {
            match Request::read(&mut from, &LIMITS) {
                Ok(Some(_)) => requests += 1,
                Ok(None) => return Ok(requests),
                Err(failed) => return Err(failed.to_string()),
            }
        }
    };
    let all = read(whole).expect("as it was");
    for at in 0..whole.len() {
        let mut changed = whole.to_vec();
        changed[at] ^= 0x10;
        assert!(read(&changed).is_err(), "octet {at}");
        assert!(read(&whole[..at]).map_or(true, |requests| requests < all), "cut at {at}");
    }
    // A replay of the same messages behind them fits no longer.
    assert!(read(&[whole, whole].concat()).is_err());
}
