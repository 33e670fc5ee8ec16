//! From streams side by side to what went one way.
//!
//! A tool tells each stream by itself and, where there are several, all of them together. The printed
//! sum is taken where it can stand for the whole; else the sum follows from the streams.

use crate::{
    Direction,
    statistics::real,
    text::quote,
    throughput::{Flow, Interval, RoundTrip},
};

/// Streams that are kept: the tools allow 128 and a few.
pub(crate) const MOST_STREAMS: usize = 1000;
/// Intervals that are kept, over all streams.
pub(crate) const MOST_INTERVALS: usize = 100_000;
/// Warnings that are kept.
const MOST_WARNINGS: usize = 16;
/// An interval that is shorter than this share of the first one is a rest at the end.
const WHOLE_INTERVAL: f64 = 0.9;
/// A receiver that measured this many times longer than the sender sent, and a second, measured
/// something else too.
const LONGEST_RECEIVING: f64 = 2.0;

/// What a tool warned of, and what was found to be wrong with its figures.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<String>);

impl Warnings {
    pub(crate) fn note(&mut self, said: &str) {
        if self.0.len() < MOST_WARNINGS {
            self.0.push(quote(said));
        }
    }

    pub(crate) fn into_vec(self) -> Vec<String> {
        self.0
    }
}

/// What was told of one stream, or of all together.
#[derive(Debug, Default)]
pub(crate) struct Track {
    pub(crate) parts: Vec<Interval>,
    pub(crate) sent: Option<Interval>,
    pub(crate) received: Option<Interval>,
    /// Round-trip time of the handshake, microseconds.
    pub(crate) handshake_us: Option<u64>,
}

impl Track {
    /// Which of the totals is the tool's own count.
    pub(crate) fn own(&mut self, direction: Direction) -> &mut Option<Interval> {
        match direction {
            Direction::To => &mut self.sent,
            Direction::From => &mut self.received,
        }
    }

    /// Takes a stretch: one that goes back to the begin, after others, is the whole.
    pub(crate) fn take(&mut self, interval: Interval, direction: Direction, room: &mut usize) {
        if interval.start_s == 0.0 && !self.parts.is_empty() {
            *self.own(direction) = Some(interval);
        } else if *room > 0 {
            *room -= 1;
            self.parts.push(interval);
        }
    }

    /// Where the only stretch is the whole: without intervals nothing else is printed.
    pub(crate) fn promote_only_part(&mut self, direction: Direction) {
        let only = self.parts.len() == 1 && self.parts.iter().all(|part| part.start_s == 0.0);
        if only && self.own(direction).is_none() {
            *self.own(direction) = self.parts.pop();
        }
    }
}

/// What went one way, given its streams and what was printed of them together.
pub(crate) fn assemble(
    direction: Direction,
    tracks: &mut [Track],
    sum: Option<&mut Track>,
    warnings: &mut Warnings,
) -> Flow {
    let streams = u32::try_from(tracks.len()).unwrap_or(u32::MAX);
    let printed = sum.as_deref();
    let mut total = |of: fn(&Track) -> Option<&Interval>| total(tracks, printed, of, warnings);
    let sent = total(|track| track.sent.as_ref());
    let received = total(|track| track.received.as_ref());
    let mut flow = Flow { streams, sent, received, ..Flow::new(direction) };
    flow.rtt = round_trip(tracks);
    flow.intervals = intervals(tracks, sum);
    if tracks.len() > 1 {
        let side = |track: &Track| {
            if flow.received.is_some() { track.received.clone() } else { track.sent.clone() }
        };
        flow.by_stream = tracks.iter().filter_map(side).collect();
    }
    flow.doubt_long_receiving(warnings);
    flow.conclude();
    flow
}

impl Flow {
    /// Derives the rates from the intervals and the totals.
    pub(crate) fn conclude(&mut self) {
        let usual = self.intervals.first().map_or(0.0, Interval::time_s);
        let whole = |part: &&Interval| part.time_s() >= usual * WHOLE_INTERVAL;
        let rates = || self.intervals.iter().filter(whole).filter_map(|part| part.bits_per_s);
        (self.thrumin_bps, self.thrumax_bps) = (rates().reduce(f64::min), rates().reduce(f64::max));
        self.thruavg_bps = self.whole().and_then(|whole| whole.bits_per_s);
    }

    /// What was handed to the system is not what went through: over UDP, or after a connection broke.
    pub(crate) fn distrust_sender(&mut self) {
        if self.direction == Direction::To {
            (self.thrumin_bps, self.thrumax_bps) = (None, None);
        }
        self.thruavg_bps = self.received.as_ref().and_then(|received| received.bits_per_s);
    }

    /// A server of iperf 2 may go on counting time long after the last datagram. How much arrived and
    /// was lost stands, but not how fast.
    fn doubt_long_receiving(&mut self, warnings: &mut Warnings) {
        let Some((sent, received)) = self.sent.as_ref().zip(self.received.as_mut()) else { return };
        if received.time_s() > sent.time_s() * LONGEST_RECEIVING + 1.0 {
            let (sent_s, received_s) = (sent.time_s(), received.time_s());
            warnings.note(&format!("sent in {sent_s} s, received in {received_s} s: no rate"));
            received.bits_per_s = None;
        }
    }
}

impl Interval {
    pub(crate) fn time_s(&self) -> f64 {
        self.end_s - self.start_s
    }
}

/// The whole of all streams: as printed, if it lasts as long as they do, else of the streams.
fn total(
    tracks: &[Track],
    sum: Option<&Track>,
    of: impl Fn(&Track) -> Option<&Interval>,
    warnings: &mut Warnings,
) -> Option<Interval> {
    let totals: Vec<&Interval> = tracks.iter().filter_map(&of).collect();
    let printed = sum.and_then(&of);
    if totals.is_empty() {
        return printed.cloned();
    }
    let merged = (totals.len() == tracks.len()).then(|| merge(&totals))??;
    match printed {
        Some(printed) if printed.end_s < merged.end_s && printed.bits_per_s.is_some() => {
            let (early, end) = (printed.end_s, merged.end_s);
            warnings.note(&format!("the printed sum ends at {early} s, its streams at {end} s"));
            Some(merged)
        }
        Some(printed) => Some(with_datagrams(printed, &merged)),
        None => Some(merged),
    }
}

/// The printed sum does not always tell of datagrams.
fn with_datagrams(printed: &Interval, merged: &Interval) -> Interval {
    // What was lost belongs to what was sent: both are of one place.
    let counted = if printed.datagrams.is_some() { printed } else { merged };
    Interval {
        lost: counted.lost,
        datagrams: counted.datagrams,
        reordered: printed.reordered.or(merged.reordered),
        ..printed.clone()
    }
}

/// Several streams as one; what is unknown of any is unknown of all.
fn merge(parts: &[&Interval]) -> Option<Interval> {
    if let [only] = parts {
        return Some((*only).clone());
    }
    let start_s = parts.iter().map(|part| part.start_s).reduce(f64::min)?;
    let end_s = parts.iter().map(|part| part.end_s).reduce(f64::max)?;
    let sum = |of: fn(&Interval) -> Option<u64>| {
        parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(of(part)?))
    };
    let bytes = sum(|part| part.bytes);
    let time_s = end_s - start_s;
    let rate = |bytes| (time_s > 0.0).then(|| real(bytes) * 8.0 / time_s);
    Some(Interval {
        start_s,
        end_s,
        bytes,
        bits_per_s: bytes.and_then(rate),
        retransmits: sum(|part| part.retransmits),
        lost: sum(|part| part.lost),
        datagrams: sum(|part| part.datagrams),
        reordered: sum(|part| part.reordered),
        ..Interval::default()
    })
}

/// The parts of all streams together: as printed, or the sum where each stream has its part.
fn intervals(tracks: &mut [Track], sum: Option<&mut Track>) -> Vec<Interval> {
    match (tracks, sum) {
        (_, Some(sum)) if !sum.parts.is_empty() => std::mem::take(&mut sum.parts),
        ([only], _) => std::mem::take(&mut only.parts),
        (tracks, _) => merged_intervals(tracks),
    }
}

fn merged_intervals(tracks: &[Track]) -> Vec<Interval> {
    let mut parts: Vec<&Interval> = tracks.iter().flat_map(|track| &track.parts).collect();
    parts.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    parts
        .chunk_by(|a, b| a.start_s.total_cmp(&b.start_s).is_eq())
        .filter(|together| together.len() == tracks.len())
        .filter_map(merge)
        .collect()
}

/// The smallest and largest of all that was seen, and the mean of the parts, or as printed for the
/// whole. The time of the handshake, before there was a load, counts only towards the smallest.
fn round_trip(tracks: &[Track]) -> Option<RoundTrip> {
    let totals =
        || tracks.iter().filter_map(|track| track.sent.as_ref().or(track.received.as_ref())?.rtt);
    let parts = || tracks.iter().flat_map(|track| &track.parts).filter_map(|part| part.rtt);
    let samples = || totals().chain(parts());
    let smallest = samples().filter_map(|rtt| rtt.min_us.or(rtt.avg_us));
    let handshakes = tracks.iter().filter_map(|track| track.handshake_us);
    let rtt = RoundTrip {
        min_us: smallest.chain(handshakes).min(),
        avg_us: mean(parts().filter_map(|rtt| rtt.avg_us))
            .or_else(|| mean(totals().filter_map(|rtt| rtt.avg_us))),
        max_us: samples().filter_map(|rtt| rtt.max_us.or(rtt.avg_us)).max(),
    };
    (rtt != RoundTrip::default()).then_some(rtt)
}

/// The mean, a whole number as the values are.
pub(crate) fn mean(values: impl Iterator<Item = u64>) -> Option<u64> {
    let (sum, count) =
        values.fold((0_u64, 0), |(sum, count), value| (sum.saturating_add(value), count + 1));
    sum.checked_div(count)
}
