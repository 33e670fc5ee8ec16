//! Packets of chirps put together as they come. Pure; bounded by what was granted.

use timed_udp::{clock::Mono, ntp::NtpTime};

use crate::{
    estimate::{Group, verdict::Timed},
    protocol::{message::Wish, packet::Packet},
    shape::MOST_GROUPS,
};

/// How long packets may be under way longer than others of their chirp, nanoseconds.
const STRAGGLE: u64 = 500_000_000;

/// A chirp, as far as it came.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Came {
    pub(super) chirp: u32,
    /// When its first packet came.
    pub(super) at: NtpTime,
    /// When it began, by the sender's clock, seconds.
    pub(super) start: f64,
    /// Its rates, bit/s.
    pub(super) range: (u64, u64),
    pub(super) groups: Vec<Timed>,
    /// Packets that were sent, and that came.
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Came {
    /// The least delay of its packets, by whatever two clocks, seconds.
    pub(super) fn least_delay(&self) -> Option<f64> {
        self.groups.iter().filter_map(|it| it.group.delay).min_by(f64::total_cmp)
    }
}

/// When a packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) wall: NtpTime,
    pub(super) mono: Mono,
}

/// The chirps of a session.
#[derive(Debug)]
pub(super) struct Book {
    session: u64,
    granted: Wish,
    octets: f64,
    /// The origin of all times: first of all packets.
    origin: Option<(NtpTime, u64)>,
    open: Option<Open>,
    /// Chirps below are finished.
    next: u32,
    /// Packets of other sessions, of past chirps, or twice.
    pub(super) strange: u64,
}

#[derive(Debug)]
struct Open {
    first: Packet,
    arrived: Arrived,
    /// When nothing more of it is waited for.
    until: Mono,
    seen: Vec<bool>,
    groups: Vec<Timed>,
    received: u64,
}

impl Book {
    /// Of a session whose packets have so many octets of headers.
    pub(super) fn new(session: u64, granted: Wish, headers: u32) -> Self {
        Self {
            session,
            granted,
            octets: f64::from(u32::from(granted.payload) + headers),
            origin: None,
            open: None,
            next: 0,
            strange: 0,
        }
    }

    /// Takes a packet, and gives the chirp that is finished by it: its own, if it was the last, or the one before.
    pub(super) fn take(&mut self, packet: &Packet, arrived: Arrived) -> Vec<Came> {
        if !self.is_sound(packet) {
            self.strange += 1;
            return Vec::new();
        }
        let mut finished = Vec::new();
        if self.open.as_ref().is_some_and(|open| open.first.chirp != packet.chirp) {
            finished.extend(self.finish());
        }
        self.origin.get_or_insert((arrived.wall, packet.start));
        let (granted, headers) = (self.granted, self.octets);
        let open = self.open.get_or_insert_with(|| Open::begin(packet, arrived, &granted));
        if !open.take(packet, arrived, self.origin, headers, granted.group) {
            self.strange += 1;
        }
        if open.received == open.seen.len() as u64 {
            finished.extend(self.finish());
        }
        finished
    }

    fn is_sound(&self, packet: &Packet) -> bool {
        let is_open = self.open.as_ref().is_some_and(|it| {
            it.first.chirp == packet.chirp
                && (it.first.groups != packet.groups || it.first.start != packet.start)
        });
        packet.session == self.session
            && packet.chirp >= self.next
            && packet.index < self.granted.group
            && usize::from(packet.groups) <= MOST_GROUPS
            && !is_open
            && self.open.as_ref().is_none_or(|it| packet.chirp >= it.first.chirp)
    }

    /// The chirp of which nothing more is to be expected at `now`.
    pub(super) fn look(&mut self, now: Mono) -> Option<Came> {
        let is_over = self.open.as_ref().is_some_and(|open| now >= open.until);
        if is_over { self.finish() } else { None }
    }

    /// When [`Self::look`] is of use.
    pub(super) fn until(&self) -> Option<Mono> {
        self.open.as_ref().map(|open| open.until)
    }

    /// The chirp that is there, as far as it came.
    pub(super) fn finish(&mut self) -> Option<Came> {
        let open = self.open.take()?;
        // Chirps of which nothing came were as large, as far as anybody knows.
        let lost = u64::from(open.first.chirp - self.next);
        self.next = open.first.chirp.saturating_add(1);
        let start = self.origin.map_or(0, |origin| open.first.start.wrapping_sub(origin.1));
        Some(Came {
            chirp: open.first.chirp,
            at: open.arrived.wall,
            start: seconds(start),
            range: (open.first.low, open.first.high),
            groups: open.groups,
            sent: open.seen.len() as u64 * (lost + 1),
            received: open.received,
        })
    }
}

impl Open {
    fn begin(packet: &Packet, arrived: Arrived, granted: &Wish) -> Self {
        let groups = usize::from(packet.groups);
        let none =
            Timed { due: None, held: 0.0, group: Group { sent: 0.0, delay: None, bits: 0.0 } };
        let length = granted.shape(packet.low.max(1), packet.high.max(1), 48).length();
        Self {
            first: *packet,
            arrived,
            until: Mono(arrived.mono.0.saturating_add(length).saturating_add(STRAGGLE)),
            seen: vec![false; groups * usize::from(granted.group)],
            groups: vec![none; groups],
            received: 0,
        }
    }

    /// Whether it is a new one.
    fn take(
        &mut self,
        packet: &Packet,
        arrived: Arrived,
        origin: Option<(NtpTime, u64)>,
        octets: f64,
        group: u16,
    ) -> bool {
        let place = usize::from(packet.group) * usize::from(group) + usize::from(packet.index);
        let Some((seen, timed)) =
            self.seen.get_mut(place).zip(self.groups.get_mut(usize::from(packet.group)))
        else {
            return false;
        };
        if std::mem::replace(seen, true) {
            return false;
        }
        self.received += 1;
        timed.group.bits += octets * 8.0;
        if packet.index == 0 {
            let (wall, start) = origin.unwrap_or((arrived.wall, packet.start));
            let sent = packet.offset.saturating_add(packet.late);
            let since = packet.start.wrapping_sub(start).wrapping_add(sent).cast_signed();
            timed.due = Some(seconds(packet.offset));
            timed.group.sent = seconds(sent);
            let delay = arrived.wall.nanos_since(wall).saturating_sub(since);
            timed.group.delay = Some(signed_seconds(delay));
        }
        // A packet tells how long the group before was held up.
        let before = usize::from(packet.group).checked_sub(1);
        if let Some(timed) = before.and_then(|place| self.groups.get_mut(place)) {
            timed.held = seconds(packet.took);
        }
        true
    }
}

#[expect(clippy::cast_precision_loss, reason = "a microsecond in a century is exact enough")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "a microsecond in a century is exact enough")]
fn signed_seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WISH: Wish = Wish {
        low: 10_000_000,
        high: 40_000_000,
        average: 300_000,
        spread: 1_200_000,
        duration: 10_000,
        payload: 1_000,
        group: 2,
    };

    fn packet(chirp: u32, group: u16, index: u16) -> Packet {
        Packet {
            session: 7,
            chirp,
            group,
            index,
            groups: 5,
            start: 1_000_000_000 * (u64::from(chirp) + 1),
            offset: u64::from(group) * 1_000_000,
            late: 5_000,
            low: WISH.low,
            high: WISH.high,
            took: 1_000,
        }
    }

    /// It comes 3 ms after it was sent, by a clock of its own.
    fn arrived(packet: &Packet) -> Arrived {
        let sent = packet.start + packet.offset + packet.late;
        let wall =
            NtpTime::from_unix_nanos(1_795_000_000_000_000_000 + i128::from(sent) + 3_000_000);
        Arrived { wall, mono: Mono(sent) }
    }

    fn book() -> Book {
        Book::new(7, WISH, 28)
    }

    fn give(book: &mut Book, chirp: u32, places: impl IntoIterator<Item = u16>) -> Vec<Came> {
        let packets = places.into_iter().map(|place| packet(chirp, place / 2, place % 2));
        packets.flat_map(|packet| book.take(&packet, arrived(&packet))).collect()
    }

    #[test]
    fn a_chirp_is_finished_by_its_last_packet_and_delays_are_of_one_origin() {
        let mut book = book();
        let came = give(&mut book, 0, 0..10);
        assert_eq!(came.len(), 1);
        assert_eq!((came[0].sent, came[0].received, came[0].groups.len()), (10, 10, 5));
        let bits = came[0].groups[0].group.bits;
        assert!((bits - 2.0 * 1_028.0 * 8.0).abs() < 1e-9);
        let second = give(&mut book, 1, 0..10).remove(0);
        for timed in came[0].groups.iter().chain(&second.groups) {
            let delay = timed.group.delay.expect("it came");
            assert!((delay + 5e-6).abs() < 1e-7, "all are equally long under way: {delay}");
        }
        assert!((second.start - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_missing_is_not_waited_for_for_ever() {
        let mut book = book();
        assert!(give(&mut book, 0, 0..9).is_empty());
        let until = book.until().expect("one is open");
        assert_eq!(book.look(Mono(until.0 - 1)), None);
        let came = book.look(until).expect("over");
        assert_eq!((came.sent, came.received), (10, 9));
        assert!(give(&mut book, 0, 9..10).is_empty() && book.strange == 1, "it is too late");
    }

    #[test]
    fn the_next_chirp_finishes_the_one_before_and_lost_ones_count_as_sent() {
        let mut book = book();
        give(&mut book, 0, 0..4);
        let came = give(&mut book, 3, 0..1);
        assert_eq!((came[0].chirp, came[0].sent, came[0].received), (0, 10, 4));
        let came = book.finish().expect("one is open");
        assert_eq!((came.chirp, came.sent, came.received), (3, 30, 1));
    }

    #[test]
    fn what_is_twice_or_of_another_session_or_contradicts_itself_is_left_out() {
        let mut book = book();
        give(&mut book, 1, [0, 1, 0]);
        for strange in [
            Packet { session: 8, ..packet(1, 1, 0) },
            Packet { groups: 6, ..packet(1, 1, 0) },
            Packet { start: 5, ..packet(1, 1, 0) },
            Packet { groups: u16::MAX, ..packet(2, 1, 0) },
            packet(1, 1, 2),
            packet(0, 1, 0),
        ] {
            assert!(book.take(&strange, arrived(&strange)).is_empty());
        }
        assert_eq!(book.strange, 7);
        assert_eq!(book.finish().map(|came| came.received), Some(2));
    }

    proptest! {
        #[test]
        fn whatever_comes_leaves_sound_chirps(
            packets in proptest::collection::vec((0..4_u32, 0..6_u16, 0..4_u16, 0..7_u16, any::<u64>()), 0..60),
        ) {
            let mut book = book();
            for (chirp, group, index, groups, time) in packets {
                let packet = Packet { groups, late: time, ..packet(chirp, group, index) };
                let now = Arrived { wall: NtpTime(time), mono: Mono(time) };
                for came in book.take(&packet, now) {
                    prop_assert!(came.received <= came.sent);
                    prop_assert!(came.groups.iter().all(|it| it.group.delay.is_none_or(f64::is_finite)));
                }
            }
        }
    }
}
