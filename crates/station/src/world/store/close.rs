//! How runs come to their ends: the transitions of SCHEDULE out of `running`, `pending` and `finished`.

use crate::{
    text::Timestamp,
    words::run::{RunId, State},
};

use super::{super::probe::Order, Session, claim::run_id, error::Error, value::Value};

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
    Ok(finish_all(session, &[Finished { order, start, end, reason }])? == 1)
}

/// A run whose process has ended.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// What was run.
    pub order: &'a Order,
    /// When it was started.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// What is to be said of its end.
    pub reason: Option<&'a str>,
}

/// As [`finish`] for many; says of how many the rows were still running.
///
/// # Errors
/// What the engine says.
pub fn finish_all(session: &mut dyn Session, runs: &[Finished<'_>]) -> Result<u64, Error> {
    let values = |run: &Finished<'_>| {
        let RunId { schedule_id, attempt } = run.order.run;
        let reason = run.reason.map(str::to_owned);
        vec![run.start.into(), run.end.into(), reason.into(), schedule_id.into(), attempt.into()]
    };
    let changed = session.execute_many(
        "UPDATE SCHEDULE SET state = 'finished', opentoolspecsID = NULL, start_us = ?, end_us = ?, reason = ? \
         WHERE scheduleID = ? AND state = 'running' AND attempt = ?",
        &runs.iter().map(values).collect::<Vec<_>>(),
    )?;
    let last = |run: &Finished<'_>| vec![run.start.seconds().into(), run.order.spec_id.into()];
    session.execute_many(
        "UPDATE TOOLSPECS SET lastrunepoch = ? WHERE toolspecsID = ?",
        &runs.iter().map(last).collect::<Vec<_>>(),
    )?;
    Ok(changed)
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
    leave(session, run, State::Running, to, reason)
}

/// Moves a run on, if it still is where it is to leave from.
pub(super) fn leave(
    session: &mut dyn Session,
    run: RunId,
    from: State,
    to: State,
    reason: &str,
) -> Result<bool, Error> {
    Ok(session.execute(LEAVE, &leaving(run, from, to, reason))? == 1)
}

/// As [`leave`] for runs that are pending, each with its reason; says how many still were.
fn leave_pending(
    session: &mut dyn Session,
    to: State,
    runs: &[(RunId, String)],
) -> Result<u64, Error> {
    let values = runs.iter().map(|(run, reason)| leaving(*run, State::Pending, to, reason));
    session.execute_many(LEAVE, &values.collect::<Vec<_>>())
}

const LEAVE: &str = "UPDATE SCHEDULE SET state = ?, opentoolspecsID = NULL, reason = ? \
     WHERE scheduleID = ? AND state = ? AND attempt = ?";

/// The values of [`LEAVE`].
fn leaving(run: RunId, from: State, to: State, reason: &str) -> Vec<Value<'_>> {
    vec![
        to.as_str().into(),
        reason.into(),
        run.schedule_id.into(),
        from.as_str().into(),
        run.attempt.into(),
    ]
}

/// Makes a claimed run pending again, that was not started or was ended with its daemon.
///
/// # Errors
/// What the engine says.
pub fn put_back(session: &mut dyn Session, run: RunId) -> Result<bool, Error> {
    Ok(session.execute(PUT_BACK, &[run.schedule_id.into(), run.attempt.into()])? == 1)
}

/// As [`put_back`] for many; says of how many the rows were still running.
///
/// # Errors
/// What the engine says.
pub fn put_back_all(session: &mut dyn Session, runs: &[RunId]) -> Result<u64, Error> {
    let values = |run: &RunId| vec![run.schedule_id.into(), run.attempt.into()];
    session.execute_many(PUT_BACK, &runs.iter().map(values).collect::<Vec<_>>())
}

const PUT_BACK: &str = "UPDATE SCHEDULE SET state = 'pending', claimedby = NULL, start_us = NULL \
     WHERE scheduleID = ? AND state = 'running' AND attempt = ?";

/// Marks as missed what is pending and may no longer start; `reason` is given the tool, the testtype and
/// the end of the window, and may leave a run alone.
///
/// # Errors
/// What the engine says.
pub fn expire(
    session: &mut dyn Session,
    station: &str,
    now: Timestamp,
    reason: &dyn Fn(&str, &str, Timestamp) -> Option<String>,
) -> Result<u64, Error> {
    let sql = "SELECT scheduleID, attempt, toolName, testtype, latest_us FROM SCHEDULE \
         WHERE state = 'pending' AND srcNodeID = ? AND latest_us < ?";
    let late = super::all(session, sql, &[station.into(), now.into()], |row| {
        Ok((run_id(row)?, row.text(2), row.text(3), row.timestamp(4)?))
    })?;
    let missed = late
        .into_iter()
        .filter_map(|(run, tool, testtype, latest)| Some((run, reason(&tool, &testtype, latest)?)));
    leave_pending(session, State::Missed, &missed.collect::<Vec<_>>())
}

/// Calls off what is pending of specifications that were switched off.
///
/// # Errors
/// What the engine says.
pub fn cancel_switched_off(session: &mut dyn Session, station: &str) -> Result<u64, Error> {
    let sql = "SELECT s.scheduleID, s.attempt FROM SCHEDULE s JOIN TOOLSPECS t ON t.toolspecsID = s.opentoolspecsID \
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
    let runs: Vec<_> = runs.into_iter().map(|run| (run, reason.to_owned())).collect();
    leave_pending(session, State::Cancelled, &runs)
}

/// The runs that `program` began and whose time was up before `now`, with their tools and when it was up.
///
/// # Errors
/// What the engine says.
pub fn abandoned(
    session: &mut dyn Session,
    station: &str,
    program: &str,
    now: Timestamp,
) -> Result<Vec<(RunId, String, Timestamp)>, Error> {
    let sql = "SELECT scheduleID, attempt, toolName, due_us + limit_s * 1000000 FROM SCHEDULE WHERE state = 'running' \
         AND srcNodeID = ? AND claimedby = ? AND due_us + limit_s * 1000000 < ?";
    super::all(session, sql, &[station.into(), program.into(), now.into()], |row| {
        Ok((run_id(row)?, row.text(2), row.timestamp(3)?))
    })
}

/// The runs whose results have waited for the loader since before `before`, with their tools.
///
/// # Errors
/// What the engine says.
pub fn finished_long_ago(
    session: &mut dyn Session,
    station: &str,
    before: Timestamp,
) -> Result<Vec<(RunId, String)>, Error> {
    let sql = "SELECT scheduleID, attempt, toolName FROM SCHEDULE WHERE state = 'finished' AND srcNodeID = ? \
         AND end_us < ?";
    super::all(session, sql, &[station.into(), before.into()], |row| {
        Ok((run_id(row)?, row.text(2)))
    })
}

/// Notes that the result of a run that had finished is gone.
///
/// # Errors
/// What the engine says.
pub fn lose_result(session: &mut dyn Session, run: RunId, reason: &str) -> Result<bool, Error> {
    leave(session, run, State::Finished, State::Lost, reason)
}
