//! Smoothing: the last chirps together.

use std::collections::VecDeque;

use super::{
    Step,
    excursion::{Rules, Single, single},
    line::{Line, Sums},
};

/// Steps count for the line if they were sent so much faster than what is available: about A itself the queue is empty
/// now and then, and does not grow by the line.
const ABOVE: f64 = 1.3;
pub(crate) static KAPPA: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(130);
/// How often the line is sought anew with the steps that are above its own A.
const ROUNDS: usize = 8;
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
    /// The mean of the published estimates of the last chirps: too few steps are on a line.
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
        let mean = recent().map(|chirp| chirp.single.estimate).sum::<f64>() / crate::real(all);
        match self.line(mean) {
            Some(line) if line.available < last.highest / 1.5 => {
                Said::Available { bits_per_s: line.available, by: By::Line }
            }
            _ if recent().filter(|chirp| chirp.single.turning.is_some()).count() * 2 < all => {
                Said::AtLeast(last.highest)
            }
            _ => Said::Available { bits_per_s: mean, by: By::Excursions },
        }
    }

    /// The line through the steps that are above the A at which it meets zero.
    fn line(&self, first: f64) -> Option<Line> {
        let mut available = first;
        let mut line = None;
        for _ in 0..ROUNDS {
            let above = |chirp: &'_ Chirp| sums_above(chirp, available * f64::from(KAPPA.load(std::sync::atomic::Ordering::Relaxed)) / 100.0);
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
