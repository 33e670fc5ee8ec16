//! The sockets of a reflector: what comes is judged and answered.

use std::{
    fmt::Write as _,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use station::{
    app::{Exit, Failure},
    world::signals::{Stop, wait_for},
};
use timed_udp::{
    clock::{self, KnownState, Mono},
    inbox::{Arrival, Inbox},
    socket::{OpenError, Opening, Port, TimedSocket},
};

use super::{
    Args,
    judge::{Judge, Refused, Rules},
};
use crate::stamp::packet;

/// Room for packets that come while others are answered, octets.
const QUEUE: usize = 8 << 20;
/// A packet of UDP at its longest.
const LONGEST: usize = 65_535;
const A_MINUTE: Duration = Duration::from_secs(60);

/// Binds the port: on the addresses that were named, else on all of both families.
///
/// # Errors
/// It cannot be bound. A machine without IPv6 has the other.
pub(super) fn open(args: &Args) -> Result<Vec<TimedSocket>, Failure> {
    if !args.source.is_empty() {
        let opened = args.source.iter().map(|address| bind(args, *address));
        return opened.collect::<Result<_, _>>().map_err(|error| failure(args, &error));
    }
    let four = bind(args, Ipv4Addr::UNSPECIFIED.into()).map_err(|error| failure(args, &error))?;
    match bind(args, Ipv6Addr::UNSPECIFIED.into()) {
        Ok(six) => Ok(vec![four, six]),
        Err(error) if kind(&error) == Some(io::ErrorKind::AddrInUse) => Err(failure(args, &error)),
        Err(error) => {
            log::info!("answers over IPv4 only: {error}");
            Ok(vec![four])
        }
    }
}

fn bind(args: &Args, address: IpAddr) -> Result<TimedSocket, OpenError> {
    let port = Port::One(args.port);
    let dscp = args.dscp;
    Opening { port, receive_buffer: QUEUE, dscp, ..Opening::at(address) }.open()
}

fn kind(error: &OpenError) -> Option<io::ErrorKind> {
    error.io().map(io::Error::kind)
}

fn failure(args: &Args, error: &OpenError) -> Failure {
    let (exit, advice) = match kind(error) {
        Some(io::ErrorKind::PermissionDenied) => {
            let advice =
                "a port below 1024 is root's, or for CAP_NET_BIND_SERVICE: name another by -p";
            (Exit::Config, advice)
        }
        Some(io::ErrorKind::AddrInUse) => (Exit::TryLater, "another reflector has it already"),
        Some(io::ErrorKind::AddrNotAvailable) => {
            (Exit::Config, "that is no address of this machine: name one by -S")
        }
        _ => (Exit::Config, "name another port by -p, or an address by -S"),
    };
    let failure = Failure::new(exit, format!("opening UDP port {}", args.port));
    failure.why(format_args!("{error}; {advice}"))
}

/// Answers until it is told to stop.
pub(super) fn serve(sockets: &[TimedSocket], rules: Rules, stop: &Stop) -> Exit {
    for socket in sockets {
        log::info!("answers on {}", socket.local());
    }
    let now = Mono::now();
    let mut reflector = Reflector {
        judge: Judge::new(rules, now),
        state: KnownState::ask(now),
        tally: Tally::default(),
        answer: vec![0; LONGEST],
    };
    let mut inbox = Inbox::new(LONGEST);
    let (mut told, mut dropped) = (now, 0);
    let mut fds: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    fds.push(stop.fd());
    while !stop.asked() {
        wait_for(&fds, A_MINUTE);
        for socket in sockets {
            // What is wrong with one packet is told with another, and there is nothing to be done.
            if inbox.receive(socket).is_ok() {
                inbox.batch().for_each(|(arrival, octets)| reflector.take(socket, arrival, octets));
            }
        }
        if Mono::now().since(told) >= A_MINUTE {
            told = Mono::now();
            reflector.tally.note_drops(sockets, &mut dropped);
            std::mem::take(&mut reflector.tally).tell();
        }
    }
    reflector.tally.note_drops(sockets, &mut dropped);
    reflector.tally.tell();
    log::info!("ends, as it was told to");
    Exit::Well
}

struct Reflector {
    judge: Judge,
    state: KnownState,
    tally: Tally,
    answer: Vec<u8>,
}

impl Reflector {
    fn take(&mut self, socket: &TimedSocket, arrival: &Arrival, octets: &[u8]) {
        let local = (arrival.to, socket.local().port());
        match self.judge.judge(arrival.from, local, octets, Mono::now()) {
            Ok(number) => {
                let sent = self.reflect(socket, arrival, octets, number);
                self.tally.count(sent.ok_or(None));
            }
            Err(refused) => self.tally.count(Err(Some(refused))),
        }
    }

    fn reflect(
        &mut self,
        socket: &TimedSocket,
        arrival: &Arrival,
        octets: &[u8],
        number: u32,
    ) -> Option<()> {
        let answer = self.answer.get_mut(..octets.len())?;
        answer.copy_from_slice(octets);
        // 255 stands for a TTL that is not known, as with OWAMP.
        packet::answer(answer, number, arrival.received, arrival.hop_limit.unwrap_or(255))?;
        let error = self.state.estimate_at(Mono::now());
        packet::stamp(answer, clock::wall(), error)?;
        let sent = match arrival.to {
            Some(own) => socket.send_from(answer, arrival.from, own),
            None => socket.send_to(answer, arrival.from),
        };
        sent.ok()
    }
}

/// What the log is told, once a minute.
#[derive(Debug, Default)]
struct Tally {
    answered: u64,
    failed: u64,
    dropped: u64,
    refused: [u64; Refused::ALL.len()],
}

impl Tally {
    fn count(&mut self, what: Result<(), Option<Refused>>) {
        match what {
            Ok(()) => self.answered += 1,
            Err(None) => self.failed += 1,
            Err(Some(refused)) => self.refused[refused as usize] += 1,
        }
    }

    /// What our queues dropped, of which no packet was ever seen.
    fn note_drops(&mut self, sockets: &[TimedSocket], told: &mut u64) {
        let all: u64 = sockets.iter().map(|socket| u64::from(socket.dropped())).sum();
        self.dropped = all.saturating_sub(*told);
        *told = all;
    }

    /// Nothing, if every packet was answered.
    fn line(&self) -> Option<String> {
        let mut line = format!("in a minute {} packets were answered; not", self.answered);
        let counts = Refused::ALL.iter().zip(self.refused).filter(|(_, count)| *count > 0);
        let mut parts: Vec<String> = counts.map(|(why, count)| format!("{count} {why}")).collect();
        if self.failed > 0 {
            parts.push(format!("{} that could not be sent", self.failed));
        }
        if self.dropped > 0 {
            parts.push(format!(
                "{} that our own queue dropped: this machine is too busy",
                self.dropped
            ));
        }
        write!(line, " {}", parts.join(", ")).ok()?;
        (!parts.is_empty()).then_some(line)
    }

    fn tell(&self) {
        if let Some(line) = self.line() {
            log::warn!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_of_what_was_not_answered_and_why() {
        let mut tally = Tally::default();
        (0..5).for_each(|_| tally.count(Ok(())));
        assert_eq!(tally.line(), None);
        (0..3).for_each(|_| tally.count(Err(Some(Refused::TooShort))));
        tally.count(Err(None));
        let line = tally.line().expect("something is to be told");
        assert_eq!(
            line,
            "in a minute 5 packets were answered; not 3 too short, 1 that could not be sent"
        );
    }

    #[test]
    fn reasons_are_counted_at_their_own_places() {
        assert!(Refused::ALL.iter().enumerate().all(|(place, why)| *why as usize == place));
    }
}
