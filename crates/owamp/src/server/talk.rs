//! A conversation with a client, from its greeting on: one request after the other.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
    time::Duration,
};

use station::{
    news::Cause,
    world::{clock::Monotonic, signals::wait_for},
};
use timed_udp::socket::{OpenError, Opening, Port, TimedSocket};

use super::{
    Server,
    doors::{Place, State},
    greet::{Client, Ended},
    judge::{Asker, Plan, Refused, judge},
    patience::now,
    usage::Taken,
    who::Who,
};
use crate::{
    protocol::{Accept, AcceptSession, Limits, Request, RequestSession, Sid, StartAck},
    session::MOST_RANGES,
};

/// How long a message may take once it has begun, and how long an answer.
pub(super) const A_MESSAGE: Duration = Duration::from_secs(30);
/// Slots of a schedule that are taken.
const MOST_SLOTS: u32 = 1_000;
/// Sessions of a connection.
const MOST_SESSIONS: usize = 2_000;
/// Sessions that were not started are held so much longer for each of them, as it takes its time to ask for many.
const UNSTARTED_EACH: Duration = Duration::from_secs(1);
/// Octets of packets that may wait for us, of a session.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A session that was granted, with what it holds.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) id: u64,
    /// With the ports and the identifier that it has.
    pub(super) request: RequestSession,
    pub(super) plan: Plan,
    /// Until it starts.
    pub(super) socket: Option<TimedSocket>,
    /// Given back when it ends.
    pub(super) going: Taken,
    /// Kept with its records.
    pub(super) room: Taken,
}

/// A client, and what it has asked for.
pub(super) struct Talk<'a> {
    pub(super) server: &'a Server,
    pub(super) place: &'a Place,
    pub(super) peer: IpAddr,
    pub(super) local: IpAddr,
    /// Whom what it uses is counted for.
    pub(super) who: Who,
    pub(super) client: Client,
    pub(super) sessions: Vec<Opened>,
    /// When it asked for the first of these.
    pub(super) asked: Option<Monotonic>,
}

impl Talk<'_> {
    /// Answers until the client goes.
    pub(super) fn serve(&mut self) -> Result<(), Ended> {
        while let Some(request) = self.next_request()? {
            match request {
                Request::Session(request) => self.open(*request)?,
                Request::Start => self.at_work(Self::start)?,
                Request::Fetch(fetch) => self.at_work(|talk| talk.fetch(&fetch))?,
                Request::Stop(_) => {
                    let why = "Stop-Sessions, where none has been started";
                    return Err(Ended::new(Cause::Broken, why));
                }
            }
        }
        Ok(())
    }

    /// Does what nobody is to be sent away from.
    fn at_work(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Ended>) -> Result<(), Ended> {
        self.place.is(State::AtWork);
        let done = work(self);
        self.place.is(State::Known);
        done
    }

    fn next_request(&mut self) -> Result<Option<Request>, Ended> {
        let (length, why) = self.patience();
        let is_there = wait_for(&[self.client.from.from().as_fd()], length);
        if !is_there.contains(&true) {
            return Err(Ended::new(Cause::Gone, why));
        }
        self.read_request()
    }

    /// How long it may say nothing now, and what is wrong if it does.
    fn patience(&self) -> (Duration, String) {
        let settings = &self.server.settings;
        let (idle, count) = (settings.idle, self.sessions.len());
        let more = UNSTARTED_EACH * u32::try_from(count).unwrap_or(u32::MAX);
        let longest = settings.unstarted + more;
        let left = self.asked.map(|asked| now().until(asked + longest)).filter(|left| *left < idle);
        match left {
            Some(left) => (left, format!("it asked for {count} sessions and did not start them")),
            None => (idle, format!("it has said nothing for {} s", idle.as_secs())),
        }
    }

    pub(super) fn read_request(&mut self) -> Result<Option<Request>, Ended> {
        let sessions = u32::try_from(self.sessions.len()).unwrap_or(u32::MAX);
        let skips = u32::try_from(MOST_RANGES).unwrap_or(u32::MAX);
        let limits = Limits { slots: MOST_SLOTS, sessions, skips };
        self.client.from.from().wait_for(A_MESSAGE);
        Ok(Request::read(&mut self.client.from, &limits)?)
    }

    /// Sends what was put.
    pub(super) fn say(&mut self) -> Result<(), Ended> {
        self.client.out.wait_for(A_MESSAGE);
        Ok(self.client.out.write_all(&self.client.to.take())?)
    }

    /// Request-Session.
    fn open(&mut self, request: RequestSession) -> Result<(), Ended> {
        let answer = match self.opened(request) {
            Ok(opened) => {
                let ours = if opened.request.server_sends {
                    opened.request.sender
                } else {
                    opened.request.receiver
                };
                let answer = AcceptSession {
                    accept: Accept::Yes,
                    port: ours.port(),
                    sid: opened.request.sid,
                };
                self.sessions.push(opened);
                self.asked.get_or_insert_with(now);
                answer
            }
            Err(Refused { accept, why }) => {
                let peer = self.peer;
                self.server.news.tell(Cause::Refused, || {
                    format!("a session of {peer} was refused ({accept}): {why}")
                });
                AcceptSession { accept, port: 0, sid: Sid::default() }
            }
        };
        answer.put(&mut self.client.to);
        self.say()
    }

    fn opened(&self, mut request: RequestSession) -> Result<Opened, Refused> {
        let server = self.server;
        let class = server.classes.class(self.client.class);
        let class =
            class.ok_or_else(|| Refused::new(Accept::InternalError, "there is no class"))?;
        let (mode, now) = (self.client.mode, timed_udp::clock::wall());
        let asker = Asker { peer: self.peer, local: self.local, mode, class, now };
        let plan = judge(&request, &asker)?;
        if self.sessions.len() >= MOST_SESSIONS {
            let why = format!("{MOST_SESSIONS} sessions of one connection are the most");
            return Err(Refused::new(Accept::TemporaryLimit, why));
        }
        let take = |amount| {
            let taken = server.usage.take(self.client.class, self.who, amount);
            taken.map_err(|it| Refused { accept: it.accept, why: it.why })
        };
        let going = take(plan.going)?;
        let room = take(plan.room())?;
        let socket = self.socket(&plan)?;
        self.name(&mut request, &plan, &socket)?;
        let id = server.hub.number();
        Ok(Opened { id, request, plan, socket: Some(socket), going, room })
    }

    fn socket(&self, plan: &Plan) -> Result<TimedSocket, Refused> {
        let port = self.server.ports.as_ref().map_or(Port::Any, Port::Of);
        let mut opening = Opening::at(plan.ours);
        (opening.port, opening.dscp, opening.receive_buffer) = (port, plan.dscp, RECEIVE_BUFFER);
        opening.open().map_err(|error| {
            let accept = match &error {
                OpenError::Bind(..) => Accept::NotSupported,
                OpenError::Exhausted { .. } => Accept::TemporaryLimit,
                _ => Accept::InternalError,
            };
            Refused::new(accept, error.to_string())
        })
    }

    /// Puts into the request what the session is called, and where it is.
    fn name(
        &self,
        request: &mut RequestSession,
        plan: &Plan,
        socket: &TimedSocket,
    ) -> Result<(), Refused> {
        let ours = SocketAddr::new(plan.ours, socket.local().port());
        if request.server_receives {
            request.sender.set_ip(plan.theirs);
            request.receiver = ours;
            request.sid = self.server.sid(plan.ours).map_err(|error| {
                Refused::new(Accept::InternalError, format!("reading /dev/urandom: {error}"))
            })?;
            return Ok(());
        }
        request.receiver.set_ip(plan.theirs);
        request.sender = ours;
        if request.receiver.port() == 0 {
            return Err(Refused::new(Accept::NotSupported, "no port to send to was named"));
        }
        if self.sessions.iter().any(|other| other.request.sid == request.sid) {
            let why = format!("there is a session {} already", request.sid);
            return Err(Refused::new(Accept::Failure, why));
        }
        Ok(())
    }

    /// Start-Sessions, and all until they have ended.
    fn start(&mut self) -> Result<(), Ended> {
        let mut sessions = std::mem::take(&mut self.sessions);
        self.asked = None;
        let mut mailbox = super::hub::Mailbox::new(&self.server.hub)?;
        let started = sessions.iter_mut().try_for_each(|opened| self.begin(opened, &mut mailbox));
        let accept = match &started {
            Ok(()) => Accept::Yes,
            Err(refused) => refused.accept,
        };
        StartAck { accept }.put(&mut self.client.to);
        self.say()?;
        if let Err(Refused { why, .. }) = started {
            let peer = self.peer;
            self.server
                .news
                .tell(Cause::Refused, || format!("sessions of {peer} were not started: {why}"));
            return Ok(());
        }
        self.sessions = sessions;
        let ended = super::run::run(self, mailbox);
        self.sessions.clear();
        ended
    }
}
