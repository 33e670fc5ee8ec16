//! Messages and packets of version 1, all of UDP; `docs/pathchirp_snd.md` tells the conversation.
//!
//! - [`message`]: what both ends say to each other.
//! - [`packet`]: what a chirp is made of.
//! - [`cookie`]: how a server knows that a client is where it says.
//! - [`pause`]: how long a client waits for a chirp.
//!
//! All numbers have their highest octet first. What comes is never trusted: it is read whole or refused, and nothing is
//! allocated for it.

pub mod cookie;
mod fields;
pub mod message;
pub mod packet;
pub mod pause;

use std::fmt;

/// The version of this protocol.
pub const VERSION: u8 = 1;
/// How everything begins.
const MAGIC: [u8; 4] = *b"chrp";

/// Why octets are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// They begin otherwise: somebody else's.
    NotOurs,
    /// Of another version of the protocol.
    Version(u8),
    /// Of a kind that there is not, or not in this direction.
    Kind(u8),
    /// Fewer than this kind has.
    Short,
    /// A field holds what it cannot.
    Value(&'static str),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => f.write_str("not of this protocol"),
            Self::Version(version) => write!(f, "of version {version}; ours is {VERSION}"),
            Self::Kind(kind) => write!(f, "of an unknown kind ({kind})"),
            Self::Short => f.write_str("too short"),
            Self::Value(field) => write!(f, "with an impossible {field}"),
        }
    }
}

impl std::error::Error for Wrong {}
