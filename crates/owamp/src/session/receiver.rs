//! Receives the packets of a session: gives [`Receiving`] what comes, and keeps what it makes of it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use timed_udp::{
    clock::{KnownState, Moment, Mono},
    inbox::{Arrival, BATCH, Inbox},
    ntp::ErrorEstimate,
    socket::TimedSocket,
};

use super::{
    handle::{ReceiveReport, ReceiveSpec, Source},
    receiving::{Came, Receiving, Refused},
    store::{Records, Writer},
};
use crate::protocol::{Fault, PacketKey};

/// Batches that are received from one session before others have their turn.
const MOST_BATCHES: usize = 8;
/// A session that is to end is looked after that often: whoever stopped it waits.
const LINGER_LOOK: Duration = Duration::from_millis(20);
/// Octets that a packet takes in the kernel's queue at least, its books included.
const LEAST_IN_QUEUE: usize = 512;

/// A session that is being received.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) socket: TimedSocket,
    intake: Intake,
    start: Mono,
    stop: Option<(Mono, Option<u32>)>,
    /// Batches that the queue holds at most.
    queue: usize,
    errors: u64,
}

/// All of a session but its socket.
#[derive(Debug)]
struct Intake {
    peer: Source,
    key: PacketKey,
    receiving: Receiving,
    records: Records,
}

impl Receiver {
    pub(super) fn new(spec: ReceiveSpec, now: Moment) -> Self {
        let mut peer = spec.peer;
        peer.address = peer.address.to_canonical();
        let receiving = Receiving::new(spec.timetable, spec.start, spec.timeout);
        let records = Records::new(spec.most_records);
        let queue = spec.socket.receive_buffer() / LEAST_IN_QUEUE / BATCH + 1;
        Self {
            socket: spec.socket,
            intake: Intake { peer, key: spec.key, receiving, records },
            start: now.mono_at(spec.start.nanos_since(now.wall)),
            stop: None,
            queue,
            errors: 0,
        }
    }

    /// Receives some of what is there.
    pub(super) fn take(&mut self, inbox: &mut Inbox, state: &mut KnownState, writer: &Writer) {
        self.take_batches(MOST_BATCHES, inbox, state, writer);
    }

    fn take_batches(
        &mut self,
        most: usize,
        inbox: &mut Inbox,
        state: &mut KnownState,
        writer: &Writer,
    ) {
        let error = state.estimate_at(Mono::now());
        for _ in 0..most {
            match inbox.receive(&self.socket) {
                Ok(count) => {
                    for (arrival, octets) in inbox.batch() {
                        self.intake.take(arrival, octets, error, writer);
                    }
                    if count < BATCH {
                        return;
                    }
                }
                Err(_) => self.errors += 1,
            }
        }
    }

    /// The time has come to look after it. When that is to be done again; none when all is done.
    pub(super) fn act(
        &mut self,
        inbox: &mut Inbox,
        state: &mut KnownState,
        writer: &Writer,
    ) -> Option<Mono> {
        // What waits in our own queue has come in time. A flood that goes on does not hold that up.
        self.take_batches(self.queue, inbox, state, writer);
        let now = Mono::now();
        let elapsed = now.since(self.start);
        let Intake { receiving, records, .. } = &mut self.intake;
        let lost = |record| records.push(&record, writer);
        if let Some((at, next)) = self.stop.filter(|(at, _)| *at <= now) {
            return receiving.end(at.since(self.start), next, lost).then_some(now);
        }
        let next = self.stop.and_then(|(_, next)| next);
        if receiving.pass(elapsed, next, lost) {
            return Some(now);
        }
        if receiving.is_over() || next.is_some_and(|next| receiving.is_settled(next)) {
            return None;
        }
        let next = (self.start + receiving.next_look(elapsed)).max(now);
        Some(self.stop.map_or(next, |(at, _)| at.min(next).min(now + LINGER_LOOK)))
    }

    /// Has it end at `at`, or as soon as it is known what became of all numbers below `next`.
    pub(super) fn stop(&mut self, at: Mono, next: Option<u32>) {
        self.stop = Some((at, next));
    }

    pub(super) fn report(self) -> ReceiveReport {
        ReceiveReport {
            counts: self.intake.receiving.counts(),
            dropped: self.socket.dropped(),
            records: self.intake.records,
            errors: self.errors,
        }
    }
}

impl Intake {
    fn take(&mut self, arrival: &Arrival, octets: &[u8], error: ErrorEstimate, writer: &Writer) {
        match self.read(arrival, octets, error) {
            Ok(came) => {
                if let Some(record) = self.receiving.take(&came) {
                    self.records.push(&record, writer);
                }
            }
            Err(reason) => self.receiving.refuse(reason),
        }
    }

    fn read(
        &self,
        arrival: &Arrival,
        octets: &[u8],
        receive_error: ErrorEstimate,
    ) -> Result<Came, fn(&mut Refused) -> &mut u64> {
        if !is_from(self.peer, arrival.from) {
            return Err(|refused| &mut refused.address);
        }
        match self.key.open(octets) {
            Ok(packet) => Ok(Came {
                seq: packet.seq,
                sent: packet.sent,
                send_error: packet.error,
                received: arrival.received,
                receive_error,
                ttl: arrival.hop_limit.unwrap_or(255),
            }),
            Err(Fault::NotAuthentic) => Err(|refused| &mut refused.key),
            Err(Fault::TooShort | Fault::NoEstimate) => Err(|refused| &mut refused.malformed),
        }
    }
}

fn is_from(peer: Source, from: SocketAddr) -> bool {
    let address: IpAddr = from.ip().to_canonical();
    address == peer.address && peer.port.is_none_or(|port| port == from.port())
}

/// Octets of a packet that a receiver looks at.
pub(super) const LOOKED_AT: usize = 64;
