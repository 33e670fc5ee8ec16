//! What a client says.

use super::{
    LONGEST_BLOCK, MOST_STREAMS, SHORTEST_BLOCK, Token, Wrong,
    fields::{Body, Fields},
    frame,
};

/// What a client says: the first three begin a connection, the others end a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A test over TCP is wanted.
    Tcp(TcpProposal),
    /// A test over UDP is wanted.
    Udp(UdpProposal),
    /// This connection is a stream of a test.
    Join(Join),
    /// The test over TCP is at its end.
    Finished,
    /// The test over UDP is at its end: so many packets were sent.
    Sent(u32),
}

/// A test over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpProposal {
    /// Streams side by side, 1 to [`MOST_STREAMS`].
    pub streams: u16,
    /// Seconds, from 1.
    pub duration_s: u32,
    /// Octets of a block, [`SHORTEST_BLOCK`] to [`LONGEST_BLOCK`].
    pub block: u32,
    /// Octets of the receive buffer that is wanted; 0 leaves it to the kernel.
    pub window: u32,
}

/// A test over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpProposal {
    /// Packets, from 1.
    pub packets: u32,
    /// Octets of each, with the headers of IP and UDP.
    pub size: u16,
    /// Bits a second, with these headers.
    pub rate: u64,
    /// Octets of the receive buffer that is wanted; 0 leaves it to the kernel.
    pub buffer: u32,
}

/// A connection that joins a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// What the server gave for the test.
    pub token: Token,
    /// Which of its streams, from 0.
    pub stream: u16,
}

const TCP: &str = "a proposal of a TCP test";
const UDP: &str = "a proposal of a UDP test";
const JOIN: &str = "a stream's first message";
const END: &str = "a message of a test's end";

impl Request {
    /// Understands a message.
    ///
    /// # Errors
    /// It is none of a client's, or makes no sense.
    pub fn read(kind: u8, body: &[u8]) -> Result<Self, Wrong> {
        match kind {
            1 => TcpProposal::read(body).map(Self::Tcp),
            2 => UdpProposal::read(body).map(Self::Udp),
            3 => Join::read(body).map(Self::Join),
            4 => Fields::of(END, body).end().map(|()| Self::Finished),
            5 => {
                let mut fields = Fields::of(END, body);
                let sent = fields.u32()?;
                fields.end().map(|()| Self::Sent(sent))
            }
            other => Err(Wrong::new("a message", format!("{other} is no kind of a client's"))),
        }
    }

    /// The octets of it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = Body::default();
        match self {
            Self::Tcp(it) => {
                let body = body.u16(it.streams).u32(it.duration_s).u32(it.block).u32(it.window);
                frame::message(1, &body.0)
            }
            Self::Udp(it) => {
                let body = body.u32(it.packets).u16(it.size).u64(it.rate).u32(it.buffer);
                frame::message(2, &body.0)
            }
            Self::Join(it) => frame::message(3, &body.put(&it.token.0).u16(it.stream).0),
            Self::Finished => frame::message(4, &[]),
            Self::Sent(packets) => frame::message(5, &body.u32(*packets).0),
        }
    }
}

fn check(
    is_right: bool,
    message: &'static str,
    what: impl FnOnce() -> String,
) -> Result<(), Wrong> {
    if is_right { Ok(()) } else { Err(Wrong::new(message, what())) }
}

impl TcpProposal {
    fn read(body: &[u8]) -> Result<Self, Wrong> {
        let mut fields = Fields::of(TCP, body);
        let it = Self {
            streams: fields.u16()?,
            duration_s: fields.u32()?,
            block: fields.u32()?,
            window: fields.u32()?,
        };
        fields.end()?;
        check((1..=MOST_STREAMS).contains(&it.streams), TCP, || {
            format!("{} streams, where 1 to {MOST_STREAMS} are possible", it.streams)
        })?;
        check(it.duration_s > 0, TCP, || "it lasts no time".to_owned())?;
        check((SHORTEST_BLOCK..=LONGEST_BLOCK).contains(&it.block), TCP, || {
            let block = it.block;
            format!(
                "blocks of {block} octets, where {SHORTEST_BLOCK} to {LONGEST_BLOCK} are possible"
            )
        })?;
        Ok(it)
    }
}

impl UdpProposal {
    fn read(body: &[u8]) -> Result<Self, Wrong> {
        let mut fields = Fields::of(UDP, body);
        let it = Self {
            packets: fields.u32()?,
            size: fields.u16()?,
            rate: fields.u64()?,
            buffer: fields.u32()?,
        };
        fields.end()?;
        check((1..super::HELLO).contains(&it.packets), UDP, || {
            format!("{} packets, where 1 to {} are possible", it.packets, super::HELLO - 1)
        })?;
        check(it.rate > 0, UDP, || "a rate of nothing".to_owned())?;
        Ok(it)
    }

    /// How long it lasts, nanoseconds.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.offset(self.packets)
    }

    /// When a packet is to leave, nanoseconds after the first.
    #[must_use]
    pub fn offset(&self, number: u32) -> u64 {
        let bits = u128::from(number) * u128::from(self.size) * 8;
        u64::try_from(bits * 1_000_000_000 / u128::from(self.rate.max(1))).unwrap_or(u64::MAX)
    }
}

impl Join {
    fn read(body: &[u8]) -> Result<Self, Wrong> {
        let mut fields = Fields::of(JOIN, body);
        let it = Self { token: Token(fields.array()?), stream: fields.u16()? };
        fields.end()?;
        check(it.stream < MOST_STREAMS, JOIN, || format!("stream {} is beyond all", it.stream))?;
        Ok(it)
    }
}
