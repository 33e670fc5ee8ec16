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

    /// Makes the database if it is not there.
    pub(super) fn create(&mut self) -> Result<(), Error> {
        let opts = access::opts(&self.address, self.limits)?;
        if !matches!(Conn::new(opts.clone()), Err(Failure::MySqlError(said)) if said.code == 1049) {
            return Ok(());
        }
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
