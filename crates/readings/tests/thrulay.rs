//! Every capture of a thrulay, and what its reader must make of it.
//!
//! Each line of the table was checked by eye against the text of the capture.

mod common;

use std::fmt::Write;

use common::Capture;
use readings::{
    End, Kind, Output, Unreadable,
    throughput::{Flow, Interval, Protocol, RoundTrip, Throughput},
    thrulay,
};

/// Capture; protocol, streams and intervals, rate min/avg/max in Mbit/s, round-trip times in ms; over UDP lost/sent
/// `+`duplicates `~`1-reordered and percentiles of the delay; problem, and whether the total is missing.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("thrulay/basic", "Tcp, 1 of 5, 18.347/18.975/19.393, rtt -/2301337/-"),
    ("thrulay/dark-middle", "Tcp, 1 of 6, 0.000/7.514/19.399, rtt -/1224336/-"),
    ("thrulay/i0", "Tcp, 1 of 0, -/19.001/-, rtt -/2046226/-"),
    ("thrulay/i2-w", "Tcp, 1 of 3, 18.874/19.046/19.135, rtt -/136982/-"),
    ("thrulay/l", "Tcp, 1 of 3, 17.816/18.742/19.522, rtt -/1525285/-"),
    ("thrulay/m3", "Tcp, 3 of 4, 18.348/19.003/19.926, rtt -/2041139/-"),
    ("thrulay/netunreach", "refused!, cut"),
    ("thrulay/noargs", "usage!, cut"),
    ("thrulay/refused", "refused!, cut"),
    ("thrulay/server-dies", "Tcp, 1 of 6, 0.000/6.990/19.400, rtt -/1142816/-, broken off!, cut"),
    ("thrulay/tcp-loss", "Tcp, 1 of 4, 104.853/188.983/267.875, rtt -/263451/-"),
    ("thrulay/term-middle", "Tcp, 1 of 2, 18.333/-/19.404, killed!, cut"),
    ("thrulay/udp-loss", "Udp, 1 of 0, -/-/-, 90/1666 lost +43 ~31, delay 10614 11362 12184 12945 13508"),
    ("thrulay/udp-overload", "Udp, 1 of 0, -/-/-, 4980/10000 lost +0 ~0, delay 11874 50971 51050 51133 51197"),
    ("thrulay/v", "Tcp, 1 of 5, 18.333/18.978/19.416, rtt 22074/1784764/2347748"),
];

#[test]
fn every_capture_says_what_the_table_says() {
    for (name, expected) in TABLE {
        let (_, case) = name.split_once('/').expect("folder/case");
        assert_eq!(told(&of_capture(case)), *expected, "{name}");
    }
}

#[test]
fn no_capture_is_missing_from_the_table() {
    let captures = common::all().into_iter().filter(|capture| capture.tool() == "thrulay");
    let names: Vec<String> = captures.map(|capture| capture.name()).collect();
    let table: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, table);
}

fn of_capture(case: &str) -> Throughput {
    thrulay::read(&Capture::of("thrulay", case).output()).expect("a reading")
}

fn read(end: End, stdout: &str, stderr: &str) -> Result<Throughput, Unreadable> {
    thrulay::read(&Output { stdout: stdout.as_bytes(), stderr: stderr.as_bytes(), end })
}

fn told(reading: &Throughput) -> String {
    let mut parts: Vec<String> = reading.protocol.iter().map(|it| format!("{it:?}")).collect();
    parts.extend(reading.flows.iter().map(told_flow));
    if let Some(problem) = &reading.problem {
        parts.push(format!("{}!", problem.kind));
    }
    if !reading.complete {
        parts.push("cut".to_owned());
    }
    parts.join(", ")
}

fn told_flow(flow: &Flow) -> String {
    let rates = [flow.thrumin_bps, flow.thruavg_bps, flow.thrumax_bps];
    let rates: Vec<String> = rates.iter().map(|rate| mbps(*rate)).collect();
    let mut text = format!("{} of {}, {}", flow.streams, flow.intervals.len(), rates.join("/"));
    if let Some(rtt) = &flow.rtt {
        write!(text, ", rtt {}", told_rtt(rtt)).expect("text");
    }
    if let Some(part) = &flow.received {
        write!(text, ", {}", told_datagrams(part)).expect("text");
    }
    if let Some(delay) = &flow.delay {
        let delays = [delay.min_us, delay.p25_us, delay.p50_us, delay.p75_us, delay.p95_us];
        write!(text, ", delay {}", delays.map(|us| us.expect("a delay").to_string()).join(" "))
            .expect("text");
    }
    text
}

fn told_rtt(rtt: &RoundTrip) -> String {
    let times = [rtt.min_us, rtt.avg_us, rtt.max_us];
    times.map(|us| us.map_or("-".to_owned(), |us| us.to_string())).join("/")
}

fn told_datagrams(part: &Interval) -> String {
    let counts = [part.lost, part.datagrams, part.duplicates, part.reordered];
    let [lost, sent, duplicates, reordered] =
        counts.map(|count| count.map_or("?".to_owned(), |count| count.to_string()));
    format!("{lost}/{sent} lost +{duplicates} ~{reordered}")
}

fn mbps(rate: Option<f64>) -> String {
    rate.map_or("-".to_owned(), |rate| format!("{:.3}", rate / 1e6))
}
