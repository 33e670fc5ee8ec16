//! A reading of a throughput test in one line.

use std::fmt::Write;

use readings::{
    Unreadable,
    throughput::{Flow, Interval, Protocol, RoundTrip, Throughput},
};

/// `192.0.2.2:5001 tcp; to x3: sent 48889856 in 20.8012, ...; kind!`, or why there is none.
pub(crate) fn told(reading: &Result<Throughput, Unreadable>) -> String {
    let reading = match reading {
        Ok(reading) => reading,
        Err(wrong) => return format!("unreadable: {wrong}"),
    };
    let address = reading.address.map_or("?".to_owned(), |address| address.to_string());
    let port = reading.port.map_or("?".to_owned(), |port| port.to_string());
    let protocol = match reading.protocol {
        Some(Protocol::Tcp) => "tcp",
        Some(Protocol::Udp) => "udp",
        None => "?",
    };
    let mut parts = vec![format!("{address}:{port} {protocol}")];
    parts.extend(reading.flows.iter().map(flow));
    if !reading.warnings.is_empty() {
        parts.push(format!("{} warnings", reading.warnings.len()));
    }
    parts.extend(reading.problem.as_ref().map(|problem| format!("{}!", problem.kind)));
    parts.join("; ")
}

/// `to x1: sent ..., received ..., 3 of 10.0-20.0, avg 18.9 Mbit/s, rtt 1/2/3`
fn flow(flow: &Flow) -> String {
    let mut text = format!("{} x{}:", flow.direction.as_str(), flow.streams);
    for (name, whole) in [("sent", &flow.sent), ("received", &flow.received)] {
        if let Some(whole) = whole {
            write!(text, " {name} {},", interval(whole)).expect("text");
        }
    }
    if !flow.intervals.is_empty() {
        let (min, max) = (mbps(flow.thrumin_bps), mbps(flow.thrumax_bps));
        write!(text, " {} of {min}-{max},", flow.intervals.len()).expect("text");
    }
    write!(text, " avg {}", mbps(flow.thruavg_bps)).expect("text");
    if let Some(rtt) = flow.rtt {
        write!(text, ", rtt {}", round_trip(rtt)).expect("text");
    }
    text
}

/// `48889856 B in 20.8012 s`, and the counts there are.
fn interval(interval: &Interval) -> String {
    let bytes = interval.bytes.map_or("?".to_owned(), |bytes| bytes.to_string());
    let mut text = format!("{bytes} B in {:.4} s", interval.end_s - interval.start_s);
    let counts = [
        ("retr", interval.retransmits),
        ("lost", interval.lost),
        ("of", interval.datagrams),
        ("late", interval.reordered),
    ];
    for (name, count) in counts {
        if let Some(count) = count {
            write!(text, " {name} {count}").expect("text");
        }
    }
    if let Some(us) = interval.jitter_us {
        write!(text, " jitter {us:.0}").expect("text");
    }
    text
}

fn round_trip(rtt: RoundTrip) -> String {
    let us = |us: Option<u64>| us.map_or("-".to_owned(), |us| us.to_string());
    format!("{}/{}/{}", us(rtt.min_us), us(rtt.avg_us), us(rtt.max_us))
}

/// Mbit/s to three digits after the point.
fn mbps(bits_per_s: Option<f64>) -> String {
    bits_per_s.map_or("-".to_owned(), |bits_per_s| format!("{:.3}", bits_per_s / 1e6))
}
