//! Packets that were not sent, as they would have been too late (RFC 4656 section 4.1.1), in ranges.

use crate::protocol::{Record, SkipRange};

/// The most ranges that a session keeps: each is eight octets of Stop-Sessions and of memory.
pub const MOST_RANGES: usize = 4_096;

/// The ranges of a session, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skips {
    ranges: Vec<SkipRange>,
}

impl Skips {
    /// One more packet that was not sent; its number is above all before it. Whether there was room for it.
    pub fn add(&mut self, number: u32) -> bool {
        let is_full = !self.has_room();
        match self.ranges.last_mut() {
            Some(range) if range.last.checked_add(1) == Some(number) => range.last = number,
            _ if is_full => return false,
            _ => self.ranges.push(SkipRange { first: number, last: number }),
        }
        true
    }

    /// The ranges, in order.
    #[must_use]
    pub fn ranges(&self) -> &[SkipRange] {
        &self.ranges
    }

    /// How many packets there are in them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.last - range.first) + 1).sum()
    }

    /// Whether there is room for another range.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.ranges.len() < MOST_RANGES
    }
}

/// The records without those of packets that were never sent, as the sender's Stop-Sessions tells: in one of its
/// ranges, or from its next number on. `skipped` is in order and does not overlap.
///
/// Only records of lost packets are taken out. One that came was sent, whatever the sender says.
pub fn apply_skips(
    records: impl Iterator<Item = Record>,
    skipped: &[SkipRange],
    next: u32,
) -> impl Iterator<Item = Record> {
    records.filter(move |record| {
        record.received.is_some() || (record.seq < next && !is_in(skipped, record.seq))
    })
}

fn is_in(skipped: &[SkipRange], number: u32) -> bool {
    let after = skipped.partition_point(|range| range.first <= number);
    after > 0 && number <= skipped[after - 1].last
}

#[cfg(test)]
mod tests {
    use timed_udp::ntp::NtpTime;

    use super::*;

    fn record(seq: u32, came: bool) -> Record {
        Record {
            seq,
            sent: NtpTime(1),
            send_error: None,
            received: came.then_some(NtpTime(2)),
            receive_error: None,
            ttl: 255,
        }
    }

    #[test]
    fn neighbours_are_one_range_and_ranges_are_bounded() {
        let mut skips = Skips::default();
        for number in [3, 4, 5, 9] {
            assert!(skips.add(number));
        }
        let expected = [SkipRange { first: 3, last: 5 }, SkipRange { first: 9, last: 9 }];
        assert_eq!((skips.ranges(), skips.count()), (&expected[..], 4));
        let mut number = 11;
        while skips.add(number) {
            number += 2;
        }
        assert_eq!(skips.ranges().len(), MOST_RANGES);
        assert!(!skips.has_room());
    }

    #[test]
    fn what_was_never_sent_is_not_lost() {
        let skipped = [SkipRange { first: 2, last: 3 }, SkipRange { first: 6, last: 6 }];
        let records = (0..10).map(|seq| record(seq, seq == 3));
        let left: Vec<_> = apply_skips(records, &skipped, 8).map(|record| record.seq).collect();
        assert_eq!(left, [0, 1, 3, 4, 5, 7], "3 came although it is said to have been skipped");
    }
}
