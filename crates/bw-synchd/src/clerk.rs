//! What the daemon's [ledger] does: it writes down what became of runs, and claims the
//! one that goes next while another has the channel, so that the channel never waits for the database.

use std::time::Duration;

use station::{
    ledger::{self, Doubts},
    text::Timestamp,
    words::{
        config::Config,
        run::{Machine, RunId},
    },
    world::{
        clock::{Clock, Moment, SystemClock},
        elsewhere, machine,
        probe::{Ending, Order},
        spool::Spool,
        store::{self, Error, Holder, Plan, Store, Try, Waiting},
        turn::{ENDING, LEAD},
    },
};

use crate::{
    CLAIM_AHEAD, PROGRAM,
    choose::Choice,
    judge::{self, Verdict},
    known::Known,
    marks::{self, Mark},
    missed,
};

/// How long one transaction may wait for others.
const PATIENCE: Duration = Duration::from_secs(6);
/// A lease lasts so much longer than what it is for: clocks of stations differ.
const MARGIN: Duration = Duration::from_secs(30);

/// What the loop hands over.
#[derive(Debug)]
pub enum Request {
    /// The process of the run has been started.
    Started(Box<Order>, Timestamp, Machine),
    /// It has ended.
    Ended(Box<Ending>),
    /// The run could not be started.
    Failed(Box<Order>, String),
    /// Its window passed while it waited for the channel, or it was not to start on a busy machine.
    Missed(Box<Order>, String),
    /// The run that goes next cannot have the channel yet: which, and why.
    Blocked(String),
    /// It was not started, or was ended with the daemon, then: somebody else may take it.
    PutBack(Box<Order>, Option<Timestamp>),
}

impl Request {
    /// The run that it is about.
    fn run(&self) -> Option<RunId> {
        match self {
            Self::Started(order, ..)
            | Self::Failed(order, _)
            | Self::Missed(order, _)
            | Self::PutBack(order, _) => Some(order.run),
            Self::Ended(ending) => Some(ending.order.run),
            Self::Blocked(_) => None,
        }
    }
}

/// What the loop is told.
#[derive(Debug)]
pub enum Answer {
    /// This run is claimed, and goes next.
    Next(Box<Next>),
    /// Nothing is due now or soon.
    Nothing,
}

/// The run that goes next.
#[derive(Debug)]
pub struct Next {
    /// How it is carried out.
    pub plan: Plan,
    /// The interface that its target is reached by, where its traffic is looked at.
    pub interface: Option<String>,
    /// Until when no other station measures to its target.
    pub lease_until: Timestamp,
}

/// The thread's own state.
pub struct Clerk {
    config: Config,
    store: Store,
    spool: Spool,
    /// Runs whose results are not yet files, and what came of them, side by side.
    endings: Vec<Ending>,
    tries: Vec<Try>,
    /// Rows that are not yet marked.
    marks: Vec<Mark>,
    /// Claims of which nobody knows whether they were made.
    doubts: Doubts<Order>,
    /// The run that the loop has to go next.
    next: Option<RunId>,
    /// What that run waits for.
    blocked: Option<String>,
    /// When what has the channel is over at the latest.
    busy_until: Timestamp,
    /// Whether the loop knows that nothing is due.
    told_nothing: bool,
    draining: bool,
}

impl Clerk {
    /// A clerk with nothing to do yet.
    #[must_use]
    pub fn new(config: &Config, spool: &Spool) -> Self {
        Self {
            store: Store::of(&config.database, PATIENCE),
            config: config.clone(),
            spool: spool.clone(),
            endings: Vec::new(),
            tries: Vec::new(),
            marks: Vec::new(),
            doubts: Doubts::default(),
            next: None,
            blocked: None,
            busy_until: Timestamp(0),
            told_nothing: false,
            draining: false,
        }
    }

    fn end(&mut self, mut ending: Ending) {
        let Verdict { outcome, bytes, again } = judged(&mut ending, self.config.most_output);
        let unclean = ending.alone.as_ref().and_then(|company| company.unclean.clone());
        let order = &ending.order;
        // A daemon that was stopped, or a machine that slept, saw the end late.
        let end = ending.ended_at.min(ending.started + order.limit + ENDING);
        let tried = Try { end, bytes, outcome, unclean };
        let next = judge::next_try(ending.ended_at, order.run.attempt, order.latest);
        if let Some(at) = next.filter(|_| again) {
            self.marks.push(Mark::Again(Box::new(ending.order), at, tried));
        } else {
            self.endings.push(ending);
            self.tries.push(tried);
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
        for (ending, tried) in self.endings.drain(..).zip(self.tries.drain(..)) {
            let times = (ending.started, ending.ended_at);
            let remark = ending.ended.remark();
            self.marks.push(Mark::Finished(Box::new(ending.order), times, remark, tried));
        }
        Ok(())
    }

    /// Writes marks, ends what waited too long, and claims the run that goes next if the loop has none.
    fn mark_and_claim(&mut self) -> Result<Option<Answer>, Error> {
        let moment = SystemClock.moment();
        let now = moment.wall;
        let known = {
            let config = &self.config;
            self.store.read(|session| Known::look(session, config, now, now + CLAIM_AHEAD))?
        };
        let mut choice = known.choose(now, &self.config.groups);
        if elsewhere::is_set(&self.config.paths.keepalives) {
            // Who has the station's name now may have made the same claim, and judges what waits.
            self.doubts = Doubts::default();
            choice = Choice::default();
        }
        // What cannot be written down must not become more.
        let may = self.next.is_none() && !self.draining && self.endings.is_empty();
        let next = choice.next.filter(|_| may).map(|place| &known.waiting[place]);
        let idle = self.marks.is_empty()
            && !self.doubts.are_due(moment.monotonic)
            && next.is_none()
            && choice.missed.is_empty()
            && choice.faulty.is_empty();
        if idle {
            return Ok(self.nothing());
        }
        let until = next.map_or(now, |next| self.lease_until(now, next));
        let plan = self.write(&known, &choice, next, (moment, until))?;
        Ok(match plan {
            Some(plan) => Some(self.hand_out(plan, until)),
            None => self.nothing(),
        })
    }

    /// Writes all of it in one transaction; gives the plan of the run that goes next, if it is ours then.
    fn write(
        &mut self,
        known: &Known,
        choice: &Choice,
        next: Option<&Waiting>,
        (moment, until): (Moment, Timestamp),
    ) -> Result<Option<Plan>, Error> {
        let (marks, doubts) = (&self.marks, &self.doubts);
        let station = self.config.node.as_str();
        let blocked = self.blocked.as_deref();
        let mut ours = false;
        let done = self.store.transaction(|session| {
            marks.iter().try_for_each(|mark| mark.write(session, station))?;
            let mut doubted = doubts.due(moment.monotonic);
            doubted.try_for_each(|order| marks::undo(session, order, station))?;
            missed::end_waiting(session, station, &known.waiting, choice, blocked)?;
            let who = Holder { station, program: PROGRAM };
            let claim = |next| store::claim_alone(session, who, next, (moment.wall, until));
            ours = next.map_or(Ok(false), claim)?;
            Ok(())
        });
        let plan = next.filter(|_| ours).and_then(|next| next.plan.clone().ok());
        match done {
            Ok(()) => {
                self.marks.clear();
                self.doubts.put_back(moment.monotonic);
                Ok(plan)
            }
            Err(error) => {
                if error.kind() == store::Kind::Away {
                    // Nobody knows whether the claim was committed, and nobody would carry it out.
                    let claimed = plan.map(|plan| (plan.order.run, plan.order));
                    self.doubts.raise(claimed, moment.monotonic);
                }
                Err(error)
            }
        }
    }

    /// Until when the lease of a run's target must last.
    fn lease_until(&self, now: Timestamp, next: &Waiting) -> Timestamp {
        let limit = next.plan.as_ref().map_or(Duration::ZERO, |plan| plan.order.limit);
        let wait = CLAIM_AHEAD + self.config.exclusive.busy_wait + LEAD;
        now.max(self.busy_until) + wait + limit + ENDING + MARGIN
    }

    fn hand_out(&mut self, plan: Plan, lease_until: Timestamp) -> Answer {
        self.next = Some(plan.order.run);
        self.doubts.settle(plan.order.run);
        // A name is looked up here, for that may take long.
        let looked_at = self.config.exclusive.max_traffic.is_some();
        let interface = looked_at.then(|| machine::interface_to(&plan.target)).flatten();
        Answer::Next(Box::new(Next { plan, interface, lease_until }))
    }

    /// Tells the loop once that nothing is due.
    fn nothing(&mut self) -> Option<Answer> {
        let tell = self.next.is_none() && !self.told_nothing;
        self.told_nothing |= tell;
        tell.then_some(Answer::Nothing)
    }
}

impl ledger::Clerk for Clerk {
    type Request = Request;
    type Answer = Answer;

    fn take(&mut self, request: Request) {
        self.told_nothing = false;
        // Whatever becomes of the run that goes next, it goes next no more.
        if request.run().is_some_and(|run| self.next == Some(run)) {
            (self.next, self.blocked) = (None, None);
        }
        match request {
            Request::Blocked(why) => self.blocked = Some(why),
            Request::Started(order, at, machine) => {
                self.busy_until = at + LEAD + order.limit + ENDING;
                self.marks.push(Mark::Started(order, at, machine));
            }
            Request::Ended(ending) => {
                self.busy_until = ending.ended_at;
                self.end(*ending);
            }
            Request::Failed(order, reason) => {
                self.marks.push(Mark::Failed(order, reason, SystemClock.now()));
            }
            Request::Missed(order, reason) => self.marks.push(Mark::Missed(order, reason)),
            Request::PutBack(order, ended) => self.marks.push(Mark::PutBack(order, ended)),
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.doubts.hurry();
    }

    fn round(&mut self) -> (Option<Answer>, Result<(), String>) {
        let published = self.publish();
        match self.mark_and_claim() {
            Ok(answer) => (answer, published),
            Err(error) => (None, published.and(Err(error.to_string()))),
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

/// What came of a run, by what it printed.
fn judged(ending: &mut Ending, most: u64) -> Verdict {
    match ending.printed(most) {
        Ok([(stdout, _), (stderr, _)]) => {
            judge::judge(&ending.order.tool, &stdout, &stderr, &ending.ended)
        }
        Err(error) => Verdict {
            outcome: format!("what it printed cannot be read: {error}"),
            bytes: None,
            again: false,
        },
    }
}
