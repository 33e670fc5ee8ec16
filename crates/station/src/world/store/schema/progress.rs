//! How a step is taken on an engine that commits each definition by itself: statement by statement, each noted
//! before it is begun, and by one program at a time.
//!
//! On one server a lock keeps a second program away until its holder is gone, however it went. Between the
//! nodes of a cluster there are no such locks: there each statement is a change of the note that was left by
//! the one before, and of two programs only one can make it.

use super::{
    super::{
        Session,
        error::{Error, Kind},
        one,
    },
    version,
};

/// How far a step has come: `statement` of `version` was begun.
const PROGRESS: &str = "CREATE TABLE IF NOT EXISTS SCHEMASTEP (
        version INTEGER NOT NULL PRIMARY KEY,
        statement INTEGER NOT NULL)";

/// Keeps others from migrating this database on this server, until [`release`] or until the connection ends.
///
/// # Errors
/// Another program does, or what the engine says.
pub(super) fn alone(session: &mut dyn Session) -> Result<(), Error> {
    // A name has 64 characters at most. MD5 is no part of MySQL any more, since 9.6.
    let sql = "SELECT GET_LOCK(CONCAT('iepm-', SHA2(DATABASE(), 224)), 2)";
    match one(session, sql, &[], |row| row.int(0))? {
        Some(1) => Ok(()),
        _ => Err(another()),
    }
}

/// Lets others migrate.
pub(super) fn release(session: &mut dyn Session) -> Result<(), Error> {
    one(session, "SELECT RELEASE_LOCK(CONCAT('iepm-', SHA2(DATABASE(), 224)))", &[], |_| Ok(()))
        .map(|_| ())
}

fn another() -> Error {
    let what =
        "another `iepm migrate` or `iepm init` is under way; call it again when that has ended";
    Error::new(Kind::Busy, what)
}

/// Takes a step, from where it was cut short. The statement that was begun then may have been carried out,
/// that one alone: anything else that is in the way is somebody else's.
pub(super) fn go_on(
    session: &mut dyn Session,
    number: i64,
    step: &[&'static str],
) -> Result<(), Error> {
    session.define(PROGRESS)?;
    let sql = "SELECT statement FROM SCHEMASTEP WHERE version = ?";
    let begun = one(session, sql, &[number.into()], |row| row.int(0))?;
    if begun.is_none() {
        begin(session, number)?;
    }
    let first = begun.unwrap_or(0);
    for (index, statement) in (0..).zip(step).filter(|(index, _)| *index >= first) {
        if index > first {
            note(session, number, index)?;
        }
        match session.define(statement) {
            Err(error) if error.kind() == Kind::Conflict && begun == Some(index) => {}
            result => result?,
        }
    }
    Ok(())
}

/// Forgets how far steps had come, up to `number`, whose version is noted by now: were it forgotten before, who is
/// cut short in between would find everything there and nothing noted.
pub(super) fn end(session: &mut dyn Session, number: i64) -> Result<(), Error> {
    session.execute("DELETE FROM SCHEMASTEP WHERE version <= ?", &[number.into()]).map(|_| ())
}

/// Begins a step that nobody has begun.
fn begin(session: &mut dyn Session, number: i64) -> Result<(), Error> {
    let sql = "INSERT INTO SCHEMASTEP (version, statement) VALUES (?, 0)";
    match session.execute(sql, &[number.into()]) {
        Err(error) if error.kind() == Kind::Conflict => return Err(another()),
        result => result?,
    };
    // Or somebody has just ended it.
    if version(session)? >= number {
        end(session, number)?;
        return Err(another());
    }
    Ok(())
}

/// Notes that a statement is begun; nobody else may have done so.
fn note(session: &mut dyn Session, number: i64, index: i64) -> Result<(), Error> {
    let sql = "UPDATE SCHEMASTEP SET statement = ? WHERE version = ? AND statement = ?";
    match session.execute(sql, &[index.into(), number.into(), (index - 1).into()])? {
        1 => Ok(()),
        _ => Err(another()),
    }
}
