//! MySQL and MariaDB, and all that is particular to them.
//!
//! A transaction that writes reads what is committed, statement by statement: changes are guarded by
//! the state that they leave, and what others have changed meanwhile is then seen and not overwritten.
//! One that reads has one state of the database.
//!
//! A connection that fails is dropped, and the next transaction makes another.

mod access;
mod bulk;
mod dialect;
mod errors;
mod link;
mod nodes;
mod session;
mod standing;

use std::{fmt, time::Duration};

use ::mysql::{Conn, Error as Failure, prelude::Queryable};

use crate::words::database::Address;

use super::{
    Session,
    engine::Mode,
    error::{Error, Kind},
};

use errors::Left;
use link::{Link, Servers};
use session::InTransaction;

/// The database of a server, or of several, and the connection to one of them while there is one.
pub(super) struct Mysql {
    servers: Servers,
    open: Option<Link>,
}

impl fmt::Debug for Mysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A connection knows its password.
        f.debug_tuple("Mysql").field(&self.servers).finish_non_exhaustive()
    }
}

/// How often a transaction is tried that others stand in the way of, and the first pause between two
/// tries; each is twice the one before.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(8);

impl Mysql {
    pub(super) fn new(address: &Address, patience: Duration) -> Self {
        Self { servers: Servers::of(address, patience), open: None }
    }

    /// Whether the server has the database.
    pub(super) fn exists(&self) -> Result<bool, Error> {
        self.servers.exists()
    }

    /// Makes the database if it is not there.
    pub(super) fn create(&mut self) -> Result<(), Error> {
        self.servers.create()
    }

    /// How long to stand back after so many tries; nothing: they were enough.
    pub(super) fn back_off(&self, tries: u32) -> Option<Duration> {
        // Two that got into each other's way are not to meet again: each has a number of its own.
        let own = self.open.as_ref().map_or(0, |it| it.connection.connection_id() % 8);
        (tries < TRIES).then(|| PAUSE * 2_u32.pow(tries - 1) * (8 + own) / 8)
    }

    /// Does `work` in a transaction; once on each server, if those before it turn out to be gone and have
    /// not been told to commit.
    pub(super) fn transaction<T>(
        &mut self,
        mode: Mode,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tries = 0;
        loop {
            let (done, left) = self.one_transaction(mode, work)?;
            tries += 1;
            // How many there are is known since the first connection.
            if left != Some(Left::Gone) || tries >= self.servers.count() {
                return done;
            }
        }
    }

    /// Does `work` on one server; says too whether another may do better.
    fn one_transaction<T>(
        &mut self,
        mode: Mode,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<(Result<T, Error>, Option<Left>), Error> {
        let mut link = self.begun(mode)?;
        let mut session = InTransaction::on(&mut link);
        let done = work(&mut session);
        let (undone, left) = (session.undone.take(), session.left);
        let done = undone.map_or(done, Err);
        // Whoever handles a failure by himself goes on with the same server.
        let left = left.filter(|_| done.is_err());
        let is_told_to_commit = done.is_ok();
        let (done, is_whole) = end(&mut link, mode, done);
        if let Err(error) = &done
            && (left.is_some() || (is_told_to_commit && error.kind() == Kind::Away))
        {
            self.servers.failed(&link.node, error);
        }
        self.open = (is_whole && left.is_none()).then_some(link);
        Ok((done, left))
    }

    /// A connection on which a transaction has begun.
    fn begun(&mut self, mode: Mode) -> Result<Link, Error> {
        if let Some(kept) = self.open.take() {
            let mut kept = self.servers.better(kept);
            let Err(failure) = begin(&mut kept.connection, mode) else { return Ok(kept) };
            let error = errors::explain(&failure, &kept.node);
            // One that was idle while the server was restarted can be replaced: nothing was done on it.
            if error.kind() != Kind::Away || errors::is_silence(&failure) {
                self.servers.failed(&kept.node, &error);
                return Err(error);
            }
        }
        self.servers.connect(&mut |connection| begin(connection, mode))
    }
}

fn begin(connection: &mut Conn, mode: Mode) -> Result<(), Failure> {
    match mode {
        Mode::Write => connection.query_drop("START TRANSACTION"),
        Mode::Read => {
            connection.query_drop("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
            connection.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        }
    }
}

/// Ends a transaction; says whether the connection is still good.
fn end<T>(link: &mut Link, mode: Mode, done: Result<T, Error>) -> (Result<T, Error>, bool) {
    match done {
        Ok(done) => match link.connection.query_drop("COMMIT") {
            Ok(()) => (Ok(done), true),
            // What was read was read.
            Err(_) if mode == Mode::Read => (Ok(done), false),
            Err(failure) => {
                let is_undone = errors::says_undone(&failure)
                    && link.has_its_cluster()
                    && link.connection.query_drop("ROLLBACK").is_ok();
                (Err(errors::of_commit(&failure, &link.node, is_undone)), is_undone)
            }
        },
        Err(error) => {
            let is_whole =
                error.kind() != Kind::Away && link.connection.query_drop("ROLLBACK").is_ok();
            (Err(error), is_whole)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::super::{Store, Value, all, get_note, of_test, put_note};
    use super::*;
    use crate::{text::Timestamp, words::config::Database};

    /// A store on the server of the tests; nothing where there is none.
    fn served() -> Option<(tempfile::TempDir, Database)> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = of_test(folder.path());
        database.file().is_none().then_some((folder, database))
    }

    fn store(database: &Database) -> Store {
        let mut store = Store::of(database, Duration::from_secs(6));
        store.create().expect("made");
        store
    }

    const ADD: &str = "UPDATE NOTES SET value = value + 1 WHERE name = ?";

    fn add(session: &mut dyn Session, note: &str) -> Result<(), Error> {
        session.execute(ADD, &[Value::from(note)]).map(|_| ())
    }

    #[test]
    fn two_that_take_the_same_rows_in_opposite_order_both_come_through() {
        in_opposite_order(|session, notes| notes.iter().try_for_each(|note| add(session, note)));
        // In one packet, where a server takes it.
        in_opposite_order(|session, notes| {
            let rows = notes.map(|note| vec![note.into()]);
            assert_eq!(session.execute_many(ADD, &rows)?, 2);
            Ok(())
        });
    }

    fn in_opposite_order(
        add_both: impl Fn(&mut dyn Session, [&'static str; 2]) -> Result<(), Error> + Sync,
    ) {
        const ROUNDS: i64 = 40;
        let Some((_folder, database)) = served() else { return };
        let fill = |session: &mut dyn Session| {
            super::super::migrate(session, Timestamp(0))?;
            ["a", "b"].into_iter().try_for_each(|note| put_note(session, note, "0"))
        };
        store(&database).unchecked(fill).expect("filled");
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            for notes in [["a", "b"], ["b", "a"]] {
                let (mut store, barrier, add_both) = (store(&database), &barrier, &add_both);
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        barrier.wait();
                        store.transaction(|session| add_both(session, notes)).expect("in the end");
                    }
                });
            }
        });
        let read =
            |session: &mut dyn Session| Ok([get_note(session, "a")?, get_note(session, "b")?]);
        let sum = Some((2 * ROUNDS).to_string());
        assert_eq!(store(&database).read(read).expect("read"), [sum.clone(), sum]);
    }

    #[test]
    fn a_transaction_that_was_undone_stays_so_whatever_its_work_goes_on_to_do() {
        let Some((_folder, database)) = served() else { return };
        let mut store = store(&database);
        store.unchecked(|session| super::super::migrate(session, Timestamp(0))).expect("made");
        let killed = store.transaction(|session| {
            put_note(session, "before", "x")?;
            let own = all(session, "SELECT CONNECTION_ID()", &[], |row| row.int(0))?;
            let _ = session.execute("KILL CONNECTION ?", &[own[0].into()]);
            let _ = put_note(session, "after", "x");
            Ok(())
        });
        assert_eq!(killed.expect_err("killed").kind(), Kind::Away);
        let notes = |session: &mut dyn Session| {
            all(session, "SELECT name FROM NOTES", &[], |row| Ok(row.text(0)))
        };
        assert_eq!(store.read(notes).expect("on a new connection"), [""; 0]);
    }

    /// Writes notes of these names and values; the statement takes the value first.
    fn put_notes(session: &mut dyn Session, notes: &[Vec<Value<'_>>]) -> Result<u64, Error> {
        session.execute_many("INSERT INTO NOTES (value, name) VALUES (?, ?)", notes)
    }

    #[test]
    fn many_rows_are_changed_at_once_and_each_is_counted() {
        let Some((_folder, database)) = served() else { return };
        let mut store = store(&database);
        store.unchecked(|session| super::super::migrate(session, Timestamp(0))).expect("made");
        // More than one packet holds; one that is longer than all others; a type for each column.
        let long = "x".repeat(2 * bulk::PART);
        let texts: Vec<String> = (0..3_000).map(|number| format!("{number:300}")).collect();
        let value = |number: usize| match number {
            1_500 => long.as_str().into(),
            _ => Value::from(texts[number].as_str()),
        };
        let row = |number: usize| vec![value(number), format!("n{number}").into()];
        let notes: Vec<Vec<Value<'_>>> = (0..texts.len()).map(row).collect();
        let written = store.transaction(|session| put_notes(session, &notes)).expect("written");
        assert_eq!(written, 3_000);
        let names: Vec<Vec<Value<'_>>> =
            ["n1", "n1500", "nobody", "n2"].map(|name| vec!["y".into(), name.into()]).to_vec();
        let sql = "UPDATE NOTES SET value = ? WHERE name = ? AND value <> 'y'";
        let change = |session: &mut dyn Session| session.execute_many(sql, &names);
        assert_eq!(store.transaction(change).expect("changed"), 3);
        let kept = |session: &mut dyn Session| {
            Ok([get_note(session, "n1500")?, get_note(session, "n2999")?])
        };
        let kept = store.read(kept).expect("read");
        assert_eq!(kept, [Some("y".to_owned()), Some(texts[2_999].clone())]);
    }

    #[test]
    fn one_row_among_many_that_is_there_already_undoes_all_of_them() {
        let Some((_folder, database)) = served() else { return };
        let mut store = store(&database);
        store.unchecked(|session| super::super::migrate(session, Timestamp(0))).expect("made");
        let notes: Vec<Vec<Value<'_>>> =
            ["a", "b", "a"].map(|name| vec!["1".into(), name.into()]).to_vec();
        let fault = store.transaction(|session| put_notes(session, &notes)).expect_err("twice");
        assert_eq!(fault.kind(), Kind::Conflict);
        let count = |session: &mut dyn Session| {
            all(session, "SELECT COUNT(*) FROM NOTES", &[], |row| row.int(0))
        };
        assert_eq!(store.read(count).expect("read"), [0]);
    }

    #[test]
    fn numbers_and_texts_in_one_column_each_stay_what_they_are() {
        let Some((_folder, database)) = served() else { return };
        let mut store = store(&database);
        store.unchecked(|session| super::super::migrate(session, Timestamp(0))).expect("made");
        let values = [Value::Null, 7_i64.into(), 0.5.into(), Value::Null, "x".into(), 8_i64.into()];
        let rows: Vec<Vec<Value<'_>>> = ["a", "b", "c", "d", "e", "f"]
            .into_iter()
            .zip(values)
            .map(|(name, value)| vec![value, name.into()])
            .collect();
        let sql = "INSERT INTO NOTES (value, name) VALUES (COALESCE(?, 'none'), ?)";
        let write = |session: &mut dyn Session| session.execute_many(sql, &rows);
        assert_eq!(store.transaction(write).expect("written"), 6);
        let sql = "SELECT value FROM NOTES ORDER BY name";
        let read = |session: &mut dyn Session| all(session, sql, &[], |row| Ok(row.text(0)));
        assert_eq!(store.read(read).expect("read"), ["none", "7", "0.5", "none", "x", "8"]);
    }

    #[test]
    fn a_row_that_is_not_changed_is_found_and_a_value_that_does_not_fit_is_refused() {
        let Some((_folder, database)) = served() else { return };
        let mut store = store(&database);
        store.unchecked(|session| super::super::migrate(session, Timestamp(0))).expect("made");
        let twice = |session: &mut dyn Session| {
            put_note(session, "a", "1")?;
            session.execute("UPDATE NOTES SET value = '1' WHERE name = 'a'", &[])
        };
        assert_eq!(store.transaction(twice).expect("found"), 1);
        let case = |session: &mut dyn Session| get_note(session, "A");
        assert_eq!(store.read(case).expect("read"), None);
        let long = "x".repeat(129);
        let fault = store.transaction(|session| put_note(session, &long, "1"));
        assert_eq!(fault.expect_err("too long").kind(), Kind::Other);
    }
}
