//! OWAMP's messages, keys and schedules (RFC 4656): bytes into values and back. Opens nothing and asks nobody; nonces,
//! initial vectors, keys and session identifiers are arguments.
//!
//! - A connection begins with [`ServerGreeting`], [`SetUpResponse`] and [`ServerStart`], each of a fixed length.
//! - Then each direction is a stream: [`Inbound`] takes exactly the octets of a message from whatever it reads,
//!   decrypts them and checks HMACs; [`Outbound`] makes octets of messages. A client sends [`Request`]s.
//! - [`PacketKey`] seals and opens test packets, [`Schedule`] tells when they are to be sent, [`Record`] what became
//!   of one.
//!
//! Fields that must be zero are sent so, and not looked at.

mod fetch;
mod fields;
mod keys;
mod packet;
mod record;
mod request;
mod schedule;
mod setup;
mod stop;
mod stream;
mod words;
mod wrong;

pub use fetch::{FetchAck, FetchSession, Fetched, Finished};
pub use keys::{BLOCK, Derivation, FEWEST_ROUNDS, MOST_ROUNDS, PassPhrase, SessionKeys};
pub use packet::{Fault, PacketKey, TestKeys, TestPacket};
pub use record::Record;
pub use request::{AcceptSession, Limits, Request, RequestSession, StartAck};
pub use schedule::{Schedule, Slot};
pub use setup::{KeyId, ServerGreeting, ServerStart, SetUpResponse};
pub use stop::{SessionEnd, SkipRange, StopSessions};
pub use stream::{Inbound, Outbound};
pub use words::{Accept, Mode, Modes, Sid};
pub use wrong::{Failed, Kind, Wrong};
