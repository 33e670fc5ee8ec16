//! How a session is printed: for people, for machines (`-M`) and record by record (`-R`) as the reference tool does it,
//! and as JSON of our own.
//!
//! What is other than with the reference tool (version 5.2.3), on purpose:
//!
//! - The median and all percentiles are exact; there they are the edge of a histogram's bucket, up to 0.1 ms above.
//! - `-v N` limits the lines of packets, and the summary is of all of them; there it is of those N.
//! - `-a` may be given more than once; there the last one counts.
//! - Times are rounded to the millisecond, never to `.1000`.
//! - The smallest and largest delay are of first arrivals; there duplicates count as well.

mod figures;
mod form;
mod human;
mod json;
mod machine;
mod raw;

use std::net::SocketAddr;

use readings::Direction;

use crate::{
    protocol::Record,
    statistics::{Known, Percent, Summary},
};

pub use human::{approximately, human};
pub use json::{Document, VERSION, json};
pub use machine::machine;
pub use raw::raw;

/// One end of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// By what name it is shown: as it was asked for, or looked up.
    pub host: String,
    /// Its address and port.
    pub address: SocketAddr,
}

/// A session, or a part of one, with all that can be printed of it.
#[derive(Debug, Clone)]
pub struct Told<'a> {
    /// Seen from who asked for it.
    pub direction: Direction,
    /// Its sender.
    pub from: End,
    /// Its receiver.
    pub to: End,
    /// Its identifier.
    pub sid: [u8; 16],
    /// The DSCP of its packets; none if they were asked for in another way.
    pub dscp: Option<u8>,
    /// Octets of padding of each packet.
    pub padding: u32,
    /// Packets of the whole session, where this is a part.
    pub session_packets: u32,
    /// Whether it went on to its end.
    pub finished: bool,
    /// What else is known of it.
    pub known: &'a Known,
    /// Its records, in the order of arrival.
    pub records: &'a [Record],
    /// What these say.
    pub summary: &'a Summary,
}

/// How figures are to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// In which unit people see delays (`-n`).
    pub unit: Unit,
    /// The percentiles that were asked for (`-a`).
    pub percentiles: Vec<Percent>,
    /// Width of a histogram's bucket (`-b`), nanoseconds, not 0.
    pub bucket_width: u64,
    /// How many packets are shown one by one (`-v`).
    pub lines: usize,
    /// Whether those lines have the times of sending and arrival, too (`-U`).
    pub unix_times: bool,
    /// How far the local time is ahead of UTC, seconds: in local time people see when packets were due.
    pub utc_offset: i32,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            unit: Unit::Milliseconds,
            percentiles: Vec::new(),
            bucket_width: 100_000,
            lines: 0,
            unix_times: false,
            utc_offset: 0,
        }
    }
}

/// A unit of delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `n`
    Nanoseconds,
    /// `u`
    Microseconds,
    /// `m`
    Milliseconds,
    /// `s`
    Seconds,
}

impl Unit {
    /// By its letter, of either case.
    #[must_use]
    pub const fn of_letter(letter: char) -> Option<Self> {
        match letter.to_ascii_lowercase() {
            'n' => Some(Self::Nanoseconds),
            'u' => Some(Self::Microseconds),
            'm' => Some(Self::Milliseconds),
            's' => Some(Self::Seconds),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    const fn in_a_second(self) -> f64 {
        match self {
            Self::Nanoseconds => 1e9,
            Self::Microseconds => 1e6,
            Self::Milliseconds => 1e3,
            Self::Seconds => 1.0,
        }
    }
}

/// The most n of n-reordering that are printed; behind a packet that came very late, or never in order, there may be
/// as many as packets.
const MOST_REORDERED: usize = 1_000;

impl Told<'_> {
    /// Whether both clocks were held to be synchronised. As the reference tool has it: also if nothing was sent.
    fn synchronised(&self) -> bool {
        self.summary.clocks.synchronised.unwrap_or(self.summary.sent == 0)
    }

    fn sid(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.sid))
    }

    /// For n = 1, 2, ..., the n-reordered packets, as many as are printed.
    fn n_reordered(&self) -> &[u64] {
        let all = &self.summary.reordering.n_reordered;
        &all[..all.len().min(MOST_REORDERED)]
    }
}
