//! When packets are to be sent (RFC 4656 sections 3.6 and 5, appendices A and B).
//!
//! Both ends compute the same times, to the last bit, from the session's identifier: 64-bit fixed-point numbers, 32
//! bits after the point, never floating ones.

use std::fmt;

use aes::{
    Aes128,
    cipher::{BlockEncrypt, KeyInit},
};

use super::{Sid, Wrong, fields::join, keys::BLOCK};

/// How long is waited before a packet, 2^-32 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Exponentially distributed around this mean: a Poisson stream.
    Exponential {
        /// The mean.
        mean: u64,
    },
    /// Always so long.
    Fixed {
        /// How long.
        offset: u64,
    },
}

impl Slot {
    /// Octets of a slot on the wire.
    pub const LENGTH: usize = BLOCK;

    /// The mean wait, 2^-32 s.
    #[must_use]
    pub const fn mean(self) -> u64 {
        match self {
            Self::Exponential { mean } => mean,
            Self::Fixed { offset } => offset,
        }
    }

    /// As on the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let kind = matches!(self, Self::Fixed { .. }).into();
        join(&[&[kind, 0, 0, 0, 0, 0, 0, 0], &self.mean().to_be_bytes()])
    }

    /// From the wire.
    ///
    /// # Errors
    /// It is of neither kind.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Result<Self, Wrong> {
        let [kind, _, _, _, _, _, _, _, parameter @ ..] = *bytes;
        let parameter = u64::from_be_bytes(parameter);
        match kind {
            0 => Ok(Self::Exponential { mean: parameter }),
            1 => Ok(Self::Fixed { offset: parameter }),
            other => {
                let what = format!("{other} is neither 0 (exponential) nor 1 (fixed)");
                Err(Wrong::new("Request-Session", "Slot Type", what))
            }
        }
    }
}

/// The times of a session's packets, after its start, 2^-32 s; without end. A time too long for the number is the
/// longest there is.
#[derive(Clone)]
pub struct Schedule {
    random: Random,
    slots: Box<[Slot]>,
    next: usize,
    now: u64,
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Schedule {
    /// That of a session. Without slots all its packets are sent at its start.
    #[must_use]
    pub fn new(sid: &Sid, slots: &[Slot]) -> Self {
        Self { random: Random::new(sid), slots: slots.into(), next: 0, now: 0 }
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let wait = match self.slots.get(self.next) {
            Some(Slot::Exponential { mean }) => times(self.random.exponential(), *mean),
            Some(Slot::Fixed { offset }) => *offset,
            None => 0,
        };
        self.next = if self.next + 1 < self.slots.len() { self.next + 1 } else { 0 };
        self.now = self.now.saturating_add(wait);
        Some(self.now)
    }
}

/// The product of two fixed-point numbers, its lower bits cut as the RFC's code does it.
fn times(x: u64, y: u64) -> u64 {
    u64::try_from((u128::from(x) * u128::from(y)) >> 32).unwrap_or(u64::MAX)
}

/// ln 2.
const LN_2: u64 = 0xb172_17f8;
/// The sums of (ln 2)^i / i! up to i = k, from k = 1 on.
const Q: [u64; 11] = [
    LN_2,
    0xeef1_93f7,
    0xfd27_1862,
    0xff9d_6dd0,
    0xfff4_cfd0,
    0xfffe_e819,
    0xffff_e7ff,
    0xffff_fe2b,
    0xffff_ffe0,
    0xffff_fffe,
    0xffff_ffff,
];

/// Random numbers of appendix A: AES in counter mode, whose key is the session.
#[derive(Clone)]
struct Random {
    cipher: Aes128,
    counter: u128,
    /// The next of the block's four numbers.
    next: usize,
    numbers: [u32; 4],
}

impl Random {
    fn new(sid: &Sid) -> Self {
        Self { cipher: Aes128::new(&sid.0.into()), counter: 0, next: 4, numbers: [0; 4] }
    }

    /// Uniform in 0..1: 32 bits after the point.
    fn uniform(&mut self) -> u64 {
        if self.next == self.numbers.len() {
            let mut block = self.counter.to_be_bytes().into();
            self.cipher.encrypt_block(&mut block);
            // The RFC counts numbers, and encrypts at every fourth.
            self.counter = self.counter.wrapping_add(4);
            let words = block.as_slice().as_chunks().0;
            self.numbers
                .iter_mut()
                .zip(words)
                .for_each(|(it, word)| *it = u32::from_be_bytes(*word));
            self.next = 0;
        }
        self.next += 1;
        self.numbers[self.next - 1].into()
    }

    /// Exponentially distributed with the mean 1: algorithm S of Knuth, The Art of Computer Programming, volume 2,
    /// section 3.4.1.
    fn exponential(&mut self) -> u64 {
        // S1: the ones at the front of a number are counted, and they and the zero behind them shifted out.
        let first = self.uniform() << 32;
        let ones = u64::from(first.leading_ones());
        let rest = first.checked_shl(first.leading_ones() + 1).unwrap_or(0) >> 32;
        // S2: almost always that is it.
        if rest < LN_2 {
            return times(ones << 32, LN_2) + rest;
        }
        // S3: the least of so many more numbers.
        let more = 1 + Q.iter().skip(1).take_while(|sum| rest >= **sum).count();
        let least = (0..=more).map(|_| self.uniform()).min().unwrap_or(0);
        // S4.
        times((ones << 32) + least, LN_2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << 32;

    #[test]
    fn sums_of_a_million_waits_are_those_of_the_rfc() {
        for (seed, sum) in [
            ("2872979303ab47eeac028dab3829dab2", 0x000f_4479_bd31_7381),
            ("0102030405060708090a0b0c0d0e0f00", 0x000f_4336_8646_6a62),
            ("deadbeefdeadbeefdeadbeefdeadbeef", 0x000f_416c_8884_d2d3),
            ("feed0feed1feed2feed3feed4feed5ab", 0x000f_3f0b_4b41_6ec8),
        ] {
            let sid: Sid = seed.parse().expect("a seed");
            let slots = [Slot::Exponential { mean: SECOND }];
            assert_eq!(Schedule::new(&sid, &slots).nth(999_999), Some(sum), "{seed}");
        }
    }

    #[test]
    fn slots_are_gone_through_again_and_again() {
        let slots = [Slot::Fixed { offset: 10 }, Slot::Fixed { offset: 1 }];
        let first: Vec<u64> = Schedule::new(&Sid::default(), &slots).take(5).collect();
        assert_eq!(first, [10, 11, 21, 22, 32]);
        assert_eq!(Schedule::new(&Sid::default(), &[]).nth(3), Some(0));
    }

    #[test]
    fn a_schedule_beyond_all_time_stays_at_its_end() {
        for slot in [Slot::Fixed { offset: u64::MAX }, Slot::Exponential { mean: u64::MAX }] {
            let mut schedule = Schedule::new(&Sid([7; 16]), &[slot]);
            assert_eq!(schedule.nth(100), Some(u64::MAX));
        }
    }

    #[test]
    fn a_slot_is_of_one_of_two_kinds() {
        for slot in [Slot::Fixed { offset: 3 }, Slot::Exponential { mean: u64::MAX }] {
            assert_eq!(Slot::from_bytes(&slot.to_bytes()), Ok(slot));
        }
        let wrong = Slot::from_bytes(&[2; 16]).expect_err("neither").to_string();
        assert_eq!(wrong, "Request-Session: Slot Type: 2 is neither 0 (exponential) nor 1 (fixed)");
    }
}
