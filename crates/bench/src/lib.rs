//! `bench` measures the suite's speed and size, each figure as a ratio to its yardstick from the same
//! run: what the machine does at that moment falls on both.
//!
//! - [`scheduling`], [`runs`], [`lateness`], [`hung`], [`loading`], [`claims`], [`idle`], [`watch`], [`servers`],
//!   [`channel`], [`cleanup`], [`readers`], [`growth`], [`udp`], [`owamp`], [`path`], [`pathchirp`], [`pathload`] and
//!   [`thrulay`] measure one thing each.
//! - [`bed`] is what they stand on: stations in a temporary directory, and programs that end with it.
//! - `narrow` is the path that tools of available bandwidth are held against.
//! - `past` and `longest` are parts of what [`growth`] measures.
//! - [`driver`] is an engine's own driver: the yardstick for inserts.
//! - [`crowd`] is thousands of processes that do nothing.
//! - [`rows`] puts runs into databases; [`machine`] tells time and memory.
//! - [`table`] holds the figures and prints them.
//!
//! Nothing here is installed. A figure that misses its reach is a line of the table and no failure.

pub mod bed;
pub mod channel;
pub mod claims;
pub mod cleanup;
pub mod crowd;
pub mod driver;
pub mod growth;
pub mod hung;
pub mod idle;
pub mod lateness;
pub mod loading;
mod longest;
pub mod machine;
mod narrow;
pub mod owamp;
mod past;
pub mod path;
pub mod pathchirp;
pub mod pathload;
pub mod readers;
pub mod rows;
pub mod runs;
pub mod scheduling;
pub mod servers;
pub mod table;
pub mod thrulay;
pub mod udp;
pub mod watch;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use station::app::{self, Exit, Failure};

use crate::{bed::Bed, table::Line};

/// Measures speed and size of the suite, each figure against its yardstick from the same run
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub struct Args {
    /// What is measured; all of it if nothing is named
    #[arg(value_enum, value_name = "NAME")]
    names: Vec<Name>,
    /// Print the table as JSON
    #[arg(long)]
    json: bool,
    /// Smaller sizes: quicker, and the figures are rough
    #[arg(long)]
    quick: bool,
    /// Where stations are made for a while; on the kind of disk that is of interest
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    dir: PathBuf,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Name {
    /// Cycles of load-scheduled
    Scheduling,
    /// How many runs pingd carries out
    Runs,
    /// How late pingd starts them
    Lateness,
    /// What a thousand hung runs do to pingd
    Hung,
    /// How many files load-test-data loads, in how much memory
    Loading,
    /// How many runs eight claimers claim at once
    Claims,
    /// What daemons take that have nothing to do
    Idle,
    /// What it takes to look after twenty daemons
    Watch,
    /// How long the channel lies idle between two runs that must be alone
    Channel,
    /// A run of bw-cleanup among thousands of processes
    Cleanup,
    /// A run of keep-servers-alive among many processes
    Servers,
    /// How fast the outputs of the tools are read
    Readings,
    /// What ten million readings, and rows of SCHEDULE, do to status, loaders, claims and cycles, on both engines
    Growth,
    /// How exactly packets leave
    Udp,
    /// How many test packets and sessions one thread carries
    Owamp,
    /// How exactly one-way delays are told on a path that is known
    Path,
    /// Whether `pathload_rcv` finds what is free
    Pathload,
    /// What thrulay finds, against iperf3 over the same path
    Thrulay,
    /// How near the estimates of pathchirp come to what is free
    Pathchirp,
}

impl Name {
    fn measure(self, bed: &Bed) -> anyhow::Result<Vec<Line>> {
        match self {
            Self::Scheduling => scheduling::measure(bed),
            Self::Runs => runs::measure(bed),
            Self::Lateness => lateness::measure(bed),
            Self::Hung => hung::measure(bed),
            Self::Loading => loading::measure(bed),
            Self::Claims => claims::measure(bed),
            Self::Idle => idle::measure(bed),
            Self::Watch => watch::measure(bed),
            Self::Channel => channel::measure(bed),
            Self::Cleanup => cleanup::measure(bed),
            Self::Servers => servers::measure(bed),
            Self::Readings => readers::measure(bed),
            Self::Growth => growth::measure(bed),
            Self::Udp => udp::measure(bed),
            Self::Owamp => owamp::measure(bed),
            Self::Path => path::measure(bed),
            Self::Pathload => pathload::measure(bed),
            Self::Thrulay => thrulay::measure(bed),
            Self::Pathchirp => pathchirp::measure(bed),
        }
    }
}

/// The program.
///
/// # Errors
/// There is no place for stations, or something could not be measured.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let preparing = |error| Failure::new(Exit::TryLater, "preparing to measure").because(error);
    let bed = Bed::make(&args.dir, args.quick).map_err(preparing)?;
    let names = if args.names.is_empty() { Name::value_variants() } else { &args.names };
    let mut lines = Vec::new();
    let mut exit = Exit::Well;
    for name in names {
        eprintln!("bench: measuring {name:?}");
        match name.measure(&bed) {
            Ok(measured) => lines.extend(measured),
            Err(error) => {
                eprintln!("bench: {name:?}: {error:#}");
                exit = Exit::NeedsPerson;
            }
        }
        if bed.is_stopped() {
            break;
        }
    }
    app::print(&if args.json { table::json(&lines) } else { table::text(&lines) })?;
    Ok(exit)
}
