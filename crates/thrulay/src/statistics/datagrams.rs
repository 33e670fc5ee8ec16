//! What a server receives of a UDP test.

use readings::statistics::percentile;

use crate::protocol::UdpReport;

/// Degrees of n-reordering that are told, as the reference's.
const DEGREES: usize = 100;
/// Stands for the delay of a packet that has not come.
const LOST: i64 = i64::MIN;

/// The packets of a test, in eight octets for each, all of which are there from the begin.
#[derive(Debug)]
pub struct Datagrams {
    /// By number: arrival less sending, nanoseconds.
    delays: Vec<i64>,
    received: u64,
    unique: u64,
    /// The numbers that came last, the place of the next one is `unique` modulo [`DEGREES`].
    last: [u32; DEGREES],
    /// By degree less one (RFC 4737 section 5.1).
    reordered: [u64; DEGREES],
    first_at: Option<u64>,
    last_at: u64,
}

impl Datagrams {
    /// Octets that a test of so many packets takes.
    #[must_use]
    pub const fn room(packets: u32) -> u64 {
        packets as u64 * 8
    }

    /// A test of so many packets.
    #[must_use]
    pub fn of(packets: u32) -> Self {
        Self {
            delays: vec![LOST; packets as usize],
            received: 0,
            unique: 0,
            last: [0; DEGREES],
            reordered: [0; DEGREES],
            first_at: None,
            last_at: 0,
        }
    }

    /// A packet came, `delay` nanoseconds after it was sent if both clocks agree, at `at` by some clock, nanoseconds.
    /// What has a number that is none of the test's is left out.
    pub fn note(&mut self, number: u32, delay: i64, at: u64) {
        let Some(place) = self.delays.get_mut(number as usize) else { return };
        self.received += 1;
        self.first_at.get_or_insert(at);
        self.last_at = self.last_at.max(at);
        if *place != LOST {
            return;
        }
        *place = delay.max(LOST + 1);
        self.note_order(number);
        self.unique += 1;
    }

    /// How many have come at least once.
    #[must_use]
    pub const fn unique(&self) -> u64 {
        self.unique
    }

    /// RFC 4737 section 5.1: it is n-reordered if the n packets that came right before it all have higher numbers.
    fn note_order(&mut self, number: u32) {
        let came = usize::try_from(self.unique).unwrap_or(usize::MAX);
        for degree in 1..=DEGREES.min(came) {
            if number > self.last[(came - degree) % DEGREES] {
                break;
            }
            self.reordered[degree - 1] += 1;
        }
        self.last[came % DEGREES] = number;
    }

    /// What it comes to. `dropped` of them had no room on this machine.
    #[must_use]
    pub fn report(&self, dropped: u64, synchronised: bool) -> UdpReport {
        let mut sorted: Vec<i64> = self.came().collect();
        sorted.sort_unstable();
        let at = |percent| percentile(&sorted, 0, percent);
        let delays = [0, 25, 50, 75, 95, 100].map(at);
        let degrees = self.reordered.iter().take_while(|count| **count > 0);
        UdpReport {
            received: self.received,
            unique: self.unique,
            dropped,
            delays: delays[0].map(|_| delays.map(Option::unwrap_or_default)),
            ipdv: self.ipdv(),
            span: self.first_at.map_or(0, |first| self.last_at.saturating_sub(first)),
            synchronised,
            reordered: degrees.copied().collect(),
        }
    }

    fn came(&self) -> impl Iterator<Item = i64> {
        self.delays.iter().copied().filter(|delay| *delay != LOST)
    }

    /// RFC 3393's selection of consecutive packets of which both came.
    fn ipdv(&self) -> Option<[i64; 2]> {
        let both = |pair: &&[i64]| pair[0] != LOST && pair[1] != LOST;
        let apart = |pair: &[i64]| pair[1].saturating_sub(pair[0]).saturating_abs();
        let mut all: Vec<i64> = self.delays.windows(2).filter(both).map(apart).collect();
        all.sort_unstable();
        Some([percentile(&all, 0, 50)?, percentile(&all, 0, 95)?])
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn came(packets: u32, numbers: &[u32]) -> UdpReport {
        let mut datagrams = Datagrams::of(packets);
        for (at, number) in (0_u64..).zip(numbers) {
            datagrams.note(*number, 1_000 + i64::from(*number), at * 10);
        }
        datagrams.report(0, true)
    }

    #[test]
    fn losses_and_copies_are_told_by_number() {
        let report = came(6, &[0, 1, 1, 3, 5, 3, 9]);
        assert_eq!((report.received, report.unique), (6, 4), "9 is none of the test's");
        assert_eq!(report.delays, Some([1_000, 1_000, 1_001, 1_003, 1_005, 1_005]));
        assert_eq!(report.ipdv, Some([1, 1]), "0 and 1 are the only neighbours");
        assert_eq!(report.span, 50);
        assert_eq!(came(3, &[]), UdpReport { synchronised: true, ..UdpReport::default() });
    }

    /// RFC 4737 section 5.4's and 10's sense: behind two higher ones a packet is 1-reordered and 2-reordered.
    #[test]
    fn reordering_is_told_by_degrees() {
        assert_eq!(came(9, &[0, 1, 2, 3]).reordered, [0_u64; 0]);
        assert_eq!(came(9, &[1, 2, 0, 3]).reordered, [1, 1]);
        assert_eq!(came(9, &[1, 0, 3, 2]).reordered, [2]);
        assert_eq!(came(9, &[1, 1, 0]).reordered, [1], "a copy is no packet before");
        assert_eq!(came(200, &(1..150).chain([0]).collect::<Vec<_>>()).reordered, vec![1; DEGREES]);
    }

    proptest! {
        #[test]
        fn whatever_comes_in_whatever_order_the_report_can_be_read(numbers in vec(0_u32..40, 0..120)) {
            let report = came(30, &numbers);
            let octets = crate::protocol::Answer::UdpReport(Box::new(report.clone())).to_bytes();
            let read = crate::protocol::Answer::read(octets[0], &octets[3..]);
            prop_assert_eq!(read, Ok(crate::protocol::Answer::UdpReport(Box::new(report))));
        }
    }
}
