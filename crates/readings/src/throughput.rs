//! What a throughput test measured: the common form of the readings of iperf 2, iperf 3 and thrulay.
//!
//! Rates are bits of payload per second, as the tools count them; a mega is 10^6 in a rate and a
//! kilobyte 1024 bytes in a volume, as the tools print them.

use std::net::IpAddr;

use serde::Serialize;

use crate::{Direction, Problem};

/// What a throughput test measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Throughput {
    /// The transport that was measured over, if the output tells.
    pub protocol: Option<Protocol>,
    /// The server's address.
    pub address: Option<IpAddr>,
    /// The server's port.
    pub port: Option<u16>,
    /// What was measured, by direction; towards the target first.
    pub flows: Vec<Flow>,
    /// What the tool warned of, at most 16 lines.
    pub warnings: Vec<String>,
    /// Why there are no figures, or fewer.
    pub problem: Option<Problem>,
    /// Whether the test's own end was printed for every flow, in figures that can be believed.
    pub complete: bool,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The data that went one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flow {
    /// Which way.
    pub direction: Direction,
    /// How many streams side by side.
    pub streams: u32,
    /// The whole test as the sender counts it, all streams together.
    pub sent: Option<Interval>,
    /// The whole test as the receiver counts it, all streams together.
    pub received: Option<Interval>,
    /// The parts of the test, all streams together, in the order of time.
    pub intervals: Vec<Interval>,
    /// The whole test stream by stream, where there were several.
    pub by_stream: Vec<Interval>,
    /// The smallest rate of an interval, bit/s; an interval that is shorter than the others does not
    /// count. None where only the sender counted intervals and that says nothing: over UDP.
    pub thrumin_bps: Option<f64>,
    /// The rate of the whole test, bit/s: the receiver's count where it is known, else the sender's over
    /// TCP, unless the connection broke. What is sent over UDP may never arrive.
    pub thruavg_bps: Option<f64>,
    /// The largest rate of an interval, bit/s.
    pub thrumax_bps: Option<f64>,
    /// The smallest, middle and largest round-trip time that the tool saw within its own streams; the
    /// handshake's counts towards the smallest only.
    pub rtt: Option<RoundTrip>,
    /// One-way delays of the datagrams, as far as the clocks of both ends agree (thrulay over UDP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<OneWayDelay>,
}

/// Percentiles of a one-way delay, microseconds; negative where the clocks do not agree. Lost datagrams
/// are not among them, as the tool takes them over those that came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OneWayDelay {
    /// The smallest.
    pub min_us: Option<i64>,
    /// 25th percentile.
    pub p25_us: Option<i64>,
    /// 50th percentile, the median.
    pub p50_us: Option<i64>,
    /// 75th percentile.
    pub p75_us: Option<i64>,
    /// 95th percentile.
    pub p95_us: Option<i64>,
}

/// Round-trip times within a stream, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RoundTrip {
    /// The smallest.
    pub min_us: Option<u64>,
    /// The mean, or the median where the tool prints that one (thrulay).
    pub avg_us: Option<u64>,
    /// The largest.
    pub max_us: Option<u64>,
}

/// A stretch of a test.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Interval {
    /// Its begin, seconds since the begin of the test; 0 to 0 where the output tells no times.
    pub start_s: f64,
    /// Its end, seconds since the begin of the test.
    pub end_s: f64,
    /// Bytes of payload.
    pub bytes: Option<u64>,
    /// Bits of payload per second.
    pub bits_per_s: Option<f64>,
    /// TCP segments that were sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retransmits: Option<u64>,
    /// Round-trip time of the stream, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<RoundTrip>,
    /// Interarrival jitter (RFC 3550 section 6.4.1) as the receiver printed it, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_us: Option<f64>,
    /// Datagrams that were lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// Datagrams that were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagrams: Option<u64>,
    /// Datagrams that came after one that was sent later; thrulay counts only those that came right after
    /// one (1-reordering, RFC 4737 section 5.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reordered: Option<u64>,
    /// Datagrams that came again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<u64>,
}

impl Flow {
    /// A flow of which nothing is known yet.
    #[must_use]
    pub const fn new(direction: Direction) -> Self {
        Self {
            direction,
            streams: 0,
            sent: None,
            received: None,
            intervals: Vec::new(),
            by_stream: Vec::new(),
            thrumin_bps: None,
            thruavg_bps: None,
            thrumax_bps: None,
            rtt: None,
            delay: None,
        }
    }

    /// The whole test: the receiver's count where it is known, else the sender's.
    #[must_use]
    pub fn whole(&self) -> Option<&Interval> {
        self.received.as_ref().or(self.sent.as_ref())
    }
}

impl Throughput {
    /// Bytes of payload that went either way, for what is allowed in a day.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = |flow: &Flow| {
            let whole = flow.sent.as_ref().and_then(|sent| sent.bytes);
            let parts =
                || flow.intervals.iter().filter_map(|part| part.bytes).fold(0, u64::saturating_add);
            whole.or_else(|| flow.received.as_ref()?.bytes).unwrap_or_else(parts)
        };
        self.flows.iter().map(bytes).fold(0, u64::saturating_add)
    }
}
