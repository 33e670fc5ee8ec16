//! One test: sessions are agreed upon and carried out.

use std::{io, net::SocketAddr, time::Duration};

use readings::Direction;
use station::{
    words::place::Place,
    world::{peers, signals::Stop},
};
use timed_udp::{
    clock::{Moment, Mono},
    ntp::NtpTime,
    pace::Precision,
    socket::TimedSocket,
};

use super::{
    agree::{Agreed, agree, ends},
    control::{Control, Identity},
    line::{connect, is_asked},
    run::{LINGER, Run, SETTLE},
    trouble::Trouble,
    wanted::Args,
};
use crate::{
    protocol::{PacketKey, Record, RequestSession, Sid},
    session::{EngineSettings, Handle, ReceiveSpec, SendSpec, Source, start, units_of},
    statistics::Known,
};

/// The least time from asking for a session to its first packet.
const LEAD: Duration = Duration::from_millis(300);
/// Round trips that agreeing upon sessions takes, and some more.
const ROUND_TRIPS: u32 = 12;
/// Records of one session that are kept: a gigabyte.
const MOST_RECORDS: u64 = 40_000_000;
/// With less time between packets it is worth a core to send each at its microsecond.
const DENSE: f64 = 0.002;

/// One direction of a test.
#[derive(Debug)]
pub(super) struct Way {
    /// Seen from here.
    pub direction: Direction,
    /// Its sender.
    pub from: SocketAddr,
    /// Its receiver.
    pub to: SocketAddr,
    /// Its identifier.
    pub sid: Sid,
    /// What was asked for.
    pub request: RequestSession,
    /// What is known of it.
    pub known: Known,
    /// What became of its packets, in the order of arrival.
    pub records: Vec<Record>,
    /// Whether it went on to its end.
    pub finished: bool,
}

/// What came out of a test.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Each direction of which anything is known, towards the target first.
    pub ways: Vec<Way>,
    /// Why one is missing, or not whole.
    pub trouble: Option<Trouble>,
    /// What else is to be known.
    pub warnings: Vec<String>,
}

impl Measured {
    /// Nothing, and why.
    pub(super) fn none(trouble: Trouble) -> Self {
        Self { trouble: Some(trouble), ..Self::default() }
    }
}

/// What is known of a test when it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// How long it takes until there are figures, from now.
    pub takes: Duration,
    /// When its last packet is due.
    pub last_due: NtpTime,
}

/// Carries out the test that `args` wants, whose packets begin at `begin` if that is not too soon. `announce` is told
/// what is planned.
///
/// # Errors
/// Why there are no figures at all.
pub(super) fn measure(
    args: &Args,
    identity: &Identity,
    stop: &Stop,
    begin: Option<NtpTime>,
    announce: impl FnOnce(Plan) -> Result<(), Trouble>,
) -> Result<Measured, Trouble> {
    let (mut control, round_trip) = open(args, identity, stop)?;
    let ends = ends(args, &control)?;
    let lead = LEAD.max(round_trip * ROUND_TRIPS) + args.delay;
    let now = Moment::now().wall;
    let wished = begin.map_or(0, |begin| begin.nanos_since(now));
    let lead = lead.max(Duration::from_nanos(wished.try_into().unwrap_or(0)));
    let start_at = later(now, lead);
    let mut agreed = agree(args, &mut control, ends, start_at)?;
    let precision = if args.interval.mean() < DENSE { Precision::Exact } else { Precision::Saving };
    let settings = EngineSettings { precision, ..EngineSettings::default() };
    let (handle, events) = start(&settings).map_err(Trouble::Engine)?;
    // Who receives is ready before anybody may send.
    for session in agreed.iter_mut().filter(|session| !session.sends) {
        receive(args, session, &control, &handle)?;
    }
    control.start(args.timeout.min(LINGER))?;
    for session in agreed.iter_mut().filter(|session| session.sends) {
        send(args, session, &control, &handle)?;
    }
    let length = agreed.iter().map(Agreed::length).max().unwrap_or_default();
    let ends_at = lead + length + args.timeout + SETTLE;
    announce(Plan { takes: ends_at, last_due: later(start_at, length) })?;
    let mut run = Run::new(control, handle, events);
    run.wait(&agreed, Mono::now() + ends_at, stop);
    Ok(run.conclude(agreed, args))
}

fn open(args: &Args, identity: &Identity, stop: &Stop) -> Result<(Control, Duration), Trouble> {
    let named = args.server.as_ref().unwrap_or(&args.target);
    let place = Place::of(named).map_err(|why| Trouble::Place(named.clone(), why))?;
    let servers = peers::addresses(&place.host, place.port.unwrap_or(args.port), args.family());
    let servers = servers.map_err(|why| Trouble::Place(place.host.clone(), why))?;
    let begun = Mono::now();
    let line = connect(&servers, args.source, args.device.as_deref(), stop);
    let line = line.map_err(|(server, error)| {
        if is_asked(&error) { Trouble::Interrupted } else { Trouble::Connect(server, error) }
    })?;
    let round_trip = Mono::now().since(begun);
    Ok((Control::begin(line, identity)?, round_trip))
}

fn key(control: &Control, sid: &Sid) -> Result<PacketKey, Trouble> {
    let key = PacketKey::of_session(control.mode(), control.keys(), sid);
    key.ok_or_else(|| Trouble::Engine(io::ErrorKind::InvalidInput.into()))
}

fn socket(session: &mut Agreed) -> Result<TimedSocket, Trouble> {
    session.socket.take().ok_or_else(|| Trouble::Engine(io::ErrorKind::NotFound.into()))
}

fn receive(
    args: &Args,
    session: &mut Agreed,
    control: &Control,
    handle: &Handle,
) -> Result<(), Trouble> {
    let spec = ReceiveSpec {
        id: session.id,
        socket: socket(session)?,
        peer: Source { address: session.theirs.ip(), port: Some(session.theirs.port()) },
        key: key(control, &session.sid)?,
        start: session.request.start,
        timetable: session.timetable(),
        timeout: args.timeout,
        most_records: MOST_RECORDS,
    };
    handle.receive(spec).map_err(Trouble::Session)
}

fn send(
    args: &Args,
    session: &mut Agreed,
    control: &Control,
    handle: &Handle,
) -> Result<(), Trouble> {
    let spec = SendSpec {
        id: session.id,
        socket: socket(session)?,
        peer: session.theirs,
        key: key(control, &session.sid)?,
        start: session.request.start,
        timetable: session.timetable(),
        padding: usize::try_from(args.size).unwrap_or(usize::MAX),
        is_zero_padded: false,
        too_late: args.timeout,
    };
    handle.send(spec).map_err(Trouble::Session)
}

fn later(time: NtpTime, length: Duration) -> NtpTime {
    NtpTime(time.0.wrapping_add(units_of(length)))
}
