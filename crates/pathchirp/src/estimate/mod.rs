//! What chirps that came say of the path.

pub mod excursion;
pub mod line;
pub mod pool;
pub mod range;
#[cfg(test)]
pub(crate) mod simulator;
pub mod skew;
pub mod verdict;

/// A group of packets of a chirp, as far as it came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// When its first packet left, seconds after the chirp's start, as the sender told.
    pub sent: f64,
    /// How much later its first packet came than it left, seconds, by whatever two clocks; none if it did not come.
    pub delay: Option<f64>,
    /// Bits of those of its packets that came, with headers.
    pub bits: f64,
}

/// The way from one group to the next that came: what was sent meanwhile, and what became of the queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// From the first packet to the first packet, seconds, above zero.
    pub gap: f64,
    /// Bits that were sent meanwhile.
    pub bits: f64,
    /// By how much the second was longer on its way, seconds.
    pub growth: f64,
}

impl Step {
    /// The rate at which it was sent, bit/s.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.bits / self.gap
    }
}

/// The steps between groups that came, in the order of sending; those that were sent at one time have none.
#[must_use]
pub fn steps(groups: &[Group]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(groups.len());
    let mut last: Option<(f64, f64)> = None;
    let mut bits = 0.0;
    for group in groups {
        if let Some(delay) = group.delay {
            if let Some((sent, before)) = last {
                let gap = group.sent - sent;
                if gap > 0.0 && bits > 0.0 {
                    steps.push(Step { gap, bits, growth: delay - before });
                }
            }
            last = Some((group.sent, delay));
            bits = 0.0;
        }
        bits += group.bits;
    }
    steps
}
