//! MySQL and MariaDB, and all that is particular to them.
//!
//! A transaction that writes reads what is committed, statement by statement: changes are guarded by
//! the state that they leave, and what others have changed meanwhile is then seen and not overwritten.
//! One that reads has one state of the database.
//!
//! A connection that fails is dropped, and the next transaction makes another.

mod access;
mod dialect;
mod errors;
mod session;

use std::{fmt, time::Duration};

use ::mysql::{Conn, Error as Failure, OptsBuilder, prelude::Queryable};

use crate::words::database::Address;

use super::{
    Session,
    engine::Mode,
    error::{Error, Kind},
};

use access::Limits;
use session::InTransaction;

/// The database of a server, and the connection to it while there is one.
pub(super) struct Mysql {
    address: Address,
    shown: String,
    limits: Limits,
    open: Option<Conn>,
}

impl fmt::Debug for Mysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A connection knows its password.
        f.debug_tuple("Mysql").field(&self.address).finish_non_exhaustive()
    }
}

/// How often a transaction is tried that others stand in the way of, and the first pause between two
/// tries; each is twice the one before.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(8);

impl Mysql {
    pub(super) fn new(address: &Address, patience: Duration) -> Self {
        let (shown, limits) = (address.to_string(), Limits::within(patience));
        Self { address: address.clone(), shown, limits, open: None }
    }

    /// Whether the server has the database.
    pub(super) fn exists(&self) -> Result<bool, Error> {
        match Conn::new(access::opts(&self.address, self.limits)?) {
            Ok(_) => Ok(true),
            Err(Failure::MySqlError(said)) if said.code == 1049 => Ok(false),
            Err(failure) => Err(errors::explain(&failure, &self.shown)),
        }
    }

    /// Makes the database if it is not there.
    pub(super) fn create(&mut self) -> Result<(), Error> {
        if self.exists()? {
            return Ok(());
        }
        let opts = access::opts(&self.address, self.limits)?;
        let sql =
            format!("CREATE DATABASE IF NOT EXISTS `{}` {}", self.address.name, dialect::DATABASE);
        let made = Conn::new(opts.db_name(None::<String>)).and_then(|mut it| it.query_drop(sql));
        made.map_err(|failure| errors::explain(&failure, &self.shown))
    }

    /// How long to stand back after so many tries; nothing: they were enough.
    pub(super) fn back_off(&self, tries: u32) -> Option<Duration> {
        // Two that got into each other's way are not to meet again: each has a number of its own.
        let own = self.open.as_ref().map_or(0, |it| it.connection_id() % 8);
        (tries < TRIES).then(|| PAUSE * 2_u32.pow(tries - 1) * (8 + own) / 8)
    }

    pub(super) fn transaction<T>(
        &mut self,
        mode: Mode,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut connection = self.begun(mode)?;
        let shown = &self.shown;
        let mut session = InTransaction { connection: &mut connection, shown, undone: None };
        let done = work(&mut session);
        let done = match session.undone {
            Some(error) => Err(error),
            None => done,
        };
        let (done, is_whole) = end(&mut connection, (mode, shown), done);
        self.open = is_whole.then_some(connection);
        done
    }

    /// A connection on which a transaction has begun.
    fn begun(&mut self, mode: Mode) -> Result<Conn, Error> {
        if let Some(mut kept) = self.open.take() {
            let Err(failure) = begin(&mut kept, mode) else { return Ok(kept) };
            let error = errors::explain(&failure, &self.shown);
            // One that was idle while the server was restarted can be replaced: nothing was done on it.
            if error.kind() != Kind::Away || errors::is_silence(&failure) {
                return Err(error);
            }
        }
        let opts: OptsBuilder = access::opts(&self.address, self.limits)?;
        let begun = Conn::new(opts).and_then(|mut made| begin(&mut made, mode).map(|()| made));
        begun.map_err(|failure| errors::explain(&failure, &self.shown))
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
fn end<T>(
    connection: &mut Conn,
    (mode, shown): (Mode, &str),
    done: Result<T, Error>,
) -> (Result<T, Error>, bool) {
    match done {
        Ok(done) => match connection.query_drop("COMMIT") {
            Ok(()) => (Ok(done), true),
            // What was read was read.
            Err(_) if mode == Mode::Read => (Ok(done), false),
            Err(failure) => {
                let undone = matches!(failure, Failure::MySqlError(_))
                    && connection.query_drop("ROLLBACK").is_ok();
                (Err(errors::of_commit(&failure, shown)), undone)
            }
        },
        Err(error) => {
            let is_whole = error.kind() != Kind::Away && connection.query_drop("ROLLBACK").is_ok();
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

    fn add(session: &mut dyn Session, note: &str) -> Result<(), Error> {
        let sql = "UPDATE NOTES SET value = value + 1 WHERE name = ?";
        session.execute(sql, &[Value::from(note)]).map(|_| ())
    }

    #[test]
    fn two_that_take_the_same_rows_in_opposite_order_both_come_through() {
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
                let (mut store, barrier) = (store(&database), &barrier);
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        barrier.wait();
                        let both = |session: &mut dyn Session| {
                            notes.iter().try_for_each(|note| add(session, note))
                        };
                        store.transaction(both).expect("in the end");
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
