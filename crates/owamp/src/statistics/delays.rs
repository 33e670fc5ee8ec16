//! The delays of a session: percentiles with lost packets as infinite, and how they vary against the smallest.

use std::{fmt, str::FromStr};

use readings::statistics::quantile;

/// A percentage, to the thousandth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// The median.
    pub const P50: Self = Self::whole(50);
    /// 90 %.
    pub const P90: Self = Self::whole(90);
    /// 95 %.
    pub const P95: Self = Self::whole(95);
    /// 99 %.
    pub const P99: Self = Self::whole(99);

    /// A whole percentage; 100 if it is above.
    #[must_use]
    pub const fn whole(percent: u8) -> Self {
        Self(if percent > 100 { 100_000 } else { percent as u32 * 1_000 })
    }

    /// How many thousandths of a percent it is.
    #[must_use]
    pub(super) const fn thousandths(self) -> u32 {
        self.0
    }

    /// As a number.
    #[must_use]
    pub fn number(self) -> f64 {
        f64::from(self.0) / 1e3
    }
}

impl FromStr for Percent {
    type Err = String;

    /// `99`, `99.9`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number: f64 = text.parse().map_err(|_| format!("\"{text}\" is no number"))?;
        if !(0.0..=100.0).contains(&number) {
            return Err(format!("\"{text}\" is no percentage: from 0 to 100 is possible"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 100000"
        )]
        Ok(Self((number * 1e3).round() as u32))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// The delays of the packets that came, and how many did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delays {
    /// Ascending.
    sorted: Vec<i64>,
    lost: u64,
}

impl Delays {
    pub(super) fn of(delays: impl Iterator<Item = i64>, lost: u64) -> Self {
        let mut sorted: Vec<i64> = delays.collect();
        sorted.sort_unstable();
        Self { sorted, lost }
    }

    /// All of them, ascending, nanoseconds.
    #[must_use]
    pub fn sorted(&self) -> &[i64] {
        &self.sorted
    }

    /// The smallest.
    #[must_use]
    pub fn min(&self) -> Option<i64> {
        self.sorted.first().copied()
    }

    /// The largest of a packet that came.
    #[must_use]
    pub fn max(&self) -> Option<i64> {
        self.sorted.last().copied()
    }

    /// The arithmetic mean of the packets that came.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let sum: i128 = self.sorted.iter().map(|delay| i128::from(*delay)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a mean to fifteen digits will do")]
        (!self.sorted.is_empty()).then(|| sum as f64 / self.sorted.len() as f64)
    }

    /// The smallest delay that at least `percent` of the packets sent did not exceed; none if that falls among lost
    /// packets (RFC 7679 section 5.1).
    #[must_use]
    pub fn percentile(&self, percent: Percent) -> Option<i64> {
        quantile(&self.sorted, self.lost, percent.0)
    }

    /// A percentile of the delay less the smallest: PDV (RFC 5481 section 4.2).
    #[must_use]
    pub fn pdv(&self, percent: Percent) -> Option<i64> {
        Some(self.percentile(percent)?.saturating_sub(self.min()?))
    }

    /// The largest PDV of a packet that came.
    #[must_use]
    pub fn pdv_max(&self) -> Option<i64> {
        Some(self.max()?.saturating_sub(self.min()?))
    }

    /// How many are below zero: the clocks of both ends disagree by more than the delay.
    #[must_use]
    pub fn negative(&self) -> u64 {
        super::count(self.sorted.iter().take_while(|delay| **delay < 0))
    }

    /// How many lie in each class of `width` nanoseconds, by the class's number; empty ones are left out. Class n is
    /// up to n times the width, and below zero from n times the width on, as the reference tool has it.
    ///
    /// # Panics
    /// If the width is zero.
    #[must_use]
    pub fn buckets(&self, width: u64) -> Vec<(i64, u64)> {
        let class = |delay: &i64| {
            let (delay, width) = (i128::from(*delay), i128::from(width));
            let up = if delay > 0 { (delay + width - 1) / width } else { delay.div_euclid(width) };
            i64::try_from(up).unwrap_or(i64::MAX)
        };
        let same = |one: &i64, other: &i64| class(one) == class(other);
        self.sorted.chunk_by(same).map(|of| (class(&of[0]), super::count(of.iter()))).collect()
    }
}
