//! The available bandwidth of a path by self-loading periodic streams: Jain and Dovrolis, "End-to-End Available
//! Bandwidth: Measurement Methodology, Dynamics, and Relation with TCP Throughput", SIGCOMM 2002 (the paper below), and
//! "Pathload: A Measurement Tool for End-to-End Available Bandwidth", PAM 2002 (the tool).
//!
//! A stream that is faster than what the path has left fills the queue before its tightest link, and each of its packets
//! takes longer than the one before; one that is slower does not. Which of both is looked for at one rate after the
//! other, until the two ends of a range are close together.
//!
//! - [`shape`]: the streams for a rate. [`trend`]: what a stream shows. [`search`]: which rate comes next, and the result.
//!   All pure.
//! - [`protocol`]: what the two programs say to each other. Pure.
//! - [`server`], [`client`]: the programs.

pub mod client;
mod control;
pub mod line;
pub mod protocol;
pub mod search;
pub mod server;
pub mod shape;
#[cfg(test)]
mod simulator;
pub mod trend;

/// Where servers listen, TCP.
pub const CONTROL_PORT: u16 = 55_002;
/// From where they send streams, UDP.
pub const STREAM_PORT: u16 = 55_001;
