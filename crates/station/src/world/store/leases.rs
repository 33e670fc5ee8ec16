//! LEASES: which station measures to a target, alone among those that share this database.
//!
//! A lease expires by itself, when its station dies.

use std::collections::BTreeMap;

use crate::{text::Timestamp, words::run::RunId};

use super::{
    Session, all,
    error::{Error, Kind},
};

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
