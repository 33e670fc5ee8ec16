//! What is wrong with a message.

use std::fmt;

/// A message that makes no sense: which, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    message: &'static str,
    why: String,
}

impl Malformed {
    /// `why` tells the field, what it holds and what it may.
    #[must_use]
    pub fn new(message: &'static str, why: impl Into<String>) -> Self {
        Self { message, why: why.into() }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a wrong {}: {}", self.message, self.why)
    }
}

impl std::error::Error for Malformed {}
