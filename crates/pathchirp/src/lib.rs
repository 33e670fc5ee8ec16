//! The available bandwidth of a path, by chirps of packets (Ribeiro, Riedi, Baraniuk, Navratil, Cottrell: "pathChirp:
//! Efficient Available Bandwidth Estimation for Network Paths", PAM 2003).
//!
//! The rooms, from the lowest up; a room imports only rooms below it:
//!
//! - [`shape`]: how a chirp is sent. Pure.
//! - [`protocol`]: messages and packets: octets into values and back. Pure.
//! - [`estimate`]: what chirps that came say of the path. Pure.
//! - [`server`] (`pathchirp_snd`) and [`client`] (`pathchirp_rcv`): the programs.

pub mod client;
pub mod estimate;
pub mod protocol;
pub mod server;
pub mod shape;

/// Where senders listen: UDP.
pub const PORT: u16 = 8365;

/// A count as a number that can be divided.
pub(crate) fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
