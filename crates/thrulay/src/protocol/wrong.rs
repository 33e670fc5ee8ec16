//! What was wrong with something that came over the network.

use std::fmt;

/// What was wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which message, or which part of it.
    pub message: &'static str,
    /// What was found, and what would be right.
    pub what: String,
}

impl Wrong {
    pub(crate) fn new(message: &'static str, what: impl Into<String>) -> Self {
        Self { message, what: what.into() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.what)
    }
}

impl std::error::Error for Wrong {}
