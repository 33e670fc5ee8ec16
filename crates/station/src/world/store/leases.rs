//! LEASES: which station measures to a target, alone among those that share this database.
//!
//! A lease expires by itself, when its station dies. Its end is by the database's clock: that of another station may
//! be minutes ahead.

use std::collections::BTreeMap;

use crate::{text::Timestamp, words::run::RunId};

use super::{
    Session, all,
    error::{Error, Kind},
};

/// Takes the lease of a target from `now` until `until`, both by our own clock, or makes our own last so long; says
/// whether it is ours.
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
    let length = now.until(until);
    let now = session.now()?;
    let until = now + length;
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
    let sql = "DELETE FROM LEASES WHERE holderNodeID = ? AND NOT EXISTS (SELECT 1 FROM SCHEDULE \
         WHERE state = 'running' AND srcNodeID = ? AND testtype = 'background-syn' \
         AND SCHEDULE.destNodeID = LEASES.destNodeID)";
    session.execute(sql, &[station.into(), station.into()]).map(|_| ())
}

/// The targets that other stations have leased at `now`: the station, and until when, both by our own clock.
///
/// # Errors
/// What the engine says.
pub fn held_elsewhere(
    session: &mut dyn Session,
    station: &str,
    now: Timestamp,
) -> Result<BTreeMap<String, (String, Timestamp)>, Error> {
    let sql = "SELECT destNodeID, holderNodeID, expires_us FROM LEASES WHERE holderNodeID <> ? AND expires_us >= ?";
    let theirs = session.now()?;
    let leases = all(session, sql, &[station.into(), theirs.into()], |row| {
        Ok((row.text(0), (row.text(1), now + theirs.until(row.timestamp(2)?))))
    })?;
    Ok(leases.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::of_test, *};
    use crate::world::store::{Store, migrate};

    const LONG: Duration = Duration::from_secs(600);

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::of(&of_test(folder.path()), Duration::from_secs(6));
        store.create().expect("made");
        let fill = |session: &mut dyn Session| {
            migrate(session, Timestamp(0))?;
            session.execute("INSERT INTO NODES (nodeID, hostName) VALUES ('d', 'd.example')", &[])
        };
        store.unchecked(fill).expect("filled");
        (folder, store)
    }

    #[test]
    fn a_station_whose_clock_is_ahead_does_not_take_what_another_has() {
        let (_folder, mut store) = store();
        let now = Timestamp::from_seconds(1_790_000_000);
        let ahead = now + 10 * LONG;
        let mut take = |station, now| {
            let times = (now, now + LONG);
            store.transaction(|session| take_lease(session, station, "d", 1, times)).expect("asked")
        };
        assert!(take("a", now), "nobody has it");
        assert!(!take("b", ahead), "a has it, whatever the time is at b");
        assert!(take("a", now), "its own lasts longer");
        let held = |session: &mut dyn Session| held_elsewhere(session, "b", ahead);
        let (holder, until) = store.read(held).expect("read").remove("d").expect("it is leased");
        assert_eq!(holder, "a");
        let left = ahead.until(until);
        assert!(left <= LONG && left + Duration::from_secs(60) > LONG, "by b's clock: {left:?}");
    }

    #[test]
    fn a_target_that_another_run_of_ours_goes_to_keeps_its_lease() {
        let (_folder, mut store) = store();
        let now = Timestamp::from_seconds(1_790_000_000);
        let run = "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
             latest_us, state) VALUES (1, 'a', 'd', 'iperf', 'background-syn', 0, 0, 0, 'running')";
        let begin = |session: &mut dyn Session| {
            session.execute(run, &[])?;
            // The lease names a later run, which was put back.
            take_lease(session, "a", "d", 99, (now, now + LONG))?;
            clear_leases(session, "a")
        };
        store.transaction(begin).expect("written");
        let count = |session: &mut dyn Session| {
            all(session, "SELECT destNodeID FROM LEASES", &[], |row| Ok(row.text(0)))
        };
        assert_eq!(store.read(count).expect("read"), ["d"]);
        let end = |session: &mut dyn Session| {
            session.execute("UPDATE SCHEDULE SET state = 'finished'", &[])?;
            clear_leases(session, "a")
        };
        store.transaction(end).expect("written");
        assert_eq!(store.read(count).expect("read"), [""; 0]);
    }
}
