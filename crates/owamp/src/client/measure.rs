//! One test: sessions are carried out, ended and fetched.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use readings::Direction;
use station::{
    words::place::Place,
    world::{peers, signals::Stop},
};
use timed_udp::{
    clock::{ClockState, Moment, Mono},
    ntp::NtpTime,
    pace::Precision,
    socket::TimedSocket,
};

use super::{
    agree::{Agreed, FROM, TO, agree, ends},
    control::{Broken, Control, Identity, connect},
    trouble::Trouble,
    wanted::Args,
};
use crate::{
    protocol::{Accept, PacketKey, Record, RequestSession, SessionEnd, Sid, SkipRange},
    session::{
        EngineSettings, Event, Handle, ReceiveReport, ReceiveSpec, SendReport, SendSpec, Source,
        apply_skips, start, units_of,
    },
    statistics::Known,
};

/// The least time from asking for a session to its first packet.
const LEAD: Duration = Duration::from_millis(300);
/// Round trips that agreeing upon sessions takes, and some more.
const ROUND_TRIPS: u32 = 12;
/// A server gives a packet up a little after its time-out: until then its records are not whole.
const SETTLE: Duration = Duration::from_millis(400);
/// What is on its way when a test is stopped early is waited for so long, or its time-out.
const LINGER: Duration = Duration::from_secs(8);
/// Records of one session that are kept: a gigabyte.
const MOST_RECORDS: u64 = 40_000_000;
/// With less time between packets it is worth a core to send each at its microsecond.
const DENSE: f64 = 0.002;
/// How often it is looked whether the server is there.
const LOOK: Duration = Duration::from_millis(200);

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
    let (mut control, round_trip) = open(args, identity)?;
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
    control.start()?;
    for session in agreed.iter_mut().filter(|session| session.sends) {
        send(args, session, &control, &handle)?;
    }
    let length = agreed.iter().map(Agreed::length).max().unwrap_or_default();
    let ends_at = lead + length + args.timeout + SETTLE;
    announce(Plan { takes: ends_at, last_due: later(start_at, length) })?;
    let mut run = Run { control, handle, events, reports: BTreeMap::new(), trouble: None };
    run.wait(&agreed, Mono::now() + ends_at, stop);
    Ok(run.conclude(agreed, args))
}

fn open(args: &Args, identity: &Identity) -> Result<(Control, Duration), Trouble> {
    let named = args.server.as_ref().unwrap_or(&args.target);
    let place = Place::of(named).map_err(|why| Trouble::Place(named.clone(), why))?;
    let servers = peers::addresses(&place.host, place.port.unwrap_or(args.port), args.family());
    let servers = servers.map_err(|why| Trouble::Place(place.host.clone(), why))?;
    let begun = Mono::now();
    let stream = connect(&servers, args.source, args.device.as_deref());
    let stream = stream.map_err(|(server, error)| Trouble::Connect(server, error))?;
    let round_trip = Mono::now().since(begun);
    Ok((Control::begin(stream, identity)?, round_trip))
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

/// A test that goes on.
struct Run {
    control: Control,
    handle: Handle,
    events: Receiver<Event>,
    reports: BTreeMap<u64, Event>,
    trouble: Option<Trouble>,
}

impl Run {
    /// Waits until all packets came or are lost, somebody wants an end, or the server is gone.
    fn wait(&mut self, agreed: &[Agreed], ends_at: Mono, stop: &Stop) {
        let mut is_talking = false;
        while Mono::now() < ends_at || self.reports.len() < agreed.len() {
            if stop.asked() {
                self.trouble = Some(Trouble::Interrupted);
                return;
            }
            self.collect(Duration::ZERO);
            // What it says before it is asked is its Stop-Sessions, which waits.
            if is_talking || self.control.is_quiet(LOOK) {
                if is_talking {
                    stop.wait(LOOK);
                }
                continue;
            }
            if self.control.is_ended() {
                self.trouble = Some(Trouble::Control(Broken::Lost(
                    io::Error::from(io::ErrorKind::UnexpectedEof).into(),
                )));
                return;
            }
            is_talking = true;
        }
    }

    /// Takes what the engine tells, for so long.
    fn collect(&mut self, length: Duration) {
        loop {
            match self.events.recv_timeout(length) {
                Ok(event) => drop(self.reports.insert(event.id(), event)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Ends what goes on, and makes one of what is known on both sides.
    fn conclude(mut self, agreed: Vec<Agreed>, args: &Args) -> Measured {
        let mut warnings = clock_warning();
        let _ = self.handle.stop(TO, Duration::ZERO, None);
        self.wait_for(TO, agreed.iter().any(|it| it.sends));
        let ended = agreed.iter().filter(|it| it.sends).filter_map(|it| self.sent(it));
        let ended: Vec<_> = ended.collect();
        let theirs = self.say_stop(ended.iter().map(|(end, _)| end.clone()).collect());
        let mut ways = Vec::new();
        let mut agreed_from = None;
        for session in agreed {
            if session.sends {
                let sent = ended.first().map(|(_, report)| report);
                ways.extend(self.fetch(session, sent));
            } else {
                agreed_from = Some(session);
            }
        }
        if let Some(session) = agreed_from {
            let said = theirs.iter().flatten().find(|end| end.sid == session.sid);
            // It ends sooner if it is known what became of all that was sent.
            let linger = args.timeout.min(if said.is_some() { LINGER } else { SETTLE });
            let _ = self.handle.stop(FROM, linger, said.map(|end| end.next_seq));
            self.wait_for(FROM, true);
            ways.extend(self.received(session, said, &mut warnings));
        }
        Measured { ways, trouble: self.trouble, warnings }
    }

    /// Waits for the report of a session that was told to end.
    fn wait_for(&mut self, id: u64, is_there: bool) {
        let until = Mono::now() + Duration::from_secs(10);
        while is_there && !self.reports.contains_key(&id) && Mono::now() < until {
            self.collect(Duration::from_millis(20));
        }
    }

    fn sent(&mut self, session: &Agreed) -> Option<(SessionEnd, SendReport)> {
        let Some(Event::Sent { report, .. }) = self.reports.remove(&session.id) else {
            return None;
        };
        let skips = report.skips.ranges().to_vec();
        Some((SessionEnd { sid: session.sid, next_seq: report.next_seq, skips }, report))
    }

    /// Says Stop-Sessions; what the server says of what it sent. Nothing if it is gone.
    fn say_stop(&mut self, ends: Vec<SessionEnd>) -> Option<Vec<SessionEnd>> {
        if matches!(self.trouble, Some(Trouble::Control(_))) {
            return None;
        }
        match self.control.stop(Accept::Yes, ends) {
            Ok(theirs) => Some(theirs),
            Err(broken) => {
                self.trouble.get_or_insert(Trouble::Control(broken));
                None
            }
        }
    }

    /// The way to the target: its records are at the server.
    fn fetch(&mut self, session: Agreed, sent: Option<&SendReport>) -> Option<Way> {
        if matches!(self.trouble, Some(Trouble::Control(_))) {
            return None;
        }
        let (ack, fetched, records) = match self.control.fetch(session.sid) {
            Ok(it) => it,
            Err(broken) => {
                self.trouble.get_or_insert(Trouble::Control(broken));
                return None;
            }
        };
        let next = sent.map_or(ack.next_seq, |report| report.next_seq);
        let records = apply_skips(records.into_iter(), &fetched.skips, next).collect();
        let mut known = known(&session.request, &fetched.skips);
        known.send_errors = sent.map_or(0, |report| report.errors.values().sum());
        known.clock_steps = self.steps();
        Some(Way {
            direction: Direction::To,
            from: session.ours,
            to: session.theirs,
            sid: session.sid,
            finished: session.request.packets == next,
            request: session.request,
            known,
            records,
        })
    }

    /// The way from the target: its records are here.
    fn received(
        &mut self,
        session: Agreed,
        said: Option<&SessionEnd>,
        warnings: &mut Vec<String>,
    ) -> Option<Way> {
        let Some(Event::Received { report, .. }) = self.reports.get(&FROM) else { return None };
        let skips = said.map_or(&[][..], |end| &end.skips);
        let records = match report.records.iter().collect::<io::Result<Vec<_>>>() {
            Ok(records) => records,
            Err(error) => {
                self.trouble.get_or_insert(Trouble::Engine(error));
                return None;
            }
        };
        // Of who does not say how far it came we know that it sent what is here, and nothing of what follows.
        let next = said.map_or_else(|| after_the_last(&records), |end| end.next_seq);
        warnings.extend(own_faults(report));
        let mut known = known(&session.request, skips);
        known.own_drops = report.dropped.into();
        known.clock_steps = self.steps();
        Some(Way {
            direction: Direction::From,
            from: session.theirs,
            to: session.ours,
            sid: session.sid,
            finished: said.is_some_and(|end| end.next_seq == session.request.packets),
            records: apply_skips(records.into_iter(), skips, next).collect(),
            request: session.request,
            known,
        })
    }

    /// How often our clock was set while it went on, nanoseconds each.
    fn steps(&self) -> Vec<i64> {
        let clocks = self.reports.values().map(|event| match event {
            Event::Sent { clock, .. } | Event::Received { clock, .. } => clock,
        });
        clocks.flat_map(|clock| clock.steps.iter().map(|step| step.nanos)).collect()
    }
}

/// The number after the highest of a packet that came.
fn after_the_last(records: &[Record]) -> u32 {
    let came = records.iter().filter(|record| record.received.is_some());
    came.map(|record| record.seq.saturating_add(1)).max().unwrap_or(0)
}

fn known(request: &RequestSession, skips: &[SkipRange]) -> Known {
    Known {
        asked: request.packets,
        skipped: skips.to_vec(),
        start: request.start,
        timeout: request.timeout,
        ..Known::default()
    }
}

fn own_faults(report: &ReceiveReport) -> Option<String> {
    let lost = report.records.not_kept();
    (lost > 0).then(|| {
        format!("{lost} records were not kept: the disk is full or too slow, or there are too many")
    })
}

fn clock_warning() -> Vec<String> {
    let state = ClockState::now();
    let warning = "this machine's clock is not synchronised: delays one way are wrong by as much as the clocks of both \
                   ends differ (run an NTP client, such as chrony)";
    if state.synchronised { Vec::new() } else { vec![warning.to_owned()] }
}
