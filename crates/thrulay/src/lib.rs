//! Throughput of TCP with the round trip measured in the stream, and of UDP with loss, duplicates, order and delays.
//!
//! The rooms, from the lowest up; a room imports only rooms below it:
//!
//! - [`protocol`]: what client and server say, as octets and back. Pure. docs/thrulayd.md tells it.
//! - [`statistics`]: what blocks and packets come to. Pure.
//! - [`report`]: how it is printed. Pure.
//! - `socket`: what both ends want of their sockets.
//! - [`server`], [`client`]: the programs.

pub mod client;
pub mod protocol;
pub mod report;
pub mod server;
mod socket;
pub mod statistics;
