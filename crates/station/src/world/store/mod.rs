//! The station's database.
//!
//! SQL is stated once, for every engine; what differs between engines lives in `sqlite.rs` and in
//! `mysql/`, the dialect of its tables in `mysql/dialect.rs`. Programs state their own queries through a [`Session`]; what two or more need is here: the schema, the
//! specifications, and the transitions of SCHEDULE.
//!
//! A [`Store`] survives its database: when it is locked, gone, full or damaged the work at hand fails
//! with an [`Error`] that says so, and the next work opens it anew. A database that was replaced
//! behind its back is noticed, for otherwise a daemon would go on writing into a file without a name.

mod agenda;
mod alone;
pub mod bulk;
mod claim;
mod close;
mod engine;
mod error;
mod leases;
mod marks;
mod monhosts;
mod mysql;
mod notes;
mod scans;
mod schedule;
mod schema;
mod specs;
mod sqlite;
mod tries;
mod value;

use std::time::Duration;

use crate::{text::Timestamp, words::config::Database};

use bulk::Table;
use engine::{Engine, Mode};

pub use agenda::{
    DueSpec, Place, clear_agenda, due_specs, leave_off_agenda, new_specs, put_on_agenda,
};
pub use alone::{
    Holder, Plan, StillRunning, Waiting, claim_alone, end_waiting, running_alone, try_again,
    waiting_alone,
};
pub use claim::{Claimant, Claimed, any_claimable, claim, running_of};
pub use close::{
    Finished, abandoned, cancel_switched_off, cancel_too_far_ahead, expire, fail, finish,
    finish_all, finished_long_ago, lose, lose_result, miss, put_back, put_back_all,
};
#[doc(hidden)]
pub use engine::of_test;
pub use error::{Error, Kind};
pub use leases::{clear_leases, held_elsewhere, release, take_lease};
pub use marks::{Mark, clear_mark, mark, put_mark};
pub use monhosts::{monhost_of, monhosts, note_rival, put_findings, put_monhost, retire_monhost};
pub use notes::{get_note, put_note};
pub use schedule::{Gap, NewRows, NewRun, OpenRun, insert_running};
#[doc(hidden)]
pub use schema::first_of_test;
pub use schema::{LATEST, migrate, version};
pub use specs::{StoredSpec, nodes, specs};
pub use tries::{
    Try, begin_try, end_try, expected_use, going_on, last_served, tries_between, used_since,
};
pub use value::{Row, Value};

/// A connection in the middle of a transaction.
pub trait Session {
    /// Runs a statement; says how many rows it changed.
    ///
    /// # Errors
    /// What the engine says.
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, Error>;

    /// Runs a statement once for each of `rows`, whose values have the same types column by column, NULL
    /// apart; says how many rows it changed in all. An engine far away is asked for many at once.
    ///
    /// # Errors
    /// What the engine says of any of them; what those before it changed is undone with the transaction.
    fn execute_many(&mut self, sql: &'static str, rows: &[Vec<Value<'_>>]) -> Result<u64, Error> {
        rows.iter().try_fold(0, |changed, values| Ok(changed + self.execute(sql, values)?))
    }

    /// Runs an INSERT; says the key that the engine gave to the row.
    ///
    /// # Errors
    /// What the engine says.
    fn insert(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<i64, Error>;

    /// Carries out a statement that makes or changes a table, written as the embedded engine takes it.
    ///
    /// # Errors
    /// What the engine says; [`Kind::Conflict`] from an engine that [`Self::keeps_definitions`] when it is
    /// there already.
    fn define(&mut self, sql: &'static str) -> Result<(), Error> {
        self.execute(sql, &[]).map(|_| ())
    }

    /// Whether what was defined stays, and what went before is committed, whatever becomes of the
    /// transaction.
    fn keeps_definitions(&self) -> bool {
        false
    }

    /// The database's own clock, to the second: one for all that share it, whatever their own clocks say.
    ///
    /// # Errors
    /// What the engine says.
    fn now(&mut self) -> Result<Timestamp, Error>;

    /// Runs a query and hands over its rows one by one.
    ///
    /// # Errors
    /// What the engine or `each` says.
    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// As [`Self::execute`], for what [`bulk`] makes of the names of a [`Table`].
    ///
    /// # Errors
    /// What the engine says.
    fn write(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error>;

    /// How many rows one INSERT is to have where many are written.
    fn rows_at_once(&self) -> usize {
        1
    }

    /// All tables that the database has, its own and those of others.
    ///
    /// # Errors
    /// What the engine says; a table that [`bulk`] cannot read.
    fn tables(&mut self) -> Result<Vec<Table>, Error>;

    /// The key that the next row gets in a table that counts its rows.
    ///
    /// # Errors
    /// What the engine says.
    fn next_key(&mut self, table: &Table) -> Result<i64, Error>;

    /// Has a table that counts its rows go on at `next`, which is no less than where it stands. A server
    /// commits what went before.
    ///
    /// # Errors
    /// What the engine says.
    fn raise_next_key(&mut self, table: &Table, next: i64) -> Result<(), Error>;
}

/// The database, opened when it is needed.
#[derive(Debug)]
pub struct Store {
    engine: Engine,
    /// Whether it is used also while it is marked as not to be used.
    beyond_marks: bool,
}

impl Store {
    /// The database of a station; it must be there and of this version's schema when it is used.
    ///
    /// `patience` is how long one transaction may wait for others.
    #[must_use]
    pub fn of(database: &Database, patience: Duration) -> Self {
        Self { engine: Engine::of(database, patience), beyond_marks: false }
    }

    /// As [`Self::of`], for who copies databases: one that has a [`Mark`] is used, too.
    #[must_use]
    pub fn of_copy(database: &Database, patience: Duration) -> Self {
        Self { beyond_marks: true, ..Self::of(database, patience) }
    }

    /// Whether there is a database, of whatever schema.
    ///
    /// # Errors
    /// Whether there is one cannot be seen.
    pub fn exists(&self) -> Result<bool, Error> {
        self.engine.exists()
    }

    /// Makes an empty database where there is none.
    ///
    /// On a server, the account must be allowed to.
    ///
    /// # Errors
    /// What the engine says.
    pub fn create(&mut self) -> Result<(), Error> {
        self.engine.create()
    }

    /// Does `work` in one transaction: all of it, or, if it fails, none of it. `work` may be called
    /// several times, when other transactions stand in its way.
    ///
    /// # Errors
    /// What `work` says, or why there could be no transaction.
    pub fn transaction<T>(
        &mut self,
        mut work: impl FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let beyond_marks = self.beyond_marks;
        let mut checked = |session: &mut dyn Session| {
            schema::check(session, beyond_marks)?;
            work(session)
        };
        self.again(Mode::Write, &mut checked)
    }

    /// Does `work` in a transaction, and again while others stand in its way.
    fn again<T>(
        &mut self,
        mode: Mode,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tries = 1;
        loop {
            match self.engine.transaction(mode, work) {
                Err(error) if error.kind() == Kind::Busy && self.engine.stand_back(tries) => {
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    /// Does `work`, which only reads, on one state of the database; nobody is kept waiting by it. `work` may be
    /// called several times: a table that was changed meanwhile has no such state any more.
    ///
    /// # Errors
    /// What `work` says, or why the database cannot be read.
    pub fn read<T>(
        &mut self,
        mut work: impl FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let beyond_marks = self.beyond_marks;
        let mut checked = |session: &mut dyn Session| {
            schema::check(session, beyond_marks)?;
            work(session)
        };
        self.again(Mode::Read, &mut checked)
    }

    /// As [`Self::transaction`], on a schema of any age: for migrations.
    ///
    /// # Errors
    /// What `work` says, or why there could be no transaction.
    pub fn unchecked<T>(
        &mut self,
        mut work: impl FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.engine.transaction(Mode::Write, &mut work)
    }
}

/// One value of a query that gives at most one row of one column.
///
/// # Errors
/// What the engine says, or that the value is of another type.
pub fn one<T>(
    session: &mut dyn Session,
    sql: &str,
    values: &[Value<'_>],
    read: impl Fn(&Row<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let mut found = None;
    session.query(sql, values, &mut |row| {
        found = Some(read(row)?);
        Ok(())
    })?;
    Ok(found)
}

/// All rows of a query.
///
/// # Errors
/// What the engine says, or that a value is of another type.
pub fn all<T>(
    session: &mut dyn Session,
    sql: &str,
    values: &[Value<'_>],
    read: impl Fn(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    session.query(sql, values, &mut |row| {
        found.push(read(row)?);
        Ok(())
    })?;
    Ok(found)
}
