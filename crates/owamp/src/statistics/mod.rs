//! What the records of a session say, by the words and rules of the IPPM documents.
//!
//! - A packet is lost if it did not come within the session's time-out (RFC 7680 section 2.4). A lost packet's delay is
//!   undefined and counts as larger than any other (RFC 7679 section 5): a percentile that falls among lost packets
//!   is none. Nothing is interpolated, and nothing estimated: percentiles are exact.
//! - Delays are signed. Where the clocks of both ends disagree a delay may come out negative; it is kept and counted.
//! - A packet that came more than once counts once, with its first arrival (RFC 7679 section 3.8.4); its further
//!   arrivals are duplicates (RFC 5560).
//! - What was never sent is neither sent nor lost: packets that the sender skipped are not in the stream.
//!
//! All lengths of time are whole nanoseconds, if nothing else is said.

mod clocks;
mod delays;
mod loss;
mod packets;
mod parts;
mod reordering;
mod sending;
mod variation;
mod verdict;

use std::collections::BTreeMap;

use timed_udp::ntp::NtpTime;

use crate::protocol::{Record, SkipRange};

pub use clocks::Clocks;
pub use delays::{Delays, Percent};
pub use loss::LossPeriods;
pub use parts::{Part, Parts};
pub use reordering::Reordering;
pub use sending::{Lateness, NOTABLE_NS};
pub use variation::Variation;
pub use verdict::Verdict;

/// What is known of a session, or of a part of it, beside its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Number of its first packet: 0 but for a part of a session.
    pub first: u32,
    /// Packets that were asked for, from that one on.
    pub asked: u32,
    /// Numbers that the sender did not send since it would have been too late, in order.
    pub skipped: Vec<SkipRange>,
    /// When the whole session's schedule begins.
    pub start: NtpTime,
    /// How long after its sending a packet is waited for, units of 2^-32 s.
    pub timeout: u64,
    /// Packets that our own machine dropped after the network had brought them; 0 if that is not known.
    pub own_drops: u64,
    /// Packets that the network brought with time stamps further from our clock than the time-out, and that count as
    /// lost; 0 if that is not known.
    pub beyond_timeout: u64,
    /// The clocks of both ends are known to be further apart than the time-out, by other than these packets.
    pub clocks_apart: bool,
    /// How often sending failed.
    pub send_errors: u64,
    /// How far our clock was set while the session went on, each time.
    pub clock_steps: Vec<i64>,
}

/// What a session, or a part of it, came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Packets that were sent, as far as is known: those of which there is a record.
    pub sent: u64,
    /// Those of them that did not come in time.
    pub lost: u64,
    /// Packets that were not sent since it would have been too late.
    pub skipped: u64,
    /// Arrivals beyond the first of each packet.
    pub duplicates: u64,
    /// Packets that came more than once.
    pub duplicated: u64,
    /// When the first packet was due, and the last; none where nothing was asked for.
    pub span: Option<(NtpTime, NtpTime)>,
    /// The delays of the packets that came.
    pub delays: Delays,
    /// Their differences between consecutive packets (IPDV, RFC 3393).
    pub ipdv: Variation,
    /// Which came after later ones (RFC 4737).
    pub reordering: Reordering,
    /// How losses lie together (RFC 3357).
    pub loss_periods: LossPeriods,
    /// How many packets came with each TTL or hop limit.
    pub ttls: BTreeMap<u8, u64>,
    /// What the clocks of both ends are worth.
    pub clocks: Clocks,
    /// How late packets were sent.
    pub lateness: Lateness,
    /// Packets that our own machine dropped; lost by the figures, and not the network's fault.
    pub own_drops: u64,
    /// Packets that came with time stamps further from our clock than the time-out; lost by the figures.
    pub beyond_timeout: u64,
    /// How often sending failed.
    pub send_errors: u64,
    /// What the figures are not to be taken for.
    pub verdicts: Vec<Verdict>,
}

/// TTL and hop limit with which packets are sent (RFC 4656 section 4.1.2).
pub const TTL_SENT: u8 = 255;

impl Summary {
    /// The summary of `records`, which are in the order of arrival, those of lost packets anywhere among them.
    ///
    /// `schedule` tells when each packet was due, from the first of `known` on, units of 2^-32 s after the session's
    /// start. As many are taken of it as were asked for, so that it goes on with the next part.
    #[must_use]
    pub fn of(known: &Known, schedule: impl Iterator<Item = u64>, records: &[Record]) -> Self {
        let packets = packets::of(known, records);
        let lost = count(packets.all.iter().filter(|packet| !packet.came));
        let due = Due::of(known, schedule, &packets);
        let clocks = Clocks::of(known, &packets);
        let lateness = Lateness::of(&packets, &due);
        let mut summary = Self {
            sent: count(packets.all.iter()),
            lost,
            skipped: known.skipped_of(known.first, known.asked),
            duplicates: packets.all.iter().map(|packet| packet.copies).sum(),
            duplicated: count(packets.all.iter().filter(|packet| packet.copies > 0)),
            span: due.span,
            delays: Delays::of(packets.delays().map(|(_, delay)| delay), lost),
            ipdv: Variation::between(packets.delays()),
            reordering: Reordering::of(&packets),
            loss_periods: LossPeriods::of(packets.all.iter().map(|packet| !packet.came)),
            ttls: BTreeMap::new(),
            clocks,
            lateness,
            own_drops: known.own_drops,
            beyond_timeout: known.beyond_timeout,
            send_errors: known.send_errors,
            verdicts: Vec::new(),
        };
        for record in packets.came() {
            *summary.ttls.entry(record.ttl).or_default() += 1;
        }
        summary.verdicts = Verdict::all_of(&summary, known);
        summary
    }

    /// Lost packets among those that were sent, 0 to 1; 0 if none was.
    #[must_use]
    pub fn loss_ratio(&self) -> f64 {
        ratio(self.lost, self.sent)
    }

    /// Packets that came.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.sent - self.lost
    }

    /// Routers on the way, the fewest and the most; none if no packet came.
    #[must_use]
    pub fn hops(&self) -> Option<(u8, u8)> {
        let (least, _) = self.ttls.first_key_value()?;
        let (most, _) = self.ttls.last_key_value()?;
        Some((TTL_SENT - most, TTL_SENT - least))
    }

    /// The delay's 95th percentile less its median: what the reference tool calls jitter.
    #[must_use]
    pub fn p95_less_p50(&self) -> Option<i64> {
        let (p95, p50) =
            (self.delays.percentile(Percent::P95), self.delays.percentile(Percent::P50));
        p95.zip(p50).map(|(p95, p50)| p95.saturating_sub(p50))
    }
}

impl Known {
    /// How many of `number` packets from `first` on were skipped.
    fn skipped_of(&self, first: u32, number: u32) -> u64 {
        let (first, end) = (u64::from(first), u64::from(first) + u64::from(number));
        let of = |range: &SkipRange| {
            let from = u64::from(range.first).max(first);
            (u64::from(range.last) + 1).min(end).saturating_sub(from)
        };
        self.skipped.iter().map(of).sum()
    }

    /// Whether a packet is one of these.
    pub(crate) fn has(&self, number: u32) -> bool {
        number.checked_sub(self.first).is_some_and(|place| place < self.asked)
    }
}

/// When packets were due.
struct Due {
    span: Option<(NtpTime, NtpTime)>,
    /// Of those that were sent, in their order.
    times: Vec<NtpTime>,
}

impl Due {
    fn of(
        known: &Known,
        schedule: impl Iterator<Item = u64>,
        packets: &packets::Packets<'_>,
    ) -> Self {
        let (mut first, mut last) = (None, None);
        let mut times = Vec::with_capacity(packets.all.len());
        let mut sent = packets.all.iter().map(|packet| u64::from(packet.record.seq)).peekable();
        let numbers = u64::from(known.first)..u64::from(known.first) + u64::from(known.asked);
        for (number, due) in numbers.zip(schedule) {
            let due = NtpTime(known.start.0.wrapping_add(due));
            first.get_or_insert(due);
            last = Some(due);
            if sent.next_if_eq(&number).is_some() {
                times.push(due);
            }
        }
        Self { span: first.zip(last), times }
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u64 {
    u64::try_from(items.count()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of a session stay below 2^53"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests;
