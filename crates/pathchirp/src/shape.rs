//! The shape of a chirp: groups of packets whose distances shrink by the spread factor from one to the next, so that
//! each is sent at a higher rate than the one before (Ribeiro, Riedi, Baraniuk, Navratil, Cottrell: "pathChirp: Efficient
//! Available Bandwidth Estimation for Network Paths", PAM 2003, section 2).

/// The most groups of a chirp, whatever is asked for: 27 decades at the smallest spread would be more.
pub const MOST_GROUPS: usize = 1_024;
/// Octets of the headers of UDP and IP, version 4 and 6.
pub const HEADERS_V4: u32 = 28;
/// See [`HEADERS_V4`].
pub const HEADERS_V6: u32 = 48;

/// How a chirp is sent. Rates are of IP, bit/s: with the headers of UDP and IP, without those of the link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// The rate between the first two groups, bit/s, above zero.
    pub low: f64,
    /// A rate that the last group reaches, bit/s.
    pub high: f64,
    /// By what a rate is larger than the one before; above 1.
    pub spread: f64,
    /// Octets of a packet with its headers.
    pub octets: u32,
    /// Packets of a group: sent at once, at the place of one (`-J`).
    pub group: u16,
}

impl Shape {
    /// Bits of a group.
    #[must_use]
    pub fn group_bits(&self) -> f64 {
        f64::from(self.octets) * 8.0 * f64::from(self.group)
    }

    /// The rates between neighbouring groups: the first is the lowest, the last at least the highest.
    #[must_use]
    pub fn rates(&self) -> Vec<f64> {
        let mut rates = vec![self.low];
        let mut rate = self.low;
        // A hair below counts as reached: rates are products of a factor that is not exact.
        while rate < self.high * (1.0 - 1e-9) && rates.len() < MOST_GROUPS - 1 {
            rate *= self.spread;
            rates.push(rate);
        }
        rates
    }

    /// How many groups there are: one more than gaps.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.rates().len() + 1
    }

    /// When each group is sent, nanoseconds after the first.
    #[must_use]
    pub fn offsets(&self) -> Vec<u64> {
        let mut at = 0.0;
        let mut offsets = vec![0];
        for rate in self.rates() {
            at += self.group_bits() / rate * 1e9;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is not negative, and a float too large becomes the largest number"
            )]
            offsets.push(at.round() as u64);
        }
        offsets
    }

    /// From its first group to its last, nanoseconds.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.offsets().last().copied().unwrap_or(0)
    }

    /// All its packets.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.groups() * usize::from(self.group)
    }

    /// All its bits.
    #[must_use]
    pub fn bits(&self) -> f64 {
        crate::real(self.groups()) * self.group_bits()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: Shape = Shape { low: 10e6, high: 200e6, spread: 1.2, octets: 1_028, group: 1 };

    #[test]
    fn a_chirp_rises_from_the_lowest_rate_to_the_highest_and_has_a_packet_more_than_gaps() {
        let rates = USUAL.rates();
        assert_eq!(rates.len(), 18);
        assert!(
            rates[0].to_bits() == 10e6_f64.to_bits() && rates[17] >= 200e6 && rates[16] < 200e6
        );
        assert_eq!((USUAL.groups(), USUAL.packets()), (19, 19));
        let offsets = USUAL.offsets();
        assert_eq!((offsets[0], offsets[1]), (0, 822_400), "1,028 octets at 10 Mbit/s");
    }

    #[test]
    fn a_group_takes_the_place_of_one_packet_at_the_same_rate() {
        let six = Shape { group: 6, ..USUAL };
        assert_eq!((six.groups(), six.packets()), (19, 114));
        assert_eq!(six.offsets()[1], 6 * 822_400);
    }

    proptest! {
        #[test]
        fn gaps_shrink_and_nothing_is_endless(
            low in 1e3..1e9_f64, times in 1.0..1e6_f64, spread in 1.000_001..8.0_f64, group in 1..64_u16,
        ) {
            let shape = Shape { low, high: low * times, spread, group, ..USUAL };
            let offsets = shape.offsets();
            prop_assert_eq!(offsets.len(), shape.groups());
            prop_assert!(offsets.len() <= MOST_GROUPS);
            let gaps: Vec<u64> = offsets.windows(2).map(|pair| pair[1] - pair[0]).collect();
            prop_assert!(gaps.windows(2).all(|pair| pair[1] <= pair[0] + 1));
        }
    }
}
