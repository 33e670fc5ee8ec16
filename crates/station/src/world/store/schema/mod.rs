//! The tables, and how a database of an earlier version is brought forward.
//!
//! Tables and columns carry the original's names where those are known. `*epoch` holds whole seconds
//! and `*_us` microseconds, since the epoch, UTC; what is not known or not defined is NULL.

mod alone;
mod first;
mod oneway;
mod progress;
mod rollups;
mod stations;

use crate::text::Timestamp;

use super::{
    Session,
    error::{Error, Kind},
    marks, one,
};

/// The version of the schema that this program writes and reads.
#[expect(clippy::cast_possible_wrap, reason = "a handful of steps")]
pub const LATEST: i64 = STEPS.len() as i64;

/// What each version adds to the one before it. A step that was released is never changed.
const STEPS: [&[&str]; 5] = [first::STEP, alone::STEP, stations::STEP, rollups::STEP, oneway::STEP];

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS SCHEMAVERSION (
        version INTEGER NOT NULL PRIMARY KEY,
        appliedepoch BIGINT NOT NULL)";

/// Brings the schema to the latest version; says from which it came.
///
/// # Errors
/// A newer database, another program that is at it, or what the engine says; then the schema is as it was, or on
/// an engine that keeps definitions, goes on from there the next time.
pub fn migrate(session: &mut dyn Session, now: Timestamp) -> Result<i64, Error> {
    if !session.keeps_definitions() {
        return take(session, now, &STEPS);
    }
    progress::alone(session)?;
    let found = take(session, now, &STEPS)?;
    progress::release(session)?;
    Ok(found)
}

/// Makes an empty database one of version 1: for tests of what brings it forward.
///
/// # Errors
/// What the engine says.
#[doc(hidden)]
pub fn first_of_test(session: &mut dyn Session) -> Result<(), Error> {
    take(session, Timestamp(0), &STEPS[..1]).map(|_| ())
}

/// Takes those of the steps that were not taken yet.
fn take(
    session: &mut dyn Session,
    now: Timestamp,
    steps: &[&'static [&'static str]],
) -> Result<i64, Error> {
    session.define(VERSIONS)?;
    let found = version(session)?;
    if found > LATEST {
        return Err(newer(found));
    }
    for (number, step) in (1..).zip(steps).filter(|(number, _)| *number > found) {
        let number: i64 = number;
        if session.keeps_definitions() {
            progress::go_on(session, number, step)?;
        } else {
            step.iter().try_for_each(|statement| session.define(statement))?;
        }
        let values = [number.into(), now.seconds().into()];
        session
            .execute("INSERT INTO SCHEMAVERSION (version, appliedepoch) VALUES (?, ?)", &values)?;
        if session.keeps_definitions() {
            progress::end(session, number)?;
        }
    }
    Ok(found)
}

/// The version of the schema that is there; 0 for an empty database. A mark is none.
///
/// # Errors
/// What the engine says.
pub fn version(session: &mut dyn Session) -> Result<i64, Error> {
    let sql = "SELECT COALESCE(MAX(version), 0) FROM SCHEMAVERSION WHERE version < ?";
    Ok(one(session, sql, &[marks::FIRST.into()], |row| row.int(0))?.unwrap_or(0))
}

/// Refuses every schema but the latest, and a database that has a mark, unless that is to be used too.
pub(super) fn check(session: &mut dyn Session, beyond_marks: bool) -> Result<(), Error> {
    let sql = "SELECT COALESCE(MAX(version), 0) FROM SCHEMAVERSION";
    let found = match one(session, sql, &[], |row| row.int(0)) {
        Ok(found) => found.unwrap_or(0),
        Err(error) if error.kind() == Kind::Other => 0,
        Err(error) => return Err(error),
    };
    match found {
        LATEST => Ok(()),
        marked if marked >= marks::FIRST && beyond_marks => of_version(version(session)?),
        marked if marked >= marks::FIRST => Err(marks::closed(session, marked)),
        found => of_version(found),
    }
}

fn of_version(found: i64) -> Result<(), Error> {
    match found {
        LATEST => Ok(()),
        0 => Err(Error::new(Kind::Older, "the database has no schema yet; `iepm init` makes one")),
        newer_than if newer_than > LATEST => Err(newer(newer_than)),
        older => Err(Error::new(
            Kind::Older,
            format!(
                "the database's schema is version {older}, this program needs {LATEST}; run `iepm migrate`"
            ),
        )),
    }
}

fn newer(found: i64) -> Error {
    Error::new(
        Kind::Newer,
        format!(
            "the database's schema is version {found}, this program knows {LATEST} at most; install the newer suite"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;
    use crate::world::store::{Store, all, of_test, specs};

    /// A database as version 1 of the schema left it, with a specification and its reading.
    fn first_version() -> (TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let database = of_test(folder.path());
        let mut store = Store::of(&database, Duration::from_secs(5));
        store.create().expect("made");
        let fill = |session: &mut dyn Session| {
            first_of_test(session)?;
            for sql in [
                "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, runinterval) \
                 VALUES ('s', 'd', 'ping', 'ping', 'background', 15, 600)",
                "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
                 latest_us, state) VALUES (1, 's', 'd', 'ping', 'background', 0, 0, 0, 'loaded')",
                "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, \
                 received, duplicates, reordered, clock_synchronised, avg) \
                 VALUES (1, 1, 's', 'd', 7, 7000000, 0, 9, 0, 0, 1, 2.5)",
            ] {
                session.execute(sql, &[])?;
            }
            Ok(())
        };
        store.unchecked(fill).expect("version 1");
        (folder, store)
    }

    fn ask(store: &mut Store, sql: &str) -> Result<Vec<String>, Error> {
        store.unchecked(|session| all(session, sql, &[], |row| Ok(row.text(0))))
    }

    #[test]
    fn a_database_of_the_first_version_is_brought_forward_with_all_its_rows() {
        let (_folder, mut store) = first_version();
        let refused = store.read(|_| Ok(())).expect_err("too old");
        assert!(refused.to_string().contains("iepm migrate"), "{refused}");
        let now = Timestamp::from_seconds(77);
        assert_eq!(store.unchecked(|session| migrate(session, now)).expect("migrated"), 1);
        let (readings, specs) = store
            .read(|session| {
                let sql = "SELECT avg, overlapped FROM PINGDATA";
                let row = |row: &crate::world::store::Row<'_>| {
                    Ok((row.optional_real(0)?, row.optional_int(1)?))
                };
                Ok((all(session, sql, &[], row)?, specs(session, "s")?))
            })
            .expect("of this version");
        assert_eq!(readings, [(Some(2.5), None)]);
        assert!(specs[0].spec.is_ok(), "{:?}", specs[0].spec);
        let empty = "SELECT dailybytes || dailyseconds || hours || pingbeside FROM TOOLSPECS";
        assert_eq!(ask(&mut store, empty).expect("read"), [""]);
        let steps = ask(&mut store, "SELECT appliedepoch FROM SCHEMAVERSION ORDER BY version");
        assert_eq!(steps.expect("read"), ["0", "77", "77", "77", "77"]);
    }

    #[test]
    fn a_database_of_the_second_version_becomes_one_of_many_stations_with_all_its_rows() {
        let (_folder, mut store) = first_version();
        store.unchecked(|session| take(session, Timestamp(0), &STEPS[..2])).expect("version 2");
        for sql in [
            "INSERT INTO NODES (nodeID, hostName) VALUES ('d', 'd.example')",
            "INSERT INTO NOTES (name, value) VALUES ('load-scheduled.last-cycle', '{}'), ('mine', 'kept')",
        ] {
            store.unchecked(|session| session.execute(sql, &[])).expect("written");
        }
        let refused = store.read(|_| Ok(())).expect_err("too old");
        assert!(refused.to_string().contains("iepm migrate"), "{refused}");
        let took = store.unchecked(|session| migrate(session, Timestamp(0)));
        assert_eq!(took.expect("migrated"), 2);
        assert_eq!(ask(&mut store, "SELECT name FROM NOTES").expect("read"), ["mine"]);
        assert_eq!(ask(&mut store, "SELECT hostName FROM NODES").expect("read"), ["d.example"]);
        assert_eq!(ask(&mut store, "SELECT received FROM PINGDATA").expect("read"), ["9"]);
        for table in ["MONHOSTS", "NODELISTS"] {
            let sql = format!("SELECT nodeID FROM {table}");
            assert_eq!(ask(&mut store, &sql).expect("there"), [""; 0]);
        }
        let specs = store.read(|session| specs(session, "s")).expect("of this version");
        assert!(specs[0].spec.is_ok(), "{:?}", specs[0].spec);
        let others = store.read(|session| super::super::specs(session, "o")).expect("read");
        assert!(others.is_empty());
    }

    #[test]
    fn a_database_of_the_fourth_version_keeps_its_one_way_delays() {
        let (_folder, mut store) = first_version();
        store.unchecked(|session| take(session, Timestamp(0), &STEPS[..4])).expect("version 4");
        let sql = "INSERT INTO OWAMPDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, \
             end_us, clock_synchronised, tmed, from_lost) VALUES (1, 1, 's', 'd', 7, 7000000, 0, 1, -0.25, 3)";
        store.unchecked(|session| session.execute(sql, &[])).expect("written");
        assert_eq!(store.unchecked(|session| migrate(session, Timestamp(0))).expect("migrated"), 4);
        let kept = store.read(|session| {
            let sql = "SELECT tmed, from_lost, to_p99_us, from_verdict FROM OWAMPDATA";
            all(session, sql, &[], |row| {
                let new = (row.optional_real(2)?, row.text(3));
                Ok((row.optional_real(0)?, row.optional_int(1)?, new))
            })
        });
        assert_eq!(kept.expect("of this version"), [(Some(-0.25), Some(3), (None, String::new()))]);
    }

    #[test]
    fn of_two_that_migrate_at_once_one_does_and_the_other_says_so_or_finds_it_done() {
        for _ in 0..5 {
            let folder = tempfile::tempdir().expect("a folder");
            let database = of_test(folder.path());
            let stores = [(); 4].map(|()| Store::of(&database, Duration::from_secs(5)));
            let barrier = std::sync::Barrier::new(stores.len());
            let results = std::thread::scope(|scope| {
                let migrate_at_once = |mut store: Store| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        store.create().expect("made");
                        barrier.wait();
                        store.unchecked(|session| migrate(session, Timestamp(0)))
                    })
                };
                stores.map(migrate_at_once).map(|it| it.join().expect("no panic"))
            });
            assert_eq!(results.iter().filter(|it| matches!(it, Ok(0))).count(), 1, "{results:?}");
            let refused = results.iter().filter_map(|it| it.as_ref().err());
            assert!(refused.map(Error::kind).all(|kind| kind == Kind::Busy), "{results:?}");
            let mut store = Store::of(&database, Duration::from_secs(5));
            store.read(|_| Ok(())).expect("whole");
        }
    }

    #[test]
    fn a_migration_that_ends_in_the_middle_did_not_happen() {
        let (_folder, mut store) = first_version();
        if store.unchecked(|session| Ok(session.keeps_definitions())).expect("asked") {
            return;
        }
        // The last table but one of the step is there already: all before it has been carried out.
        let table = "CREATE TABLE OWAMPDATA (somebodys INTEGER)";
        store.unchecked(|session| session.execute(table, &[])).expect("made");
        store.unchecked(|session| migrate(session, Timestamp(0))).expect_err("in the way");
        let crashed = store.unchecked(|session| {
            session.execute("DROP TABLE OWAMPDATA", &[])?;
            migrate(session, Timestamp(0))?;
            Err::<(), Error>(Error::new(Kind::Other, "the program dies here"))
        });
        crashed.expect_err("dead");
        assert_eq!(store.unchecked(version).expect("read"), 1);
        let columns = "SELECT name FROM pragma_table_info('TOOLSPECS') WHERE name = 'dailybytes'";
        assert_eq!(ask(&mut store, columns).expect("read"), [""; 0]);
        assert_eq!(ask(&mut store, "SELECT received FROM PINGDATA").expect("read"), ["9"]);
        store.unchecked(|session| session.execute("DROP TABLE OWAMPDATA", &[])).expect("dropped");
        assert_eq!(store.unchecked(|session| migrate(session, Timestamp(0))).expect("migrated"), 1);
    }

    /// What the embedded engine undoes, a server keeps: there a step goes on where it was cut short.
    #[test]
    fn a_step_that_a_server_cut_short_goes_on_after_any_of_its_statements() {
        for cut in 0..first::STEP.len() {
            let folder = tempfile::tempdir().expect("a folder");
            let mut store = Store::of(&of_test(folder.path()), Duration::from_secs(5));
            store.create().expect("made");
            let short = |session: &mut dyn Session| {
                let cut_short = match cut {
                    // Begun and not carried out, and begun and carried out.
                    0 => take_until(session, 0, false),
                    _ => take_until(session, cut, cut % 2 == 1),
                };
                cut_short.map(|()| session.keeps_definitions())
            };
            if !store.unchecked(short).expect("some of it") {
                return;
            }
            assert_eq!(store.unchecked(|session| migrate(session, Timestamp(0))).expect("all"), 0);
            store.read(|_| Ok(())).expect("whole");
            assert_eq!(ask(&mut store, "SELECT version FROM SCHEMASTEP").expect("read"), [""; 0]);
        }
    }

    /// Begins the first step as `progress` does, up to a statement that is noted, and carried out or not.
    fn take_until(session: &mut dyn Session, cut: usize, carried_out: bool) -> Result<(), Error> {
        if !session.keeps_definitions() {
            return Ok(());
        }
        session.define(VERSIONS)?;
        let steps = "CREATE TABLE SCHEMASTEP (version INTEGER NOT NULL PRIMARY KEY, statement INTEGER NOT NULL)";
        session.define(steps)?;
        for statement in &first::STEP[..cut + usize::from(carried_out)] {
            session.define(statement)?;
        }
        let number = i64::try_from(cut).expect("few").into();
        session
            .execute("INSERT INTO SCHEMASTEP (version, statement) VALUES (1, ?)", &[number])
            .map(|_| ())
    }

    #[test]
    fn a_table_that_somebody_made_is_in_the_way_of_a_step() {
        let (_folder, mut store) = first_version();
        store.unchecked(|session| session.define("CREATE TABLE LEASES (x INTEGER)")).expect("made");
        store.unchecked(|session| migrate(session, Timestamp(0))).expect_err("in the way");
        store.unchecked(|session| session.define("DROP TABLE LEASES")).expect("dropped");
        assert_eq!(store.unchecked(|session| migrate(session, Timestamp(0))).expect("migrated"), 1);
    }
}
