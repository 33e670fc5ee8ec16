//! What is printed: a line for each estimate, progress on standard error, or all of it as JSON; `docs/pathchirp_rcv.md` tells
//! every key.

use std::net::IpAddr;

use serde_json::{Value, json};
use timed_udp::ntp::NtpTime;

use super::{
    Args,
    book::Came,
    course::{Course, Estimate},
    measure::Measured,
};
use crate::{
    estimate::{pool::By, range::Range},
    protocol::message::{Wish, rate},
};

/// The version of the JSON. It grows when a key goes or changes its meaning.
const VERSION: u32 = 1;

/// To standard error, in the reference tool's words: readers know the address by them.
pub(super) fn sender(address: IpAddr) {
    eprintln!("Sender host is:  {address} ");
}

/// What the sender made of the wish, where that is less.
pub(super) fn granted(wish: &Wish, granted: &Wish) -> Vec<String> {
    let mbits = |bits: u64| rate(bits) / 1e6;
    let seconds = |millis: u32| f64::from(millis) / 1e3;
    let parts = [
        ("highest rate", mbits(granted.high), mbits(wish.high), "Mbit/s", "-u"),
        ("average rate", mbits(granted.average), mbits(wish.average), "Mbit/s", "-a"),
        ("time", seconds(granted.duration), seconds(wish.duration), "s", "-t"),
    ];
    let less = parts.into_iter().filter(|(_, has, wants, ..)| has < wants);
    less.map(|(what, has, wants, unit, option)| {
        format!("by the sender's own limit the {what} is {has} {unit}, and not {wants} ({option})")
    })
    .collect()
}

pub(super) fn range(range: Range) {
    log::info!(
        "Updating probing range:low={:.6},high={:.6}Mbps",
        range.low / 1e6,
        range.high / 1e6
    );
}

pub(super) fn chirp(came: &Came, estimate: Option<&Estimate>) {
    log::debug!(
        "chirp {}: {} of {} packets came, of {} to {} bit/s: {estimate:?}",
        came.chirp,
        came.received,
        came.sent,
        came.range.0,
        came.range.1
    );
    for (number, timed) in came.groups.iter().enumerate() {
        log::trace!("chirp {} group {number}: {timed:?}", came.chirp);
    }
}

/// `1795398339.123456 7.520000`: seconds since the epoch, Mbit/s.
pub(super) fn line(estimate: &Estimate) -> String {
    let micros = micros(estimate.at);
    let (seconds, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    format!("{seconds}.{rest:06} {:.6}\n", estimate.bits_per_s / 1e6)
}

/// Microseconds after 1970.
fn micros(time: NtpTime) -> i64 {
    i64::try_from(time.unix_nanos().div_euclid(1_000)).unwrap_or(i64::MAX)
}

/// One line for people.
pub(super) fn summary(measured: &Measured) -> String {
    let course = &measured.course;
    let median =
        median(course).map_or_else(String::new, |it| format!(", median {:.3} Mbit/s", it / 1e6));
    format!(
        "{} estimates of {} chirps{median}; {} packets of {} came, {} bytes were sent",
        course.estimates.len(),
        course.chirps,
        course.received,
        course.sent,
        course.overhead()
    )
}

fn median(course: &Course) -> Option<f64> {
    let mut rates: Vec<f64> = course.estimates.iter().map(|it| it.bits_per_s).collect();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied()
}

/// One object in one line.
pub(super) fn json(
    args: &Args,
    measured: Option<&Measured>,
    warnings: &[String],
    problem: Option<&str>,
) -> String {
    let wish = args.wish();
    let mut document = json!({
        "pathchirp": VERSION,
        "sender": args.sender,
        "problem": problem,
        "warnings": warnings,
        "asked": wished(&wish),
        "smooth": args.smooth,
        "decrease": args.decrease,
        "busy": args.busy,
    });
    if let (Some(measured), Value::Object(document)) = (measured, &mut document)
        && let Value::Object(more) = figures(measured)
    {
        document.extend(more);
    }
    format!("{document}\n")
}

fn wished(wish: &Wish) -> Value {
    json!({
        "low_bps": wish.low,
        "high_bps": wish.high,
        "average_bps": wish.average,
        "spread": f64::from(wish.spread) / 1e6,
        "duration_ms": wish.duration,
        "packet_octets": wish.payload,
        "group": wish.group,
    })
}

fn figures(measured: &Measured) -> Value {
    let course = &measured.course;
    let rates = || course.estimates.iter().map(|it| it.bits_per_s);
    let all = crate::real(course.estimates.len());
    let estimates: Vec<Value> = course
        .estimates
        .iter()
        .map(|it| json!([micros(it.at), it.bits_per_s.round(), by(it.by)]))
        .collect();
    let unfit: serde_json::Map<String, Value> =
        course.unfit.iter().map(|(why, count)| (why.as_str().to_owned(), json!(count))).collect();
    json!({
        "address": measured.sender.ip(),
        "port": measured.sender.port(),
        "granted": wished(&measured.granted),
        "min_bps": rates().min_by(f64::total_cmp).map(f64::round),
        "median_bps": median(course).map(f64::round),
        "avg_bps": (all > 0.0).then(|| (rates().sum::<f64>() / all).round()),
        "max_bps": rates().max_by(f64::total_cmp).map(f64::round),
        "at_least_bps": course.at_least.map(f64::round),
        "estimates": estimates,
        "chirps": {
            "came": course.chirps,
            "counted": course.counted,
            "unfit": unfit,
            "without_queue": course.unturned,
            "cut": course.cut,
        },
        "reach_bps": course.reach.map(f64::round),
        "drift_ppm": course.drift() * 1e6,
        "sent": course.sent,
        "received": course.received,
        "overhead_bytes": course.overhead(),
        "own_drops": measured.own_drops,
        "unstamped": measured.unstamped,
        "strange": measured.strange,
    })
}

const fn by(by: By) -> &'static str {
    match by {
        By::Line => "line",
        By::Excursions => "excursions",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_granted_is_told() {
        let wish = Wish {
            low: 1_000_000,
            high: 50_000_000,
            average: 2_000_000,
            spread: 1_200_000,
            duration: 10_000,
            payload: 1_000,
            group: 1,
        };
        assert!(granted(&wish, &wish).is_empty());
        let less = Wish { high: 20_000_000, ..wish };
        let told = "by the sender's own limit the highest rate is 20 Mbit/s, and not 50 (-u)";
        assert_eq!(granted(&wish, &less), [told]);
    }

    #[test]
    fn an_estimate_is_a_line_as_the_reference_tool_writes_them() {
        let at = NtpTime::from_unix_nanos(1_795_398_339_123_456_789);
        let estimate = Estimate { at, bits_per_s: 7_520_000.0, by: By::Line };
        assert_eq!(line(&estimate), "1795398339.123456 7.520000\n");
    }
}
