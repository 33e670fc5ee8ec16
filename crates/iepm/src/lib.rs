//! `iepm` is the operator's command: it makes a station, carries its configuration out, and shows how
//! it does.
//!
//! Each subcommand is a module: a part that decides, from values to values, and a part that acts. They
//! share what reads the configuration's files ([`tables`]), what holds between those files
//! ([`invariants`]), how full a station is ([`load`]) and whether the runs that must be alone fit
//! ([`capacity`]).

mod apply;
mod capacity;
mod check;
mod copy;
mod crontab;
mod doctor;
mod grants;
mod history;
mod hold;
mod init;
mod invariants;
mod load;
mod migrate;
mod network;
mod prune;
mod retire_station;
mod rollup;
mod run;
mod schedule;
mod second_names;
mod source;
mod status;
mod tables;
#[cfg(test)]
mod testing;
mod which;

use std::time::Duration;

use clap::{Parser, Subcommand};
use station::{
    app::{Common, Exit, Failure},
    words::config::Config,
    world::{
        files,
        lock::{self, Lock},
        store::Store,
    },
};

/// How long a command waits for other programs' transactions.
const PATIENCE: Duration = Duration::from_secs(15);

const EXITS: &str = "Exit statuses:
   0  all is well
   1  a person should look at something: it is said what
   2  the command line made no sense
  75  not now: the database is locked or away; the same command may work later
  78  a file of the configuration, or the database's schema, is not right";

/// Makes, configures and watches a measuring station
#[derive(Debug, Parser)]
#[command(name = "iepm", version, after_help = EXITS)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a station: its directories, sample files and database; a second time changes nothing
    Init(init::Args),
    /// Carry nodes.csv and toolspecs.csv out: into NODES and TOOLSPECS
    Apply(apply::Args),
    /// Find every mistake in the station's files, and in what they say together
    Check(check::Args),
    /// Show the next runs, what became of the last day's, and how full the station is
    Schedule(schedule::Args),
    /// Show the last reading and the health of every specification, and the daemons
    Status(status::Args),
    /// Show what a specification has measured, by the hour or by the day
    History(history::Args),
    /// Say what is wrong with the station, the worst first, and what to do about it
    Doctor(doctor::Args),
    /// Do one run now, in the foreground, as the daemons do it
    Run(run::Args),
    /// Bring the database's schema to this version
    Migrate(migrate::Args),
    /// Copy the station's tables into another database, of whatever engine
    Copy(Box<copy::Args>),
    /// Keep the watchdogs off while you work on the station
    Hold(hold::Args),
    /// End a hold
    Release,
    /// The station's own lines in the crontab of its user
    Crontab(crontab::Args),
    /// Put the readings of each hour and day into one row, which stays when they go; for cron
    RollUp(rollup::Args),
    /// Delete what is older than the configuration keeps; for cron
    Prune(prune::Args),
    /// Say that another station of the database is gone for good
    RetireStation(retire_station::Args),
}

/// The program.
///
/// # Errors
/// As the subcommand.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let common = &args.common;
    match &args.command {
        Command::Init(args) => init::run(args, common),
        Command::Apply(args) => apply::run(args, common),
        Command::Check(args) => check::run(args, common),
        Command::Schedule(args) => schedule::run(args, common),
        Command::Status(args) => status::run(args, common),
        Command::History(args) => history::run(args, common),
        Command::Doctor(args) => doctor::run(args, common),
        Command::Run(args) => run::run(args, common),
        Command::Migrate(args) => migrate::run(args, common),
        Command::Copy(args) => copy::run(args, common),
        Command::Hold(args) => hold::hold(args, common),
        Command::Release => hold::release(common),
        Command::Crontab(args) => crontab::run(args, common),
        Command::RollUp(args) => rollup::run(args, common),
        Command::Prune(args) => prune::run(args, common),
        Command::RetireStation(args) => retire_station::run(args, common),
    }
}

/// Sees to it that no other process of the station is at the same; nothing: one is.
fn only_one(config: &Config, name: &str) -> Result<Option<Lock>, Failure> {
    let folder = &config.paths.keepalives;
    let locked = files::make_directory(folder).and_then(|()| lock::try_lock(folder, name));
    let locked = locked.map_err(|error| {
        let doing = format!("locking {}/{name}.lock", folder.display());
        Failure::new(Exit::TryLater, doing).because(error)
    })?;
    if locked.is_none() {
        log::info!("another one is at it");
    }
    Ok(locked)
}

/// The station's database.
fn store(config: &Config) -> Store {
    Store::of(&config.database, PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_at_the_same_one_is_told_that_the_other_is_at_it() {
        let station = testing::Station::new();
        let first = only_one(&station.config, "prune").expect("a folder").expect("nobody is at it");
        assert!(only_one(&station.config, "prune").expect("asked").is_none());
        assert!(only_one(&station.config, "roll-up").expect("asked").is_some());
        drop(first);
        assert!(only_one(&station.config, "prune").expect("asked").is_some());
    }
}
