//! How well the sender of a UDP test kept its times.

/// How late packets left.
#[derive(Debug, Clone, Default)]
pub struct Lateness {
    spread: super::Spread,
    unsent: u64,
}

/// A packet that leaves so much of its gap too late is not where it belongs.
const PART_OF_GAP: u64 = 2;
/// Times below this are a machine's daily bread, nanoseconds.
const HARMLESS: u64 = 1_000_000;

impl Lateness {
    /// A packet left so late, nanoseconds; none if it did not leave, as there was no room for it on this machine.
    pub fn note(&mut self, late: Option<u64>) {
        match late {
            Some(late) => self.spread.note(late),
            None => self.unsent += 1,
        }
    }

    /// Packets that left.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.spread.figures().map_or(0, |it| it.count)
    }

    /// Packets that did not, as a queue of this machine was full.
    #[must_use]
    pub const fn unsent(&self) -> u64 {
        self.unsent
    }

    /// A percentile of how late they were, nanoseconds.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        self.spread.percentile(percent)
    }

    /// Why the figures are more of this machine than of the network, if they are: one packet in twenty was late by half
    /// a gap and by a millisecond, or did not leave.
    #[must_use]
    pub fn verdict(&self, gap: u64) -> Option<String> {
        let all = self.sent() + self.unsent;
        if self.unsent * 20 > all {
            let unsent = self.unsent;
            return Some(format!(
                "{unsent} of {all} packets found no room in this machine's queues: the rate is more than it sends"
            ));
        }
        let late = self.percentile(95).filter(|late| *late > HARMLESS.max(gap / PART_OF_GAP))?;
        let micros = late / 1_000;
        Some(format!(
            "one packet in twenty left {micros} us or more after its time: this machine is too busy, or the rate is more \
             than it sends"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_late_says_so_and_one_that_is_late_by_little_does_not() {
        let mut lateness = Lateness::default();
        (0..90).for_each(|_| lateness.note(Some(3_000)));
        (0..4).for_each(|_| lateness.note(Some(9_000_000)));
        assert_eq!(lateness.verdict(100_000), None);
        (0..4).for_each(|_| lateness.note(Some(9_000_000)));
        assert!(lateness.verdict(100_000).is_some_and(|it| it.contains("after its time")));
        assert_eq!(lateness.verdict(1_000_000_000), None, "of a second it is nothing");
    }

    #[test]
    fn packets_that_did_not_leave_are_told() {
        let mut lateness = Lateness::default();
        (0..90).for_each(|_| lateness.note(Some(0)));
        (0..10).for_each(|_| lateness.note(None));
        assert_eq!((lateness.sent(), lateness.unsent()), (90, 10));
        assert!(lateness.verdict(1).is_some_and(|it| it.starts_with("10 of 100")));
    }
}
