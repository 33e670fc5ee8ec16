//! The loop: it gives the channel to one run after the other, and ends what hangs.
//!
//! It waits for the nearest deadline, for the end of a process, for the run that goes next and for
//! signals, and does nothing that could take long: disk and database are the
//! [ledger](station::ledger)'s.

use std::{os::fd::BorrowedFd, time::Duration};

use station::{
    daemon::Daemon,
    ledger::Ledger,
    words::run::Machine,
    world::{
        channel::Channel,
        clock::{Clock, Moment, Monotonic},
        keepalive::BEAT,
        probe::Order,
        signals, strays,
        turn::{End, Turn},
    },
};

use crate::{
    CLAIM_AHEAD, PROGRAM,
    clerk::{Answer, Clerk, Next, Request},
    gate::{Gate, Pass},
};

/// While something runs or waits, the loop comes round at least this often.
const CHECK: Duration = Duration::from_secs(1);

/// The daemon's state between two turns of its loop.
pub struct Keeper<'a> {
    daemon: &'a mut Daemon,
    ledger: Ledger<Clerk>,
    next: Option<Box<Next>>,
    gate: Gate,
    /// What the ledger was told that the channel waits for.
    told: String,
    turn: Option<Turn>,
    next_beat: Monotonic,
    phase: Phase,
}

/// How far the daemon is in ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Takes what is due.
    Working,
    /// `--once`: ends when nothing is due any more.
    Once,
    /// `--once`, and nothing is due any more.
    Finished,
    /// Asked to end: starts nothing more, lets what runs run until then.
    Draining(Monotonic),
}

impl<'a> Keeper<'a> {
    /// A keeper whose channel is free.
    #[must_use]
    pub fn new(daemon: &'a mut Daemon, ledger: Ledger<Clerk>, once: bool) -> Self {
        let phase = if once { Phase::Once } else { Phase::Working };
        Self {
            daemon,
            ledger,
            next: None,
            gate: Gate::default(),
            told: String::new(),
            turn: None,
            next_beat: Monotonic::default(),
            phase,
        }
    }

    /// Works until a stop is asked for, or until nothing is due any more.
    ///
    /// # Errors
    /// Only `--once`: what kept the ledger from looking what is due.
    pub fn work(mut self) -> Result<(), String> {
        let mut result = Ok(());
        loop {
            let moment = self.daemon.clock.moment();
            self.take_answers();
            self.heed_stop(&moment);
            self.advance(&moment);
            self.begin();
            self.beat(&moment);
            if self.phase == Phase::Once && self.turn.is_none() {
                result = self.ledger.health().outage.map_or(Ok(()), Err);
            }
            if result.is_err() || self.is_done(&moment) {
                break;
            }
            self.wait(&moment);
        }
        self.leave();
        result
    }

    fn take_answers(&mut self) {
        for answer in self.ledger.answers().collect::<Vec<_>>() {
            match answer {
                Answer::Next(next) => {
                    // There is never another; if there were, it must not be lost.
                    self.put_back_next();
                    self.next = Some(next);
                }
                Answer::Nothing if self.phase == Phase::Once && self.turn.is_none() => {
                    self.phase = Phase::Finished;
                }
                Answer::Nothing => {}
            }
        }
    }

    fn heed_stop(&mut self, moment: &Moment) {
        if self.daemon.stop.asked() && !matches!(self.phase, Phase::Draining(_)) {
            self.ledger.drain();
            self.phase = Phase::Draining(moment.monotonic + self.daemon.config.drain);
            log::info!("asked to end: {}", self.doing());
        }
        if matches!(self.phase, Phase::Draining(_)) {
            self.put_back_next();
        }
    }

    fn put_back_next(&mut self) {
        if let Some(next) = self.next.take() {
            self.give_up(Request::PutBack(Box::new(next.plan.order), None));
        }
    }

    /// The run that stood before the gate goes no more.
    fn give_up(&mut self, request: Request) {
        self.gate.begin_anew();
        self.ledger.note(request);
    }

    /// Brings what has the channel forward, and frees the channel when it is over.
    fn advance(&mut self, moment: &Moment) {
        let Some(turn) = &mut self.turn else { return };
        if !turn.advance(&self.daemon.config, moment) {
            return;
        }
        let Some(turn) = self.turn.take() else { return };
        match turn.end() {
            End::Ended(ending) => self.ledger.note(Request::Ended(ending)),
            End::Failed(order, reason) => {
                log::warn!("run {}: {reason}", order.run);
                self.ledger.note(Request::Failed(order, reason));
            }
        }
        self.gate.close(&self.daemon.config, moment);
    }

    /// Gives the free channel to the run that goes next, if it may have it now.
    fn begin(&mut self) {
        if self.turn.is_some() {
            return;
        }
        let Some(next) = self.next.take() else { return };
        // Time has passed since the one before was ended.
        let moment = &self.daemon.clock.moment();
        let order = &next.plan.order;
        if order.due > moment.wall + 2 * CLAIM_AHEAD {
            // The clock was set back. Whoever schedules has to think again.
            return self.give_up(Request::PutBack(Box::new(next.plan.order), None));
        }
        if order.latest < moment.wall {
            let why = self.gate.reason();
            return self.give_up(Request::Missed(Box::new(next.plan.order), why));
        }
        match self.gate.pass(&next, &self.daemon.config, moment) {
            Pass::Wait => {
                self.tell_blocked(&next);
                self.next = Some(next);
            }
            Pass::PutBack => self.give_up(Request::PutBack(Box::new(next.plan.order), None)),
            Pass::Skip(why) => self.give_up(Request::Missed(Box::new(next.plan.order), why)),
            Pass::Go(channel, machine, unclean) => self.go(*next, channel, (machine, unclean)),
        }
    }

    /// Lets the ledger know what the channel waits for: others may miss their windows by it.
    fn tell_blocked(&mut self, next: &Next) {
        let blocked = self.gate.waits_for();
        if *blocked.unwrap_or(&String::new()) != self.told {
            self.told = blocked.cloned().unwrap_or_default();
            let order = &next.plan.order;
            let told =
                format!("{}, to {}, was next; {}", order.run.schedule_id, order.node, self.told);
            self.ledger.note(Request::Blocked(told));
        }
    }

    fn go(&mut self, next: Next, channel: Channel, machine: (Machine, Option<String>)) {
        let moment = self.daemon.clock.moment();
        let turn = Turn::begin(PROGRAM, next.plan, channel, machine, &self.daemon.config, &moment);
        let order = Box::new(turn.order().clone());
        self.ledger.note(Request::Started(order, turn.since(), turn.machine().clone()));
        self.turn = Some(turn);
    }

    fn doing(&self) -> String {
        let order = |order: &Order| format!("{} ({} to {})", order.run, order.tool, order.node);
        let running = self.turn.as_ref().map(|turn| format!("run {}", order(turn.order())));
        let next = self.next.as_ref().map(|next| format!("next {}", order(&next.plan.order)));
        let waits = self.next.as_ref().and_then(|_| self.gate.waits_for());
        let parts: Vec<String> = running.into_iter().chain(next).chain(waits.cloned()).collect();
        if parts.is_empty() { "the channel is free".to_owned() } else { parts.join("; ") }
    }

    fn beat(&mut self, moment: &Moment) {
        if moment.monotonic < self.next_beat {
            return;
        }
        self.next_beat = moment.monotonic + if self.is_idle() { BEAT } else { CHECK };
        if self.is_idle() {
            // Programs of a run that was over long ago may be left only now.
            let _ = strays::end(|_| false, |_| false, || false);
        }
        let health = self.ledger.health();
        if health.hangs(moment) {
            return;
        }
        let doing = self.doing();
        let doing = health.outage.map_or(doing.clone(), |outage| format!("{doing}; {outage}"));
        self.daemon.keepalive.beat(moment, doing);
    }

    fn is_idle(&self) -> bool {
        self.turn.is_none() && self.next.is_none()
    }

    fn is_done(&self, moment: &Moment) -> bool {
        match self.phase {
            Phase::Working | Phase::Once => false,
            Phase::Finished => self.is_idle(),
            Phase::Draining(until) => self.turn.is_none() || moment.monotonic >= until,
        }
    }

    fn wait(&self, moment: &Moment) {
        let mut fds: Vec<BorrowedFd<'_>> = vec![self.ledger.fd()];
        if !matches!(self.phase, Phase::Draining(_)) {
            fds.push(self.daemon.stop.fd());
        }
        fds.extend(self.turn.iter().flat_map(Turn::fds));
        signals::wait_for(&fds, self.until_next(moment));
    }

    /// The time to the nearest deadline.
    fn until_next(&self, moment: &Moment) -> Duration {
        let turn = self.turn.as_ref().and_then(Turn::deadline);
        let drain = if let Phase::Draining(until) = self.phase { Some(until) } else { None };
        let check = (!self.is_idle()).then(|| moment.monotonic + CHECK);
        let nearest = [turn, drain, check, Some(self.next_beat)].into_iter().flatten().min();
        let nearest = nearest.map_or(BEAT, |deadline| moment.monotonic.until(deadline));
        let Some(next) = self.next.as_ref().filter(|_| self.turn.is_none()) else { return nearest };
        let start = moment.wall.until(next.plan.order.due);
        nearest.min(start.max(self.gate.rest(moment)))
    }

    /// Ends what still runs, and waits until the ledger has written everything.
    fn leave(mut self) {
        self.put_back_next();
        if let Some(turn) = self.turn.take() {
            log::warn!("run {} is ended with the daemon and put back", turn.order().run);
            let order = Box::new(turn.order().clone());
            turn.kill(&self.daemon.config);
            let ended = self.daemon.clock.now();
            self.ledger.note(Request::PutBack(order, Some(ended)));
        }
        self.daemon.keepalive.beat(&self.daemon.clock.moment(), "ended".to_owned());
        let config = self.daemon.config.clone();
        let untaken = self.ledger.close().into_iter().filter_map(|answer| match answer {
            Answer::Next(next) => Some(next.plan.order),
            Answer::Nothing => None,
        });
        crate::recovery::put_back_at_last(&config, &untaken.collect::<Vec<_>>());
        log::info!("{PROGRAM} ends");
    }
}
