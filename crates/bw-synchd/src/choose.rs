//! Who has the channel next: a plain function from what waits and what is known to a choice.

use std::collections::BTreeMap;

use station::{
    text::Timestamp,
    words::{
        allowance::{Allowance, Use},
        config::Group,
    },
    world::store::Waiting,
};

/// What is known at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The time.
    pub now: Timestamp,
    /// The runs that wait, those that are due first before the others.
    pub waiting: &'a [Waiting],
    /// When each target last was measured to; targets that never were are not in it.
    pub served: &'a BTreeMap<String, Timestamp>,
    /// The targets that another station measures to: which, and until when.
    pub leased: &'a BTreeMap<String, (String, Timestamp)>,
    /// What each specification has used up this day, with its target.
    pub used: &'a [(i64, String, Use)],
    /// What a run of a specification is likely to use, for those with a limit.
    pub expected: &'a BTreeMap<i64, Use>,
    /// Targets that are limited together.
    pub groups: &'a [Group],
}

/// What becomes of the runs that wait; each is named by its place among them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The one that goes next.
    pub next: Option<usize>,
    /// Those whose window has passed; and why they were held back at last, if they were.
    pub missed: Vec<(usize, Option<String>)>,
    /// Those that cannot be carried out, and why.
    pub faulty: Vec<(usize, String)>,
}

/// Chooses. What is due goes before what is not yet due; of what is due, the target that has waited longest for
/// its turn; of several runs to a target, the one that was due first.
#[must_use]
pub fn choose(scene: &Scene<'_>) -> Choice {
    let mut choice = Choice::default();
    let mut able = Vec::new();
    for (place, waiting) in scene.waiting.iter().enumerate() {
        match (&waiting.plan, scene.objection(waiting)) {
            (Err(fault), _) => choice.faulty.push((place, fault.clone())),
            (Ok(_), why) if waiting.latest < scene.now => choice.missed.push((place, why)),
            (Ok(_), Some(_)) => {}
            (Ok(_), None) => able.push(place),
        }
    }
    choice.next = able.into_iter().min_by_key(|place| {
        let waiting = &scene.waiting[*place];
        let is_due = waiting.due <= scene.now;
        let served = scene.served.get(&waiting.dest).filter(|_| is_due);
        (!is_due, served, waiting.due, waiting.run.schedule_id)
    });
    choice
}

impl Scene<'_> {
    /// Why a run may not start now, if it may not.
    fn objection(&self, waiting: &Waiting) -> Option<String> {
        self.leased_away(waiting)
            .or_else(|| self.put_off(waiting))
            .or_else(|| self.used_up(waiting))
    }

    fn leased_away(&self, waiting: &Waiting) -> Option<String> {
        let (station, until) = self.leased.get(&waiting.dest)?;
        Some(format!("the station {station} measures to {}, until {until} at most", waiting.dest))
    }

    fn put_off(&self, waiting: &Waiting) -> Option<String> {
        let put_off = waiting.not_before > self.now;
        put_off.then(|| format!("it was to be tried again at {}", waiting.not_before))
    }

    fn used_up(&self, waiting: &Waiting) -> Option<String> {
        let plan = waiting.plan.as_ref().ok()?;
        let id = plan.order.spec_id;
        let next = self.expected.get(&id).copied().unwrap_or_default();
        let own = self.sum(|(spec, _, _)| *spec == id);
        let objection = |allowance: &Allowance, used| allowance.objection(self.now, used, next);
        let of_group = |group: &Group| {
            let within = |dest: &String| group.nodes.iter().any(|node| node.as_str() == dest);
            let used = || self.sum(|(_, dest, _)| within(dest));
            let told = |why| format!("group {}: {why}", group.name);
            within(&waiting.dest).then(|| objection(&group.allowance, used()).map(told)).flatten()
        };
        objection(&plan.allowance, own).or_else(|| self.groups.iter().find_map(of_group))
    }

    fn sum(&self, of: impl Fn(&(i64, String, Use)) -> bool) -> Use {
        let counted = self.used.iter().filter(|entry| of(entry));
        counted.map(|(_, _, used)| *used).fold(Use::default(), Use::and)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use station::{
        words::{allowance::Volume, run::RunId},
        world::{probe::Order, store::Plan},
    };

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn waiting(id: i64, dest: &str, due: i64, latest: i64) -> Waiting {
        let second = |seconds: i64| Timestamp(NOW.0 + seconds * 1_000_000);
        let order = Order {
            run: RunId { schedule_id: id, attempt: 1 },
            spec_id: id,
            tool: "iperf".to_owned(),
            node: dest.to_owned(),
            argv: vec![],
            due: second(due),
            latest: second(latest),
            limit: Duration::from_secs(30),
        };
        Waiting {
            run: RunId { schedule_id: id, attempt: 0 },
            dest: dest.to_owned(),
            tool: "iperf".to_owned(),
            due: second(due),
            latest: second(latest),
            not_before: Timestamp(i64::MIN),
            reason: String::new(),
            plan: Ok(Plan {
                order,
                target: dest.to_owned(),
                beside: vec![],
                allowance: Allowance::default(),
            }),
        }
    }

    #[derive(Default)]
    struct Known {
        served: BTreeMap<String, Timestamp>,
        leased: BTreeMap<String, (String, Timestamp)>,
        used: Vec<(i64, String, Use)>,
        expected: BTreeMap<i64, Use>,
        groups: Vec<Group>,
    }

    impl Known {
        fn choose(&self, waiting: &[Waiting]) -> Choice {
            choose(&Scene {
                now: NOW,
                waiting,
                served: &self.served,
                leased: &self.leased,
                used: &self.used,
                expected: &self.expected,
                groups: &self.groups,
            })
        }

        fn served(mut self, dest: &str, ago: i64) -> Self {
            self.served.insert(dest.to_owned(), Timestamp(NOW.0 - ago * 1_000_000));
            self
        }
    }

    #[test]
    fn what_is_due_goes_in_the_order_of_its_time() {
        let runs = [waiting(1, "a", 3, 99), waiting(2, "b", -1, 99), waiting(3, "c", 1, 99)];
        assert_eq!(Known::default().choose(&runs).next, Some(1));
        assert_eq!(Known::default().choose(&runs[..1]).next, Some(0), "ahead of its time");
        assert_eq!(Known::default().choose(&[]), Choice::default());
    }

    #[test]
    fn of_what_is_late_the_target_that_waited_longest_goes_first() {
        let runs = [waiting(1, "a", -30, 99), waiting(2, "b", -20, 99), waiting(3, "a", -10, 99)];
        let known = || Known::default().served("a", 5).served("b", 500);
        assert_eq!(known().choose(&runs).next, Some(1));
        assert_eq!(known().served("b", 1).choose(&runs).next, Some(0));
        let never = waiting(4, "new", -1, 99);
        assert_eq!(known().choose(&[runs[0].clone(), never]).next, Some(1));
    }

    #[test]
    fn what_waited_too_long_is_missed_with_what_held_it() {
        let mut put_off = waiting(2, "b", -60, -1);
        put_off.not_before = Timestamp(NOW.0 + 1_000_000);
        let choice = Known::default().choose(&[waiting(1, "a", -60, -1), put_off]);
        let why = format!("it was to be tried again at {}", Timestamp(NOW.0 + 1_000_000));
        assert_eq!(choice.missed, [(0, None), (1, Some(why))]);
        assert_eq!(choice.next, None);
    }

    #[test]
    fn a_target_that_another_station_measures_to_waits() {
        let mut known = Known::default();
        known.leased.insert("a".to_owned(), ("other".to_owned(), NOW));
        let choice = known.choose(&[waiting(1, "a", -1, 99), waiting(2, "b", 0, 99)]);
        assert_eq!(choice.next, Some(1));
        let choice = known.choose(&[waiting(1, "a", -9, -1)]);
        assert!(
            choice.missed[0].1.as_ref().is_some_and(|why| why.starts_with("the station other"))
        );
    }

    #[test]
    fn a_row_that_is_none_is_told_and_holds_up_nobody() {
        let wrong = Waiting { plan: Err("no".to_owned()), ..waiting(1, "a", -5, 99) };
        let choice = Known::default().choose(&[wrong, waiting(2, "b", -1, 99)]);
        assert_eq!((choice.faulty, choice.next), (vec![(0, "no".to_owned())], Some(1)));
    }

    #[test]
    fn what_has_used_up_its_day_waits_by_itself_and_with_its_group() {
        let used = |bytes| Use { bytes, time: Duration::ZERO };
        let most = |bytes| Allowance { bytes: Some(Volume(bytes)), ..Allowance::default() };
        let mut limited = waiting(1, "a", -5, 99);
        if let Ok(plan) = &mut limited.plan {
            plan.allowance = most(100);
        }
        let runs = [limited, waiting(2, "b", -1, 99)];
        let mut known = Known { used: vec![(1, "a".to_owned(), used(90))], ..Known::default() };
        assert_eq!(known.choose(&runs).next, Some(0));
        known.expected.insert(1, used(20));
        assert_eq!(known.choose(&runs).next, Some(1));
        let [name, a, b] = ["far", "a", "b"].map(|name| name.parse().expect("a name"));
        known.groups = vec![Group { name, nodes: vec![a, b], allowance: most(80) }];
        assert_eq!(known.choose(&runs).next, None);
    }

    proptest! {
        #[test]
        fn no_target_is_passed_over_for_ever(turns in prop::collection::vec(0..5_usize, 1..40)) {
            // Five targets that are all late, again and again: each has its turn within five.
            let mut known = Known::default();
            let runs: Vec<Waiting> =
                (0..5).map(|n| waiting(n, &format!("t{n}"), -9 - n, 99)).collect();
            let mut order = Vec::new();
            for (turn, _) in turns.iter().enumerate() {
                let next = known.choose(&runs).next.expect("all are late");
                order.push(next);
                let at = Timestamp(NOW.0 - 1_000_000 + i64::try_from(turn).expect("few"));
                known.served.insert(runs[next].dest.clone(), at);
            }
            for window in order.windows(5) {
                let mut seen = window.to_vec();
                seen.sort_unstable();
                seen.dedup();
                prop_assert_eq!(seen.len(), 5);
            }
        }
    }
}
