//! OWAMPDATA.

use std::sync::LazyLock;

use readings::{
    Direction,
    oneway::{Detail, OneWay, Packet, Session as Way},
};
use station::world::store::Value;

use super::{COMMON, Run, Sheets, or_null, statement, told};

/// The columns of a direction: of the original's names, and of names that begin with the direction.
const ORIGINALS: [&str; 3] = ["min", "med", "max"];
const OF_A_WAY: [&str; 26] = [
    "sent",
    "lost",
    "duplicates",
    "reordered",
    "p95_less_p50_us",
    "error_us",
    "synchronised",
    "hops_min",
    "hops_max",
    "packets",
    "skipped",
    "loss_periods",
    "loss_period_max",
    "p95_us",
    "p99_us",
    "pdv_p95_us",
    "pdv_p99_us",
    "ipdv_abs_mean_us",
    "ipdv_abs_p95_us",
    "reorder_extent",
    "negative",
    "late_p99_us",
    "late_sends",
    "own_drops",
    "clock_step_us",
    "verdict",
];
const VALUES_OF_A_WAY: usize = ORIGINALS.len() + OF_A_WAY.len();

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let mut columns = vec!["address".to_owned(), "problem".to_owned()];
    for direction in ["to", "from"] {
        columns.extend(ORIGINALS.map(|name| format!("{}{name}", &direction[..1])));
        columns.extend(OF_A_WAY.map(|name| format!("{direction}_{name}")));
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    statement("OWAMPDATA", &columns)
});

pub(super) fn add<'a>(sheets: &mut Sheets<'a>, run: &Run<'a>, oneway: &OneWay) {
    let address = oneway.sessions.iter().find_map(|way| way.address);
    let mut values = Vec::with_capacity(COMMON.len() + 2 + 2 * VALUES_OF_A_WAY);
    values.extend(run.common());
    values.push(address.map(|address| address.to_string()).into());
    values.push(oneway.problem.as_ref().map(told).into());
    for direction in [Direction::To, Direction::From] {
        values.extend(way(oneway.sessions.iter().find(|way| way.direction == direction)));
    }
    sheets.add(&INSERT, values);
}

/// The columns of a direction; NULL where there was no session.
fn way(way: Option<&Way>) -> Vec<Value<'static>> {
    let Some(way) = way else { return vec![Value::Null; VALUES_OF_A_WAY] };
    let mut values = vec![
        way.min_ms.into(),
        way.median_ms.into(),
        way.max_ms.into(),
        way.sent.into(),
        way.lost.into(),
        way.duplicates.into(),
        way.reordered.into(),
        micros(way.p95_less_p50_ms),
        micros(way.error_ms),
        way.synchronised.into(),
        way.hops.map(|(min, _)| u32::from(min)).into(),
        way.hops.map(|(_, max)| u32::from(max)).into(),
        packets(&way.packets).into(),
    ];
    values.extend(detail(&way.detail));
    values
}

fn detail(detail: &Detail) -> [Value<'static>; 16] {
    [
        detail.skipped.into(),
        detail.loss_periods.into(),
        detail.loss_period_max.into(),
        micros(detail.p95_ms),
        micros(detail.p99_ms),
        micros(detail.pdv_p95_ms),
        micros(detail.pdv_p99_ms),
        micros(detail.ipdv_abs_mean_ms),
        micros(detail.ipdv_abs_p95_ms),
        detail.reorder_extent_max.into(),
        detail.negative.into(),
        micros(detail.late_p99_ms),
        detail.late_sends.into(),
        detail.own_drops.into(),
        micros(detail.clock_step_ms),
        detail.verdict.clone().into(),
    ]
}

fn micros(millis: Option<f64>) -> Value<'static> {
    millis.map(|millis| millis * 1e3).into()
}

/// `[[number, delay in ns, TTL], ...]` as the tool printed them; a lost one has no delay.
fn packets(packets: &[Packet]) -> Option<String> {
    let packet = |packet: &Packet| {
        format!("[{},{},{}]", packet.seq, or_null(packet.delay_ns), or_null(packet.ttl))
    };
    let all: Vec<String> = packets.iter().map(packet).collect();
    (!all.is_empty()).then(|| format!("[{}]", all.join(",")))
}
