//! What a tool found of the available bandwidth of a path: the common form of the readings of
//! pathload and pathchirp.
//!
//! The available bandwidth is what the tightest link of the path has left (RFC 5136 section 2.3.4).

use std::net::IpAddr;

use serde::Serialize;

use crate::Problem;

/// The available bandwidth of a path.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Available {
    /// The other end's address, if the output tells it.
    pub address: Option<IpAddr>,
    /// The lower end of the range, or the smallest estimate, bit/s.
    pub min_bps: Option<f64>,
    /// The mean of the estimates, bit/s; a range has none.
    pub avg_bps: Option<f64>,
    /// The upper end of the range, or the largest estimate, bit/s; none where the tool only knows that
    /// it is more than the lower.
    pub max_bps: Option<f64>,
    /// Every estimate, in the order of time.
    pub estimates: Vec<Estimate>,
    /// Bytes that the measurement itself sent, if the output tells.
    pub overhead_bytes: Option<u64>,
    /// What the tool warned of, at most 16 lines.
    pub warnings: Vec<String>,
    /// Why there are no figures, or fewer.
    pub problem: Option<Problem>,
    /// Whether the tool came to its own end with a result.
    pub complete: bool,
}

/// One estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// When, seconds since the epoch, or since the begin where the output has no other time.
    pub time_s: f64,
    /// The available bandwidth, bit/s.
    pub bits_per_s: f64,
}
