//! A wire whose delay, losses, duplicates and reordering are made on purpose, each direction by itself.
//!
//! What happens to a frame is decided by a [`Line`], a plain value, by the number that an OWAMP test packet in open
//! mode begins with (RFC 4656 section 4.1.2). A [`Wire`] carries that out between two taps, in a thread of the story:
//! so it needs nothing of the kernel beyond taps.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{monotonic, tap::Tap};

/// One direction of a wire. The default takes no time and changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// How long every frame is on its way.
    pub delay: Duration,
    /// Nothing gets through, of whatever protocol.
    pub dark: bool,
    /// Numbers of the test packets that are lost.
    pub lost: BTreeSet<u32>,
    /// Numbers of those that arrive twice.
    pub doubled: BTreeSet<u32>,
    /// Numbers of those that are held back, and for how long beyond `delay`.
    pub held: BTreeMap<u32, Duration>,
}

impl Line {
    /// A line that only takes time.
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// When copies of a frame that comes at `now` go out: none, one or two.
    pub fn on_packet(&self, frame: &[u8], now: Duration) -> Vec<Duration> {
        let number = test_number(frame);
        let among = |numbers: &BTreeSet<u32>| number.is_some_and(|it| numbers.contains(&it));
        if self.dark || among(&self.lost) {
            return Vec::new();
        }
        let held = number.and_then(|it| self.held.get(&it)).copied().unwrap_or_default();
        let copies = if among(&self.doubled) { 2 } else { 1 };
        vec![now + self.delay + held; copies]
    }
}

const ETHERNET: usize = 14;
const IPV6: usize = 40;
const UDP: usize = 8;
/// UDP's number among the protocols (RFC 768).
const IS_UDP: u8 = 17;

/// The first four octets of what UDP carries in an Ethernet frame, over IPv4 or IPv6; nothing for a fragment or
/// another protocol.
fn test_number(frame: &[u8]) -> Option<u32> {
    let (header, packet) = frame.split_at_checked(ETHERNET)?;
    let datagram = match (header[12], header[13]) {
        (0x08, 0x00) => {
            let is_fragment = packet.get(6)? & 0x3f != 0 || *packet.get(7)? != 0;
            let length = usize::from(packet[0] & 0x0f) * 4;
            (packet.get(9) == Some(&IS_UDP) && !is_fragment).then(|| packet.get(length..))??
        }
        (0x86, 0xdd) => (packet.get(6) == Some(&IS_UDP)).then(|| packet.get(IPV6..))??,
        _ => return None,
    };
    datagram.get(UDP..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From the first tap to the second.
    There,
    /// From the second tap to the first.
    Back,
}

const WAYS: [Way; 2] = [Way::There, Way::Back];

/// When a frame is due, as which of all that were taken, which way it goes, and its octets.
type Departure = (Duration, u64, Way, Vec<u8>);

/// Frames that are on their way. Those that are due at the same time keep their order.
#[derive(Debug, Default)]
struct Underway {
    frames: BinaryHeap<Reverse<Departure>>,
    taken: u64,
}

impl Underway {
    fn take(&mut self, line: &Line, way: Way, frame: &[u8], now: Duration) {
        for due in line.on_packet(frame, now) {
            self.taken += 1;
            self.frames.push(Reverse((due, self.taken, way, frame.to_vec())));
        }
    }

    fn next(&self) -> Option<Duration> {
        self.frames.peek().map(|Reverse((due, ..))| *due)
    }

    fn departure(&mut self, now: Duration) -> Option<(Way, Vec<u8>)> {
        self.next().filter(|due| *due <= now)?;
        self.frames.pop().map(|Reverse((_, _, way, frame))| (way, frame))
    }
}

/// Two taps and what is between them. It ends, and its taps with it, when this is dropped.
#[derive(Debug)]
pub struct Wire {
    lines: Arc<Mutex<[Line; 2]>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How soon it sees that it is to end.
const LOOK: Duration = Duration::from_millis(50);
/// A wait is late by up to so much: the rest until a departure is spun.
const SPIN: Duration = Duration::from_micros(150);

impl Wire {
    /// Joins two taps by lines that change nothing.
    pub fn between(first: Tap, second: Tap) -> Self {
        let lines = Arc::<Mutex<[Line; 2]>>::default();
        let ends = Arc::<AtomicBool>::default();
        let (its_lines, its_end) = (lines.clone(), ends.clone());
        let thread = thread::spawn(move || carry(&[first, second], &its_lines, &its_end));
        Self { lines, ends, thread: Some(thread) }
    }

    /// Has frames of one direction fare so from now on; those under way fare as before.
    pub fn fares(&self, way: Way, line: Line) {
        locked(&self.lines)[way as usize] = line;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // That it failed is seen by what got through.
            let _ = thread.join();
        }
    }
}

fn locked(lines: &Mutex<[Line; 2]>) -> MutexGuard<'_, [Line; 2]> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

fn carry(taps: &[Tap; 2], lines: &Mutex<[Line; 2]>, ends: &AtomicBool) {
    let (mut underway, mut frame) = (Underway::default(), vec![0; 1 << 16]);
    while !ends.load(Ordering::Relaxed) {
        while let Some((way, frame)) = underway.departure(monotonic()) {
            let out = match way {
                Way::There => &taps[1],
                Way::Back => &taps[0],
            };
            out.write(&frame);
        }
        await_frame(taps, underway.next());
        for (way, tap) in WAYS.into_iter().zip(taps) {
            while let Some(length) = tap.read(&mut frame) {
                let now = monotonic();
                underway.take(&locked(lines)[way as usize], way, &frame[..length], now);
            }
        }
    }
}

/// Waits until a frame comes, or shortly before `due`.
fn await_frame(taps: &[Tap; 2], due: Option<Duration>) {
    let left = due.map_or(LOOK, |due| due.saturating_sub(monotonic() + SPIN)).min(LOOK);
    let timeout = Timespec::try_from(left).expect("less than a second");
    let mut waits = [0, 1].map(|end| PollFd::new(&taps[end], PollFlags::IN));
    match poll(&mut waits, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => panic!("waiting for frames: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn ethernet(kind: [u8; 2], packet: &[u8]) -> Vec<u8> {
        [&[0; 12][..], &kind, packet].concat()
    }

    /// A test packet over IPv4, whose header has `options` words of options.
    fn v4(number: u32, options: u8) -> Vec<u8> {
        let mut header = vec![0; 20 + usize::from(options) * 4];
        (header[0], header[9]) = (0x45 + options, IS_UDP);
        ethernet([8, 0], &[&header[..], &[0; UDP], &number.to_be_bytes(), &[0; 10]].concat())
    }

    fn v6(number: u32) -> Vec<u8> {
        let mut header = [0; IPV6];
        (header[0], header[6]) = (0x60, IS_UDP);
        ethernet([0x86, 0xdd], &[&header[..], &[0; UDP], &number.to_be_bytes(), &[0; 10]].concat())
    }

    #[test]
    fn numbers_are_found_over_ipv4_with_options_and_without_and_over_ipv6() {
        for frame in [v4(70_000, 0), v4(70_000, 2), v6(70_000)] {
            assert_eq!(test_number(&frame), Some(70_000));
        }
    }

    #[test]
    fn what_is_no_test_packet_has_no_number() {
        let (mut tcp, mut fragment, whole) = (v4(7, 0), v4(7, 0), v6(7));
        tcp[ETHERNET + 9] = 6;
        fragment[ETHERNET + 6] = 0x20;
        let arp = ethernet([8, 6], &[0; 46]);
        for frame in [&tcp, &fragment, &arp] {
            assert_eq!(test_number(frame), None);
        }
        for length in 0..ETHERNET + IPV6 + UDP + 4 {
            assert_eq!(test_number(&whole[..length]), None, "{length} octets");
        }
    }

    #[test]
    fn each_number_fares_as_it_was_said() {
        let line = Line {
            delay: ms(10),
            lost: BTreeSet::from([3]),
            doubled: BTreeSet::from([4]),
            held: BTreeMap::from([(5, ms(50))]),
            ..Line::default()
        };
        let fates = [
            (2, vec![NOW + ms(10)]),
            (3, vec![]),
            (4, vec![NOW + ms(10); 2]),
            (5, vec![NOW + ms(60)]),
        ];
        for (number, fate) in fates {
            assert_eq!(line.on_packet(&v4(number, 0), NOW), fate, "number {number}");
        }
    }

    #[test]
    fn a_dark_line_loses_what_has_no_number_too() {
        let line = Line { dark: true, ..Line::default() };
        let arp = ethernet([8, 6], &[0; 46]);
        assert_eq!(line.on_packet(&arp, NOW), []);
        assert_eq!(Line::default().on_packet(&arp, NOW), [NOW]);
    }

    #[test]
    fn frames_depart_when_they_are_due_and_in_their_order() {
        let line = Line { held: BTreeMap::from([(0, ms(1))]), ..Line::default() };
        let mut underway = Underway::default();
        for number in 0..4 {
            underway.take(&line, Way::Back, &v6(number), NOW);
        }
        let mut departed = |now| {
            let frames = std::iter::from_fn(|| underway.departure(now));
            frames.filter_map(|(_, frame)| test_number(&frame)).collect::<Vec<_>>()
        };
        assert_eq!(departed(ms(99_999)), [0; 0]);
        assert_eq!(departed(NOW), [1, 2, 3]);
        assert_eq!(departed(NOW + ms(1)), [0]);
    }
}
