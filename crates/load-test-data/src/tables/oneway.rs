//! OWAMPDATA.

use std::sync::LazyLock;

use readings::{
    Direction,
    oneway::{OneWay, Packet, Session as Way},
};
use station::world::store::Value;

use super::{COMMON, Run, Sheets, or_null, statement, told};

const COLUMNS: [&str; 28] = [
    "address",
    "problem",
    "tmin",
    "tmed",
    "tmax",
    "to_sent",
    "to_lost",
    "to_duplicates",
    "to_reordered",
    "to_p95_less_p50_us",
    "to_error_us",
    "to_synchronised",
    "to_hops_min",
    "to_hops_max",
    "to_packets",
    "fmin",
    "fmed",
    "fmax",
    "from_sent",
    "from_lost",
    "from_duplicates",
    "from_reordered",
    "from_p95_less_p50_us",
    "from_error_us",
    "from_synchronised",
    "from_hops_min",
    "from_hops_max",
    "from_packets",
];

static INSERT: LazyLock<String> = LazyLock::new(|| statement("OWAMPDATA", &COLUMNS));

pub(super) fn add<'a>(sheets: &mut Sheets<'a>, run: &Run<'a>, oneway: &OneWay) {
    let address = oneway.sessions.iter().find_map(|way| way.address);
    let mut values = Vec::with_capacity(COMMON.len() + COLUMNS.len());
    values.extend(run.common());
    values.push(address.map(|address| address.to_string()).into());
    values.push(oneway.problem.as_ref().map(told).into());
    for direction in [Direction::To, Direction::From] {
        values.extend(way(oneway.sessions.iter().find(|way| way.direction == direction)));
    }
    sheets.add(&INSERT, values);
}

/// The columns of a direction; NULL where there was no session.
fn way(way: Option<&Way>) -> [Value<'static>; 13] {
    let Some(way) = way else { return [const { Value::Null }; 13] };
    let micros = |millis: Option<f64>| millis.map(|millis| millis * 1e3).into();
    [
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
    ]
}

/// `[[number, delay in ns, TTL], ...]` as the tool printed them; a lost one has no delay.
fn packets(packets: &[Packet]) -> Option<String> {
    let packet = |packet: &Packet| {
        format!("[{},{},{}]", packet.seq, or_null(packet.delay_ns), or_null(packet.ttl))
    };
    let all: Vec<String> = packets.iter().map(packet).collect();
    (!all.is_empty()).then(|| format!("[{}]", all.join(",")))
}
