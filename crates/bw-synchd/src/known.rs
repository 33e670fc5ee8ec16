//! What the database knows of the runs that wait, at a moment.

use std::{collections::BTreeMap, time::Duration};

use station::{
    text::Timestamp,
    words::{
        allowance::{self, Use},
        config::{Config, Group},
    },
    world::{
        store::{self, Error, Session, Waiting},
        turn::{ENDING, LEAD},
    },
};

use crate::choose::{self, Choice, Scene};

/// So many runs that wait are looked at; the rest waits unseen until these are fewer.
const MOST: usize = 1_000;

/// What the database knows.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) waiting: Vec<Waiting>,
    served: BTreeMap<String, Timestamp>,
    leased: BTreeMap<String, (String, Timestamp)>,
    used: Vec<(i64, String, Use)>,
    expected: BTreeMap<i64, Use>,
}

impl Known {
    /// Looks at what is due until `until`.
    pub(crate) fn look(
        session: &mut dyn Session,
        config: &Config,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Self, Error> {
        let station = config.node.as_str();
        let waiting = store::waiting_alone(session, station, until, MOST)?;
        if waiting.is_empty() {
            return Ok(Self::default());
        }
        let mut known = Self {
            leased: store::held_elsewhere(session, station, now)?,
            waiting,
            ..Self::default()
        };
        known.look_at_targets(session, station)?;
        known.look_at_limits(session, config, now)?;
        Ok(known)
    }

    fn look_at_targets(&mut self, session: &mut dyn Session, station: &str) -> Result<(), Error> {
        // One alone need not be compared with anybody.
        if self.waiting.len() == 1 {
            return Ok(());
        }
        for waiting in &self.waiting {
            if self.served.contains_key(&waiting.dest) {
                continue;
            }
            if let Some(at) = store::last_served(session, station, &waiting.dest)? {
                self.served.insert(waiting.dest.clone(), at);
            }
        }
        Ok(())
    }

    fn look_at_limits(
        &mut self,
        session: &mut dyn Session,
        config: &Config,
        now: Timestamp,
    ) -> Result<(), Error> {
        let limited = self.limited(config);
        if limited.is_empty() {
            return Ok(());
        }
        let (station, day) = (config.node.as_str(), allowance::day_of(now));
        self.used = store::used_since(session, station, day)?;
        for (spec, limit) in limited {
            // One that was held up for long says nothing of the next.
            let most = LEAD + limit + ENDING;
            let last = store::expected_use(session, spec)?;
            let last = last.map_or(Use { bytes: 0, time: limit }, |last| Use {
                time: last.time.min(most),
                ..last
            });
            self.expected.insert(spec, last);
        }
        // The one that goes on is going to use up as much as the one before it.
        for (spec, dest) in store::going_on(session, station, day)? {
            let likely = store::expected_use(session, spec)?.unwrap_or_default();
            self.used.push((spec, dest, likely));
        }
        Ok(())
    }

    /// The specifications that are limited, by themselves or in a group, with the limit of one run.
    fn limited(&self, config: &Config) -> BTreeMap<i64, Duration> {
        let is_in_group = |dest: &str| {
            let mut nodes = config.groups.iter().flat_map(|group| &group.nodes);
            nodes.any(|node| node.as_str() == dest)
        };
        let plans = self.waiting.iter().filter_map(|waiting| {
            let plan = waiting.plan.as_ref().ok()?;
            (is_in_group(&waiting.dest) || !plan.allowance.is_free()).then_some(&plan.order)
        });
        plans.map(|order| (order.spec_id, order.limit)).collect()
    }

    /// Who goes next, and who goes no more.
    pub(crate) fn choose(&self, now: Timestamp, groups: &[Group]) -> Choice {
        choose::choose(&Scene {
            now,
            waiting: &self.waiting,
            served: &self.served,
            leased: &self.leased,
            used: &self.used,
            expected: &self.expected,
            groups,
        })
    }
}
