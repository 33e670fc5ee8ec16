//! Carries out what the lines of a wire decide, at exact times.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, Sender, TryRecvError},
    },
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    thread::set_current_timer_slack,
};

use super::{
    Direction, End, Passage, Seen,
    line::{Cause, Fate, Line, Way},
    port::{Frame, Port},
    realtime,
};
use crate::program::command;

/// The longest wait: how soon it ends when nobody holds the wire any more.
const GLANCE: Duration = Duration::from_millis(50);
/// So long before a packet's time it stays awake: longer than waking takes on a machine that is not busy.
const AWAKE: Duration = Duration::from_micros(150);

/// A packet that waits for its time.
#[derive(Debug)]
struct Waiting {
    octets: Vec<u8>,
    /// Nothing: nobody asks after it.
    passage: Option<Passage>,
    to: Direction,
}

/// The thread's all.
#[derive(Debug)]
pub(super) struct Carrier {
    /// Where packets of each direction come from; they go to the other one.
    ports: [Port; 2],
    ways: [Way; 2],
    /// By time; what is due together goes in the order of arrival.
    waiting: BTreeMap<(Duration, u64), Waiting>,
    serial: u64,
    lines: Receiver<(Direction, Line)>,
    passages: Sender<Passage>,
    missed: Arc<AtomicU32>,
}

impl Carrier {
    pub(super) fn new(
        ports: [Port; 2],
        lines: Receiver<(Direction, Line)>,
        passages: Sender<Passage>,
        missed: Arc<AtomicU32>,
    ) -> Self {
        let (ways, waiting) = Default::default();
        Self { ports, ways, waiting, serial: 0, lines, passages, missed }
    }

    /// Goes on until the wire is dropped.
    pub(super) fn carry(mut self) {
        hurry();
        loop {
            self.send_due();
            let frames = Direction::BOTH.map(|to| (to, self.ports[to as usize].receive()));
            // After the frames: what came since a line was set is that line's.
            if !self.follow_lines() {
                return;
            }
            let came = frames.iter().any(|(_, frame)| frame.is_some());
            for (to, frame) in frames {
                if let Some(frame) = frame {
                    self.decide(to, frame);
                }
            }
            if !came {
                self.wait();
            }
        }
    }

    /// Whether the wire is still held.
    fn follow_lines(&mut self) -> bool {
        loop {
            match self.lines.try_recv() {
                Ok((to, line)) => self.ways[to as usize].follow(line),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn decide(&mut self, to: Direction, frame: Frame) {
        let Frame { arrived, octets } = frame;
        self.missed.store(self.ports.iter().map(Port::missed).sum(), Ordering::Relaxed);
        let Some(seen) = Seen::read(&octets) else {
            return self.keep(arrived, Waiting { octets, passage: None, to });
        };
        let (number, fate) = self.ways[to as usize].on_packet(arrived, &seen);
        let passage = |end, is_copy| {
            let seen = seen.clone();
            Passage { to, number, arrived, end, is_copy, seen }
        };
        let times = match fate {
            Fate::Lost(cause) => return self.tell(passage(End::Lost(cause), false)),
            Fate::Once(at) => vec![at],
            Fate::Twice(first, second) => vec![first, second],
        };
        for (turn, at) in times.into_iter().enumerate() {
            let passage = Some(passage(End::Left(at), turn > 0));
            self.keep(at, Waiting { octets: octets.clone(), passage, to });
        }
    }

    fn keep(&mut self, at: Duration, waiting: Waiting) {
        self.serial += 1;
        self.waiting.insert((at, self.serial), waiting);
    }

    fn send_due(&mut self) {
        while let Some(next) = self.waiting.first_entry() {
            let now = realtime();
            if next.key().0 > now {
                return;
            }
            let Waiting { octets, passage, to } = next.remove();
            let sent = self.ports[to.other() as usize].send(&octets);
            if let Some(passage) = passage {
                let end = if sent { End::Left(now) } else { End::Lost(Cause::Refused) };
                self.tell(Passage { end, ..passage });
            }
        }
    }

    fn tell(&self, passage: Passage) {
        // The wire may be gone; then nobody wants to know.
        let _ = self.passages.send(passage);
    }

    /// Waits for a packet, or until shortly before one is due; from then on it looks all the time.
    fn wait(&self) {
        let next = self.waiting.first_key_value().map(|((at, _), _)| at.saturating_sub(realtime()));
        let length = next.map_or(GLANCE, |left| left.saturating_sub(AWAKE).min(GLANCE));
        if length.is_zero() {
            return std::hint::spin_loop();
        }
        let length = Timespec::try_from(length).expect("a short time");
        let [one, two] = &self.ports;
        let mut descriptors = [one, two].map(|port| PollFd::new(port, PollFlags::IN));
        // Interrupted or not: it looks again.
        let _ = poll(&mut descriptors, Some(&length));
    }
}

/// Puts this thread before all others that are not as urgent (sched(7): `SCHED_FIFO`), where that is allowed;
/// each packet's times are recorded as they were in any case.
fn hurry() {
    let _ = set_current_timer_slack(std::num::NonZeroU64::new(1));
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let _ = command("chrt").args(["--fifo", "--pid", "1", &thread]).output();
}
