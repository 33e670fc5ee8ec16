//! Reads the output of ping: of iputils, inetutils and `BusyBox`, over IPv4 and IPv6.
//!
//! # What was learned from real output
//!
//! - The header is flushed with the first reply. A ping that is killed while all is lost leaves
//!   nothing at all: that is a reading, with the problem that ended it.
//! - Only the summary says how many were sent. A run without it has `transmitted: None`: the highest
//!   number answered is no substitute, as what followed it may be lost.
//! - Sequence numbers have 16 bits on the wire and start again at 0. They are unrolled here, so that
//!   65536 follows 65535 and is not taken for a late packet.
//! - iputils prints round-trip times with three digits (`21.6 ms`, `150 ms`) and its summary with
//!   microseconds, but its average includes duplicates. Statistics here are over first replies.
//! - A reply with a bad checksum is listed, but is no reply: the tools count it as lost.

mod assembly;
mod fault;
mod header;
mod order;
mod reply;
mod summary;
mod transcript;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::Serialize;

use crate::{Output, Problem, Unreadable, problem, statistics::Delay};

use transcript::Transcript;

/// How many replies a reading keeps. The rest are counted in `packets_left_out`.
pub const MOST_PACKETS: usize = 100_000;

/// What a ping measured.
///
/// Delays are round-trip times. Wherever statistics are taken over them, a duplicate does not count:
/// the first reply to a request is the reply.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ping {
    /// The target as the tool names it; `ping -n` with a name prints none.
    pub target: Option<String>,
    /// The address that was pinged.
    pub address: Option<IpAddr>,
    /// Payload of a request in bytes, without the 8 of the ICMP header.
    pub bytes: Option<u32>,
    /// Requests sent; known only from the summary.
    pub transmitted: Option<u64>,
    /// Requests answered: each counts once.
    pub received: u64,
    /// Requests not answered; never more than `transmitted`.
    pub lost: Option<u64>,
    /// `lost / transmitted`, 0 to 1; none if nothing was sent.
    pub loss_ratio: Option<f64>,
    /// The replies in the order of their arrival, at most [`MOST_PACKETS`]. None with `-q` and `-f`.
    pub packets: Vec<Reply>,
    /// Replies printed beyond those kept.
    pub packets_left_out: u64,
    /// Replies beyond the first to the same request.
    pub duplicates: u64,
    /// Replies that came after one to a later request (RFC 4737 section 3.3, type-P-reordered);
    /// duplicates do not count.
    pub reordered: u64,
    /// How many errors were reported, by kind: `net unreachable`, `host unreachable`,
    /// `port unreachable`, `protocol unreachable`, `admin prohibited`, `filtered`, `frag needed`,
    /// `ttl exceeded`, `reassembly exceeded`, `source quench`, `redirect`, `parameter problem`,
    /// `local error: ...` in the words of the local system, `other`, and `unspecified` for those that
    /// are only in the summary.
    pub errors: BTreeMap<String, u64>,
    /// Who reported them, at most 100 addresses.
    pub errors_from: BTreeSet<IpAddr>,
    /// Smallest round-trip time, milliseconds. The four are computed from the replies if each has
    /// its time, else they are as the summary prints them (`-q`, `-f`).
    pub min_ms: Option<f64>,
    /// Mean round-trip time, milliseconds.
    pub avg_ms: Option<f64>,
    /// Largest round-trip time, milliseconds.
    pub max_ms: Option<f64>,
    /// Standard deviation of the round-trip time, milliseconds.
    pub mdev_ms: Option<f64>,
    /// Percentiles and the rest.
    pub delay: Delay,
    /// What the tool warned of, such as a clock set back, at most 16 lines.
    pub warnings: Vec<String>,
    /// Why there are no figures, or fewer.
    pub problem: Option<Problem>,
    /// Whether the summary was there.
    pub complete: bool,
}

/// One reply to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// The number of the request, unrolled beyond 16 bits; iputils counts from 1, the others from 0.
    pub seq: u64,
    /// Round-trip time in microseconds as far as it is printed. None if the payload is too short
    /// (under 16 bytes) for a time, or if it is negative. `time<1 ms` counts as 1 ms.
    pub rtt_us: Option<u64>,
    /// Time to live (IPv6: hop limit) the reply arrived with.
    pub ttl: Option<u8>,
    /// Bytes of the reply with its ICMP header.
    pub bytes: Option<u32>,
    /// Whether the same request had been answered before.
    pub duplicate: bool,
    /// Whatever else the tool had to say of it: `BAD CHECKSUM`, `wrong data byte #16 ...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// Reads the output of a ping.
///
/// # Errors
///
/// If this is no output of a ping, or if it contradicts itself: a field that is no number, more
/// received than sent, a second run. Also if nothing was printed and nothing ended the tool.
pub fn read(output: &Output<'_>) -> Result<Ping, Unreadable> {
    let transcript = Transcript::of(output.stdout)?;
    if transcript.header.is_none() {
        let problem = problem::instead_of_output(output, transcript.stranger)?;
        return Ok(Ping { problem: Some(problem), ..Ping::default() });
    }
    assembly::assemble(transcript, output)
}
