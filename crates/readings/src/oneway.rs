//! What a one-way measurement found: the common form of the readings of owping (RFC 4656).
//!
//! Delays are signed: where the clocks of both ends do not agree, a delay may come out negative, and
//! that is told as it is. A lost packet has an undefined delay (RFC 7679 section 3.4).

use std::net::IpAddr;

use serde::Serialize;

use crate::{Direction, Problem};

/// What a one-way measurement found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OneWay {
    /// Each direction by itself; towards the target first.
    pub sessions: Vec<Session>,
    /// What the tool warned of, at most 16 lines.
    pub warnings: Vec<String>,
    /// Why there are no figures, or fewer.
    pub problem: Option<Problem>,
    /// Whether the end of every session that began is there.
    pub complete: bool,
}

/// A stream of packets one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Session {
    /// Which way.
    pub direction: Direction,
    /// Who sent, as printed; a name or an address.
    pub from: Option<String>,
    /// Who received, as printed.
    pub to: Option<String>,
    /// The target's address, if the output tells it.
    pub address: Option<IpAddr>,
    /// Packets sent.
    pub sent: Option<u64>,
    /// Packets lost.
    pub lost: Option<u64>,
    /// Packets that came again.
    pub duplicates: Option<u64>,
    /// Packets that came after one that was sent later (RFC 4737 section 3.3); none if the output does not tell.
    pub reordered: Option<u64>,
    /// Share of the packets that came right after one that was sent later (1-reordering, RFC 4737 section
    /// 5.1), 0 to 1; none if the output does not tell. Those that are `reordered` are these and maybe more.
    pub one_reordered_ratio: Option<f64>,
    /// Smallest one-way delay, milliseconds; none where it is undefined.
    pub min_ms: Option<f64>,
    /// Median one-way delay, milliseconds; none where it is undefined or falls among lost packets.
    pub median_ms: Option<f64>,
    /// Largest one-way delay of a packet that came, milliseconds.
    pub max_ms: Option<f64>,
    /// What the tool calls jitter: the 95th percentile of the delay less the median, milliseconds.
    pub p95_less_p50_ms: Option<f64>,
    /// Whether both clocks were held to be synchronised.
    pub synchronised: Option<bool>,
    /// The largest error of the delays that the clocks admit to, milliseconds.
    pub error_ms: Option<f64>,
    /// Routers on the way: the smallest and the largest number seen.
    pub hops: Option<(u8, u8)>,
    /// What else is known, mostly of our own owping.
    #[serde(flatten)]
    pub detail: Detail,
    /// The percentiles that were asked for (`-a`), at most 16; of our own owping some always.
    pub percentiles: Vec<Percentile>,
    /// Every packet that was printed (`-R`, `-v`), in the order of their arrival, lost ones where the tool put them.
    pub packets: Vec<Packet>,
}

/// Figures that the summaries of the reference tool do not have: our own owping has all (`--json`), and some follow from
/// its records (`-R`).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Detail {
    /// Packets that the sender left out since it was late.
    pub skipped: Option<u64>,
    /// 95th percentile of the delay, milliseconds; none where it falls among lost packets.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Delays below zero: the clocks disagree by more than the delay.
    pub negative: Option<u64>,
    /// 95th percentile of PDV, milliseconds: that of the delay less the smallest (RFC 5481 section 4.2).
    pub pdv_p95_ms: Option<f64>,
    /// 99th percentile of PDV.
    pub pdv_p99_ms: Option<f64>,
    /// Mean of |IPDV|, milliseconds, over pairs of consecutive packets that both came (RFC 3393).
    pub ipdv_abs_mean_ms: Option<f64>,
    /// 95th percentile of |IPDV|, milliseconds.
    pub ipdv_abs_p95_ms: Option<f64>,
    /// Runs of consecutive lost packets (RFC 3357).
    pub loss_periods: Option<u64>,
    /// Packets of the longest of them; 0 without loss.
    pub loss_period_max: Option<u64>,
    /// The largest reordering extent, packets (RFC 4737 section 4.2); 0 without reordering.
    pub reorder_extent_max: Option<u64>,
    /// 99th percentile of how late packets were sent, milliseconds; negative if early.
    pub late_p99_ms: Option<f64>,
    /// Packets that were sent later than a millisecond after their time.
    pub late_sends: Option<u64>,
    /// Packets that the receiving machine itself dropped.
    pub own_drops: Option<u64>,
    /// The largest step by which our own clock was set meanwhile, milliseconds with its sign; 0 if it was not.
    pub clock_step_ms: Option<f64>,
    /// What the figures are not to be taken for, `late sender` for instance; several with commas.
    pub verdict: Option<String>,
}

/// A percentile of the one-way delay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentile {
    /// Which, 0 to 100.
    pub percent: f64,
    /// The delay, milliseconds; none if it falls among lost packets.
    pub delay_ms: Option<f64>,
}

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Packet {
    /// Its number, from 0.
    pub seq: u64,
    /// Its one-way delay, nanoseconds; none if it was lost.
    pub delay_ns: Option<i64>,
    /// TTL that it arrived with.
    pub ttl: Option<u8>,
}

impl Detail {
    const EMPTY: Self = Self {
        skipped: None,
        p95_ms: None,
        p99_ms: None,
        negative: None,
        pdv_p95_ms: None,
        pdv_p99_ms: None,
        ipdv_abs_mean_ms: None,
        ipdv_abs_p95_ms: None,
        loss_periods: None,
        loss_period_max: None,
        reorder_extent_max: None,
        late_p99_ms: None,
        late_sends: None,
        own_drops: None,
        clock_step_ms: None,
        verdict: None,
    };
}

impl Session {
    /// A session of which nothing is known yet.
    #[must_use]
    pub const fn new(direction: Direction) -> Self {
        Self {
            direction,
            from: None,
            to: None,
            address: None,
            sent: None,
            lost: None,
            duplicates: None,
            reordered: None,
            one_reordered_ratio: None,
            min_ms: None,
            median_ms: None,
            max_ms: None,
            p95_less_p50_ms: None,
            synchronised: None,
            error_ms: None,
            hops: None,
            detail: Detail::EMPTY,
            percentiles: Vec::new(),
            packets: Vec::new(),
        }
    }
}
