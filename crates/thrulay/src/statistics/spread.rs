//! A distribution of times in bounded room: each time is counted in a class that is a thousandth of it wide.
//!
//! A test of ten hours at full speed has a thousand million round trips; their percentiles need not be more exact than
//! the clock that the machine's scheduler makes of them.

/// Classes of each power of two: a class is at most 1/1024 of what is in it wide. Below 2048 ns each has its own.
const FINE: u32 = 10;
/// Larger times are counted as this one: 4.9 hours.
const MOST: u64 = 1 << 44;

/// How often which time was seen.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    classes: Vec<u64>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

/// Round-trip times, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrips {
    /// How many there were.
    pub count: u64,
    /// The smallest.
    pub min: u64,
    /// The arithmetic mean.
    pub mean: u64,
    /// The largest.
    pub max: u64,
    /// The 50th percentile, to a thousandth.
    pub median: u64,
    /// The 75th percentile less the 25th, to a thousandth of these.
    pub quartile_range: u64,
}

impl Spread {
    /// Counts a time, nanoseconds.
    pub fn note(&mut self, time: u64) {
        let time = time.min(MOST);
        let class = class_of(time);
        if self.classes.len() <= class {
            self.classes.resize(class + 1, 0);
        }
        self.classes[class] += 1;
        self.min = if self.count == 0 { time } else { self.min.min(time) };
        self.max = self.max.max(time);
        self.count += 1;
        self.sum += u128::from(time);
    }

    /// Counts all of another's.
    pub fn add(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.classes.resize(self.classes.len().max(other.classes.len()), 0);
        self.classes.iter_mut().zip(&other.classes).for_each(|(ours, theirs)| *ours += theirs);
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
    }

    /// Forgets all, and keeps its room.
    pub fn clear(&mut self) {
        let mut classes = std::mem::take(&mut self.classes);
        classes.clear();
        *self = Self { classes, ..Self::default() };
    }

    /// A percentile by the empirical distribution function (RFC 2330 section 11.3): 50 is the median. None of nothing.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = (u128::from(self.count) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.classes.iter().position(|count| {
            seen += u128::from(*count);
            seen >= rank
        });
        found.map(|class| middle_of(class).clamp(self.min, self.max))
    }

    /// The figures; none if there was no time.
    #[must_use]
    pub fn figures(&self) -> Option<RoundTrips> {
        let [p25, median, p75] = [25, 50, 75].map(|percent| self.percentile(percent));
        Some(RoundTrips {
            count: self.count,
            min: self.min,
            mean: u64::try_from(self.sum / u128::from(self.count.max(1))).unwrap_or(MOST),
            max: self.max,
            median: median?,
            quartile_range: p75?.saturating_sub(p25?),
        })
    }
}

fn class_of(time: u64) -> usize {
    let power = (u64::BITS - time.leading_zeros()).saturating_sub(FINE + 1);
    let class = u64::from(power << FINE) + (time >> power);
    usize::try_from(class).unwrap_or(usize::MAX)
}

/// The middle of what is counted in a class.
fn middle_of(class: usize) -> u64 {
    let power = (class >> FINE).saturating_sub(1);
    let low = (class - (power << FINE)) as u64;
    (low << power) + ((1_u64 << power) - 1) / 2
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn of(times: &[u64]) -> Spread {
        let mut spread = Spread::default();
        for time in times {
            spread.note(*time);
        }
        spread
    }

    #[test]
    fn small_times_are_told_exactly() {
        let spread = of(&[5, 1, 4, 2, 3]);
        let figures = spread.figures().expect("some");
        let expected =
            RoundTrips { count: 5, min: 1, mean: 3, max: 5, median: 3, quartile_range: 2 };
        assert_eq!(figures, expected);
        assert_eq!(Spread::default().figures(), None);
    }

    #[test]
    fn what_is_forgotten_counts_no_more() {
        let mut spread = of(&[100, 200]);
        spread.clear();
        assert_eq!(spread.figures(), None);
        spread.note(300);
        assert_eq!(spread.figures().map(|it| (it.min, it.max, it.median)), Some((300, 300, 300)));
    }

    proptest! {
        #[test]
        fn percentiles_are_right_to_a_thousandth(times in vec(0_u64..1 << 40, 1..200), percent in 0_u8..=100) {
            let found = of(&times).percentile(percent).expect("some");
            let mut sorted = times.clone();
            sorted.sort_unstable();
            let exact = readings::statistics::percentile(&sorted, 0, percent).expect("some");
            prop_assert!(found.abs_diff(exact) <= exact / 1_000 + 1, "{found} for {exact}");
        }

        #[test]
        fn the_sum_of_two_is_that_of_all(one in vec(0_u64..1 << 45, 0..50), two in vec(0_u64..1 << 45, 0..50)) {
            let mut sum = of(&one);
            sum.add(&of(&two));
            let all: Vec<u64> = one.iter().chain(&two).copied().collect();
            prop_assert_eq!(sum.figures(), of(&all).figures());
        }
    }
}
