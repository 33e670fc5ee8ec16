//! A test over UDP: packets leave at their times, and the server tells what became of them.

use std::{io, os::fd::AsFd, time::Duration};

use station::world::signals::{Stop, wait_for};
use timed_udp::{
    clock::{self, ClockState, Mono},
    pace::{Pacer, Precision},
    socket::{Opening, TimedSocket},
    train,
};

use super::{
    Args,
    line::{Line, PATIENCE},
    stream::noise,
    trouble::Trouble,
};
use crate::{
    protocol::{
        AcceptedUdp, Answer, HELLO, Request, TestPacket, Token, UdpProposal, UdpReport, Wrong,
    },
    report::{Outcome, Run, UdpOutcome},
    statistics::Lateness,
};

const USUAL_SIZE: u16 = 1_500;
/// Time from one packet that shows the way to the next.
const HELLO_EVERY: Duration = Duration::from_millis(100);
/// From then on to the first packet.
const LEAD: Duration = Duration::from_millis(20);
/// How long packets are sent without a look at anything else, nanoseconds, and how many at most.
const STRETCH: u64 = 50_000_000;
const MOST_AT_ONCE: u32 = 4_096;
/// How long before a packet's time the wait for it is such that nothing ends it.
const AHEAD: Duration = Duration::from_millis(20);
/// How much longer a test may take than it should before it is given up.
const DELAYED: Duration = Duration::from_secs(5);

/// Carries out a test. What came of it is in `run` then, also where it did not come to its end.
pub(super) fn measure(args: &Args, rate: u64, stop: &Stop, run: &mut Run) -> Result<(), Trouble> {
    let mut line = Line::to(&args.addresses()?, args, stop)?;
    run.server = Some(line.server);
    run.from = line.stream.local_addr().ok();
    let wanted = proposal(args, rate)?;
    let accepted = propose(&wanted, &mut line)?;
    let socket = socket(args, &line, accepted)?;
    let mut test = Test::of(args, &wanted, accepted.token, &socket, line.server.is_ipv6());
    test.show_the_way(&mut line, stop)?;
    let sent = test.send_all(&mut line, stop);
    let (report, told) = match &sent {
        Err(Trouble::Broken(_)) => (None, Ok(())),
        _ => test.report(&mut line).map_or_else(|why| (None, Err(why)), |it| (Some(it), Ok(()))),
    };
    let outcome = test.outcome(accepted.buffer, report);
    run.warnings.extend(warnings(&outcome, &wanted));
    run.outcome = Some(Outcome::Udp(outcome));
    sent.and(told)
}

/// As many packets as leave at this rate in the test's time.
fn proposal(args: &Args, rate: u64) -> Result<UdpProposal, Trouble> {
    let size = args.length.map_or(USUAL_SIZE, |it| u16::try_from(it).unwrap_or(u16::MAX));
    let packets = u128::from(rate) * u128::from(args.duration) / (u128::from(size) * 8);
    let packets = u32::try_from(packets).ok().filter(|it| (1..HELLO).contains(it));
    let packets = packets.ok_or_else(|| {
        Trouble::Ours(format!(
            "counting the packets of {rate} bit/s in {} s: there are none, or more than a test has; change -u or -t",
            args.duration
        ))
    })?;
    Ok(UdpProposal { packets, size, rate, buffer: args.window })
}

fn propose(wanted: &UdpProposal, line: &mut Line<'_>) -> Result<AcceptedUdp, Trouble> {
    line.say(&Request::Udp(*wanted))?;
    match line.hear("proposing a test")? {
        Answer::Udp(accepted) => Ok(accepted),
        Answer::Refused(cause, why) => Err(Trouble::Refused(cause, why)),
        _ => Err(Trouble::Broken("the server's answer has no place there".to_owned())),
    }
}

/// A socket to the server's address: packets go nowhere else, whatever the server says.
fn socket(args: &Args, line: &Line<'_>, accepted: AcceptedUdp) -> Result<TimedSocket, Trouble> {
    let ours = Trouble::ours("opening a socket for test packets");
    let local = line.stream.local_addr().map_err(&ours)?;
    let scope = if let std::net::SocketAddr::V6(six) = local { six.scope_id() } else { 0 };
    let send_buffer = args.window as usize;
    let opening =
        Opening { scope, send_buffer, dscp: args.dscp, hop_limit: 64, ..Opening::at(local.ip()) };
    let socket = opening.open().map_err(|error| Trouble::Ours(error.to_string()))?;
    let mut server = line.server;
    server.set_port(accepted.port);
    socket.connect(server).map_err(ours)?;
    Ok(socket)
}

struct Test<'a> {
    wanted: UdpProposal,
    token: Token,
    socket: &'a TimedSocket,
    precision: Precision,
    packet: Vec<u8>,
    lateness: Lateness,
    number: u32,
}

impl<'a> Test<'a> {
    fn of(
        args: &Args,
        wanted: &UdpProposal,
        token: Token,
        socket: &'a TimedSocket,
        is_six: bool,
    ) -> Self {
        let headers = if is_six { 48 } else { 28 };
        let precision = if args.busy { Precision::Watching } else { Precision::Exact };
        Self {
            wanted: *wanted,
            token,
            socket,
            precision,
            packet: noise(usize::from(wanted.size).saturating_sub(headers)),
            lateness: Lateness::default(),
            number: 0,
        }
    }

    /// Sends packets that are of no test until the server has heard one.
    fn show_the_way(&mut self, line: &mut Line<'_>, stop: &Stop) -> Result<(), Trouble> {
        let until = Mono::now() + PATIENCE / 2;
        let mut refused = None;
        while Mono::now() < until {
            TestPacket { token: self.token, number: HELLO, sent: clock::wall() }
                .write(&mut self.packet);
            refused = self.socket.send(&self.packet).err();
            wait_for(&[line.as_fd(), stop.fd()], HELLO_EVERY);
            if stop.asked() {
                return Err(Trouble::Interrupted);
            }
            match line.heard()? {
                Some(Answer::Heard) => return Ok(()),
                Some(_) => {
                    return Err(Trouble::Broken("it says what has no place there".to_owned()));
                }
                None => {}
            }
            if let Some(error) = refused.take_if(|it| !is_of_an_earlier(it)) {
                return Err(Trouble::Ours(format!("sending test packets: {error}")));
            }
        }
        if let Some(error) = refused.filter(is_too_long) {
            let size = self.wanted.size;
            return Err(Trouble::Ours(format!(
                "sending test packets: {error}: {size} octets do not go that way: ask for fewer by -l"
            )));
        }
        Err(Trouble::Silent(
            "no test packet reached the server, a firewall may keep UDP away: waiting for its word",
            PATIENCE.as_secs() / 2,
        ))
    }

    fn send_all(&mut self, line: &mut Line<'_>, stop: &Stop) -> Result<(), Trouble> {
        let start = Mono::now() + LEAD;
        let end = start + Duration::from_nanos(self.wanted.length()) + DELAYED;
        let mut pacer = Pacer::new(self.precision);
        while self.number < self.wanted.packets {
            if stop.asked() {
                return Err(Trouble::Interrupted);
            }
            if line.heard()?.is_some() {
                return Err(Trouble::Broken("it says what has no place there".to_owned()));
            }
            if Mono::now() > end {
                let rate = self.wanted.rate;
                return Err(Trouble::Ours(format!(
                    "sending test packets: this machine does not send {rate} bit/s: ask for less by -u"
                )));
            }
            let due = start + Duration::from_nanos(self.wanted.offset(self.number));
            let early = (due - AHEAD).since(Mono::now());
            if early.is_zero() {
                self.send_some(&mut pacer, start)?;
            } else {
                wait_for(&[line.as_fd(), stop.fd()], early);
            }
        }
        Ok(())
    }

    /// Sends the packets of a short time.
    fn send_some(&mut self, pacer: &mut Pacer, start: Mono) -> Result<(), Trouble> {
        let (first, token) = (self.number, self.token);
        let until = self.wanted.offset(first).saturating_add(STRETCH);
        let numbers = first..self.wanted.packets.min(first.saturating_add(MOST_AT_ONCE));
        let offsets = numbers.map(|number| self.wanted.offset(number));
        let mut offsets: Vec<u64> = offsets.take_while(|offset| *offset < until).collect();
        if offsets.is_empty() {
            offsets.push(self.wanted.offset(first));
        }
        let sent = train::send(
            self.socket,
            pacer,
            start,
            &offsets,
            &mut self.packet,
            |leaving, packet| {
                let number =
                    first.saturating_add(u32::try_from(leaving.number).unwrap_or(u32::MAX));
                TestPacket { token, number, sent: clock::wall() }.write(packet);
            },
        );
        let sent = sent.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                Trouble::Broken("sending test packets: the server's port is closed now".to_owned())
            }
            _ => Trouble::Broken(format!("sending test packets: {error}")),
        })?;
        sent.late.iter().for_each(|late| self.lateness.note(*late));
        self.number += u32::try_from(offsets.len()).unwrap_or(u32::MAX);
        Ok(())
    }

    /// Asks for the server's report, also if we were asked to end: it takes a second at the most.
    fn report(&self, line: &mut Line<'_>) -> Result<UdpReport, Trouble> {
        line.finish();
        let sent = self.lateness.sent();
        line.say(&Request::Sent(u32::try_from(sent).unwrap_or(u32::MAX)))?;
        match line.hear("waiting for the server's report")? {
            Answer::UdpReport(report) if report.unique > sent => {
                let what = format!("{} packets came, of which {sent} were sent", report.unique);
                Err(Wrong::new("a report", what).into())
            }
            Answer::UdpReport(report) => Ok(*report),
            _ => Err(Trouble::Broken("it says what has no place there".to_owned())),
        }
    }

    fn outcome(self, buffer: u32, report: Option<UdpReport>) -> UdpOutcome {
        UdpOutcome {
            buffer,
            size: self.wanted.size,
            payload: u16::try_from(self.packet.len()).unwrap_or(u16::MAX),
            rate: self.wanted.rate,
            proposed: self.wanted.packets,
            lateness: self.lateness,
            synchronised: ClockState::now().synchronised,
            report,
        }
    }
}

/// Whether the network reported that of an earlier packet: another one may come through.
fn is_of_an_earlier(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused || is_too_long(error)
}

/// `EMSGSIZE`, for which std has no kind. From then on the kernel knows what goes that way, and cuts packets itself.
fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

fn warnings(outcome: &UdpOutcome, wanted: &UdpProposal) -> Vec<String> {
    let mut warnings = Vec::from_iter(outcome.lateness.verdict(wanted.offset(1)));
    let Some(report) = &outcome.report else { return warnings };
    if report.dropped > 0 {
        warnings.push(format!(
            "the server's own queue dropped {} packets, which count as lost: it is too busy, or its buffer (-w) too small",
            report.dropped
        ));
    }
    if !(outcome.synchronised && report.synchronised) {
        let text = "the clocks of both ends are not synchronised: delays are of use only against one another";
        warnings.push(text.to_owned());
    }
    warnings
}
