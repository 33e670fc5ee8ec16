//! What a sender does next, and what became of its packets. Pure: time comes in, decisions go out.

use std::{collections::BTreeMap, time::Duration};

use timed_udp::clock::Mono;

use super::{
    skips::Skips,
    spread::Spread,
    timetable::{Timetable, nanos_of_units},
};

/// What to do with a session that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send the packet of this number now.
    Send(u32),
    /// Nothing, until then.
    Wait(Mono),
    /// Nothing any more: all packets are done with.
    Done,
}

/// The most packets that one step skips. A machine that slept for a night has many of them; other sessions have
/// their turn in between.
const MOST_SKIPPED_AT_ONCE: usize = 10_000;

/// A session that sends.
#[derive(Debug)]
pub struct Sending {
    timetable: Timetable,
    start: Mono,
    too_late: Duration,
    number: u32,
    due: Option<Mono>,
    sent: u64,
    skips: Skips,
    late: Spread,
    errors: BTreeMap<i32, u64>,
}

/// What a session has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendReport {
    /// The number that the next packet would have had: one more than the last number that was sent or skipped.
    pub next_seq: u32,
    /// Packets that were sent.
    pub sent: u64,
    /// Packets before `next_seq` that were not: too late, or refused by the system.
    pub skips: Skips,
    /// How late packets were sent, against the schedule.
    pub late: Spread,
    /// How long packets took from their time stamp to the network driver, of one in many.
    pub leaving: Spread,
    /// How often sending failed, by errno. After `EAGAIN` and `ENOBUFS` it was tried again; what the network reports
    /// of earlier packets (`ECONNREFUSED`) is no loss of a packet here.
    pub errors: BTreeMap<i32, u64>,
}

impl Sending {
    /// Sends the packets of `timetable`, which begins at `start`; none that is late by more than `too_late`.
    #[must_use]
    pub fn new(mut timetable: Timetable, start: Mono, too_late: Duration) -> Self {
        let due = due_of(start, timetable.next_due());
        Self {
            timetable,
            start,
            too_late,
            number: 0,
            due,
            sent: 0,
            skips: Skips::default(),
            late: Spread::default(),
            errors: BTreeMap::new(),
        }
    }

    /// What to do at `now`.
    pub fn step(&mut self, now: Mono) -> Step {
        for _ in 0..MOST_SKIPPED_AT_ONCE {
            match self.due {
                None => return Step::Done,
                Some(due) if due > now => return Step::Wait(due),
                // Without room for another range it is sent, and its receiver finds out that it is late.
                Some(due) if now.since(due) > self.too_late && self.skips.add(self.number) => {
                    self.advance();
                }
                Some(_) => return Step::Send(self.number),
            }
        }
        Step::Wait(now)
    }

    /// The packet that was to be sent was sent, `at` by its time stamp.
    pub fn sent(&mut self, at: Mono) {
        if let Some(due) = self.due {
            self.late.add(at.since(due));
        }
        self.sent += 1;
        self.advance();
    }

    /// The system refused the packet, and will again: it counts as never sent.
    pub fn refused(&mut self) {
        // Without room for it the receiver will hold it for lost, which is not wrong.
        self.skips.add(self.number);
        self.advance();
    }

    /// Notes an error.
    pub fn note(&mut self, errno: i32) {
        *self.errors.entry(errno).or_default() += 1;
    }

    /// What was sent until now.
    #[must_use]
    pub fn report(self, leaving: Spread) -> SendReport {
        let Self { number, sent, skips, late, errors, .. } = self;
        SendReport { next_seq: number, sent, skips, late, leaving, errors }
    }

    fn advance(&mut self) {
        // The numbers end with 2^32 - 1 (RFC 4656 section 4.1.2), and the session with them.
        let Some(number) = self.number.checked_add(1) else {
            self.due = None;
            return;
        };
        self.number = number;
        self.due = due_of(self.start, self.timetable.next_due());
    }
}

fn due_of(start: Mono, units: Option<u64>) -> Option<Mono> {
    units.map(|units| start + Duration::from_nanos(nanos_of_units(units)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::SkipRange, session::timetable::units_of};

    const SECOND: Duration = Duration::from_secs(1);

    fn every_100_ms(count: usize) -> Sending {
        let gap = units_of(Duration::from_millis(100));
        let timetable = Timetable::new((1..=count as u64).map(move |number| number * gap));
        Sending::new(timetable, Mono(0), SECOND)
    }

    fn at(millis: u64) -> Mono {
        Mono(millis * 1_000_000)
    }

    #[test]
    fn packets_are_sent_at_their_times_one_after_the_other() {
        let mut session = every_100_ms(2);
        assert!(matches!(session.step(at(0)), Step::Wait(due) if due.0.abs_diff(at(100).0) <= 1));
        assert_eq!(session.step(at(101)), Step::Send(0));
        assert_eq!(session.step(at(101)), Step::Send(0), "it was not sent yet");
        session.sent(at(101));
        assert!(matches!(session.step(at(101)), Step::Wait(_)));
        assert_eq!(session.step(at(203)), Step::Send(1));
        session.sent(at(203));
        assert_eq!(session.step(at(203)), Step::Done);
        let report = session.report(Spread::default());
        assert_eq!((report.next_seq, report.sent, report.skips.count()), (2, 2, 0));
        let most = report.late.most().as_micros();
        assert!((2_999..=3_001).contains(&most), "{most}");
    }

    #[test]
    fn packets_that_would_be_later_than_the_time_out_are_skipped_by_number() {
        let mut session = every_100_ms(30);
        assert_eq!(session.step(at(101)), Step::Send(0));
        session.sent(at(101));
        // The machine was away until 2.55 s: numbers 1 to 14 were due before 1.55 s.
        assert_eq!(session.step(at(2_550)), Step::Send(15));
        session.sent(at(2_550));
        let report = session.report(Spread::default());
        assert_eq!(report.skips.ranges(), [SkipRange { first: 1, last: 14 }].as_slice());
        assert_eq!((report.next_seq, report.sent), (16, 2));
    }

    #[test]
    fn a_packet_that_the_system_refuses_was_never_sent_and_is_told_by_errno() {
        let mut session = every_100_ms(3);
        for number in 0..3 {
            assert_eq!(session.step(at(999)), Step::Send(number));
            if number == 1 {
                session.note(1);
                session.refused();
            } else {
                session.sent(at(999));
            }
        }
        let report = session.report(Spread::default());
        assert_eq!(report.errors, BTreeMap::from([(1, 1)]));
        assert_eq!(report.skips.ranges(), [SkipRange { first: 1, last: 1 }].as_slice());
    }

    #[test]
    fn a_night_of_sleep_does_not_hold_up_the_others() {
        let mut session = every_100_ms(50_000);
        let morning = at(8 * 3_600_000);
        let mut steps = 0;
        while session.step(morning) != Step::Done {
            steps += 1;
        }
        assert_eq!(steps, 5);
        assert_eq!(session.report(Spread::default()).skips.count(), 50_000);
    }
}
