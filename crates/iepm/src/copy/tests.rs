use station::{
    text::Timestamp,
    words::config::Database,
    world::store::{Error, Kind, Mark, Session, Store, Value, bulk, mark, migrate, of_test},
};
use tempfile::TempDir;

use super::*;

/// A database with tables, which a test has for itself; of the engine that tests run on, or the embedded one.
struct Place {
    end: End,
    _folder: TempDir,
}

#[derive(Debug, Clone, Copy)]
enum Of {
    Tests,
    Embedded,
}

/// From one engine to the other, and back, where tests run beside a server.
const BOTH_WAYS: [(Of, Of); 2] = [(Of::Embedded, Of::Tests), (Of::Tests, Of::Embedded)];

fn nowhere(of: Of) -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let database = match of {
        Of::Tests => of_test(folder.path()),
        Of::Embedded => Database::Sqlite(folder.path().join("iepm.db")),
    };
    Place { end: End::of(&database), _folder: folder }
}

fn made(of: Of) -> Place {
    let mut place = nowhere(of);
    place.end.store.create().expect("made");
    place.end.store.unchecked(|session| migrate(session, Timestamp(0))).expect("migrated");
    place
}

impl Place {
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) {
        self.end.store.transaction(|session| session.execute(sql, values)).expect("executed");
    }

    fn tables(&mut self) -> Vec<Table> {
        self.end.store.read(|session| bulk::of_station(session)).expect("read")
    }

    fn ask(&mut self, sql: &str) -> Vec<String> {
        let text = |row: &station::world::store::Row<'_>| Ok(row.text(0));
        self.end
            .store
            .read(|session| station::world::store::all(session, sql, &[], text))
            .expect("read")
    }

    /// Runs `number` to `number + rows - 1`, with what they read.
    fn fill(&mut self, number: i64, rows: i64) {
        let run = "INSERT INTO SCHEDULE (scheduleID, toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, \
                   due_us, latest_us, state) VALUES (?, 1, 's', 'd', 'ping', 'background', ?, 0, 0, 'loaded')";
        let reading = "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, \
                       end_us, received, duplicates, reordered, clock_synchronised, avg, packets) \
                       VALUES (?, 1, 's', 'd', ?, 0, 0, 1, 0, 0, 1, ?, ?)";
        let write = |session: &mut dyn Session| {
            for id in number..number + rows {
                session.execute(run, &[id.into(), id.into()])?;
                let values = [id.into(), id.into(), 0.1.into(), "[[1,2,3]] \u{1f600}".into()];
                session.execute(reading, &values)?;
            }
            Ok(())
        };
        self.end.store.transaction(write).expect("filled");
    }

    fn note(&mut self, name: &str, value: &str) {
        let put = |session: &mut dyn Session| station::world::store::put_note(session, name, value);
        self.end.store.transaction(put).expect("noted");
    }
}

fn copied(from: &mut Place, to: &mut Place, last: bool) -> Result<Report, Failure> {
    let tables = from.tables();
    ends::source(&mut from.end, &to.end.url())?;
    // No transaction is under way that began before.
    copy(&mut from.end, &mut to.end, &tables, last.then_some(Duration::ZERO))
}

#[track_caller]
fn line<'a>(report: &'a Report, table: &str) -> &'a Line {
    report.tables.iter().find(|line| line.table == table).expect("a table")
}

fn counts(report: &Report, table: &str) -> [u64; 4] {
    let Line { rows, new, changed, gone, .. } = line(report, table);
    [*rows, *new, *changed, *gone]
}

#[test]
fn a_station_goes_to_the_other_engine_and_back_and_is_the_same() {
    for (one, other) in BOTH_WAYS {
        let (mut from, mut to, mut back) = (made(one), nowhere(other), nowhere(one));
        from.fill(1, 9_000);
        from.note("e", "");
        let there = copied(&mut from, &mut to, true).expect("copied");
        assert_eq!(counts(&there, "PINGDATA"), [9_000, 9_000, 0, 0]);
        let again = copied(&mut to, &mut back, true).expect("copied back");
        let sums = |report: &Report| -> Vec<_> {
            report.tables.iter().map(|it| (it.table.clone(), it.checksum.clone())).collect()
        };
        assert_eq!(sums(&there), sums(&again));
        assert_eq!(back.ask("SELECT COUNT(*) FROM PINGDATA WHERE avg = 0.1"), ["9000"]);
    }
}

#[test]
fn what_changed_meanwhile_comes_over_with_the_next_copy_wherever_it_stands() {
    for (one, other) in BOTH_WAYS {
        let (mut from, mut to) = (made(one), nowhere(other));
        from.fill(1, 6_000);
        from.note("a", "1");
        from.note("b", "1");
        copied(&mut from, &mut to, false).expect("copied");
        from.execute("UPDATE SCHEDULE SET state = 'lost' WHERE scheduleID IN (1, 3000, 6000)", &[]);
        from.execute("DELETE FROM PINGDATA WHERE scheduleID <= 5000", &[]);
        from.execute("DELETE FROM NOTES WHERE name = 'a'", &[]);
        from.note("A", "2");
        from.fill(6_001, 10);
        let report = copied(&mut from, &mut to, false).expect("copied");
        assert_eq!(counts(&report, "SCHEDULE"), [6_010, 10, 3, 0]);
        assert_eq!(counts(&report, "PINGDATA"), [1_010, 10, 0, 5_000]);
        assert_eq!(counts(&report, "NOTES"), [2, 1, 0, 1]);
        let nothing = copied(&mut from, &mut to, false).expect("copied");
        assert_eq!(counts(&nothing, "SCHEDULE"), [6_010, 0, 0, 0]);
        assert_eq!(
            to.ask("SELECT name FROM NOTES WHERE name NOT LIKE 'copy/%' ORDER BY name"),
            ["A", "b"]
        );
    }
}

#[test]
fn what_is_unique_may_have_wandered_to_another_row() {
    for (one, other) in BOTH_WAYS {
        let (mut from, mut to) = (made(one), nowhere(other));
        from.fill(1, 9_000);
        let open = |from: &mut Place, id: i64, spec: Option<i64>| {
            let sql = "UPDATE SCHEDULE SET opentoolspecsID = ? WHERE scheduleID = ?";
            from.execute(sql, &[spec.into(), id.into()]);
        };
        // Forwards and backwards, far enough that they are not in the same part.
        open(&mut from, 2, Some(7));
        open(&mut from, 8_999, Some(8));
        copied(&mut from, &mut to, false).expect("copied");
        for (id, spec) in [(2, None), (8_999, None), (2, Some(8)), (8_999, Some(7))] {
            open(&mut from, id, spec);
        }
        let report = copied(&mut from, &mut to, false).expect("copied");
        assert_eq!(counts(&report, "SCHEDULE"), [9_000, 0, 2, 0]);
        let sql = "SELECT opentoolspecsID FROM SCHEDULE WHERE opentoolspecsID IS NOT NULL ORDER BY scheduleID";
        assert_eq!(to.ask(sql), ["8", "7"]);
    }
}

#[test]
fn until_the_last_copy_nobody_uses_the_target_and_from_then_on_nobody_the_source() {
    for (one, other) in BOTH_WAYS {
        let (mut from, mut to) = (made(one), nowhere(other));
        from.fill(1, 10);
        let used = |place: &Place| {
            let mut store = Store::of(&place.end.database, crate::PATIENCE);
            store
                .transaction(|session| session.execute("DELETE FROM TRIES", &[]))
                .map_err(|it| it.kind())
        };
        copied(&mut from, &mut to, false).expect("copied");
        assert_eq!([used(&from), used(&to)], [Ok(0), Err(Kind::Closed)]);
        copied(&mut from, &mut to, true).expect("moved");
        assert_eq!([used(&from), used(&to)], [Err(Kind::Closed), Ok(0)]);
        // It is known where it went, and nothing else is done to either.
        let (url, tables) = (to.end.url(), from.tables());
        let closed = ends::source(&mut from.end, &url).expect("looked");
        let already = moved_already(&mut from.end, &mut to.end, &tables, closed).expect("looked");
        assert_eq!(already, Some(Exit::Well));
        let other = copied(&mut from, &mut nowhere(other), true).expect_err("moved");
        assert!(other.to_string().contains(&format!("moved to {url}")), "{other}");
        assert_eq!(ends::reopen(&mut from.end).expect("opened"), Some(url));
        assert_eq!(used(&from), Ok(0));
        assert_eq!(ends::reopen(&mut from.end).expect("looked"), None);
        let target = copied(&mut from, &mut to, false).expect_err("in use");
        assert!(target.to_string().contains("has 10 rows that are not of this copy"), "{target}");
    }
}

#[test]
fn a_last_copy_that_was_cut_short_goes_on_and_the_source_stays_closed() {
    for (one, other) in BOTH_WAYS {
        let (mut from, mut to) = (made(one), nowhere(other));
        from.fill(1, 10);
        copied(&mut from, &mut to, false).expect("copied");
        ends::close(&mut from.end, &to.end.url(), Timestamp(0)).expect("closed");
        let report = copied(&mut from, &mut to, true).expect("moved");
        assert!(report.moved);
        let marked = |place: &mut Place| place.end.store.read(mark).expect("read").map(|it| it.0);
        assert_eq!([marked(&mut from), marked(&mut to)], [Some(Mark::Moved), None]);
    }
}

#[test]
fn a_source_is_moved_to_one_target_and_counts_as_moved_only_while_it_is_closed() {
    for (one, other) in BOTH_WAYS {
        let (mut from, mut to) = (made(one), nowhere(other));
        let url = to.end.url();
        ends::close(&mut from.end, &url, Timestamp(0)).expect("closed");
        ends::is_closed(&mut from.end, &url).expect("closed");
        let fault = ends::close(&mut from.end, "mysql:///b", Timestamp(0)).expect_err("closed");
        assert!(fault.to_string().contains(&format!("moved to {url} by somebody")), "{fault}");
        assert!(ends::is_closed(&mut from.end, "mysql:///b").is_err());
        ends::reopen(&mut from.end).expect("opened");
        let fault = ends::is_closed(&mut from.end, &url).expect_err("open");
        assert!(fault.to_string().contains("opened again"), "{fault}");
        copied(&mut from, &mut to, true).expect("moved");
    }
}

#[test]
fn a_target_that_has_rows_or_other_tables_is_refused_and_left() {
    for (one, other) in BOTH_WAYS {
        let (mut from, mut to) = (made(one), made(other));
        from.fill(1, 10);
        to.fill(1, 3);
        let fault = copied(&mut from, &mut to, false).expect_err("refused");
        assert!(
            fault.to_string().contains("PINGDATA has 3 rows that are not of this copy"),
            "{fault}"
        );
        assert_eq!(to.end.store.read(mark).expect("read"), None);
        assert_eq!(to.ask("SELECT COUNT(*) FROM SCHEDULE"), ["3"]);
        let mut of_other = made(other);
        from.end
            .store
            .unchecked(|session| {
                session.define("CREATE TABLE MINE (x BIGINT NOT NULL PRIMARY KEY)")
            })
            .expect("made");
        let fault = copied(&mut from, &mut of_other, false).expect_err("refused");
        assert!(fault.to_string().contains("only the source has a table MINE"), "{fault}");
    }
}

#[test]
fn a_database_of_something_else_and_a_second_source_are_refused() {
    for (one, other) in BOTH_WAYS {
        let (mut from, mut second, mut to) = (made(one), made(one), nowhere(other));
        copied(&mut from, &mut to, false).expect("copied");
        let fault = copied(&mut second, &mut to, false).expect_err("another").to_string();
        assert!(fault.contains(&format!("target of a copy of {}", from.end.url())), "{fault}");
        let fault = copied(&mut to, &mut nowhere(one), false).expect_err("half").to_string();
        assert!(fault.contains("that is not complete"), "{fault}");
        let mut foreign = nowhere(other);
        foreign.end.store.create().expect("made");
        let table = "CREATE TABLE posts (id BIGINT NOT NULL PRIMARY KEY)";
        foreign.end.store.unchecked(|session| session.define(table)).expect("made");
        let fault = copied(&mut from, &mut foreign, false).expect_err("foreign").to_string();
        assert!(fault.contains("tables of something else (posts, 1 in all)"), "{fault}");
    }
}

#[test]
fn a_copy_that_another_has_taken_over_writes_nothing_more() {
    let (mut from, mut to) = (made(Of::Embedded), nowhere(Of::Tests));
    let (url, tables) = (from.end.url(), from.tables());
    let first = ends::claim(&mut to.end, &url, &tables, Timestamp(1)).expect("claimed");
    let second = ends::claim(&mut to.end, &url, &tables, Timestamp(2)).expect("claimed");
    let mut write = |claim: &Claim| to.end.store.transaction(|session| claim.holds(session));
    assert_eq!(write(&first).expect_err("taken over").kind(), Kind::Closed);
    write(&second).expect("its own");
    from.fill(1, 5);
    let mut all: Vec<_> = tables.iter().map(Copied::of).collect();
    let fault = carried_out(&mut from.end, &mut to.end, &first, &mut all, None).expect_err("told");
    assert!(fault.to_string().contains("has taken over"), "{fault}");
}

#[test]
fn a_row_that_does_not_fit_is_named_with_its_table_its_key_and_its_column() {
    let (mut from, mut to) = (made(Of::Embedded), nowhere(Of::Tests));
    from.fill(1, 300);
    let is_server = to.end.database.file().is_none();
    // The embedded engine takes what no server does.
    from.execute(
        "UPDATE SCHEDULE SET state = 'a state of eleven letters and more' WHERE scheduleID = 123",
        &[],
    );
    let done = copied(&mut from, &mut to, false);
    if is_server {
        let fault = done.expect_err("too long").to_string();
        assert!(fault.contains("the row scheduleID 123 of SCHEDULE cannot be written"), "{fault}");
        assert!(fault.contains("'state'"), "{fault}");
        from.execute("UPDATE SCHEDULE SET state = 'loaded' WHERE scheduleID = 123", &[]);
        copied(&mut from, &mut to, false).expect("put right");
    } else {
        done.expect("no limits");
    }
}

#[test]
fn bytes_that_are_no_text_are_told_and_not_made_another() {
    let (mut from, mut to) = (made(Of::Embedded), nowhere(Of::Tests));
    from.fill(1, 3);
    from.execute("UPDATE SCHEDULE SET reason = CAST(x'61ff' AS TEXT) WHERE scheduleID = 2", &[]);
    let fault = copied(&mut from, &mut to, false).expect_err("no text").to_string();
    assert!(fault.contains("scheduleID 2") && fault.contains("reason"), "{fault}");
}

#[test]
fn a_value_that_the_target_does_not_keep_is_found_by_what_it_has_then() {
    let (mut from, mut to) = (made(Of::Embedded), nowhere(Of::Tests));
    from.fill(1, 3);
    // A server makes a whole number of it, without a word.
    from.execute("UPDATE SCHEDULE SET end_us = 1.5 WHERE scheduleID = 2", &[]);
    match copied(&mut from, &mut to, false) {
        Ok(_) => assert!(to.end.database.file().is_some()),
        Err(fault) => {
            let fault = fault.to_string();
            assert!(
                fault.contains("SCHEDULE is not in the target") && fault.contains("scheduleID 2"),
                "{fault}"
            );
        }
    }
}

#[test]
fn a_number_that_was_given_is_not_given_again_in_the_target() {
    for (one, other) in BOTH_WAYS {
        let (mut from, mut to) = (made(one), nowhere(other));
        from.fill(1, 50);
        from.execute("DELETE FROM SCHEDULE WHERE scheduleID > 40", &[]);
        from.execute("DELETE FROM PINGDATA", &[]);
        copied(&mut from, &mut to, true).expect("moved");
        let insert = "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
                      latest_us, state) VALUES (1, 's', 'd', 'ping', 'background', 0, 0, 0, 'pending')";
        let given = to.end.store.transaction(|session| session.insert(insert, &[]));
        assert_eq!(given.expect("written"), 51);
        let readings = to.tables().into_iter().find(|table| table.name() == "PINGDATA");
        let next = to.end.store.read(|session| session.next_key(readings.as_ref().expect("there")));
        assert_eq!(next.expect("read"), 51);
    }
}

#[test]
fn a_long_text_comes_over_whole() {
    for (one, other) in BOTH_WAYS {
        let (mut from, mut to) = (made(one), nowhere(other));
        from.fill(1, 20);
        let long = "\u{e4}".repeat(6_000_000);
        for id in [3_i64, 9, 20] {
            let sql = "UPDATE PINGDATA SET packets = ? WHERE pingdataID = ?";
            from.execute(sql, &[long.as_str().into(), id.into()]);
        }
        let report = copied(&mut from, &mut to, false).expect("copied");
        assert_eq!(counts(&report, "PINGDATA"), [20, 20, 0, 0]);
    }
}

#[test]
fn what_passes_and_what_does_not_have_exit_statuses_of_their_own() {
    let ends = [nowhere(Of::Embedded), nowhere(Of::Embedded)];
    let failed = |kind| failed(&ends[0].end, &ends[1].end, &Error::new(kind, "why"));
    for kind in [Kind::Away, Kind::Busy, Kind::Full] {
        let failure = failed(kind);
        assert_eq!(failure.exit(), Exit::TryLater);
        assert!(failure.to_string().contains("goes on where it was"), "{failure}");
    }
    assert_eq!(failed(Kind::Other).exit(), Exit::NeedsPerson);
}
