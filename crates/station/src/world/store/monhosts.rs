//! MONHOSTS: the stations that share the database. Each row is written by its own station.

use std::time::Duration;

use crate::{
    text::Timestamp,
    words::monhost::{Identity, Monhost, Rival, State},
};

use super::{Session, all, error::Error, one, value::Row};

const COLUMNS: &str = "nodeID, hostName, home, version, homeID, machineID, bootID, claimed_us, firstseen_us, since_us, \
     seen_us, clock_us, within_s, state, reason, clock_synchronised, daemons, findings, specifications, findings_us, \
     rival, rivalseen_us, retiredepoch";

/// All stations, in the order of their names.
///
/// # Errors
/// What the engine says.
pub fn monhosts(session: &mut dyn Session) -> Result<Vec<Monhost>, Error> {
    all(session, &format!("SELECT {COLUMNS} FROM MONHOSTS ORDER BY nodeID"), &[], monhost)
}

/// One station, if it has ever reported.
///
/// # Errors
/// What the engine says.
pub fn monhost_of(session: &mut dyn Session, station: &str) -> Result<Option<Monhost>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM MONHOSTS WHERE nodeID = ?");
    one(session, &sql, &[station.into()], monhost)
}

fn monhost(row: &Row<'_>) -> Result<Monhost, Error> {
    let rival: Option<Rival> = serde_json::from_str(&row.str(20)).ok();
    let rival_seen = row.optional_int(21)?.map(Timestamp);
    let [path, home, machine, boot] = [2, 4, 5, 6].map(|column| row.text(column));
    Ok(Monhost {
        node: row.text(0),
        host: row.text(1),
        home: path.clone(),
        version: row.text(3),
        identity: Identity { home, path, machine, boot },
        claimed: row.timestamp(7)?,
        first_seen: row.timestamp(8)?,
        since: row.timestamp(9)?,
        seen: row.timestamp(10)?,
        clock: row.timestamp(11)?,
        within: Duration::from_secs(row.int(12)?.unsigned_abs()),
        state: State::of(&row.str(13)),
        reason: row.text(14),
        clock_synchronised: row.int(15)? == 1,
        daemons: serde_json::from_str(&row.str(16)).unwrap_or_default(),
        findings: row.text(17),
        specifications: row.text(18),
        findings_at: row.optional_int(19)?.map(Timestamp),
        rival: rival.zip(rival_seen),
        retired: row.optional_int(22)?.is_some(),
    })
}

/// Writes what a station reports, in place of what it reported before; what its doctor found, and who else
/// goes by its name, stays. Says whether it was written: not if another program of that name was quicker.
///
/// # Errors
/// What the engine says; [`Kind::Conflict`](super::Kind::Conflict) if another one made the row meanwhile.
pub fn put_monhost(
    session: &mut dyn Session,
    new: &Monhost,
    before: Option<&Monhost>,
) -> Result<bool, Error> {
    let daemons = serde_json::to_string(&new.daemons).unwrap_or_default();
    let mut values = vec![
        new.host.as_str().into(),
        new.home.as_str().into(),
        new.version.as_str().into(),
        new.identity.home.as_str().into(),
        new.identity.machine.as_str().into(),
        new.identity.boot.as_str().into(),
        new.claimed.into(),
        new.first_seen.into(),
        new.since.into(),
        new.seen.into(),
        new.clock.into(),
        new.within.as_secs().into(),
        new.state.as_str().into(),
        Some(new.reason.as_str()).filter(|reason| !reason.is_empty()).into(),
        new.clock_synchronised.into(),
        daemons.into(),
        new.node.as_str().into(),
    ];
    let Some(before) = before else {
        let sql = "INSERT INTO MONHOSTS (hostName, home, version, homeID, machineID, bootID, claimed_us, firstseen_us, \
             since_us, seen_us, clock_us, within_s, state, reason, clock_synchronised, daemons, nodeID) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        return session.insert(sql, &values).map(|_| true);
    };
    let sql = "UPDATE MONHOSTS SET hostName = ?, home = ?, version = ?, homeID = ?, machineID = ?, bootID = ?, \
         claimed_us = ?, firstseen_us = ?, since_us = ?, seen_us = ?, clock_us = ?, within_s = ?, state = ?, \
         reason = ?, clock_synchronised = ?, daemons = ?, retiredepoch = NULL \
         WHERE nodeID = ? AND homeID = ? AND bootID = ? AND claimed_us = ?";
    values.extend([
        before.identity.home.as_str().into(),
        before.identity.boot.as_str().into(),
        before.claimed.into(),
    ]);
    let is_written = session.execute(sql, &values)? == 1;
    if is_written && !new.identity.is_here(&before.identity) {
        // Who takes a name over is the rival that was seen.
        forget_rival(session, &new.node)?;
    }
    Ok(is_written)
}

fn forget_rival(session: &mut dyn Session, station: &str) -> Result<(), Error> {
    let sql = "UPDATE MONHOSTS SET rival = NULL, rivalseen_us = NULL WHERE nodeID = ?";
    session.execute(sql, &[station.into()]).map(|_| ())
}

/// Notes who goes by the name of `station` beside it, at `now` of the database's clock.
///
/// # Errors
/// What the engine says.
pub fn note_rival(
    session: &mut dyn Session,
    station: &str,
    rival: &Rival,
    now: Timestamp,
) -> Result<(), Error> {
    let rival = serde_json::to_string(rival).unwrap_or_default();
    let sql = "UPDATE MONHOSTS SET rival = ?, rivalseen_us = ? WHERE nodeID = ?";
    session.execute(sql, &[rival.into(), now.into(), station.into()]).map(|_| ())
}

/// Notes what the doctor of `station` found at `now` of the database's clock: findings, and how many
/// specifications are of each health, both as JSON.
///
/// # Errors
/// What the engine says.
pub fn put_findings(
    session: &mut dyn Session,
    station: &str,
    (findings, specifications): (&str, &str),
    now: Timestamp,
) -> Result<(), Error> {
    let sql =
        "UPDATE MONHOSTS SET findings = ?, specifications = ?, findings_us = ? WHERE nodeID = ?";
    let values = [findings.into(), specifications.into(), now.into(), station.into()];
    session.execute(sql, &values).map(|_| ())
}

/// Notes that a station is gone for good, at `epoch`, whole seconds; says whether there is one of that name.
///
/// # Errors
/// What the engine says.
pub fn retire_monhost(session: &mut dyn Session, station: &str, epoch: i64) -> Result<bool, Error> {
    let sql = "UPDATE MONHOSTS SET retiredepoch = ? WHERE nodeID = ?";
    Ok(session.execute(sql, &[epoch.into(), station.into()])? == 1)
}
