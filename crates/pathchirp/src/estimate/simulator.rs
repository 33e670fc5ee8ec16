//! A path for tests: a link that serves in order of arrival, with other traffic on it, and stamps that are a little
//! wrong.

use crate::{estimate::Group, shape::Shape};

/// Numbers that look random, and are the same each time.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// 0 to 1, without 0.
    pub(crate) fn even(&mut self) -> f64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
        let part = ((z >> 11) + 1) as f64;
        part / 9_007_199_254_740_993.0
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -self.even().ln() * mean
    }
}

/// How other traffic comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cross {
    /// At even distances.
    Steady,
    /// At random (Poisson).
    Random,
    /// So many packets at once, at random.
    Bursts(u32),
}

/// A link.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) capacity: f64,
    pub(crate) cross: f64,
    pub(crate) kind: Cross,
    pub(crate) cross_bits: f64,
    /// A queue of so many bits at most.
    pub(crate) room: f64,
    pub(crate) dice: Dice,
    next: f64,
    busy_until: f64,
}

impl Link {
    pub(crate) fn new(capacity: f64, cross: f64, kind: Cross, seed: u64) -> Self {
        let dice = Dice::new(seed);
        Self {
            capacity,
            cross,
            kind,
            cross_bits: 12_000.0,
            room: f64::INFINITY,
            dice,
            next: 0.0,
            busy_until: 0.0,
        }
    }

    fn interval(&mut self) -> f64 {
        if self.cross <= 0.0 {
            return f64::INFINITY;
        }
        let mean = self.cross_bits / self.cross;
        match self.kind {
            Cross::Steady => mean,
            Cross::Random => self.dice.exponential(mean),
            Cross::Bursts(packets) => self.dice.exponential(mean * f64::from(packets)),
        }
    }

    fn serve(&mut self, at: f64, bits: f64) -> Option<f64> {
        let begin = self.busy_until.max(at);
        if (begin - at) * self.capacity + bits > self.room {
            return None;
        }
        self.busy_until = begin + bits / self.capacity;
        Some(self.busy_until)
    }

    /// When a packet that comes at `at` has left; none if there was no room.
    pub(crate) fn pass(&mut self, at: f64, bits: f64) -> Option<f64> {
        while self.next <= at {
            let count = if let Cross::Bursts(packets) = self.kind { packets } else { 1 };
            for _ in 0..count {
                if self.cross > 0.0 {
                    self.serve(self.next, self.cross_bits);
                }
            }
            self.next += self.interval();
        }
        self.serve(at, bits)
    }
}

/// Both ends' weaknesses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ends {
    /// Stamps are late by up to so much, seconds.
    pub(crate) noise: f64,
    /// The receiver's clock is so much faster.
    pub(crate) skew: f64,
    /// Packets that left at a machine's fastest, bit/s; zero for at once.
    pub(crate) fastest: f64,
}

/// Sends a chirp that begins at `start`.
pub(crate) fn chirp(link: &mut Link, shape: &Shape, start: f64, ends: Ends) -> Vec<Group> {
    let bits = f64::from(shape.octets) * 8.0;
    let mut groups = Vec::new();
    for offset in shape.offsets() {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a chirp")]
        let sent = offset as f64 / 1e9;
        let mut group = Group { sent, delay: None, bits: 0.0 };
        for index in 0..shape.group {
            let after = if ends.fastest > 0.0 { bits / ends.fastest } else { 0.0 };
            let at = start + sent + f64::from(index) * after;
            let Some(left) = link.pass(at, bits) else { continue };
            group.bits += bits;
            let stamp = left * (1.0 + ends.skew) + link.dice.even() * ends.noise;
            if index == 0 {
                group.delay = Some(stamp - start - sent);
            }
        }
        groups.push(group);
    }
    groups
}
