//! A test that goes on: its sessions are waited for, ended and fetched.

use std::{
    collections::BTreeMap,
    io,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use readings::Direction;
use station::world::signals::Stop;
use timed_udp::clock::Mono;

use super::{
    agree::{Agreed, FROM, TO},
    control::{Broken, Control},
    faults,
    measure::{Measured, Way},
    trouble::Trouble,
    wanted::Args,
};
use crate::{
    protocol::{Accept, Finished, RequestSession, SessionEnd, SkipRange},
    session::{Event, Handle, SendReport, apply_skips},
    statistics::Known,
};

/// A server gives a packet up a little after its time-out: until then its records are not whole.
pub(super) const SETTLE: Duration = Duration::from_millis(400);
/// What is on its way when a test is stopped early is waited for so long, or its time-out.
pub(super) const LINGER: Duration = Duration::from_secs(8);
/// How often it is looked whether the server is there.
const LOOK: Duration = Duration::from_millis(200);

/// A test that goes on.
pub(super) struct Run {
    control: Control,
    handle: Handle,
    events: Receiver<Event>,
    reports: BTreeMap<u64, Event>,
    trouble: Option<Trouble>,
    warnings: Vec<String>,
    /// The server is not to be talked to any more.
    is_gone: bool,
}

impl Run {
    /// Of sessions that `handle` was told.
    pub(super) fn new(control: Control, handle: Handle, events: Receiver<Event>) -> Self {
        let (reports, warnings) = (BTreeMap::new(), faults::of_our_clock());
        Self { control, handle, events, reports, trouble: None, warnings, is_gone: false }
    }

    /// Waits until all packets came or are lost, somebody wants an end, or the server is gone.
    pub(super) fn wait(&mut self, agreed: &[Agreed], ends_at: Mono, stop: &Stop) {
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
                self.lose(Broken::Lost(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
                return;
            }
            is_talking = true;
        }
    }

    /// The server is of no use any more.
    fn lose(&mut self, broken: Broken) {
        self.is_gone = true;
        self.trouble.get_or_insert(broken.into());
    }

    /// Whether the figures are of a whole session: whether there is no reason why they are not. Only one can be the
    /// test's problem: of what follows people are warned.
    fn is_whole(&mut self, lack: Option<String>) -> bool {
        let Some(why) = lack else { return true };
        match self.trouble {
            None => self.trouble = Some(Trouble::NotWhole(why)),
            Some(_) => self.warnings.push(why),
        }
        false
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
    pub(super) fn conclude(mut self, agreed: Vec<Agreed>, args: &Args) -> Measured {
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
            ways.extend(self.received(session, said));
        }
        self.warnings.extend(faults::of_their_clock(&mut ways));
        Measured { ways, trouble: self.trouble, warnings: self.warnings }
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
        if self.is_gone {
            return None;
        }
        match self.control.stop(Accept::Yes, ends) {
            Ok(theirs) => Some(theirs),
            Err(broken) => {
                self.lose(broken);
                None
            }
        }
    }

    /// The way to the target: its records are at the server. What was sent we know better.
    fn fetch(&mut self, session: Agreed, sent: Option<&SendReport>) -> Option<Way> {
        if self.is_gone {
            return None;
        }
        let packets = session.request.packets;
        let (ack, fetched, records) = match self.control.fetch(session.sid, packets) {
            Ok(it) => it,
            Err(broken) => {
                self.lose(broken);
                return None;
            }
        };
        let next = sent.map_or(ack.next_seq, |report| report.next_seq).min(packets);
        let skips = sent.map_or(&fetched.skips[..], |report| report.skips.ranges());
        let records: Vec<_> = apply_skips(records.into_iter(), skips, next).collect();
        let mut known = known(&session.request, skips);
        known.send_errors = sent.map_or(0, |report| report.errors.values().sum());
        known.clock_steps = self.steps();
        let lack = faults::not_kept(Direction::To, &records, skips, (next, packets))
            .or_else(|| (ack.finished != Finished::Well).then(|| faults::not_finished(&ack)));
        Some(Way {
            direction: Direction::To,
            from: session.ours,
            to: session.theirs,
            sid: session.sid,
            finished: self.is_whole(lack) && packets == next,
            request: session.request,
            known,
            records,
        })
    }

    /// The way from the target: its records are here.
    fn received(&mut self, session: Agreed, said: Option<&SessionEnd>) -> Option<Way> {
        let Some(Event::Received { report, .. }) = self.reports.get(&FROM) else { return None };
        let packets = session.request.packets;
        let skips = said.map_or(&[][..], |end| &end.skips);
        let records = match report.records.iter().collect::<io::Result<Vec<_>>>() {
            Ok(records) => records,
            Err(error) => {
                self.trouble.get_or_insert(Trouble::Engine(error));
                return None;
            }
        };
        // Of who does not say how far it came we know that it sent what is here, and nothing of what follows.
        let next = said.map_or_else(|| faults::after_the_last(&records), |end| end.next_seq);
        let next = next.min(packets);
        self.warnings.extend(faults::of_our_records(report));
        let mut known = known(&session.request, skips);
        known.own_drops = report.dropped.into();
        known.beyond_timeout = report.counts.refused.time;
        known.clock_steps = self.steps();
        let records: Vec<_> = apply_skips(records.into_iter(), skips, next).collect();
        let is_theirs = said.is_some() && !matches!(self.trouble, Some(Trouble::Interrupted));
        known.clocks_apart = is_theirs && faults::is_nothing_sent(skips, next, packets);
        let lack = said
            .and_then(|_| faults::not_kept(Direction::From, &records, skips, (next, packets)))
            .or_else(|| (is_theirs && next < packets).then(|| faults::stopped(next, packets)));
        Some(Way {
            direction: Direction::From,
            from: session.theirs,
            to: session.ours,
            sid: session.sid,
            finished: self.is_whole(lack) && said.is_some() && packets == next,
            records,
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

fn known(request: &RequestSession, skips: &[SkipRange]) -> Known {
    Known {
        asked: request.packets,
        skipped: skips.to_vec(),
        start: request.start,
        timeout: request.timeout,
        ..Known::default()
    }
}
