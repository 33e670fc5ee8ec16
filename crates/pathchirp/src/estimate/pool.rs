//! Smoothing: the last chirps together.

use std::collections::VecDeque;

use super::{
    Step,
    excursion::{Rules, STRAIN, Single, single},
    line::{Line, Sums},
};

/// Steps count for the line if they were sent so much faster than what is available: about A itself the queue is empty
/// now and then, and does not grow by the line.
const ABOVE: f64 = 1.3;
/// How often the line is sought anew with the steps that are above its own A.
const ROUNDS: usize = 8;
/// By how much a queue must grow in a chirp for it to be more than stamps that are a little wrong, seconds; at its highest
/// rate see [`STRAIN`].
const RISE: f64 = 10e-6;
/// Chirps of which the capacity is told: it does not change with the traffic.
const MEMORY: usize = 200;

/// The last chirps.
#[derive(Debug, Clone)]
pub struct Pool {
    rules: Rules,
    smooth: usize,
    chirps: VecDeque<Chirp>,
}

#[derive(Debug, Clone)]
struct Chirp {
    steps: Vec<Step>,
    single: Single,
}

/// By what an estimate was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The line of overload through the last chirps.
    Line,
    /// The median of the published estimates of the last chirps: too few steps are on a line.
    Excursions,
}

/// What the last chirps say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said {
    /// So much is available.
    Available {
        /// Bit/s.
        bits_per_s: f64,
        /// By what it was found.
        by: By,
    },
    /// Nothing makes the queue grow: so much is available, bit/s, or more.
    AtLeast(f64),
}

impl Pool {
    /// Smoothes over the last `smooth` chirps.
    #[must_use]
    pub fn new(smooth: usize, rules: Rules) -> Self {
        Self { rules, smooth: smooth.max(1), chirps: VecDeque::new() }
    }

    /// Takes a chirp, and tells what the last ones say; nothing if it had no steps.
    pub fn take(&mut self, steps: Vec<Step>) -> Option<(Single, Said)> {
        let single = single(&steps, self.rules)?;
        self.chirps.push_front(Chirp { steps, single });
        self.chirps.truncate(self.smooth.max(MEMORY));
        Some((single, self.said(single)))
    }

    fn said(&self, last: Single) -> Said {
        let recent = || self.chirps.iter().take(self.smooth);
        let all = recent().count();
        let median = |of: fn(&Single) -> f64| {
            let mut figures: Vec<f64> = recent().map(|chirp| of(&chirp.single)).collect();
            figures.sort_by(f64::total_cmp);
            figures[all / 2]
        };
        let turned = recent().filter(|chirp| chirp.single.rise >= RISE).count();
        // Where what is available is just below the highest rate, queues grow for less than an excursion's length.
        let turns = turned * 2 > all;
        let first = if turns { median(|it| it.estimate) } else { median(|it| it.level) };
        let is_sure = |line: &Line| {
            let above = last.highest - line.available;
            line.available < last.highest / ABOVE && above > STRAIN * line.capacity
        };
        match self.line(first).filter(is_sure) {
            Some(line) => Said::Available { bits_per_s: line.available, by: By::Line },
            None if turns => Said::Available { bits_per_s: first, by: By::Excursions },
            None => Said::AtLeast(first.min(last.highest)),
        }
    }

    /// The line through the steps that are above the A at which it meets zero.
    fn line(&self, first: f64) -> Option<Line> {
        let mut available = first;
        let mut line = None;
        for _ in 0..ROUNDS {
            let above = |chirp: &'_ Chirp| sums_above(chirp, available * ABOVE);
            let recent = Sums::all(self.chirps.iter().take(self.smooth).map(above));
            let memory = Sums::all(self.chirps.iter().map(above));
            let capacity = memory.line()?.capacity;
            let next = recent.line_of(capacity)?;
            // Half of the way, so that it does not swing between two.
            available = f64::midpoint(available, next.available.max(available / 4.0));
            line = Some(next);
        }
        line.filter(|line| line.available > 0.0)
    }
}

fn sums_above(chirp: &Chirp, rate: f64) -> Sums {
    Sums::of(chirp.steps.iter().filter(|step| step.rate() > rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        estimate::{
            simulator::{Cross, Ends, Link, chirp},
            steps,
        },
        shape::Shape,
    };

    const MBIT: f64 = 1e6;
    const RULES: Rules = Rules { decrease: 1.5, length: 5 };
    const ENDS: Ends = Ends { noise: 10e-6, skew: 0.0, fastest: 0.0 };

    /// What chirps of half a minute say, of a range that fits: the median of the estimates over what is free, and the
    /// part of the estimates that the line gave.
    fn median(capacity: f64, part: f64, kind: Cross, seed: u64) -> (f64, f64) {
        let free = capacity * (1.0 - part);
        let shape =
            Shape { low: free / 3.0, high: free * 6.0, spread: 1.2, octets: 1_028, group: 6 };
        let mut link = Link::new(capacity, part * capacity, kind, seed);
        let mut pool = Pool::new(11, RULES);
        let (mut at, mut estimates, mut by_line) = (1.0, Vec::new(), 0);
        while at < 31.0 {
            let groups = chirp(&mut link, &shape, at, ENDS);
            let (_, said) = pool.take(steps(&groups)).expect("steps");
            if let Said::Available { bits_per_s, by } = said {
                estimates.push(bits_per_s / free);
                by_line += usize::from(by == By::Line);
            }
            at += shape.bits() / (2.0 * MBIT);
        }
        estimates.sort_by(f64::total_cmp);
        let all = crate::real(estimates.len());
        (estimates[estimates.len() / 2], crate::real(by_line) / all)
    }

    #[test]
    fn the_median_is_within_15_percent_of_what_is_free_however_the_other_traffic_comes() {
        for capacity in [10.0, 50.0, 100.0, 500.0].map(|it| it * MBIT) {
            for part in [0.0, 0.3, 0.6] {
                for kind in [Cross::Steady, Cross::Random] {
                    let mut medians: Vec<f64> =
                        (0..5).map(|seed| median(capacity, part, kind, seed).0).collect();
                    medians.sort_by(f64::total_cmp);
                    assert!(
                        (0.85..1.15).contains(&medians[2]),
                        "{capacity} {part} {kind:?}: {medians:?}"
                    );
                    let (least, most) = (medians[0], medians[4]);
                    assert!(least > 0.75 && most < 1.3, "{capacity} {part} {kind:?}: {medians:?}");
                }
            }
        }
    }

    #[test]
    fn most_estimates_are_by_the_line_also_where_other_traffic_comes_in_bursts() {
        for part in [0.3, 0.6] {
            let (median, by_line) = median(100.0 * MBIT, part, Cross::Bursts(4), 3);
            assert!((0.6..1.5).contains(&median) && by_line > 0.8, "{part}: {median} {by_line}");
        }
    }

    #[test]
    fn what_is_just_below_the_highest_rate_is_found_and_not_taken_for_more() {
        let shape =
            Shape { low: 33.0 * MBIT, high: 200.0 * MBIT, spread: 1.2, octets: 1_028, group: 6 };
        let mut link = Link::new(100.0 * MBIT, 0.0, Cross::Steady, 3);
        let mut pool = Pool::new(11, RULES);
        for at in 1..20 {
            let groups = chirp(&mut link, &shape, f64::from(at), ENDS);
            let (_, said) = pool.take(steps(&groups)).expect("steps");
            match said {
                Said::Available { bits_per_s, .. } => {
                    assert!((80.0 * MBIT..120.0 * MBIT).contains(&bits_per_s), "{at}: {said:?}");
                }
                Said::AtLeast(rate) => assert!(rate < 105.0 * MBIT, "{at}: {rate}"),
            }
        }
    }

    #[test]
    fn where_no_queue_grows_there_is_a_lower_bound_and_no_estimate() {
        let shape = Shape { low: MBIT, high: 20.0 * MBIT, spread: 1.2, octets: 1_028, group: 1 };
        let mut link = Link::new(1_000.0 * MBIT, 0.0, Cross::Steady, 1);
        let mut pool = Pool::new(11, RULES);
        for number in 0..50 {
            let groups = chirp(&mut link, &shape, f64::from(number), ENDS);
            match pool.take(steps(&groups)).expect("steps").1 {
                Said::AtLeast(rate) => assert!(rate > 19.0 * MBIT),
                said @ Said::Available { .. } => panic!("{said:?} of 1,000 that are free"),
            }
        }
    }

    #[test]
    fn packets_that_a_full_queue_drops_do_not_spoil_the_estimate() {
        let free = 40.0 * MBIT;
        let shape =
            Shape { low: free / 3.0, high: free * 6.0, spread: 1.2, octets: 1_028, group: 2 };
        let mut link = Link::new(100.0 * MBIT, 60.0 * MBIT, Cross::Random, 5);
        link.room = 90_000.0;
        let mut pool = Pool::new(11, RULES);
        let (mut lost, mut estimates) = (0, Vec::new());
        for number in 0..100 {
            let groups = chirp(&mut link, &shape, f64::from(number), ENDS);
            lost += groups.iter().filter(|group| group.delay.is_none()).count();
            if let Some((_, Said::Available { bits_per_s, .. })) = pool.take(steps(&groups)) {
                estimates.push(bits_per_s / free);
            }
        }
        estimates.sort_by(f64::total_cmp);
        let median = estimates[estimates.len() / 2];
        assert!(lost > 50 && (0.8..1.2).contains(&median), "{lost} lost: {median}");
    }
}
