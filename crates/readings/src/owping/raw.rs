//! Raw records (`-R`): number, time of sending, whether that clock is synchronised and its error, the same
//! for the time of arrival, and the TTL. Times are seconds since 1900 in fixed point, 32.32 bits, written as a
//! decimal number; an arrival at 0 is that of a lost packet.
//!
//! The records of the second session follow on those of the first without a mark. But each packet of a
//! session is there, received or lost, and one that came twice was sent once: so a number that was there
//! before, with another time of sending, begins the second session. (Both are of as many packets. Were the
//! second longer, and did it begin with a number that the first does not have, that record would be taken for
//! one of the first.) Order is not relied upon: arrivals are sorted by their time.

use std::collections::{HashMap, HashSet};

use crate::{
    Direction, End, Unreadable,
    oneway::{Packet, Session},
    statistics::{count, percentile, real},
    text::{self, Line, integer},
};

use super::{Draft, direction::Ends, machine::TTL_SENT};

/// Records of a session.
const MOST_RECORDS: usize = 200_000;

/// Whether the line is a record.
pub(super) fn is_record(said: &str) -> bool {
    said.as_bytes().first().is_some_and(u8::is_ascii_digit) && Record::parse(said).is_some()
}

struct Record {
    seq: u64,
    sent: u64,
    /// 0 if it was lost.
    received: u64,
    synchronised: bool,
    /// Of both clocks, seconds.
    error_s: f64,
    ttl: u8,
}

impl Record {
    fn parse(said: &str) -> Option<Self> {
        let mut words = said.split_ascii_whitespace();
        let mut next = || words.next();
        let (seq, sent) = (integer(next()?)?, integer(next()?)?);
        let (from_synchronised, from_error) = (integer::<u8>(next()?)?, text::real(next()?)?);
        let received = integer(next()?)?;
        let (to_synchronised, to_error) = (integer::<u8>(next()?)?, text::real(next()?)?);
        let ttl = integer(next()?)?;
        let synchronised = from_synchronised != 0 && to_synchronised != 0;
        let error_s = from_error + to_error;
        next().is_none().then_some(Self { seq, sent, received, synchronised, error_s, ttl })
    }

    /// Time of arrival less time of sending, nanoseconds, to the nearest.
    fn delay_ns(&self) -> Option<i64> {
        let difference = i128::from(self.received) - i128::from(self.sent);
        let nanoseconds = (difference * 1_000_000_000 + (1 << 31)) >> 32;
        i64::try_from(nanoseconds).ok().filter(|_| self.received > 0)
    }
}

/// The records of a run.
#[derive(Default)]
pub(super) struct Records {
    sessions: Vec<Stream>,
    broken_off: bool,
}

/// The records of a session.
#[derive(Default)]
struct Stream {
    records: Vec<Record>,
    /// When each number was sent.
    sent: HashMap<u64, u64>,
}

impl Records {
    pub(super) fn take(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        let record = Record::parse(said).ok_or_else(|| line.wrong("a record of owping", said))?;
        let begins = self.sessions.last().is_none_or(|stream| !stream.holds(&record));
        if begins {
            self.sessions.push(Stream::default());
        }
        if self.sessions.len() > 2 {
            return Err(line.wrong("at most two sessions", said));
        }
        if let Some(stream) = self.sessions.last_mut() {
            stream.sent.insert(record.seq, record.sent);
            stream.records.push(record);
            if stream.records.len() > MOST_RECORDS {
                return Err(line.wrong("at most 200000 records", said));
            }
        }
        Ok(())
    }

    /// That the last line breaks off.
    pub(super) fn break_off(&mut self) {
        self.broken_off = true;
    }

    /// The sessions. The last of a run that was ended may lack records.
    pub(super) fn drafts(self, end: End) -> Vec<Draft> {
        let whole = matches!(end, End::Exited(_)) && !self.broken_off;
        let number = self.sessions.len();
        let streams = self.sessions.into_iter().enumerate();
        let draft = |(place, stream): (usize, Stream)| {
            let ended = whole || place + 1 < number;
            let session = stream.session(ended);
            Draft { session, second: place > 0, ended, ..Draft::of(Ends::default()) }
        };
        streams.map(draft).collect()
    }
}

impl Stream {
    /// Whether the record may be of this session.
    fn holds(&self, record: &Record) -> bool {
        self.sent.get(&record.seq).is_none_or(|sent| *sent == record.sent)
    }

    fn session(&self, ended: bool) -> Session {
        let mut session = Session::new(Direction::To);
        session.packets = self.records.iter().map(Packet::of).collect();
        let arrivals = Arrivals::of(&self.records);
        session.duplicates = Some(arrivals.duplicates);
        session.reordered = Some(arrivals.reordered);
        if ended {
            let sent = count(self.sent.len());
            session.sent = Some(sent);
            session.lost = sent.checked_sub(count(arrivals.delays.len()));
        }
        session.hops = arrivals.hops;
        session.synchronised = (!arrivals.delays.is_empty()).then_some(arrivals.synchronised);
        session.error_ms = arrivals.error_s.map(|error| error * 1e3);
        session.with_delays(arrivals.delays)
    }
}

impl Packet {
    fn of(record: &Record) -> Self {
        let ttl = (record.received > 0).then_some(record.ttl);
        Self { seq: record.seq, delay_ns: record.delay_ns(), ttl }
    }
}

impl Session {
    /// The statistics of the delays of the packets that came, as the module `statistics` defines them.
    fn with_delays(mut self, mut delays: Vec<i64>) -> Self {
        delays.sort_unstable();
        let ms = |delay: Option<i64>| delay.map(milliseconds);
        self.min_ms = ms(delays.first().copied());
        self.max_ms = ms(delays.last().copied());
        let at = |percent| self.lost.and_then(|lost| percentile(&delays, lost, percent));
        let (median, p95) = (at(50), at(95));
        self.median_ms = ms(median);
        self.p95_less_p50_ms = ms(p95.zip(median).map(|(p95, median)| p95.saturating_sub(median)));
        let over_least = |delay: Option<i64>| ms(Some(delay?.saturating_sub(*delays.first()?)));
        let detail = &mut self.detail;
        (detail.p95_ms, detail.p99_ms) = (ms(p95), ms(at(99)));
        (detail.pdv_p95_ms, detail.pdv_p99_ms) = (over_least(p95), over_least(at(99)));
        detail.negative = Some(count(delays.partition_point(|delay| *delay < 0)));
        self
    }
}

/// What follows from the packets that came.
#[derive(Default)]
struct Arrivals {
    /// Of each packet's first arrival, nanoseconds.
    delays: Vec<i64>,
    duplicates: u64,
    reordered: u64,
    hops: Option<(u8, u8)>,
    synchronised: bool,
    error_s: Option<f64>,
}

impl Arrivals {
    fn of(records: &[Record]) -> Self {
        let mut came: Vec<&Record> = records.iter().filter(|record| record.received > 0).collect();
        came.sort_by_key(|record| record.received);
        let mut first = HashSet::new();
        let mut arrivals = Self { synchronised: true, ..Self::default() };
        let mut next = 0;
        for record in came {
            if !first.insert(record.seq) {
                arrivals.duplicates += 1;
                continue;
            }
            arrivals.reordered += u64::from(record.seq < next);
            next = next.max(record.seq);
            arrivals.note(record);
        }
        arrivals
    }

    fn note(&mut self, record: &Record) {
        self.delays.extend(record.delay_ns());
        let hops = TTL_SENT - record.ttl;
        let (least, most) = self.hops.unwrap_or((hops, hops));
        self.hops = Some((least.min(hops), most.max(hops)));
        self.synchronised &= record.synchronised;
        self.error_s = Some(self.error_s.unwrap_or(0.0).max(record.error_s));
    }
}

pub(super) fn milliseconds(nanoseconds: i64) -> f64 {
    let magnitude = real(nanoseconds.unsigned_abs()) / 1e6;
    if nanoseconds < 0 { -magnitude } else { magnitude }
}
