//! What a server says.

use super::{
    MOST_STREAMS, Token, Wrong,
    fields::{Body, Fields},
    frame,
};

/// The most octets of a reason.
pub const MOST_REFUSAL: usize = 512;
/// Degrees of n-reordering that are told.
const MOST_DEGREES: usize = 100;

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// There will be a test over TCP.
    Tcp(AcceptedTcp),
    /// There will be a test over UDP.
    Udp(AcceptedUdp),
    /// There will be none.
    Refused(Cause, String),
    /// The stream has joined; its receive buffer holds so many octets.
    Joined(u32),
    /// Packets of this test can come: one has.
    Heard,
    /// What came over TCP: octets of each stream.
    TcpReport(Vec<u64>),
    /// What came over UDP.
    UdpReport(Box<UdpReport>),
}

/// What is granted of a proposal of a TCP test: never more than was proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedTcp {
    /// For the streams to join it.
    pub token: Token,
    /// Seconds.
    pub duration_s: u32,
    /// Octets of a receive buffer; 0 if the kernel chooses.
    pub window: u32,
}

/// A UDP test is granted as it was proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedUdp {
    /// For each packet.
    pub token: Token,
    /// Where packets are to be sent to, at the address of the control connection.
    pub port: u16,
    /// Octets that the receive queue holds.
    pub buffer: u32,
}

/// Why a test is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It goes beyond a limit, today and tomorrow.
    Never,
    /// Others are tested now.
    Busy,
    /// The server could not do it.
    Failed,
}

/// What a server has received of a UDP test. Delays are its clock less the client's, nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UdpReport {
    /// Packets that came, copies among them.
    pub received: u64,
    /// Packets that came at least once.
    pub unique: u64,
    /// Packets that its own queue dropped for want of room; the network has not lost them.
    pub dropped: u64,
    /// Delay: the smallest, the percentiles 25, 50, 75, 95, and the largest, of the packets that came.
    pub delays: Option<[i64; 6]>,
    /// IPDV (RFC 3393) of consecutive packets: percentiles 50 and 95 of its magnitude; none without two such packets.
    pub ipdv: Option<[i64; 2]>,
    /// From the first arrival to the last, nanoseconds.
    pub span: u64,
    /// Whether its clock is held to be synchronised.
    pub synchronised: bool,
    /// How many packets are 1-reordered, 2-reordered and so on (RFC 4737 section 5).
    pub reordered: Vec<u64>,
}

impl Answer {
    /// Understands a message.
    ///
    /// # Errors
    /// It is none of a server's, or makes no sense.
    pub fn read(kind: u8, body: &[u8]) -> Result<Self, Wrong> {
        match kind {
            65 => AcceptedTcp::read(body).map(Self::Tcp),
            66 => AcceptedUdp::read(body).map(Self::Udp),
            67 => refused(body),
            68 => {
                let mut fields = Fields::of("a stream's acceptance", body);
                let window = fields.u32()?;
                fields.end().map(|()| Self::Joined(window))
            }
            69 => Fields::of("an acknowledgement", body).end().map(|()| Self::Heard),
            70 => tcp_report(body),
            71 => UdpReport::read(body).map(|it| Self::UdpReport(Box::new(it))),
            other => Err(Wrong::new("a message", format!("{other} is no kind of a server's"))),
        }
    }

    /// The octets of it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = Body::default();
        match self {
            Self::Tcp(it) => {
                let body = body.put(&it.token.0).u32(it.duration_s).u32(it.window);
                frame::message(65, &body.0)
            }
            Self::Udp(it) => {
                frame::message(66, &body.put(&it.token.0).u16(it.port).u32(it.buffer).0)
            }
            Self::Refused(cause, why) => {
                let why = &why.as_bytes()[..why.len().min(MOST_REFUSAL)];
                frame::message(67, &body.put(&[*cause as u8]).put(why).0)
            }
            Self::Joined(window) => frame::message(68, &body.u32(*window).0),
            Self::Heard => frame::message(69, &[]),
            Self::TcpReport(octets) => {
                frame::message(70, &octets.iter().fold(body, |body, octets| body.u64(*octets)).0)
            }
            Self::UdpReport(it) => frame::message(71, &it.body().0),
        }
    }
}

fn refused(body: &[u8]) -> Result<Answer, Wrong> {
    let mut fields = Fields::of("a refusal", body);
    let cause = match fields.octet()? {
        0 => Cause::Never,
        1 => Cause::Busy,
        2 => Cause::Failed,
        other => return Err(Wrong::new("a refusal", format!("{other} is no cause"))),
    };
    let why = fields.rest();
    if why.len() > MOST_REFUSAL {
        return Err(Wrong::new("a refusal", format!("a reason of {} octets", why.len())));
    }
    // It will be printed on somebody's terminal.
    let why = String::from_utf8_lossy(why);
    Ok(Answer::Refused(cause, why.chars().filter(|it| !it.is_control()).collect()))
}

fn tcp_report(body: &[u8]) -> Result<Answer, Wrong> {
    let mut fields = Fields::of("a report", body);
    if body.len() > usize::from(MOST_STREAMS) * 8 {
        return Err(Wrong::new("a report", "more streams than a test has"));
    }
    let mut octets = Vec::new();
    while !fields.rest().is_empty() {
        octets.push(fields.u64()?);
    }
    Ok(Answer::TcpReport(octets))
}

impl AcceptedTcp {
    fn read(body: &[u8]) -> Result<Self, Wrong> {
        let mut fields = Fields::of("an acceptance", body);
        let it = Self {
            token: Token(fields.array()?),
            duration_s: fields.u32()?,
            window: fields.u32()?,
        };
        fields.end().map(|()| it)
    }
}

impl AcceptedUdp {
    fn read(body: &[u8]) -> Result<Self, Wrong> {
        let mut fields = Fields::of("an acceptance", body);
        let token = Token(fields.array()?);
        let it = Self { token, port: fields.u16()?, buffer: fields.u32()? };
        fields.end()?;
        if it.port == 0 {
            return Err(Wrong::new("an acceptance", "0 is no port"));
        }
        Ok(it)
    }
}

impl UdpReport {
    fn body(&self) -> Body {
        let delays = self.delays.unwrap_or_default();
        let mut body = Body::default().u64(self.received).u64(self.unique).u64(self.dropped);
        body = body.put(&[self.delays.is_some().into()]);
        body = delays.iter().fold(body, |body, delay| body.i64(*delay));
        let ipdv = |place: usize| self.ipdv.map(|ipdv| ipdv[place]);
        body = body.maybe(ipdv(0)).maybe(ipdv(1));
        body = body.u64(self.span).put(&[self.synchronised.into()]);
        let degrees = self.reordered.iter().take(MOST_DEGREES);
        degrees.fold(body, |body, count| body.u64(*count))
    }

    fn read(body: &[u8]) -> Result<Self, Wrong> {
        const REPORT: &str = "a report";
        let mut fields = Fields::of(REPORT, body);
        let mut it = Self {
            received: fields.u64()?,
            unique: fields.u64()?,
            dropped: fields.u64()?,
            delays: fields.maybe(six)?,
            ipdv: fields.maybe(Fields::i64)?.zip(fields.maybe(Fields::i64)?).map(|(a, b)| [a, b]),
            span: fields.u64()?,
            synchronised: fields.octet()? != 0,
            reordered: Vec::new(),
        };
        while !fields.rest().is_empty() {
            it.reordered.push(fields.u64()?);
        }
        it.makes_sense()
            .then_some(())
            .ok_or_else(|| Wrong::new(REPORT, "it contradicts itself"))?;
        Ok(it)
    }

    fn makes_sense(&self) -> bool {
        let orderly = |delays: &[i64]| delays.is_sorted();
        self.unique <= self.received
            && self.reordered.len() <= MOST_DEGREES
            && self.reordered.iter().all(|count| *count <= self.unique)
            && self.delays.is_none_or(|delays| orderly(&delays) && self.unique > 0)
            && self.ipdv.is_none_or(|ipdv| orderly(&ipdv) && ipdv[0] >= 0)
    }
}

fn six(fields: &mut Fields<'_>) -> Result<[i64; 6], Wrong> {
    let mut all = [0; 6];
    for place in &mut all {
        *place = fields.i64()?;
    }
    Ok(all)
}
