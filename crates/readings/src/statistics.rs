//! Delay and loss statistics of a stream of numbered packets.
//!
//! The words are those of the IPPM documents, and so are the rules:
//!
//! - A lost packet has an *undefined* delay, which counts as larger than any other
//!   ([RFC 2681](https://www.rfc-editor.org/rfc/rfc2681) section 2.4). Percentiles are therefore taken over
//!   all packets sent: with 60 % loss there is no median.
//! - A percentile is that of the empirical distribution function
//!   ([RFC 2330](https://www.rfc-editor.org/rfc/rfc2330) section 11.3): the smallest delay x for which at
//!   least that share of the packets had a delay of x or less. Nothing is interpolated. The median
//!   is the 50th percentile by the same rule, also for an even number of packets.
//! - The two words for delay variation are kept apart, as
//!   [RFC 5481](https://www.rfc-editor.org/rfc/rfc5481) does: IPDV is between consecutive packets
//!   ([RFC 3393](https://www.rfc-editor.org/rfc/rfc3393)), PDV is against the smallest delay.
//! - A loss period is a run of consecutive lost packets
//!   ([RFC 3357](https://www.rfc-editor.org/rfc/rfc3357), Type-P-One-Way-Loss-Period-Lengths).
//!
//! All delays are whole microseconds.

use std::collections::BTreeMap;

use serde::Serialize;

/// What is known of a stream of numbered packets. Nothing of a duplicate belongs in here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    /// The number of the first packet sent.
    pub first: u64,
    /// How many were sent, if that is known.
    pub transmitted: Option<u64>,
    /// How many of them were answered, also those that are not in `delays`.
    pub received: u64,
    /// By sequence number, the delay of each answered packet whose number is known; `None` if it was
    /// not timed.
    pub delays: BTreeMap<u64, Option<u64>>,
}

/// Percentiles of the delay, its variation, and the shape of the loss.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Delay {
    /// 25th percentile, microseconds; none if it falls among the lost packets, or if their number or
    /// any of the delays is unknown. So are all percentiles.
    pub p25_us: Option<u64>,
    /// 50th percentile, the median.
    pub p50_us: Option<u64>,
    /// 75th percentile.
    pub p75_us: Option<u64>,
    /// 95th percentile.
    pub p95_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
    /// Mean of |IPDV|, microseconds, over all pairs of consecutive packets of which both were
    /// received and timed (RFC 3393, RFC 5481 section 4.1); none without such a pair.
    pub ipdv_abs_mean_us: Option<f64>,
    /// 95th percentile of PDV, microseconds: `p95_us` less the smallest delay (RFC 5481 section 4.2).
    pub pdv_p95_us: Option<u64>,
    /// Length of the longest loss period in packets; 0 without loss, none if it is not known which
    /// packets were lost (RFC 3357).
    pub loss_period_max: Option<u64>,
    /// How many loss periods there were.
    pub loss_periods: Option<u64>,
}

impl Delay {
    /// The statistics of the stream.
    #[must_use]
    pub fn of(stream: &Stream) -> Self {
        let sorted = stream.sorted();
        let lost = stream.lost_among(sorted.len());
        let percentile = |percent| percentile(&sorted, lost?, percent);
        let p95_us = percentile(95);
        let periods = stream.loss_periods();
        Self {
            p25_us: percentile(25),
            p50_us: percentile(50),
            p75_us: percentile(75),
            p95_us,
            p99_us: percentile(99),
            ipdv_abs_mean_us: ipdv_abs_mean(&stream.delays),
            pdv_p95_us: p95_us.zip(sorted.first()).map(|(p95, min)| p95.saturating_sub(*min)),
            loss_period_max: periods.map(|periods| periods.longest),
            loss_periods: periods.map(|periods| periods.count),
        }
    }
}

impl Stream {
    /// The known delays, the smallest first.
    fn sorted(&self) -> Vec<u64> {
        let mut delays: Vec<u64> = self.delays.values().copied().flatten().collect();
        delays.sort_unstable();
        delays
    }

    /// How many delays are undefined, provided that all the others are known.
    fn lost_among(&self, timed: usize) -> Option<u64> {
        let lost = self.transmitted?.checked_sub(self.received)?;
        (count(timed) == self.received).then_some(lost)
    }

    fn loss_periods(&self) -> Option<LossPeriods> {
        let sent = self.transmitted?;
        if sent == self.received {
            return Some(LossPeriods::default());
        }
        let all_named = count(self.delays.len()) == self.received;
        all_named.then(|| loss_periods(self.first, sent, self.delays.keys().copied())).flatten()
    }
}

/// The `percent`-th percentile of a sample of which `lost` values are undefined; none if it is one of
/// those, or if the sample is empty.
///
/// `sorted` must be in ascending order, `percent` at most 100.
#[must_use]
pub fn percentile<T: Copy>(sorted: &[T], lost: u64, percent: u8) -> Option<T> {
    quantile(sorted, lost, u32::from(percent) * 1_000)
}

/// The same of a percentage to the thousandth: 99.9 % are 99900 `thousandths`, and 100000 the most.
#[must_use]
pub fn quantile<T: Copy>(sorted: &[T], lost: u64, thousandths: u32) -> Option<T> {
    let size = u128::from(count(sorted.len())) + u128::from(lost);
    let rank = (size * u128::from(thousandths)).div_ceil(100_000).max(1);
    sorted.get(usize::try_from(rank - 1).ok()?).copied()
}

/// Mean of the absolute differences between the delays of consecutive packets.
#[must_use]
pub fn ipdv_abs_mean(delays: &BTreeMap<u64, Option<u64>>) -> Option<f64> {
    let pairs = delays.iter().zip(delays.iter().skip(1));
    let variations = pairs.filter_map(|((seq, delay), (next_seq, next))| {
        let consecutive = seq.checked_add(1) == Some(*next_seq);
        consecutive.then_some((*delay)?.abs_diff((*next)?))
    });
    mean(variations)
}

/// The runs of consecutive lost packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LossPeriods {
    /// How many there were.
    pub count: u64,
    /// The length of the longest, in packets.
    pub longest: u64,
}

impl LossPeriods {
    fn note(&mut self, length: u64) {
        self.count += u64::from(length > 0);
        self.longest = self.longest.max(length);
    }
}

/// The loss periods of the packets `first..first + sent`, given the numbers received in ascending
/// order; none if one of these was never sent, or comes twice.
#[must_use]
pub fn loss_periods(
    first: u64,
    sent: u64,
    received: impl IntoIterator<Item = u64>,
) -> Option<LossPeriods> {
    let end = first.checked_add(sent)?;
    let mut periods = LossPeriods::default();
    let mut expected = first;
    for seq in received {
        if seq >= end {
            return None;
        }
        periods.note(seq.checked_sub(expected)?);
        expected = seq + 1;
    }
    periods.note(end - expected);
    Some(periods)
}

/// Smallest, mean and largest of some delays, and how far they lie from their mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The smallest, in the unit of the delays.
    pub min: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The largest.
    pub max: f64,
    /// The standard deviation of the population (divided by n, as the pings do).
    pub deviation: f64,
}

impl Spread {
    /// The spread of the delays; none if there are none.
    #[must_use]
    pub fn of(delays: &[u64]) -> Option<Self> {
        let mean = mean(delays.iter().copied())?;
        let squares: f64 = delays.iter().map(|delay| (real(*delay) - mean).powi(2)).sum();
        Some(Self {
            min: real(*delays.iter().min()?),
            mean,
            max: real(*delays.iter().max()?),
            deviation: (squares / real(count(delays.len()))).sqrt(),
        })
    }
}

fn mean(values: impl IntoIterator<Item = u64>) -> Option<f64> {
    let (sum, count) =
        values.into_iter().fold((0.0, 0), |(sum, count), value| (sum + real(value), count + 1));
    (count > 0).then(|| sum / real(count))
}

pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "delays and counts stay far below 2^53")]
pub(crate) fn real(number: u64) -> f64 {
    number as f64
}

/// The nearest whole number; none for what is negative, or too large to be told to the unit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 2^53")]
pub(crate) fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (0.0..EXACT).contains(&number).then(|| number.round() as u64)
}
