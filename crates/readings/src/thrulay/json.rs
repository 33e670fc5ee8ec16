//! The JSON of our own thrulay (`--json`): one document. docs/thrulay.md tells every key.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::{
    Output, Unreadable,
    document::{self, Document},
    kept::Kept,
    problem,
    statistics::whole,
    text::{bare, quote},
    throughput::{Flow, Interval, OneWayDelay, Protocol, RoundTrip, Throughput},
};

use super::{
    rows::{MOST_INTERVALS, MOST_STREAMS, Row, Rows},
    towards_target,
};

const MOST_WORDS: usize = 16;

pub(super) fn read(output: &Output<'_>) -> Result<Throughput, Unreadable> {
    let Some(run) = document::read::<Run>(output)? else {
        let problem = problem::from_outside(output.end);
        return Ok(Throughput { problem, ..Throughput::default() });
    };
    run.reading(output)
}

fn wrong(expected: &str) -> Unreadable {
    Unreadable { reason: format!("expected {expected}"), line: None }
}

#[derive(Deserialize)]
struct Run {
    thrulay: u32,
    server: Option<SocketAddr>,
    tcp: Option<Tcp>,
    udp: Option<Udp>,
    #[serde(default)]
    warnings: Kept<String, MOST_WORDS>,
    problem: Option<String>,
}

impl Document for Run {
    const TOOL: &'static str = "thrulay";

    fn version(&self) -> u32 {
        self.thrulay
    }
}

impl Run {
    fn reading(self, output: &Output<'_>) -> Result<Throughput, Unreadable> {
        let (protocol, flow, ended) = match (self.tcp, self.udp) {
            (Some(tcp), None) => (Some(Protocol::Tcp), Some(tcp.flow()?), true),
            (None, Some(udp)) => {
                let ended = udp.received.is_some();
                (Some(Protocol::Udp), Some(udp.flow()?), ended)
            }
            (None, None) => (None, None, false),
            (Some(_), Some(_)) => return Err(wrong("one test, found two")),
        };
        let mut warnings = problem::warnings(output.stderr);
        self.warnings.0.iter().for_each(|it| problem::warn(&mut warnings, bare(it)));
        let complete = ended && self.problem.is_none();
        let said = self.problem.map(|it| quote(bare(&it)));
        Ok(Throughput {
            protocol,
            address: self.server.map(|it| it.ip()),
            port: self.server.map(|it| it.port()),
            flows: flow.into_iter().collect(),
            warnings,
            problem: problem::of_told(output, complete, said.as_deref()),
            complete,
        })
    }
}

#[derive(Deserialize)]
struct Tcp {
    streams: u32,
    intervals: Kept<Stretch, MOST_INTERVALS>,
    by_stream: Kept<Stretch, { MOST_STREAMS as usize }>,
    total: Stretch,
}

impl Tcp {
    fn flow(self) -> Result<Flow, Unreadable> {
        let mut rows = Rows::default();
        for stretch in self.intervals.0 {
            let id = stretch.stream.filter(|id| *id < MOST_STREAMS);
            let id = id.ok_or_else(|| wrong("an interval with the number of its stream"))?;
            rows.take(id, &Row::new(Some(id), stretch.interval()?));
        }
        if self.streams > 1 {
            for stretch in self.by_stream.0 {
                let id = stretch.stream.filter(|id| *id < MOST_STREAMS);
                let id = id.ok_or_else(|| wrong("a total with the number of its stream"))?;
                rows.end(Row::new(Some(id), stretch.interval()?));
            }
        }
        rows.end(Row::new(None, self.total.interval()?));
        rows.flow().0.ok_or_else(|| wrong("a total"))
    }
}

#[derive(Deserialize)]
struct Stretch {
    stream: Option<u32>,
    start_s: f64,
    end_s: f64,
    bytes: u64,
    bits_per_s: f64,
    rtt: Option<Rtt>,
    retransmits: Option<u64>,
}

#[derive(Deserialize)]
struct Rtt {
    #[serde(rename = "min_ms")]
    min: f64,
    #[serde(rename = "avg_ms")]
    avg: f64,
    #[serde(rename = "max_ms")]
    max: f64,
}

impl Stretch {
    fn interval(&self) -> Result<Interval, Unreadable> {
        if !(self.start_s >= 0.0 && self.end_s >= self.start_s && self.bits_per_s >= 0.0) {
            return Err(wrong("times and rates that are not below zero, in their order"));
        }
        Ok(Interval {
            start_s: self.start_s,
            end_s: self.end_s,
            bytes: Some(self.bytes),
            bits_per_s: Some(self.bits_per_s),
            retransmits: self.retransmits,
            rtt: self.rtt.as_ref().map(|rtt| RoundTrip {
                min_us: whole(rtt.min * 1e3),
                avg_us: whole(rtt.avg * 1e3),
                max_us: whole(rtt.max * 1e3),
            }),
            ..Interval::default()
        })
    }
}

#[derive(Deserialize)]
struct Udp {
    sent: u64,
    received: Option<Received>,
}

#[derive(Deserialize)]
struct Received {
    unique: u64,
    duplicates: u64,
    n_reordered: Kept<u64, 1>,
    span_s: f64,
    bits_per_s: Option<f64>,
    delay_ms: Option<Delay>,
}

#[derive(Deserialize)]
struct Delay {
    min: f64,
    p25: f64,
    p50: f64,
    p75: f64,
    p95: f64,
}

impl Udp {
    fn flow(self) -> Result<Flow, Unreadable> {
        let mut flow = towards_target();
        flow.streams = 1;
        let Some(received) = self.received else {
            flow.sent = Some(Interval { datagrams: Some(self.sent), ..Interval::default() });
            return Ok(flow);
        };
        let lost = self.sent.checked_sub(received.unique);
        let lost = lost.ok_or_else(|| wrong("no more datagrams received than sent"))?;
        if !(received.span_s >= 0.0 && received.bits_per_s.is_none_or(|it| it >= 0.0)) {
            return Err(wrong("a time and a rate that are not below zero"));
        }
        flow.thruavg_bps = received.bits_per_s;
        flow.delay = received.delay_ms.map(|it| it.percentiles());
        flow.received = Some(Interval {
            end_s: received.span_s,
            bits_per_s: received.bits_per_s,
            datagrams: Some(self.sent),
            lost: Some(lost),
            duplicates: Some(received.duplicates),
            reordered: Some(received.n_reordered.0.first().copied().unwrap_or(0)),
            ..Interval::default()
        });
        Ok(flow)
    }
}

impl Delay {
    fn percentiles(&self) -> OneWayDelay {
        let [min_us, p25_us, p50_us, p75_us, p95_us] =
            [self.min, self.p25, self.p50, self.p75, self.p95].map(micros);
        OneWayDelay { min_us, p25_us, p50_us, p75_us, p95_us }
    }
}

/// Microseconds, which may be negative.
fn micros(millis: f64) -> Option<i64> {
    let magnitude = i64::try_from(whole(millis.abs() * 1e3)?).ok()?;
    Some(if millis < 0.0 { -magnitude } else { magnitude })
}
