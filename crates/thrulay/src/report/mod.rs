//! How a test is printed: by `text` in the form of the reference (thrulay 0.9), by `json` with all that is known.
//!
//! For people's sake the words are the reference's, also where they are not the IPPM documents': what the text calls
//! jitter is an interquartile range of the delay, of the round trip over TCP and one-way over UDP.

mod json;
mod text;

use std::net::SocketAddr;

use crate::{
    protocol::UdpReport,
    statistics::{Lateness, Row},
};

pub use json::json;
pub use text::{header, row, totals, udp};

/// What was agreed upon for a TCP test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSetup {
    /// Octets of our send buffer, as the kernel counts: twice what was asked for.
    pub local_window: u32,
    /// Octets of the server's receive buffer, as its kernel counts.
    pub remote_window: u32,
    /// Octets of a block.
    pub block: u32,
    /// Octets that go through the path in one piece, by the kernel (`IP_MTU`).
    pub mtu: u32,
    /// Octets of a segment (`TCP_MAXSEG`).
    pub mss: u32,
    /// Seconds.
    pub duration_s: u32,
    /// Seconds; 0 for no intervals.
    pub interval_s: u32,
    /// Streams.
    pub streams: u16,
}

/// What the kernel says of a stream at the end of a row (`TCP_INFO`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelView {
    /// Segments that were sent again since the row's begin.
    pub retransmits: u32,
    /// Its smoothed round-trip time, microseconds.
    pub rtt_us: u32,
    /// The mean deviation of that, microseconds.
    pub rtt_var_us: u32,
    /// Congestion window, segments.
    pub congestion_window: u32,
    /// Octets of a segment.
    pub mss: u32,
    /// Octets that go through the path in one piece, as far as is known.
    pub mtu: u32,
}

/// A row, with what the kernel says beside it; that is of streams only, and where the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The row.
    pub row: Row,
    /// The kernel's view.
    pub kernel: Option<KernelView>,
}

/// A TCP test, as far as it came.
#[derive(Debug, Clone)]
pub struct TcpOutcome {
    /// What was agreed upon.
    pub setup: TcpSetup,
    /// Intervals in the order of time, in each of them the streams.
    pub intervals: Vec<Told>,
    /// The whole test by streams.
    pub streams: Vec<Told>,
    /// The whole test.
    pub total: Row,
    /// Octets that the server counted when the test had ended, if it said so.
    pub server_octets: Option<u64>,
}

/// A UDP test, as far as it came.
#[derive(Debug, Clone)]
pub struct UdpOutcome {
    /// Octets that the server's receive queue holds.
    pub buffer: u32,
    /// Octets of a packet, with the headers of IP and UDP.
    pub size: u16,
    /// Octets of a packet without them.
    pub payload: u16,
    /// Bits a second, with these headers.
    pub rate: u64,
    /// Packets that were to be sent.
    pub proposed: u32,
    /// How well their times were kept.
    pub lateness: Lateness,
    /// Whether our clock is held to be synchronised.
    pub synchronised: bool,
    /// What the server received; none if it did not say.
    pub report: Option<UdpReport>,
}

/// What was measured.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Over TCP.
    Tcp(TcpOutcome),
    /// Over UDP.
    Udp(UdpOutcome),
}

/// All that there is to be told of a run.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The server as it was named.
    pub host: String,
    /// The server.
    pub server: Option<SocketAddr>,
    /// Our end of the control connection.
    pub from: Option<SocketAddr>,
    /// How packets are marked.
    pub dscp: u8,
    /// What was measured, if anything.
    pub outcome: Option<Outcome>,
    /// What is to be known of the figures.
    pub warnings: Vec<String>,
    /// Why there are none, or fewer.
    pub problem: Option<String>,
}
