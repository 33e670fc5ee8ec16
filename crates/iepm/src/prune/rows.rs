//! Rows of the tables that are older than they are kept.
//!
//! They are found specification by specification, by the index that every table has for that: a scan
//! of ten years of readings would take longer than what it deletes.

use station::{
    text::Timestamp,
    world::store::{self, Error, Session, Store, Value},
};

use crate::rollup::Desk;

/// So many rows go in one transaction: some ten milliseconds.
const BATCH: u64 = 500;

/// A table, the statements that find and delete its old rows.
struct Table {
    find: &'static str,
    delete: &'static str,
}

/// As old as rows of SCHEDULE may be, for they tell how runs got the channel.
const TRIES: Table = Table {
    find: "SELECT tryID FROM TRIES WHERE toolspecsID = ? AND start_us < ? LIMIT ?",
    delete: "DELETE FROM TRIES WHERE tryID = ?",
};

/// What may still become something stays, however old.
const SCHEDULE: Table = Table {
    find: "SELECT scheduleID FROM SCHEDULE WHERE toolspecsID = ? AND due_us < ? \
           AND state NOT IN ('pending', 'running', 'finished') LIMIT ?",
    delete: "DELETE FROM SCHEDULE WHERE scheduleID = ? AND state NOT IN ('pending', 'running', 'finished')",
};

/// Deletes leases that expired before `before`, whoever held them; says how many. There is one for each target at most.
pub(super) fn prune_leases(
    store: &mut Store,
    before: Timestamp,
    dry_run: bool,
) -> Result<u64, Error> {
    if dry_run {
        let find = "SELECT COUNT(*) FROM LEASES WHERE expires_us < ?";
        let counted =
            store.read(|session| store::one(session, find, &[before.into()], |row| row.int(0)))?;
        return Ok(counted.map_or(0, i64::unsigned_abs));
    }
    let delete = "DELETE FROM LEASES WHERE expires_us < ?";
    store.transaction(|session| session.execute(delete, &[before.into()]))
}

/// Rows that were deleted, or would be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rows {
    /// Of SCHEDULE.
    pub(super) schedule: u64,
    /// Of TRIES.
    pub(super) tries: u64,
}

/// The specifications of a station, also those that are retired: their rows are pruned.
pub(super) fn specs(store: &mut Store, station: &str) -> Result<Vec<i64>, Error> {
    let sql = "SELECT toolspecsID FROM TOOLSPECS WHERE srcNodeID = ?";
    store.read(|session| store::all(session, sql, &[station.into()], |row| row.int(0)))
}

/// Deletes rows of SCHEDULE and TRIES from before `schedule`.
pub(super) fn prune(
    desk: &mut Desk<'_>,
    specs: &[i64],
    schedule: Timestamp,
    dry_run: bool,
) -> Result<Rows, Error> {
    Ok(Rows {
        schedule: sweep(desk, &SCHEDULE, specs, schedule.0, dry_run)?,
        tries: sweep(desk, &TRIES, specs, schedule.0, dry_run)?,
    })
}

/// So many specifications are looked through in one transaction: the daemons wait for no longer.
const SPECS: usize = 500;

/// Goes through a table, batch by batch.
fn sweep(
    desk: &mut Desk<'_>,
    table: &Table,
    specs: &[i64],
    before: i64,
    dry_run: bool,
) -> Result<u64, Error> {
    if dry_run {
        return desk.read(|session| count(session, table, specs, before));
    }
    let (mut rest, mut all) = (specs, 0);
    while !rest.is_empty() {
        let (rows, done) = desk.change(|session| batch(session, table, rest, before))?;
        all += rows;
        rest = &rest[done..];
    }
    Ok(all)
}

/// Deletes one batch; says how many rows went, and how many specifications are done.
fn batch(
    session: &mut dyn Session,
    table: &Table,
    specs: &[i64],
    before: i64,
) -> Result<(u64, usize), Error> {
    let mut rows = 0;
    let some = specs.len().min(SPECS);
    for (done, spec) in specs.iter().take(some).enumerate() {
        let found = find(session, table, *spec, before, BATCH - rows)?;
        for row in &found {
            rows += session.execute(table.delete, &[(*row).into()])?;
        }
        if rows >= BATCH {
            return Ok((rows, done));
        }
    }
    Ok((rows, some))
}

fn count(
    session: &mut dyn Session,
    table: &Table,
    specs: &[i64],
    before: i64,
) -> Result<u64, Error> {
    let mut rows = 0;
    for spec in specs {
        rows += find(session, table, *spec, before, u64::MAX)?.len() as u64;
    }
    Ok(rows)
}

fn find(
    session: &mut dyn Session,
    table: &Table,
    spec: i64,
    before: i64,
    most: u64,
) -> Result<Vec<i64>, Error> {
    let values: [Value<'_>; 3] = [spec.into(), before.into(), most.into()];
    store::all(session, table.find, &values, |row| row.int(0))
}

#[cfg(test)]
mod tests {
    use crate::testing::{self, Station};

    use super::*;

    fn station() -> Station {
        let mut station = Station::new();
        station.execute(
            "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, runinterval) \
             VALUES ('s', 'd', 'ping', 'ping', 'background', 1, 10)",
            &[],
        );
        station
    }

    fn run(station: &mut Station, due: i64, state: &'static str) {
        station.execute(
            "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
             latest_us, state) VALUES (1, 's', 'd', 'ping', 'background', ?, ?, 0, ?)",
            &[due.into(), Timestamp::from_seconds(due).into(), state.into()],
        );
    }

    fn go(station: &mut Station, specs: &[i64], at: Timestamp, dry: bool) -> Result<Rows, Error> {
        prune(&mut Desk::new(&mut station.store, 0), specs, at, dry)
    }

    #[test]
    fn old_rows_go_but_none_that_may_still_become_something() {
        let mut station = station();
        for state in ["pending", "running", "finished", "loaded", "missed", "failed"] {
            run(&mut station, 99, state);
            run(&mut station, 100, state);
        }
        let at = Timestamp::from_seconds(100);
        let counted = go(&mut station, &[1], at, true).expect("counted");
        let pruned = go(&mut station, &[1], at, false).expect("pruned");
        let three = Rows { schedule: 3, ..Rows::default() };
        assert_eq!((counted, pruned), (three, three));
        let left =
            station.rows("SELECT state FROM SCHEDULE WHERE dueepoch = 99 ORDER BY scheduleID");
        assert_eq!(left, [["pending"], ["running"], ["finished"]]);
        assert_eq!(station.rows("SELECT COUNT(*) FROM SCHEDULE"), [["9"]]);
    }

    #[test]
    fn tries_go_in_their_time() {
        let mut station = station();
        for (id, start) in [(1_i64, 99_i64), (2, 100)] {
            let values = [id.into(), id.into(), Timestamp::from_seconds(start).into()];
            station.execute(
                "INSERT INTO TRIES (scheduleID, attempt, toolspecsID, srcNodeID, destNodeID, start_us) \
                 VALUES (?, ?, 1, 's', 'd', ?)",
                &values,
            );
        }
        let at = Timestamp::from_seconds(100);
        for dry_run in [true, false] {
            let pruned = go(&mut station, &[1], at, dry_run).expect("pruned");
            assert_eq!(pruned, Rows { schedule: 0, tries: 1 });
        }
        assert_eq!(station.rows("SELECT scheduleID FROM TRIES"), [["2"]]);
    }

    #[test]
    fn a_lease_goes_when_it_expired_long_ago() {
        let mut station = station();
        for (node, expires) in [("a", 99_i64), ("b", 100)] {
            station.execute(
                "INSERT INTO LEASES (destNodeID, holderNodeID, scheduleID, expires_us) VALUES (?, 's', 1, ?)",
                &[node.into(), expires.into()],
            );
        }
        for dry_run in [true, false] {
            assert_eq!(
                prune_leases(&mut station.store, Timestamp(100), dry_run).expect("pruned"),
                1
            );
        }
        assert_eq!(station.rows("SELECT destNodeID FROM LEASES"), [["b"]]);
    }

    #[test]
    fn another_stations_rows_are_its_own_to_prune() {
        let mut station = Station::new();
        testing::two_stations(&mut station);
        let at = Timestamp::from_seconds(100);
        for dry_run in [true, false] {
            let specs = specs(&mut station.store, "s").expect("its own");
            let pruned = go(&mut station, &specs, at, dry_run).expect("pruned");
            assert_eq!(pruned, Rows { schedule: 1, tries: 0 });
        }
        let sql = "SELECT srcNodeID, COUNT(*) FROM SCHEDULE GROUP BY srcNodeID ORDER BY srcNodeID";
        assert_eq!(station.rows(sql), [["o", "3"], ["s", "2"]]);
    }

    #[test]
    fn more_rows_than_one_batch_all_go() {
        let mut station = station();
        station.execute(
            "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, latest_us, state) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120) \
             SELECT 1, 's', 'd', 'ping', 'background', (a.i - 1) * 100 + b.i, ((a.i - 1) * 100 + b.i) * 1000000, 0, 'loaded' \
             FROM n a, n b WHERE b.i <= 100",
            &[],
        );
        run(&mut station, 20_000, "loaded");
        let at = Timestamp::from_seconds(12_000);
        let pruned = go(&mut station, &[1], at, false).expect("pruned");
        assert_eq!(pruned, Rows { schedule: 11_999, tries: 0 });
        assert_eq!(station.rows("SELECT dueepoch FROM SCHEDULE"), [["12000"], ["20000"]]);
    }
}
