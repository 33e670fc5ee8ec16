//! What the daemon's [ledger] does: it makes result files, marks rows and claims new
//! ones, all that has gathered meanwhile in one go.
//!
//! What it holds is bounded: every claimed run counts until its row has left `running`, and there are
//! only so many.

use std::time::Duration;

use station::{
    ledger::{self, Doubts},
    text::Timestamp,
    words::{config::Config, run::RunId},
    world::{
        clock::{Clock, Moment, Monotonic, SystemClock},
        elsewhere,
        probe::{Ending, Order},
        spool::Spool,
        store::{self, Finished, Session, Store},
    },
};

use crate::{Kind, agenda::CLAIM_AHEAD};

/// How long one transaction may wait for others.
pub(crate) const PATIENCE: Duration = Duration::from_secs(6);
/// Claimed runs beyond those that can run at once, so that a quick tool never waits for the database.
const RESERVE: usize = 256;

/// What became of a claimed run.
#[derive(Debug)]
pub enum Outcome {
    /// Its process has ended.
    Ended(Box<Ending>),
    /// It could not be started.
    Failed(RunId, String),
    /// Its window passed before it could be started.
    Missed(RunId, String),
    /// It was not started, or was ended with the daemon: somebody else may take it.
    PutBack(RunId),
}

fn run_of(claim: &store::Claimed) -> RunId {
    match claim {
        Ok(order) => order.run,
        Err((run, _)) => *run,
    }
}

/// A row that leaves `running`.
enum Mark {
    Finished(Box<(Order, Timestamp, Timestamp, Option<String>)>),
    Failed(RunId, String),
    Missed(RunId, String),
    PutBack(RunId),
}

/// The thread's own state.
pub struct Clerk {
    kind: Kind,
    config: Config,
    store: Store,
    spool: Spool,
    /// Runs whose results are not yet files.
    endings: Vec<Ending>,
    /// Rows that are not yet marked.
    marks: Vec<Mark>,
    /// Claims of which nobody knows whether they were made.
    doubts: Doubts<RunId>,
    /// Claimed runs whose rows have not left `running`.
    held: usize,
    capacity: usize,
    /// Whether the loop has been told what is due, for the first time.
    looked: bool,
    draining: bool,
}

impl Clerk {
    /// A clerk with nothing to do yet.
    #[must_use]
    pub fn new(kind: Kind, config: &Config, spool: &Spool) -> Self {
        Self {
            kind,
            capacity: 2 * config.side_by_side + RESERVE,
            store: Store::of(&config.database, PATIENCE),
            config: config.clone(),
            spool: spool.clone(),
            endings: Vec::new(),
            marks: Vec::new(),
            doubts: Doubts::default(),
            held: 0,
            looked: false,
            draining: false,
        }
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

    fn mark_and_claim(&mut self) -> Result<Option<Vec<Order>>, String> {
        let moment = SystemClock.moment();
        let elsewhere = elsewhere::is_set(&self.config.paths.keepalives);
        if elsewhere {
            // Who has the station's name now may have made the same claim.
            self.doubts = Doubts::default();
        }
        let room = if self.draining || elsewhere { 0 } else { self.room() };
        let explain = |error: store::Error| error.to_string();
        if self.is_idle(&moment, room).map_err(explain)? {
            return Ok(self.hand_out(Vec::new()));
        }
        let claimed = self.write(&moment, room).map_err(explain)?;
        self.held -= self.marks.len().min(self.held);
        self.marks.clear();
        self.doubts.put_back(moment.monotonic);
        Ok(self.hand_out(claimed))
    }

    /// So many runs may be claimed, once the marks are written.
    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.held - self.marks.len().min(self.held))
    }

    /// Whether there is nothing to write and nothing to claim.
    fn is_idle(&mut self, moment: &Moment, room: usize) -> Result<bool, store::Error> {
        if !self.marks.is_empty() || self.doubts.are_due(moment.monotonic) {
            return Ok(false);
        }
        let (who, now) = (self.kind.claimant(&self.config), moment.wall);
        let any =
            |session: &mut dyn Session| store::any_claimable(session, &who, now, now + CLAIM_AHEAD);
        Ok(room == 0 || !self.store.read(any)?)
    }

    /// Writes all of it in one transaction, and claims at most `room` runs.
    fn write(&mut self, moment: &Moment, room: usize) -> Result<Vec<store::Claimed>, store::Error> {
        let (marks, doubts, now) = (&self.marks, &self.doubts, moment.wall);
        let who = self.kind.claimant(&self.config);
        let mut claimed = Vec::new();
        let done = self.store.transaction(|session| {
            claimed.clear();
            let finished: Vec<_> = marks.iter().filter_map(Mark::finished).collect();
            store::finish_all(session, &finished)?;
            marks.iter().try_for_each(|mark| mark.write(session))?;
            let doubted: Vec<RunId> = doubts.due(moment.monotonic).copied().collect();
            store::put_back_all(session, &doubted)?;
            if room > 0 {
                claimed = store::claim(session, &who, now, now + CLAIM_AHEAD, room)?;
            }
            Ok(())
        });
        if done.as_ref().is_err_and(|error| error.kind() == store::Kind::Away) {
            self.doubt(&claimed, moment.monotonic);
        }
        done.map(|()| claimed)
    }

    /// Has claims put back of which nobody knows whether they were committed, for the connection was lost then:
    /// nobody would carry them out.
    fn doubt(&mut self, claimed: &[store::Claimed], now: Monotonic) {
        self.doubts.raise(claimed.iter().map(run_of).map(|run| (run, run)), now);
    }

    fn hand_out(&mut self, claimed: Vec<store::Claimed>) -> Option<Vec<Order>> {
        self.held += claimed.len();
        let mut orders = Vec::with_capacity(claimed.len());
        for claim in claimed {
            self.doubts.settle(run_of(&claim));
            match claim {
                Ok(order) => orders.push(order),
                Err((run, fault)) => self.marks.push(Mark::Failed(run, fault)),
            }
        }
        let tell = !self.looked || !orders.is_empty();
        self.looked = true;
        tell.then_some(orders)
    }
}

impl ledger::Clerk for Clerk {
    type Request = Outcome;
    type Answer = Vec<Order>;

    fn take(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ended(ending) => self.endings.push(*ending),
            Outcome::Failed(run, reason) => self.marks.push(Mark::Failed(run, reason)),
            Outcome::Missed(run, reason) => self.marks.push(Mark::Missed(run, reason)),
            Outcome::PutBack(run) => self.marks.push(Mark::PutBack(run)),
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.doubts.hurry();
    }

    /// Writes files, then marks rows and claims new ones in one transaction.
    fn round(&mut self) -> (Option<Vec<Order>>, Result<(), String>) {
        let published = self.publish();
        match self.mark_and_claim() {
            Ok(orders) => (orders, published),
            Err(error) => (None, published.and(Err(error))),
        }
    }

    fn tell_unwritten(&self) {
        let doubted = self.doubts.due(SystemClock.moment().monotonic).count();
        let (results, rows) = (self.endings.len(), self.marks.len() + doubted);
        if results + rows > 0 {
            log::error!(
                "{results} results and {rows} marks could not be written; the next start closes their rows"
            );
        }
    }
}

impl Mark {
    /// One of those that are marked all at once.
    fn finished(&self) -> Option<Finished<'_>> {
        let Self::Finished(run) = self else { return None };
        let (order, start, end, reason) = run.as_ref();
        Some(Finished { order, start: *start, end: *end, reason: reason.as_deref() })
    }

    /// A row that is no longer ours to change was closed by somebody else, who said why.
    fn write(&self, session: &mut dyn Session) -> Result<(), store::Error> {
        match self {
            Self::Finished(_) => Ok(()),
            Self::Failed(run, reason) => store::fail(session, *run, reason).map(|_| ()),
            Self::Missed(run, reason) => store::miss(session, *run, reason).map(|_| ()),
            Self::PutBack(run) => store::put_back(session, *run).map(|_| ()),
        }
    }
}
