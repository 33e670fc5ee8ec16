//! What is to start, and when: a value that is told the time and answers with orders.

use std::{collections::BTreeMap, time::Duration};

use station::{text::Timestamp, world::probe::Order};

/// How far ahead of their time runs are claimed: more than two looks at SCHEDULE.
pub const CLAIM_AHEAD: Duration = Duration::from_secs(5);
/// NTP may turn the clock back by so much without a word.
const SLACK: Duration = Duration::from_secs(5);

/// The claimed runs that have not been started, in the order of their times.
#[derive(Debug)]
pub struct Agenda {
    waiting: BTreeMap<(Timestamp, i64), Order>,
    side_by_side: usize,
}

/// What becomes of claimed runs at a moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// To be started now.
    pub start: Vec<Order>,
    /// Their window passed while they waited for others to end.
    pub missed: Vec<Order>,
    /// They are due later than anything that is claimed: the clock was set back. Whoever schedules
    /// has to think again.
    pub too_early: Vec<Order>,
}

impl Agenda {
    /// An empty agenda of a daemon that keeps at most `side_by_side` runs going.
    #[must_use]
    pub fn new(side_by_side: usize) -> Self {
        Self { waiting: BTreeMap::new(), side_by_side }
    }

    /// Takes on claimed runs.
    pub fn add(&mut self, orders: Vec<Order>) {
        self.waiting
            .extend(orders.into_iter().map(|order| ((order.due, order.run.schedule_id), order)));
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes out what is to be done at `now`, while `running` runs are going on.
    pub fn turn(&mut self, now: Timestamp, running: usize) -> Turn {
        let far = (now + CLAIM_AHEAD + SLACK, 0);
        let too_early = self.waiting.split_off(&far).into_values().collect();
        let mut turn = Turn { too_early, ..Turn::default() };
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > now {
                break;
            }
            if entry.get().latest < now {
                turn.missed.push(entry.remove());
            } else if running + turn.start.len() < self.side_by_side {
                turn.start.push(entry.remove());
            } else {
                break;
            }
        }
        turn
    }

    /// When [`Self::turn`] will have something to do, if nothing ends before.
    #[must_use]
    pub fn next(&self, running: usize) -> Option<Timestamp> {
        let (_, order) = self.waiting.first_key_value()?;
        // With no room, the next thing that happens to it without an end of another is that it is missed.
        Some(if running < self.side_by_side {
            order.due
        } else {
            Timestamp(order.latest.0 + 1).max(order.due)
        })
    }

    /// Gives back everything: for a daemon that ends.
    pub fn give_back(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use station::words::run::RunId;

    use super::*;

    fn order(schedule_id: i64, due: i64, latest: i64) -> Order {
        Order {
            run: RunId { schedule_id, attempt: 1 },
            spec_id: schedule_id,
            tool: "ping".to_owned(),
            node: "n".to_owned(),
            argv: vec![],
            due: Timestamp(due),
            latest: Timestamp(latest),
            limit: Duration::from_secs(1),
        }
    }

    const SECOND: i64 = 1_000_000;

    fn ids(orders: &[Order]) -> Vec<i64> {
        orders.iter().map(|order| order.run.schedule_id).collect()
    }

    #[test]
    fn runs_start_in_the_order_of_their_times_and_not_before() {
        let mut agenda = Agenda::new(10);
        agenda.add(vec![order(1, 30, 99), order(2, 10, 99), order(3, 20, 99)]);
        assert_eq!(agenda.next(0), Some(Timestamp(10)));
        assert_eq!(ids(&agenda.turn(Timestamp(20), 0).start), [2, 3]);
        assert_eq!(ids(&agenda.turn(Timestamp(29), 0).start), [] as [i64; 0]);
        assert_eq!(ids(&agenda.give_back()), [1]);
    }

    #[test]
    fn no_more_than_the_limit_run_side_by_side() {
        let mut agenda = Agenda::new(2);
        agenda.add((1..=4).map(|id| order(id, id, 99)).collect());
        assert_eq!(ids(&agenda.turn(Timestamp(50), 1).start), [1]);
        assert_eq!(ids(&agenda.turn(Timestamp(50), 2).start), [] as [i64; 0]);
        assert_eq!(agenda.next(2), Some(Timestamp(100)));
        assert_eq!(ids(&agenda.turn(Timestamp(50), 0).start), [2, 3]);
    }

    #[test]
    fn runs_that_a_clock_set_back_has_moved_far_ahead_are_given_back() {
        let mut agenda = Agenda::new(10);
        agenda
            .add(vec![order(1, 3_600 * SECOND, 3_700 * SECOND), order(2, 4 * SECOND, 60 * SECOND)]);
        let turn = agenda.turn(Timestamp(0), 0);
        assert_eq!((ids(&turn.too_early), turn.start.len()), (vec![1], 0));
        assert_eq!(agenda.next(0), Some(Timestamp(4 * SECOND)));
    }

    #[test]
    fn what_waited_too_long_is_missed_and_holds_up_nobody() {
        let mut agenda = Agenda::new(1);
        agenda.add(vec![order(1, 1, 10), order(2, 2, 20)]);
        let turn = agenda.turn(Timestamp(15), 0);
        assert_eq!((ids(&turn.start), ids(&turn.missed)), (vec![2], vec![1]));
        assert!(agenda.is_empty() && agenda.next(0).is_none());
    }
}
