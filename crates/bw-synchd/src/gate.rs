//! What a run must pass before it starts: its time, the lease of its target, the channel's lock, and a
//! look at the machine.

use std::time::Duration;

use station::{
    words::{
        config::{Busy, Config},
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

/// What stands between the run that goes next and the channel.
#[derive(Debug, Default)]
pub struct Gate {
    /// Not tried again before.
    again: Monotonic,
    /// What it waits for.
    blocked: Option<String>,
    /// Taken, while the machine is looked at.
    channel: Option<Channel>,
    /// Since when the machine is too busy: a run waits for it only as long as one before has not.
    busy_since: Option<Monotonic>,
    /// What had gone through the interfaces when the channel was last known to be free.
    traffic: Option<Traffic>,
}

/// Whether a run may start.
#[derive(Debug)]
pub enum Pass {
    /// Not yet.
    Wait,
    /// Another station may measure to its target before it is over.
    LeaseOver,
    /// It is not to start at all, for this reason.
    Skip(String),
    /// It may; with the machine's state, and what is wrong with that.
    Go(Channel, Machine, Option<String>),
}

impl Gate {
    /// The channel was given back: what goes through the interfaces from now on is others'.
    pub fn close(&mut self, moment: &Moment) {
        self.begin_anew();
        self.traffic = self.traffic.is_some().then(|| Traffic::count(moment.monotonic));
    }

    /// The next run stands before the gate.
    fn begin_anew(&mut self) {
        let (busy_since, traffic) = (self.busy_since, self.traffic.take());
        *self = Self { busy_since, traffic, ..Self::default() };
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
        if moment.wall + LEAD + order.limit + ENDING > next.lease_until {
            self.begin_anew();
            return Pass::LeaseOver;
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
                self.channel = Some(channel);
                self.blocked = None;
                return true;
            }
            Ok(Err(who)) => who,
            Err(error) => {
                let folder = config.exclusive.channel.display();
                format!("taking the channel in {folder}: {error}")
            }
        };
        if self.blocked.as_ref() != Some(&blocked) {
            log::warn!("run {} waits: {blocked}", order.run);
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
            let since = *self.busy_since.get_or_insert(moment.monotonic);
            self.blocked = Some(format!("the machine was busy: {over}"));
            if since.until(moment.monotonic) < limits.busy_wait {
                self.again = moment.monotonic + RETRIES.1.min(limits.busy_wait);
                return Pass::Wait;
            }
            if limits.busy == Busy::Skip {
                let why = self.reason();
                self.begin_anew();
                return Pass::Skip(why);
            }
        } else {
            self.busy_since = None;
        }
        let Some(channel) = self.channel.take() else { return Pass::Wait };
        self.begin_anew();
        Pass::Go(channel, machine, over)
    }

    /// The state of the machine; nothing while the time is too short to tell the traffic.
    fn machine(&mut self, next: &Next, moment: &Moment) -> Option<Machine> {
        let machine = machine::look();
        let Some((interface, before)) = next.interface.as_ref().zip(self.traffic.as_ref()) else {
            return Some(machine);
        };
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
