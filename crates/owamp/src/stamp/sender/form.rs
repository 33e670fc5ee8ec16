//! The figures as JSON; docs/stamp-sender.md tells every key.

use serde_json::{Value, json};
use timed_udp::ntp::NtpTime;

use super::{Args, figures::Figures, measured::Measured};
use crate::statistics::{Percent, Summary, Verdict};

/// The version of the form. It grows when a key goes or changes its meaning.
const VERSION: u32 = 1;

/// One object in one line. Without figures it has the problem only.
pub(super) fn json(
    args: &Args,
    figures: Option<(&Measured, &Figures)>,
    problem: Option<&str>,
) -> String {
    let mut document = json!({
        "stamp": VERSION,
        "target": args.target,
        "problem": problem,
        "asked": args.count,
        "interval_ns": nanos(args.interval),
        "timeout_ns": nanos(args.timeout),
        "padding": args.size,
        "dscp": args.dscp,
    });
    if let (Some((measured, figures)), Value::Object(document)) = (figures, &mut document)
        && let Value::Object(more) = test(measured, figures)
    {
        document.extend(more);
    }
    format!("{document}\n")
}

fn nanos(length: std::time::Duration) -> u64 {
    timed_udp::clock::nanos(length)
}

fn test(measured: &Measured, it: &Figures) -> Value {
    let place = |it: std::net::SocketAddr| json!({"address": it.ip(), "port": it.port()});
    let round = &it.round;
    let late = &round.lateness;
    json!({
        "from": place(measured.from),
        "to": place(measured.to),
        "warnings": measured.warnings,
        "first_us": round.span.map(|(first, _)| micros(first)),
        "last_us": round.span.map(|(_, last)| micros(last)),
        "sent": round.sent,
        "received": round.received(),
        "lost": round.lost,
        "loss_ratio": round.loss_ratio(),
        "losses": it.losses,
        "loss_periods": {"count": round.loss_periods.count, "longest": round.loss_periods.longest},
        "late": it.late,
        "wrong": it.wrong,
        "duplicates": {"there": it.copies_there, "back": it.copies_back},
        "round_trip": delays(round),
        "there": way(&it.there, it.synchronised()),
        "back": way(&it.back, it.synchronised()),
        "processing": {
            "min_ns": it.processing.map(|(least, _)| least),
            "max_ns": it.processing.map(|(_, most)| most),
        },
        "sending": {
            "late_p50_ns": late.percentile(Percent::P50),
            "late_p99_ns": late.percentile(Percent::P99),
            "late_max_ns": late.max(),
            "errors": round.send_errors,
        },
        "own_drops": round.own_drops,
        "clock_steps": round.clocks.steps,
        "verdicts": it.verdicts().into_iter().map(Verdict::as_str).collect::<Vec<_>>(),
    })
}

/// Microseconds after 1970.
fn micros(time: NtpTime) -> i64 {
    i64::try_from(time.unix_nanos().div_euclid(1_000)).unwrap_or(i64::MAX)
}

fn delays(it: &Summary) -> Value {
    let delays = &it.delays;
    json!({
        "min_ns": delays.min(),
        "median_ns": delays.percentile(Percent::P50),
        "mean_ns": delays.mean(),
        "p90_ns": delays.percentile(Percent::P90),
        "p95_ns": delays.percentile(Percent::P95),
        "p99_ns": delays.percentile(Percent::P99),
        "max_ns": delays.max(),
        "p95_less_p50_ns": it.p95_less_p50(),
        "pdv": {
            "p50_ns": delays.pdv(Percent::P50),
            "p95_ns": delays.pdv(Percent::P95),
            "p99_ns": delays.pdv(Percent::P99),
            "max_ns": delays.pdv_max(),
        },
        "ipdv": {
            "pairs": it.ipdv.pairs,
            "abs_mean_ns": it.ipdv.abs_mean,
            "abs_p50_ns": it.ipdv.abs_percentile(Percent::P50),
            "abs_p95_ns": it.ipdv.abs_percentile(Percent::P95),
            "abs_max_ns": it.ipdv.abs_max(),
        },
    })
}

/// One way: its delays are the network's only if the clocks are right.
fn way(it: &Summary, synchronised: bool) -> Value {
    let hops = it.hops();
    let order = &it.reordering;
    json!({
        "synchronised": synchronised,
        "error_ns": it.clocks.error_s.map(|error| (error * 1e9).round()),
        "negative": it.delays.negative(),
        "delay": delays(it),
        "hops": {"min": hops.map(|(min, _)| min), "max": hops.map(|(_, max)| max)},
        "ttl": it.ttls,
        "reordering": {
            "reordered": order.reordered,
            "ratio": order.ratio,
            "extent_max": order.extent_max(),
        },
    })
}
