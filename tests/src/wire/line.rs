//! What one direction of a wire does to the packets that come by: decided in a value, from the time of a
//! packet's arrival and what is seen of it.

use std::{ops::RangeInclusive, time::Duration};

use super::frame::{Seen, UDP};

/// One direction. What is not said is not done: the default lets everything through at once.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// How long every packet takes.
    pub delay: Duration,
    /// How much longer the packets that count take, one after the other and round again.
    pub varies: Vec<Duration>,
    /// Packets that take longer than others, which overtake them.
    pub holds: Vec<(Which, Duration)>,
    /// Packets that are lost.
    pub loses: Which,
    /// Packets that come twice, and how long after the first the second one does.
    pub doubles: (Which, Duration),
    /// How fast it is; nothing: no packet waits for another.
    pub rate: Option<Rate>,
    /// The packets that count: only they are lost, doubled, held and varied, and numbered for it.
    pub counts: Traffic,
}

/// A rate, and what may wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bits in a second, of whole Ethernet frames with their headers.
    pub bits: u64,
    /// Octets that may wait; a packet that has no room is lost.
    pub queue: usize,
}

/// A kind of packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Traffic {
    /// All, of IP.
    #[default]
    All,
    /// Datagrams.
    Udp,
    /// Datagrams to or from one of these ports.
    Ports(RangeInclusive<u16>),
    /// Requests and replies of ping.
    Echoes,
}

impl Traffic {
    fn has(&self, seen: &Seen) -> bool {
        match self {
            Self::All => true,
            Self::Udp => seen.protocol == UDP,
            Self::Ports(ports) => {
                let either = |(from, to)| ports.contains(&from) || ports.contains(&to);
                seen.protocol == UDP && seen.ports.is_some_and(either)
            }
            Self::Echoes => seen.is_echo(),
        }
    }
}

/// Some of the packets that count.
#[derive(Debug, Clone, Default)]
pub enum Which {
    /// Not one.
    #[default]
    None,
    /// All of them.
    All,
    /// The last one of so many.
    OneIn(u64),
    /// By number: the first one that came by since the line was set is 0.
    Numbers(Vec<u64>),
    /// By the number that they carry at this octet of their content ([`Seen::mark`]).
    Marked(usize, Vec<u32>),
    /// Of which this is true.
    Where(fn(&Seen) -> bool),
}

impl Which {
    fn has(&self, number: u64, seen: &Seen) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::OneIn(many) => (number + 1).is_multiple_of(*many),
            Self::Numbers(numbers) => numbers.contains(&number),
            Self::Marked(at, marks) => seen.mark(*at).is_some_and(|mark| marks.contains(&mark)),
            Self::Where(holds) => holds(seen),
        }
    }
}

/// Why a packet was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The line loses it.
    Chosen,
    /// Too many waited before it.
    Full,
    /// The host at the other end had no room for it, or was gone.
    Refused,
}

/// What becomes of a packet; times as those of its arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes nowhere.
    Lost(Cause),
    /// It goes on at a time.
    Once(Duration),
    /// It goes on at a time, and once more at another.
    Twice(Duration, Duration),
}

/// A line and what has come by on it.
#[derive(Debug, Default)]
pub(super) struct Way {
    line: Line,
    counted: u64,
    free: Duration,
}

impl Way {
    /// Goes on with another line. What is on its way stays so.
    pub(super) fn follow(&mut self, line: Line) {
        (self.line, self.counted) = (line, 0);
    }

    /// Decides on a packet that arrived at a time; gives its number, if it counts, and what becomes of it.
    pub(super) fn on_packet(&mut self, arrived: Duration, seen: &Seen) -> (Option<u64>, Fate) {
        let number = self.line.counts.has(seen).then_some(self.counted);
        self.counted += u64::from(number.is_some());
        let is_in = |which: &Which| number.is_some_and(|number| which.has(number, seen));
        if is_in(&self.line.loses) {
            return (number, Fate::Lost(Cause::Chosen));
        }
        let more = number.map_or(Duration::ZERO, |number| self.line.more(number, seen));
        let copy = is_in(&self.line.doubles.0).then_some(self.line.doubles.1);
        let Some(sent) = self.sent(arrived, seen.length) else {
            return (number, Fate::Lost(Cause::Full));
        };
        let departs = sent + self.line.delay + more;
        (number, copy.map_or(Fate::Once(departs), |after| Fate::Twice(departs, departs + after)))
    }

    /// When the last bit of a frame has gone at the line's rate; nothing: it has no room to wait.
    fn sent(&mut self, arrived: Duration, length: usize) -> Option<Duration> {
        let Some(rate) = self.line.rate else { return Some(arrived) };
        let start = self.free.max(arrived);
        let waits = rate.octets_in(start.saturating_sub(arrived));
        if waits > 0 && waits + length > rate.queue {
            return None;
        }
        self.free = start + rate.time_of(length);
        Some(self.free)
    }
}

impl Line {
    fn more(&self, number: u64, seen: &Seen) -> Duration {
        let many = u64::try_from(self.varies.len()).unwrap_or(u64::MAX).max(1);
        let turn = usize::try_from(number % many).unwrap_or(0);
        let varies = self.varies.get(turn).copied().unwrap_or_default();
        let held = self.holds.iter().filter(|(which, _)| which.has(number, seen));
        varies + held.map(|(_, length)| *length).sum::<Duration>()
    }
}

impl Rate {
    fn time_of(self, octets: usize) -> Duration {
        let nanoseconds = octets as u128 * 8_000_000_000 / u128::from(self.bits.max(1));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    fn octets_in(self, length: Duration) -> usize {
        let octets = length.as_nanos() * u128::from(self.bits) / 8_000_000_000;
        usize::try_from(octets).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::ICMP;

    const LATE: Duration = Duration::from_millis(30);

    fn at(milliseconds: u64) -> Duration {
        Duration::from_secs(1_800_000_000) + Duration::from_millis(milliseconds)
    }

    fn datagram(mark: u8) -> Seen {
        let ports = Some((40_000, 8760));
        let content = vec![0, 0, 0, mark];
        Seen { is_v6: false, protocol: UDP, ttl: 63, ports, length: 1000, content }
    }

    fn echo() -> Seen {
        Seen { protocol: ICMP, ports: None, content: vec![8, 0], ..datagram(0) }
    }

    /// What becomes of so many datagrams, a millisecond apart, which carry their number.
    fn fates(line: Line, many: u8) -> Vec<Fate> {
        let mut way = Way::default();
        way.follow(line);
        let mark = |mark: u8| way.on_packet(at(mark.into()), &datagram(mark)).1;
        (0..many).map(mark).collect()
    }

    fn lost(fates: &[Fate]) -> Vec<usize> {
        let is_lost = |at: &usize| matches!(fates[*at], Fate::Lost(_));
        (0..fates.len()).filter(is_lost).collect()
    }

    #[test]
    fn a_line_of_which_nothing_is_said_lets_all_through_at_once() {
        assert_eq!(fates(Line::default(), 2), [Fate::Once(at(0)), Fate::Once(at(1))]);
    }

    #[test]
    fn every_packet_takes_its_time_and_some_take_longer() {
        let holds = vec![(Which::Numbers(vec![1]), LATE), (Which::OneIn(2), LATE)];
        let line = Line { delay: Duration::from_millis(5), holds, ..Line::default() };
        assert_eq!(fates(line, 3), [5, 66, 7].map(|late| Fate::Once(at(late))));
        let varies = [0, 7].map(Duration::from_millis).to_vec();
        let line = Line { varies, ..Line::default() };
        assert_eq!(fates(line, 4), [0, 8, 2, 10].map(|late| Fate::Once(at(late))));
    }

    #[test]
    fn what_is_lost_is_chosen_by_count_by_mark_or_by_a_question() {
        for (loses, expected) in [
            (Which::None, vec![]),
            (Which::All, vec![0, 1, 2, 3, 4, 5]),
            (Which::OneIn(3), vec![2, 5]),
            (Which::Numbers(vec![0, 4]), vec![0, 4]),
            (Which::Marked(0, vec![1, 5, 9]), vec![1, 5]),
            (Which::Marked(1, vec![0]), vec![]),
            (Which::Where(|seen| seen.mark(0) > Some(3)), vec![4, 5]),
        ] {
            assert_eq!(lost(&fates(Line { loses, ..Line::default() }, 6)), expected);
        }
    }

    #[test]
    fn a_packet_may_come_twice() {
        let line = Line {
            delay: LATE,
            doubles: (Which::Numbers(vec![1]), Duration::from_millis(2)),
            ..Line::default()
        };
        assert_eq!(fates(line, 2), [Fate::Once(at(30)), Fate::Twice(at(31), at(33))]);
    }

    #[test]
    fn packets_wait_for_the_rate_until_the_queue_is_full() {
        // A thousand octets take four milliseconds.
        let rate = Some(Rate { bits: 2_000_000, queue: 2000 });
        let fates = fates(Line { rate, delay: LATE, ..Line::default() }, 9);
        assert_eq!(fates[..2], [Fate::Once(at(34)), Fate::Once(at(38))]);
        // Of those two, 1500 octets are left when the third comes.
        assert_eq!(fates[2], Fate::Lost(Cause::Full));
        assert_eq!(fates[4], Fate::Once(at(42)));
        assert_eq!(lost(&fates), [2, 3, 5, 6, 7]);
    }

    #[test]
    fn a_packet_that_finds_nobody_waiting_is_sent_however_large_it_is() {
        let rate = Some(Rate { bits: 8_000_000, queue: 10 });
        assert_eq!(fates(Line { rate, ..Line::default() }, 1), [Fate::Once(at(1))]);
    }

    #[test]
    fn only_what_counts_is_numbered_and_lost_and_all_is_delayed() {
        for (counts, expected) in [
            (Traffic::All, [Some(0), Some(1)]),
            (Traffic::Udp, [None, Some(0)]),
            (Traffic::Ports(8760..=8770), [None, Some(0)]),
            (Traffic::Ports(1..=8759), [None, None]),
            (Traffic::Echoes, [Some(0), None]),
        ] {
            let mut way = Way::default();
            way.follow(Line { counts, delay: LATE, loses: Which::All, ..Line::default() });
            for (seen, expected) in [echo(), datagram(0)].iter().zip(expected) {
                let late = Fate::Once(at(0) + LATE);
                let fate = if expected.is_some() { Fate::Lost(Cause::Chosen) } else { late };
                assert_eq!(way.on_packet(at(0), seen), (expected, fate));
            }
        }
    }

    #[test]
    fn another_line_counts_from_the_start() {
        let mut way = Way::default();
        let loses = || Line { loses: Which::Numbers(vec![1]), ..Line::default() };
        for _ in 0..2 {
            way.follow(loses());
            let numbers = [0, 1].map(|mark| way.on_packet(at(0), &datagram(mark)));
            let lost = (Some(1), Fate::Lost(Cause::Chosen));
            assert_eq!(numbers, [(Some(0), Fate::Once(at(0))), lost]);
        }
    }
}
