//! How a test session is asked for (RFC 4656 section 3.5).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use timed_udp::ntp::NtpTime;

use super::{Accept, Malformed, field, keys::BLOCK, schedule::Slot};

/// A test session's identifier: address, time and chance of its receiver. It also seeds the schedule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Sid(pub [u8; 16]);

impl Sid {
    /// The identifier of a session whose receiver has this address, at this time (RFC 4656 section 3.5): of an IPv6
    /// address its last four octets. `random` is what makes it hard to guess.
    #[must_use]
    pub fn new(receiver: IpAddr, now: NtpTime, random: [u8; 4]) -> Self {
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&match receiver {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(address) => field::array(&address.octets(), 12),
        });
        octets[4..12].copy_from_slice(&now.to_bytes());
        octets[12..].copy_from_slice(&random);
        Self(octets)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({self})")
    }
}

/// Request-Session: a test session that the client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whether the server is to send.
    pub server_sends: bool,
    /// Whether the server is to receive.
    pub server_receives: bool,
    /// Who sends. An unspecified address is the one of the control connection.
    pub sender: SocketAddr,
    /// Who receives. An unspecified address is the one of the control connection.
    pub receiver: SocketAddr,
    /// The session's identifier; zeros where the server is to make one up, as it does if it receives.
    pub sid: Sid,
    /// Packets.
    pub packets: u32,
    /// Octets after a packet's fields.
    pub padding: u32,
    /// When the first packet's schedule begins.
    pub start: NtpTime,
    /// After so long, in 2^-32 s, a packet is lost.
    pub timeout: u64,
    /// How packets are marked: the two highest bits say how, zero for a DSCP in the six that follow.
    pub type_p: u32,
    /// When packets leave, one after the other and from the beginning again.
    pub slots: Vec<Slot>,
}

impl Request {
    /// Octets of the part before the slots, without its HMAC; the command's number is the first.
    pub const HEAD: usize = 96;
    /// Octets of a slot.
    const SLOT: usize = 16;
    /// The command's number.
    pub const COMMAND: u8 = 1;
    const NAME: &'static str = "Request-Session";

    /// The part before the slots.
    #[must_use]
    pub fn head(&self) -> [u8; Self::HEAD] {
        let mut bytes = [0; Self::HEAD];
        bytes[0] = Self::COMMAND;
        bytes[1] = if self.sender.is_ipv6() { 6 } else { 4 };
        bytes[2] = self.server_sends.into();
        bytes[3] = self.server_receives.into();
        let slots = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        bytes[4..8].copy_from_slice(&slots.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.packets.to_be_bytes());
        bytes[12..14].copy_from_slice(&self.sender.port().to_be_bytes());
        bytes[14..16].copy_from_slice(&self.receiver.port().to_be_bytes());
        put_address(&mut bytes[16..32], self.sender.ip());
        put_address(&mut bytes[32..48], self.receiver.ip());
        bytes[48..64].copy_from_slice(&self.sid.0);
        bytes[64..68].copy_from_slice(&self.padding.to_be_bytes());
        bytes[68..76].copy_from_slice(&self.start.to_bytes());
        bytes[76..84].copy_from_slice(&self.timeout.to_be_bytes());
        bytes[84..88].copy_from_slice(&self.type_p.to_be_bytes());
        bytes
    }

    /// The slots.
    #[must_use]
    pub fn tail(&self) -> Vec<u8> {
        self.slots.iter().flat_map(|slot| slot.to_bytes()).collect()
    }

    /// Reads the part before the slots; tells how many octets of slots follow.
    ///
    /// # Errors
    /// If a field has no meaning, or there are no slots or more than `most_slots`.
    pub fn read_head(
        bytes: &[u8; Self::HEAD],
        most_slots: u32,
    ) -> Result<(Self, usize), Malformed> {
        let wrong = |why: String| Malformed::new(Self::NAME, why);
        let slots = field::u32(bytes, 4);
        if slots == 0 || slots > most_slots {
            return Err(wrong(format!(
                "it has {slots} schedule slots; 1 to {most_slots} are allowed"
            )));
        }
        let flag = |name: &str, at: usize| match bytes[at] {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(wrong(format!("{name} is {other}; it is to be 0 or 1"))),
        };
        let address = |at: usize, port: usize| {
            let ip = match bytes[1] & 0x0f {
                4 => IpAddr::V4(Ipv4Addr::from(field::array::<4>(bytes, at))),
                6 => IpAddr::V6(Ipv6Addr::from(field::array::<16>(bytes, at))),
                other => return Err(wrong(format!("IPVN is {other}; it is to be 4 or 6"))),
            };
            Ok(SocketAddr::new(ip, field::u16(bytes, port)))
        };
        let request = Self {
            server_sends: flag("Conf-Sender", 2)?,
            server_receives: flag("Conf-Receiver", 3)?,
            sender: address(16, 12)?,
            receiver: address(32, 14)?,
            sid: Sid(field::array(bytes, 48)),
            packets: field::u32(bytes, 8),
            padding: field::u32(bytes, 64),
            start: NtpTime(field::u64(bytes, 68)),
            timeout: field::u64(bytes, 76),
            type_p: field::u32(bytes, 84),
            slots: Vec::new(),
        };
        let octets = usize::try_from(slots).unwrap_or(usize::MAX).saturating_mul(Self::SLOT);
        Ok((request, octets))
    }

    /// Reads the slots that follow the head.
    ///
    /// # Errors
    /// If a slot's type has no meaning.
    pub fn read_tail(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let slots = bytes.as_chunks::<{ Self::SLOT }>().0.iter().map(Slot::from_bytes);
        self.slots = slots.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The DSCP that packets are to carry; none if they are to be marked in another way.
    #[must_use]
    pub fn dscp(&self) -> Option<u8> {
        let [first, rest @ ..] = self.type_p.to_be_bytes();
        (first & 0xc0 == 0 && rest == [0; 3]).then_some(first & 0x3f)
    }
}

fn put_address(field: &mut [u8], address: IpAddr) {
    match address {
        IpAddr::V4(address) => field[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => field.copy_from_slice(&address.octets()),
    }
}

/// Accept-Session: the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptSession {
    /// Whether the session is granted.
    pub accept: Accept,
    /// The server's port.
    pub port: u16,
    /// The session's identifier, if the server made it up.
    pub sid: Sid,
}

impl AcceptSession {
    /// Octets without the HMAC.
    pub const LENGTH: usize = 2 * BLOCK;

    /// As on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[0] = self.accept as u8;
        bytes[2..4].copy_from_slice(&self.port.to_be_bytes());
        bytes[4..20].copy_from_slice(&self.sid.0);
        bytes
    }

    /// From the wire.
    ///
    /// # Errors
    /// If its Accept has no meaning.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Result<Self, Malformed> {
        let accept = Accept::of("Accept-Session", bytes[0])?;
        Ok(Self { accept, port: field::u16(bytes, 2), sid: Sid(field::array(bytes, 4)) })
    }
}
