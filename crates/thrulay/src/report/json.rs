//! One JSON object with all figures. docs/thrulay.md tells every key.

use serde::Serialize;

use super::{KernelView, Outcome, Run, TcpOutcome, Told, UdpOutcome};
use crate::{
    protocol::UdpReport,
    statistics::{RoundTrips, Row},
};

/// The version of this form.
const VERSION: u32 = 1;

/// The document, with a newline.
#[must_use]
pub fn json(run: &Run) -> String {
    let (tcp, udp) = match &run.outcome {
        Some(Outcome::Tcp(it)) => (Some(Tcp::of(it)), None),
        Some(Outcome::Udp(it)) => (None, Some(Udp::of(it))),
        None => (None, None),
    };
    let document = Document {
        thrulay: VERSION,
        host: &run.host,
        server: run.server.map(|it| it.to_string()),
        from: run.from.map(|it| it.to_string()),
        dscp: run.dscp,
        tcp,
        udp,
        warnings: &run.warnings,
        problem: run.problem.as_deref(),
    };
    // There are no maps with other keys than text, so that nothing can fail.
    serde_json::to_string(&document).unwrap_or_default() + "\n"
}

#[derive(Serialize)]
struct Document<'a> {
    thrulay: u32,
    host: &'a str,
    server: Option<String>,
    from: Option<String>,
    dscp: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<Tcp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udp: Option<Udp>,
    warnings: &'a [String],
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct Tcp {
    streams: u16,
    local_window: u32,
    remote_window: u32,
    block_size: u32,
    mtu: u32,
    mss: u32,
    duration_s: u32,
    interval_s: u32,
    intervals: Vec<Stretch>,
    by_stream: Vec<Stretch>,
    total: Stretch,
    server_bytes: Option<u64>,
}

impl Tcp {
    fn of(it: &TcpOutcome) -> Self {
        let again = it.streams.iter().map(|it| it.kernel.map(|kernel| kernel.retransmits));
        let total = Told { row: it.total, kernel: None };
        Self {
            streams: it.setup.streams,
            local_window: it.setup.local_window,
            remote_window: it.setup.remote_window,
            block_size: it.setup.block,
            mtu: it.setup.mtu,
            mss: it.setup.mss,
            duration_s: it.setup.duration_s,
            interval_s: it.setup.interval_s,
            intervals: it.intervals.iter().map(Stretch::of).collect(),
            by_stream: it.streams.iter().map(Stretch::of).collect(),
            total: Stretch { retransmits: again.sum(), ..Stretch::of(&total) },
            server_bytes: it.server_octets,
        }
    }
}

#[derive(Serialize)]
struct Stretch {
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<u16>,
    start_s: f64,
    end_s: f64,
    bytes: u64,
    bits_per_s: f64,
    rtt: Option<Rtt>,
    retransmits: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<Kernel>,
}

#[derive(Serialize)]
struct Rtt {
    count: u64,
    min_ms: f64,
    avg_ms: f64,
    max_ms: f64,
    median_ms: f64,
    iqr_ms: f64,
}

#[derive(Serialize)]
struct Kernel {
    rtt_ms: f64,
    rtt_var_ms: f64,
    congestion_window_segments: u32,
}

impl Stretch {
    fn of(it: &Told) -> Self {
        let Told { row, kernel } = it;
        let Row { stream, begin, end, octets, rtt } = *row;
        Self {
            stream,
            start_s: rounded(real(begin) / 1e9),
            end_s: rounded(real(end) / 1e9),
            bytes: octets,
            bits_per_s: rounded(row.bits_per_s()),
            rtt: rtt.as_ref().map(Rtt::of),
            retransmits: kernel.map(|it| it.retransmits),
            kernel: kernel.as_ref().map(Kernel::of),
        }
    }
}

impl Rtt {
    fn of(it: &RoundTrips) -> Self {
        Self {
            count: it.count,
            min_ms: millis(it.min),
            avg_ms: millis(it.mean),
            max_ms: millis(it.max),
            median_ms: millis(it.median),
            iqr_ms: millis(it.quartile_range),
        }
    }
}

impl Kernel {
    fn of(it: &KernelView) -> Self {
        Self {
            rtt_ms: f64::from(it.rtt_us) / 1e3,
            rtt_var_ms: f64::from(it.rtt_var_us) / 1e3,
            congestion_window_segments: it.congestion_window,
        }
    }
}

#[derive(Serialize)]
struct Udp {
    packet_size: u16,
    rate_bps: u64,
    proposed: u32,
    sent: u64,
    unsent: u64,
    late_p50_us: Option<f64>,
    late_p95_us: Option<f64>,
    server_buffer: u32,
    client_synchronised: bool,
    received: Option<Received>,
}

#[derive(Serialize)]
struct Received {
    server_synchronised: bool,
    total: u64,
    unique: u64,
    lost: u64,
    dropped_by_server: u64,
    duplicates: u64,
    n_reordered: Vec<u64>,
    span_s: f64,
    bits_per_s: Option<f64>,
    delay_ms: Option<Delay>,
    pdv_iqr_ms: Option<f64>,
    ipdv_abs_p50_ms: Option<f64>,
    ipdv_abs_p95_ms: Option<f64>,
}

#[derive(Serialize)]
struct Delay {
    min: f64,
    p25: f64,
    p50: f64,
    p75: f64,
    p95: f64,
    max: f64,
}

impl Udp {
    fn of(it: &UdpOutcome) -> Self {
        let late =
            |percent| it.lateness.percentile(percent).map(|nanos| rounded(real(nanos) / 1e3));
        let sent = it.lateness.sent();
        Self {
            packet_size: it.size,
            rate_bps: it.rate,
            proposed: it.proposed,
            sent,
            unsent: it.lateness.unsent(),
            late_p50_us: late(50),
            late_p95_us: late(95),
            server_buffer: it.buffer,
            client_synchronised: it.synchronised,
            received: it.report.as_ref().map(|report| Received::of(report, sent, it.payload)),
        }
    }
}

impl Received {
    fn of(it: &UdpReport, sent: u64, payload: u16) -> Self {
        let lost = sent.saturating_sub(it.unique);
        // A quartile of which more than a quarter is lost is that of an undefined delay (RFC 2681 section 2.4).
        let has_quartile = lost.saturating_mul(4) <= sent;
        let range = it.delays.filter(|_| has_quartile).map(|it| signed(it[3] - it[1]));
        Self {
            server_synchronised: it.synchronised,
            total: it.received,
            unique: it.unique,
            lost,
            dropped_by_server: it.dropped,
            duplicates: it.received - it.unique,
            n_reordered: it.reordered.clone(),
            span_s: rounded(real(it.span) / 1e9),
            bits_per_s: rate(it, payload),
            delay_ms: it.delays.map(|[min, p25, p50, p75, p95, max]| Delay {
                min: signed(min),
                p25: signed(p25),
                p50: signed(p50),
                p75: signed(p75),
                p95: signed(p95),
                max: signed(max),
            }),
            pdv_iqr_ms: range,
            ipdv_abs_p50_ms: it.ipdv.map(|it| signed(it[0])),
            ipdv_abs_p95_ms: it.ipdv.map(|it| signed(it[1])),
        }
    }
}

/// The rate at which payload came: of all gaps between the first and the last.
fn rate(it: &UdpReport, payload: u16) -> Option<f64> {
    let gaps = it.received.checked_sub(1).filter(|gaps| *gaps > 0 && it.span > 0)?;
    Some(rounded(real(gaps) * f64::from(payload) * 8e9 / real(it.span)))
}

/// Six digits behind the point: what is smaller is nobody's.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn millis(nanos: u64) -> f64 {
    rounded(real(nanos) / 1e6)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn real(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn signed(nanos: i64) -> f64 {
    rounded(nanos as f64 / 1e6)
}
