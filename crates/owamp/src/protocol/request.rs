//! What a client asks of a server, and what it is answered (RFC 4656 sections 3.4, 3.5 and 3.7).

use std::{
    io::Read,
    net::{IpAddr, SocketAddr},
};

use timed_udp::ntp::NtpTime;

use super::{
    Accept, Failed, FetchSession, Inbound, Kind, Outbound, Sid, Slot, StopSessions, Wrong,
    fields::{Fields, address_octets, join},
    keys::BLOCK,
};

/// How much is taken in one message: what is beyond it is refused before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Slots of a schedule.
    pub slots: u32,
    /// Sessions in a Stop-Sessions.
    pub sessions: u32,
    /// Skip ranges of a session.
    pub skips: u32,
}

impl Limits {
    /// Nothing if `number` is allowed by `limit`.
    pub(super) fn check(
        number: u32,
        limit: u32,
        message: &'static str,
        field: &'static str,
    ) -> Result<(), Wrong> {
        if number <= limit {
            return Ok(());
        }
        let what = format!("{number} are more than the {limit} that are taken");
        Err(Wrong::new(message, field, what).of_kind(Kind::TooMuch))
    }
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Make a session.
    Session(Box<RequestSession>),
    /// Start those that were made.
    Start,
    /// They are at their ends; a server says it as well.
    Stop(StopSessions),
    /// Give the records of a session.
    Fetch(FetchSession),
}

impl Request {
    /// The next one; none if the connection ended.
    ///
    /// # Errors
    /// It does not come whole, makes no sense, is not authentic, or is larger than `limits`.
    pub fn read<R: Read>(from: &mut Inbound<R>, limits: &Limits) -> Result<Option<Self>, Failed> {
        let Some(first) = from.first_block()? else { return Ok(None) };
        let request = match first[0] {
            1 => Self::Session(Box::new(RequestSession::read_rest(&first, from, limits)?)),
            2 => from.hmac("Start-Sessions").map(|()| Self::Start)?,
            3 => Self::Stop(StopSessions::read_rest(&first, from, limits)?),
            4 => Self::Fetch(FetchSession::read_rest(&first, from)?),
            other => return Err(unknown(other).into()),
        };
        Ok(Some(request))
    }

    /// Puts it to be sent.
    pub fn put(&self, to: &mut Outbound) {
        match self {
            Self::Session(request) => request.put(to),
            Self::Start => {
                to.put(&join::<BLOCK>(&[&[2]]));
                to.hmac();
            }
            Self::Stop(stop) => stop.put(to),
            Self::Fetch(fetch) => fetch.put(to),
        }
    }
}

fn unknown(number: u8) -> Wrong {
    let what = format!("{number} is none of 1 (Request-Session), 2 (Start), 3 (Stop), 4 (Fetch)");
    Wrong::new("a command", "number", what)
}

/// Request-Session: what a session is to be. A server sends it as well, before the records that are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSession {
    /// The server is to be the sender.
    pub server_sends: bool,
    /// The server is to be the receiver.
    pub server_receives: bool,
    /// Packets to be sent.
    pub packets: u32,
    /// Whence; of the same family as `receiver`.
    pub sender: SocketAddr,
    /// Whither.
    pub receiver: SocketAddr,
    /// Made by the receiver: of meaning if that is not the server.
    pub sid: Sid,
    /// Octets after the fields of each packet.
    pub padding: u32,
    /// When the schedule begins.
    pub start: NtpTime,
    /// How long after its sending a packet is waited for, 2^-32 s.
    pub timeout: u64,
    /// Which packets: the two highest bits 00, and a DSCP in the next six (RFC 4656 section 3.5).
    pub type_p: u32,
    /// The schedule: gone through again and again. Never empty.
    pub slots: Vec<Slot>,
}

const REQUEST: &str = "Request-Session";

impl RequestSession {
    /// Octets of the part before the slots, without its HMAC.
    const LENGTH: usize = 96;

    pub(super) fn put(&self, to: &mut Outbound) {
        to.put(&self.first_part());
        to.hmac();
        for slot in &self.slots {
            to.put(&slot.to_bytes());
        }
        to.hmac();
    }

    fn first_part(&self) -> [u8; Self::LENGTH] {
        let version = if self.receiver.is_ipv6() { 6 } else { 4 };
        let slots = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        join(&[
            &[1, version, self.server_sends.into(), self.server_receives.into()],
            &slots.to_be_bytes(),
            &self.packets.to_be_bytes(),
            &self.sender.port().to_be_bytes(),
            &self.receiver.port().to_be_bytes(),
            &address_octets(self.sender.ip()),
            &address_octets(self.receiver.ip()),
            &self.sid.0,
            &self.padding.to_be_bytes(),
            &self.start.to_bytes(),
            &self.timeout.to_be_bytes(),
            &self.type_p.to_be_bytes(),
        ])
    }

    /// The whole message, where nothing else can come.
    ///
    /// # Errors
    /// As [`Request::read`].
    pub(super) fn read<R: Read>(from: &mut Inbound<R>, limits: &Limits) -> Result<Self, Failed> {
        let first = from.array::<BLOCK>()?;
        if first[0] != 1 {
            let what = format!("{} where a Request-Session is wanted, which is 1", first[0]);
            return Err(Wrong::new(REQUEST, "number", what).into());
        }
        Self::read_rest(&first, from, limits)
    }

    pub(super) fn read_rest<R: Read>(
        first: &[u8; BLOCK],
        from: &mut Inbound<R>,
        limits: &Limits,
    ) -> Result<Self, Failed> {
        let rest = from.array::<{ Self::LENGTH - BLOCK }>()?;
        from.hmac(REQUEST)?;
        let (mut request, slots) = Self::of_first_part(&join(&[first, &rest]))?;
        Limits::check(slots, limits.slots, REQUEST, "Number of Schedule Slots")?;
        for _ in 0..slots {
            request.slots.push(Slot::from_bytes(&from.array()?)?);
        }
        from.hmac(REQUEST)?;
        Ok(request)
    }

    /// All but the slots, and their number.
    fn of_first_part(bytes: &[u8; Self::LENGTH]) -> Result<(Self, u32), Wrong> {
        let mut fields = Fields::of(bytes);
        let is_v6 = is_v6(fields.skip::<1>().octet())?;
        let server_sends = flag(fields.octet(), "Conf-Sender")?;
        let server_receives = flag(fields.octet(), "Conf-Receiver")?;
        let (slots, packets) = (fields.u32(), fields.u32());
        if slots == 0 {
            let what = "there are none, and at least one is wanted";
            return Err(Wrong::new(REQUEST, "Number of Schedule Slots", what));
        }
        let ports = [fields.u16(), fields.u16()];
        let addresses: [IpAddr; 2] = [fields.address(is_v6), fields.address(is_v6)];
        let request = Self {
            server_sends,
            server_receives,
            packets,
            sender: SocketAddr::new(addresses[0], ports[0]),
            receiver: SocketAddr::new(addresses[1], ports[1]),
            sid: Sid(fields.array()),
            padding: fields.u32(),
            start: NtpTime(fields.u64()),
            timeout: fields.u64(),
            type_p: fields.u32(),
            slots: Vec::new(),
        };
        Ok((request, slots))
    }
}

fn is_v6(octet: u8) -> Result<bool, Wrong> {
    match octet & 0x0f {
        4 => Ok(false),
        6 => Ok(true),
        other => Err(Wrong::new(REQUEST, "IPVN", format!("{other} is neither 4 nor 6"))),
    }
}

fn flag(octet: u8, field: &'static str) -> Result<bool, Wrong> {
    match octet {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Wrong::new(REQUEST, field, format!("{other} is neither 0 nor 1"))),
    }
}

/// Accept-Session: a server's answer to Request-Session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptSession {
    /// Whether there will be a session.
    pub accept: Accept,
    /// The server's port of it; for a session with the server on neither side, or on both, see RFC 4656 section 3.5.
    pub port: u16,
    /// The session; of meaning if the server is its receiver.
    pub sid: Sid,
}

impl AcceptSession {
    /// Puts it to be sent.
    pub fn put(&self, to: &mut Outbound) {
        let first = [self.accept.into(), 0];
        to.put(&join::<{ 2 * BLOCK }>(&[&first, &self.port.to_be_bytes(), &self.sid.0]));
        to.hmac();
    }

    /// Reads it.
    ///
    /// # Errors
    /// It does not come whole, or is not authentic.
    pub fn read<R: Read>(from: &mut Inbound<R>) -> Result<Self, Failed> {
        let bytes = from.array::<{ 2 * BLOCK }>()?;
        from.hmac("Accept-Session")?;
        let mut fields = Fields::of(&bytes);
        let accept = fields.octet().into();
        Ok(Self { accept, port: fields.skip::<1>().u16(), sid: Sid(fields.array()) })
    }
}

/// Start-Ack: a server's answer to Start-Sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartAck {
    /// Whether they have started.
    pub accept: Accept,
}

impl StartAck {
    /// Puts it to be sent.
    pub fn put(&self, to: &mut Outbound) {
        to.put(&join::<BLOCK>(&[&[self.accept.into()]]));
        to.hmac();
    }

    /// Reads it.
    ///
    /// # Errors
    /// It does not come whole, or is not authentic.
    pub fn read<R: Read>(from: &mut Inbound<R>) -> Result<Self, Failed> {
        let bytes = from.array::<BLOCK>()?;
        from.hmac("Start-Ack")?;
        Ok(Self { accept: bytes[0].into() })
    }
}
