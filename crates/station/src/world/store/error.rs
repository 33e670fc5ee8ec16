//! Why the database would not, sorted by what can be done about it.

use std::fmt;

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Another transaction; trying again helps.
    Busy,
    /// The database is not there or cannot be opened.
    Away,
    /// The disk is full.
    Full,
    /// It, or its directory, may not be written to.
    ReadOnly,
    /// It was made by a newer version of the suite.
    Newer,
    /// It has to be migrated first.
    Older,
    /// It is not to be used: a copy into it is not complete, or its rows were moved elsewhere.
    Closed,
    /// It is damaged, or no database at all.
    Corrupt,
    /// A key is there already.
    Conflict,
    /// Anything else: a mistake in the program, or a value that it did not expect.
    Other,
}

/// Why the database would not.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    message: String,
}

impl Error {
    /// An error of `kind`; the message says what, why, and what to change.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What can be done about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
