//! One measurement: the client shows that it has the address, and asks for one stream after the other.

use std::{
    fs::File,
    io::Read,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
    time::Duration,
};

use timed_udp::{
    clock::{Mono, nanos},
    inbox::Inbox,
    pace::{Pacer, Precision},
    socket::{OpenError, Opening, Port, TimedSocket},
    train::{self, Leaving},
};

use crate::{
    control::{Control, Ended},
    protocol::{Answer, HEADER, HEADERS, KNOCK, Limits, Mark, Request, Token, VERSION},
    shape::Shape,
};

/// How long a client may take to knock.
const KNOCKING: Duration = Duration::from_secs(5);
/// How long it may say nothing between two streams.
const PATIENCE: Duration = Duration::from_secs(10);
/// From the request to the first packet: the receiver has said what it wants, and listens.
const AHEAD: Duration = Duration::from_millis(2);
/// The longest stream.
const LONGEST: Duration = Duration::from_secs(2);
/// What a stream's own send queue holds, octets.
const SEND_BUFFER: usize = 1 << 20;

/// What was done, for the log.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) streams: u32,
    pub(super) octets: u64,
}

/// A client whose turn it is.
pub(super) struct Turn<'a> {
    pub(super) control: &'a mut Control<'a>,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) port: u16,
    pub(super) limits: Limits,
}

impl Turn<'_> {
    /// Measures with it, to the end.
    pub(super) fn serve(&mut self) -> Result<Done, Ended> {
        let token =
            random().map_err(|error| Ended::Ours(format!("reading /dev/urandom: {error}")))?;
        let socket = self.open().map_err(|error| Ended::Ours(error.to_string()))?;
        let until = Mono::now() + Duration::from_secs(self.limits.seconds.into());
        self.control.say(&Answer::Hello {
            version: VERSION,
            token: token.as_text(),
            port: socket.local().port(),
            limits: self.limits,
        })?;
        let shown = self.knock(&socket, &token)?;
        socket
            .connect(shown)
            .map_err(|error| Ended::Ours(format!("sending to {shown}: {error}")))?;
        self.control.say(&Answer::Known)?;
        self.streams(&socket, token, until)
    }

    fn open(&self) -> Result<TimedSocket, OpenError> {
        let scope = if let SocketAddr::V6(six) = self.local { six.scope_id() } else { 0 };
        let own = Opening::at(self.local.ip().to_canonical());
        Opening { port: Port::One(self.port), scope, send_buffer: SEND_BUFFER, ..own }.open()
    }

    /// Waits for the knock: streams go nowhere but to where it came from, at the address of the connection.
    fn knock(&mut self, socket: &TimedSocket, token: &Token) -> Result<SocketAddr, Ended> {
        let until = Mono::now() + KNOCKING;
        let mut inbox = Inbox::new(KNOCK + 1);
        loop {
            // What an earlier client's host reported is no concern of this one.
            let _ = inbox.receive(socket);
            let is_it = |from: SocketAddr, packet: &[u8]| {
                from.ip().to_canonical() == self.peer.ip().to_canonical() && token.is_of(packet)
            };
            let mut batch = inbox.batch();
            if let Some((arrival, _)) = batch.find(|(arrival, packet)| is_it(arrival.from, packet))
            {
                return Ok(arrival.from);
            }
            if let Some(request) = self.control.hear::<Request>()? {
                return Err(Ended::Senseless(format!("{request:?} before it knocked")));
            }
            if self.control.look(&[socket.as_fd()], until)?.is_none() {
                return Err(Ended::Silent("no knock came from it by UDP"));
            }
        }
    }

    fn streams(&mut self, socket: &TimedSocket, token: Token, end: Mono) -> Result<Done, Ended> {
        let (mut done, mut last) = (Done::default(), None);
        let mut pacer = Pacer::new(Precision::Exact);
        loop {
            let until = end.min(Mono::now() + PATIENCE);
            let request = self.control.wait(until, "it asked for nothing more")?;
            let Request::Stream { stream, packets, octets, gap } = request else { return Ok(done) };
            let is_new = last.replace(stream).is_none_or(|before| stream > before);
            let length = Duration::from_nanos(gap.saturating_mul(packets.into()));
            if !is_new || self.is_too_much(packets, octets, gap) || Mono::now() + length > end {
                let why = format!(
                    "stream {stream} of {packets} packets of {octets} octets every {gap} ns is not granted"
                );
                self.control.say(&Answer::Refused { later: false, why: why.clone() })?;
                return Err(Ended::Senseless(why));
            }
            let shape = Shape { packets, octets, gap };
            let sent = self.send(socket, &mut pacer, &shape, (token, stream))?;
            done.streams += 1;
            done.octets += u64::from(octets) * u64::from(packets);
            let late = sent.late.iter().copied().flatten().max().unwrap_or(0);
            let unsent = u32::try_from(sent.unsent()).unwrap_or(u32::MAX);
            self.control.say(&Answer::Sent { stream, late, unsent })?;
            // Whoever asks for streams without a pause is paused: half of the time belongs to others.
            self.rest(length)?;
        }
    }

    fn send(
        &self,
        socket: &TimedSocket,
        pacer: &mut Pacer,
        shape: &Shape,
        (token, stream): (Token, u32),
    ) -> Result<train::Sent, Ended> {
        let offsets: Vec<u64> =
            (0..u64::from(shape.packets)).map(|number| number * shape.gap).collect();
        let mut packet = vec![0; payload(shape.octets, self.local.ip())];
        let mark = |leaving: Leaving, packet: &mut [u8]| {
            let number = u32::try_from(leaving.number).unwrap_or(u32::MAX);
            Mark { token, stream, number, left: leaving.offset + leaving.late }.write(packet);
        };
        Ok(train::send(socket, pacer, Mono::now() + AHEAD, &offsets, &mut packet, mark)?)
    }

    fn is_too_much(&self, packets: u32, octets: u32, gap: u64) -> bool {
        let limits = &self.limits;
        let rate = u64::from(octets).saturating_mul(8_000_000_000) / gap.max(1);
        let length = gap.saturating_mul(packets.into());
        packets == 0
            || packets > limits.packets
            || octets > limits.octets
            || payload(octets, self.local.ip()) < HEADER
            || rate > limits.rate.saturating_add(limits.rate / 50)
            || length > nanos(LONGEST)
    }

    fn rest(&self, length: Duration) -> Result<(), Ended> {
        let until = Mono::now() + length;
        while Mono::now() < until {
            self.control.pause(until)?;
        }
        Ok(())
    }
}

/// Octets of UDP's data in a packet of so many of IP.
pub(crate) fn payload(octets: u32, address: IpAddr) -> usize {
    let headers = if address.to_canonical().is_ipv4() { HEADERS.0 } else { HEADERS.1 };
    octets.saturating_sub(headers) as usize
}

fn random() -> std::io::Result<Token> {
    let mut octets = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(Token(octets))
}
