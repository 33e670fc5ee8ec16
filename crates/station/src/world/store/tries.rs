//! TRIES: every time that a process had the channel, and what was used up by it.

use std::time::Duration;

use crate::{
    text::Timestamp,
    words::{
        allowance::Use,
        run::{Machine, RunId},
    },
};

use super::{super::probe::Order, Session, all, claim::run_id, error::Error, one, value::Value};

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
    session.execute(sql, &values).map(|_| ())
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
