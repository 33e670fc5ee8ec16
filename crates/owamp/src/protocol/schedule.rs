//! When a session's packets leave: both ends compute it from the session's identifier (RFC 4656 sections 3.6, 5).
//!
//! All is fixed-point arithmetic of 32 bits before and 32 after the point, as the RFC's sample has it, so that every
//! implementation comes to the same times.

use aes::{
    Aes128, Block,
    cipher::{BlockEncrypt, KeyInit},
};

use super::{Malformed, Sid, field};

/// What comes before a packet. Lengths are in 2^-32 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// A random time, exponentially distributed with this mean: a Poisson process.
    Exponential {
        /// The mean.
        mean: u64,
    },
    /// Always this time.
    Fixed {
        /// The time.
        offset: u64,
    },
}

impl Slot {
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let (kind, parameter) = match self {
            Self::Exponential { mean } => (0, mean),
            Self::Fixed { offset } => (1, offset),
        };
        let mut bytes = [0; 16];
        bytes[0] = kind;
        bytes[8..].copy_from_slice(&u64::to_be_bytes(parameter));
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; 16]) -> Result<Self, Malformed> {
        let parameter = field::u64(bytes, 8);
        match bytes[0] {
            0 => Ok(Self::Exponential { mean: parameter }),
            1 => Ok(Self::Fixed { offset: parameter }),
            other => {
                let why = format!("a slot's type is {other}; 0 is exponential and 1 is fixed");
                Err(Malformed::new("Request-Session", why))
            }
        }
    }

    /// The mean time that it takes, 2^-32 s.
    #[must_use]
    pub const fn mean(self) -> u64 {
        match self {
            Self::Exponential { mean } => mean,
            Self::Fixed { offset } => offset,
        }
    }
}

/// The times of a session's packets after its start, 2^-32 s, one after the other without end.
#[derive(Debug, Clone)]
pub struct Schedule {
    slots: Vec<Slot>,
    next: usize,
    deviates: Deviates,
    at: u64,
}

impl Schedule {
    /// The schedule of the session `sid`.
    #[must_use]
    pub fn new(slots: Vec<Slot>, sid: Sid) -> Self {
        Self { slots, next: 0, deviates: Deviates::new(sid), at: 0 }
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let slot = *self.slots.get(self.next)?;
        self.next = (self.next + 1) % self.slots.len();
        let wait = match slot {
            Slot::Exponential { mean } => product(self.deviates.next_deviate(), mean),
            Slot::Fixed { offset } => offset,
        };
        self.at = self.at.saturating_add(wait);
        Some(self.at)
    }
}

/// The product of two fixed-point numbers, at most the largest there is.
fn product(left: u64, right: u64) -> u64 {
    u64::try_from((u128::from(left) * u128::from(right)) >> 32).unwrap_or(u64::MAX)
}

/// Exponentially distributed numbers of mean 1 (Knuth, The Art of Computer Programming 3.4.1, algorithm S; RFC 4656
/// section 5.1), out of AES in counter mode.
#[derive(Clone)]
struct Deviates {
    cipher: Aes128,
    counter: u128,
    block: [u8; 16],
    /// Of the block's four numbers those that are left.
    left: usize,
}

impl std::fmt::Debug for Deviates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Deviates({})", self.counter)
    }
}

/// ln 2, as a fraction of 2^32.
const LN2: u64 = 0xB172_17F8;
/// Q(k): the sum of ln 2 to the n over n!, for n from 1 to k (RFC 4656 section 5.1).
const Q: [u64; 11] = [
    0xB172_17F8,
    0xEEF1_93F7,
    0xFD27_1862,
    0xFF9D_6DD0,
    0xFFF4_CFD0,
    0xFFFE_E819,
    0xFFFF_E7FF,
    0xFFFF_FE2B,
    0xFFFF_FFE0,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
];

impl Deviates {
    fn new(sid: Sid) -> Self {
        Self { cipher: Aes128::new(&sid.0.into()), counter: 0, block: [0; 16], left: 0 }
    }

    /// 32 random bits.
    fn uniform(&mut self) -> u32 {
        if self.left == 0 {
            let mut block = Block::from(self.counter.to_be_bytes());
            self.cipher.encrypt_block(&mut block);
            self.block = block.into();
            // The RFC counts numbers, of which each block holds four.
            self.counter = self.counter.wrapping_add(4);
            self.left = 4;
        }
        self.left -= 1;
        field::u32(&self.block, (3 - self.left) * 4)
    }

    fn next_deviate(&mut self) -> u64 {
        // S1: the ones before the first zero count halvings; the bits behind it are the number.
        let bits = self.uniform();
        let ones = bits.leading_ones();
        let number = u64::from(bits.checked_shl(ones + 1).unwrap_or(0));
        let halvings = u64::from(ones) * LN2;
        // S2: mostly that is it.
        if number < LN2 {
            return halvings + number;
        }
        // S3 and S4: otherwise the smallest of k more numbers.
        let k = Q.iter().skip(1).position(|sum| number < *sum).map_or(Q.len(), |at| at + 2);
        let smallest = (0..k).map(|_| self.uniform()).min().unwrap_or_default();
        halvings + product(u64::from(smallest), LN2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4656 appendix B.
    #[test]
    fn a_million_deviates_of_each_seed_of_the_rfc_have_its_sum() {
        for (seed, sum) in [
            (0x2872_9793_03ab_47ee_ac02_8dab_3829_dab2_u128, 0x000f_4479_bd31_7381_u64),
            (0x0102_0304_0506_0708_090a_0b0c_0d0e_0f00, 0x000f_4336_8646_6a62),
            (0xdead_beef_dead_beef_dead_beef_dead_beef, 0x000f_416c_8884_d2d3),
            (0xfeed_0fee_d1fe_ed2f_eed3_feed_4fee_d5ab, 0x000f_3f0b_4b41_6ec8),
        ] {
            let slots = vec![Slot::Exponential { mean: 1 << 32 }];
            let schedule = Schedule::new(slots, Sid(seed.to_be_bytes()));
            assert_eq!(schedule.take(1_000_000).last(), Some(sum), "{seed:x}");
        }
    }

    #[test]
    fn slots_follow_one_another_and_begin_again_and_far_times_do_not_come_round() {
        let slots = vec![Slot::Fixed { offset: 5 }, Slot::Fixed { offset: 7 }];
        let times: Vec<_> = Schedule::new(slots, Sid::default()).take(5).collect();
        assert_eq!(times, [5, 12, 17, 24, 29]);
        let far = vec![Slot::Fixed { offset: u64::MAX / 2 + 1 }];
        assert_eq!(Schedule::new(far, Sid::default()).nth(2), Some(u64::MAX));
        let rare = vec![Slot::Exponential { mean: u64::MAX }];
        assert!(Schedule::new(rare, Sid::default()).nth(2).is_some());
    }
}
