//! `load-scheduled` reads TOOLSPECS and writes to SCHEDULE what is due soon.
//!
//! Three parts:
//!
//! - [`plan`](mod@plan) decides for one specification: a value in, a value out.
//! - [`away`] names what happened between two cycles: outages, suspends, steps of the clock.
//! - [`cycle`] does one transaction: it takes the specifications whose time has come, carries out
//!   their plans, and has rows closed (`close`) that nobody started in time.
//!
//! A cycle that fails changes nothing, and the next one does its work too: nothing is remembered
//! between cycles that the database does not hold.

pub mod away;
mod close;
pub mod plan;
mod standing;

use std::time::Duration;

use clap::Parser;
use station::{
    app::{Common, Exit, Failure},
    daemon::{Daemon, Outage},
    text::Timestamp,
    words::{
        command,
        config::Config,
        grid::{Grid, Slot},
        run::State,
        toolspec::ToolSpec,
    },
    world::{
        clock::{Clock, Moment},
        store::{self, DueSpec, Error, Gap, NewRows, NewRun, Session, Store},
    },
};

use crate::{
    away::{Away, LastCycle},
    plan::{Circumstances, Plan, plan},
    standing::Standing,
};

/// Schedules the runs of the specifications that are due
#[derive(Debug, Parser)]
#[command(name = "load-scheduled", version)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Do one cycle and end, for cron
    #[arg(long)]
    once: bool,
}

/// What the name of the note of a station's last cycle begins with.
const LAST_CYCLE: &str = "load-scheduled.last-cycle";
/// The longest pause between cycles, and the shortest, while a slot that is due waits for the run before it.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(500));
/// How long a cycle waits for other programs' transactions.
const PATIENCE: Duration = Duration::from_secs(6);
/// So many specifications are taken up at once.
const BATCH: usize = 10_000;
/// A specification that is none has no interval; its failure is on record this often.
const RETRY_BROKEN: Duration = Duration::from_secs(600);

/// What a cycle did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Runs that were scheduled.
    pub scheduled: u64,
    /// Slots that were missed or could not be scheduled.
    pub missed: u64,
    /// When the first slot is due that waits for the run before it.
    pub waiting: Option<Timestamp>,
}

/// The program.
///
/// # Errors
/// As [`Daemon::begin`]; with `--once` also when the cycle failed.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut daemon = Daemon::begin("load-scheduled", &args.common)?;
    let mut store = Store::of(&daemon.config.database, PATIENCE);
    let mut outage = Outage::default();
    let mut before = None;
    let mut missing = false;
    let mut failed = None;
    let mut name = if args.once { Standing::once() } else { Standing::default() };
    let mut theirs = None;
    daemon.cycles(args.once, |config, moment, _, _| {
        let result = match name.look(&mut store, config, moment, failed.is_some()) {
            Ok(Some(whose)) => {
                theirs = Some(whose.clone());
                // The database is there; the next look asks it again.
                failed = None;
                return (whose, PAUSES.0);
            }
            Ok(None) => cycle(&mut store, config, moment, before.as_ref()),
            Err(error) => Err(error),
        };
        failed = result.as_ref().err().cloned();
        let Some(tally) = outage.note(moment.wall, result) else {
            return (outage.shown().unwrap_or_default(), 2 * PAUSES.1);
        };
        before = Some(*moment);
        tell(tally, &mut missing);
        let usual = PAUSES.0.min(config.look_ahead / 2);
        let pause =
            tally.waiting.map_or(usual, |due| moment.wall.until(due).clamp(PAUSES.1, usual));
        (format!("{} scheduled", tally.scheduled), pause)
    });
    // With the database away, nobody is kept waiting for a word of farewell.
    if !args.once && failed.is_none() {
        name.farewell(&mut store, &daemon.config, &daemon.clock.moment());
    }
    match (failed, theirs) {
        (Some(error), _) if args.once => Err(Failure::store("scheduling", error)),
        (None, Some(whose)) if args.once => {
            Err(Failure::new(Exit::TryLater, "scheduling").why(whose))
        }
        _ => Ok(Exit::Well),
    }
}

/// Says when slots begin to be missed, not in every cycle that they are.
fn tell(tally: Tally, missing: &mut bool) {
    let Tally { scheduled, missed, .. } = tally;
    if missed > 0 && !*missing {
        log::warn!("slots are missed ({missed} now); `iepm schedule` says why");
    }
    // A cycle in which nothing was due says nothing.
    *missing = if missed > 0 { true } else { *missing && scheduled == 0 };
    log::debug!("{scheduled} scheduled, {missed} missed");
}

/// Does one cycle in one transaction.
///
/// # Errors
/// What the database says; then nothing was changed.
pub fn cycle(
    store: &mut Store,
    config: &Config,
    moment: &Moment,
    before: Option<&Moment>,
) -> Result<Tally, Error> {
    store.transaction(|session| {
        let noted = store::get_note(session, &last_cycle(config))?;
        let noted: Option<LastCycle> = noted.and_then(|text| serde_json::from_str(&text).ok());
        let away = away::judge(before, noted, moment);
        let at = Circumstances {
            now: moment.wall,
            look_ahead: config.look_ahead,
            away: away.reason.clone(),
        };
        let mut tally = Tally { missed: close::close(session, config, &at)?, ..Tally::default() };
        if away.set_back {
            set_back(session, config, &at, &mut tally)?;
        }
        take_up(session, config, &at, &mut tally)?;
        note_cycle(session, config, moment, noted, &away)?;
        Ok(tally)
    })
}

/// Puts specifications back on the grid that were scheduled for times which are now far ahead.
fn set_back(
    session: &mut dyn Session,
    config: &Config,
    at: &Circumstances,
    tally: &mut Tally,
) -> Result<(), Error> {
    let all = Timestamp(i64::MAX);
    due_between(session, config, (at.horizon(), all), at, tally)
}

/// Takes up what is new, and what is due.
fn take_up(
    session: &mut dyn Session,
    config: &Config,
    at: &Circumstances,
    tally: &mut Tally,
) -> Result<(), Error> {
    loop {
        let new = store::new_specs(session, config.node.as_str(), BATCH)?;
        let mut rows = NewRows::default();
        let next = |spec| (spec, carry_out(&mut rows, spec, at, tally));
        let nexts: Vec<_> = new.iter().map(next).collect();
        rows.write(session)?;
        store::put_on_agenda(session, &nexts, at.now)?;
        if new.len() < BATCH {
            break;
        }
    }
    due_between(session, config, (Timestamp(i64::MIN), at.horizon()), at, tally)
}

/// Goes through the agenda from one time to another.
fn due_between(
    session: &mut dyn Session,
    config: &Config,
    (from, until): (Timestamp, Timestamp),
    at: &Circumstances,
    tally: &mut Tally,
) -> Result<(), Error> {
    let station = config.node.as_str();
    let mut after = (from, i64::MAX);
    loop {
        let due = store::due_specs(session, station, until, after, BATCH)?;
        let Some(last) = due.last().map(DueSpec::place) else { return Ok(()) };
        let mut rows = NewRows::default();
        let current = |spec| carry_out_current(&mut rows, spec, at, tally);
        let nexts: Vec<Option<Timestamp>> = due.iter().map(current).collect();
        rows.write(session)?;
        if due.iter().zip(&nexts).any(|(spec, next)| *next != Some(spec.next_due)) {
            store::clear_agenda(session, station, after, last)?;
            put_back(session, &due, &nexts, at)?;
        }
        if due.len() < BATCH {
            return Ok(());
        }
        after = last;
    }
}

/// Puts specifications on the agenda for their next times; those that have none are not on it.
fn put_back(
    session: &mut dyn Session,
    due: &[DueSpec],
    nexts: &[Option<Timestamp>],
    at: &Circumstances,
) -> Result<(), Error> {
    let both = || due.iter().zip(nexts);
    let on: Vec<_> = both().filter_map(|(spec, next)| Some((spec, (*next)?))).collect();
    store::put_on_agenda(session, &on, at.now)?;
    let mut off = both().filter(|(_, next)| next.is_none());
    off.try_for_each(|(spec, _)| store::leave_off_agenda(session, spec))
}

/// As [`carry_out`], for one whose place on the agenda is still its own.
fn carry_out_current<'a>(
    rows: &mut NewRows<'a>,
    due: &'a DueSpec,
    at: &Circumstances,
    tally: &mut Tally,
) -> Option<Timestamp> {
    due.is_current.then(|| carry_out(rows, due, at, tally))
}

/// Schedules and records what is due of one specification; says when its next slot is.
fn carry_out<'a>(
    rows: &mut NewRows<'a>,
    due: &'a DueSpec,
    at: &Circumstances,
    tally: &mut Tally,
) -> Timestamp {
    let spec = match &due.spec {
        Ok(spec) => spec,
        Err(fault) => return broken(rows, due, fault, at, tally),
    };
    let grid = Grid::of(spec);
    let Plan { gap, run, next } = plan(&grid, due.next_due, due.open.as_ref(), at);
    if let Some(gap) = gap {
        record(rows, due, gap, tally);
    }
    if let Some(slot) = run {
        schedule(rows, due, spec, slot, tally);
    }
    if next <= at.horizon() {
        tally.waiting = Some(tally.waiting.map_or(next, |first| first.min(next)));
    }
    next
}

fn schedule<'a>(
    rows: &mut NewRows<'a>,
    due: &'a DueSpec,
    spec: &'a ToolSpec,
    slot: Slot,
    tally: &mut Tally,
) {
    let node = match &due.node {
        Ok(node) => node,
        Err(fault) => return record(rows, due, failed(slot.due, fault), tally),
    };
    let words = command::words(spec, node);
    let new = NewRun {
        spec_id: due.id,
        key: &spec.key,
        testtype: spec.testtype.as_str(),
        target: node.host.as_str(),
        words,
        due: slot.due,
        latest: slot.due + spec.window(),
        limit: spec.limit(),
    };
    rows.pending(&new);
    tally.scheduled += 1;
}

fn failed(due: Timestamp, fault: &str) -> Gap {
    Gap { slots: 1, first: due, last: due, state: State::Failed, reason: fault.to_owned() }
}

fn record<'a>(rows: &mut NewRows<'a>, due: &'a DueSpec, gap: Gap, tally: &mut Tally) {
    tally.missed += gap.slots.unsigned_abs();
    rows.gap(due.id, due.key(), gap);
}

/// Puts on record that a row of TOOLSPECS is no specification; says when that is told again.
fn broken<'a>(
    rows: &mut NewRows<'a>,
    due: &'a DueSpec,
    fault: &str,
    at: &Circumstances,
    tally: &mut Tally,
) -> Timestamp {
    let gap = failed(at.now, &format!("its row of TOOLSPECS is wrong: {fault}"));
    record(rows, due, gap, tally);
    at.now + RETRY_BROKEN
}

/// The name of the note: what another station of the database did says nothing of this one.
fn last_cycle(config: &Config) -> String {
    format!("{LAST_CYCLE} {}", config.node)
}

/// Notes this cycle for the next start; not oftener than matters there.
fn note_cycle(
    session: &mut dyn Session,
    config: &Config,
    moment: &Moment,
    noted: Option<LastCycle>,
    away: &Away,
) -> Result<(), Error> {
    let recent = |last: &LastCycle| last.wall_us.until(moment.wall) < Duration::from_secs(30);
    if noted.as_ref().is_some_and(recent) && *away == Away::default() {
        return Ok(());
    }
    let note = serde_json::to_string(&LastCycle { wall_us: moment.wall }).unwrap_or_default();
    store::put_note(session, &last_cycle(config), &note)
}
