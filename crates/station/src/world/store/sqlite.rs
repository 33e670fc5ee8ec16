//! The embedded engine, and all that is particular to it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{
    CachedStatement, Connection, ErrorCode, OpenFlags, TransactionBehavior, params_from_iter,
    types::{ToSql, ToSqlOutput, ValueRef},
};

use crate::{
    text::Timestamp,
    world::clock::{self, Clock, SystemClock},
};

use super::{
    Session,
    bulk::{Found, Table},
    engine::Mode,
    error::{Error, Kind},
    one, scans,
    value::{Columns, Row, Value},
};

/// Memory for pages of the file, as far as it is needed, KiB.
const CACHE_KIB: i64 = 16_384;
/// Pages, of 4 KiB, that the log holds before they go into the file.
const LOG_PAGES: i64 = 4_000;
/// Between two tries of what another connection does just now.
const TURN: Duration = Duration::from_millis(5);

/// A file, and the connection to it while there is one.
#[derive(Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    busy_timeout: Duration,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    /// Device and inode of the file that was opened.
    file: (u64, u64),
}

impl Sqlite {
    pub(super) fn new(path: &Path, busy_timeout: Duration) -> Self {
        Self { path: path.to_path_buf(), busy_timeout, open: None }
    }

    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    pub(super) fn create(&mut self) -> Result<(), Error> {
        self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE).map(|_| ())
    }

    pub(super) fn transaction<T>(
        &mut self,
        mode: Mode,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.identity() != self.open.as_ref().map(|open| open.file) {
            self.open = None;
        }
        let result = self.attempt(mode, work);
        let broken = |kind| !matches!(kind, Kind::Busy | Kind::Conflict | Kind::Other);
        if result.as_ref().is_err_and(|error| broken(error.kind())) {
            self.open = None;
        }
        result
    }

    fn identity(&self) -> Option<(u64, u64)> {
        fs::metadata(&self.path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }

    fn attempt<T>(
        &mut self,
        mode: Mode,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let path = self.path.clone();
        let explain = |error| explain(&error, &path);
        // One that writes takes the lock at its beginning, for two that both read first and then write
        // would each wait for the other.
        let behavior = match mode {
            Mode::Read => TransactionBehavior::Deferred,
            Mode::Write => TransactionBehavior::Immediate,
        };
        let connection = match &mut self.open {
            Some(open) => &mut open.connection,
            None => self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?,
        };
        let transaction = connection.transaction_with_behavior(behavior).map_err(explain)?;
        let mut session = InTransaction { connection: &transaction, path: &path, last: None };
        let done = work(&mut session)?;
        drop(session);
        transaction.commit().map_err(explain)?;
        Ok(done)
    }

    fn connect(&mut self, flags: OpenFlags) -> Result<&mut Connection, Error> {
        let explain = |error| explain(&error, &self.path);
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(explain)?;
        connection.busy_timeout(self.busy_timeout).map_err(explain)?;
        connection.set_prepared_statement_cache_capacity(64);
        // Readers never wait for writers; what was committed outlives a power loss.
        in_its_turn(self.busy_timeout, || {
            connection.pragma_update(None, "journal_mode", "WAL").map_err(explain)
        })?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(explain)?;
        // A batch of readings touches a page of an index for each specification: they stay in memory while it
        // is written, and go into the file once for several batches.
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(explain)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(explain)?;
        let file = self.identity().unwrap_or_default();
        Ok(&mut self.open.insert(Open { connection, file }).connection)
    }
}

/// Does what the engine refuses at once, and does not wait for, while another connection does the same:
/// changing a new file to the log.
fn in_its_turn(
    busy_timeout: Duration,
    mut work: impl FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    let now = || SystemClock.moment().boot;
    let begun = now();
    loop {
        match work() {
            Err(error)
                if error.kind() == Kind::Busy && now().saturating_sub(begun) < busy_timeout =>
            {
                clock::pause(TURN);
            }
            result => return result,
        }
    }
}

struct InTransaction<'a> {
    connection: &'a Connection,
    path: &'a Path,
    /// The statement that was executed last: a thousand rows are written by one after the other, and
    /// need not look for theirs a thousand times.
    last: Option<(&'static str, CachedStatement<'a>)>,
}

impl Session for InTransaction<'_> {
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, Error> {
        let explain = |error| explain(&error, self.path);
        let mut statement = match self.last.take() {
            Some((last, statement)) if std::ptr::eq(last, sql) => statement,
            _ => self.connection.prepare_cached(sql).map_err(explain)?,
        };
        let changed = statement.execute(params_from_iter(values)).map_err(explain)?;
        scans::note(&statement, sql);
        self.last = Some((sql, statement));
        Ok(changed as u64)
    }

    fn insert(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<i64, Error> {
        self.execute(sql, values)?;
        Ok(self.connection.last_insert_rowid())
    }

    // The engine is on this machine, and has its clock.
    fn now(&mut self) -> Result<Timestamp, Error> {
        let sql = "SELECT CAST(strftime('%s', 'now') AS INTEGER)";
        let seconds = one(self, sql, &[], |row| row.int(0))?;
        Ok(Timestamp::from_seconds(seconds.unwrap_or_default()))
    }

    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let explain = |error| explain(&error, self.path);
        let mut statement = self.connection.prepare_cached(sql).map_err(explain)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            each(&Row(row))?;
        }
        drop(rows);
        scans::note(&statement, sql);
        Ok(())
    }

    fn write(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        let explain = |error| explain(&error, self.path);
        let mut statement = self.connection.prepare_cached(sql).map_err(explain)?;
        let changed = statement.execute(params_from_iter(values)).map_err(explain)?;
        Ok(changed as u64)
    }

    fn tables(&mut self) -> Result<Vec<Table>, Error> {
        // What a number at the end of its key says is its place in the key, and not whether there is one.
        let sql = "SELECT m.name, c.name, c.type, c.pk, m.sql LIKE '%AUTOINCREMENT%' \
                   FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                   WHERE m.type = 'table' AND substr(m.name, 1, 7) <> 'sqlite_' ORDER BY m.name, c.cid";
        let mut found = Found::default();
        self.query(sql, &[], &mut |row| {
            found.column(&row.str(0), &row.str(1), &row.str(2), row.int(3)?, row.int(4)? == 1)
        })?;
        found.tables()
    }

    fn next_key(&mut self, table: &Table) -> Result<i64, Error> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?";
        let last = one(self, sql, &[table.name().into()], |row| row.int(0))?;
        Ok(last.unwrap_or(0).saturating_add(1))
    }

    fn raise_next_key(&mut self, table: &Table, next: i64) -> Result<(), Error> {
        let values = [(next - 1).into(), table.name().into()];
        if self.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", &values)? == 0 {
            self.execute("INSERT INTO sqlite_sequence (seq, name) VALUES (?, ?)", &values)?;
        }
        Ok(())
    }
}

impl Columns for rusqlite::Row<'_> {
    fn at(&self, column: usize) -> Value<'_> {
        self.get_ref(column).map_or(Value::Null, value)
    }
}

fn value(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(bytes) => Value::of_bytes(bytes),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.into()),
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(int) => ValueRef::Integer(*int),
            Value::Real(real) => ValueRef::Real(*real),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Sorts an error by what can be done about it, and says what that is.
fn explain(error: &rusqlite::Error, path: &Path) -> Error {
    let shown = path.display();
    let code = error.sqlite_error_code();
    let about = |kind, what: String| Error::new(kind, what);
    match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            about(Kind::Busy, format!("the database {shown} is locked by another program"))
        }
        Some(ErrorCode::CannotOpen) if !path.exists() => {
            about(Kind::Away, format!("there is no database {shown}; `iepm init` makes one"))
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure) => {
            about(Kind::Away, format!("cannot use the database {shown}: {error}"))
        }
        Some(ErrorCode::DiskFull) => {
            about(Kind::Full, format!("no room for the database {shown}: {error}"))
        }
        Some(ErrorCode::ReadOnly) => about(
            Kind::ReadOnly,
            format!("may not write to the database {shown}, or to its directory: {error}"),
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => about(
            Kind::Corrupt,
            format!(
                "the database {shown} is damaged ({error}); stop the daemons, remove it with its -wal and -shm, put a copy \
                 in its place; result files are kept meanwhile"
            ),
        ),
        Some(ErrorCode::ConstraintViolation) => {
            about(Kind::Conflict, format!("the database {shown}: {error}"))
        }
        _ => about(Kind::Other, format!("the database {shown}: {error}")),
    }
}
