//! Which rates the next chirp is to have.
//!
//! A chirp says most if it begins below what is available and ends well above: what it costs goes with the logarithm of
//! its range, and how well the line of overload is known with how far it reaches.

use super::pool::Said;

/// What is probed, bit/s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The lowest rate.
    pub low: f64,
    /// The highest rate.
    pub high: f64,
}

/// From so much below what is available to so much above.
const BELOW: f64 = 3.0;
/// See [`BELOW`].
const ABOVE: f64 = 6.0;
/// A range that is off by less is good enough.
const SLACK: f64 = 1.25;
/// By what the highest rate grows at a time while nothing turns up.
const STEP: f64 = 2.0;
/// The lowest rate that is ever probed, bit/s.
const LEAST: f64 = 50_000.0;
/// So many times a rate grows in a chirp at the least: some of its groups may be lost.
const STEPS: i32 = 7;
/// The range is never narrower.
const NARROWEST: f64 = 4.0;

impl Range {
    /// The next range, of what the last chirps said. `limit` is the highest rate that is allowed, or that both machines can
    /// do.
    #[must_use]
    pub fn next(self, said: Said, limit: f64) -> Self {
        let wanted = match said {
            Said::Available { bits_per_s, .. } => {
                Self { low: bits_per_s / BELOW, high: bits_per_s * ABOVE }
            }
            Said::AtLeast(rate) => {
                let high = (rate.max(self.high) * STEP).min(limit);
                Self { low: self.low.max(high / (BELOW * ABOVE)), high }
            }
        };
        let wanted = wanted.within(limit);
        if wanted.is_near(self) && self.high <= limit * SLACK { self.within(limit) } else { wanted }
    }

    /// The same with a highest rate of at most `limit`, and never narrow.
    fn within(self, limit: f64) -> Self {
        let high = self.high.min(limit).max(LEAST * NARROWEST);
        Self { low: self.low.min(high / NARROWEST).max(LEAST), high }
    }

    /// The same, begun so low that a chirp whose rates grow by `spread` has as many groups as one needs that is to count.
    #[must_use]
    pub fn of_enough(self, spread: f64) -> Self {
        let low = self.high / spread.max(1.01).powi(STEPS);
        Self { low: self.low.min(low).max(LEAST).min(self.high), ..self }
    }

    fn is_near(self, other: Self) -> bool {
        let near = |one: f64, two: f64| one < two * SLACK && two < one * SLACK;
        near(self.low, other.low) && near(self.high, other.high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        estimate::{
            excursion::Rules,
            pool::{By, Pool},
            simulator::{Cross, Ends, Link, chirp},
            steps,
        },
        shape::Shape,
    };

    const MBIT: f64 = 1e6;

    fn available(rate: f64) -> Said {
        Said::Available { bits_per_s: rate, by: By::Line }
    }

    #[test]
    fn the_range_goes_where_the_estimate_is_and_stays_while_that_moves_little() {
        let wide = Range { low: 10.0 * MBIT, high: 200.0 * MBIT };
        let found = wide.next(available(6.0 * MBIT), 200.0 * MBIT);
        assert_eq!(found, Range { low: 2.0 * MBIT, high: 36.0 * MBIT });
        assert_eq!(found.next(available(6.5 * MBIT), 200.0 * MBIT), found);
        assert_ne!(found.next(available(9.0 * MBIT), 200.0 * MBIT), found);
    }

    #[test]
    fn while_nothing_turns_up_it_rises_to_the_limit_and_no_further() {
        let mut range = Range { low: MBIT, high: 20.0 * MBIT };
        for _ in 0..10 {
            range = range.next(Said::AtLeast(range.high), 500.0 * MBIT);
        }
        assert_eq!(range.high.to_bits(), (500.0 * MBIT).to_bits());
        assert!(range.low > 10.0 * MBIT);
    }

    /// From the default range, and from that of the document's row.
    #[test]
    fn wherever_it_begins_it_finds_the_path() {
        for (low, high) in [(10.0, 200.0), (100.0, 10_000.0), (1.0, 2_000.0)] {
            for (capacity, part) in [(10.0, 0.6), (50.0, 0.3), (100.0, 0.0)] {
                let free = capacity * (1.0 - part) * MBIT;
                let mut link =
                    Link::new(capacity * MBIT, part * capacity * MBIT, Cross::Random, 11);
                let mut pool = Pool::new(11, Rules { decrease: 1.5, length: 5 });
                let mut range = Range { low: low * MBIT, high: high * MBIT };
                let (mut at, mut estimates) = (1.0, Vec::new());
                for _ in 0..40 {
                    let Range { low, high } = range;
                    let shape = Shape { low, high, spread: 1.2, octets: 1_028, group: 6 };
                    let groups =
                        chirp(&mut link, &shape, at, Ends { noise: 10e-6, ..Ends::default() });
                    at += 1.0;
                    let Some((_, said)) = pool.take(steps(&groups)) else { continue };
                    range = range.next(said, 10_000.0 * MBIT);
                    if let Said::Available { bits_per_s, .. } = said {
                        estimates.push(bits_per_s / free);
                    }
                }
                estimates.sort_by(f64::total_cmp);
                let median = estimates[estimates.len() / 2];
                assert!((0.8..1.25).contains(&median), "{low} {high} {capacity} {part}: {median}");
                assert!(range.low < free && range.high > free * 2.0, "{range:?} of {free}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_range_is_always_one_and_never_above_the_limit(
            low in 1e3..1e10_f64, times in 1.0..1e4_f64, said in 1.0..1e12_f64, limit in 1e6..1e11_f64, bound: bool,
        ) {
            let said = if bound { Said::AtLeast(said) } else { available(said) };
            let next = Range { low, high: low * times }.next(said, limit);
            prop_assert!(next.low > 0.0 && next.low * 2.0 < next.high && next.high <= limit * 1.000_001);
        }
    }
}
