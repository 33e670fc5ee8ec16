//! What a receiver makes of the packets that come and of those that do not (RFC 4656 section 4.2). Pure: packets and
//! times come in, records go out.

use std::time::Duration;

use timed_udp::ntp::{ErrorEstimate, NtpTime};

use super::{
    timetable::{Timetable, nanos_of_units, units_of},
    window::{AT_ONCE, Place, Window},
};
use crate::protocol::Record;

/// How often a packet may come and have a record each time. Real duplication stays far below; a flood of copies
/// is counted and not kept.
pub const MOST_COPIES: u8 = 8;

/// A packet that came and is genuine, as far as can be told without the schedule.
#[derive(Debug, Clone, Copy)]
pub struct Came {
    /// Its number.
    pub seq: u32,
    /// Its time stamp.
    pub sent: NtpTime,
    /// Its error estimate.
    pub send_error: ErrorEstimate,
    /// When it came.
    pub received: NtpTime,
    /// How far that may be wrong.
    pub receive_error: ErrorEstimate,
    /// TTL or hop limit; 255 if it is not known.
    pub ttl: u8,
}

/// Packets that were refused, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// Not from the session's sender.
    pub address: u64,
    /// Too short, or with an error estimate that cannot be.
    pub malformed: u64,
    /// The HMAC, or what else the key protects, is not right.
    pub key: u64,
    /// No packet of the session has this number.
    pub number: u64,
    /// The time stamp is further from the schedule or from the time of arrival than the time-out.
    pub time: u64,
    /// Its time-out has passed: it has a record as lost already.
    pub late: u64,
    /// Another copy, after [`MOST_COPIES`].
    pub copies: u64,
}

impl Refused {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        let Self { address, malformed, key, number, time, late, copies } = *self;
        address + malformed + key + number + time + late + copies
    }
}

/// A session that receives. Times of the session are nanoseconds since its start by the monotonic clock, so that
/// nobody who sets a clock makes packets lost.
#[derive(Debug)]
pub struct Receiving {
    window: Window,
    start: NtpTime,
    timeout: u64,
    /// Packets that came for the first time.
    came: u64,
    /// Further copies that have a record.
    duplicates: u64,
    lost: u64,
    refused: Refused,
}

/// What a receiving session has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that came.
    pub came: u64,
    /// Further copies of these, with a record each.
    pub duplicates: u64,
    /// Packets that did not come in time.
    pub lost: u64,
    /// Packets that were not taken.
    pub refused: Refused,
}

/// A packet is declared lost so long after its time-out, since it may be waiting in our own queue.
pub const GRACE: Duration = Duration::from_millis(200);
/// A session is looked after that often; what has passed until then stays in memory.
const LOOK: Duration = Duration::from_secs(1);

impl Receiving {
    /// Receives the packets of `timetable`, which begins at `start`.
    #[must_use]
    pub fn new(timetable: Timetable, start: NtpTime, timeout: Duration) -> Self {
        Self {
            window: Window::new(timetable),
            start,
            timeout: units_of(timeout),
            came: 0,
            duplicates: 0,
            lost: 0,
            refused: Refused::default(),
        }
    }

    /// Takes a packet; its record, if it gets one.
    pub fn take(&mut self, packet: &Came) -> Option<Record> {
        match self.judge(packet) {
            Ok(copies) => {
                self.window.mark(packet.seq);
                let counter = if copies == 0 { &mut self.came } else { &mut self.duplicates };
                *counter += 1;
                Some(Record {
                    seq: packet.seq,
                    sent: packet.sent,
                    send_error: Some(packet.send_error),
                    received: Some(packet.received),
                    receive_error: Some(packet.receive_error),
                    ttl: packet.ttl,
                })
            }
            Err(reason) => {
                *reason(&mut self.refused) += 1;
                None
            }
        }
    }

    /// How often it came before, or which counter tells why it is refused.
    fn judge(&mut self, packet: &Came) -> Result<u8, fn(&mut Refused) -> &mut u64> {
        if distance(packet.received, packet.sent) > self.timeout {
            return Err(|refused| &mut refused.time);
        }
        // What is due later than two time-outs after the time of arrival fails one of the two tests anyway.
        let ahead = self.timeout.saturating_mul(2);
        let mut place = self.window.place(packet.seq);
        if place == Place::Ahead {
            self.window.extend(since(self.start, packet.received).saturating_add(ahead));
            place = self.window.place(packet.seq);
        }
        match place {
            Place::Passed => Err(|refused| &mut refused.late),
            Place::Ahead => Err(|refused| &mut refused.time),
            Place::Beyond => Err(|refused| &mut refused.number),
            Place::Open { due, .. } if distance(packet.sent, self.at(due)) > self.timeout => {
                Err(|refused| &mut refused.time)
            }
            Place::Open { copies: MOST_COPIES.., .. } => Err(|refused| &mut refused.copies),
            Place::Open { copies, .. } => Ok(copies),
        }
    }

    /// Counts a packet that never got so far.
    pub fn refuse(&mut self, reason: impl FnOnce(&mut Refused) -> &mut u64) {
        *reason(&mut self.refused) += 1;
    }

    /// Gives `lost` a record of each packet that has not come `elapsed` after the start although its time-out has
    /// passed, and has a number below `next` if the sender has told that it stopped there. Whether there is more to do
    /// at once: there may be millions, and other sessions have their turn.
    pub fn pass(&mut self, elapsed: Duration, next: Option<u32>, lost: impl FnMut(Record)) -> bool {
        let limit = units_of(elapsed.saturating_sub(GRACE)).saturating_sub(self.timeout);
        let is_more = self.window.extend(units_of(elapsed + LOOK));
        self.decide(limit, next, lost) || is_more
    }

    /// Ends the session `elapsed` after the start. Of what is undecided that is lost which was sent and had its
    /// time: what was due a time-out ago, and has a number below `next` if the sender told that one. What was on its
    /// way when the session was stopped is neither lost nor received (RFC 4656 section 3.8). Whether there is more to
    /// do at once, by the same call.
    pub fn end(&mut self, elapsed: Duration, next: Option<u32>, lost: impl FnMut(Record)) -> bool {
        let limit = units_of(elapsed).saturating_sub(self.timeout);
        let is_more = self.window.extend(limit);
        self.decide(limit, next, lost) || is_more
    }

    /// Whether it is known of all numbers below `next` what became of them.
    #[must_use]
    pub fn is_settled(&self, next: u32) -> bool {
        self.window.is_settled(next)
    }

    /// Whether it was stopped by how many there are.
    fn decide(&mut self, limit: u64, next: Option<u32>, mut lost: impl FnMut(Record)) -> bool {
        for _ in 0..AT_ONCE {
            let Some(packet) = self.window.pass(limit) else { return false };
            if packet.came || next.is_some_and(|next| packet.number >= next) {
                continue;
            }
            self.lost += 1;
            lost(Record {
                seq: packet.number,
                sent: self.at(packet.due),
                send_error: None,
                received: None,
                receive_error: None,
                ttl: 255,
            });
        }
        true
    }

    /// Whether every packet is decided.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.window.is_over()
    }

    /// When it is to be looked after again, since the start, if that was done at `elapsed`.
    #[must_use]
    pub fn next_look(&self, elapsed: Duration) -> Duration {
        let end = self.window.last_due().map(|due| due.saturating_add(self.timeout));
        let end = end.map(|end| Duration::from_nanos(nanos_of_units(end)) + GRACE);
        // A nanosecond more: lengths are rounded.
        let end = end.map_or(Duration::MAX, |end| end + Duration::from_micros(1));
        end.clamp(elapsed + Duration::from_millis(1), elapsed + LOOK)
    }

    /// What was counted until now.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        let Self { came, duplicates, lost, refused, .. } = *self;
        Counts { came, duplicates, lost, refused }
    }

    /// The presumed send time of what is due so many units after the start.
    const fn at(&self, due: u64) -> NtpTime {
        NtpTime(self.start.0.wrapping_add(due))
    }
}

/// From one time to another, whichever is later, units of 2^-32 s.
fn distance(one: NtpTime, other: NtpTime) -> u64 {
    one.0.wrapping_sub(other.0).cast_signed().unsigned_abs()
}

/// From `start` to `time`, units of 2^-32 s; nothing if it is before.
fn since(start: NtpTime, time: NtpTime) -> u64 {
    u64::try_from(time.0.wrapping_sub(start.0).cast_signed()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: NtpTime = NtpTime(0xe000_0000_0000_0000);
    const TIMEOUT: Duration = Duration::from_secs(2);

    fn session(count: u64) -> Receiving {
        let gap = units_of(Duration::from_millis(100));
        let timetable = Timetable::new((1..=count).map(move |number| number * gap));
        Receiving::new(timetable, START, TIMEOUT)
    }

    fn at(millis: u64) -> NtpTime {
        NtpTime(START.0 + units_of(Duration::from_millis(millis)))
    }

    /// Sent when it was due, on a path of 10 ms.
    fn packet(seq: u32) -> Came {
        let sent = u64::from(seq + 1) * 100;
        let error = ErrorEstimate::at_least(1_000, true);
        Came {
            seq,
            sent: at(sent),
            send_error: error,
            received: at(sent + 10),
            receive_error: error,
            ttl: 255,
        }
    }

    fn refused(session: &Receiving) -> Refused {
        session.counts().refused
    }

    fn lost_at(session: &mut Receiving, millis: u64) -> Vec<u32> {
        let mut lost = Vec::new();
        session.pass(Duration::from_millis(millis), None, |record| lost.push(record.seq));
        lost
    }

    #[test]
    fn what_comes_is_recorded_in_its_order_and_what_does_not_is_lost_by_number() {
        let mut session = session(5);
        let came: Vec<_> = [0, 3, 1].iter().filter_map(|seq| session.take(&packet(*seq))).collect();
        assert!(came.iter().map(|record| record.seq).eq([0, 3, 1]));
        assert_eq!(lost_at(&mut session, 500), [0_u32; 0], "nothing has had its time");
        assert_eq!(lost_at(&mut session, 2_550), [2]);
        assert!(!session.is_over());
        assert_eq!(lost_at(&mut session, 2_750), [4]);
        assert!(session.is_over());
        let expected = Counts { came: 3, lost: 2, ..Counts::default() };
        assert_eq!(session.counts(), expected);
    }

    #[test]
    fn a_lost_packet_is_recorded_with_the_time_it_was_to_be_sent() {
        let mut session = session(1);
        let mut lost = None;
        session.pass(Duration::from_secs(9), None, |record| lost = Some(record));
        let lost = lost.expect("it is lost");
        assert!(distance(lost.sent, at(100)) <= 4, "{lost:?}");
        assert_eq!((lost.received, lost.ttl, lost.send_error), (None, 255, None));
    }

    #[test]
    fn a_duplicate_has_a_record_of_its_own_and_a_flood_of_them_does_not() {
        let mut session = session(5);
        let records = (0..1_000).filter_map(|_| session.take(&packet(2))).count();
        assert_eq!(records, usize::from(MOST_COPIES));
        let counts = session.counts();
        assert_eq!((counts.came, counts.duplicates, counts.refused.copies), (1, 7, 992));
    }

    #[test]
    fn a_packet_after_its_time_out_stays_lost() {
        let mut session = session(30);
        assert_eq!(lost_at(&mut session, 2_350), [0]);
        let late = Came { sent: at(1_500), received: at(2_350), ..packet(0) };
        assert!(session.take(&late).is_none());
        assert_eq!(refused(&session).late, 1);
    }

    #[test]
    fn time_stamps_that_cannot_be_are_refused() {
        let mut session = session(100);
        let old = Came { received: at(2_200), ..packet(0) };
        let from_the_future = Came { received: at(100), ..packet(30) };
        let against_the_schedule = Came { sent: at(5_000), received: at(5_010), ..packet(0) };
        for packet in [old, from_the_future, against_the_schedule] {
            assert!(session.take(&packet).is_none(), "{packet:?}");
        }
        assert_eq!(refused(&session), Refused { time: 3, ..Refused::default() });
        let clocks_differ = Came { sent: at(1_600), ..packet(0) };
        assert!(session.take(&clocks_differ).is_some(), "a negative delay is one");
    }

    #[test]
    fn numbers_that_the_session_does_not_have_are_refused() {
        let mut session = session(5);
        assert!(session.take(&Came { seq: 5, ..packet(4) }).is_none());
        assert!(session.take(&Came { seq: u32::MAX, ..packet(4) }).is_none());
        assert_eq!(refused(&session), Refused { number: 2, ..Refused::default() });
    }

    #[test]
    fn when_the_sender_stops_only_what_it_sent_and_had_its_time_is_lost() {
        let lost_at = |millis, next| {
            let mut session = session(1_000);
            session.take(&packet(1)).expect("it is taken");
            let mut lost = Vec::new();
            session.end(Duration::from_millis(millis), next, |record| lost.push(record.seq));
            lost
        };
        assert_eq!(lost_at(500, Some(4)), [0_u32; 0], "all are on their way yet");
        assert_eq!(lost_at(2_350, Some(4)), [0, 2]);
        assert_eq!(lost_at(9_000, Some(4)), [0, 2, 3], "the others were never sent");
        assert_eq!(lost_at(2_350, None), [0, 2]);
    }

    #[test]
    fn it_is_settled_when_all_that_was_sent_came_or_is_lost() {
        let mut session = session(1_000);
        assert!(session.is_settled(0));
        session.take(&packet(0)).expect("it is taken");
        session.take(&packet(2)).expect("it is taken");
        assert!(session.is_settled(1) && !session.is_settled(3), "1 may come yet");
        assert_eq!(lost_at(&mut session, 2_450), [1]);
        assert!(session.is_settled(3));
    }

    #[test]
    fn millions_of_lost_packets_do_not_hold_up_other_sessions() {
        let timetable = || Timetable::new(std::iter::repeat_n(0, 1_000_000));
        let mut session = Receiving::new(timetable(), START, TIMEOUT);
        let (mut lost, mut calls, mut most) = (0, 0, 0);
        loop {
            let before = lost;
            let is_more = session.pass(Duration::from_secs(9), None, |_| lost += 1);
            (calls, most) = (calls + 1, most.max(lost - before));
            if !is_more {
                break;
            }
        }
        assert_eq!((lost, most, session.is_over()), (1_000_000, AT_ONCE, true));
        assert!((100..105).contains(&calls), "{calls}");
        let mut session = Receiving::new(timetable(), START, TIMEOUT);
        let mut lost = 0;
        while session.end(Duration::from_secs(9), Some(700_000), |_| lost += 1) {}
        assert_eq!(lost, 700_000);
    }

    #[test]
    fn it_is_looked_after_once_a_second_and_at_its_end() {
        let mut session = session(5);
        session.pass(Duration::ZERO, None, |_| {});
        assert_eq!(session.next_look(Duration::ZERO), LOOK);
        let elapsed = Duration::from_millis(2_000);
        session.pass(elapsed, None, |_| {});
        let end = session.next_look(elapsed);
        assert!(end.as_micros().abs_diff(2_700_000) < 10, "{end:?}");
        assert_eq!(lost_at(&mut session, 2_701), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_session_without_end_needs_no_more_memory_than_a_time_out_of_it() {
        let gap = units_of(Duration::from_millis(1));
        let timetable = Timetable::new((1..).map(move |number: u64| number * gap));
        let mut session = Receiving::new(timetable, START, TIMEOUT);
        let mut lost = 0_u64;
        for second in 1..3_600 {
            session.pass(Duration::from_secs(second), None, |_| lost += 1);
        }
        assert!(lost > 3_590_000, "{lost}");
        assert!(std::mem::size_of_val(&session) < 500);
        assert!(session.window.open() < 4_000, "{}", session.window.open());
    }
}
