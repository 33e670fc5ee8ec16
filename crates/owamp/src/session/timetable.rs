//! When each packet of a session is due: the schedule's gaps summed up from its start.

use std::{fmt, time::Duration};

/// The gaps before the packets of a session, units of 2^-32 s: the first from the start to the first packet. One for
/// each packet; it ends after the last one, and goes on for ever if the session does.
pub type Gaps = Box<dyn Iterator<Item = u64> + Send>;

/// Units of 2^-32 s as nanoseconds, rounded to the nearest; 292 years at most.
#[must_use]
pub fn nanos_of_units(units: u64) -> u64 {
    let nanos = (u128::from(units) * 1_000_000_000 + (1 << 31)) >> 32;
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// The same length in units of 2^-32 s, rounded down; 136 years at most.
#[must_use]
pub fn units_of(length: Duration) -> u64 {
    u64::try_from((length.as_nanos() << 32) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// Goes through the packets in their order.
pub struct Timetable {
    gaps: Gaps,
    passed: u64,
}

impl Timetable {
    /// From the first packet.
    #[must_use]
    pub fn new(gaps: Gaps) -> Self {
        Self { gaps, passed: 0 }
    }

    /// When the next packet is due, units of 2^-32 s after the start; none after the last one.
    pub fn next_due(&mut self) -> Option<u64> {
        self.passed = self.passed.saturating_add(self.gaps.next()?);
        Some(self.passed)
    }
}

impl fmt::Debug for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timetable").field("passed", &self.passed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_due_when_all_gaps_before_it_have_passed() {
        let mut table = Timetable::new(Box::new([1 << 32, 0, 1 << 31].into_iter()));
        let due: Vec<_> = std::iter::from_fn(|| table.next_due()).map(nanos_of_units).collect();
        assert_eq!(due, [1_000_000_000, 1_000_000_000, 1_500_000_000]);
        assert_eq!(table.next_due(), None);
    }

    #[test]
    fn lengths_keep_to_the_nanosecond() {
        for nanos in [0, 1, 999_999_999, 86_400_000_000_123] {
            let back = nanos_of_units(units_of(Duration::from_nanos(nanos)));
            assert!(nanos.abs_diff(back) <= 1, "{nanos} {back}");
        }
    }
}
