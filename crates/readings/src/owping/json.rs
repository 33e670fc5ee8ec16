//! The JSON of our own owping (`--json`): a document a line, each with sessions, or parts of sessions. docs/owping.md
//! tells every key.

use serde::Deserialize;

use crate::{
    Direction, Output, Unreadable,
    document::{self, Document},
    kept::Kept,
    oneway::{Detail, OneWay, Packet, Percentile, Session},
    problem,
    statistics::real,
    text::{self, bare, quote},
};

use super::{MOST_SESSIONS, direction, raw::milliseconds as millis};

const MOST_PACKETS: usize = 200_000;
const MOST_PERCENTILES: usize = 16;
const MOST_WORDS: usize = 16;

pub(super) fn read(output: &Output<'_>) -> Result<OneWay, Unreadable> {
    let mut reading = OneWay { warnings: problem::warnings(output.stderr), ..OneWay::default() };
    let (mut whole, mut said) = (true, None);
    for run in document::each::<Run>(output) {
        // One that was ended while it wrote leaves half a document.
        let Some(run) = run? else {
            whole = false;
            break;
        };
        run.warnings.0.iter().for_each(|it| problem::warn(&mut reading.warnings, bare(it)));
        whole &= run.problem.is_none() && run.sessions.0.iter().all(|session| session.finished);
        said = said.or(run.problem.as_deref().map(|it| quote(bare(it))));
        for session in run.sessions.0 {
            reading.sessions.push(session.reading()?);
        }
        if reading.sessions.len() > MOST_SESSIONS {
            let reason = format!("expected at most {MOST_SESSIONS} sessions");
            return Err(Unreadable { reason, line: None });
        }
    }
    reading.sessions.sort_by_key(|session| session.direction);
    reading.complete = whole && !reading.sessions.is_empty();
    reading.problem = problem::of_told(output, reading.complete, said.as_deref());
    Ok(reading)
}

#[derive(Deserialize)]
struct Run {
    owping: u32,
    #[serde(default)]
    problem: Option<String>,
    #[serde(default)]
    warnings: Kept<String, MOST_WORDS>,
    #[serde(default)]
    sessions: Kept<Told, { MOST_SESSIONS + 1 }>,
}

impl Document for Run {
    const TOOL: &'static str = "owping";

    fn version(&self) -> u32 {
        self.owping
    }
}

/// A session, as far as it is of use.
#[derive(Deserialize)]
struct Told {
    direction: Direction,
    from: Host,
    to: Host,
    finished: bool,
    sent: u64,
    skipped: u64,
    lost: u64,
    duplicates: u64,
    delay: Delay,
    pdv: Pdv,
    ipdv: Ipdv,
    loss_periods: Losses,
    reordering: Reordering,
    hops: Hops,
    clocks: Clocks,
    sending: Sending,
    own_drops: u64,
    verdicts: Kept<String, MOST_WORDS>,
    #[serde(default)]
    packets: Kept<Line, MOST_PACKETS>,
}

/// Number, when it was sent, delay, TTL, whether the clocks were synchronised, their error.
type Line = (u64, i64, Option<i64>, Option<u8>, u8, f64);

#[derive(Deserialize)]
struct Host {
    host: String,
    address: String,
}

#[derive(Deserialize)]
struct Delay {
    min_ns: Option<i64>,
    median_ns: Option<i64>,
    max_ns: Option<i64>,
    p95_less_p50_ns: Option<i64>,
    negative: u64,
    percentiles: Kept<(f64, Option<i64>), MOST_PERCENTILES>,
}

#[derive(Deserialize)]
struct Pdv {
    p95_ns: Option<i64>,
    p99_ns: Option<i64>,
}

#[derive(Deserialize)]
struct Ipdv {
    abs_mean_ns: Option<f64>,
    abs_p95_ns: Option<i64>,
}

#[derive(Deserialize)]
struct Losses {
    count: u64,
    longest: u64,
}

#[derive(Deserialize)]
struct Reordering {
    reordered: u64,
    extent_max: Option<u64>,
    arrivals: u64,
    n: Kept<u64, 1>,
}

#[derive(Deserialize)]
struct Hops {
    min: Option<u8>,
    max: Option<u8>,
}

#[derive(Deserialize)]
struct Clocks {
    synchronised: Option<bool>,
    error_ns: Option<f64>,
    largest_step_ns: Option<i64>,
}

#[derive(Deserialize)]
struct Sending {
    late_p99_ns: Option<i64>,
    late_1ms: u64,
}

impl Told {
    fn reading(self) -> Result<Session, Unreadable> {
        let target = match self.direction {
            Direction::To => &self.to,
            Direction::From => &self.from,
        };
        let mut session = Session {
            from: Some(quote(&self.from.host)),
            to: Some(quote(&self.to.host)),
            address: text::address(&target.address),
            sent: Some(self.sent),
            lost: Some(self.lost),
            duplicates: Some(self.duplicates),
            reordered: Some(self.reordering.reordered),
            one_reordered_ratio: self.reordering.one(),
            min_ms: self.delay.min_ns.map(millis),
            median_ms: self.delay.median_ns.map(millis),
            max_ms: self.delay.max_ns.map(millis),
            p95_less_p50_ms: self.delay.p95_less_p50_ns.map(millis),
            synchronised: self.clocks.synchronised,
            error_ms: self.clocks.error_ns.and_then(finite),
            hops: self.hops.min.zip(self.hops.max).filter(|(min, max)| min <= max),
            percentiles: self.delay.percentiles(),
            detail: self.detail(),
            ..Session::new(self.direction)
        };
        session.packets = self.packets.0.into_iter().map(packet).collect();
        direction::sound(session)
    }

    fn detail(&self) -> Detail {
        let at = |percent| self.delay.at(percent).map(millis);
        let step = self.clocks.largest_step_ns.unwrap_or(0);
        let verdicts = self.verdicts.0.join(", ");
        Detail {
            skipped: Some(self.skipped),
            p95_ms: at(95.0),
            p99_ms: at(99.0),
            negative: Some(self.delay.negative),
            pdv_p95_ms: self.pdv.p95_ns.map(millis),
            pdv_p99_ms: self.pdv.p99_ns.map(millis),
            ipdv_abs_mean_ms: self.ipdv.abs_mean_ns.and_then(finite),
            ipdv_abs_p95_ms: self.ipdv.abs_p95_ns.map(millis),
            loss_periods: Some(self.loss_periods.count),
            loss_period_max: Some(self.loss_periods.longest),
            reorder_extent_max: Some(self.reordering.extent_max.unwrap_or(0)),
            late_p99_ms: self.sending.late_p99_ns.map(millis),
            late_sends: Some(self.sending.late_1ms),
            own_drops: Some(self.own_drops),
            clock_step_ms: Some(millis(step)),
            verdict: Some(quote(&verdicts)).filter(|verdicts| !verdicts.is_empty()),
        }
    }
}

impl Delay {
    fn at(&self, percent: f64) -> Option<i64> {
        let found = |(of, _): &&(f64, _)| (*of - percent).abs() < 1e-9;
        self.percentiles.0.iter().find(found).and_then(|(_, delay)| *delay)
    }

    fn percentiles(&self) -> Vec<Percentile> {
        let percentiles = self.percentiles.0.iter().filter(|(of, _)| (0.0..=100.0).contains(of));
        let one = |(percent, delay): &(f64, Option<i64>)| Percentile {
            percent: *percent,
            delay_ms: delay.map(millis),
        };
        percentiles.map(one).collect()
    }
}

impl Reordering {
    /// The share of packets that came right after a later one.
    fn one(&self) -> Option<f64> {
        let one = self.n.0.first().copied().unwrap_or(0);
        (self.arrivals > 0 && one <= self.arrivals).then(|| real(one) / real(self.arrivals))
    }
}

fn packet((seq, _, delay_ns, ttl, _, _): Line) -> Packet {
    Packet { seq, delay_ns, ttl }
}

/// Nanoseconds as milliseconds; none if they are beyond belief.
fn finite(nanoseconds: f64) -> Option<f64> {
    const MOST: f64 = 1e21;
    (nanoseconds.abs() < MOST).then_some(nanoseconds / 1e6)
}
