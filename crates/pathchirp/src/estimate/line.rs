//! The line of overload: while a queue is busy, it grows by `bits / C - gap * A / C` from one packet to the next, C being
//! the capacity and A what is available. So among steps that were sent faster than A, growth by time is a straight line of
//! the rate, which meets zero at A, however bursty the other traffic is: what it does to a single step falls out of the
//! mean.
//!
//! The published estimate lacks this: where other traffic comes in bursts, delays rise at rates far below A as well, and
//! an excursion that ends counts them as the path's (a known bias: A comes out too low). The same line is what TOPP
//! (Melander, Björkman, Gunningberg: "A New End-to-End Probing and Analysis Method for Estimating Bandwidth Bottlenecks",
//! GLOBECOM 2000) and BART (Ekelin, Nilsson, Hartikainen, Johnsson, Mångs, Melander, Björkman: "Real-Time Measurement of
//! End-to-End Available Bandwidth using Kalman Filtering", NOMS 2006) go by, with trains of other shapes.

use super::Step;

/// What a stamp of a busy machine may be wrong by, seconds: of steps with gaps far below it the single one says little.
const STAMP: f64 = 20e-6;
/// Fewer steps are no line.
pub const LEAST_STEPS: usize = 3;

/// The line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Where it meets zero: the available bandwidth, bit/s.
    pub available: f64,
    /// One by its slope: the capacity of the tight link, bit/s.
    pub capacity: f64,
}

/// Sums of the steps, by which a line is found without keeping them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    steps: usize,
    weight: f64,
    rate: f64,
    strain: f64,
    rate_rate: f64,
    rate_strain: f64,
    strain_strain: f64,
}

impl Sums {
    /// Of these steps.
    pub fn of<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Self {
        let mut sums = Self::default();
        for step in steps {
            sums.add(step);
        }
        sums
    }

    fn add(&mut self, step: &Step) {
        // What a burst adds to a step goes with the square root of its gap; what a stamp is wrong by does not.
        let weight = step.gap * step.gap / (step.gap + STAMP);
        let (rate, strain) = (step.rate(), step.growth / step.gap);
        self.steps += 1;
        self.weight += weight;
        self.rate += weight * rate;
        self.strain += weight * strain;
        self.rate_rate += weight * rate * rate;
        self.rate_strain += weight * rate * strain;
        self.strain_strain += weight * strain * strain;
    }

    /// How many steps there are.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.steps
    }

    /// The line through them; none if they are too few, of one rate, or do not rise with it.
    #[must_use]
    pub fn line(&self) -> Option<Line> {
        if self.steps < LEAST_STEPS {
            return None;
        }
        let mean_rate = self.rate / self.weight;
        let mean_strain = self.strain / self.weight;
        let spread = self.rate_rate / self.weight - mean_rate * mean_rate;
        let both = self.rate_strain / self.weight - mean_rate * mean_strain;
        if spread <= mean_rate * mean_rate * 1e-4 || both <= 0.0 {
            return None;
        }
        let slope = both / spread;
        let below = slope * mean_rate - mean_strain;
        if below > 1.0 {
            // More would be free than there is: nothing but the probes is on the path.
            return self.line_through(1.0);
        }
        (below > 0.0).then(|| Line { available: below / slope, capacity: 1.0 / slope })
    }

    /// The line on which so much of the capacity is free.
    fn line_through(&self, free: f64) -> Option<Line> {
        let slope = (self.rate_strain + free * self.rate) / self.rate_rate;
        (slope > 0.0).then(|| Line { available: free / slope, capacity: 1.0 / slope })
    }

    /// The line of a link whose capacity is known, bit/s.
    #[must_use]
    pub fn line_of(&self, capacity: f64) -> Option<Line> {
        if self.steps == 0 {
            return None;
        }
        let available = self.rate / self.weight - capacity * self.strain / self.weight;
        Some(Line { available: available.min(capacity), capacity })
    }
}

impl Sums {
    /// Of all of these together.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), |one, other| Self {
            steps: one.steps + other.steps,
            weight: one.weight + other.weight,
            rate: one.rate + other.rate,
            strain: one.strain + other.strain,
            rate_rate: one.rate_rate + other.rate_rate,
            rate_strain: one.rate_strain + other.rate_strain,
            strain_strain: one.strain_strain + other.strain_strain,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn steps(capacity: f64, available: f64, rates: &[f64]) -> Vec<Step> {
        let step = |rate: &f64| {
            let gap = 8_000.0 / rate;
            Step { gap, bits: 8_000.0, growth: 8_000.0 / capacity - gap * available / capacity }
        };
        rates.iter().map(step).collect()
    }

    proptest! {
        #[test]
        fn steps_on_a_line_tell_it(capacity in 1e6..1e10_f64, part in 0.05..1.0_f64) {
            let available = capacity * part;
            let rates: Vec<f64> = (1..8).map(|number| available * f64::from(number)).collect();
            let line = Sums::of(&steps(capacity, available, &rates)).line().expect("a line");
            prop_assert!((line.available / available - 1.0).abs() < 1e-6, "{:?}", line);
            prop_assert!((line.capacity / capacity - 1.0).abs() < 1e-6, "{:?}", line);
        }
    }

    #[test]
    fn no_more_is_free_than_there_is() {
        let mut all = steps(10e6, 10e6, &[12e6, 20e6, 30e6, 50e6]);
        all[0].growth -= 100e-6;
        let line = Sums::of(&all).line().expect("a line");
        assert!(line.available <= line.capacity * 1.000_001, "{line:?}");
    }

    #[test]
    fn too_few_steps_steps_of_one_rate_and_a_queue_that_does_not_grow_are_no_line() {
        let line = |rates: &[f64]| Sums::of(&steps(10e6, 5e6, rates)).line();
        assert!(line(&[10e6, 20e6]).is_none() && line(&[10e6; 20]).is_none());
        assert!(line(&[10e6, 20e6, 30e6]).is_some());
        let flat: Vec<Step> = [10e6, 20e6, 30e6]
            .map(|rate| Step { gap: 8_000.0 / rate, bits: 8_000.0, growth: 0.0 })
            .to_vec();
        assert!(Sums::of(&flat).line().is_none());
        assert!(Sums::default().line_of(1e6).is_none());
    }
}
