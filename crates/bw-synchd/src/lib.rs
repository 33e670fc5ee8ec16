//! `bw-synchd` carries out the runs that must be alone (testtype `background-syn`), strictly one at a time.
//!
//! - [`choose`](mod@choose) decides who has the channel next, [`judge`](mod@judge) what came of a try:
//!   plain functions.
//! - [`keeper`] is the loop; [`gate`] is what a run must pass before it starts.
//! - [`clerk`] writes files and rows, and claims the run that goes next, on a thread of its own.
//! - [`recovery`] puts right what a killed daemon left.

pub mod choose;
pub mod clerk;
pub mod gate;
pub mod judge;
pub mod keeper;
mod known;
mod marks;
mod missed;
pub mod recovery;

use std::time::Duration;

use clap::Parser;
use station::{
    app::{Common, Exit, Failure},
    daemon::Daemon,
    ledger::Ledger,
    name,
    world::clock::Clock,
};

use crate::{clerk::Clerk, keeper::Keeper};

/// The program's name, by which its own rows and processes are known.
pub const PROGRAM: &str = "bw-synchd";
/// How far ahead of its time a run is claimed: more than two looks at SCHEDULE.
pub const CLAIM_AHEAD: Duration = Duration::from_secs(5);

/// Carries out the runs of SCHEDULE that must be alone, strictly one at a time
#[derive(Debug, Parser)]
#[command(name = "bw-synchd", version)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Carry out what is due now and within the next seconds, one after the other, then end: for cron
    #[arg(long)]
    once: bool,
}

/// The program.
///
/// # Errors
/// As [`Daemon::of_runs`] and [`name::wait`]; also when the database is away at the start, or when what
/// an earlier one left running cannot be ended.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let (mut daemon, spool) = Daemon::of_runs(PROGRAM, &args.common)?;
    if !name::wait(&mut daemon, args.once)? {
        return Ok(Exit::Well);
    }
    recovery::recover(&daemon.config, &spool, daemon.clock.now())?;
    let ledger = Ledger::start(Clerk::new(&daemon.config, &spool))
        .map_err(|error| Failure::new(Exit::TryLater, "starting the ledger").because(error))?;
    let worked = Keeper::new(&mut daemon, ledger, args.once).work();
    worked.map_err(|why| Failure::new(Exit::TryLater, "looking for runs that are due").why(why))?;
    Ok(Exit::Well)
}
