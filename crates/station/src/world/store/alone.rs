//! Runs that must be alone (testtype `background-syn`): who waits, who has had the channel, and the leases
//! by which stations that share a database keep away from each other's targets.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    text::{Family, Timestamp},
    words::{
        allowance::{Allowance, Span, Use},
        command,
        run::{Machine, RunId, State},
    },
};

use super::{
    super::probe::Order,
    Session, all,
    claim::{CLAIM, checked_order, run_id},
    close::leave,
    error::{Error, Kind},
    one,
    value::{Row, Value},
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
    let sql = format!(
        "SELECT {COLUMNS} FROM SCHEDULE s JOIN TOOLSPECS t ON t.toolspecsID = s.toolspecsID \
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

/// Takes the lease of a target until `until`, or makes our own last so long; says whether it is ours.
///
/// # Errors
/// What the engine says.
pub fn take_lease(
    session: &mut dyn Session,
    station: &str,
    dest: &str,
    schedule_id: i64,
    (now, until): (Timestamp, Timestamp),
) -> Result<bool, Error> {
    let sql = "UPDATE LEASES SET expires_us = CASE WHEN holderNodeID = ? AND expires_us > ? THEN expires_us \
         ELSE ? END, holderNodeID = ?, scheduleID = ? WHERE destNodeID = ? AND (holderNodeID = ? OR expires_us < ?)";
    let values = [
        station.into(),
        until.into(),
        until.into(),
        station.into(),
        schedule_id.into(),
        dest.into(),
        station.into(),
        now.into(),
    ];
    if session.execute(sql, &values)? == 1 {
        return Ok(true);
    }
    let sql = "INSERT INTO LEASES (destNodeID, holderNodeID, scheduleID, expires_us) \
         SELECT nodeID, ?, ?, ? FROM NODES WHERE nodeID = ? \
         AND NOT EXISTS (SELECT 1 FROM LEASES WHERE destNodeID = ?)";
    let values = [station.into(), schedule_id.into(), until.into(), dest.into(), dest.into()];
    match session.execute(sql, &values) {
        // Another station has just taken it.
        Err(error) if error.kind() == Kind::Conflict => Ok(false),
        result => Ok(result? == 1),
    }
}

/// Gives the lease of a target back, unless another run of ours needs it.
///
/// # Errors
/// What the engine says.
pub fn release(
    session: &mut dyn Session,
    station: &str,
    dest: &str,
    run: RunId,
) -> Result<(), Error> {
    let sql = "DELETE FROM LEASES WHERE destNodeID = ? AND holderNodeID = ? AND NOT EXISTS (SELECT 1 FROM SCHEDULE \
         WHERE state = 'running' AND srcNodeID = ? AND testtype = 'background-syn' AND destNodeID = ? \
         AND scheduleID <> ?)";
    let values = [dest.into(), station.into(), station.into(), dest.into(), run.schedule_id.into()];
    session.execute(sql, &values).map(|_| ())
}

/// Gives back the leases of a station whose runs do not go on.
///
/// # Errors
/// What the engine says.
pub fn clear_leases(session: &mut dyn Session, station: &str) -> Result<(), Error> {
    let sql = "DELETE FROM LEASES WHERE holderNodeID = ? AND scheduleID NOT IN (SELECT scheduleID FROM SCHEDULE \
         WHERE state = 'running' AND srcNodeID = ? AND testtype = 'background-syn')";
    session.execute(sql, &[station.into(), station.into()]).map(|_| ())
}

/// The targets that other stations have leased at `now`: the station, and until when.
///
/// # Errors
/// What the engine says.
pub fn held_elsewhere(
    session: &mut dyn Session,
    station: &str,
    now: Timestamp,
) -> Result<BTreeMap<String, (String, Timestamp)>, Error> {
    let sql = "SELECT destNodeID, holderNodeID, expires_us FROM LEASES WHERE holderNodeID <> ? AND expires_us >= ?";
    let leases = all(session, sql, &[station.into(), now.into()], |row| {
        Ok((row.text(0), (row.text(1), row.timestamp(2)?)))
    })?;
    Ok(leases.into_iter().collect())
}

/// When a run of the station to this target last had the channel.
///
/// # Errors
/// What the engine says.
pub fn last_served(
    session: &mut dyn Session,
    station: &str,
    dest: &str,
) -> Result<Option<Timestamp>, Error> {
    let sql = "SELECT MAX(start_us) FROM TRIES WHERE srcNodeID = ? AND destNodeID = ?";
    let found = one(session, sql, &[station.into(), dest.into()], |row| row.optional_int(0))?;
    Ok(found.flatten().map(Timestamp))
}

/// What each specification of a station has used up since `since`, with its target.
///
/// # Errors
/// What the engine says.
pub fn used_since(
    session: &mut dyn Session,
    station: &str,
    since: Timestamp,
) -> Result<Vec<(i64, String, Use)>, Error> {
    let sql = "SELECT toolspecsID, destNodeID, SUM(COALESCE(bytes, 0)), SUM(COALESCE(end_us, start_us) - start_us) \
         FROM TRIES WHERE srcNodeID = ? AND start_us >= ? GROUP BY toolspecsID, destNodeID";
    all(session, sql, &[station.into(), since.into()], |row| {
        Ok((row.int(0)?, row.text(1), usage(row.int(2)?, row.int(3)?)))
    })
}

/// The specifications, with their targets, of which a run of a station has had the channel since some time after
/// `since`, and still has it.
///
/// # Errors
/// What the engine says.
pub fn going_on(
    session: &mut dyn Session,
    station: &str,
    since: Timestamp,
) -> Result<Vec<(i64, String)>, Error> {
    let sql = "SELECT toolspecsID, destNodeID FROM TRIES WHERE srcNodeID = ? AND start_us >= ? AND end_us IS NULL";
    all(session, sql, &[station.into(), since.into()], |row| Ok((row.int(0)?, row.text(1))))
}

/// What a run of a specification is likely to use: what the last one did.
///
/// # Errors
/// What the engine says.
pub fn expected_use(session: &mut dyn Session, spec_id: i64) -> Result<Option<Use>, Error> {
    let sql = "SELECT COALESCE(bytes, 0), end_us - start_us FROM TRIES WHERE toolspecsID = ? AND end_us IS NOT NULL \
         ORDER BY start_us DESC LIMIT 1";
    one(session, sql, &[spec_id.into()], |row| Ok(usage(row.int(0)?, row.int(1)?)))
}

fn usage(bytes: i64, micros: i64) -> Use {
    let positive = |number| u64::try_from(number).unwrap_or(0);
    Use { bytes: positive(bytes), time: Duration::from_micros(positive(micros)) }
}

/// Notes that the process of a run has been started, and so has the channel. It may be noted twice.
///
/// # Errors
/// What the engine says.
pub fn begin_try(
    session: &mut dyn Session,
    station: &str,
    order: &Order,
    start: Timestamp,
    machine: &Machine,
) -> Result<(), Error> {
    let RunId { schedule_id, attempt } = order.run;
    let sql = "UPDATE SCHEDULE SET start_us = ? WHERE scheduleID = ? AND state = 'running' AND attempt = ?";
    session.execute(sql, &[start.into(), schedule_id.into(), attempt.into()])?;
    // Once only, also when it is not known whether the transaction before came to its end.
    let sql = "INSERT INTO TRIES (scheduleID, attempt, toolspecsID, srcNodeID, destNodeID, start_us, machine) \
         SELECT scheduleID, ?, toolspecsID, ?, destNodeID, ?, ? FROM SCHEDULE WHERE scheduleID = ? \
         AND NOT EXISTS (SELECT 1 FROM TRIES t WHERE t.scheduleID = ? AND t.attempt = ?)";
    let machine = serde_json::to_string(machine).unwrap_or_default();
    let values = [
        attempt.into(),
        station.into(),
        start.into(),
        machine.as_str().into(),
        schedule_id.into(),
        schedule_id.into(),
        attempt.into(),
    ];
    match session.execute(sql, &values) {
        // It is there: the connection was lost when it was committed, and nobody knew.
        Err(error) if error.kind() == Kind::Conflict => Ok(()),
        result => result.map(|_| ()),
    }
}

/// How a try ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Try {
    /// When.
    pub end: Timestamp,
    /// Bytes that were sent, where that is known.
    pub bytes: Option<u64>,
    /// What came of it.
    pub outcome: String,
    /// Which limits the machine was over.
    pub unclean: Option<String>,
}

/// Notes how a try ended.
///
/// # Errors
/// What the engine says.
pub fn end_try(session: &mut dyn Session, run: RunId, ended: &Try) -> Result<(), Error> {
    let sql = "UPDATE TRIES SET end_us = ?, bytes = ?, outcome = ?, unclean = ? WHERE scheduleID = ? AND attempt = ?";
    let values = [
        ended.end.into(),
        ended.bytes.into(),
        ended.outcome.as_str().into(),
        ended.unclean.as_deref().into(),
        run.schedule_id.into(),
        run.attempt.into(),
    ];
    session.execute(sql, &values).map(|_| ())
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

/// The tries of a station that went on at some time between `from` and `to`: which run, and to where.
///
/// # Errors
/// What the engine says.
pub fn tries_between(
    session: &mut dyn Session,
    station: &str,
    (from, to): (Timestamp, Timestamp),
    most: usize,
) -> Result<Vec<(RunId, String)>, Error> {
    let sql = "SELECT scheduleID, attempt, destNodeID FROM TRIES WHERE srcNodeID = ? AND start_us BETWEEN ? AND ? \
         ORDER BY start_us DESC LIMIT ?";
    let values: [Value<'_>; 4] = [station.into(), from.into(), to.into(), (most as u64).into()];
    all(session, sql, &values, |row| Ok((run_id(row)?, row.text(2))))
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
