//! A tool's output made into readings.
//!
//! Every reader here is a pure function from what a run left behind ([`Output`]) to what it measured.
//! Nothing is opened, waited for or asked of the clock, and no text, however broken, makes a reader
//! panic: output comes over the network from machines nobody vouches for.
//!
//! # What a reading promises
//!
//! - A figure that is there was printed by the tool, or follows from printed figures alone. What is
//!   not known is `None`, never zero and never a guess.
//! - All numbers are finite, so every reading can be written as JSON.
//! - A run that failed in a way the tool itself explains (an unknown host, no permission), or that
//!   was ended from outside, is still a reading: it has a [`Problem`] and as many figures as there
//!   are. [`Unreadable`] is kept for text that is not the tool's, or contradicts itself.
//! - A reading that is not `complete` always has a problem that says why.
//!
//! # What it leaves to others
//!
//! Readers go by the text. The exit status is used only to tell a silent run from a silent failure,
//! since many tools leave with 0 after measuring nothing; and of our own `pathchirp_rcv`, which prints
//! its lines before it knows whether it stands by them.

#![forbid(unsafe_code)]

use std::{error::Error, fmt};

use serde::{Deserialize, Serialize};

pub mod available;
mod contact;
mod document;
mod flows;
pub mod iperf;
pub mod iperf3;
mod kept;
pub mod oneway;
pub mod owping;
pub mod pathchirp;
pub mod pathload;
pub mod ping;
mod problem;
mod rates;
pub mod statistics;
mod stretch;
mod text;
pub mod throughput;
pub mod thrulay;
pub mod traceroute;

pub use problem::{Kind, Problem};

/// The tools that have a reader, by the names [`read`] takes.
pub const TOOLS: &[&str] = &[
    "ping",
    "traceroute",
    "owping",
    "iperf",
    "miperf",
    "iperf3",
    "thrulay",
    "tlaytcp",
    "mtlaytcp",
    "pathload",
    "pathchirp",
];

/// What a run of a tool left behind.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// Standard output, as many bytes as came.
    pub stdout: &'a [u8],
    /// Standard error.
    pub stderr: &'a [u8],
    /// How the run ended.
    pub end: End,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By itself, with this exit status.
    Exited(i32),
    /// By this signal, sent by somebody else or by its own fault.
    Signalled(i32),
    /// It hung, and was ended from outside at its limit of time.
    TimedOut,
}

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the station to the target.
    To,
    /// From the target to the station.
    From,
}

impl Direction {
    /// The word in the tables: `to` or `from`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::To => "to",
            Self::From => "from",
        }
    }
}

/// The output could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Why: "expected a sequence number, found \"x\"".
    pub reason: String,
    /// Where: the line of standard output, from 1, when it is the fault of a line.
    pub line: Option<usize>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl Error for Unreadable {}

/// What a reader gives; in JSON the key `tool` names the kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "tool", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "there is one reading a run")]
pub enum Reading {
    /// Of a ping.
    Ping(ping::Ping),
    /// Of a traceroute.
    Traceroute(traceroute::Traceroute),
    /// Of a throughput test: iperf, miperf, iperf3, thrulay, tlaytcp, mtlaytcp.
    Throughput(throughput::Throughput),
    /// Of the available bandwidth: pathload, pathchirp.
    Available(available::Available),
    /// Of one-way delays: owping.
    OneWay(oneway::OneWay),
}

impl Reading {
    /// Bytes that the measurement itself sent; nothing where the output does not tell, or that is no matter.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Self::Throughput(throughput) => Some(throughput.bytes()),
            Self::Available(available) => available.overhead_bytes,
            Self::Ping(_) | Self::Traceroute(_) | Self::OneWay(_) => None,
        }
    }

    /// Whether it has figures: a rate, a delay, a hop.
    #[must_use]
    pub fn has_figures(&self) -> bool {
        match self {
            Self::Ping(ping) => ping.received > 0,
            Self::Traceroute(traceroute) => traceroute.numhops > 0,
            Self::Throughput(throughput) => {
                throughput.flows.iter().any(|flow| flow.thruavg_bps.is_some())
            }
            Self::Available(available) => available.min_bps.is_some(),
            Self::OneWay(oneway) => oneway.sessions.iter().any(|session| session.min_ms.is_some()),
        }
    }

    /// Why there are no figures, or fewer.
    #[must_use]
    pub const fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Ping(ping) => ping.problem.as_ref(),
            Self::Traceroute(traceroute) => traceroute.problem.as_ref(),
            Self::Throughput(throughput) => throughput.problem.as_ref(),
            Self::Available(available) => available.problem.as_ref(),
            Self::OneWay(oneway) => oneway.problem.as_ref(),
        }
    }
}

/// Reads the output of the named tool.
///
/// # Errors
///
/// If there is no reader for the tool (see [`TOOLS`]), or its reader cannot understand the output.
pub fn read(tool: &str, output: &Output<'_>) -> Result<Reading, Unreadable> {
    match tool {
        "ping" => ping::read(output).map(Reading::Ping),
        "traceroute" => traceroute::read(output).map(Reading::Traceroute),
        "iperf" | "miperf" => iperf::read(output).map(Reading::Throughput),
        "iperf3" => iperf3::read(output).map(Reading::Throughput),
        "owping" => owping::read(output).map(Reading::OneWay),
        "thrulay" | "tlaytcp" | "mtlaytcp" => thrulay::read(output).map(Reading::Throughput),
        "pathload" => pathload::read(output).map(Reading::Available),
        "pathchirp" => pathchirp::read(output).map(Reading::Available),
        _ => Err(Unreadable { reason: format!("there is no reader for {tool:?}"), line: None }),
    }
}
