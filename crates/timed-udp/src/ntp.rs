//! Times and errors as measuring packets carry them.

/// A time: seconds since 1900, UTC, as a fixed-point number of 32 bits before and 32 after the point (RFC 5905
/// section 6, RFC 4656 section 4.1.2), 2^-32 s (233 ps) a unit. It comes round in 2036 and is then the next era's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NtpTime(pub u64);

/// From 1900 to 1970, seconds.
const ERA: u64 = 2_208_988_800;
const NANOS: u128 = 1_000_000_000;

impl NtpTime {
    /// The time so many nanoseconds after 1970, rounded down to its unit.
    #[must_use]
    pub fn from_unix_nanos(nanos: i128) -> Self {
        let since = nanos + i128::from(ERA) * NANOS.cast_signed();
        let (seconds, rest) =
            (since.div_euclid(NANOS.cast_signed()), since.rem_euclid(NANOS.cast_signed()));
        // Both fit: the remainder is below a second, and seconds come round (an era is 2^32 of them).
        let fraction = (rest << 32) / NANOS.cast_signed();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an era comes round"
        )]
        Self((((seconds as u64) & 0xffff_ffff) << 32) | fraction as u64)
    }

    /// Nanoseconds after 1970, rounded to the nearest; a time before 1968 is one of the era after 2036.
    #[must_use]
    pub fn unix_nanos(self) -> i128 {
        let seconds = self.0 >> 32;
        let era = if seconds & 0x8000_0000 == 0 { 1 << 32 } else { 0 };
        let fraction = (u128::from(self.0 & 0xffff_ffff) * NANOS + (1 << 31)) >> 32;
        (i128::from(seconds) + era - i128::from(ERA)) * NANOS.cast_signed() + fraction.cast_signed()
    }

    /// From `earlier` to this, nanoseconds, rounded to the nearest; negative if this is the earlier one. Right
    /// across the change of an era, for up to 68 years.
    #[must_use]
    pub fn nanos_since(self, earlier: Self) -> i64 {
        let units = i128::from(self.0.wrapping_sub(earlier.0).cast_signed());
        let nanos = (units * NANOS.cast_signed() + (1 << 31)) >> 32;
        // 2^31 seconds are 2.1e18 ns.
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }

    /// As on the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// From the wire: every value is a time.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

/// How far a time may be wrong, as its packet says (RFC 4656 section 4.1.2): `multiplier * 2^(scale-32)` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorEstimate {
    /// Whether the clock is held to be synchronised to UTC by an external source (S).
    pub synchronised: bool,
    /// The bit between S and the scale. OWAMP wants zero; STAMP says the form of its time stamps with it (Z: RFC
    /// 8762 section 4.2.1).
    pub z: bool,
    /// 0 to 63.
    pub scale: u8,
    /// 1 to 255: zero on the wire is no estimate, and the packet to be dropped.
    pub multiplier: u8,
}

impl ErrorEstimate {
    /// The smallest estimate of at least `nanos` nanoseconds; of 2^-32 s if it is below that.
    #[must_use]
    pub fn at_least(nanos: u64, synchronised: bool) -> Self {
        let units = ((u128::from(nanos) << 32).div_ceil(NANOS)).max(1);
        let bits = 128 - units.leading_zeros();
        let mut scale = bits.saturating_sub(8);
        let mut multiplier = units.div_ceil(1 << scale);
        if multiplier > 255 {
            scale += 1;
            multiplier = units.div_ceil(1 << scale);
        }
        let small = |value: u128| u8::try_from(value).unwrap_or(u8::MAX);
        Self { synchronised, z: false, scale: small(scale.into()), multiplier: small(multiplier) }
    }

    /// The error, seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        f64::from(self.multiplier) * 2f64.powi(i32::from(self.scale) - 32)
    }

    /// As on the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 2] {
        let flags = (self.synchronised as u8) << 7 | (self.z as u8) << 6;
        [flags | self.scale & 0x3f, self.multiplier]
    }

    /// From the wire; none if its multiplier is zero, which no sound packet has.
    #[must_use]
    pub const fn from_bytes([first, multiplier]: [u8; 2]) -> Option<Self> {
        if multiplier == 0 {
            return None;
        }
        let (synchronised, z) = (first & 0x80 != 0, first & 0x40 != 0);
        Some(Self { synchronised, z, scale: first & 0x3f, multiplier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JULY_2026: i128 = 1_783_000_000_123_456_789;

    #[test]
    fn a_time_goes_to_the_wire_and_back_to_the_nanosecond() {
        let time = NtpTime::from_unix_nanos(JULY_2026);
        assert_eq!(time.0 >> 32, 1_783_000_000 + 2_208_988_800);
        assert_eq!(NtpTime::from_bytes(time.to_bytes()), time);
        assert!((time.unix_nanos() - JULY_2026).abs() <= 1);
    }

    #[test]
    fn a_delay_is_right_across_the_end_of_the_era_in_2036() {
        let end_of_era = (i128::from(u32::MAX) + 1 - 2_208_988_800) * 1_000_000_000;
        let before = NtpTime::from_unix_nanos(end_of_era - 250_000_000);
        let after = NtpTime::from_unix_nanos(end_of_era + 250_000_000);
        assert!(after < before, "the number came round");
        assert_eq!(after.nanos_since(before), 500_000_000);
        assert_eq!(before.nanos_since(after), -500_000_000);
        assert_eq!(after.unix_nanos(), end_of_era + 250_000_000);
    }

    #[test]
    fn an_estimate_is_never_below_the_error_and_hardly_above() {
        for nanos in [0, 1, 232, 504_000, 16_000_000, 500_000_000, 1_000_000_000_000] {
            let estimate = ErrorEstimate::at_least(nanos, true);
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let wanted = (nanos as f64 / 1e9).max(2f64.powi(-32));
            assert!(estimate.seconds() >= wanted, "{estimate:?}");
            assert!(
                estimate.seconds() <= wanted * 1.01 + 2f64.powi(-31),
                "{estimate:?} for {nanos}"
            );
            assert_eq!(ErrorEstimate::from_bytes(estimate.to_bytes()), Some(estimate));
        }
        assert_eq!(ErrorEstimate::from_bytes([0x80, 0]), None);
    }
}
