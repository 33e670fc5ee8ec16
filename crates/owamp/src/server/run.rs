//! Sessions that go on: from Start-Sessions to both sides' Stop-Sessions, and what remains of them.

use std::{collections::HashMap, os::fd::AsFd, time::Duration};

use station::{
    news::Cause,
    world::{clock::Monotonic, signals::wait_for},
};
use timed_udp::socket::TimedSocket;

use super::{
    greet::Ended,
    hub::Mailbox,
    judge::Refused,
    patience::now,
    shelf::Kept,
    talk::{Opened, Talk},
};
use crate::{
    protocol::{Accept, Finished, PacketKey, Request, RequestSession, SessionEnd, StopSessions},
    session::{Event, ReceiveReport, ReceiveSpec, SendReport, SendSpec, Source, Timetable},
};

/// How long the engine may take to end a session.
const ENDING: Duration = Duration::from_secs(10);
/// What is on its way when a sender stops without a word of its last packet is waited for so long, or its time-out.
const LINGER: Duration = Duration::from_secs(1);
/// And when it tells its last packet: a client waits 10 s for what it fetches.
const LONGEST_LINGER: Duration = Duration::from_secs(8);
/// The bandwidth of what we send is not given back before this: what leaves at once counts as if it took a second.
const A_SECOND: Duration = Duration::from_secs(1);

impl Talk<'_> {
    /// Has a session carried by the engine.
    pub(super) fn begin(
        &self,
        opened: &mut Opened,
        mailbox: &mut Mailbox<'_>,
    ) -> Result<(), Refused> {
        let failed = |why: String| Refused::new(Accept::Failure, why);
        let sid = &opened.request.sid;
        let key = PacketKey::of_session(self.client.mode, self.client.keys.as_ref(), sid)
            .ok_or_else(|| failed("there are no keys".to_owned()))?;
        let socket =
            opened.socket.take().ok_or_else(|| failed("it was started already".to_owned()))?;
        mailbox.expect(opened.id).map_err(|error| failed(error.to_string()))?;
        let handle = self.server.hub.handle();
        let taken = if opened.request.server_sends {
            opened.going.hold_until(now() + A_SECOND + head(opened));
            handle.send(to_send(opened, socket, key))
        } else {
            handle.receive(to_receive(opened, socket, key))
        };
        taken.map_err(|refusal| failed(refusal.to_string()))
    }
}

/// How much of a session that we send is past already, and leaves at once.
fn head(opened: &Opened) -> Duration {
    let past = timed_udp::clock::wall().nanos_since(opened.request.start);
    Duration::from_nanos(past.try_into().unwrap_or(0)).min(opened.plan.too_late)
}

fn timetable(request: &RequestSession) -> Timetable {
    Timetable::of(&request.sid, &request.slots, request.packets)
}

fn to_send(opened: &Opened, socket: TimedSocket, key: PacketKey) -> SendSpec {
    let request = &opened.request;
    SendSpec {
        id: opened.id,
        socket,
        peer: request.receiver,
        key,
        start: request.start,
        timetable: timetable(request),
        padding: request.padding as usize,
        is_zero_padded: false,
        too_late: opened.plan.too_late,
    }
}

fn to_receive(opened: &Opened, socket: TimedSocket, key: PacketKey) -> ReceiveSpec {
    let (request, plan) = (&opened.request, &opened.plan);
    let port = Some(request.sender.port()).filter(|port| *port != 0);
    ReceiveSpec {
        id: opened.id,
        socket,
        peer: Source { address: plan.theirs, port },
        key,
        start: request.start,
        timetable: timetable(request),
        timeout: plan.timeout,
        most_records: plan.records,
    }
}

/// What became of the sessions.
#[derive(Default)]
struct Done {
    sent: HashMap<u64, SendReport>,
    received: HashMap<u64, ReceiveReport>,
}

impl Done {
    fn note(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Sent { id, report, .. } => {
                    self.sent.insert(id, report);
                }
                Event::Received { id, report, .. } => {
                    self.received.insert(id, report);
                }
            }
        }
    }

    fn has(&self, opened: &Opened) -> bool {
        self.sent.contains_key(&opened.id) || self.received.contains_key(&opened.id)
    }
}

/// Waits for the ends of the sessions, says and hears Stop-Sessions, and keeps what was received.
pub(super) fn run(talk: &mut Talk<'_>, mut mailbox: Mailbox<'_>) -> Result<(), Ended> {
    let mut done = Done::default();
    let outcome = converse(talk, &mut mailbox, &mut done);
    let theirs = outcome.as_ref().ok();
    stop_receivers(talk, &mut mailbox, &mut done, theirs);
    keep(talk, &mut done, theirs);
    outcome.map(drop)
}

/// Up to the client's Stop-Sessions and ours; gives the client's.
fn converse(
    talk: &mut Talk<'_>,
    mailbox: &mut Mailbox<'_>,
    done: &mut Done,
) -> Result<StopSessions, Ended> {
    let theirs = while_they_go_on(talk, mailbox, done)?;
    let handle = talk.server.hub.handle();
    let senders = || talk.sessions.iter().filter(|opened| opened.request.server_sends);
    for opened in senders().filter(|opened| !done.has(opened)) {
        // An engine that has ended tells nothing any more; that is found out below.
        let _ = handle.stop(opened.id, Duration::ZERO, None);
    }
    let ids: Vec<u64> = senders().map(|opened| opened.id).collect();
    collect(mailbox, done, &ids, ENDING);
    let ends = senders().map(|opened| end_of(opened, done)).collect::<Option<Vec<_>>>();
    let accept = if ends.is_some() { Accept::Yes } else { Accept::InternalError };
    let ours = StopSessions { accept, ends: ends.unwrap_or_default() };
    ours.put(&mut talk.client.to);
    talk.say()?;
    match theirs {
        Some(theirs) => Ok(theirs),
        None => stop_of(talk.read_request()?),
    }
}

fn end_of(opened: &Opened, done: &Done) -> Option<SessionEnd> {
    let report = done.sent.get(&opened.id)?;
    let skips = report.skips.ranges().to_vec();
    Some(SessionEnd { sid: opened.request.sid, next_seq: report.next_seq, skips })
}

fn stop_of(request: Option<Request>) -> Result<StopSessions, Ended> {
    match request {
        Some(Request::Stop(stop)) => Ok(stop),
        Some(_) => {
            let why = "another request than Stop-Sessions, while sessions go on";
            Err(Ended::new(Cause::Broken, why))
        }
        None => Err(Ended::new(Cause::Gone, "it went while sessions went on")),
    }
}

/// Waits until the client stops the sessions, or all of them are over and what was sent last has had its time.
fn while_they_go_on(
    talk: &mut Talk<'_>,
    mailbox: &mut Mailbox<'_>,
    done: &mut Done,
) -> Result<Option<StopSessions>, Ended> {
    let mut until: Option<Monotonic> = None;
    loop {
        done.note(mailbox.take());
        if until.is_none() && talk.sessions.iter().all(|opened| done.has(opened)) {
            until = Some(now() + rest(talk));
        }
        let left = until.map_or(Duration::from_secs(3_600), |until| now().until(until));
        if left.is_zero() {
            return Ok(None);
        }
        let ready = wait_for(&[talk.client.from.from().as_fd(), mailbox.fd()], left);
        if ready.first() == Some(&true) {
            return stop_of(talk.read_request()?).map(Some);
        }
    }
}

/// How long the last packets that we sent may be on their way.
fn rest(talk: &Talk<'_>) -> Duration {
    let sent = talk.sessions.iter().filter(|opened| opened.request.server_sends);
    let longest = sent.map(|opened| opened.plan.timeout).max().unwrap_or_default();
    // The client is to say it first, as it knows better when it has all.
    longest.min(Duration::from_secs(300)) + LINGER
}

fn collect(mailbox: &mut Mailbox<'_>, done: &mut Done, ids: &[u64], length: Duration) {
    let until = now() + length;
    loop {
        done.note(mailbox.take());
        let is_there = |id| done.sent.contains_key(id) || done.received.contains_key(id);
        let left = now().until(until);
        if ids.iter().all(is_there) || left.is_zero() {
            return;
        }
        wait_for(&[mailbox.fd()], left);
    }
}

fn end_told<'a>(opened: &Opened, theirs: Option<&'a StopSessions>) -> Option<&'a SessionEnd> {
    theirs?.ends.iter().find(|end| end.sid == opened.request.sid)
}

fn stop_receivers(
    talk: &Talk<'_>,
    mailbox: &mut Mailbox<'_>,
    done: &mut Done,
    theirs: Option<&StopSessions>,
) {
    let mut ids = Vec::new();
    for opened in talk.sessions.iter().filter(|opened| opened.request.server_receives) {
        let next = end_told(opened, theirs).map(|end| end.next_seq);
        let linger = if next.is_some() { LONGEST_LINGER } else { LINGER };
        let linger = opened.plan.timeout.min(linger);
        let _ = talk.server.hub.handle().stop(opened.id, linger, next);
        ids.push(opened.id);
    }
    collect(mailbox, done, &ids, LONGEST_LINGER + ENDING);
}

/// Puts what was received where it can be fetched.
fn keep(talk: &mut Talk<'_>, done: &mut Done, theirs: Option<&StopSessions>) {
    let server = talk.server;
    let until = now() + server.settings.keep;
    for opened in std::mem::take(&mut talk.sessions) {
        let Some(report) = done.received.remove(&opened.id) else { continue };
        tell(talk, &opened, &report);
        let is_whole = report.records.not_kept() == 0;
        let end = end_told(&opened, theirs);
        let is_ended = theirs.is_some_and(|it| it.accept == Accept::Yes) && end.is_some();
        let forgotten = server.shelf.put(Kept {
            owner: talk.client.owner.clone(),
            who: talk.who,
            finished: if is_ended && is_whole { Finished::Well } else { Finished::Badly(2) },
            next_seq: end.map_or(opened.request.packets, |end| end.next_seq),
            skips: end.map(|end| end.skips.clone()).unwrap_or_default(),
            session: opened.request,
            records: report.records,
            until,
            _room: opened.room,
        });
        if forgotten > 0 {
            let who = talk.who;
            server.news.tell(Cause::Crowd, || {
                format!("{forgotten} sessions were forgotten for one of {who}: there are too many")
            });
        }
    }
}

/// Tells the log what of a session is missing although the network brought it.
fn tell(talk: &Talk<'_>, opened: &Opened, report: &ReceiveReport) {
    let (sid, who, news) = (opened.request.sid, talk.peer, &talk.server.news);
    let kept = report.records.not_kept();
    if report.dropped > 0 || kept > 0 {
        let dropped = report.dropped;
        news.tell(Cause::Ours, || {
            format!(
                "session {sid} of {who} is not whole: our own queue dropped {dropped} packets, and {kept} records were \
                 not kept, as the disk is full or slow, or there were too many copies"
            )
        });
    }
    let refused = report.counts.refused.time;
    if refused > 0 {
        let length = opened.plan.timeout.as_secs_f64();
        news.tell(Cause::Clocks, || {
            format!(
                "session {sid} of {who}: {refused} packets were refused, as their times are more than {length} s from \
                 ours: one of the two clocks is wrong (run an NTP client, such as chrony, on both)"
            )
        });
    }
}
