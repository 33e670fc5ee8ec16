//! `bw-cleanup` ends the processes of its own user that are named in `config/cleanup-list` and have grown
//! older than their minutes there.
//!
//! A program of cron: it looks once, ends what is to be ended, and leaves a note for the next run.
//! - [`decide`] says whom to end, from what was seen; it explains whose a process is, and how old.
//! - [`sweep`] looks and acts.
//! - [`list`](mod@list) is the list, [`memory`] what one run leaves for the next.
//!
//! While somebody holds the station it does nothing: who works on it decides what goes on there.

pub mod decide;
pub mod list;
pub mod memory;
mod report;
pub mod sweep;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Parser;
use station::{
    app::{self, Common, Exit, Failure},
    text::human_duration,
    watchdog,
    words::config::Config,
    world::{
        clock::{Clock, Moment, SystemClock},
        files,
        keepalive::boot_id,
        lock::{self, Lock},
        process,
    },
};

use crate::{list::List, memory::Memory, sweep::Told};

const EXITS: &str = "Exit statuses:
   0  all is well, whether something was ended or not
   1  a process could not be ended, or processes cannot be seen
   2  the command line made no sense
  75  not now: it runs already
  78  the configuration or the list is not right; the last list that was right is carried out";

/// Ends processes that hang: those that are older than the list allows
#[derive(Debug, Parser)]
#[command(name = "bw-cleanup", version, after_help = EXITS)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Another list than the station's config/cleanup-list
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Show what would be ended, and end nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: an object for each process that is too old
    #[arg(long)]
    json: bool,
    /// Tell all mistakes of the list, and end nothing
    #[arg(long, conflicts_with_all = ["dry_run", "json"])]
    check: bool,
}

/// The program.
///
/// # Errors
/// As the list of exit statuses says.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    run_by(args, &SystemClock)
}

/// The program, told the time by `clock`.
///
/// # Errors
/// As [`run`].
pub fn run_by(args: &Args, clock: &impl Clock) -> Result<Exit, Failure> {
    if args.check {
        return check(args, &args.common.load()?);
    }
    // What is wrong with the configuration `keep-em-alive` tells, once.
    let (config, broken) = args.common.load_or_last_good()?;
    if is_held(args, &config, &clock.moment())? {
        // Programs read a list, also an empty one.
        say(args, &[], &BTreeMap::new())?;
        return Ok(Exit::Well);
    }
    let folder = &config.paths.keepalives;
    let lock = if args.dry_run { None } else { alone(folder)? };
    if lock.is_none() && !args.dry_run {
        return Ok(Exit::TryLater);
    }
    // Each process is held by a descriptor, and there may be thousands that hang.
    process::raise_descriptor_limit();
    let exit = carry_out(args, &config, clock)?;
    Ok(if broken.is_some() { Exit::Config } else { exit })
}

/// Nothing if another one is at work.
fn alone(folder: &Path) -> Result<Option<Lock>, Failure> {
    let locking =
        || Failure::new(Exit::TryLater, format!("locking bw-cleanup in {}", folder.display()));
    files::make_directory(folder).map_err(|error| locking().because(error))?;
    let lock = lock::try_lock(folder, "bw-cleanup").map_err(|error| locking().because(error))?;
    if lock.is_none() {
        log::info!("it runs already");
    }
    Ok(lock)
}

/// Looks, ends, tells, and leaves a note.
fn carry_out(args: &Args, config: &Config, clock: &impl Clock) -> Result<Exit, Failure> {
    let (act, home) = (!args.dry_run, &config.paths.home);
    let before = Memory::read(&config.paths.keepalives, &boot_id());
    let mut memory = before.clone();
    let (list, wrong) = list(args, config, &mut memory)?;
    let swept = sweep::sweep((&list.entries, home), &mut memory, act, clock);
    let told = swept.map_err(|error| {
        Failure::new(Exit::NeedsPerson, "looking for processes that hang").because(error)
    })?;
    let stays = report::log(&told);
    let kept = !act || memory == before || is_kept(&memory, config);
    log::info!("ended so far: {}", report::totals(&memory.ended));
    say(args, &told, &memory.ended)?;
    match wrong {
        Some(wrong) => Err(wrong),
        None => Ok(if stays || !kept { Exit::NeedsPerson } else { Exit::Well }),
    }
}

/// Reads the list only.
fn check(args: &Args, config: &Config) -> Result<Exit, Failure> {
    let path = path_of_list(args, config);
    let count = List::read(&path)?.entries.len();
    app::print(&format!("{}: {count} entries, no mistakes\n", path.display()))?;
    Ok(Exit::Well)
}

fn path_of_list(args: &Args, config: &Config) -> PathBuf {
    args.list.clone().unwrap_or_else(|| config.paths.config.join("cleanup-list"))
}

/// Whether the station is held, and so nothing is to be ended.
fn is_held(args: &Args, config: &Config, now: &Moment) -> Result<bool, Failure> {
    let hold = watchdog::held(config, now)?;
    let Some(hold) = hold else { return Ok(false) };
    let left = human_duration(hold.left(now, &boot_id()).unwrap_or_default());
    let nothing =
        format!("{} holds the station for {left} ({}): nothing is ended", hold.by, hold.reason);
    if args.dry_run {
        log::warn!("{nothing}; without the hold this would be");
    } else {
        log::info!("{nothing}");
    }
    Ok(!args.dry_run)
}

/// The list that is carried out, and what is wrong with the one that should be.
///
/// The station's list is remembered while it is right. One that is named is somebody's at this moment:
/// if it is wrong, nothing else is meant.
fn list(
    args: &Args,
    config: &Config,
    memory: &mut Memory,
) -> Result<(List, Option<Failure>), Failure> {
    let read = List::read(&path_of_list(args, config));
    if args.list.is_some() {
        return read.map(|list| (list, None));
    }
    let wrong = match read {
        Ok(list) => {
            memory.list = Some(list.text.clone());
            return Ok((list, None));
        }
        Err(wrong) => wrong,
    };
    let Some(list) = List::remembered(memory.list.as_ref()) else {
        log::error!("no list without mistakes is known: nothing is ended");
        return Err(wrong);
    };
    log::error!("the last list without mistakes is carried out, entries: {}", list.entries.len());
    Ok((list, Some(wrong)))
}

/// Keeps what the next run needs. Without it processes are ended nevertheless, perhaps later.
fn is_kept(memory: &Memory, config: &Config) -> bool {
    let folder = &config.paths.keepalives;
    let kept = memory.keep(folder).inspect_err(|error| {
        log::error!("cannot write {}/bw-cleanup.state: {error}", folder.display());
    });
    kept.is_ok()
}

fn say(args: &Args, told: &[Told], ended: &BTreeMap<String, u64>) -> Result<(), Failure> {
    if args.json {
        app::print(&report::json(told, ended))
    } else if args.dry_run {
        app::print(&report::text(told))
    } else {
        Ok(())
    }
}
