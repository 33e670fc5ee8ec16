//! What holds of everything that comes over the network: it is read as a message and written again as what was read,
//! or refused with a reason. The fuzzing targets check the same.

use owamp::{
    protocol::{
        AcceptSession, Failed, FetchAck, Fetched, Inbound, Limits, Outbound, PacketKey, Record,
        Request, ServerGreeting, ServerStart, SessionKeys, SetUpResponse, Sid, StartAck,
        StopSessions,
    },
    stamp::packet::{Answer, SHORTEST, answer, is_answer, number, stamp},
};

const LIMITS: Limits = Limits { slots: 16, sessions: 8, skips: 32 };

/// Gives the octets to the readers of `what`, and panics if one breaks its promise.
pub(crate) fn check(what: &str, octets: &[u8]) {
    match what {
        "owamp-setup" => setup(octets),
        "owamp-request" => requests(octets),
        "owamp-answer" => answers(octets),
        "owamp-packet" => packets(octets),
        "stamp-packet" => reflected(octets),
        other => panic!("there is no target {other}"),
    }
}

/// The messages of fixed length that come before the streams.
fn setup(octets: &[u8]) {
    if let Some(bytes) = octets.first_chunk() {
        let greeting = ServerGreeting::from_bytes(bytes);
        assert_eq!(ServerGreeting::from_bytes(&greeting.to_bytes()), greeting);
        let _ = greeting.derivation();
    }
    if let Some(Ok(response)) = octets.first_chunk().map(SetUpResponse::from_bytes) {
        assert_eq!(SetUpResponse::from_bytes(&response.to_bytes()), Ok(response));
        let _ = response.key_id.name();
    }
    if let Some(bytes) = octets.first_chunk() {
        let start = ServerStart::from_bytes(bytes);
        assert_eq!(ServerStart::from_bytes(&start.to_bytes()), start);
    }
}

/// What was read, if it was, and how many octets of it.
fn read<T>(
    octets: &[u8],
    read: impl FnOnce(&mut Inbound<&[u8]>) -> Result<T, Failed>,
) -> Option<T> {
    let mut from = Inbound::open(octets);
    match read(&mut from) {
        Ok(it) => Some(it),
        Err(failed) => {
            assert!(!failed.to_string().is_empty());
            None
        }
    }
}

/// What is written of a message.
fn written(put: impl FnOnce(&mut Outbound)) -> Vec<u8> {
    let mut to = Outbound::open();
    put(&mut to);
    let octets = to.take();
    assert_eq!(octets.len() % 16, 0, "whole blocks");
    octets
}

/// What a client sends, message after message.
fn requests(octets: &[u8]) {
    let mut from = Inbound::open(octets);
    while let Ok(Some(request)) = Request::read(&mut from, &LIMITS) {
        let again = written(|to| request.put(to));
        let back = read(&again, |from| Request::read(from, &LIMITS));
        assert_eq!(back, Some(Some(request)));
    }
}

/// What a server answers. The first octet chooses the message.
fn answers(octets: &[u8]) {
    let Some((kind, octets)) = octets.split_first() else { return };
    match kind % 4 {
        0 => same(octets, granted, AcceptSession::put),
        1 => same(octets, started, StartAck::put),
        2 => same(octets, |from| StopSessions::read(from, &LIMITS), StopSessions::put),
        _ => same(octets, fetched, put_fetched),
    }
}

fn granted(from: &mut Inbound<&[u8]>) -> Result<AcceptSession, Failed> {
    AcceptSession::read(from)
}

fn started(from: &mut Inbound<&[u8]>) -> Result<StartAck, Failed> {
    StartAck::read(from)
}

fn same<T: PartialEq + std::fmt::Debug>(
    octets: &[u8],
    reader: impl Fn(&mut Inbound<&[u8]>) -> Result<T, Failed>,
    put: impl Fn(&T, &mut Outbound),
) {
    let Some(message) = read(octets, &reader) else { return };
    let again = written(|to| put(&message, to));
    assert_eq!(read(&again, &reader), Some(message));
}

type Whole = (FetchAck, Option<(Fetched, Vec<Record>)>);

fn fetched(from: &mut Inbound<&[u8]>) -> Result<Whole, Failed> {
    let ack = FetchAck::read(from)?;
    if u8::from(ack.accept) != 0 {
        return Ok((ack, None));
    }
    let fetched = Fetched::read(&ack, from, &LIMITS)?;
    let mut records = Vec::new();
    Fetched::read_records(&ack, from, |record| records.push(record))?;
    assert_eq!(records.len(), ack.records as usize);
    Ok((ack, Some((fetched, records))))
}

fn put_fetched((ack, rest): &Whole, to: &mut Outbound) {
    ack.put(to);
    let Some((fetched, records)) = rest else { return };
    fetched.put(to);
    for record in records {
        Fetched::put_record(&record.to_bytes(), to);
    }
    Fetched::put_end(to);
}

/// Test packets, in all modes.
fn packets(octets: &[u8]) {
    let keys = SessionKeys::new([7; 48]).of_session(&Sid([9; 16]));
    let sealed =
        [PacketKey::Authenticated(Box::new(keys.clone())), PacketKey::Encrypted(Box::new(keys))];
    for key in &sealed {
        assert!(key.open(octets).is_err(), "nobody has this key");
    }
    let Ok(packet) = PacketKey::Open.open(octets) else { return };
    for key in sealed.into_iter().chain([PacketKey::Open]) {
        let mut again = vec![0; PacketKey::shortest(key.mode())];
        key.seal(packet.seq, packet.sent, packet.error, &mut again).expect("room");
        assert_eq!(key.open(&again), Ok(packet));
    }
}

/// Test packets of STAMP: what comes gets an answer of its own length that says what it said, or none.
fn reflected(octets: &[u8]) {
    let _ = is_answer(octets);
    let mut packet = octets.to_vec();
    let read = Answer::read(octets);
    let time = read.map_or_else(Default::default, |it| it.came);
    let is_answered = answer(&mut packet, 7, time, 64).is_some();
    assert_eq!((packet.len(), is_answered), (octets.len(), octets.len() >= SHORTEST));
    if !is_answered {
        assert!(packet == octets && read.is_none());
        return;
    }
    if let Some(error) = read.and_then(|it| it.error) {
        stamp(&mut packet, time, error).expect("long enough");
        assert!(is_answer(&packet) || time.0 >> 32 == 0 || error.z, "it would be answered again");
    }
    let again = Answer::read(&packet).expect("long enough");
    assert_eq!((again.number, Some(again.of), again.ttl), (7, number(octets), 64));
}
