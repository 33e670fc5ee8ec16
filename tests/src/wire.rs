//! A wire between two hosts, on which delay, loss, duplicates, reordering and rate are made on purpose, each
//! direction by itself, and told afterwards packet by packet. Needs root.
//!
//! ```text
//! host one, eth0 -- w0 [the wire's namespace] w1 -- s0, host two
//! ```
//!
//! A thread of the story takes each frame at one end, by the kernel's time of it, and hands it on at the
//! other at the time that the direction's [`Line`] says.

mod carrier;
mod frame;
mod line;
mod offload;
mod port;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use self::{carrier::Carrier, port::Port};
pub use self::{
    frame::{ICMP, ICMP6, Seen, UDP},
    line::{Cause, Fate, Line, Rate, Traffic, Which},
};
use crate::{
    lab::{Host, ip},
    program::command,
};

/// A direction of a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From its first end to its second.
    Out,
    /// From its second end to its first.
    Back,
}

impl Direction {
    /// One and the other.
    pub const BOTH: [Self; 2] = [Self::Out, Self::Back];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Out => Self::Back,
            Self::Back => Self::Out,
        }
    }
}

/// What a wire did with a packet, or with one of its copies. All times are those of `CLOCK_REALTIME`, since the
/// epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Which way it went.
    pub to: Direction,
    /// Its number among the packets that count, from 0, since the line was set.
    pub number: Option<u64>,
    /// When the kernel had it from the host.
    pub arrived: Duration,
    /// What came of it.
    pub end: End,
    /// It is the second of two.
    pub is_copy: bool,
    /// What there was to be seen of it.
    pub seen: Seen,
}

/// What came of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was handed to the other host at this time: the clock was read immediately before.
    Left(Duration),
    /// It was lost.
    Lost(Cause),
}

impl Passage {
    /// When it left, unless it was lost.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        match self.end {
            End::Left(at) => Some(at),
            End::Lost(_) => None,
        }
    }

    /// How long it was on the wire.
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        self.left().map(|at| at.saturating_sub(self.arrived))
    }
}

/// One end of a wire: the device that it makes on a host.
#[derive(Debug, Clone, Copy)]
pub struct Plug<'a> {
    /// The host.
    pub host: &'a Host,
    /// The device's name there.
    pub device: &'a str,
}

/// The wire; its devices and its namespace are gone when this is dropped.
#[derive(Debug)]
pub struct Wire {
    namespace: String,
    lines: Option<Sender<(Direction, Line)>>,
    log: Mutex<Log>,
    missed: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread told, and what was taken of it.
#[derive(Debug)]
struct Log {
    told: Receiver<Passage>,
    kept: Vec<Passage>,
}

impl Wire {
    /// Joins two hosts by a wire that lets everything through at once, in a namespace of this name. The
    /// devices are up and have no addresses.
    #[track_caller]
    pub fn join(namespace: &str, ends: [Plug<'_>; 2]) -> Self {
        ip(&format!("netns add {namespace}"));
        let (lines, follows) = channel();
        let (passages, told) = channel();
        let missed = Arc::new(AtomicU32::new(0));
        let log = Mutex::new(Log { told, kept: Vec::new() });
        // From here on what there is goes when it is dropped, also when something fails.
        let mut wire = Self {
            namespace: namespace.to_owned(),
            lines: Some(lines),
            log,
            missed: Arc::clone(&missed),
            thread: None,
        };
        let carrier = Carrier::new(wire.plug(ends), follows, passages, missed);
        let thread = thread::Builder::new().name("wire".to_owned());
        wire.thread = Some(thread.spawn(move || carrier.carry()).expect("a thread"));
        wire
    }

    fn plug(&self, ends: [Plug<'_>; 2]) -> [Port; 2] {
        let own = Host::of(&self.namespace);
        // Its own devices say nothing.
        ip(&format!(
            "netns exec {} sysctl -qw net.ipv6.conf.default.disable_ipv6=1",
            self.namespace
        ));
        for (Plug { host, device }, inner) in ends.into_iter().zip(INNER) {
            let there = host.namespace();
            ip(&format!(
                "link add {inner} netns {} type veth peer name {device} netns {there}",
                self.namespace
            ));
            let named = device.to_owned();
            host.inside(move || offload::stop(&named))
                .expect("a device whose offloads can be stopped");
        }
        let ports = own.inside(|| INNER.map(Port::on)).map(|port| port.expect("a packet socket"));
        for (Plug { host, device }, inner) in ends.into_iter().zip(INNER) {
            ip(&format!("-n {} link set {inner} up", self.namespace));
            ip(&format!("-n {} link set {device} up", host.namespace()));
        }
        ports
    }

    /// From now on a direction is as `line` says; packets that are on their way go on as they were to.
    pub fn set(&self, to: Direction, line: Line) {
        let lines = self.lines.as_ref().expect("a wire that is up");
        lines.send((to, line)).expect("the wire's thread goes on");
    }

    /// As [`Wire::set`], both directions.
    pub fn set_both(&self, line: &Line) {
        for to in Direction::BOTH {
            self.set(to, line.clone());
        }
    }

    /// What became of all packets that have left or were lost so far, in the order of their arrival. Not
    /// among them: what hosts of a link keep house with.
    pub fn passages(&self) -> Vec<Passage> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Log { told, kept } = &mut *log;
        kept.extend(told.try_iter());
        kept.sort_by_key(|passage| passage.arrived);
        kept.clone()
    }

    /// Forgets what it told until now.
    pub fn forget(&self) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Log { told, kept } = &mut *log;
        kept.clear();
        told.try_iter().for_each(drop);
    }

    /// How many packets never came to be told of, as the wire was behind by far: for any story that counts,
    /// this is to be 0.
    pub fn missed(&self) -> u32 {
        self.missed.load(Ordering::Relaxed)
    }
}

/// The wire's own ends of its devices.
const INNER: [&str; 2] = ["w0", "w1"];

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.lines.take());
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = command("ip").args(["netns", "del", &self.namespace]).output();
    }
}

/// The time of day, since the epoch.
pub fn realtime() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
