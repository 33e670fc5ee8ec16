//! Sends the packets of a session: carries out what [`Sending`] decides.

use std::{io, time::Duration};

use timed_udp::{
    clock::{KnownState, Moment, Mono, wall},
    inbox::Inbox,
    ntp::NtpTime,
    socket::TimedSocket,
};

use super::{
    handle::SendSpec,
    sending::{SendReport, Sending, Step},
    spread::Spread,
};
use crate::protocol::PacketKey;

/// A queue that is full is tried again after this.
const QUEUE_FULL: Duration = Duration::from_micros(50);
/// The kernel's time of leaving is asked for that often.
const SAMPLE: Duration = Duration::from_secs(1);
/// Packets that one session sends before others have their turn.
const MOST_AT_ONCE: usize = 32;

/// A session that is being sent.
#[derive(Debug)]
pub(super) struct Sender {
    socket: TimedSocket,
    key: PacketKey,
    sending: Sending,
    length: usize,
    is_zero_padded: bool,
    leaving: Spread,
    next_sample: Mono,
    /// Packets that the kernel was asked to stamp, and the time stamp of the last.
    sampled: (u32, NtpTime),
}

/// Where packets are made: padding, random and zero, of the longest packet.
#[derive(Debug)]
pub(super) struct Press {
    random: Vec<u8>,
    zero: Vec<u8>,
    /// The beginning of the random padding, where packets leave their traces.
    pristine: [u8; HEAD],
}

/// Octets of the longest packet without padding.
const HEAD: usize = 48;

impl Press {
    /// `random` is octets of no meaning, as many as the longest packet has.
    pub(super) fn new(random: Vec<u8>) -> Self {
        let pristine = random.first_chunk().copied().unwrap_or([0; HEAD]);
        Self { zero: vec![0; random.len()], random, pristine }
    }

    fn sheet(&mut self, length: usize, is_zero: bool) -> &mut [u8] {
        let (sheet, head) =
            if is_zero { (&mut self.zero, &[0; HEAD]) } else { (&mut self.random, &self.pristine) };
        sheet[..HEAD].copy_from_slice(head);
        let length = length.min(sheet.len());
        &mut sheet[..length]
    }
}

impl Sender {
    pub(super) fn new(spec: SendSpec, now: Moment) -> Self {
        let start = now.mono_at(spec.start.nanos_since(now.wall));
        Self {
            length: PacketKey::shortest(spec.key.mode()) + spec.padding,
            sending: Sending::new(spec.timetable, start, spec.too_late),
            socket: spec.socket,
            key: spec.key,
            is_zero_padded: spec.is_zero_padded,
            leaving: Spread::default(),
            next_sample: Mono::default(),
            sampled: (0, NtpTime::default()),
        }
    }

    /// Sends what is due. When it is to be called again; none when all is done.
    pub(super) fn act(&mut self, press: &mut Press, state: &mut KnownState) -> Option<Mono> {
        for _ in 0..MOST_AT_ONCE {
            match self.sending.step(Mono::now()) {
                Step::Done => return None,
                Step::Wait(until) => return Some(until),
                Step::Send(number) => {
                    if let Some(again) = self.send(number, press, state) {
                        return Some(again);
                    }
                }
            }
        }
        Some(Mono::now())
    }

    pub(super) fn report(mut self) -> SendReport {
        self.take_sample();
        self.sending.report(self.leaving)
    }

    /// Sends a packet; when to try again, if there is no room for it.
    fn send(&mut self, number: u32, press: &mut Press, state: &mut KnownState) -> Option<Mono> {
        for is_second in [false, true] {
            let (at, sent) = self.try_send(number, press, state);
            let Err(error) = sent else {
                self.sending.sent(at);
                return None;
            };
            self.sending.note(error.raw_os_error().unwrap_or(0));
            if is_full(&error) {
                return Some(at + QUEUE_FULL);
            }
            // The first time it may be what the network says of an earlier packet.
            if is_second {
                self.sending.refused();
            }
        }
        None
    }

    fn try_send(
        &mut self,
        number: u32,
        press: &mut Press,
        state: &mut KnownState,
    ) -> (Mono, io::Result<()>) {
        let packet = press.sheet(self.length, self.is_zero_padded);
        let estimate = state.estimate_at(Mono::now());
        // The packet is as long as its mode wants: both can only succeed.
        let is_made = self.key.prepare(number, packet).is_ok();
        let is_sampled = is_made && self.begin_sample();
        let (at, sent) = (Mono::now(), wall());
        let result = match self.key.stamp(number, sent, estimate, packet) {
            Ok(()) => self.socket.send(packet),
            Err(fault) => Err(io::Error::other(fault)),
        };
        if is_sampled {
            let _ = self.socket.stamp_sending(false);
            if result.is_ok() {
                self.sampled = (self.sampled.0 + 1, sent);
            }
        }
        (at, result)
    }

    fn begin_sample(&mut self) -> bool {
        let now = Mono::now();
        if now < self.next_sample {
            return false;
        }
        self.next_sample = now + SAMPLE;
        self.take_sample();
        self.socket.stamp_sending(true).is_ok()
    }

    /// Reads when the last packet that the kernel stamped has left.
    fn take_sample(&mut self) {
        while let Ok(Some((number, left))) = Inbox::send_stamp(&self.socket) {
            let (count, sent) = self.sampled;
            if number.checked_add(1) == Some(count) {
                let length = u64::try_from(left.nanos_since(sent)).unwrap_or(0);
                self.leaving.add(Duration::from_nanos(length));
            }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}
