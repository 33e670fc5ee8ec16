//! The rows of a test over TCP: ` ( 0)    0.000    1.000   18.347  539.910  409.857`, and its totals,
//! `#( 0)` of a stream and `#(**)` of all.

use crate::{
    Unreadable,
    statistics::whole,
    text::{self, Line, integer, microseconds},
    throughput::{Flow, Interval, RoundTrip},
};

use super::towards_target;

/// Streams that a test may have; the tool itself allows fewer.
pub(super) const MOST_STREAMS: u32 = 1024;
/// Intervals that a reading keeps: a day of seconds.
pub(super) const MOST_INTERVALS: usize = 100_000;
/// Share of the longest interval that another must have for its rate to be compared.
const LONG_ENOUGH: f64 = 0.9;

pub(super) struct Row {
    /// Which stream; none in the total of all.
    pub(super) id: Option<u32>,
    interval: Interval,
}

impl Row {
    pub(super) const fn new(id: Option<u32>, interval: Interval) -> Self {
        Self { id, interval }
    }

    /// Reads the row, from its parenthesis on.
    pub(super) fn of(line: &Line<'_>, said: &str) -> Result<Self, Unreadable> {
        Self::parse(said).ok_or_else(|| line.wrong("a row of thrulay", said))
    }

    fn parse(said: &str) -> Option<Self> {
        let (id, rest) = said.strip_prefix('(')?.split_once(')')?;
        let id = match id.trim() {
            "**" => None,
            id => Some(integer(id).filter(|id| *id < MOST_STREAMS)?),
        };
        let mut words = rest.split_ascii_whitespace();
        let mut number = || words.next().and_then(text::real).filter(|number| *number >= 0.0);
        let (start_s, end_s, bits_per_s) = (number()?, number()?, number()? * 1e6);
        if end_s < start_s {
            return None;
        }
        let rtt = if bits_per_s > 0.0 { Some(round_trip(words)?) } else { None };
        let bytes = whole(bits_per_s * (end_s - start_s) / 8.0);
        let bits_per_s = Some(bits_per_s);
        let interval = Interval { start_s, end_s, bytes, bits_per_s, rtt, ..Interval::default() };
        Some(Self { id, interval })
    }
}

/// Median and quartile range, then with `-v` the smallest, mean and largest, milliseconds.
fn round_trip<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<RoundTrip> {
    let median = microseconds(words.next()?)?;
    words.next()?;
    let Some(min) = words.next() else {
        return Some(RoundTrip { avg_us: Some(median), ..RoundTrip::default() });
    };
    let mut next = || words.next().and_then(microseconds);
    Some(RoundTrip {
        min_us: Some(microseconds(min)?),
        avg_us: Some(next()?),
        max_us: Some(next()?),
    })
}

/// The parts of a test.
#[derive(Default)]
pub(super) struct Rows {
    /// The parts, each with the number of streams that it is the sum of.
    parts: Vec<(Interval, u32)>,
    /// The stream of the row before.
    last: Option<u32>,
    /// The highest number of a stream, plus one.
    streams: u32,
    by_stream: Vec<Interval>,
    whole: Option<Interval>,
}

impl Rows {
    /// Takes a row of a stream. The streams of a part follow one another in the order of their numbers.
    pub(super) fn take(&mut self, id: u32, row: &Row) {
        let begins = self.last.is_none_or(|last| id <= last);
        self.streams = self.streams.max(id + 1);
        self.last = Some(id);
        if begins && self.parts.len() < MOST_INTERVALS {
            self.parts.push((row.interval.clone(), 1));
        } else if !begins && let Some((part, streams)) = self.parts.last_mut() {
            add(part, &row.interval);
            *streams = streams.saturating_add(1);
        }
    }

    /// Takes a total: of a stream, or of all.
    pub(super) fn end(&mut self, row: Row) {
        match row.id {
            None => self.whole = Some(row.interval),
            Some(id) => {
                self.streams = self.streams.max(id + 1);
                if self.by_stream.len() < MOST_STREAMS as usize {
                    self.by_stream.push(row.interval);
                }
            }
        }
    }

    /// The flow, if there is any row, and whether its total is there.
    pub(super) fn flow(self) -> (Option<Flow>, bool) {
        let ended = self.whole.is_some();
        if self.parts.is_empty() && !ended {
            return (None, false);
        }
        let mut flow = towards_target();
        flow.streams = self.streams.max(1);
        // The last part of a run that was ended may lack some of its streams: its sum would be too small.
        let whole_parts = self.parts.into_iter().filter(|(_, streams)| *streams == flow.streams);
        flow.intervals = whole_parts.map(|(part, _)| part).collect();
        flow.by_stream = self.by_stream;
        (flow.thrumin_bps, flow.thrumax_bps) = extremes(&flow.intervals);
        flow.thruavg_bps = self.whole.as_ref().and_then(|whole| whole.bits_per_s);
        flow.rtt = self.whole.as_ref().and_then(|whole| whole.rtt);
        flow.sent = self.whole;
        (Some(flow), ended)
    }
}

/// Adds another stream's part to the same part of the streams before. A median of medians is no figure.
fn add(part: &mut Interval, other: &Interval) {
    part.start_s = part.start_s.min(other.start_s);
    part.end_s = part.end_s.max(other.end_s);
    part.bytes = part.bytes.zip(other.bytes).and_then(|(one, two)| one.checked_add(two));
    part.bits_per_s = part.bits_per_s.zip(other.bits_per_s).map(|(one, two)| one + two);
    let again = part.retransmits.zip(other.retransmits);
    part.retransmits = again.and_then(|(one, two)| one.checked_add(two));
    part.rtt = part.rtt.zip(other.rtt).map(|(one, two)| RoundTrip {
        min_us: one.min_us.zip(two.min_us).map(|(one, two)| one.min(two)),
        avg_us: None,
        max_us: one.max_us.zip(two.max_us).map(|(one, two)| one.max(two)),
    });
}

/// The smallest and largest rate of the intervals that are as long as the others.
fn extremes(intervals: &[Interval]) -> (Option<f64>, Option<f64>) {
    let length = |part: &Interval| part.end_s - part.start_s;
    let longest = intervals.iter().map(length).fold(0.0, f64::max);
    let long = intervals.iter().filter(|part| length(part) >= longest * LONG_ENOUGH);
    let rates = || long.clone().filter_map(|part| part.bits_per_s);
    (rates().reduce(f64::min), rates().reduce(f64::max))
}
