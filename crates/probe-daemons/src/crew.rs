//! The loop: starts what is due, watches what runs, ends what hangs.
//!
//! It waits for the nearest deadline, for the end of a process, for claims and for signals, and does
//! nothing that could take long: disk and database are the [ledger](station::ledger)'s.

use std::{os::fd::BorrowedFd, time::Duration};

use station::{
    daemon::Daemon,
    ledger::Ledger,
    words::config::Config,
    world::{
        clock::{Clock, Moment, Monotonic},
        keepalive::BEAT,
        probe::{Order, Running},
        signals,
        store::{self, Session, Store},
        strays,
    },
};

use crate::{
    Kind,
    agenda::{Agenda, Turn},
    clerk::{Clerk, Outcome, PATIENCE},
};

/// While something runs or waits, the loop comes round at least this often: it notices a clock that
/// was stepped and output that grows without end.
const CHECK: Duration = Duration::from_secs(1);

/// The daemon's state between two turns of its loop.
pub struct Crew<'a> {
    kind: Kind,
    daemon: &'a mut Daemon,
    ledger: Ledger<Clerk>,
    agenda: Agenda,
    running: Vec<Running>,
    /// When the next beat and the next check are due.
    next_beat: Monotonic,
    next_check: Monotonic,
    phase: Phase,
}

/// How far the daemon is in ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Claims and starts.
    Working,
    /// `--once`: claims no more, carries out what it has.
    Finishing,
    /// Asked to end: starts nothing more, lets run what runs until then.
    Draining(Monotonic),
}

impl<'a> Crew<'a> {
    /// A crew with nothing to do yet.
    #[must_use]
    pub fn new(kind: Kind, daemon: &'a mut Daemon, ledger: Ledger<Clerk>) -> Self {
        let agenda = Agenda::new(daemon.config.side_by_side);
        let (next_beat, next_check) = (Monotonic::default(), Monotonic::default());
        let phase = Phase::Working;
        Self { kind, daemon, ledger, agenda, running: Vec::new(), next_beat, next_check, phase }
    }

    /// Works until a stop is asked for, or, `once`, until what was due is done.
    ///
    /// # Errors
    /// Only `once`: what kept the ledger from looking what is due.
    pub fn work(mut self, once: bool) -> Result<(), String> {
        let mut result = Ok(());
        loop {
            let moment = self.daemon.clock.moment();
            self.take_claims(once);
            self.heed_stop(&moment);
            self.start_due(&moment);
            self.insist(&moment);
            self.beat(&moment);
            if once && self.phase == Phase::Working {
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

    fn take_claims(&mut self, once: bool) {
        let mut looked = false;
        for orders in self.ledger.answers() {
            looked = true;
            self.agenda.add(orders);
        }
        if looked && once && self.phase == Phase::Working {
            self.ledger.drain();
            self.phase = Phase::Finishing;
        }
    }

    fn heed_stop(&mut self, moment: &Moment) {
        if !self.daemon.stop.asked() || matches!(self.phase, Phase::Draining(_)) {
            return;
        }
        self.ledger.drain();
        self.phase = Phase::Draining(moment.monotonic + self.daemon.config.drain);
        let waiting = self.agenda.give_back();
        log::info!("asked to end: {} run, {} are put back", self.running.len(), waiting.len());
        self.put_back(&waiting);
    }

    fn put_back(&self, orders: &[Order]) {
        for order in orders {
            self.ledger.note(Outcome::PutBack(order.run));
        }
    }

    fn start_due(&mut self, moment: &Moment) {
        if matches!(self.phase, Phase::Draining(_)) {
            // Claims that crossed the wish to end.
            let waiting = self.agenda.give_back();
            self.put_back(&waiting);
            return;
        }
        let running = self.running.len();
        let Turn { start, missed, too_early } = self.agenda.turn(moment.wall, running);
        self.put_back(&too_early);
        for order in missed {
            let reason = if running < self.daemon.config.side_by_side {
                "the clock was set forward, or the machine slept, until its window had passed"
                    .to_owned()
            } else {
                format!("{running} runs were going on until its window had passed")
            };
            self.ledger.note(Outcome::Missed(order.run, reason));
        }
        for order in start {
            self.start(&order);
        }
    }

    fn start(&mut self, order: &Order) {
        let moment = self.daemon.clock.moment();
        match order.start(self.kind.program, &self.daemon.config, &moment) {
            Ok(running) => self.running.push(running),
            Err(reason) => {
                log::warn!("run {}: {reason}", order.run);
                self.ledger.note(Outcome::Failed(order.run, reason));
            }
        }
    }

    /// Goes on ending what hangs; what even KILL does not end is given up.
    fn insist(&mut self, moment: &Moment) {
        let now = moment.monotonic;
        let check = now >= self.next_check;
        for running in &mut self.running {
            if check {
                running.check_output(self.daemon.config.most_output, now);
            }
            running.insist(now);
        }
        if check {
            self.next_check = now + CHECK;
        }
        while let Some(index) = self.running.iter().position(Running::is_stuck) {
            log::error!("run {}: its process cannot be killed", self.running[index].order().run);
            self.end(index);
        }
    }

    fn end(&mut self, index: usize) {
        let running = self.running.swap_remove(index);
        let moment = self.daemon.clock.moment();
        match running.end(&moment) {
            Ok(ending) => {
                self.ledger.note(Outcome::Ended(Box::new(ending)));
                // Then it is looked for what the run has left.
                self.next_beat = self.next_beat.min(moment.monotonic + CHECK);
            }
            Err(running) => self.running.push(*running),
        }
    }

    fn beat(&mut self, moment: &Moment) {
        let health = self.ledger.health();
        if moment.monotonic < self.next_beat {
            return;
        }
        let quiet = !self.end_strays() && self.is_idle();
        self.next_beat = moment.monotonic + if quiet { BEAT } else { CHECK };
        if health.hangs(moment) {
            return;
        }
        let counts = format!("{} running, {} waiting", self.running.len(), self.agenda.len());
        let doing = health.outage.map_or(counts.clone(), |outage| format!("{counts}; {outage}"));
        self.daemon.keepalive.beat(moment, doing);
    }

    /// Ends what runs that are over have left outside of their groups; says whether some is there still.
    fn end_strays(&self) -> bool {
        let (program, config) = (self.kind.program, &self.daemon.config);
        let is_run = |pid| self.running.iter().any(|running| running.pid() == pid);
        let goes_on = |tag: &str| {
            self.running.iter().any(|running| running.order().tag(program, config) == tag)
        };
        strays::end(is_run, goes_on, || !self.running.is_empty())
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.agenda.is_empty()
    }

    fn is_done(&self, moment: &Moment) -> bool {
        match self.phase {
            Phase::Working => false,
            Phase::Finishing => self.is_idle(),
            Phase::Draining(until) => self.running.is_empty() || moment.monotonic >= until,
        }
    }

    fn wait(&mut self, moment: &Moment) {
        let length = self.until_next(moment);
        let mut fds: Vec<BorrowedFd<'_>> = vec![self.ledger.fd()];
        if !matches!(self.phase, Phase::Draining(_)) {
            fds.push(self.daemon.stop.fd());
        }
        let others = fds.len();
        fds.extend(self.running.iter().map(Running::fd));
        let ready = signals::wait_for(&fds, length);
        // From the last to the first: ending one moves the last into its place.
        for index in (0..self.running.len()).rev() {
            if ready.get(others + index) == Some(&true) {
                self.end(index);
            }
        }
    }

    /// The time to the nearest deadline.
    fn until_next(&self, moment: &Moment) -> Duration {
        let deadlines = self.running.iter().map(Running::deadline);
        let check = (!self.is_idle()).then_some(self.next_check);
        let drain = if let Phase::Draining(until) = self.phase { Some(until) } else { None };
        let nearest = deadlines.chain([self.next_beat]).chain(check).chain(drain).min();
        let nearest = nearest.map_or(BEAT, |deadline| moment.monotonic.until(deadline));
        let start = self.agenda.next(self.running.len());
        start.map_or(nearest, |due| nearest.min(moment.wall.until(due)))
    }

    /// Ends what still runs, and waits until the ledger has written everything.
    fn leave(mut self) {
        if !self.running.is_empty() {
            log::warn!("{} runs are ended with the daemon and put back", self.running.len());
        }
        for running in std::mem::take(&mut self.running) {
            running.kill();
            self.ledger.note(Outcome::PutBack(running.order().run));
        }
        // What is killed here is the machine's to reap.
        let _ = self.end_strays();
        let doing = "ended".to_owned();
        self.daemon.keepalive.beat(&self.daemon.clock.moment(), doing);
        let unclaimed: Vec<Order> = self.ledger.close().into_iter().flatten().collect();
        if !unclaimed.is_empty() {
            put_back_at_last(&self.daemon.config, &unclaimed);
        }
        log::info!("{} ends", self.kind.program);
    }
}

/// Puts back what was claimed when nobody took it any more.
fn put_back_at_last(config: &Config, orders: &[Order]) {
    let mut store = Store::of(&config.database, PATIENCE);
    let put_back = |session: &mut dyn Session| {
        orders.iter().try_for_each(|order| store::put_back(session, order.run).map(|_| ()))
    };
    if let Err(error) = store.transaction(put_back) {
        log::error!("putting {} claimed runs back: {error}", orders.len());
    }
}
