//! One run's turn: the channel is its own, a ping may go beside it.
//!
//! ```text
//! the ping alone (LEAD) -> the test, and the ping beside it -> the ping is asked to end -> over
//! ```

use std::{os::fd::BorrowedFd, time::Duration};

use super::{
    channel::Channel,
    clock::{self, Clock, Moment, Monotonic, SystemClock},
    probe::{Company, Ending, Order, Running},
    sockets::{self, Unsent},
    store::Plan,
    strays,
};
use crate::{
    text::Timestamp,
    words::{config::Config, run::Machine},
};

/// So long the ping beside a test goes alone before: what it sees then is the delay without load.
pub const LEAD: Duration = Duration::from_secs(1);
/// So long it takes at most to end what will not end: TERM, KILL, and the kernel's time for both processes.
pub const ENDING: Duration = Duration::from_secs(25);

/// How long what a run has left outside of its group may take to end.
const STRAYS: (u32, Duration) = (400, Duration::from_millis(5));

/// A run that has the channel. Who makes one has called [`strays::adopt`].
#[derive(Debug)]
pub struct Turn {
    program: &'static str,
    order: Box<Order>,
    company: Company,
    test: Test,
    beside: Option<Running>,
    since: Timestamp,
    /// What was still being sent of others when it began.
    unsent: Unsent,
    /// Given back when the turn is dropped.
    _channel: Channel,
}

#[derive(Debug)]
enum Test {
    Waits(Monotonic),
    Runs(Running),
    Over(Ending),
    Failed(String),
}

/// What has come of a turn.
#[derive(Debug)]
pub enum End {
    /// The run's process has ended.
    Ended(Box<Ending>),
    /// It could not be started.
    Failed(Box<Order>, String),
}

impl Turn {
    /// Begins a turn: starts the run, or the ping beside it.
    #[must_use]
    pub fn begin(
        program: &'static str,
        plan: Plan,
        channel: Channel,
        (machine, unclean): (Machine, Option<String>),
        config: &Config,
        moment: &Moment,
    ) -> Self {
        let mut company = Company { machine, unclean, beside: None };
        let beside = beside(program, &plan, config, moment, &mut company.unclean);
        let lead = if beside.is_some() { LEAD } else { Duration::ZERO };
        let mut turn = Self {
            program,
            order: Box::new(plan.order),
            company,
            test: Test::Waits(moment.monotonic + lead),
            beside,
            since: moment.wall,
            unsent: sockets::unsent(),
            _channel: channel,
        };
        turn.start(config, moment);
        turn
    }

    /// The run.
    #[must_use]
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// How the machine was before it.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.company.machine
    }

    /// When it got the channel.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Readable when one of its processes has ended.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.running().map(Running::fd)
    }

    /// When there is something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        let start = if let Test::Waits(until) = self.test { Some(until) } else { None };
        self.running().map(Running::deadline).chain(start).min()
    }

    fn running(&self) -> impl Iterator<Item = &Running> {
        let test = if let Test::Runs(running) = &self.test { Some(running) } else { None };
        test.into_iter().chain(&self.beside)
    }

    /// Whether a process is one of its own.
    #[must_use]
    pub fn is_own(&self, pid: i32) -> bool {
        self.running().any(|running| running.pid() == pid)
    }

    /// Starts the test when its time has come.
    fn start(&mut self, config: &Config, moment: &Moment) {
        if !matches!(self.test, Test::Waits(until) if moment.monotonic >= until) {
            return;
        }
        self.test = match self.order.start(self.program, config, moment) {
            Ok(running) => Test::Runs(running),
            Err(reason) => Test::Failed(reason),
        };
    }

    /// Starts, ends and takes in what is to be; says whether the turn is over.
    pub fn advance(&mut self, config: &Config, moment: &Moment) -> bool {
        self.start(config, moment);
        let over = |running: &Running| running.is_stuck() || running.has_ended();
        self.test = match std::mem::replace(&mut self.test, Test::Failed(String::new())) {
            Test::Runs(running) => match pushed(running, config, moment, over) {
                Ok(ending) => Test::Over(ending),
                Err(running) => Test::Runs(*running),
            },
            other => other,
        };
        let is_over = matches!(self.test, Test::Over(_) | Test::Failed(_));
        if let Some(mut beside) = self.beside.take() {
            if is_over {
                beside.ask_to_end(moment.monotonic);
            }
            match pushed(beside, config, moment, over) {
                Ok(ending) => self.company.beside = Some(ending),
                Err(beside) => self.beside = Some(*beside),
            }
        }
        is_over && self.beside.is_none()
    }

    /// Ends it whatever its processes do, and gives the channel back when they are gone.
    pub fn kill(mut self, config: &Config) {
        self.kill_processes(config);
        self.clear();
    }

    /// Has its processes killed, and takes in how they ended.
    fn kill_processes(&mut self, config: &Config) {
        // A test that still waits would be started below when its time comes, and nobody would kill it.
        if let Test::Waits(_) = self.test {
            self.test = Test::Failed("interrupted before it was started".to_owned());
        }
        self.running().for_each(Running::kill);
        while !self.advance(config, &SystemClock.moment()) {
            clock::pause(STRAYS.1);
        }
    }

    /// Nothing of the run is there any more, neither a process nor what one has given to the kernel to send.
    fn clear(&self) {
        end_strays();
        sockets::wait_until_sent(&self.unsent);
    }

    /// What came of it; whatever it has started is gone, and the channel free, when this returns. To be called
    /// when it is over.
    #[must_use]
    pub fn end(self) -> End {
        self.clear();
        match self.test {
            Test::Over(ending) => {
                End::Ended(Box::new(Ending { alone: Some(Box::new(self.company)), ..ending }))
            }
            Test::Failed(reason) => End::Failed(self.order, reason),
            Test::Waits(_) | Test::Runs(_) => {
                End::Failed(self.order, "its turn ended before it did".to_owned())
            }
        }
    }
}

/// The ping beside a run, started; if it cannot be, the run's reading says so.
fn beside(
    program: &str,
    plan: &Plan,
    config: &Config,
    moment: &Moment,
    unclean: &mut Option<String>,
) -> Option<Running> {
    if plan.beside.is_empty() {
        return None;
    }
    let run = &plan.order;
    let limit = LEAD + run.limit + ENDING;
    let tool = "ping".to_owned();
    let order = Order { tool, argv: plan.beside.clone(), limit, ..run.clone() };
    match order.start(program, config, moment) {
        Ok(running) => Some(running),
        Err(reason) => {
            let told = format!("no ping beside it: {reason}");
            *unclean =
                Some(unclean.take().map_or(told.clone(), |before| format!("{before}; {told}")));
            None
        }
    }
}

/// Goes on ending a process that has had its time; its result if it has ended.
fn pushed(
    mut running: Running,
    config: &Config,
    moment: &Moment,
    over: impl Fn(&Running) -> bool,
) -> Result<Ending, Box<Running>> {
    running.check_output(config.most_output, moment.monotonic);
    running.insist(moment.monotonic);
    if !over(&running) {
        return Err(Box::new(running));
    }
    if running.is_stuck() {
        log::error!("run {}: a process of it cannot be killed", running.order().run);
    }
    running.end(&SystemClock.moment())
}

/// Ends what a run that is over has left outside of its group, and waits until it is gone.
fn end_strays() {
    let (looks, pause) = STRAYS;
    for _ in 0..looks {
        if !strays::end(|_| false, |_| false, || false) {
            return;
        }
        clock::pause(pause);
    }
    log::error!("what a run left running cannot be ended");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        words::{allowance::Allowance, run::RunId},
        world::channel::{self, Holder},
    };

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn plan(argv: &[&str], beside: &[&str]) -> Plan {
        let order = Order {
            run: RunId { schedule_id: 7, attempt: 1 },
            spec_id: 1,
            tool: "iperf".to_owned(),
            node: "far".to_owned(),
            argv: words(argv),
            due: Timestamp(0),
            latest: Timestamp(0),
            limit: Duration::from_secs(60),
        };
        let target = "192.0.2.1".to_owned();
        Plan { order, target, beside: words(beside), allowance: Allowance::default() }
    }

    // `kill` itself, and `end`, end all children of this process, those of other tests among them.
    #[test]
    fn a_turn_that_is_killed_while_the_ping_goes_alone_never_starts_its_test() {
        let home = tempfile::tempdir().expect("a folder");
        let config = Config::default_at(home.path());
        let moment = SystemClock.moment();
        let plan = plan(&["true"], &["sleep", "600"]);
        let holder = Holder::of("iepm", &config, &plan.order, &plan.beside, moment.wall);
        let channel = channel::take(home.path(), &holder).expect("a lock").expect("free");
        let machine = (Machine::default(), None);
        let mut turn = Turn::begin("iepm", plan, channel, machine, &config, &moment);
        assert!(matches!(turn.test, Test::Waits(_)), "{turn:?}");
        turn.kill_processes(&config);
        assert!(
            matches!(&turn.test, Test::Failed(why) if why == "interrupted before it was started"),
            "{turn:?}"
        );
        assert!(turn.beside.is_none() && turn.company.beside.is_some(), "{turn:?}");
    }
}
