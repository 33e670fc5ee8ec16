//! BWDATA: throughput and available bandwidth, a row for each direction.

use std::sync::LazyLock;

use readings::{
    Direction, Problem,
    available::Available,
    throughput::{Flow, Interval, Protocol, Throughput},
};
use serde_json::json;
use station::world::store::Value;

use super::{COMMON, Run, Sheets, statement, told};
use crate::beside::Beside;

const COLUMNS: [&str; 33] = [
    "toolName",
    "direction",
    "address",
    "protocol",
    "streams",
    "duration_s",
    "bytes",
    "thrumin",
    "thruavg",
    "thrumax",
    "rttmin",
    "rttavg",
    "rttmax",
    "sent_bps",
    "received_bps",
    "retransmits",
    "jitter_us",
    "datagrams",
    "lost",
    "lossratio",
    "reordered",
    "duplicates",
    "intervals",
    "idle_rtt_p50_us",
    "loaded_rtt_p50_us",
    "loaded_rtt_p95_us",
    "loaded_rtt_max_us",
    "loaded_sent",
    "loaded_lost",
    "loaded_packets",
    "machine",
    "unclean",
    "problem",
];

static INSERT: LazyLock<String> = LazyLock::new(|| statement("BWDATA", &COLUMNS));

/// A row for each flow. A run that came to none, since its server refused it for instance, still has
/// one: that it ran, and why it found nothing, must be seen where its figures would be.
pub(super) fn add<'a>(
    sheets: &mut Sheets<'a>,
    run: &Run<'a>,
    throughput: &Throughput,
    beside: Option<&'a Beside>,
) {
    let none = [Flow::new(Direction::To)];
    let flows = if throughput.flows.is_empty() { &none[..] } else { &throughput.flows };
    let problem = problems(throughput.problem.as_ref(), beside);
    let address = throughput.address.map(|address| address.to_string());
    for flow in flows {
        let measured = [
            vec![flow.direction.as_str().into(), address.clone().into()],
            vec![throughput.protocol.map(protocol).into()],
            figures(flow).into(),
            counts(flow).into(),
            vec![intervals(flow).into()],
            delays(beside).into(),
        ];
        row(sheets, run, measured.concat(), problem.clone());
    }
}

/// One row: these tools probe the path from the target to the station, where they receive.
pub(super) fn add_available<'a>(
    sheets: &mut Sheets<'a>,
    run: &Run<'a>,
    available: &Available,
    beside: Option<&'a Beside>,
) {
    let estimates: Vec<_> =
        available.estimates.iter().map(|one| (one.time_s, one.bits_per_s)).collect();
    let estimates = (!estimates.is_empty()).then(|| json!({ "estimates": estimates }).to_string());
    let address = available.address.map(|address| address.to_string());
    let measured = [
        vec![Direction::From.as_str().into(), address.into(), Value::Null],
        vec![Value::Null, Value::Null, available.overhead_bytes.into()],
        [available.min_bps, available.avg_bps, available.max_bps].map(megabits).into(),
        vec![Value::Null; 12],
        vec![estimates.into()],
        delays(beside).into(),
    ];
    row(sheets, run, measured.concat(), problems(available.problem.as_ref(), beside));
}

/// Why there are fewer figures than there might be: of the test itself, and of the ping beside it.
fn problems(own: Option<&Problem>, beside: Option<&Beside>) -> Option<String> {
    let of_ping = beside.and_then(|beside| beside.problem.clone());
    let both: Vec<String> = [own.map(told), of_ping].into_iter().flatten().collect();
    (!both.is_empty()).then(|| both.join("; "))
}

/// Adds a row; `measured` are the columns from the direction to those that the run's header fills.
fn row<'a>(
    sheets: &mut Sheets<'a>,
    run: &Run<'a>,
    measured: Vec<Value<'a>>,
    problem: Option<String>,
) {
    let alone = run.header.alone.as_ref();
    let mut values = Vec::with_capacity(COMMON.len() + COLUMNS.len());
    values.extend(run.common());
    values.push(run.row.tool.as_str().into());
    values.extend(measured);
    values.extend([
        alone.map(|alone| json!(alone.machine).to_string()).into(),
        alone.and_then(|alone| alone.unclean.as_deref()).into(),
        problem.into(),
    ]);
    sheets.add(&INSERT, values);
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

fn megabits(bits: Option<f64>) -> Value<'static> {
    bits.map(|bits| bits / 1e6).into()
}

/// The columns from streams to `received_bps`.
fn figures(flow: &Flow) -> [Value<'static>; 11] {
    let rtt = flow.rtt.unwrap_or_default();
    let millis = |micros: Option<u64>| micros.map(real).map(|micros| micros / 1e3).into();
    let bits = |whole: &Option<Interval>| whole.as_ref().and_then(|whole| whole.bits_per_s).into();
    [
        Some(flow.streams).filter(|streams| *streams > 0).into(),
        flow.whole().map(|whole| whole.end_s - whole.start_s).into(),
        flow.whole().and_then(|whole| whole.bytes).into(),
        megabits(flow.thrumin_bps),
        megabits(flow.thruavg_bps),
        megabits(flow.thrumax_bps),
        millis(rtt.min_us),
        millis(rtt.avg_us),
        millis(rtt.max_us),
        bits(&flow.sent),
        bits(&flow.received),
    ]
}

/// The columns from retransmits to duplicates: the receiver's count where it has one, else the sender's.
fn counts(flow: &Flow) -> [Value<'static>; 7] {
    let ends = [flow.received.as_ref(), flow.sent.as_ref()];
    let count = |figure: fn(&Interval) -> Option<u64>| ends.into_iter().flatten().find_map(figure);
    let (datagrams, lost) = (count(|whole| whole.datagrams), count(|whole| whole.lost));
    let share =
        |(lost, sent): (u64, u64)| (0 < sent && lost <= sent).then(|| real(lost) / real(sent));
    [
        count(|whole| whole.retransmits).into(),
        ends.into_iter().flatten().find_map(|whole| whole.jitter_us).into(),
        datagrams.into(),
        lost.into(),
        lost.zip(datagrams).and_then(share).into(),
        count(|whole| whole.reordered).into(),
        count(|whole| whole.duplicates).into(),
    ]
}

/// The parts of the test as JSON, and the whole of each stream where there were several.
fn intervals(flow: &Flow) -> Option<String> {
    let Flow { intervals, by_stream, .. } = flow;
    match (intervals.is_empty(), by_stream.is_empty()) {
        (true, true) => None,
        (_, true) => Some(json!({ "intervals": intervals }).to_string()),
        _ => Some(json!({ "intervals": intervals, "by_stream": by_stream }).to_string()),
    }
}

/// The columns from `idle_rtt_p50_us` to `loaded_packets`.
fn delays(beside: Option<&Beside>) -> [Value<'_>; 7] {
    let Some(beside) = beside else { return [const { Value::Null }; 7] };
    [
        beside.idle_p50_us.into(),
        beside.loaded_p50_us.into(),
        beside.loaded_p95_us.into(),
        beside.loaded_max_us.into(),
        beside.sent.into(),
        beside.lost.into(),
        beside.packets.as_deref().into(),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn real(number: u64) -> f64 {
    number as f64
}
