//! `pingd`, `traced`, `owpingd` and `pathchirpd`: one loop, four programs, as they differ only by the
//! tool whose runs they carry out.
//!
//! - [`agenda`] decides what starts when: a value.
//! - [`crew`] is the loop: it starts, watches and ends processes.
//! - [`clerk`] writes files and rows on a thread of its own, so that the loop never waits for them.
//! - [`recovery`] puts right what a killed daemon left.

pub mod agenda;
pub mod clerk;
pub mod crew;
pub mod recovery;

use station::{
    app::{Common, Exit, Failure},
    daemon::Daemon,
    ledger::Ledger,
    name,
    words::config::Config,
    world::{clock::Clock, store::Claimant},
};

use crate::{clerk::Clerk, crew::Crew};

/// Which of the daemons.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name.
    pub program: &'static str,
    /// The tool whose runs it carries out.
    pub tool: &'static str,
}

impl Kind {
    /// Who claims runs for this daemon.
    #[must_use]
    pub fn claimant(self, config: &Config) -> Claimant<'_> {
        Claimant { station: config.node.as_str(), program: self.program, tool: self.tool }
    }
}

/// The arguments of all of them.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Carry out what is due now and within the next seconds, then end: for cron
    #[arg(long)]
    once: bool,
}

/// The program.
///
/// # Errors
/// As [`Daemon::of_runs`] and [`name::wait`]; also when the database is away at the start.
pub fn run(kind: Kind, args: &Args) -> Result<Exit, Failure> {
    let (mut daemon, spool) = Daemon::of_runs(kind.program, &args.common)?;
    if !name::wait(&mut daemon, args.once)? {
        return Ok(Exit::Well);
    }
    recovery::recover(kind, &daemon.config, &spool, daemon.clock.now())?;
    let ledger = Ledger::start(Clerk::new(kind, &daemon.config, &spool))
        .map_err(|error| Failure::new(Exit::TryLater, "starting the ledger").because(error))?;
    let worked = Crew::new(kind, &mut daemon, ledger).work(args.once);
    worked.map_err(|why| Failure::new(Exit::TryLater, "looking for runs that are due").why(why))?;
    Ok(Exit::Well)
}
