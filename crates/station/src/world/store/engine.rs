//! The engines, and what the store asks of each.

use std::{env, path::Path, time::Duration};

use crate::{words::config::Database, world::clock};

use super::{Session, error::Error, mysql::Mysql, sqlite::Sqlite};

/// Whether a transaction writes. One that only reads sees one state of the database and keeps nobody waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Read,
    Write,
}

#[derive(Debug)]
pub(super) enum Engine {
    Sqlite(Sqlite),
    Mysql(Box<Mysql>),
}

impl Engine {
    /// The engine of a database; `patience` is how long one transaction may wait for others.
    pub(super) fn of(database: &Database, patience: Duration) -> Self {
        match database {
            // It waits for its lock by itself, once in each try.
            Database::Sqlite(path) => Self::Sqlite(Sqlite::new(path, patience / SQLITE_TRIES)),
            Database::Mysql(address) => Self::Mysql(Box::new(Mysql::new(address, patience))),
        }
    }

    pub(super) fn exists(&self) -> Result<bool, Error> {
        match self {
            Self::Sqlite(engine) => Ok(engine.exists()),
            Self::Mysql(engine) => engine.exists(),
        }
    }

    pub(super) fn create(&mut self) -> Result<(), Error> {
        match self {
            Self::Sqlite(engine) => engine.create(),
            Self::Mysql(engine) => engine.create(),
        }
    }

    pub(super) fn transaction<T>(
        &mut self,
        mode: Mode,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self {
            Self::Sqlite(engine) => engine.transaction(mode, work),
            Self::Mysql(engine) => engine.transaction(mode, work),
        }
    }

    /// Stands back before a transaction is tried again that another one stood in the way of; says
    /// whether it may be.
    pub(super) fn stand_back(&self, tries: u32) -> bool {
        match self {
            Self::Sqlite(_) => tries < SQLITE_TRIES,
            Self::Mysql(engine) => match engine.back_off(tries) {
                Some(length) => {
                    clock::pause(length);
                    true
                }
                None => false,
            },
        }
    }
}

/// How often a transaction of the embedded engine is tried.
const SQLITE_TRIES: u32 = 3;

/// The database of a test that has `folder` for itself: a file in it, or, where `IEPM_TEST_SOCKET` is the
/// socket of a server, a database there by the name of the folder, for its account `root`.
#[doc(hidden)]
#[must_use]
pub fn of_test(folder: &Path) -> Database {
    let file = Database::Sqlite(folder.join("iepm.db"));
    let Some(socket) = env::var_os("IEPM_TEST_SOCKET") else { return file };
    let name = folder.file_name().unwrap_or_default().to_string_lossy().replace('.', "");
    let url = format!("mysql://root@/test_{name}?socket={}", Path::new(&socket).display());
    Database::parse(&url).unwrap_or(file)
}
