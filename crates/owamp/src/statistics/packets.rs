//! The packets of a session, by their numbers and by their arrivals.

use super::Known;
use crate::protocol::Record;

/// What became of a packet that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// Of its first arrival, or of its loss.
    pub(super) record: &'a Record,
    pub(super) came: bool,
    /// Its further arrivals.
    pub(super) copies: u64,
}

/// The packets of a session.
#[derive(Debug)]
pub(super) struct Packets<'a> {
    /// In the order of their numbers.
    pub(super) all: Vec<Packet<'a>>,
    /// The numbers of all arrivals in their order, with whether it is the packet's first.
    pub(super) arrivals: Vec<(u32, bool)>,
}

/// The packets that records are of. One that came after its time-out is lost, whatever its receiver made of it.
pub(super) fn of<'a>(known: &Known, records: &'a [Record]) -> Packets<'a> {
    let mut places: Vec<usize> = (0..records.len()).collect();
    places.retain(|place| known.has(records[*place].seq));
    // Stable: the records of a packet stay in the order of arrival.
    places.sort_by_key(|place| records[*place].seq);
    let mut is_first: Vec<Option<bool>> = vec![None; records.len()];
    let mut all = Vec::new();
    for group in places.chunk_by(|one, other| records[*one].seq == records[*other].seq) {
        let arrivals = group.iter().filter(|place| is_in_time(&records[**place], known.timeout));
        let first = arrivals.clone().next();
        let copies = super::count(arrivals.clone().skip(1));
        arrivals.for_each(|place| is_first[*place] = Some(Some(place) == first));
        let record = &records[*first.unwrap_or(&group[0])];
        all.push(Packet { record, came: first.is_some(), copies });
    }
    let arrival = |(record, is_first): (&Record, Option<bool>)| Some((record.seq, is_first?));
    Packets { all, arrivals: records.iter().zip(is_first).filter_map(arrival).collect() }
}

/// Whether the record is of a packet that came within the time-out, by the time stamps of both ends.
fn is_in_time(record: &Record, timeout: u64) -> bool {
    record.received.is_some_and(|came| {
        // A packet that came before it was sent came in time.
        let delay = came.0.wrapping_sub(record.sent.0).cast_signed();
        u64::try_from(delay).is_ok_and(|delay| delay <= timeout) || delay < 0
    })
}

impl Packets<'_> {
    /// The packets that came, by number.
    pub(super) fn came(&self) -> impl Iterator<Item = &Record> {
        self.all.iter().filter(|packet| packet.came).map(|packet| packet.record)
    }

    /// The delays of the packets that came, by number, nanoseconds.
    pub(super) fn delays(&self) -> impl Iterator<Item = (u32, i64)> {
        self.came().filter_map(|record| Some((record.seq, delay(record)?)))
    }
}

/// A packet's delay, nanoseconds.
pub(super) fn delay(record: &Record) -> Option<i64> {
    Some(record.received?.nanos_since(record.sent))
}
