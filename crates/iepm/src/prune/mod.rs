//! `iepm prune`: deletes what is older than the configuration keeps.
//!
//! Rows go in batches, each a transaction of its own, so that no daemon waits long. A reading goes when the
//! roll-ups of its hour and its day hold it. A row of SCHEDULE goes when it is in a final state, whether or
//! not its reading is kept: readings name their specification themselves.

mod files;
mod readings;
mod routes;
mod rows;

use std::time::Duration;

use station::{
    app::{Common, Exit, Failure},
    text::{NodeId, Timestamp},
    words::config::Config,
    world::{
        clock::{Clock, SystemClock},
        lock::Lock,
        store::{self, Error, Store},
    },
};

use crate::rollup::Desk;

use self::{
    readings::{Before, Gone},
    rows::Rows,
};

/// An expired lease is kept for so long: another station's clock may be behind this one's.
const LEASE: Duration = Duration::from_secs(86_400);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Rows of another station of the database, one that was retired
    #[arg(long, value_name = "NAME")]
    station: Option<NodeId>,
}

/// What was deleted, or would be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Pruned {
    gone: Gone,
    rows: Rows,
    routes: u64,
    leases: u64,
    loaded: u64,
    rejected: u64,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let now = SystemClock.now();
    // Of two at once, one may take a reading that came late for one of those that the other knows as counted.
    let lock = if args.dry_run { None } else { lock(&config)? };
    if lock.is_none() && !args.dry_run {
        return not_twice(args);
    }
    let pruned = match &args.station {
        None => prune(&config, now, args.dry_run)?,
        Some(station) => prune_retired(&config, station.as_str(), now, args.dry_run)?,
    };
    let Pruned { gone, rows, routes, leases, loaded, rejected } = pruned;
    let (Gone { readings, hours, days }, Rows { schedule, tries }) = (gone, rows);
    let told = format!(
        "{readings} readings, roll-ups of {hours} hours and {days} days, {routes} routes, {schedule} rows of SCHEDULE, {tries} of TRIES, {leases} of LEASES, \
         {loaded} loaded and {rejected} rejected files"
    );
    if args.dry_run {
        station::app::print(&format!("would delete {told}\n"))?;
    } else {
        log::info!("deleted {told}");
    }
    Ok(Exit::Well)
}

fn lock(config: &Config) -> Result<Option<Lock>, Failure> {
    Common::is_ours(config)?;
    crate::only_one(config, "prune")
}

/// While another one is at it, cron's has nothing to do; who names a station is told.
fn not_twice(args: &Args) -> Result<Exit, Failure> {
    let Some(station) = &args.station else { return Ok(Exit::Well) };
    let doing = format!("pruning rows of the station {station}");
    Err(Failure::new(Exit::TryLater, doing).why("another `iepm prune` of this station is at it"))
}

fn prune(config: &Config, now: Timestamp, dry_run: bool) -> Result<Pruned, Failure> {
    let mut store = crate::store(config);
    let kept = &config.retention;
    let pruned = prune_rows(&mut store, config, config.node.as_str(), now, dry_run)?;
    let leases = rows::prune_leases(&mut store, now - LEASE, dry_run).map_err(failed)?;
    let data = &config.paths.data;
    let loaded = files::prune_days(&data.join("loaded"), now - kept.loaded, dry_run)?;
    let rejected = files::prune_files(&data.join("rejected"), now - kept.rejected, dry_run)?;
    Ok(Pruned { leases, loaded, rejected, ..pruned })
}

fn failed(error: Error) -> Failure {
    Failure::store("pruning the database", error)
}

/// Rows of one station, as old as this one keeps its own.
fn prune_rows(
    store: &mut Store,
    config: &Config,
    station: &str,
    now: Timestamp,
    dry_run: bool,
) -> Result<Pruned, Failure> {
    let kept = &config.retention;
    let specs = rows::specs(store, station).map_err(failed)?;
    let before = Before::at(now, kept);
    let mut desk = Desk::new(store, now.seconds());
    let gone = if dry_run {
        readings::count(&mut desk, &specs, before)
    } else {
        readings::prune(&mut desk, &specs, before)
    };
    let gone = gone.map_err(failed)?;
    let rows = rows::prune(&mut desk, &specs, now - kept.schedule, dry_run).map_err(failed)?;
    let routes = routes::prune(&mut desk, station, now - kept.readings, dry_run).map_err(failed)?;
    if !dry_run {
        log::info!("the longest transaction took {:?}", desk.told.longest);
    }
    Ok(Pruned { gone, rows, routes, ..Pruned::default() })
}

/// Rows of a station that is gone, and deletes none itself any more. Its files are elsewhere.
fn prune_retired(
    config: &Config,
    station: &str,
    now: Timestamp,
    dry_run: bool,
) -> Result<Pruned, Failure> {
    let mut store = crate::store(config);
    let row = store.read(|session| store::monhost_of(session, station)).map_err(failed)?;
    if !row.is_some_and(|row| row.retired) {
        let why =
            format!("it is not retired, and prunes its own rows; `iepm retire-station {station}`");
        let doing = format!("pruning rows of the station {station}");
        return Err(Failure::new(Exit::NeedsPerson, doing).why(why));
    }
    prune_rows(&mut store, config, station, now, dry_run)
}
