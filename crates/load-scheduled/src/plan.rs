//! What becomes of one specification in one cycle: a value, decided without a machine.

use std::time::Duration;

use station::{
    text::Timestamp,
    words::{
        grid::{Grid, Slot},
        run::State,
    },
    world::store::{Gap, OpenRun},
};

/// A slot may be this late and still be run: no more than what a cycle, or the end of the run
/// before, can put it off. After an outage this is all that starts at once.
pub const TOLERANCE: Duration = Duration::from_secs(2);

/// The circumstances of a cycle, the same for all specifications.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The time.
    pub now: Timestamp,
    /// How far ahead rows are written.
    pub look_ahead: Duration,
    /// Why slots may have passed unseen since the last cycle, if something is known to have happened.
    pub away: Option<String>,
}

impl Circumstances {
    /// Slots until here are scheduled.
    #[must_use]
    pub fn horizon(&self) -> Timestamp {
        self.now + self.look_ahead
    }

    fn oldest_usable(&self) -> Timestamp {
        self.now - TOLERANCE
    }
}

/// What is to be done for a specification.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Slots that passed without a run.
    pub gap: Option<Gap>,
    /// A slot to be scheduled.
    pub run: Option<Slot>,
    /// When the slot after these is due.
    pub next: Timestamp,
}

/// Plans for a specification whose next slot was to be `next_due` (0: it has never had one) and whose
/// run before, if it is not over, is `open`.
#[must_use]
pub fn plan(grid: &Grid, next_due: Timestamp, open: Option<&OpenRun>, at: &Circumstances) -> Plan {
    if next_due == Timestamp(0) || next_due > grid.horizon(at.horizon()) {
        // New, or scheduled before the clock was set back: the grid goes on from here.
        return upcoming(grid, grid.first_from(at.now), open, at, None);
    }
    let next = grid.first_from(next_due);
    let usable = grid.first_from(at.oldest_usable());
    if next.number >= usable.number {
        return upcoming(grid, next, open, at, None);
    }
    let last = grid.slot(usable.number - 1);
    let slots = usable.number - next.number;
    let gap =
        Gap { slots, first: next.due, last: last.due, state: State::Missed, reason: why(open, at) };
    upcoming(grid, usable, open, at, Some(gap))
}

fn upcoming(
    grid: &Grid,
    slot: Slot,
    open: Option<&OpenRun>,
    at: &Circumstances,
    gap: Option<Gap>,
) -> Plan {
    let due = slot.due <= at.horizon();
    if due && open.is_none() {
        Plan { gap, run: Some(slot), next: grid.slot(slot.number + 1).due }
    } else {
        Plan { gap, run: None, next: slot.due }
    }
}

fn why(open: Option<&OpenRun>, at: &Circumstances) -> String {
    match (&at.away, open) {
        (Some(away), _) => away.clone(),
        (None, Some(open)) if open.state == State::Pending.as_str() => {
            format!("the run before it, {}, was still waiting to be started", open.schedule_id)
        }
        (None, Some(open)) => {
            format!("the run before it, {}, had not ended ({})", open.schedule_id, open.claimed_by)
        }
        (None, None) => "load-scheduled came round after its time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use station::words::toolspec;

    use super::*;

    fn grid(interval: u32, phase: u32) -> Grid {
        let text = format!(
            "TABLENAME=TOOLSPECS\n#srcNodeID,destNodeID,toolName,testtype,time2run,runinterval,phase\n\
             s,d,ping,background,1,{interval},{phase}\n"
        );
        let (specs, mistakes) = toolspec::parse(&text);
        assert_eq!(mistakes, []);
        Grid::of(&specs[0].spec)
    }

    fn at(now: i64) -> Circumstances {
        Circumstances { now: second(now), look_ahead: Duration::from_secs(30), away: None }
    }

    fn second(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn open() -> OpenRun {
        OpenRun { schedule_id: 9, state: "running".to_owned(), claimed_by: "pingd".to_owned() }
    }

    #[test]
    fn a_new_specification_begins_with_its_next_slot() {
        let plan = plan(&grid(600, 100), Timestamp(0), None, &at(6_080));
        assert_eq!(plan.run.map(|slot| slot.due), Some(second(6_100)));
        assert_eq!((plan.gap, plan.next), (None, second(6_700)));
    }

    #[test]
    fn nothing_is_scheduled_before_its_time_comes_near() {
        let plan = plan(&grid(600, 100), second(6_100), None, &at(6_000));
        assert_eq!(plan, Plan { gap: None, run: None, next: second(6_100) });
    }

    #[test]
    fn slots_that_passed_are_one_gap_and_the_grid_goes_on() {
        let circumstances = Circumstances { away: Some("it slept".to_owned()), ..at(60_000) };
        let plan = plan(&grid(600, 10), second(6_010), None, &circumstances);
        let gap = plan.gap.expect("slots passed");
        assert_eq!((gap.slots, gap.first, gap.last), (90, second(6_010), second(59_410)));
        assert_eq!(gap.reason, "it slept");
        assert_eq!(plan.run.map(|slot| slot.due), Some(second(60_010)));
    }

    #[test]
    fn a_slot_waits_for_the_run_before_it_and_then_is_missed() {
        let grid = grid(10, 0);
        let waiting = plan(&grid, second(100), Some(&open()), &at(101));
        assert_eq!(waiting, Plan { gap: None, run: None, next: second(100) });
        let late = plan(&grid, second(100), None, &at(101));
        assert_eq!(late.run.map(|slot| slot.due), Some(second(100)));
        let missed = plan(&grid, second(100), Some(&open()), &at(103));
        assert_eq!(missed.gap.map(|gap| (gap.slots, gap.first)), Some((1, second(100))));
        assert_eq!((missed.run, missed.next), (None, second(110)));
    }

    #[test]
    fn a_clock_set_back_a_little_repeats_nothing() {
        let plan = plan(&grid(600, 0), second(1_200), None, &at(590));
        assert_eq!(plan, Plan { gap: None, run: None, next: second(1_200) });
    }

    #[test]
    fn a_clock_set_back_far_does_not_stop_the_measurements() {
        let plan = plan(&grid(600, 0), second(7_200), None, &at(3_590));
        assert_eq!(plan.run.map(|slot| slot.due), Some(second(3_600)));
    }

    proptest! {
        /// However the clock jumps and however long cycles are apart: every slot is run or in a gap,
        /// none is both, and no more than what is due around now is ever scheduled at once.
        #[test]
        fn every_slot_is_accounted_for_once(
            interval in 1_u32..2_000, steps in prop::collection::vec(1_i64..5_000, 1..60),
        ) {
            let grid = grid(interval, 0);
            let (mut now, mut next) = (1_000_000_i64, Timestamp(0));
            let (mut first, mut accounted) = (None, 0);
            for step in steps {
                now += step;
                let at = at(now);
                let plan = plan(&grid, next, None, &at);
                let slots = plan.gap.as_ref().map_or(0, |gap| gap.slots);
                if let Some(slot) = plan.run {
                    prop_assert!(slot.due >= at.oldest_usable() && slot.due <= at.horizon());
                }
                first = first.or_else(|| Some(plan.gap.as_ref().map_or_else(
                    || plan.run.map_or(plan.next, |slot| slot.due), |gap| gap.first)));
                accounted += slots + i64::from(plan.run.is_some());
                next = plan.next;
                let begun = grid.first_from(first.expect("set above")).number;
                prop_assert_eq!(grid.first_from(next).number - begun, accounted);
            }
        }
    }
}
