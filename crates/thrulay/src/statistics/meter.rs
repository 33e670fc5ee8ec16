//! The streams of a TCP test: what had come of each, and how long blocks and their records were on the way.

use super::{RoundTrips, Spread};

/// A stretch of one stream, or of all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its number from 0; none for all streams together.
    pub stream: Option<u16>,
    /// Nanoseconds after the test's begin.
    pub begin: u64,
    /// Nanoseconds after the test's begin.
    pub end: u64,
    /// Octets that the server had by then, as far as its records have come.
    pub octets: u64,
    /// Of records that came; none if none did.
    pub rtt: Option<RoundTrips>,
}

impl Row {
    /// Bits a second; 0 of no time.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
    pub fn bits_per_s(&self) -> f64 {
        let nanos = self.end.saturating_sub(self.begin);
        if nanos == 0 { 0.0 } else { self.octets as f64 * 8e9 / nanos as f64 }
    }
}

#[derive(Debug, Default)]
struct Stream {
    received: u64,
    /// What `received` was when the last row ended.
    told: u64,
    now: Spread,
    whole: Spread,
}

/// All streams of a test.
#[derive(Debug)]
pub struct Meter {
    streams: Vec<Stream>,
    /// Where the last rows ended.
    told: u64,
}

impl Meter {
    /// Of so many streams.
    #[must_use]
    pub fn of(streams: u16) -> Self {
        Self { streams: (0..streams).map(|_| Stream::default()).collect(), told: 0 }
    }

    /// A record came of this stream: its block had been sent `rtt` nanoseconds ago, and the server has `received`
    /// octets of it.
    pub fn note(&mut self, stream: usize, rtt: u64, received: u64) {
        let Some(stream) = self.streams.get_mut(stream) else { return };
        stream.now.note(rtt);
        stream.received = stream.received.max(received);
    }

    /// Octets of a stream.
    #[must_use]
    pub fn received_of(&self, stream: usize) -> u64 {
        self.streams.get(stream).map_or(0, |stream| stream.received)
    }

    /// Octets of all streams.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.streams.iter().fold(0, |sum, stream| sum.saturating_add(stream.received))
    }

    /// Ends an interval `end` nanoseconds after the begin: a row of each stream.
    pub fn rows(&mut self, end: u64) -> Vec<Row> {
        let begin = std::mem::replace(&mut self.told, end);
        let row = |(number, stream): (u16, &mut Stream)| {
            let octets = stream.received - stream.told;
            stream.told = stream.received;
            let rtt = stream.now.figures();
            stream.settle();
            Row { stream: Some(number), begin, end, octets, rtt }
        };
        (0..).zip(&mut self.streams).map(row).collect()
    }

    /// The whole test up to `end`: a row of each stream, and one of all together.
    pub fn totals(&mut self, end: u64) -> (Vec<Row>, Row) {
        let mut all = Spread::default();
        let row = |(number, stream): (u16, &mut Stream)| {
            stream.settle();
            all.add(&stream.whole);
            let (octets, rtt) = (stream.received, stream.whole.figures());
            Row { stream: Some(number), begin: 0, end, octets, rtt }
        };
        let rows: Vec<Row> = (0..).zip(&mut self.streams).map(row).collect();
        let octets = self.received();
        (rows, Row { stream: None, begin: 0, end, octets, rtt: all.figures() })
    }
}

impl Stream {
    fn settle(&mut self) {
        self.whole.add(&self.now);
        self.now.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn rows_are_of_their_interval_and_totals_of_all() {
        let mut meter = Meter::of(2);
        meter.note(0, 10, 1_000);
        meter.note(1, 30, 500);
        let rows = meter.rows(S);
        assert_eq!(rows.iter().map(|row| row.octets).collect::<Vec<_>>(), [1_000, 500]);
        meter.note(0, 20, 3_000);
        let rows = meter.rows(2 * S);
        assert_eq!((rows[0].begin, rows[0].end, rows[0].octets), (S, 2 * S, 2_000));
        assert_eq!(rows[0].rtt.map(|it| (it.count, it.median)), Some((1, 20)));
        assert_eq!((rows[1].octets, rows[1].rtt), (0, None), "nothing came of it");
        meter.note(1, 50, 700);
        let (streams, all) = meter.totals(2 * S);
        assert_eq!((streams[0].octets, streams[1].octets, all.octets), (3_000, 700, 3_700));
        assert_eq!(all.rtt.map(|it| (it.count, it.min, it.max)), Some((4, 10, 50)));
        assert!((all.bits_per_s() - 14_800.0).abs() < 1e-6);
    }
}
