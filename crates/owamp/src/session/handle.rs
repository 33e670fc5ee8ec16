//! How an engine is told what to do, and what it tells.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
    time::Duration,
};

use timed_udp::{clock::Moment, ntp::NtpTime, socket::TimedSocket};

use super::{
    clocks::ClockReport, receiving::Counts, sending::SendReport, store::Records,
    timetable::Timetable,
};
use crate::protocol::PacketKey;

/// A session to be sent.
#[derive(Debug)]
pub struct SendSpec {
    /// By which its caller knows it; of no two sessions at one time.
    pub id: u64,
    /// What it is sent from.
    pub socket: TimedSocket,
    /// Where it is sent to.
    pub peer: SocketAddr,
    /// How its packets are protected.
    pub key: PacketKey,
    /// When it begins: at most a day ahead, at most an hour ago.
    pub start: NtpTime,
    /// When each packet is due after that.
    pub timetable: Timetable,
    /// Octets of padding behind each packet; [`MOST_PADDING`] at most.
    pub padding: usize,
    /// Whether the padding is zero, and not random.
    pub is_zero_padded: bool,
    /// A packet that is later than this is not sent at all (RFC 4656 section 4.1.1).
    pub too_late: Duration,
}

/// The most padding that fits a datagram in every mode and version of IP.
pub const MOST_PADDING: usize = 65_000;

/// Whose packets a session receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Their address.
    pub address: IpAddr,
    /// Their port; none for any port of it.
    pub port: Option<u16>,
}

/// A session to be received.
#[derive(Debug)]
pub struct ReceiveSpec {
    /// By which its caller knows it; of no two sessions at one time.
    pub id: u64,
    /// What it is received on.
    pub socket: TimedSocket,
    /// Whose packets are taken.
    pub peer: Source,
    /// How they are protected.
    pub key: PacketKey,
    /// When it begins: at most a day ahead, at most an hour ago.
    pub start: NtpTime,
    /// When each packet is due after that.
    pub timetable: Timetable,
    /// When a packet counts as lost, after it was due. A day at most.
    pub timeout: Duration,
    /// The most records that are kept, 25 octets each.
    pub most_records: u64,
}

/// Why an engine takes no session.
#[derive(Debug)]
pub enum Refusal {
    /// Its start is too far off, seconds from now; or its time-out is too long.
    Start(i64),
    /// Its packets would be too long.
    Padding(usize),
    /// There is no way to its peer.
    Peer(SocketAddr, io::Error),
    /// The engine has ended.
    Ended,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(seconds) => write!(
                f,
                "a session that starts {seconds} s from now: it is to be at most {DAY} s ahead and {HOUR} s ago; \
                 the clocks of the two hosts may differ"
            ),
            Self::Padding(octets) => {
                write!(f, "{octets} octets of padding are more than the {MOST_PADDING} of a packet")
            }
            Self::Peer(peer, error) => write!(f, "sending test packets to {peer}: {error}"),
            Self::Ended => f.write_str("the thread that sends and receives test packets has ended"),
        }
    }
}

impl std::error::Error for Refusal {}

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// What a session has received.
#[derive(Debug)]
pub struct ReceiveReport {
    /// Packets that came, were lost, refused.
    pub counts: Counts,
    /// The records of those that came, in their order, and of those that were lost, as that was found out.
    pub records: Records,
    /// Packets that our own queue dropped: of these nobody knows whether the network would have lost them.
    pub dropped: u32,
    /// How often receiving failed.
    pub errors: u64,
}

/// What an engine tells.
#[derive(Debug)]
pub enum Event {
    /// A session has sent all its packets, or was stopped.
    Sent {
        /// Which one.
        id: u64,
        /// What became of it.
        report: SendReport,
        /// What the clock was worth.
        clock: ClockReport,
    },
    /// A session has received all its packets or given them up, or was stopped.
    Received {
        /// Which one.
        id: u64,
        /// What became of it.
        report: ReceiveReport,
        /// What the clock was worth.
        clock: ClockReport,
    },
}

impl Event {
    /// The session that it is of.
    #[must_use]
    pub const fn id(&self) -> u64 {
        match self {
            Self::Sent { id, .. } | Self::Received { id, .. } => *id,
        }
    }
}

#[derive(Debug)]
pub(super) enum Command {
    Send(Box<SendSpec>, Moment),
    Receive(Box<ReceiveSpec>, Moment),
    Stop { id: u64, linger: Duration, next: Option<u32> },
}

/// Tells an engine what to do, from any thread. The engine ends when the last one is gone, and its sessions with
/// it, without a word.
#[derive(Debug, Clone)]
pub struct Handle {
    // In this order: who wakes the engine last must have let go of the way to it.
    commands: Sender<Command>,
    waker: Waker,
}

#[derive(Debug, Clone)]
struct Waker(Arc<OwnedFd>);

impl Waker {
    fn wake(&self) {
        // Full means that it will wake anyway.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.wake();
    }
}

impl Handle {
    pub(super) fn new(wake: Arc<OwnedFd>) -> (Self, Receiver<Command>) {
        let (commands, receiver) = std::sync::mpsc::channel();
        (Self { commands, waker: Waker(wake) }, receiver)
    }

    /// Sends a session. [`Event::Sent`] will tell its end.
    ///
    /// # Errors
    /// The engine does not take it.
    pub fn send(&self, spec: SendSpec) -> Result<(), Refusal> {
        let now = start_is_near(spec.start, spec.too_late)?;
        if spec.padding > MOST_PADDING {
            return Err(Refusal::Padding(spec.padding));
        }
        spec.socket.connect(spec.peer).map_err(|error| Refusal::Peer(spec.peer, error))?;
        self.tell(Command::Send(Box::new(spec), now))
    }

    /// Receives a session. [`Event::Received`] will tell its end. What came before this call and is there yet is
    /// received, too.
    ///
    /// # Errors
    /// The engine does not take it.
    pub fn receive(&self, spec: ReceiveSpec) -> Result<(), Refusal> {
        let now = start_is_near(spec.start, spec.timeout)?;
        self.tell(Command::Receive(Box::new(spec), now))
    }

    /// Ends a session: one that sends, at once; one that receives, after `linger` more, unless it ends before.
    /// Those packets are lost whose time-out has passed by then; what is on its way yet is neither lost nor received.
    /// `next` is what its sender says of the number after its last packet: from that on none is lost, and the session
    /// ends as soon as it is known what became of all below it. Of a session that is not there nothing happens.
    ///
    /// # Errors
    /// The engine has ended.
    pub fn stop(&self, id: u64, linger: Duration, next: Option<u32>) -> Result<(), Refusal> {
        self.tell(Command::Stop { id, linger, next })
    }

    fn tell(&self, command: Command) -> Result<(), Refusal> {
        self.commands.send(command).map_err(|_| Refusal::Ended)?;
        self.waker.wake();
        Ok(())
    }
}

/// The time now, if a start is not too far from it.
fn start_is_near(start: NtpTime, timeout: Duration) -> Result<Moment, Refusal> {
    let now = Moment::now();
    let ahead = start.nanos_since(now.wall) / 1_000_000_000;
    let day = Duration::from_secs(DAY.unsigned_abs());
    if (-HOUR..=DAY).contains(&ahead) && timeout <= day {
        Ok(now)
    } else {
        Err(Refusal::Start(ahead))
    }
}
