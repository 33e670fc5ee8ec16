//! A run as JSON of our own (`--json`), which has all figures. docs/owping.md tells every key.

use std::io::{self, Write};

use timed_udp::ntp::NtpTime;

use super::{
    End, Style, Told,
    figures::nanos,
    form::{
        Clocks, Delay, Hops, Host, Ipdv, Losses, Packets, Reordered, Run, Sending, Session, Spread,
    },
};
use crate::statistics::{Percent, Summary, Verdict};

/// The version of the form. It grows when a key goes or changes its meaning; keys may be added without.
pub const VERSION: u32 = 1;

/// What is told of a run, beside its sessions.
#[derive(Debug, Clone, Default)]
pub struct Document<'a> {
    /// The target, as it was asked for.
    pub target: &'a str,
    /// Why there are no sessions, or fewer than were asked for.
    pub problem: Option<&'a str>,
    /// What else is to be said: a clock that is not synchronised, a server that cannot do what was asked.
    pub warnings: &'a [String],
    /// Whether every packet is to be told.
    pub packets: bool,
}

/// A run with its sessions, those towards the target first, in one line.
///
/// # Errors
/// What `out` says.
pub fn json(
    out: &mut impl Write,
    document: &Document<'_>,
    sessions: &[Told<'_>],
    style: &Style,
) -> io::Result<()> {
    let run = Run {
        owping: VERSION,
        target: document.target,
        problem: document.problem,
        warnings: document.warnings,
        sessions: sessions.iter().map(|told| session(told, style, document.packets)).collect(),
    };
    serde_json::to_writer(&mut *out, &run)?;
    writeln!(out)
}

fn session<'a>(told: &'a Told<'_>, style: &Style, packets: bool) -> Session<'a> {
    let it = told.summary;
    let known = told.known;
    Session {
        direction: told.direction,
        from: host(&told.from),
        to: host(&told.to),
        sid: told.sid.to_string(),
        finished: told.finished,
        first_packet: known.first,
        asked: known.asked,
        session_packets: told.session_packets,
        start_us: micros(known.start),
        first_us: it.span.map(|(first, _)| micros(first)),
        last_us: it.span.map(|(_, last)| micros(last)),
        timeout_ns: NtpTime(known.timeout).nanos_since(NtpTime(0)),
        padding: told.padding,
        dscp: told.dscp,
        sent: it.sent,
        skipped: it.skipped,
        lost: it.lost,
        loss_ratio: it.loss_ratio(),
        duplicates: it.duplicates,
        duplicated: it.duplicated,
        delay: delay(it, style),
        pdv: pdv(it),
        ipdv: ipdv(it),
        loss_periods: losses(it),
        reordering: reordered(told),
        hops: hops(it),
        clocks: clocks(it),
        sending: sending(it),
        own_drops: it.own_drops,
        beyond_timeout: it.beyond_timeout,
        verdicts: it.verdicts.iter().copied().map(Verdict::as_str).collect(),
        packets: packets.then_some(Packets { start: known.start, records: told.records }),
    }
}

fn host(end: &End) -> Host<'_> {
    let address = end.address;
    Host { host: &end.host, address: address.ip().to_string(), port: address.port() }
}

/// Microseconds after 1970.
fn micros(time: NtpTime) -> i64 {
    i64::try_from(time.unix_nanos().div_euclid(1_000)).unwrap_or(i64::MAX)
}

fn delay(it: &Summary, style: &Style) -> Delay {
    let mut percents = vec![Percent::P50, Percent::P90, Percent::P95, Percent::P99];
    percents.extend(&style.percentiles);
    percents.sort_unstable();
    percents.dedup();
    let percentile = |percent: &Percent| (percent.number(), it.delays.percentile(*percent));
    Delay {
        min_ns: it.delays.min(),
        median_ns: it.delays.percentile(Percent::P50),
        mean_ns: it.delays.mean(),
        max_ns: it.delays.max(),
        percentiles: percents.iter().map(percentile).collect(),
        p95_less_p50_ns: it.p95_less_p50(),
        negative: it.delays.negative(),
        bucket_ns: style.bucket_width,
        buckets: it.delays.buckets(style.bucket_width),
    }
}

fn pdv(it: &Summary) -> Spread {
    Spread {
        p50_ns: it.delays.pdv(Percent::P50),
        p95_ns: it.delays.pdv(Percent::P95),
        p99_ns: it.delays.pdv(Percent::P99),
        max_ns: it.delays.pdv_max(),
    }
}

fn ipdv(it: &Summary) -> Ipdv {
    let ipdv = &it.ipdv;
    Ipdv {
        selection: "consecutive numbers, both of which came",
        pairs: ipdv.pairs,
        min_ns: ipdv.min,
        max_ns: ipdv.max,
        abs_mean_ns: ipdv.abs_mean,
        abs_p50_ns: ipdv.abs_percentile(Percent::P50),
        abs_p95_ns: ipdv.abs_percentile(Percent::P95),
        abs_p99_ns: ipdv.abs_percentile(Percent::P99),
        abs_max_ns: ipdv.abs_max(),
    }
}

fn losses(it: &Summary) -> Losses {
    let periods = &it.loss_periods;
    Losses {
        count: periods.count,
        longest: periods.longest,
        mean: periods.mean,
        distance_min: periods.distance_min,
        distance_mean: periods.distance_mean,
    }
}

fn reordered<'a>(told: &'a Told<'_>) -> Reordered<'a> {
    let it = &told.summary.reordering;
    Reordered {
        reordered: it.reordered,
        ratio: it.ratio,
        extent_p50: it.extent(Percent::P50),
        extent_p95: it.extent(Percent::P95),
        extent_p99: it.extent(Percent::P99),
        extent_max: it.extent_max(),
        arrivals: it.arrivals,
        n: told.n_reordered(),
    }
}

fn hops(it: &Summary) -> Hops {
    let hops = it.hops();
    let by_hops = |(ttl, packets): (&u8, &u64)| (crate::statistics::TTL_SENT - ttl, *packets);
    Hops {
        min: hops.map(|(min, _)| min),
        max: hops.map(|(_, max)| max),
        packets: it.ttls.iter().map(by_hops).collect(),
    }
}

fn clocks(it: &Summary) -> Clocks {
    let clocks = &it.clocks;
    Clocks {
        synchronised: clocks.synchronised,
        error_ns: clocks.error_s.map(nanos),
        impossible: clocks.impossible,
        steps: clocks.steps,
        largest_step_ns: clocks.largest_step,
    }
}

fn sending(it: &Summary) -> Sending {
    let late = &it.lateness;
    Sending {
        late_p50_ns: late.percentile(Percent::P50),
        late_p99_ns: late.percentile(Percent::P99),
        late_max_ns: late.max(),
        late_beyond_error: late.beyond_error,
        late_1ms: late.notable,
        errors: it.send_errors,
    }
}
