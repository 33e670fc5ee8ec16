//! The control connection, as its client has it (RFC 4656 section 3).

use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::line::{Line, PATIENCE, is_asked};
use crate::{
    protocol::{
        Accept, AcceptSession, BLOCK, Failed, FetchAck, FetchSession, Fetched, Inbound, KeyId,
        Kind, Limits, Mode, Modes, Outbound, PassPhrase, Record, Request, RequestSession,
        ServerGreeting, ServerStart, SessionEnd, SessionKeys, SetUpResponse, Sid, StartAck,
        StopSessions, Wrong,
    },
    session::MOST_COPIES,
};

/// What is taken of a server's messages.
const LIMITS: Limits = Limits { slots: 1_024, sessions: 16, skips: 1 << 16 };

/// Why a control connection is of no more use.
#[derive(Debug)]
pub(super) enum Broken {
    /// The server does not answer in time, or ended the connection.
    Lost(Failed),
    /// What it says makes no sense.
    Wrong(Wrong),
    /// It does not want us, at this step.
    Refused(&'static str, Accept),
    /// It offers no mode that we may use.
    NoMode(Modes, Modes),
    /// Somebody wants us to end.
    Asked,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(Failed::Read(error)) if error.kind() == io::ErrorKind::TimedOut => {
                write!(f, "no whole answer within {} s", PATIENCE.as_secs())
            }
            Self::Lost(Failed::Read(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the server ended the connection")
            }
            Self::Lost(failed) => failed.fmt(f),
            Self::Wrong(wrong) => write!(f, "the server speaks another language: {wrong}"),
            Self::Refused(step, accept) => write!(f, "the server refused {step}: {accept}"),
            Self::NoMode(offered, wanted) if offered.0 == 0 => {
                write!(f, "the server does not want us (it offers no mode; wanted: {wanted})")
            }
            Self::NoMode(offered, wanted) => {
                write!(f, "no common mode: the server offers {offered}, wanted is {wanted}")
            }
            Self::Asked => f.write_str("somebody asked us to end"),
        }
    }
}

impl std::error::Error for Broken {}

impl From<Failed> for Broken {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Wrong(wrong) => Self::Wrong(wrong),
            Failed::Read(error) if is_asked(&error) => Self::Asked,
            read @ Failed::Read(_) => Self::Lost(read),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Failed::from(error).into()
    }
}

/// Who we are, and what protection we want.
#[derive(Debug)]
pub(super) struct Identity {
    /// The modes that we agree to.
    pub modes: Modes,
    /// A name and what proves it; needed for all modes but the open one.
    pub secret: Option<(KeyId, PassPhrase)>,
}

/// A connection that a server accepted.
#[derive(Debug)]
pub(super) struct Control {
    stream: TcpStream,
    from: Inbound<Line>,
    to: Outbound,
    keys: Option<SessionKeys>,
    mode: Mode,
}

/// Random octets of the kernel.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(octets)
}

impl Control {
    /// Agrees with the server about a mode and keys, over a new connection.
    pub(super) fn begin(mut line: Line, identity: &Identity) -> Result<Self, Broken> {
        line.begin();
        let mut greeting = [0; ServerGreeting::LENGTH];
        line.read_exact(&mut greeting)?;
        let greeting = ServerGreeting::from_bytes(&greeting);
        let mut ours = identity.modes;
        if identity.secret.is_none() {
            ours = ours.and(Modes::default().with(Mode::Open));
        }
        let mode = greeting.modes.and(ours).strongest();
        let mode = mode.ok_or(Broken::NoMode(greeting.modes, ours))?;
        let (set_up, keys) = answer(&greeting, mode, identity)?;
        line.begin();
        line.write_all(&set_up.to_bytes())?;
        Self::started(line, &set_up, keys, mode)
    }

    fn started(
        mut line: Line,
        set_up: &SetUpResponse,
        keys: Option<SessionKeys>,
        mode: Mode,
    ) -> Result<Self, Broken> {
        let mut start = [0; ServerStart::LENGTH];
        line.read_exact(&mut start)?;
        let start = ServerStart::from_bytes(&start);
        granted(asked(keys.is_some()), start.accept)?;
        let stream = line.stream()?;
        let (mut from, to) = match &keys {
            Some(keys) => (
                Inbound::sealed(line, keys, &start.server_iv),
                Outbound::sealed(keys, &set_up.client_iv),
            ),
            None => (Inbound::open(line), Outbound::open()),
        };
        ServerStart::read_start_time(&mut from)?;
        Ok(Self { stream, from, to, keys, mode })
    }

    /// How it is protected.
    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }

    /// The keys of its sessions; none in open mode.
    pub(super) const fn keys(&self) -> Option<&SessionKeys> {
        self.keys.as_ref()
    }

    /// Our address and the server's.
    pub(super) fn ends(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.stream.local_addr()?, self.stream.peer_addr()?))
    }

    /// Says it; from then on its answer has its time.
    fn say(&mut self, request: &Request) -> Result<(), Broken> {
        let line = self.from.from();
        if matches!(request, Request::Fetch(_)) {
            line.begin_long();
        } else {
            line.begin();
        }
        request.put(&mut self.to);
        Ok(line.write_all(&self.to.take())?)
    }

    /// Asks for a session: the server's port of it, and its identifier if the server made it.
    pub(super) fn session(&mut self, request: RequestSession) -> Result<(u16, Sid), Broken> {
        self.say(&Request::Session(Box::new(request)))?;
        let answer = AcceptSession::read(&mut self.from)?;
        granted("a session", answer.accept)?;
        Ok((answer.port, answer.sid))
    }

    /// Starts the sessions. When they are stopped, what is on its way may be waited for so long.
    pub(super) fn start(&mut self, lingers: Duration) -> Result<(), Broken> {
        self.say(&Request::Start)?;
        granted("to start", StartAck::read(&mut self.from)?.accept)?;
        self.from.from().go_under_way(lingers);
        Ok(())
    }

    /// Says that all is over, with what was sent from here; what the server says of its own.
    pub(super) fn stop(
        &mut self,
        accept: Accept,
        ends: Vec<SessionEnd>,
    ) -> Result<Vec<SessionEnd>, Broken> {
        self.say(&Request::Stop(StopSessions { accept, ends }))?;
        let theirs = StopSessions::read(&mut self.from, &LIMITS)?;
        granted("its end", theirs.accept)?;
        Ok(theirs.ends)
    }

    /// Fetches the records of a session of so many packets that the server received: those of all that were sent.
    pub(super) fn fetch(
        &mut self,
        sid: Sid,
        packets: u32,
    ) -> Result<(FetchAck, Fetched, Vec<Record>), Broken> {
        self.say(&Request::Fetch(FetchSession::whole(sid)))?;
        let ack = FetchAck::read(&mut self.from)?;
        granted("the session's records", ack.accept)?;
        not_too_many(ack.records, packets).map_err(Broken::Wrong)?;
        let limits = Limits { skips: LIMITS.skips.min(packets), ..LIMITS };
        let fetched = Fetched::read(&ack, &mut self.from, &limits)?;
        let mut records = Vec::new();
        Fetched::read_records(&ack, &mut self.from, |record| records.push(record))?;
        Ok((ack, fetched, records))
    }

    /// Whether the server ended the connection, or said something: waits for it for so long.
    pub(super) fn is_quiet(&self, length: Duration) -> bool {
        let time = Timespec {
            tv_sec: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: length.subsec_nanos().into(),
        };
        let found = poll(&mut [PollFd::new(&self.stream, PollFlags::IN)], Some(&time));
        // Interrupted by a signal it has heard nothing.
        !found.is_ok_and(|count| count > 0)
    }

    /// Whether the server ended the connection, rather than having said something.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self.stream.peek(&mut [0]), Ok(0))
            || self.stream.take_error().is_ok_and(|it| it.is_some())
    }
}

/// The answer to a greeting, and the keys of the connection.
fn answer(
    greeting: &ServerGreeting,
    mode: Mode,
    identity: &Identity,
) -> Result<(SetUpResponse, Option<SessionKeys>), Broken> {
    let Some((key_id, secret)) = identity.secret.as_ref().filter(|_| mode != Mode::Open) else {
        return Ok((SetUpResponse::open(), None));
    };
    let how = greeting.derivation().map_err(Broken::Wrong)?;
    let keys = SessionKeys::new(random()?);
    let token = keys.to_token(&greeting.challenge, secret, &how);
    let client_iv = random::<BLOCK>()?;
    Ok((SetUpResponse { mode, key_id: *key_id, token, client_iv }, Some(keys)))
}

/// What a server accepts or refuses when a connection begins; it never says what it held against a passphrase.
const fn asked(is_proven: bool) -> &'static str {
    if is_proven { "our name (-u) and passphrase (-k)" } else { "the connection" }
}

fn granted(step: &'static str, accept: Accept) -> Result<(), Broken> {
    if accept == Accept::Yes { Ok(()) } else { Err(Broken::Refused(step, accept)) }
}

/// Records fill our memory: a packet may have been doubled some times, and no more is believed.
fn not_too_many(records: u32, packets: u32) -> Result<(), Wrong> {
    let most = packets.saturating_mul(MOST_COPIES.into());
    if records <= most {
        return Ok(());
    }
    Err(Wrong {
        message: "Fetch-Ack",
        field: "Number of Records",
        what: format!("{records} are more than {most}, {MOST_COPIES} of each packet"),
        kind: Kind::TooMuch,
    })
}
