//! STAMP (RFC 8762), and with it TWAMP-Light (RFC 5357 appendix I): delay there and back by packets that a reflector
//! answers, without any agreement before. Unauthenticated.
//!
//! - [`packet`]: what is asked and what is answered. Pure.
//! - [`reflector`]: the program that answers.
//! - [`sender`]: the program that asks and measures.

pub mod packet;
pub mod reflector;
pub mod sender;

/// Where reflectors listen (RFC 8762 section 4.1).
pub const PORT: u16 = 862;
