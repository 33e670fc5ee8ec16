//! NOTES: what a program of a station notes for its next start. Stations that share a database have the
//! station in the names of their notes.

use super::{Session, error::Error, one, value::Value};

/// What was noted under `name`.
///
/// # Errors
/// What the engine says.
pub fn get_note(session: &mut dyn Session, name: &str) -> Result<Option<String>, Error> {
    one(session, "SELECT value FROM NOTES WHERE name = ?", &[name.into()], |row| Ok(row.text(0)))
}

/// Notes `value` under `name`, in place of what was noted before.
///
/// # Errors
/// What the engine says.
pub fn put_note(session: &mut dyn Session, name: &str, value: &str) -> Result<(), Error> {
    let values: [Value<'_>; 2] = [value.into(), name.into()];
    if session.execute("UPDATE NOTES SET value = ? WHERE name = ?", &values)? == 0 {
        session.execute("INSERT INTO NOTES (value, name) VALUES (?, ?)", &values)?;
    }
    Ok(())
}
