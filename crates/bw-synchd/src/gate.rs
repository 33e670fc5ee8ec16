//! What a run must pass before it starts: its time, the lease of its target, the channel's lock, and a
//! look at the machine.

use std::time::Duration;

use station::{
    words::{
        config::{Busy, Config, Group},
        run::Machine,
    },
    world::{
        channel::{self, Channel, Holder},
        clock::{Moment, Monotonic},
        machine::{self, Traffic},
        turn::{ENDING, LEAD},
    },
};

use crate::{PROGRAM, clerk::Next};

/// How often the channel is tried that somebody else has, and a busy machine is looked at.
const RETRIES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));

/// A machine of which it is not known for so long whether it is busy is waited for anew.
const BUSY_IS_FORGOTTEN: Duration = Duration::from_secs(10);

/// What stands between the run that goes next and the channel.
#[derive(Debug, Default)]
pub struct Gate {
    /// Not tried again before.
    again: Monotonic,
    /// What it waits for.
    blocked: Option<String>,
    /// Taken, while the machine is looked at.
    channel: Option<Channel>,
    /// Since when the machine is too busy, and when it was last known to be: a run waits for it only as long as
    /// one before has not.
    busy: Option<(Monotonic, Monotonic)>,
    /// What had gone through the interfaces a while ago, with the channel free.
    traffic: Option<Traffic>,
}

/// Whether a run may start.
#[derive(Debug)]
pub enum Pass {
    /// Not yet.
    Wait,
    /// Not now: another station may measure to its target before it is over, or it is not its hour any more.
    PutBack,
    /// It is not to start at all, for this reason.
    Skip(String),
    /// It may; with the machine's state, and what is wrong with that.
    Go(Channel, Machine, Option<String>),
}

impl Gate {
    /// The channel was given back.
    pub fn close(&mut self, config: &Config, moment: &Moment) {
        self.begin_anew();
        if let Some((_, last)) = &mut self.busy {
            *last = moment.monotonic;
        }
        if config.exclusive.channel != config.paths.keepalives {
            // Other stations try it only so often.
            self.again = moment.monotonic + 2 * RETRIES.0;
        }
    }

    /// Another run, or none, stands before the gate: the channel is nobody's.
    pub fn begin_anew(&mut self) {
        *self = Self { busy: self.busy, ..Self::default() };
    }

    /// How long it is of no use to try.
    #[must_use]
    pub fn rest(&self, moment: &Moment) -> Duration {
        moment.monotonic.until(self.again)
    }

    /// What the run that goes next waits for.
    #[must_use]
    pub fn waits_for(&self) -> Option<&String> {
        self.blocked.as_ref()
    }

    /// Why a run's window passed while it was here.
    #[must_use]
    pub fn reason(&self) -> String {
        self.blocked.clone().unwrap_or_else(|| {
            "another run had the channel, the clock was set forward, or the machine slept, until its window had passed"
                .to_owned()
        })
    }

    /// Tries to let a run pass.
    pub fn pass(&mut self, next: &Next, config: &Config, moment: &Moment) -> Pass {
        self.watch(next, moment);
        let order = &next.plan.order;
        if moment.wall < order.due || moment.monotonic < self.again {
            return Pass::Wait;
        }
        let lease_is_short = moment.wall + LEAD + order.limit + ENDING > next.lease_until;
        if lease_is_short || !is_its_hour(next, config, moment) {
            return Pass::PutBack;
        }
        if self.channel.is_none() && !self.take(next, config, moment) {
            return Pass::Wait;
        }
        self.look(next, config, moment)
    }

    /// Counts what goes through the interfaces while the channel is free, where that is asked for.
    fn watch(&mut self, next: &Next, moment: &Moment) {
        if next.interface.is_some() && self.traffic.is_none() {
            self.traffic = Some(Traffic::count(moment.monotonic));
        }
    }

    fn take(&mut self, next: &Next, config: &Config, moment: &Moment) -> bool {
        let (order, beside) = (&next.plan.order, &next.plan.beside);
        let holder = Holder::of(PROGRAM, config, order, beside, moment.wall);
        let blocked = match channel::take(&config.exclusive.channel, &holder) {
            Ok(Ok(channel)) => {
                // What went through the interfaces before may have been the other's.
                self.traffic = self.traffic.take().filter(|_| self.blocked.is_none());
                (self.channel, self.blocked) = (Some(channel), None);
                return true;
            }
            Ok(Err(who)) => who,
            Err(error) => {
                let folder = config.exclusive.channel.display();
                format!("taking the channel in {folder}: {error}")
            }
        };
        if self.blocked.as_ref() != Some(&blocked) {
            log::info!("run {} waits: {blocked}", order.run);
        }
        self.blocked = Some(blocked);
        self.again = moment.monotonic + RETRIES.0;
        false
    }

    fn look(&mut self, next: &Next, config: &Config, moment: &Moment) -> Pass {
        let Some(machine) = self.machine(next, moment) else { return Pass::Wait };
        let limits = &config.exclusive;
        let over = machine::over(&machine, limits, machine::processors());
        if let Some(over) = &over {
            self.blocked = Some(format!("the machine was busy: {over}"));
            if self.busy_for(moment.monotonic) < limits.busy_wait {
                self.again = moment.monotonic + RETRIES.1.min(limits.busy_wait);
                return Pass::Wait;
            }
            if limits.busy == Busy::Skip {
                return Pass::Skip(self.reason());
            }
        } else {
            self.busy = None;
        }
        let Some(channel) = self.channel.take() else { return Pass::Wait };
        self.begin_anew();
        Pass::Go(channel, machine, over)
    }

    /// How long the machine has been busy.
    fn busy_for(&mut self, now: Monotonic) -> Duration {
        let known = self.busy.filter(|(_, last)| last.until(now) < BUSY_IS_FORGOTTEN);
        let (since, _) = known.unwrap_or((now, now));
        self.busy = Some((since, now));
        since.until(now)
    }

    /// The state of the machine; nothing while the time is too short to tell the traffic.
    fn machine(&mut self, next: &Next, moment: &Moment) -> Option<Machine> {
        let machine = machine::look();
        let Some(interface) = &next.interface else { return Some(machine) };
        let before = self.traffic.get_or_insert_with(|| Traffic::count(moment.monotonic));
        let least = before.at() + machine::SHORTEST;
        if moment.monotonic < least {
            self.again = least;
            return None;
        }
        let now = Traffic::count(moment.monotonic);
        let traffic_bps = before.rate_to(&now, interface);
        self.traffic = Some(now);
        Some(Machine { interface: Some(interface.clone()), traffic_bps, ..machine })
    }
}

/// Whether a run may start at this hour: it was claimed a little before.
fn is_its_hour(next: &Next, config: &Config, moment: &Moment) -> bool {
    let dest = next.plan.order.node.as_str();
    let is_within = |group: &&Group| group.nodes.iter().any(|node| node.as_str() == dest);
    let groups = config.groups.iter().filter(is_within).map(|group| &group.allowance);
    groups.chain([&next.plan.allowance]).all(|allowance| allowance.hours.contain(moment.wall))
}
