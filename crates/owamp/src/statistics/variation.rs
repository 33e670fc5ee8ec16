//! The difference of delays between consecutive packets (IPDV).

use super::{Delays, Percent};

/// IPDV (RFC 3393, RFC 5481 section 4.1). Its selection function: every pair of packets with consecutive numbers, n
/// and n + 1, of which both came. A pair of which one is lost is undefined, and left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variation {
    /// Pairs.
    pub pairs: u64,
    /// Mean of the differences without their sign.
    pub abs_mean: Option<f64>,
    /// The largest fall of the delay from a packet to the next, not above 0, if there is a pair and one fell.
    pub min: Option<i64>,
    /// The largest rise.
    pub max: Option<i64>,
    /// The differences without their sign.
    abs: Delays,
}

impl Variation {
    /// Of delays by number, ascending.
    pub(super) fn between(delays: impl Iterator<Item = (u32, i64)>) -> Self {
        let mut before: Option<(u32, i64)> = None;
        let mut differences = Vec::new();
        for (number, delay) in delays {
            let pair = before.filter(|(other, _)| other.checked_add(1) == Some(number));
            differences.extend(pair.map(|(_, other)| delay.saturating_sub(other)));
            before = Some((number, delay));
        }
        let abs = Delays::of(differences.iter().map(|it| it.saturating_abs()), 0);
        Self {
            pairs: super::count(differences.iter()),
            abs_mean: abs.mean(),
            min: differences.iter().min().copied(),
            max: differences.iter().max().copied(),
            abs,
        }
    }

    /// A percentile of the differences without their sign.
    #[must_use]
    pub fn abs_percentile(&self, percent: Percent) -> Option<i64> {
        self.abs.percentile(percent)
    }

    /// The largest difference without its sign.
    #[must_use]
    pub fn abs_max(&self) -> Option<i64> {
        self.abs.max()
    }
}
