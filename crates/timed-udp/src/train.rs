//! Trains: packets of which each leaves at its own time after the first, and what their receiver sees of that.
//!
//! What a train tells of a path stands in the gaps between its packets. So a gap that the sender did not keep, or that
//! the receiver's machine closed, has to be known for what it is.

use std::io;

use crate::{
    clock::{Mono, nanos},
    pace::Pacer,
    socket::TimedSocket,
};

/// A packet that is about to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    /// Its number in the train, from 0.
    pub number: usize,
    /// When it was to leave, nanoseconds after the train's start.
    pub offset: u64,
    /// How much later it is, nanoseconds.
    pub late: u64,
}

/// What became of a train.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// How late each packet left, nanoseconds; none if it did not leave, as there was no room for it on this machine,
    /// or as the path told just then that an earlier one had been too long for it (RFC 1191, RFC 8201).
    pub late: Vec<Option<u64>>,
}

impl Sent {
    /// How many packets did not leave.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.late.iter().filter(|late| late.is_none()).count()
    }

    /// How much of one gap the sender got wrong at most, nanoseconds: packets that are all equally late have kept
    /// their gaps.
    #[must_use]
    pub fn worst_gap(&self) -> u64 {
        let left: Vec<u64> = self.late.iter().copied().flatten().collect();
        left.windows(2).map(|pair| pair[1].abs_diff(pair[0])).max().unwrap_or(0)
    }
}

/// Sends a train to where `socket` is connected: a packet at each of `offsets`, nanoseconds after `start`, in their
/// order. `packet` is what is sent; `mark` writes into it what is each one's own.
///
/// A train holds its thread up to its last packet.
///
/// # Errors
/// What the network reported, such as that nobody has the port; the rest of the train is not sent.
pub fn send(
    socket: &TimedSocket,
    pacer: &mut Pacer,
    start: Mono,
    offsets: &[u64],
    packet: &mut [u8],
    mark: impl FnMut(Leaving, &mut [u8]),
) -> io::Result<Sent> {
    send_by(|packet| socket.send(packet), pacer, start, offsets, packet, mark)
}

/// As [`send`], each packet sent by `send`: for a socket that is not connected.
///
/// # Errors
/// As [`send`].
pub fn send_by(
    send: impl Fn(&[u8]) -> io::Result<()>,
    pacer: &mut Pacer,
    start: Mono,
    offsets: &[u64],
    packet: &mut [u8],
    mut mark: impl FnMut(Leaving, &mut [u8]),
) -> io::Result<Sent> {
    let mut late = Vec::with_capacity(offsets.len());
    for (number, &offset) in offsets.iter().enumerate() {
        let due = Mono(start.0.saturating_add(offset));
        let lateness = nanos(pacer.wait_until(due).since(due));
        mark(Leaving { number, offset, late: lateness }, packet);
        let left = has_left(send(packet))?;
        late.push(left.then_some(lateness));
    }
    Ok(Sent { late })
}

/// Whether a packet left; if not, the next one may.
fn has_left(outcome: io::Result<()>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if is_full(&error) || is_too_long(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_full(error: &io::Error) -> bool {
    // ENOBUFS is what send(2) tells of a full queue of the device; std has no kind for it.
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// What a router said of an earlier packet is told in place of sending this one; the kernel sends the next ones in
/// fragments (ip(7), `IP_MTU_DISCOVER`).
fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

/// A gap that came shorter than this part of itself was closed on the way.
const CLOSED: u64 = 4;

/// How a train's gaps came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How many gaps there are.
    pub all: usize,
    /// Those that came shorter than a quarter of what they were sent as.
    pub closed: usize,
    /// The most closed gaps in a row.
    pub run: usize,
}

impl Gaps {
    /// Of packets that came, in the order in which they were sent: when each was sent and when it came, nanoseconds,
    /// each by whatever clock.
    ///
    /// A queue that drains closes gaps to what a packet takes at the rate of its link. A network card that collects
    /// packets before it interrupts (interrupt coalescence, as receive-side batching of a virtual one) closes them to
    /// next to nothing, in runs of about equal length, with a long gap before each.
    #[must_use]
    pub fn of(packets: &[(u64, u64)]) -> Self {
        let (mut gaps, mut run) = (Self::default(), 0);
        for pair in packets.windows(2) {
            let sent = pair[1].0.saturating_sub(pair[0].0);
            let came = pair[1].1.saturating_sub(pair[0].1);
            gaps.all += 1;
            run = if came.saturating_mul(CLOSED) < sent { run + 1 } else { 0 };
            gaps.closed += usize::from(run > 0);
            gaps.run = gaps.run.max(run);
        }
        gaps
    }

    /// The part of the gaps that were closed, 0 to 1.
    #[must_use]
    pub fn closed_part(self) -> f64 {
        let part = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        if self.all == 0 { 0.0 } else { part(self.closed) / part(self.all) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::{inbox::Inbox, pace::Precision, socket::Opening};

    #[test]
    fn every_packet_of_a_train_leaves_at_or_after_its_time_and_says_how_late() {
        let here = Opening::at(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let (from, to) = (here.open().expect("a socket"), here.open().expect("a socket"));
        from.connect(to.local()).expect("connected");
        let offsets = [0, 100_000, 150_000, 1_000_000];
        let start = Mono::now() + std::time::Duration::from_millis(2);
        let mut packet = [0; 16];
        let mut pacer = Pacer::new(Precision::Exact);
        let sent = send(&from, &mut pacer, start, &offsets, &mut packet, |leaving, packet| {
            packet[0] = u8::try_from(leaving.number).expect("small");
            packet[8..].copy_from_slice(&(leaving.offset + leaving.late).to_be_bytes());
        })
        .expect("sent");
        assert_eq!((sent.late.len(), sent.unsent()), (4, 0));
        assert!(Mono::now() >= start + std::time::Duration::from_millis(1));

        let mut inbox = Inbox::new(16);
        assert_eq!(inbox.receive(&to).expect("received"), 4);
        for (number, (_, packet)) in inbox.batch().enumerate() {
            assert_eq!(usize::from(packet[0]), number);
            let left = u64::from_be_bytes(packet[8..].try_into().expect("eight"));
            assert_eq!(Some(left - offsets[number]), sent.late[number]);
        }
    }

    #[test]
    fn a_train_to_a_port_that_nobody_has_ends_with_what_the_network_says() {
        let here = Opening::at(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let from = here.open().expect("a socket");
        let nobody = here.open().expect("a socket").local();
        from.connect(nobody).expect("connected");
        let offsets: Vec<u64> = (0..100).map(|number| number * 1_000_000).collect();
        let mut pacer = Pacer::new(Precision::Saving);
        let sent = send(&from, &mut pacer, Mono::now(), &offsets, &mut [0; 8], |_, _| ());
        assert_eq!(sent.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionRefused));
    }

    #[test]
    fn packets_that_are_equally_late_have_kept_their_gaps() {
        let sent = Sent { late: vec![Some(5_000), Some(5_100), None, Some(9_000), Some(4_900)] };
        assert_eq!((sent.worst_gap(), sent.unsent()), (4_100, 1));
        assert_eq!(Sent::default().worst_gap(), 0);
    }

    #[test]
    fn bunches_of_a_card_that_collects_are_told_from_a_queue_that_drains() {
        let sent = |number: u64| number * 100;
        // Every fourth packet brings the three before it.
        let collected: Vec<(u64, u64)> = (0..20).map(|n| (sent(n), n / 4 * 400 + 400)).collect();
        let gaps = Gaps::of(&collected);
        assert_eq!(gaps, Gaps { all: 19, closed: 15, run: 3 });
        assert!(gaps.closed_part() > 0.7);
        // What waited behind other traffic comes at the link's rate, a packet in 60.
        let drained: Vec<(u64, u64)> =
            (0..20).map(|n| (sent(n), (sent(n) + 60).max(1_000 + 60 * n))).collect();
        assert_eq!(Gaps::of(&drained), Gaps { all: 19, closed: 0, run: 0 });
        assert_eq!(Gaps::of(&[]).closed_part().to_bits(), 0_f64.to_bits());
    }
}
