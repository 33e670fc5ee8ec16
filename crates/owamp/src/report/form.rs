//! The JSON of our own, key by key; docs/owping.md tells them.

#![expect(clippy::struct_field_names, reason = "keys carry their units")]

use std::collections::BTreeMap;

use readings::Direction;
use serde::{Serialize, Serializer};
use timed_udp::ntp::{ErrorEstimate, NtpTime};

use super::figures::nanos;
use crate::protocol::Record;

#[derive(Serialize)]
pub(super) struct Run<'a> {
    pub(super) owping: u32,
    pub(super) target: &'a str,
    pub(super) problem: Option<&'a str>,
    pub(super) warnings: &'a [String],
    pub(super) sessions: Vec<Session<'a>>,
}

#[derive(Serialize)]
pub(super) struct Session<'a> {
    pub(super) direction: Direction,
    pub(super) from: Host<'a>,
    pub(super) to: Host<'a>,
    pub(super) sid: String,
    pub(super) finished: bool,
    pub(super) first_packet: u32,
    pub(super) asked: u32,
    pub(super) session_packets: u32,
    pub(super) start_us: i64,
    pub(super) first_us: Option<i64>,
    pub(super) last_us: Option<i64>,
    pub(super) timeout_ns: i64,
    pub(super) padding: u32,
    pub(super) dscp: Option<u8>,
    pub(super) sent: u64,
    pub(super) skipped: u64,
    pub(super) lost: u64,
    pub(super) loss_ratio: f64,
    pub(super) duplicates: u64,
    pub(super) duplicated: u64,
    pub(super) delay: Delay,
    pub(super) pdv: Spread,
    pub(super) ipdv: Ipdv,
    pub(super) loss_periods: Losses,
    pub(super) reordering: Reordered<'a>,
    pub(super) hops: Hops,
    pub(super) clocks: Clocks,
    pub(super) sending: Sending,
    pub(super) own_drops: u64,
    pub(super) beyond_timeout: u64,
    pub(super) verdicts: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) packets: Option<Packets<'a>>,
}

#[derive(Serialize)]
pub(super) struct Host<'a> {
    pub(super) host: &'a str,
    pub(super) address: String,
    pub(super) port: u16,
}

#[derive(Serialize)]
pub(super) struct Delay {
    pub(super) min_ns: Option<i64>,
    pub(super) median_ns: Option<i64>,
    pub(super) mean_ns: Option<f64>,
    pub(super) max_ns: Option<i64>,
    pub(super) percentiles: Vec<(f64, Option<i64>)>,
    pub(super) p95_less_p50_ns: Option<i64>,
    pub(super) negative: u64,
    pub(super) bucket_ns: u64,
    pub(super) buckets: Vec<(i64, u64)>,
}

#[derive(Serialize)]
pub(super) struct Spread {
    pub(super) p50_ns: Option<i64>,
    pub(super) p95_ns: Option<i64>,
    pub(super) p99_ns: Option<i64>,
    pub(super) max_ns: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct Ipdv {
    pub(super) selection: &'static str,
    pub(super) pairs: u64,
    pub(super) min_ns: Option<i64>,
    pub(super) max_ns: Option<i64>,
    pub(super) abs_mean_ns: Option<f64>,
    pub(super) abs_p50_ns: Option<i64>,
    pub(super) abs_p95_ns: Option<i64>,
    pub(super) abs_p99_ns: Option<i64>,
    pub(super) abs_max_ns: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct Losses {
    pub(super) count: u64,
    pub(super) longest: u64,
    pub(super) mean: Option<f64>,
    pub(super) distance_min: Option<u64>,
    pub(super) distance_mean: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Reordered<'a> {
    pub(super) reordered: u64,
    pub(super) ratio: Option<f64>,
    pub(super) extent_p50: Option<u64>,
    pub(super) extent_p95: Option<u64>,
    pub(super) extent_p99: Option<u64>,
    pub(super) extent_max: Option<u64>,
    pub(super) arrivals: u64,
    pub(super) n: &'a [u64],
}

#[derive(Serialize)]
pub(super) struct Hops {
    pub(super) min: Option<u8>,
    pub(super) max: Option<u8>,
    pub(super) packets: BTreeMap<u8, u64>,
}

#[derive(Serialize)]
pub(super) struct Clocks {
    pub(super) synchronised: Option<bool>,
    pub(super) error_ns: Option<f64>,
    pub(super) impossible: u64,
    pub(super) steps: u64,
    pub(super) largest_step_ns: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct Sending {
    pub(super) late_p50_ns: Option<i64>,
    pub(super) late_p99_ns: Option<i64>,
    pub(super) late_max_ns: Option<i64>,
    pub(super) late_beyond_error: u64,
    pub(super) late_1ms: u64,
    pub(super) errors: u64,
}

/// Every packet: `[number, sent, delay, TTL, synchronised, error]`, in the order of arrival; sent is nanoseconds after
/// the session's start, delay and error are nanoseconds. Of a lost one delay and TTL are null.
pub(super) struct Packets<'a> {
    pub(super) start: NtpTime,
    pub(super) records: &'a [Record],
}

impl Serialize for Packets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.records.iter().map(|record| {
            let delay = record.received.map(|came| came.nanos_since(record.sent));
            let ttl = delay.map(|_| record.ttl);
            let told = || record.send_error.into_iter().chain(record.receive_error);
            let synchronised = told().count() == 2 && told().all(|it| it.synchronised);
            let error_ns = nanos(told().map(ErrorEstimate::seconds).sum());
            let sent = record.sent.nanos_since(self.start);
            (record.seq, sent, delay, ttl, u8::from(synchronised), error_ns)
        }))
    }
}
