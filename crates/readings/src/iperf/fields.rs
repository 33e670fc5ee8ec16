//! What follows the rate: `0.014 ms    0/ 2126 (0%)` or `22/0   30   113K/27215(1134) us  106`

use crate::{
    rates::Printed,
    stretch::{lost_of_sent, word},
    text::integer,
    throughput::{Interval, RoundTrip},
};

/// Adds what the rest of a line says; false if it says what cannot be.
pub(super) fn add(interval: &mut Interval, mut rest: &str) -> bool {
    let Some(first) = word(&mut rest) else { return true };
    if let Some((written, errors)) = first.split_once('/') {
        let is_count = |text| integer::<u64>(text).is_some();
        if is_count(written) && is_count(errors) {
            add_writes(interval, rest);
        }
        return true;
    }
    let mut after = rest;
    if word(&mut after) == Some("ms") { add_datagrams(interval, first, after) } else { true }
}

/// `Rtry  Cwnd/RTT(var)`; over UDP packets per second stand in their place.
fn add_writes(interval: &mut Interval, mut rest: &str) {
    let retries = word(&mut rest).and_then(integer);
    let window = word(&mut rest).unwrap_or_default();
    if window != "pps" {
        interval.retransmits = retries;
        interval.rtt = window.split_once("K/").and_then(|(_, rtt)| round_trip(rtt));
    }
}

/// `27215(1134)`: the smoothed round-trip time, microseconds, and its variance.
fn round_trip(text: &str) -> Option<RoundTrip> {
    let mean = text.split('(').next()?;
    let avg_us = integer(mean).filter(|us| *us > 0)?;
    Some(RoundTrip { avg_us: Some(avg_us), ..RoundTrip::default() })
}

/// Jitter in milliseconds, and how many were lost of how many.
fn add_datagrams(interval: &mut Interval, jitter: &str, mut rest: &str) -> bool {
    let counts = lost_of_sent(&mut rest).filter(|(lost, sent)| lost <= sent);
    let Some((lost, sent)) = counts else { return false };
    // Of nothing there is no jitter.
    let jitter = Printed::of(jitter).filter(|_| sent > lost);
    interval.jitter_us = jitter.map(|jitter| jitter.value * 1000.0);
    (interval.lost, interval.datagrams) = (Some(lost), Some(sent));
    true
}

/// `1 datagrams received out-of-order`, in the place of volume and rate.
pub(super) fn reordered(rest: &str) -> Option<u64> {
    let counted = rest.strip_suffix(" datagrams received out-of-order")?;
    integer(counted)
}
