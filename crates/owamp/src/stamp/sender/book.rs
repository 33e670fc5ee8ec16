//! Which packets went, and which answers came to them.

use std::time::Duration;

use timed_udp::{
    clock::Mono,
    ntp::{ErrorEstimate, NtpTime},
};

use crate::stamp::packet::Answer;

/// A packet that went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// When, as it says.
    pub(super) at: NtpTime,
    /// The same by the clock that nobody sets.
    pub(super) mono: Mono,
    /// How far our clock may be wrong.
    pub(super) error: ErrorEstimate,
}

/// How an answer arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) at: NtpTime,
    pub(super) mono: Mono,
    /// TTL or hop limit; 255 if it is not known.
    pub(super) ttl: u8,
}

/// An answer that came to a packet of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) answer: Answer,
    pub(super) arrived: Arrived,
    /// From sending to arrival, nanoseconds.
    pub(super) took: i64,
    /// What the reflector took of that.
    pub(super) processing: i64,
}

impl Came {
    /// What the network took, nanoseconds: right whatever the clocks show.
    pub(super) const fn round_trip(&self) -> i64 {
        self.took - self.processing
    }

    /// What tells an answer from another to the same packet. What comes with the same is a copy.
    pub(super) const fn identity(&self) -> (u32, u32, NtpTime) {
        (self.answer.of, self.answer.number, self.answer.came)
    }
}

/// A packet that is sent behind the others when answers are missing. The reflector's number of it tells how many of
/// the others it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) of: u32,
    pub(super) sent: Sent,
    /// The reflector's number, when its answer came.
    pub(super) number: Option<u32>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Book {
    /// By number; none of what could not be sent, or was on its way when the test was broken off.
    pub(super) sent: Vec<Option<Sent>>,
    /// In the order of their arrival.
    pub(super) came: Vec<Came>,
    /// What came that is no answer to a packet of ours, or makes no sense.
    pub(super) wrong: u64,
    pub(super) closing: Option<Closing>,
}

/// A reflector cannot have taken longer than all of it, but for what the rates of two clocks differ by, nanoseconds.
const SLACK: i64 = 100_000;
/// Answers that are kept, for each packet; more are somebody's flood.
const MOST_COPIES: usize = 8;

impl Book {
    /// Whether all that was sent is answered.
    pub(super) fn is_complete(&self) -> bool {
        self.unanswered().next().is_none()
    }

    /// The numbers of packets that no answer came to.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = u32> {
        let mut answered = vec![false; self.sent.len()];
        for came in &self.came {
            if let Some(is) = answered.get_mut(came.answer.of as usize) {
                *is = true;
            }
        }
        let all = (0..).zip(self.sent.iter().zip(answered));
        all.filter(|(_, (sent, is))| sent.is_some() && !is).map(|(number, _)| number)
    }

    /// Takes what came.
    pub(super) fn take(&mut self, octets: &[u8], arrived: Arrived) {
        if self.take_if_right(octets, arrived).is_none() {
            self.wrong += 1;
        }
    }

    fn take_if_right(&mut self, octets: &[u8], arrived: Arrived) -> Option<()> {
        let answer = Answer::read(octets)?;
        if let Some(closing) = &mut self.closing
            && (closing.of, closing.sent.at) == (answer.of, answer.of_sent)
        {
            closing.number.get_or_insert(answer.number);
            return Some(());
        }
        let sent = (*self.sent.get(answer.of as usize)?)?;
        let took = nanos(sent.mono, arrived.mono);
        let processing = answer.sent.nanos_since(answer.came);
        let is_right =
            answer.of_sent == sent.at && (0..=took.saturating_add(SLACK)).contains(&processing);
        if !is_right || self.came.len() >= self.sent.len().saturating_mul(MOST_COPIES) {
            return None;
        }
        self.came.push(Came { answer, arrived, took, processing });
        Some(())
    }

    /// Forgets packets that may still be answered: the test was broken off.
    pub(super) fn break_off(&mut self, now: Mono, timeout: Duration) {
        let open: Vec<u32> = self.unanswered().collect();
        for number in open {
            let sent = &mut self.sent[number as usize];
            if sent.is_some_and(|it| now.since(it.mono) < timeout) {
                *sent = None;
            }
        }
    }
}

fn nanos(from: Mono, to: Mono) -> i64 {
    to.0.wrapping_sub(from.0).cast_signed()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::stamp::packet;

    pub(crate) const ERROR: ErrorEstimate =
        ErrorEstimate { synchronised: true, z: false, scale: 10, multiplier: 50 };

    /// The time so many microseconds after some.
    pub(crate) fn at(micros: i64) -> NtpTime {
        NtpTime::from_unix_nanos(1_783_000_000_000_000_000 + i128::from(micros) * 1_000)
    }

    pub(crate) fn mono(micros: i64) -> Mono {
        Mono(1_000_000_000_000).moved(micros * 1_000)
    }

    /// Packets that went every 10 ms.
    pub(crate) fn book(packets: u32) -> Book {
        let sent = |n: u32| Sent {
            at: at(i64::from(n) * 10_000),
            mono: mono(i64::from(n) * 10_000),
            error: ERROR,
        };
        Book { sent: (0..packets).map(|n| Some(sent(n))).collect(), ..Book::default() }
    }

    /// An answer that took 300 us there, 20 us there, and 500 us back, by clocks that agree.
    pub(crate) fn answer(of: u32, number: u32) -> (Vec<u8>, Arrived) {
        let start = i64::from(of) * 10_000;
        let mut octets = vec![0; 44];
        packet::ask(&mut octets, of, at(start), ERROR).expect("room");
        packet::answer(&mut octets, number, at(start + 300), 250).expect("long enough");
        packet::stamp(&mut octets, at(start + 320), ERROR).expect("long enough");
        (octets, Arrived { at: at(start + 820), mono: mono(start + 820), ttl: 252 })
    }

    pub(crate) fn take(book: &mut Book, answers: &[(u32, u32)]) {
        for (of, number) in answers {
            let (octets, arrived) = answer(*of, *number);
            book.take(&octets, arrived);
        }
    }

    #[test]
    fn a_round_trip_is_without_what_the_reflector_took() {
        let mut book = book(3);
        take(&mut book, &[(0, 0), (2, 2)]);
        assert_eq!(book.came.len(), 2);
        assert!((book.came[0].round_trip() - 800_000).abs() < 5, "{:?}", book.came[0]);
        assert_eq!(book.unanswered().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_is_no_answer_of_ours_is_counted_as_wrong_and_else_left() {
        let mut book = book(3);
        let (good, arrived) = answer(1, 1);
        let changed = |at: usize, octet: u8| {
            let mut octets = good.clone();
            octets[at] = octet;
            octets
        };
        let all = [
            good[..40].to_vec(),
            changed(27, 3),            // a number that was not sent
            changed(27, 0),            // another packet's
            changed(35, good[35] ^ 1), // another time
            changed(7, good[7] ^ 1),   // sent before it came, or long after
            vec![0; 44],
        ];
        for octets in &all {
            book.take(octets, arrived);
        }
        assert_eq!((book.wrong, book.came.len()), (6, 0));
        book.take(&good, arrived);
        assert!(book.came.len() == 1 && !book.is_complete());
    }

    #[test]
    fn a_flood_of_copies_is_bounded() {
        let mut book = book(2);
        take(&mut book, &[(1, 1); 100]);
        assert_eq!((book.came.len(), book.wrong), (16, 84));
    }

    #[test]
    fn a_test_that_is_broken_off_counts_no_packet_that_may_still_be_answered() {
        let mut book = book(4);
        take(&mut book, &[(0, 0), (3, 1)]);
        book.break_off(mono(25_000), Duration::from_millis(10));
        let sent: Vec<bool> = book.sent.iter().map(Option::is_some).collect();
        assert_eq!(sent, [true, true, false, true]);
    }
}
