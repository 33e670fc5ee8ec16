//! OWAMP's messages, keys and schedules (RFC 4656): bytes into values and back. Opens nothing and asks nobody.

mod record;

pub use record::Record;
