//! A test over UDP, in a thread of its own. Nothing is ever sent over UDP: who sends packets under another's name has
//! nobody answered. What comes counts only with the test's token, from the address of its control connection, and from
//! the port that showed the token first.

use std::{net::IpAddr, net::SocketAddr, os::fd::AsFd, time::Duration};

use timed_udp::{
    clock::{ClockState, Mono},
    inbox::{Arrival, Inbox},
    socket::TimedSocket,
};

use super::{
    control::{Control, Said},
    times::Times,
};
use crate::{
    protocol::{Answer, HELLO, PACKET, Request, TestPacket, Token, UdpProposal},
    socket::{Ready, wait},
    statistics::Datagrams,
};

/// How long packets are waited for that are on their way.
const LINGER: Duration = Duration::from_secs(1);
/// How long copies are waited for when all packets are there.
const COPIES: Duration = Duration::from_millis(100);

/// A test.
pub(super) struct UdpTest {
    pub(super) control: Control,
    pub(super) socket: TimedSocket,
    pub(super) token: Token,
    pub(super) peer: IpAddr,
    pub(super) wanted: UdpProposal,
}

struct Run {
    test: UdpTest,
    packets: Datagrams,
    source: Option<SocketAddr>,
    inbox: Inbox,
    times: Times,
}

/// Carries out a test; gives how many packets came, and how many did at least once.
///
/// # Errors
/// Why it ended before its end.
pub(super) fn carry_out(test: UdpTest) -> Result<(u64, u64), String> {
    let packets = Datagrams::of(test.wanted.packets);
    let (inbox, times) = (Inbox::new(PACKET), Times::granted(Mono::now()));
    let mut run = Run { test, packets, source: None, inbox, times };
    loop {
        let left = run.times.left(Mono::now(), "no packet came")?;
        match run.wait(left)? {
            Said::Nothing => {}
            Said::This(Request::Sent(sent)) => return run.conclude(sent),
            Said::This(_) => return Err("it says what has no place in a UDP test".to_owned()),
            Said::Gone => return Err("it went before the test's end".to_owned()),
        }
    }
}

impl Run {
    /// Waits for packets, or for what the client says.
    fn wait(&mut self, left: Duration) -> Result<Said, String> {
        let read = Ready { read: true, write: false };
        let both = [(self.test.control.as_fd(), read), (self.test.socket.as_fd(), read)];
        let ready = wait(&both, left);
        self.take_packets()?;
        if ready.first().is_some_and(|it| it.read) {
            self.test.control.hear()
        } else {
            Ok(Said::Nothing)
        }
    }

    fn take_packets(&mut self) -> Result<(), String> {
        let mut heard = None;
        // A flood must not keep us from hearing its client.
        for _ in 0..64 {
            let Ok(1..) = self.inbox.receive(&self.test.socket) else { break };
            for (arrival, octets) in self.inbox.batch() {
                let Some(packet) = TestPacket::read(octets, &self.test.token) else { continue };
                if arrival.from.ip().to_canonical() != self.test.peer {
                    continue;
                }
                if packet.number == HELLO {
                    heard = Some(arrival.from);
                } else if self.source == Some(arrival.from) {
                    note(&mut self.packets, &packet, arrival);
                    self.times.came(Mono::now());
                }
            }
        }
        if let Some(from) = heard.filter(|_| self.source.is_none()) {
            self.source = Some(from);
            let wanted = &self.test.wanted;
            let [length, gap] = [wanted.length(), wanted.offset(1)].map(Duration::from_nanos);
            self.times.begin(Mono::now(), length, gap);
            self.test.control.say(&Answer::Heard).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Waits for what is on its way, and reports.
    fn conclude(mut self, sent: u32) -> Result<(u64, u64), String> {
        let (mut until, mut is_whole) = (Mono::now() + LINGER, false);
        loop {
            let now = Mono::now();
            if !is_whole && self.packets.unique() >= u64::from(sent) {
                (is_whole, until) = (true, until.min(now + COPIES));
            }
            if now >= until {
                break;
            }
            let read = Ready { read: true, write: false };
            wait(&[(self.test.socket.as_fd(), read)], until.since(now));
            self.take_packets()?;
        }
        let synchronised = ClockState::now().synchronised;
        let report = self.packets.report(self.test.socket.dropped().into(), synchronised);
        let counts = (report.received, report.unique);
        self.test
            .control
            .say(&Answer::UdpReport(Box::new(report)))
            .map_err(|error| error.to_string())?;
        Ok(counts)
    }
}

fn note(packets: &mut Datagrams, packet: &TestPacket, arrival: &Arrival) {
    let delay = arrival.received.nanos_since(packet.sent);
    let at = u64::try_from(arrival.received.unix_nanos()).unwrap_or(0);
    packets.note(packet.number, delay, at);
}
