//! PINGDATA.

use std::{fmt::Write, sync::LazyLock};

use readings::ping::{Ping, Reply};
use serde_json::json;
use station::world::store::Value;

use super::{COMMON, Run, Sheets, or_null, statement, told};

const COLUMNS: [&str; 23] = [
    "address",
    "payload_bytes",
    "transmitted",
    "received",
    "lost",
    "lossratio",
    "min",
    "avg",
    "max",
    "mdev",
    "rtt_p25_us",
    "rtt_p50_us",
    "rtt_p75_us",
    "rtt_p95_us",
    "rtt_p99_us",
    "ipdv_abs_mean_us",
    "pdv_p95_us",
    "loss_period_max",
    "duplicates",
    "reordered",
    "errors",
    "packets",
    "problem",
];

static INSERT: LazyLock<String> = LazyLock::new(|| statement("PINGDATA", &COLUMNS));

pub(super) fn add<'a>(sheets: &mut Sheets<'a>, run: &Run<'a>, ping: &Ping) {
    let mut values = Vec::with_capacity(COMMON.len() + COLUMNS.len());
    values.extend(run.common());
    values.extend(counts(ping));
    let delay = &ping.delay;
    values.extend(
        [delay.p25_us, delay.p50_us, delay.p75_us, delay.p95_us, delay.p99_us].map(Value::from),
    );
    values.extend([
        delay.ipdv_abs_mean_us.into(),
        delay.pdv_p95_us.into(),
        delay.loss_period_max.into(),
        ping.duplicates.into(),
        ping.reordered.into(),
        (!ping.errors.is_empty()).then(|| json!(ping.errors).to_string()).into(),
        packets(&ping.packets).into(),
        ping.problem.as_ref().map(told).into(),
    ]);
    sheets.add(&INSERT, values);
}

fn counts(ping: &Ping) -> [Value<'static>; 10] {
    [
        ping.address.map(|address| address.to_string()).into(),
        ping.bytes.into(),
        ping.transmitted.into(),
        ping.received.into(),
        ping.lost.into(),
        ping.loss_ratio.into(),
        ping.min_ms.into(),
        ping.avg_ms.into(),
        ping.max_ms.into(),
        ping.mdev_ms.into(),
    ]
}

/// The replies in the order in which they came: `[[sequence number, round-trip time in us, TTL], ...]`,
/// with the tool's remark as a fourth where it made one. A number that comes again is a duplicate.
pub(crate) fn packets<'a>(replies: impl IntoIterator<Item = &'a Reply>) -> Option<String> {
    let mut packets = String::with_capacity(320);
    for reply in replies {
        packets.push(if packets.is_empty() { '[' } else { ',' });
        // A String takes everything.
        let _ = write!(packets, "[{},{},{}", reply.seq, or_null(reply.rtt_us), or_null(reply.ttl));
        if let Some(remark) = &reply.remark {
            let _ = write!(packets, ",{}", json!(remark));
        }
        packets.push(']');
    }
    (!packets.is_empty()).then(|| packets + "]")
}
