//! `kill-all-servers` and `restart-all-servers`: all daemons and servers of a station at once; about
//! midnight, from cron.
//!
//! - [`stop`] ends them, stage by stage, in an order that loses nothing.
//! - [`rotate`] puts logs aside, and [`day`] says whether that was done today.
//! - Starting is left to those who know how: `keep-em-alive` and `keep-servers-alive` are called.
//!
//! While they work, both programs hold the locks of the two watchdogs, so that neither undoes it, and
//! the station's hold, so that this lasts when they are killed in the middle, and ends by itself.

pub mod day;
pub mod rotate;
pub mod stop;

use std::{path::Path, process::Command, time::Duration};

use clap::Parser;
use station::{
    app::{Common, Exit, Failure},
    daemon,
    text::parse_duration,
    watchdog,
    words::config::Config,
    world::{
        clock::{Clock, Moment, Monotonic, SystemClock, pause},
        hold::{self, Hold},
        keepalive, lock,
        lock::Lock,
        process,
    },
};

use crate::day::LastTime;

const EXITS: &str = "Exit status: 0 done; 1 some daemon or server could not be ended or did not come up; 2 usage; \
                     75 it runs already, or the station is held; 78 wrong configuration";

/// Stops all daemons and servers of a station, in an order that loses nothing
#[derive(Debug, Parser)]
#[command(name = "kill-all-servers", version, after_help = EXITS)]
pub struct KillArgs {
    #[command(flatten)]
    common: Common,
    /// For how long the watchdogs are to leave them stopped
    #[arg(long, value_name = "LENGTH", value_parser = parse_duration, default_value = "1h")]
    hold: Duration,
    /// Say what would be stopped, in which order, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Stops all daemons and servers of a station, rotates logs, prunes, and starts all again
#[derive(Debug, Parser)]
#[command(name = "restart-all-servers", version, after_help = EXITS)]
pub struct RestartArgs {
    #[command(flatten)]
    common: Common,
    /// Do nothing if it was done within the last 12 hours: for cron, which may call it twice about midnight
    #[arg(long)]
    once_per_day: bool,
    /// Say what would be stopped, in which order, and do nothing
    #[arg(long)]
    dry_run: bool,
}

const KILL_ALL: &str = "kill-all-servers";
const RESTART_ALL: &str = "restart-all-servers";
/// The two programs share one lock: at any time only one of them works.
const LOCK: &str = "all-servers";
/// The watchdogs, whose locks are held meanwhile.
const WATCHDOGS: [&str; 2] = ["keep-em-alive", "keep-servers-alive"];
/// How long a watchdog that is at work may take to come to its end.
const WATCHDOGS_END: Duration = Duration::from_secs(120);
/// So long the station is held while all is restarted; far more than it takes.
const RESTART: Duration = Duration::from_secs(15 * 60);
/// How long daemons may take to come up.
const COME_UP: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(50);

/// `kill-all-servers`.
///
/// # Errors
/// It runs already, or what it needs is away.
pub fn kill(args: &KillArgs) -> Result<Exit, Failure> {
    let (config, _) = args.common.load_or_last_good()?;
    if args.dry_run {
        return stop::show(&config);
    }
    Common::is_ours(&config)?;
    process::raise_descriptor_limit();
    let Some(_quiet) = Quiet::begin(&config, KILL_ALL, args.hold)? else {
        return Ok(Exit::TryLater);
    };
    Ok(if stop_all(&config).is_empty() { Exit::Well } else { Exit::NeedsPerson })
}

/// `restart-all-servers`.
///
/// # Errors
/// It runs already, or what it needs is away.
pub fn restart(args: &RestartArgs) -> Result<Exit, Failure> {
    let (config, broken) = args.common.load_or_last_good()?;
    if args.dry_run {
        return stop::show(&config);
    }
    Common::is_ours(&config)?;
    process::raise_descriptor_limit();
    if let Some(hold) = held_by_another(&config, &SystemClock.moment(), args.once_per_day)? {
        log::info!("the station is held by {}: {}; nothing is restarted", hold.by, hold.reason);
        return Ok(Exit::TryLater);
    }
    let Some(quiet) = Quiet::begin(&config, RESTART_ALL, RESTART)? else {
        return Ok(Exit::TryLater);
    };
    // Behind the lock: of two that are called at once the second sees what the first has done.
    let moment = SystemClock.moment();
    if args.once_per_day && !is_due(&config, &moment) {
        log::info!("it was done within the last 12 hours");
        quiet.end(&config)?;
        return Ok(Exit::Well);
    }
    let well = restart_all(&config, quiet, &moment)?;
    if let Some(failure) = broken {
        log::error!("{failure}\nthe last good configuration was used");
    }
    Ok(if well { Exit::Well } else { Exit::NeedsPerson })
}

fn is_due(config: &Config, moment: &Moment) -> bool {
    let last = LastTime::read(&config.paths.keepalives);
    day::is_due(last.as_ref(), moment, &keepalive::boot_id())
}

/// Does it; says whether all is well with it.
fn restart_all(config: &Config, quiet: Quiet, moment: &Moment) -> Result<bool, Failure> {
    let left = stop_all(config);
    if left.is_empty() {
        rotate_logs(config);
    } else {
        log::warn!("the logs are not put aside: {} would go on writing to them", left.join(", "));
    }
    // Before the locks are given back: whoever gets them next sees it. A prune may take hours, and cron's
    // second call comes meanwhile.
    let noted = note_restart(config, moment);
    quiet.end(config)?;
    let up = start_all(config);
    // However long it takes: the station measures meanwhile.
    let pruned = call("iepm", &["prune"], config);
    // No reason to leave the station stopped, and told all the same.
    noted?;
    Ok(left.is_empty() && pruned && up)
}

/// Notes when it was done, for `--once-per-day`.
fn note_restart(config: &Config, moment: &Moment) -> Result<(), Failure> {
    let folder = &config.paths.keepalives;
    LastTime::of(moment).write(folder).map_err(|error| {
        let doing = format!("noting the restart in {}", folder.display());
        Failure::new(Exit::TryLater, doing).because(error)
    })
}

/// The hold of somebody else: of an operator; for cron also that of `kill-all-servers`, which somebody
/// has called by hand.
fn held_by_another(
    config: &Config,
    moment: &Moment,
    by_cron: bool,
) -> Result<Option<Hold>, Failure> {
    let hold = watchdog::held(config, moment)?;
    let ours = |hold: &Hold| hold.by == RESTART_ALL || (hold.by == KILL_ALL && !by_cron);
    Ok(hold.filter(|hold| !ours(hold)))
}

/// The time in which no watchdog works.
struct Quiet {
    own: Lock,
    watchdogs: Vec<Lock>,
}

impl Quiet {
    /// Begins it; nothing if the other of the two programs is at work.
    fn begin(config: &Config, by: &str, length: Duration) -> Result<Option<Self>, Failure> {
        let folder = &config.paths.keepalives;
        let locking = || {
            Failure::new(
                Exit::TryLater,
                format!("keeping the watchdogs off in {}", folder.display()),
            )
        };
        let own = lock::try_lock(folder, LOCK).map_err(|error| locking().because(error))?;
        let Some(own) = own else {
            log::info!("kill-all-servers or restart-all-servers runs already");
            return Ok(None);
        };
        // Before the hold: if they cannot be waited for, nothing is stopped and nothing is held.
        let watchdogs = WATCHDOGS.iter().map(|name| wait_for_lock(folder, name));
        let watchdogs = watchdogs.collect::<Result<Vec<Lock>, Failure>>()?;
        let moment = SystemClock.moment();
        let hold = Hold::new(by, "all daemons and servers are stopped", &moment, length);
        // An operator's hold is left as it is, unless ours lasts longer.
        let before = hold::active(folder, &moment).ok().flatten();
        if before.is_none_or(|before| before.until_us < hold.until_us) {
            hold::put(folder, &hold).map_err(|error| locking().because(error))?;
        }
        Ok(Some(Self { own, watchdogs }))
    }

    /// Ends it, and the hold with it.
    fn end(self, config: &Config) -> Result<(), Failure> {
        let folder = &config.paths.keepalives;
        let ours = held_by_another(config, &SystemClock.moment(), false)?.is_none();
        let released = if ours { hold::release(folder).map(|_| ()) } else { Ok(()) };
        // After the hold: whoever gets the locks is to find none.
        drop((self.watchdogs, self.own));
        released.map_err(|error| {
            let doing = format!("releasing the station: {}/hold", folder.display());
            Failure::new(Exit::NeedsPerson, doing).because(error)
        })
    }
}

/// The lock of a watchdog, when it has come to its end.
fn wait_for_lock(folder: &Path, name: &str) -> Result<Lock, Failure> {
    let waiting = || Failure::new(Exit::TryLater, format!("waiting for {name} to come to its end"));
    let until: Monotonic = SystemClock.moment().monotonic + WATCHDOGS_END;
    loop {
        match lock::try_lock(folder, name).map_err(|error| waiting().because(error))? {
            Some(lock) => return Ok(lock),
            None if SystemClock.moment().monotonic >= until => {
                return Err(waiting().why("it hangs; nothing was stopped"));
            }
            None => pause(GLANCE),
        }
    }
}

/// Stops all, and leaves word for the watchdogs that it was done on purpose.
fn stop_all(config: &Config) -> Vec<String> {
    let left = stop::all(config);
    for watchdog in WATCHDOGS {
        if let Err(error) = hold::note_stopped(&config.paths.keepalives, watchdog) {
            log::warn!("leaving word for {watchdog}: {error}; it will tell of what it starts");
        }
    }
    left
}

/// What cannot be rotated is told and goes on growing: no reason to leave the station stopped.
fn rotate_logs(config: &Config) {
    match rotate::rotate(&config.paths.log, config.keep_logs) {
        Ok(count) => log::info!("{count} logs put aside"),
        Err(error) => log::error!("rotating the logs in {}: {error}", config.paths.log.display()),
    }
}

/// Starts all, and waits until the daemons are up; says whether they are.
fn start_all(config: &Config) -> bool {
    let started = WATCHDOGS.map(|watchdog| call(watchdog, &[], config));
    let until = SystemClock.moment().monotonic + COME_UP;
    loop {
        let down = daemon::watched(config).into_iter().filter(|name| !stop::runs(name, config));
        let down: Vec<String> = down.collect();
        if down.is_empty() {
            return started == [true; 2];
        }
        if SystemClock.moment().monotonic >= until {
            log::error!(
                "did not come up: {}; their logs in {} say more",
                down.join(", "),
                config.paths.log.display()
            );
            return false;
        }
        pause(GLANCE);
    }
}

/// Calls a program of the suite; says whether all is well with it. What it has to say it says itself.
fn call(name: &str, arguments: &[&str], config: &Config) -> bool {
    let Some(program) = process::find(name, &config.paths.bin) else {
        log::info!("{name} is not installed");
        return true;
    };
    let mut command: Command = process::command(&program, arguments);
    command.arg("--config").arg(&config.paths.file).arg("--home").arg(&config.paths.home);
    match command.status() {
        // 75: one that cron has just started does the work.
        Ok(status) => matches!(status.code(), Some(0 | 75)),
        Err(error) => {
            log::error!("calling {}: {error}", program.display());
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use station::words::config;

    use super::*;

    fn script(path: &Path, line: &str) {
        fs::write(path, format!("#!/bin/sh\n{line}\n")).expect("room");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mine");
    }

    #[test]
    fn while_it_prunes_for_hours_a_second_call_finds_the_restart_done() {
        let home = tempfile::tempdir().expect("a folder");
        let (config, mistakes) = config::parse("[watch]\ndaemons = []\n", home.path());
        assert_eq!(mistakes, []);
        let paths = &config.paths;
        for folder in [&paths.bin, &paths.keepalives, &paths.log] {
            fs::create_dir_all(folder).expect("room");
        }
        for watchdog in WATCHDOGS {
            script(&paths.bin.join(watchdog), "exit 0");
        }
        // What the prune finds is what a second call finds meanwhile.
        let noted = paths.keepalives.join("restart-all-servers.state");
        script(&paths.bin.join("iepm"), &format!("test -s '{}'", noted.display()));
        let moment = SystemClock.moment();
        let quiet = Quiet::begin(&config, RESTART_ALL, RESTART).expect("locks");
        let quiet = quiet.expect("nobody is at work");
        assert!(restart_all(&config, quiet, &moment).expect("room"), "not noted before the prune");
        assert!(!is_due(&config, &SystemClock.moment()));
    }
}
