//! What blocks and packets come to. Nothing here reads a clock or a socket.
//!
//! - [`Spread`]: round-trip times without end, in bounded room. [`Meter`]: the streams of a TCP test.
//! - [`Datagrams`]: what a server receives of a UDP test. [`Lateness`]: how well a client kept its times.

mod datagrams;
mod lateness;
mod meter;
mod spread;

pub use datagrams::Datagrams;
pub use lateness::Lateness;
pub use meter::{Meter, Row};
pub use spread::{RoundTrips, Spread};
