//! The transitions of SCHEDULE.
//!
//! ```text
//! pending -> running -> finished -> loaded
//!    |          |           `-> rejected
//!    |          `-> lost, failed, pending again
//!    `-> missed, cancelled, failed
//! ```
//!
//! Every change names the state and the attempt that it leaves; one row changed means that it was
//! ours to change. That holds on every engine, where locks held while reading do not.

use std::time::Duration;

use crate::{
    text::Timestamp,
    words::{
        command,
        run::{RunId, State},
        toolspec::SpecKey,
    },
};

use super::{
    super::probe::Order,
    Session,
    error::Error,
    value::{Row, Value},
};

/// Who claims runs, and which.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The station.
    pub station: &'a str,
    /// The program, by which its own rows are known after a crash.
    pub program: &'a str,
    /// The tool whose background runs it carries out.
    pub tool: &'a str,
}

/// A row to be written.
#[derive(Debug)]
pub struct NewRun<'a> {
    /// The specification.
    pub spec_id: i64,
    /// Its key.
    pub key: &'a SpecKey,
    /// Its `testtype`.
    pub testtype: &'a str,
    /// The host name or address that is measured to.
    pub target: &'a str,
    /// The command, word by word.
    pub words: &'a [String],
    /// When it is to start.
    pub due: Timestamp,
    /// When it may no longer start.
    pub latest: Timestamp,
    /// After how long it is ended.
    pub limit: Duration,
}

/// Slots that passed without a run: one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// How many.
    pub slots: i64,
    /// When the first was due.
    pub first: Timestamp,
    /// When the last was due.
    pub last: Timestamp,
    /// `missed`, or `failed` for what could not have been started.
    pub state: State,
    /// Why.
    pub reason: String,
}

/// A claimed row, or why it cannot be carried out.
pub type Claimed = Result<Order, (RunId, String)>;

/// The run of a specification that is pending or running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRun {
    /// Its row.
    pub schedule_id: i64,
    /// Its state.
    pub state: String,
    /// The program that claimed it; empty while it is pending.
    pub claimed_by: String,
}

const INSERT: &str = "INSERT INTO SCHEDULE (toolspecsID, opentoolspecsID, srcNodeID, destNodeID, toolName, testtype, \
     target, command, dueepoch, due_us, latest_us, limit_s, state, attempt, slots, lastdue_us, claimedby, start_us, \
     reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Writes a pending row.
///
/// # Errors
/// [`Kind::Conflict`](super::Kind::Conflict) when the specification has an open run, or what the engine says.
pub fn insert_pending(session: &mut dyn Session, run: &NewRun<'_>) -> Result<i64, Error> {
    insert(session, run, Some(run.spec_id), State::Pending, None)
}

/// Writes a row that is running already, beside the specification's open run: for runs by hand.
///
/// # Errors
/// What the engine says.
pub fn insert_running(
    session: &mut dyn Session,
    run: &NewRun<'_>,
    program: &str,
) -> Result<RunId, Error> {
    let schedule_id = insert(session, run, None, State::Running, Some(program))?;
    Ok(RunId { schedule_id, attempt: 1 })
}

fn insert(
    session: &mut dyn Session,
    run: &NewRun<'_>,
    open: Option<i64>,
    state: State,
    program: Option<&str>,
) -> Result<i64, Error> {
    session.insert(
        INSERT,
        &[
            run.spec_id.into(),
            open.into(),
            run.key.src.as_str().into(),
            run.key.dest.as_str().into(),
            run.key.tool.as_str().into(),
            run.testtype.into(),
            run.target.into(),
            command::to_column(run.words).into(),
            run.due.seconds().into(),
            run.due.into(),
            run.latest.into(),
            run.limit.as_secs().into(),
            state.as_str().into(),
            i64::from(program.is_some()).into(),
            1_i64.into(),
            Value::Null,
            program.into(),
            program.map(|_| run.due).into(),
            Value::Null,
        ],
    )
}

/// Writes the row of a gap.
///
/// # Errors
/// What the engine says.
pub fn insert_gap(
    session: &mut dyn Session,
    spec_id: i64,
    key: (&str, &str, &str, &str),
    gap: &Gap,
) -> Result<i64, Error> {
    let (src, dest, tool, testtype) = key;
    let values = [
        spec_id.into(),
        Value::Null,
        src.into(),
        dest.into(),
        tool.into(),
        testtype.into(),
        "".into(),
        Value::Null,
        gap.first.seconds().into(),
        gap.first.into(),
        gap.last.into(),
        0_i64.into(),
        gap.state.as_str().into(),
        0_i64.into(),
        gap.slots.into(),
        gap.last.into(),
        Value::Null,
        Value::Null,
        gap.reason.as_str().into(),
    ];
    session.insert(INSERT, &values)
}

const CLAIMABLE: &str = "SELECT scheduleID, attempt, toolspecsID, destNodeID, target, command, due_us, latest_us, limit_s \
     FROM SCHEDULE WHERE state = 'pending' AND srcNodeID = ? AND toolName = ? AND due_us <= ? \
     AND testtype = 'background' AND latest_us >= ? ORDER BY due_us LIMIT ?";

const CLAIM: &str = "UPDATE SCHEDULE SET state = 'running', attempt = attempt + 1, claimedby = ? \
     WHERE scheduleID = ? AND state = 'pending' AND attempt = ?";

/// Whether [`claim`] would find something: a look that keeps no other program waiting.
///
/// # Errors
/// What the engine says.
pub fn any_claimable(
    session: &mut dyn Session,
    who: &Claimant<'_>,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, Error> {
    let values = [who.station.into(), who.tool.into(), until.into(), now.into(), 1_i64.into()];
    Ok(super::one(session, CLAIMABLE, &values, |row| row.int(0))?.is_some())
}

/// Claims at most `most` runs that are due until `until` and may still start at `now`.
///
/// # Errors
/// What the engine says; then nothing is claimed.
pub fn claim(
    session: &mut dyn Session,
    who: &Claimant<'_>,
    now: Timestamp,
    until: Timestamp,
    most: usize,
) -> Result<Vec<Claimed>, Error> {
    let values =
        [who.station.into(), who.tool.into(), until.into(), now.into(), (most as u64).into()];
    let candidates =
        super::all(session, CLAIMABLE, &values, |row| Ok((run_id(row)?, order(row, who.tool)?)))?;
    let mut claimed = Vec::with_capacity(candidates.len());
    for (before, order) in candidates {
        let values = [who.program.into(), before.schedule_id.into(), before.attempt.into()];
        if session.execute(CLAIM, &values)? == 1 {
            claimed.push(order);
        }
    }
    Ok(claimed)
}

fn run_id(row: &Row<'_>) -> Result<RunId, Error> {
    Ok(RunId { schedule_id: row.int(0)?, attempt: row.int(1)? })
}

/// The order of a row. Whatever is wrong with the row is its own fault, and no other row's.
fn order(row: &Row<'_>, tool: &str) -> Result<Claimed, Error> {
    let before = run_id(row)?;
    let run = RunId { attempt: before.attempt + 1, ..before };
    Ok(checked_order(row, run, tool).map_err(|fault| (run, fault)))
}

fn checked_order(row: &Row<'_>, run: RunId, tool: &str) -> Result<Order, String> {
    let argv = command::from_column(&row.text(5), &row.text(4))?;
    let number = |column| row.int(column).map_err(|error| format!("its row of SCHEDULE: {error}"));
    Ok(Order {
        run,
        spec_id: number(2)?,
        tool: tool.to_owned(),
        node: row.text(3),
        argv,
        due: Timestamp(number(6)?),
        latest: Timestamp(number(7)?),
        limit: Duration::from_secs(u64::try_from(number(8)?).unwrap_or(0)),
    })
}

/// Notes that a run's process has ended and its result waits as a file.
///
/// # Errors
/// What the engine says.
pub fn finish(
    session: &mut dyn Session,
    order: &Order,
    (start, end): (Timestamp, Timestamp),
    reason: Option<&str>,
) -> Result<bool, Error> {
    let run = order.run;
    let values =
        [start.into(), end.into(), reason.into(), run.schedule_id.into(), run.attempt.into()];
    let changed = session.execute(
        "UPDATE SCHEDULE SET state = 'finished', opentoolspecsID = NULL, start_us = ?, end_us = ?, reason = ? \
         WHERE scheduleID = ? AND state = 'running' AND attempt = ?",
        &values,
    )?;
    session.execute(
        "UPDATE TOOLSPECS SET lastrunepoch = ? WHERE toolspecsID = ?",
        &[start.seconds().into(), order.spec_id.into()],
    )?;
    Ok(changed == 1)
}

/// Notes that a run could not be started.
///
/// # Errors
/// What the engine says.
pub fn fail(session: &mut dyn Session, run: RunId, reason: &str) -> Result<bool, Error> {
    leave_running(session, run, State::Failed, reason)
}

/// Notes that a run's daemon died while it ran.
///
/// # Errors
/// What the engine says.
pub fn lose(session: &mut dyn Session, run: RunId, reason: &str) -> Result<bool, Error> {
    leave_running(session, run, State::Lost, reason)
}

/// Notes that a claimed run could not be started before its window passed.
///
/// # Errors
/// What the engine says.
pub fn miss(session: &mut dyn Session, run: RunId, reason: &str) -> Result<bool, Error> {
    leave_running(session, run, State::Missed, reason)
}

fn leave_running(
    session: &mut dyn Session,
    run: RunId,
    to: State,
    reason: &str,
) -> Result<bool, Error> {
    let values = [to.as_str().into(), reason.into(), run.schedule_id.into(), run.attempt.into()];
    let changed = session.execute(
        "UPDATE SCHEDULE SET state = ?, opentoolspecsID = NULL, reason = ? \
         WHERE scheduleID = ? AND state = 'running' AND attempt = ?",
        &values,
    )?;
    Ok(changed == 1)
}

/// Makes a claimed run pending again, that was not started or was ended with its daemon.
///
/// # Errors
/// What the engine says.
pub fn put_back(session: &mut dyn Session, run: RunId) -> Result<bool, Error> {
    let changed = session.execute(
        "UPDATE SCHEDULE SET state = 'pending', claimedby = NULL WHERE scheduleID = ? AND state = 'running' \
         AND attempt = ?",
        &[run.schedule_id.into(), run.attempt.into()],
    )?;
    Ok(changed == 1)
}

/// The runs that a claimant has claimed and not ended.
///
/// # Errors
/// What the engine says.
pub fn running_of(
    session: &mut dyn Session,
    who: &Claimant<'_>,
) -> Result<Vec<(RunId, Claimed)>, Error> {
    let sql = "SELECT scheduleID, attempt, toolspecsID, destNodeID, target, command, due_us, latest_us, limit_s \
         FROM SCHEDULE WHERE state = 'running' AND srcNodeID = ? AND toolName = ? AND claimedby = ?";
    let values = [who.station.into(), who.tool.into(), who.program.into()];
    super::all(session, sql, &values, |row| {
        let run = run_id(row)?;
        let order = order(row, who.tool)?.map(|order| Order { run, ..order });
        Ok((run, order.map_err(|(_, fault)| (run, fault))))
    })
}

/// Marks as missed what is pending and may no longer start; `reason` is given the tool and the testtype.
///
/// # Errors
/// What the engine says.
pub fn expire(
    session: &mut dyn Session,
    station: &str,
    now: Timestamp,
    reason: &dyn Fn(&str, &str) -> String,
) -> Result<u64, Error> {
    let sql = "SELECT scheduleID, attempt, toolName, testtype FROM SCHEDULE \
         WHERE state = 'pending' AND srcNodeID = ? AND latest_us < ?";
    let late = super::all(session, sql, &[station.into(), now.into()], |row| {
        Ok((run_id(row)?, row.text(2), row.text(3)))
    })?;
    let mut changed = 0;
    for (run, tool, testtype) in late {
        changed += leave_pending(session, run, State::Missed, &reason(&tool, &testtype))?;
    }
    Ok(changed)
}

fn leave_pending(
    session: &mut dyn Session,
    run: RunId,
    to: State,
    reason: &str,
) -> Result<u64, Error> {
    session.execute(
        "UPDATE SCHEDULE SET state = ?, opentoolspecsID = NULL, reason = ? \
         WHERE scheduleID = ? AND state = 'pending' AND attempt = ?",
        &[to.as_str().into(), reason.into(), run.schedule_id.into(), run.attempt.into()],
    )
}

/// Calls off what is pending of specifications that were switched off.
///
/// # Errors
/// What the engine says.
pub fn cancel_switched_off(session: &mut dyn Session, station: &str) -> Result<u64, Error> {
    let sql = "SELECT s.scheduleID, s.attempt FROM SCHEDULE s JOIN TOOLSPECS t ON t.toolspecsID = s.toolspecsID \
         WHERE s.state = 'pending' AND s.srcNodeID = ? AND t.toolDo = 0";
    cancel(session, sql, &[station.into()], "its specification was switched off")
}

/// Calls off what is pending for later than `horizon`: it was scheduled before the clock was set back.
///
/// # Errors
/// What the engine says.
pub fn cancel_too_far_ahead(
    session: &mut dyn Session,
    station: &str,
    horizon: Timestamp,
) -> Result<u64, Error> {
    let sql = "SELECT scheduleID, attempt FROM SCHEDULE WHERE state = 'pending' AND srcNodeID = ? AND due_us > ?";
    cancel(
        session,
        sql,
        &[station.into(), horizon.into()],
        "the clock was set back after it was scheduled",
    )
}

fn cancel(
    session: &mut dyn Session,
    sql: &str,
    values: &[Value<'_>],
    reason: &str,
) -> Result<u64, Error> {
    let runs = super::all(session, sql, values, run_id)?;
    let mut changed = 0;
    for run in runs {
        changed += leave_pending(session, run, State::Cancelled, reason)?;
    }
    Ok(changed)
}

/// The runs that `program` began and whose time was up before `now`, with their tools.
///
/// # Errors
/// What the engine says.
pub fn abandoned(
    session: &mut dyn Session,
    station: &str,
    program: &str,
    now: Timestamp,
) -> Result<Vec<(RunId, String)>, Error> {
    let sql = "SELECT scheduleID, attempt, toolName FROM SCHEDULE WHERE state = 'running' AND srcNodeID = ? \
         AND claimedby = ? AND due_us + limit_s * 1000000 < ?";
    super::all(session, sql, &[station.into(), program.into(), now.into()], |row| {
        Ok((run_id(row)?, row.text(2)))
    })
}
