//! The socket of a sender: packets go at their times, answers are taken as they come.

use std::{io, net::SocketAddr, os::fd::AsFd, time::Duration};

use station::{
    words::place::Place,
    world::{
        peers,
        signals::{Stop, wait_for},
    },
};
use timed_udp::{
    clock::{ClockState, KnownState, Moment, Mono, StepWatch},
    inbox::Inbox,
    ntp::NtpTime,
    pace::{Pacer, Precision},
    socket::{Opening, TimedSocket},
};

use super::{
    Args,
    book::{Arrived, Book, Closing, Sent},
    figures::Circumstances,
    measured::{Measured, advice},
};
use crate::stamp::{PORT, packet};

/// Room for answers that come while something else is done, octets.
const QUEUE: usize = 4 << 20;
/// Longer answers are cut: nothing is read behind their fields.
const SLOT: usize = 128;
/// From now to the first packet.
const LEAD: Duration = Duration::from_millis(20);
/// How long copies are waited for when all answers are there.
const COPIES: Duration = Duration::from_millis(100);

/// Carries out the test.
///
/// # Errors
/// Why there is no socket to send by, in words.
pub(super) fn measure(args: &Args, stop: &Stop) -> Result<Measured, String> {
    let (socket, to) = open(args)?;
    let mut run = Run::new(args, &socket, stop);
    for number in 0..args.count {
        if !run.send_next(number) {
            break;
        }
    }
    run.await_answers();
    run.close();
    let warnings = warnings(&socket);
    Ok(Measured {
        from: socket.local(),
        to,
        book: run.book,
        circumstances: Circumstances { own_drops: socket.dropped().into(), ..run.circumstances },
        warnings,
        error: run.error,
    })
}

fn warnings(socket: &TimedSocket) -> Vec<String> {
    let mut warnings = Vec::new();
    if !ClockState::now().synchronised {
        let text = "the clock of this machine is not synchronised: one-way delays mean nothing; round trips are right. \
                    Start chrony, ntpsec or systemd-timesyncd";
        warnings.push(text.to_owned());
    }
    if socket.dropped() > 0 {
        warnings.push(format!(
            "our own queue dropped {} answers, which count as lost: this machine is too busy, or -i too short",
            socket.dropped()
        ));
    }
    warnings
}

/// A socket that is connected to the first address that there is a way to.
fn open(args: &Args) -> Result<(TimedSocket, SocketAddr), String> {
    let place = Place::of(&args.target)?;
    let found = |why| format!("finding {}: {why}", place.host);
    let all =
        peers::addresses(&place.host, place.port.unwrap_or(PORT), args.family()).map_err(found)?;
    let mut why = String::new();
    for to in all {
        match open_to(args, to) {
            Ok(socket) => return Ok((socket, to)),
            Err(error) => why = format!("opening a socket to {to}: {error}"),
        }
    }
    Err(why)
}

fn open_to(args: &Args, to: SocketAddr) -> Result<TimedSocket, String> {
    let told = |error: io::Error| format!("{error}; {}", advice(&error, to.port()));
    let own = match args.source {
        Some(own) => own,
        None => peers::own_address(to).map_err(told)?,
    };
    let scope = if let SocketAddr::V6(six) = to { six.scope_id() } else { 0 };
    let opening = Opening { scope, receive_buffer: QUEUE, dscp: args.dscp, ..Opening::at(own) };
    let socket = opening.open().map_err(|error| error.to_string())?;
    socket.report_all().and_then(|()| socket.connect(to)).map_err(told)?;
    Ok(socket)
}

struct Run<'a> {
    args: &'a Args,
    socket: &'a TimedSocket,
    stop: &'a Stop,
    book: Book,
    circumstances: Circumstances,
    inbox: Inbox,
    pacer: Pacer,
    state: KnownState,
    steps: StepWatch,
    packet: Vec<u8>,
    first: Mono,
    error: Option<io::Error>,
}

impl<'a> Run<'a> {
    fn new(args: &'a Args, socket: &'a TimedSocket, stop: &'a Stop) -> Self {
        let now = Moment::now();
        let mut packet = vec![0; packet::BASE + usize::from(args.size)];
        packet::pad(&mut packet);
        let lead = i128::try_from(LEAD.as_nanos()).unwrap_or(0);
        let start = NtpTime::from_unix_nanos(now.wall.unix_nanos() + lead);
        Self {
            args,
            socket,
            stop,
            book: Book::default(),
            circumstances: Circumstances {
                start,
                interval: args.interval,
                timeout: args.timeout,
                ..Circumstances::default()
            },
            inbox: Inbox::new(SLOT),
            pacer: Pacer::new(Precision::Exact),
            state: KnownState::ask(now.mono),
            steps: StepWatch::begin(now),
            packet,
            first: now.mono + LEAD,
            error: None,
        }
    }

    /// Takes what comes until the packet is due, and sends it. Says whether to go on.
    fn send_next(&mut self, number: u32) -> bool {
        let due = self.first + self.args.interval * number;
        self.receive_until(due - self.pacer.margin(), |_| false);
        if Mono::now() > due {
            // Who is late must not let answers wait as well, until the queue is full.
            self.receive();
        }
        if self.stop.asked() {
            return false;
        }
        self.pacer.wait_until(due);
        let sent = self.send(number);
        self.book.sent.push(sent);
        true
    }

    fn send(&mut self, number: u32) -> Option<Sent> {
        let error = self.state.estimate_at(Mono::now());
        // An error of an earlier packet is told in place of sending this one.
        for _ in 0..2 {
            let now = Moment::now();
            let sent = Sent { at: now.wall, mono: now.mono, error };
            packet::ask(&mut self.packet, number, sent.at, error)?;
            match self.socket.send(&self.packet) {
                Ok(()) => return Some(sent),
                Err(error) => self.error = Some(error),
            }
        }
        self.circumstances.send_errors += 1;
        None
    }

    fn receive_until(&mut self, until: Mono, is_over: impl Fn(&Book) -> bool) {
        loop {
            let left = until.since(Mono::now());
            if left.is_zero() || self.stop.asked() || is_over(&self.book) {
                return;
            }
            wait_for(&[self.socket.as_fd(), self.stop.fd()], left);
            self.receive();
        }
    }

    fn receive(&mut self) {
        let received = self.inbox.receive(self.socket);
        if !matches!(received, Ok(1..)) {
            // What a router said may have been told with a packet that was sent; here it waits, and would wake us for
            // ever.
            let _ = Inbox::send_stamp(self.socket);
        }
        if let Err(error) = received {
            self.error = Some(error);
            return;
        }
        let now = Moment::now();
        self.circumstances.clock_steps.extend(self.steps.look(now).map(|step| step.nanos));
        for (arrival, octets) in self.inbox.batch() {
            let arrived = Arrived {
                at: arrival.received,
                mono: now.mono_at(arrival.received.nanos_since(now.wall)),
                ttl: arrival.hop_limit.unwrap_or(255),
            };
            self.book.take(octets, arrived);
        }
    }

    /// Waits for answers that may still come in time, and then a little for copies.
    fn await_answers(&mut self) {
        let last = self.book.sent.iter().flatten().last().map(|sent| sent.mono);
        let Some(last) = last else { return };
        let refused = self.book.came.is_empty() && self.error.is_some();
        let timeout = if refused { self.args.timeout.min(COPIES) } else { self.args.timeout };
        self.receive_until(last + timeout, Book::is_complete);
        if self.stop.asked() {
            self.book.break_off(Mono::now(), self.args.timeout);
            return;
        }
        let copies = COPIES.min(self.args.timeout);
        self.receive_until((last + timeout).min(Mono::now() + copies), |_| false);
    }

    /// Where answers are missing: asks how many packets the reflector got.
    fn close(&mut self) {
        if self.book.is_complete() || self.book.came.is_empty() || self.stop.asked() {
            return;
        }
        // One number is left out, so that a reflector's own cannot be equal to it.
        let Some(of) = self.args.count.checked_add(1) else { return };
        let Some(sent) = self.send(of) else { return };
        self.book.closing = Some(Closing { of, sent, number: None });
        let until = sent.mono + self.args.timeout;
        self.receive_until(until, |book| book.closing.is_some_and(|it| it.number.is_some()));
    }
}
