//! Two clocks that do not go alike: what delays grow by though no queue does.
//!
//! Within a chirp that is next to nothing, and only growth counts. But a chirp of a slow range is long, and 100 parts per
//! million of it are as much as a short queue. So from the least delays of chirps, which lie as near to an empty queue as
//! any, the drift is found where a run is long enough, and taken out.

/// Chirps that are kept; every second one is dropped when there are more.
const MOST: usize = 512;
/// A drift is told of at least so many chirps, over so many seconds.
const LEAST: usize = 10;
/// See [`LEAST`].
const LEAST_TIME: f64 = 10.0;
/// Clocks that differ by more are not clocks: what is seen then is something else.
const MOST_DRIFT: f64 = 1e-3;

/// What is known of the drift.
#[derive(Debug, Clone, Default)]
pub struct Skew(Vec<(f64, f64)>);

impl Skew {
    /// The least delay of a chirp, and when it began, seconds by the sender's clock.
    pub fn note(&mut self, at: f64, delay: f64) {
        self.0.push((at, delay));
        if self.0.len() > MOST {
            let mut place = 0;
            self.0.retain(|_| {
                place += 1;
                place % 2 == 1
            });
        }
    }

    /// By how much the receiver's clock goes faster: the median slope between a chirp and another that is half of the run
    /// later, which a queue at one time or another does not move.
    #[must_use]
    pub fn drift(&self) -> f64 {
        let half = self.0.len() / 2;
        let (first, second) = self.0.split_at(half);
        let span = self.0.last().zip(self.0.first()).map_or(0.0, |(last, first)| last.0 - first.0);
        if self.0.len() < LEAST || span < LEAST_TIME {
            return 0.0;
        }
        let slope =
            |(one, other): (&(f64, f64), &(f64, f64))| (other.1 - one.1) / (other.0 - one.0);
        let mut slopes: Vec<f64> =
            first.iter().zip(second).map(slope).filter(|it| it.is_finite()).collect();
        slopes.sort_by(f64::total_cmp);
        let drift = slopes.get(slopes.len() / 2).copied().unwrap_or(0.0);
        if drift.abs() <= MOST_DRIFT { drift } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::simulator::Dice;

    /// Chirps a second apart, whose least delays have up to `queue` seconds of a queue in them.
    fn skew(chirps: u32, drift: f64, queue: f64) -> Skew {
        let (mut skew, mut dice) = (Skew::default(), Dice::new(7));
        for number in 0..chirps {
            let at = f64::from(number);
            skew.note(at, -3.0 + at * drift + dice.even() * queue);
        }
        skew
    }

    #[test]
    fn a_drift_is_found_through_queues_if_the_run_is_long() {
        for drift in [-200e-6, -5e-6, 0.0, 50e-6] {
            let found = skew(2_000, drift, 0.000_5).drift();
            assert!((found - drift).abs() < 2e-6, "{drift}: {found}");
        }
    }

    #[test]
    fn of_a_short_run_and_of_what_is_no_clock_there_is_none() {
        assert_eq!(skew(9, 100e-6, 0.0).drift().to_bits(), 0);
        assert_eq!(Skew::default().drift().to_bits(), 0);
        assert_eq!(skew(600, 0.5, 0.0).drift().to_bits(), 0);
    }
}
