//! Marks: a database that no program of the suite is to use, but `iepm copy`.
//!
//! A mark is a row of SCHEMAVERSION with a version that no schema ever has. Each transaction looks at that
//! table first and refuses such a version, also in suites that do not know of marks. What belongs to a
//! mark stands in NOTES, below names of its own, which are not copied.

use crate::text::Timestamp;

use super::{
    Session,
    error::{Error, Kind},
    get_note, one, put_note,
};

/// Why a database is not to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Rows are being copied into it.
    Target,
    /// Its rows were moved, or are being moved for good.
    Moved,
}

/// Versions from here on are marks.
pub(super) const FIRST: i64 = 1_000_000_000;

/// Notes below this name belong to the marks of a database.
const OWN: &str = "copy/";

/// Whether a note belongs to the marks.
pub(super) fn is_own(note: &str) -> bool {
    note.starts_with(OWN)
}

impl Mark {
    fn version(self) -> i64 {
        FIRST + if self == Self::Target { 1 } else { 2 }
    }

    /// The note that names the other database: where the rows come from, or where they went.
    fn note(self) -> &'static str {
        if self == Self::Target { "copy/from" } else { "copy/to" }
    }
}

/// The mark that a database has, and the other database.
///
/// # Errors
/// What the engine says.
pub fn mark(session: &mut dyn Session) -> Result<Option<(Mark, String)>, Error> {
    let sql = "SELECT MAX(version) FROM SCHEMAVERSION WHERE version >= ?";
    let found = one(session, sql, &[FIRST.into()], |row| row.optional_int(0))?.flatten();
    let Some(found) = found else { return Ok(None) };
    let mark = if found == Mark::Target.version() { Mark::Target } else { Mark::Moved };
    Ok(Some((mark, get_note(session, mark.note())?.unwrap_or_default())))
}

/// Marks a database that has no mark or this one; `other` is the other database, as people call it.
///
/// # Errors
/// What the engine says.
pub fn put_mark(
    session: &mut dyn Session,
    put: Mark,
    other: &str,
    now: Timestamp,
) -> Result<(), Error> {
    if mark(session)?.is_none() {
        let values = [put.version().into(), now.seconds().into()];
        session
            .execute("INSERT INTO SCHEMAVERSION (version, appliedepoch) VALUES (?, ?)", &values)?;
    }
    put_note(session, put.note(), other)
}

/// Takes all marks and their notes off a database.
///
/// # Errors
/// What the engine says.
pub fn clear_mark(session: &mut dyn Session) -> Result<(), Error> {
    session.execute("DELETE FROM SCHEMAVERSION WHERE version >= ?", &[FIRST.into()])?;
    session.execute("DELETE FROM NOTES WHERE name LIKE ?", &[format!("{OWN}%").into()]).map(|_| ())
}

/// Why a database with a mark is refused.
pub(super) fn closed(session: &mut dyn Session, version: i64) -> Error {
    let other = mark(session).ok().flatten().map(|(_, other)| other).unwrap_or_default();
    let why = if version == Mark::Target.version() {
        format!(
            "the database is not to be used yet: it is the target of a copy of {other} that is not complete; \
             `iepm copy --final` completes it"
        )
    } else {
        format!(
            "the database is not to be used any more: its rows are moved to {other}; make that `database` in \
             iepm.toml, or call `iepm copy --reopen` to go on here"
        )
    };
    Error::new(Kind::Closed, why)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Store, migrate, of_test, version};
    use super::*;

    #[test]
    fn a_database_with_a_mark_is_refused_by_all_but_who_copies_until_it_is_taken_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = of_test(folder.path());
        let patience = Duration::from_secs(5);
        let (mut store, mut copy) =
            (Store::of(&database, patience), Store::of_copy(&database, patience));
        store.create().expect("made");
        store.unchecked(|session| migrate(session, Timestamp(0))).expect("migrated");
        for (put, told) in [(Mark::Target, "--final"), (Mark::Moved, "make that `database`")] {
            copy.transaction(|session| put_mark(session, put, "elsewhere", Timestamp(0)))
                .expect("marked");
            let refused = store.transaction(|_| Ok(())).expect_err("closed");
            assert_eq!(refused.kind(), Kind::Closed);
            assert!(
                refused.to_string().contains(told) && refused.to_string().contains("elsewhere")
            );
            assert!(store.read(|_| Ok(())).is_err());
            let seen = copy.read(mark).expect("read");
            assert_eq!(seen, Some((put, "elsewhere".to_owned())));
            assert_eq!(store.unchecked(version).expect("read"), super::super::LATEST);
            copy.transaction(clear_mark).expect("taken off");
            store.transaction(|_| Ok(())).expect("open");
            assert_eq!(copy.read(mark).expect("read"), None);
        }
    }
}
