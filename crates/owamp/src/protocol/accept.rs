//! Whether a request is granted.

use std::fmt;

use super::Malformed;

/// An answer's Accept field (RFC 4656 section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// Granted.
    Ok = 0,
    /// Refused, with no reason given.
    Failure = 1,
    /// The server cannot, for a fault of its own.
    InternalError = 2,
    /// Some part of the request is not supported.
    Unsupported = 3,
    /// A limit forbids it, and will tomorrow.
    PermanentLimit = 4,
    /// A limit forbids it just now.
    TemporaryLimit = 5,
}

impl Accept {
    /// From the wire.
    ///
    /// # Errors
    /// If the number has no meaning.
    pub fn of(message: &'static str, byte: u8) -> Result<Self, Malformed> {
        Ok(match byte {
            0 => Self::Ok,
            1 => Self::Failure,
            2 => Self::InternalError,
            3 => Self::Unsupported,
            4 => Self::PermanentLimit,
            5 => Self::TemporaryLimit,
            _ => {
                return Err(Malformed::new(
                    message,
                    format!("Accept is {byte}, and 0 to 5 have a meaning"),
                ));
            }
        })
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "granted",
            Self::Failure => "refused without a reason",
            Self::InternalError => "refused: the server cannot, for a fault of its own",
            Self::Unsupported => "refused: some part of the request is not supported",
            Self::PermanentLimit => "refused: beyond what the server allows us",
            Self::TemporaryLimit => "refused: the server has no room for it just now",
        })
    }
}
