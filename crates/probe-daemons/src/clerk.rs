//! The daemon's thread for disk and database.
//!
//! It makes result files, marks rows and claims new ones, all that has gathered meanwhile in one go.
//! When the disk is full or the database away it keeps what it has and tries again. What it holds is
//! bounded: every claimed run counts until its row has left `running`, and there are only so many.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

use station::{
    daemon::Outage,
    text::Timestamp,
    words::{config::Config, run::RunId},
    world::{
        clock::{self, Clock, SystemClock},
        probe::{Ending, Order},
        spool::Spool,
        store::{self, Session, Store},
    },
};

use crate::{
    Kind,
    agenda::CLAIM_AHEAD,
    ledger::{Health, Outcome, PATIENCE, Request},
};

/// How often SCHEDULE is looked at when nothing else happens.
const POLL: Duration = Duration::from_secs(2);
/// Claimed runs beyond those that can run at once, so that a quick tool never waits for the database.
const RESERVE: usize = 256;

/// A row that leaves `running`.
enum Mark {
    Finished(Box<(Order, Timestamp, Timestamp, Option<String>)>),
    Failed(RunId, String),
    Missed(RunId, String),
    PutBack(RunId),
}

/// What ties the clerk to the loop.
pub(crate) struct Ends {
    /// What is asked of it.
    pub(crate) inbox: Receiver<Request>,
    /// What it has claimed.
    pub(crate) outbox: Sender<Vec<Order>>,
    /// Written to when there is something in the outbox.
    pub(crate) wake: Arc<OwnedFd>,
    /// How it is.
    pub(crate) health: Arc<Mutex<Health>>,
}

/// The thread's own state.
pub(crate) struct Clerk {
    kind: Kind,
    config: Config,
    store: Store,
    spool: Spool,
    ends: Ends,
    /// Runs whose results are not yet files.
    endings: Vec<Ending>,
    /// Rows that are not yet marked.
    marks: Vec<Mark>,
    /// Claimed runs whose rows have not left `running`.
    held: usize,
    capacity: usize,
    /// Whether the loop has been told what is due, for the first time.
    looked: bool,
    draining: bool,
    outage: Outage,
}

impl Clerk {
    /// A clerk with nothing to do yet.
    pub(crate) fn new(kind: Kind, config: &Config, spool: &Spool, ends: Ends) -> Self {
        Self {
            kind,
            capacity: 2 * config.side_by_side + RESERVE,
            store: Store::of(&config.database, PATIENCE),
            config: config.clone(),
            spool: spool.clone(),
            ends,
            endings: Vec::new(),
            marks: Vec::new(),
            held: 0,
            looked: false,
            draining: false,
            outage: Outage::default(),
        }
    }

    /// Works until the loop closes its end, and all that was handed over is written or cannot be.
    pub(crate) fn work(&mut self) {
        let mut open = true;
        let mut rest = Duration::ZERO;
        while open {
            open = self.gather(rest);
            // Nobody would carry out what the last round claims.
            self.draining |= !open;
            let done = self.round();
            let moment = SystemClock.moment();
            let well = self.outage.note(moment.wall, done).is_some();
            *self.ends.health.lock().unwrap_or_else(PoisonError::into_inner) =
                Health { turned: moment.monotonic, outage: self.outage.shown() };
            rest = POLL;
            if !well {
                // The loop wants to know also that nothing can be known.
                self.wake_loop();
            }
            if !well && open {
                // What is handed over meanwhile waits in the channel; the loop goes on.
                clock::pause(POLL / 2);
            }
        }
        self.tell_unwritten();
    }

    /// Waits for a request, at most `rest`, and takes all that are there; says whether more may come.
    fn gather(&mut self, rest: Duration) -> bool {
        let mut request = match self.ends.inbox.recv_timeout(rest) {
            Ok(request) => Some(request),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        while let Some(taken) = request {
            self.take(taken);
            request = self.ends.inbox.try_recv().ok();
        }
        true
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Outcome(Outcome::Ended(ending)) => self.endings.push(*ending),
            Request::Outcome(Outcome::Failed(run, reason)) => {
                self.marks.push(Mark::Failed(run, reason));
            }
            Request::Outcome(Outcome::Missed(run, reason)) => {
                self.marks.push(Mark::Missed(run, reason));
            }
            Request::Outcome(Outcome::PutBack(run)) => self.marks.push(Mark::PutBack(run)),
            Request::Drain => self.draining = true,
        }
    }

    /// Writes files, then marks rows and claims new ones in one transaction.
    fn round(&mut self) -> Result<(), String> {
        let published = self.publish();
        let marked = self.mark_and_claim();
        published.and(marked)
    }

    fn publish(&mut self) -> Result<(), String> {
        if self.endings.is_empty() {
            return Ok(());
        }
        let data = self.spool.data().display().to_string();
        self.spool.publish(&mut self.endings, self.config.most_output).map_err(|error| {
            format!("writing results to {data}: {error}; they are kept meanwhile")
        })?;
        let finished = self.endings.drain(..).map(|ending| {
            let Ending { order, started, ended_at, ended, .. } = ending;
            Mark::Finished(Box::new((order, started, ended_at, ended.remark())))
        });
        self.marks.extend(finished);
        Ok(())
    }

    fn mark_and_claim(&mut self) -> Result<(), String> {
        let now = SystemClock.now();
        let leaving = self.marks.len();
        let room = self.capacity.saturating_sub(self.held - leaving.min(self.held));
        let room = if self.draining { 0 } else { room };
        let (marks, who) = (&self.marks, self.kind.claimant(&self.config));
        let explain = |error: store::Error| error.to_string();
        let idle = leaving == 0
            && (room == 0
                || !self
                    .store
                    .read(|session| store::any_claimable(session, &who, now, now + CLAIM_AHEAD))
                    .map_err(explain)?);
        if idle {
            self.hand_out(Vec::new());
            return Ok(());
        }
        let claimed = self.store.transaction(|session| {
            marks.iter().try_for_each(|mark| mark.write(session))?;
            if room == 0 {
                Ok(Vec::new())
            } else {
                store::claim(session, &who, now, now + CLAIM_AHEAD, room)
            }
        });
        let claimed = claimed.map_err(explain)?;
        self.marks.clear();
        self.held -= leaving.min(self.held);
        self.hand_out(claimed);
        Ok(())
    }

    fn hand_out(&mut self, claimed: Vec<store::Claimed>) {
        self.held += claimed.len();
        let mut orders = Vec::with_capacity(claimed.len());
        for claim in claimed {
            match claim {
                Ok(order) => orders.push(order),
                Err((run, fault)) => self.marks.push(Mark::Failed(run, fault)),
            }
        }
        if (!self.looked || !orders.is_empty()) && self.ends.outbox.send(orders).is_ok() {
            self.looked = true;
            self.wake_loop();
        }
    }

    fn wake_loop(&self) {
        // A counter that is full is readable as well: the loop wakes in any case.
        let _ = rustix::io::write(&self.ends.wake, &1_u64.to_ne_bytes());
    }

    /// Tells what could not be written when the daemon ends.
    fn tell_unwritten(&self) {
        let (results, rows) = (self.endings.len(), self.marks.len());
        if results + rows > 0 {
            log::error!(
                "{results} results and {rows} marks could not be written; the next start closes their rows"
            );
        }
    }
}

impl Mark {
    /// A row that is no longer ours to change was closed by somebody else, who said why.
    fn write(&self, session: &mut dyn Session) -> Result<(), store::Error> {
        match self {
            Self::Finished(run) => {
                let (order, started, ended, remark) = run.as_ref();
                store::finish(session, order, (*started, *ended), remark.as_deref()).map(|_| ())
            }
            Self::Failed(run, reason) => store::fail(session, *run, reason).map(|_| ()),
            Self::Missed(run, reason) => store::miss(session, *run, reason).map(|_| ()),
            Self::PutBack(run) => store::put_back(session, *run).map(|_| ()),
        }
    }
}
