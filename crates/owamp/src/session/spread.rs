//! How values lie, in constant memory: for figures of sessions that may go on for ever.

use std::time::Duration;

use timed_udp::clock::nanos;

/// Each power of two is divided into so many parts: a quantile is at most an eighth above the true one.
const PARTS: u64 = 8;
/// Up to 2^43 ns, more than two hours; what is longer counts as that.
const CLASSES: usize = 320;

/// Counts lengths by their size. A quantile of it is never below the true one, and at most 12.5 % above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    classes: Box<[u32; CLASSES]>,
    count: u64,
    most: Duration,
}

impl Default for Spread {
    fn default() -> Self {
        Self { classes: Box::new([0; CLASSES]), count: 0, most: Duration::ZERO }
    }
}

impl Spread {
    /// One more.
    pub fn add(&mut self, length: Duration) {
        let class = class(nanos(length)).min(CLASSES - 1);
        self.classes[class] = self.classes[class].saturating_add(1);
        self.count += 1;
        self.most = self.most.max(length);
    }

    /// All of another one.
    pub fn merge(&mut self, other: &Self) {
        for (class, count) in self.classes.iter_mut().zip(other.classes.iter()) {
            *class = class.saturating_add(*count);
        }
        self.count += other.count;
        self.most = self.most.max(other.most);
    }

    /// How many there were.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The greatest; zero of none.
    #[must_use]
    pub const fn most(&self) -> Duration {
        self.most
    }

    /// The length that `part` (0 to 1) of them do not exceed; zero of none.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "far fewer values than a f64 counts"
    )]
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = (part.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut passed = 0;
        for (class, count) in self.classes.iter().enumerate() {
            passed += u64::from(*count);
            if passed >= wanted {
                return Duration::from_nanos(end_of(class as u64)).min(self.most);
            }
        }
        self.most
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a power of two is below 64")]
fn class(nanos: u64) -> usize {
    if nanos < PARTS {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - PARTS.ilog2();
    (u64::from(shift + 1) * PARTS + (nanos >> shift) - PARTS) as usize
}

fn end_of(class: u64) -> u64 {
    if class < PARTS {
        return class;
    }
    let shift = class / PARTS - 1;
    ((class % PARTS + PARTS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_lies_in_a_class_that_ends_at_most_an_eighth_above_it() {
        for nanos in (0..60_000).chain([1 << 20, 999_999_999, 5_000_000_000, (1 << 42) - 1]) {
            let end = end_of(class(nanos) as u64);
            assert!(nanos <= end && end <= nanos + nanos / 8, "{nanos}: {end}");
        }
    }

    #[test]
    fn quantiles_are_of_what_was_added() {
        let mut spread = Spread::default();
        assert_eq!(spread.quantile(0.5), Duration::ZERO);
        for micros in 1..=100 {
            spread.add(Duration::from_micros(micros));
        }
        let median = spread.quantile(0.5).as_micros();
        assert!((50..=56).contains(&median), "{median}");
        assert_eq!(spread.quantile(1.0), Duration::from_micros(100));
        let mut more = Spread::default();
        more.add(Duration::from_hours(9));
        spread.merge(&more);
        assert_eq!((spread.most(), spread.count()), (Duration::from_hours(9), 101));
    }
}
