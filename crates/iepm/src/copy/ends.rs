//! The two ends of a copy: what may be copied from, what may be copied into, and who may do it now.

use std::{path::Path, time::Duration};

use station::{
    app::{Exit, Failure},
    text::Timestamp,
    words::config::Database,
    world::{
        files,
        store::{
            self, Error, Kind, LATEST, Mark, Session, Store, Value, bulk, clear_mark, mark,
            put_mark, put_note,
        },
    },
};

use crate::migrate;

/// How long an end may take to answer: long tables are counted.
const ANSWER: Duration = Duration::from_secs(60);

/// Who copies into the target now: a number of its own, noted in the target.
const COPIER: &str = "copy/by";

/// One end: a database, and the connection to it.
#[derive(Debug)]
pub(super) struct End {
    pub(super) database: Database,
    pub(super) store: Store,
}

/// As `database` in `iepm.toml` takes it.
pub(super) fn url(database: &Database) -> String {
    match database {
        Database::Sqlite(path) => format!("sqlite://{}", path.display()),
        Database::Mysql(address) => address.to_string(),
    }
}

/// Whether both are the same database; of two servers' only the URLs are known.
pub(super) fn is_same(one: &Database, other: &Database) -> bool {
    let place = |database: &Database| database.file().and_then(|path| path.canonicalize().ok());
    one == other || place(one).zip(place(other)).is_some_and(|(one, other)| one == other)
}

impl End {
    pub(super) fn of(database: &Database) -> Self {
        Self { database: database.clone(), store: Store::of_copy(database, ANSWER) }
    }

    pub(super) fn url(&self) -> String {
        url(&self.database)
    }

    fn failed(&self, doing: &str, error: Error) -> Failure {
        Failure::store(format!("{doing} {}", self.url()), error)
    }

    fn refused(&self, doing: &str, why: impl std::fmt::Display) -> Failure {
        Failure::new(Exit::NeedsPerson, format!("{doing} {}", self.url())).why(why)
    }
}

/// How the source stands to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It is in use, or its programs only stand still.
    Open,
    /// Nothing can write to it: it is being moved to this target, or was.
    Closed,
}

/// Looks at the source.
///
/// # Errors
/// It cannot be copied from: it is of another schema, or itself a target, or was moved elsewhere.
pub(super) fn source(from: &mut End, to: &str) -> Result<Source, Failure> {
    const DOING: &str = "copying from";
    let found = from.store.read(mark).map_err(|error| from.failed(DOING, error))?;
    match found {
        None => Ok(Source::Open),
        Some((Mark::Moved, other)) if other == to => Ok(Source::Closed),
        Some((Mark::Moved, other)) => {
            let why = format!(
                "its rows were moved to {other}: copy from there, or call `iepm copy --reopen` first"
            );
            Err(from.refused(DOING, why))
        }
        Some((Mark::Target, other)) => {
            let why = format!("it is the target of a copy of {other} that is not complete");
            Err(from.refused(DOING, why))
        }
    }
}

/// How a target was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// There is none, or it has no tables yet.
    Missing,
    /// It has tables, all of them empty.
    Empty,
    /// It has what was copied from this source before, and is marked so.
    Begun,
    /// It has rows, and is in use or was: a table, and how many it has.
    Full(String, u64),
}

/// Looks at the target and changes nothing.
///
/// # Errors
/// It cannot be copied into: it is of another schema, or the target of another copy.
pub(super) fn look(to: &mut End, from: &str, tables: &[bulk::Table]) -> Result<Target, Failure> {
    const DOING: &str = "copying into";
    if !to.store.exists().map_err(|error| to.failed(DOING, error))? {
        return Ok(Target::Missing);
    }
    let version = to.store.unchecked(version_of).map_err(|error| to.failed(DOING, error))?;
    match version {
        LATEST => {}
        0 => return Ok(Target::Missing),
        other => {
            let why = format!(
                "its schema is version {other}, and that of the source {LATEST}; drop it, or name another"
            );
            return Err(to.refused(DOING, why));
        }
    }
    let found = to.store.read(|session| found(session, from, tables));
    let found = found.map_err(|error| to.failed(DOING, error))?;
    found.map_err(|why| to.refused(DOING, why))
}

/// The version of its schema; 0 where there is none yet.
fn version_of(session: &mut dyn Session) -> Result<i64, Error> {
    let tables = session.tables()?;
    let has = |name: &str| tables.iter().any(|table| table.name() == name);
    match tables.first() {
        None => Ok(0),
        // One whose making was cut short is made complete.
        Some(_) if has("SCHEMAVERSION") => store::version(session),
        Some(table) => {
            let what = format!(
                "it has tables of something else ({}, {} in all): name another database",
                table.name(),
                tables.len()
            );
            Err(Error::new(Kind::Other, what))
        }
    }
}

/// How the target stands, or why nothing can be copied into it.
fn found(
    session: &mut dyn Session,
    from: &str,
    tables: &[bulk::Table],
) -> Result<Result<Target, String>, Error> {
    let theirs = bulk::of_station(session)?;
    let differences = bulk::differences(tables, &theirs);
    if !differences.is_empty() {
        let why = format!(
            "its tables are not those of the source: {}. Nothing was copied; each database must have the tables of \
             the suite and no others",
            differences.join("; ")
        );
        return Ok(Err(why));
    }
    Ok(match mark(session)? {
        Some((Mark::Target, source)) if source == from => Ok(Target::Begun),
        Some((Mark::Target, source)) => Err(format!(
            "it is the target of a copy of {source}, not of {from}; drop it, or name another"
        )),
        Some((Mark::Moved, other)) => Err(format!("its rows were moved to {other}; name another")),
        None => Ok(first_row(session, tables)?),
    })
}

/// Whether the tables are empty.
fn first_row(session: &mut dyn Session, tables: &[bulk::Table]) -> Result<Target, Error> {
    for table in tables {
        if !bulk::is_empty(session, table)? {
            return Ok(Target::Full(table.name().to_owned(), bulk::count(session, table)?));
        }
    }
    Ok(Target::Empty)
}

/// The target is not to be used until the copy is complete; only who copies now writes to it.
#[derive(Debug, Clone)]
pub(super) struct Claim(String);

/// Makes the target if it is not there, marks it, and takes it for this copy: any other that goes on fails.
///
/// # Errors
/// It cannot be made; it has rows that are not of this copy; what the engine says.
pub(super) fn claim(
    to: &mut End,
    from: &str,
    tables: &[bulk::Table],
    now: Timestamp,
) -> Result<Claim, Failure> {
    const DOING: &str = "copying into";
    if look(to, from, tables)? == Target::Missing {
        make(to, now)?;
    }
    match look(to, from, tables)? {
        Target::Full(table, rows) => {
            let why = format!(
                "its table {table} has {rows} rows that are not of this copy; nothing was changed. Name another \
                 database, or drop this one if nobody needs it"
            );
            return Err(to.refused(DOING, why));
        }
        Target::Missing | Target::Empty | Target::Begun => {}
    }
    let claim = Claim(format!("{} {}", std::process::id(), now.0));
    let marked = to.store.transaction(|session| {
        put_mark(session, Mark::Target, from, now)?;
        put_note(session, COPIER, &claim.0)
    });
    marked.map_err(|error| to.failed(DOING, error))?;
    Ok(claim)
}

fn make(to: &mut End, now: Timestamp) -> Result<(), Failure> {
    const DOING: &str = "making the database";
    if let Some(path) = to.database.file().filter(|path| !path.exists()) {
        new_file(path)?;
    }
    let made = to.store.create().and_then(|()| migrate::forward(&mut to.store, now));
    made.map(|_| ()).map_err(|error| to.failed(DOING, error))
}

/// An empty file is an empty database; made here, others cannot read it.
fn new_file(path: &Path) -> Result<(), Failure> {
    files::create(path).map(|_| ()).map_err(|error| {
        Failure::new(Exit::NeedsPerson, format!("making {}", path.display())).because(error)
    })
}

impl Claim {
    /// Makes sure, in a transaction that writes to the target, that it is still ours.
    pub(super) fn holds(&self, session: &mut dyn Session) -> Result<(), Error> {
        let sql = "UPDATE NOTES SET value = ? WHERE name = ? AND value = ?";
        let values: [Value<'_>; 3] =
            [self.0.as_str().into(), COPIER.into(), self.0.as_str().into()];
        if session.execute(sql, &values)? == 1 {
            return Ok(());
        }
        let what = "another `iepm copy` has taken over: this one ends";
        Err(Error::new(Kind::Closed, what))
    }
}

/// Has nothing write to the source any more, whoever tries.
///
/// # Errors
/// It is moved elsewhere meanwhile; what the engine says.
pub(super) fn close(from: &mut End, to: &str, now: Timestamp) -> Result<(), Failure> {
    let closed = from.store.transaction(|session| match mark(session)? {
        Some((_, other)) if other != to => Err(elsewhere(&other)),
        _ => put_mark(session, Mark::Moved, to, now),
    });
    closed.map_err(|error| from.failed("closing", error))
}

/// Makes sure that the source is still closed, before the target is opened.
///
/// # Errors
/// It was opened again, or moved elsewhere; what the engine says.
pub(super) fn is_closed(from: &mut End, to: &str) -> Result<(), Error> {
    from.store.read(|session| match mark(session)? {
        Some((Mark::Moved, other)) if other == to => Ok(()),
        Some((_, other)) => Err(elsewhere(&other)),
        None => {
            let what = "the source was opened again meanwhile, and may have been written to";
            Err(Error::new(Kind::Other, what))
        }
    })
}

fn elsewhere(other: &str) -> Error {
    Error::new(Kind::Closed, format!("its rows are being moved to {other} by somebody else"))
}

/// Gives the source back to its programs; says where it had been moved, if it had.
pub(super) fn reopen(from: &mut End) -> Result<Option<String>, Failure> {
    let opened = from.store.transaction(|session| match mark(session)? {
        Some((Mark::Moved, other)) => clear_mark(session).map(|()| Some(other)),
        _ => Ok(None),
    });
    opened.map_err(|error| from.failed("opening", error))
}

/// The target is complete: any program may use it.
pub(super) fn open(to: &mut End, claim: &Claim) -> Result<(), Error> {
    to.store.transaction(|session| {
        // It was opened already, when the answer to that was lost.
        if mark(session)?.is_none() {
            return Ok(());
        }
        claim.holds(session)?;
        clear_mark(session)
    })
}
