//! When each packet of a session is due.

use std::{fmt, time::Duration};

use crate::protocol::{Schedule, Sid, Slot};

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

/// Goes through the packets of a session in their order.
pub struct Timetable {
    dues: Box<dyn Iterator<Item = u64> + Send>,
    last: u64,
}

impl Timetable {
    /// Packets that are due so many units of 2^-32 s after the start, one after the other; it ends after the last
    /// one, and goes on for ever if the session does.
    #[must_use]
    pub fn new(dues: impl Iterator<Item = u64> + Send + 'static) -> Self {
        Self { dues: Box::new(dues), last: 0 }
    }

    /// That of a session with `count` packets; of one that goes on until it is stopped, `u32::MAX`.
    #[must_use]
    pub fn of(sid: &Sid, slots: &[Slot], count: u32) -> Self {
        let schedule = Schedule::new(sid, slots);
        if count == u32::MAX {
            return Self::new(schedule);
        }
        Self::new(schedule.take(usize::try_from(count).unwrap_or(usize::MAX)))
    }

    /// When the next packet is due, units of 2^-32 s after the start; none after the last one. No packet is due
    /// before the one before it.
    pub fn next_due(&mut self) -> Option<u64> {
        self.last = self.last.max(self.dues.next()?);
        Some(self.last)
    }
}

impl fmt::Debug for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timetable").field("last", &self.last).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_after_the_last_packet_and_never_goes_back() {
        let mut table = Timetable::new([1 << 32, 5, 1 << 33].into_iter());
        let due: Vec<_> = std::iter::from_fn(|| table.next_due()).map(nanos_of_units).collect();
        assert_eq!(due, [1_000_000_000, 1_000_000_000, 2_000_000_000]);
        let slots = [Slot::Fixed { offset: 10 }];
        let mut table = Timetable::of(&Sid::default(), &slots, 2);
        assert_eq!(
            [table.next_due(), table.next_due(), table.next_due()],
            [Some(10), Some(20), None]
        );
    }

    #[test]
    fn lengths_keep_to_the_nanosecond() {
        for nanos in [0, 1, 999_999_999, 86_400_000_000_123] {
            let back = nanos_of_units(units_of(Duration::from_nanos(nanos)));
            assert!(nanos.abs_diff(back) <= 1, "{nanos} {back}");
        }
    }
}
