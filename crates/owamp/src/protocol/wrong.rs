//! What was wrong with something that came over the network.

use std::{fmt, io};

/// What was wrong with a message, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// As RFC 4656 calls it: `Request-Session`.
    pub message: &'static str,
    /// As RFC 4656 calls it: `Number of Schedule Slots`.
    pub field: &'static str,
    /// What was found, and what would be right.
    pub what: String,
    /// What kind of fault it is.
    pub kind: Kind,
}

/// What kind of fault a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It makes no sense.
    Malformed,
    /// It makes sense, and asks for more than is allowed.
    TooMuch,
    /// Whoever sent it does not have the key, or it was changed on its way.
    NotAuthentic,
}

impl Wrong {
    pub(super) fn new(message: &'static str, field: &'static str, what: impl Into<String>) -> Self {
        Self { message, field, what: what.into(), kind: Kind::Malformed }
    }

    pub(super) fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.message, self.field, self.what)
    }
}

impl std::error::Error for Wrong {}

/// Why a message was not read.
#[derive(Debug)]
pub enum Failed {
    /// It did not come, or not whole.
    Read(io::Error),
    /// It came, and is wrong.
    Wrong(Wrong),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the connection ended in the midst of a message")
            }
            Self::Read(error) => error.fmt(f),
            Self::Wrong(wrong) => wrong.fmt(f),
        }
    }
}

impl std::error::Error for Failed {}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<Wrong> for Failed {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}
