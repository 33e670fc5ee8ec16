//! The network: all stations that share the database, as they reported last.
//!
//! [`look`] asks for what is there in a handful of queries, however many stations and specifications there
//! are: how a station does, it has said itself. [`judge`] tells what is only seen from outside.

mod judge;
mod show;

use std::collections::BTreeMap;

use serde::Serialize;
use station::{
    text::Timestamp,
    words::monhost::Monhost,
    world::store::{self, Error, Session},
};

use crate::{apply, doctor::Finding};

pub(crate) use judge::{Outside, from_outside, silence_key, two_machines};
pub(crate) use show::{as_json, merged, text};

/// All stations.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// The time, by the database's clock.
    pub(crate) now: Timestamp,
    /// In the order of their names.
    pub(crate) stations: Vec<Monhost>,
    /// Runs that are not over.
    queues: BTreeMap<String, Queue>,
    /// Leases: the target, its holder, when it expires.
    leases: Vec<(String, String, Timestamp)>,
    /// Nodes that stations define differently, and what each says.
    differing: Vec<(String, String)>,
    /// Stations that have specifications and never reported, and how many.
    strangers: Vec<(String, i64)>,
}

/// Runs of a station that are not over.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Queue {
    pending: i64,
    running: i64,
    /// Their results wait to be loaded.
    finished: i64,
}

/// Asks the database.
///
/// # Errors
/// What the engine says.
pub(crate) fn look(session: &mut dyn Session) -> Result<Network, Error> {
    let stations = store::monhosts(session)?;
    let sql = "SELECT destNodeID, holderNodeID, expires_us FROM LEASES ORDER BY destNodeID";
    let lease = |row: &store::Row<'_>| Ok((row.text(0), row.text(1), row.timestamp(2)?));
    Ok(Network {
        now: session.now()?,
        queues: queues(session)?,
        leases: store::all(session, sql, &[], lease)?,
        differing: apply::differing(session)?,
        strangers: strangers(session, &stations)?,
        stations,
    })
}

fn queues(session: &mut dyn Session) -> Result<BTreeMap<String, Queue>, Error> {
    let sql = "SELECT srcNodeID, state, COUNT(*) FROM SCHEDULE \
               WHERE state IN ('pending', 'running', 'finished') GROUP BY srcNodeID, state";
    let mut queues: BTreeMap<String, Queue> = BTreeMap::new();
    session.query(sql, &[], &mut |row| {
        let queue = queues.entry(row.text(0)).or_default();
        let count = match &*row.str(1) {
            "pending" => &mut queue.pending,
            "running" => &mut queue.running,
            _ => &mut queue.finished,
        };
        *count = row.int(2)?;
        Ok(())
    })?;
    Ok(queues)
}

fn strangers(session: &mut dyn Session, stations: &[Monhost]) -> Result<Vec<(String, i64)>, Error> {
    let sql = "SELECT DISTINCT srcNodeID FROM TOOLSPECS";
    let all = store::all(session, sql, &[], |row| Ok(row.text(0)))?;
    let mut strangers = Vec::new();
    for name in all.into_iter().filter(|name| stations.iter().all(|it| it.node != *name)) {
        let sql = "SELECT COUNT(*) FROM TOOLSPECS WHERE srcNodeID = ? AND retiredepoch IS NULL";
        let count = store::one(session, sql, &[name.as_str().into()], |row| row.int(0))?;
        strangers.extend(count.filter(|count| *count > 0).map(|count| (name, count)));
    }
    Ok(strangers)
}

/// What a station's doctor found last; nothing if it never looked.
pub(crate) fn found(station: &Monhost) -> Option<Vec<Finding>> {
    station.findings_at?;
    serde_json::from_str(&station.findings).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Station};

    #[test]
    fn what_the_database_knows_of_all_stations_is_seen() {
        let mut station = Station::new();
        testing::two_stations(&mut station);
        testing::reports(&mut station, "s", 5);
        station.execute(
            "INSERT INTO LEASES (destNodeID, holderNodeID, scheduleID, expires_us) VALUES ('d', 'o', 1, 77)",
            &[],
        );
        let seen = station.store.read(|session| look(session)).expect("asked");
        let names: Vec<&str> = seen.stations.iter().map(|it| it.node.as_str()).collect();
        assert_eq!(names, ["s"]);
        assert!(seen.stations[0].seen.until(seen.now).as_secs() >= 5);
        assert_eq!(seen.queues["o"], Queue { pending: 1, running: 0, finished: 1 });
        assert_eq!(seen.leases, [("d".to_owned(), "o".to_owned(), Timestamp(77))]);
        assert_eq!(seen.strangers, [("o".to_owned(), 1)]);
    }

    #[test]
    fn what_a_doctor_found_is_read_back() {
        let mut station = Station::new();
        testing::reports(&mut station, "s", 5);
        assert_eq!(found(&testing::monhost("s", Timestamp(0))), None);
        let findings = vec![Finding::warning("k", "what", "todo")];
        let stored = serde_json::to_string(&findings).expect("plain values");
        let put = |session: &mut dyn Session| {
            store::put_findings(session, "s", (&stored, "{\"ok\":2}"), Timestamp(9))
        };
        station.store.transaction(put).expect("stored");
        let seen = station.store.read(|session| look(session)).expect("asked");
        assert_eq!(found(&seen.stations[0]), Some(findings));
        assert_eq!(seen.stations[0].specifications, "{\"ok\":2}");
    }
}
