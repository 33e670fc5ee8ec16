//! So many a second.

use timed_udp::clock::Mono;

/// What may still be done: fills at a steady rate, and holds a second's worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bucket {
    left: f64,
    at: Mono,
}

impl Bucket {
    /// A full one.
    pub(super) fn full(rate: u32, now: Mono) -> Self {
        Self { left: f64::from(rate), at: now }
    }

    /// Whether one is left at `now`, after filling at `rate` a second.
    pub(super) fn has(&mut self, rate: u32, now: Mono) -> bool {
        let filled = now.since(self.at).as_secs_f64() * f64::from(rate);
        self.left = (self.left + filled).min(f64::from(rate));
        self.at = now;
        self.left >= 1.0
    }

    /// One less.
    pub(super) fn take(&mut self) {
        self.left -= 1.0;
    }
}
