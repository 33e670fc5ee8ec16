//! `load-datad` calls `load-test-data` for each probe type that has waiting files, one after the
//! other, and then the loaders that the configuration names.
//!
//! It loads nothing itself: a loader that crashes on a file, or hangs, takes with it neither the
//! daemon nor the other probe types.

use std::{fs::File, io, time::Duration};

use clap::Parser;
use station::{
    app::{Common, Exit, Failure},
    daemon::{Daemon, Outage},
    text::ToolName,
    words::config::Config,
    world::{
        clock::{Clock, Monotonic, SystemClock},
        keepalive::{BEAT, KeepAlive},
        process::{self, Launch, Process, Signal, Status},
        signals::{self, Stop},
        spool::Spool,
    },
};

/// Has the results of all probe types loaded, in turn
#[derive(Debug, Parser)]
#[command(name = "load-datad", version)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Do one round and end, for cron
    #[arg(long)]
    once: bool,
}

/// The suite's own loader.
const OWN_LOADER: &str = "load-test-data";
/// A loader that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(600);
/// After a round in which something went wrong the pause is so many times longer.
const AFTER_TROUBLE: u32 = 4;
/// How long one that was asked to end may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The program.
///
/// # Errors
/// As [`Daemon::begin`].
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut daemon = Daemon::begin("load-datad", &args.common)?;
    let mut well = true;
    let mut outage = Outage::default();
    daemon.cycles(args.once, |config, moment, stop, keepalive| {
        let troubles = round(config, stop, keepalive);
        well = troubles.is_empty();
        outage.note(moment.wall, if well { Ok(()) } else { Err(troubles.join("; ")) });
        let pause = if well { config.load_pause } else { config.load_pause * AFTER_TROUBLE };
        (outage.shown().unwrap_or_else(|| "all loaded".to_owned()), pause)
    });
    Ok(if args.once && !well { Exit::NeedsPerson } else { Exit::Well })
}

/// Calls all loaders that have something to do; says what went wrong.
fn round(config: &Config, stop: &Stop, keepalive: &mut KeepAlive) -> Vec<String> {
    let spool = match Spool::open(&config.paths.data) {
        Ok(spool) => spool,
        Err(error) => {
            return vec![format!("the data directory {}: {error}", config.paths.data.display())];
        }
    };
    let mut troubles = Vec::new();
    for tool in &config.probetypes {
        match spool.waiting(Some(tool.as_str())).and_then(|mut files| files.next().transpose()) {
            Ok(None) => {}
            Ok(Some(_)) => {
                troubles.extend(call_unless_stopped(
                    config,
                    &own_loader(config, tool),
                    stop,
                    keepalive,
                ));
            }
            Err(error) => troubles.push(format!("looking for files of {tool}: {error}")),
        }
    }
    for loader in &config.loaders {
        troubles.extend(call_unless_stopped(config, &[loader.to_string()], stop, keepalive));
    }
    troubles
}

fn call_unless_stopped(
    config: &Config,
    words: &[String],
    stop: &Stop,
    keepalive: &mut KeepAlive,
) -> Option<String> {
    if stop.asked() { None } else { call(config, words, stop, keepalive).err() }
}

fn own_loader(config: &Config, tool: &ToolName) -> Vec<String> {
    let (file, home) = (path(&config.paths.file), path(&config.paths.home));
    [OWN_LOADER, tool.as_str(), "--config", &file, "--home", &home].map(str::to_owned).to_vec()
}

fn path(path: &std::path::Path) -> String {
    path.display().to_string()
}

/// Runs a loader to its end, or ends it: when it hangs, and when the daemon is asked to end.
fn call(
    config: &Config,
    words: &[String],
    stop: &Stop,
    keepalive: &mut KeepAlive,
) -> Result<(), String> {
    let name = words.iter().take(2).cloned().collect::<Vec<_>>().join(" ");
    let process = start(config, words).map_err(|error| format!("cannot start {name}: {error}"))?;
    let begun = SystemClock.moment().monotonic;
    let mut insistence = Insistence { until: begun + LIMIT, asked: false };
    loop {
        let moment = SystemClock.moment();
        let now = moment.monotonic;
        // A loader has its limit; the daemon that waits for it does not hang.
        keepalive.beat(&moment, format!("waiting for {name}"));
        let fds = if insistence.asked { vec![process.fd()] } else { vec![process.fd(), stop.fd()] };
        signals::wait_for(&fds, now.until(insistence.until).min(BEAT));
        if let Some(status) =
            process.reap().map_err(|error| format!("cannot wait for {name}: {error}"))?
        {
            return told(&name, status, insistence.asked);
        }
        insistence.insist(&process, SystemClock.moment().monotonic, stop.asked());
    }
}

/// How far the daemon has gone in ending a loader.
struct Insistence {
    until: Monotonic,
    asked: bool,
}

impl Insistence {
    fn insist(&mut self, process: &Process, now: Monotonic, stopping: bool) {
        if self.asked && now >= self.until {
            process.signal(Signal::KILL);
            self.until = now + PATIENCE;
        } else if !self.asked && (stopping || now >= self.until) {
            process.signal(Signal::TERM);
            process.signal(Signal::CONT);
            *self = Self { until: now + PATIENCE, asked: true };
        }
    }
}

fn told(name: &str, status: Status, asked: bool) -> Result<(), String> {
    match status {
        Status::Exited(0) => Ok(()),
        // It has said itself what it rejected. What another means by 1 nobody here knows.
        Status::Exited(1) if is_own(name) => Ok(()),
        Status::Exited(75) => Err(format!("{name}: the database cannot be used; files wait")),
        Status::Exited(status) => Err(format!("{name} ended with status {status}")),
        Status::Signalled(signal) if asked => {
            Err(format!("{name} hung or was asked to end: signal {signal}"))
        }
        Status::Signalled(signal) => {
            Err(format!("{name} was ended by signal {signal}; its files wait"))
        }
    }
}

/// Whether a call, as it is told, is one of the suite's own loader.
fn is_own(call: &str) -> bool {
    call.split(' ').next() == Some(OWN_LOADER)
}

fn start(config: &Config, words: &[String]) -> io::Result<Process> {
    let stderr = || -> io::Result<File> { Ok(File::from(rustix::io::dup(io::stderr())?)) };
    process::start(Launch {
        argv: words,
        bin: &config.paths.bin,
        tag: &format!("{}:load-datad:", config.paths.home.display()),
        stdout: stderr()?,
        stderr: stderr()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_loader_that_ends_with_1_has_failed_and_our_own_has_said_what_it_rejected() {
        let ended = |name: &str, status| told(name, Status::Exited(status), false);
        assert_eq!(ended("load-test-data ping", 1), Ok(()));
        assert_eq!(ended("load-archive", 0), Ok(()));
        let failed = Err("load-archive ended with status 1".to_owned());
        assert_eq!(ended("load-archive", 1), failed);
        assert!(ended("load-test-data-elsewhere", 1).is_err(), "another program");
    }
}
