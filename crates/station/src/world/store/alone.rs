//! Runs that must be alone (testtype `background-syn`): who waits, and how a run is claimed and comes to its
//! end. Who has had the channel is in `tries.rs`, which station measures to a target in `leases.rs`.

use crate::{
    text::{Family, Timestamp},
    words::{
        allowance::{Allowance, Span},
        command,
        run::{RunId, State},
    },
};

use super::{
    super::probe::Order,
    Session, all,
    claim::{CLAIM, checked_order, run_id},
    close::leave,
    error::Error,
    leases::{release, take_lease},
    value::Row,
};

/// A pending run that must be alone.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its row, as it stands.
    pub run: RunId,
    /// The target.
    pub dest: String,
    /// The tool.
    pub tool: String,
    /// When it is due.
    pub due: Timestamp,
    /// When it may no longer start.
    pub latest: Timestamp,
    /// It is not tried before.
    pub not_before: Timestamp,
    /// What came of the try before; empty before the first.
    pub reason: String,
    /// What is to be run, or what is wrong with the row.
    pub plan: Result<Plan, String>,
}

/// How a run that must be alone is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The run; its attempt is the one that a claim makes it.
    pub order: Order,
    /// The host name or address that is measured to.
    pub target: String,
    /// The command of the ping beside it, word by word; empty: none.
    pub beside: Vec<String>,
    /// What its specification may use up in a day, and when.
    pub allowance: Allowance,
}

const COLUMNS: &str = "s.scheduleID, s.attempt, s.toolspecsID, s.destNodeID, s.target, s.command, s.due_us, s.latest_us, \
     s.limit_s, s.toolName, s.notbefore_us, t.dailybytes, t.dailyseconds, t.hours, t.pingbeside, n.ipVersion, s.reason";

/// The runs of a station that must be alone, are pending, and are due until `until`; those that are due
/// first, at most `most`.
///
/// # Errors
/// What the engine says.
pub fn waiting_alone(
    session: &mut dyn Session,
    station: &str,
    until: Timestamp,
    most: usize,
) -> Result<Vec<Waiting>, Error> {
    // From what waits to its specification, whatever a planner thinks of it: that is always there.
    let sql = format!(
        "SELECT {COLUMNS} FROM SCHEDULE s LEFT JOIN TOOLSPECS t ON t.toolspecsID = s.toolspecsID \
         LEFT JOIN NODES n ON n.nodeID = s.destNodeID WHERE s.state = 'pending' AND s.srcNodeID = ? \
         AND s.testtype = 'background-syn' AND s.due_us <= ? ORDER BY s.due_us LIMIT ?"
    );
    all(session, &sql, &[station.into(), until.into(), (most as u64).into()], waiting)
}

fn waiting(row: &Row<'_>) -> Result<Waiting, Error> {
    let run = run_id(row)?;
    Ok(Waiting {
        run,
        dest: row.text(3),
        tool: row.text(9),
        due: row.timestamp(6)?,
        latest: row.timestamp(7)?,
        not_before: row.optional_int(10)?.map_or(Timestamp(i64::MIN), Timestamp),
        reason: row.text(16),
        plan: plan(row, run),
    })
}

/// Whatever is wrong with the row, or with that of its specification, is no other row's fault.
fn plan(row: &Row<'_>, run: RunId) -> Result<Plan, String> {
    let next = RunId { attempt: run.attempt + 1, ..run };
    let order = checked_order(row, next, &row.text(9))?;
    let beside = command::beside(&row.text(14), family(&row.text(15)), &row.text(4))?;
    Ok(Plan { order, target: row.text(4), beside, allowance: allowance(row)? })
}

fn family(column: &str) -> Family {
    column.parse().unwrap_or_default()
}

fn allowance(row: &Row<'_>) -> Result<Allowance, String> {
    fn some<T: std::str::FromStr<Err = String>>(text: &str) -> Result<Option<T>, String> {
        if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
    }
    let wrong = |fault| format!("its row of TOOLSPECS is wrong: {fault}");
    Ok(Allowance {
        bytes: some(&row.text(11)).map_err(wrong)?,
        time: some::<Span>(&row.text(12)).map_err(wrong)?,
        hours: some(&row.text(13)).map_err(wrong)?.unwrap_or_default(),
    })
}

/// Who takes the channel: a program of a station.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The station.
    pub station: &'a str,
    /// The program, by which its own rows are known after a crash.
    pub program: &'a str,
}

/// Claims a run and the lease of its target until `until`; says whether both are ours.
///
/// # Errors
/// What the engine says.
pub fn claim_alone(
    session: &mut dyn Session,
    who: Holder<'_>,
    waiting: &Waiting,
    (now, until): (Timestamp, Timestamp),
) -> Result<bool, Error> {
    let RunId { schedule_id, attempt } = waiting.run;
    if !take_lease(session, who.station, &waiting.dest, schedule_id, (now, until))? {
        return Ok(false);
    }
    let values = [who.program.into(), schedule_id.into(), attempt.into()];
    let claimed = session.execute(CLAIM, &values)? == 1;
    if !claimed {
        release(session, who.station, &waiting.dest, waiting.run)?;
    }
    Ok(claimed)
}

/// Makes a run pending again, for another try not before `not_before`.
///
/// # Errors
/// What the engine says.
pub fn try_again(
    session: &mut dyn Session,
    run: RunId,
    not_before: Timestamp,
    why: &str,
) -> Result<bool, Error> {
    let sql = "UPDATE SCHEDULE SET state = 'pending', claimedby = NULL, start_us = NULL, notbefore_us = ?, reason = ? \
         WHERE scheduleID = ? AND state = 'running' AND attempt = ?";
    let values = [not_before.into(), why.into(), run.schedule_id.into(), run.attempt.into()];
    Ok(session.execute(sql, &values)? == 1)
}

/// Ends a run that waits: its window has passed, or it cannot be carried out.
///
/// # Errors
/// What the engine says.
pub fn end_waiting(
    session: &mut dyn Session,
    run: RunId,
    state: State,
    reason: &str,
) -> Result<bool, Error> {
    leave(session, run, State::Pending, state, reason)
}

/// A run that was claimed and not ended.
#[derive(Debug, Clone)]
pub struct StillRunning {
    /// Which.
    pub run: RunId,
    /// Its order, or what is wrong with its row.
    pub order: Result<Order, String>,
    /// When its process was started, if it was.
    pub started: Option<Timestamp>,
}

/// The runs that must be alone, which a program has claimed and not ended.
///
/// # Errors
/// What the engine says.
pub fn running_alone(
    session: &mut dyn Session,
    who: Holder<'_>,
) -> Result<Vec<StillRunning>, Error> {
    let sql = "SELECT scheduleID, attempt, toolspecsID, destNodeID, target, command, due_us, latest_us, limit_s, toolName, \
         start_us FROM SCHEDULE WHERE state = 'running' AND srcNodeID = ? AND claimedby = ? \
         AND testtype = 'background-syn'";
    all(session, sql, &[who.station.into(), who.program.into()], |row| {
        let run = run_id(row)?;
        let order = checked_order(row, run, &row.text(9));
        let started = row.optional_int(10)?.map(Timestamp);
        Ok(StillRunning { run, order, started })
    })
}
