//! One-way delay, loss and reordering between two hosts (OWAMP, RFC 4656), and the same with one clock (STAMP, RFC
//! 8762).
//!
//! The rooms, from the lowest up; a room imports only rooms below it:
//!
//! - [`protocol`]: messages, keys and schedules: bytes into values and back. Pure.
//! - [`statistics`]: what the records of a session say. Pure.
//! - [`report`]: how it is printed. Pure.
//! - [`session`]: sends a schedule's packets, receives another's, makes the records of both.
//! - `patience`: a connection whose messages have to come in time.
//! - [`server`], [`client`], `stamp`: the programs.

pub mod client;
mod patience;
pub mod protocol;
pub mod report;
pub mod server;
pub mod session;
pub mod stamp;
pub mod statistics;
