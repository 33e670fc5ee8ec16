//! What is left, from how much streams that were too fast were slowed down: each is stretched by `(R + cross) / C`, which
//! is linear in its rate `R`, and one where that line begins (Melander, Björkman, Gunningberg, "A New End-to-End Probing
//! and Analysis Method for Estimating Bandwidth Bottlenecks", GLOBECOM 2000).
//!
//! Trends tell a rate above from a rate below; by how much is in the same streams, for nothing.

/// A stream that was too fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// Its rate, bit/s.
    pub rate: f64,
    /// How much longer it came than it left, as a part of that: how much the delay grows in a second, in seconds.
    pub growth: f64,
}

/// Where the line begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crossing {
    /// The rate that is not stretched any more, bit/s.
    pub rate: f64,
    /// Its standard error, bit/s.
    pub error: f64,
}

/// Fewer streams make no line.
const FEWEST: usize = 12;

/// Fits the line. None if there are too few streams, or all of about one rate, or the line does not rise.
#[must_use]
pub fn fit(streams: &[Stretch]) -> Option<Crossing> {
    if streams.len() < FEWEST {
        return None;
    }
    let count = f64::from(u32::try_from(streams.len()).ok()?);
    let mean = |of: &dyn Fn(&Stretch) -> f64| streams.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(&|it| it.rate), mean(&|it| it.growth));
    let sxx = mean(&|it| (it.rate - x).powi(2));
    let sxy = mean(&|it| (it.rate - x) * (it.growth - y));
    let slope = sxy / sxx;
    if sxx.sqrt() < x * 0.05 || slope <= 0.0 {
        return None;
    }
    let rate = x - y / slope;
    let residual = mean(&|it| (it.growth - y - slope * (it.rate - x)).powi(2));
    let variance = residual / (count - 2.0) * (1.0 + (rate - x).powi(2) / sxx);
    let error = variance.sqrt() / slope;
    (rate > 0.0 && error.is_finite()).then_some(Crossing { rate, error })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn streams(free: f64, capacity: f64, noise: f64) -> Vec<Stretch> {
        let cross = capacity - free;
        (0..24)
            .map(|number| {
                let rate = free * (1.2 + 0.05 * f64::from(number % 12));
                let sign = if number < 12 { 1.0 } else { -1.0 };
                Stretch { rate, growth: (rate + cross) / capacity - 1.0 + sign * noise }
            })
            .collect()
    }

    #[test]
    fn the_line_begins_at_what_is_left() {
        let crossing = fit(&streams(40e6, 100e6, 0.0)).expect("a line");
        assert!((crossing.rate - 40e6).abs() < 1e3 && crossing.error < 1e3, "{crossing:?}");
        let noisy = fit(&streams(40e6, 100e6, 0.02)).expect("a line");
        assert!((noisy.rate - 40e6).abs() < 2.0 * noisy.error, "{noisy:?}");
    }

    #[test]
    fn streams_of_one_rate_or_too_few_make_no_line() {
        let one = vec![Stretch { rate: 1e6, growth: 0.3 }; 30];
        assert_eq!(fit(&one), None);
        assert_eq!(fit(&streams(40e6, 100e6, 0.0)[..11]), None);
    }

    proptest! {
        #[test]
        fn no_streams_are_too_odd(odd in proptest::collection::vec((0.0_f64..1e10, -1.0_f64..10.0), 0..40)) {
            let odd: Vec<_> = odd.into_iter().map(|(rate, growth)| Stretch { rate, growth }).collect();
            if let Some(crossing) = fit(&odd) {
                prop_assert!(crossing.rate > 0.0 && crossing.error >= 0.0);
            }
        }
    }
}
