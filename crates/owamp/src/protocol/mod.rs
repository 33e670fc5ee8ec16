//! OWAMP's messages, keys and schedules (RFC 4656): bytes into values and back. Opens nothing and asks nobody.
//!
//! A message is read in pieces, of which each tells how many octets the next has: nobody reads, or makes room for, more
//! than he allows.

mod accept;
mod commands;
mod field;
pub mod keys;
mod malformed;
mod mode;
mod packet;
mod record;
mod request;
mod schedule;
mod seal;
mod setup;

pub use accept::Accept;
pub use commands::{
    Command, Ended, Fetch, FetchAck, START_SESSIONS, Skip, Stop, fill, read_skips, start_ack,
    write_skips,
};
pub use malformed::Malformed;
pub use mode::{Mode, Modes};
pub use packet::{PacketKey, TestPacket};
pub use record::Record;
pub use request::{AcceptSession, Request, Sid};
pub use schedule::{Schedule, Slot};
pub use seal::{Incoming, Outgoing};
pub use setup::{Greeting, ServerStart, SetUp};
