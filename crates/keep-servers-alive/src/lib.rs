//! `keep-servers-alive` starts the servers of `config/servers.alive` that do not run, and ends and starts
//! again those that run but do not answer.
//!
//! - [`list`]: which servers there are to be; the last good list goes on while the file is broken.
//! - [`look`]: what of them is seen on this machine.
//! - [`plan`]: what is to be done about each, and what a person is told of it. Pure.
//! - [`act`]: ending and starting.
//! - [`state`]: what one run leaves to the next.
//!
//! It is run by cron and ends at once: a watchdog that is not there cannot hang. What it prints, cron
//! mails, so a thing is told when it changes and not in every run; the exit status says how things stand.

mod act;
mod check;
mod list;
mod look;
mod plan;
mod report;
mod state;

use clap::Parser;
use log::Level;
use station::{
    app::{Common, Exit, Failure},
    text::human_duration,
    watchdog,
    words::{config::Config, servers::Server},
    world::{
        clock::{Clock, Moment, SystemClock},
        hold::{self, Hold},
        keepalive::boot_id,
        lock::{self, Lock},
        process,
    },
};

use crate::{
    look::Seen,
    plan::{Now, Step},
    report::Report,
    state::State,
};

/// Starts the servers that do not run or do not answer
#[derive(Debug, Parser)]
#[command(name = "keep-servers-alive", version)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Check config/servers.alive and look for the programs; start nothing
    #[arg(long, conflicts_with_all = ["dry_run", "json"])]
    check: bool,
    /// Print what would be started or ended, and why; do none of it
    #[arg(long)]
    dry_run: bool,
    /// Print how each server stands, as JSON
    #[arg(long)]
    json: bool,
}

const NAME: &str = "keep-servers-alive";

/// The program.
///
/// # Errors
/// The configuration is wrong, another one runs, or the machine does not let itself be looked at.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    if args.check {
        return check::run(&args.common.load()?);
    }
    // What is wrong with the configuration `keep-em-alive` tells, once.
    let (config, broken) = args.common.load_or_last_good()?;
    // Only looking needs no lock.
    let lock = if args.dry_run { None } else { alone(&config)? };
    if lock.is_none() && !args.dry_run {
        return Ok(Exit::TryLater);
    }
    process::raise_descriptor_limit();
    let moment = SystemClock.moment();
    let held = held(&config, &moment)?;
    if let Some(held) = &held {
        // Whoever asks what would be done is told why nothing is.
        let level = if args.dry_run { Level::Warn } else { Level::Info };
        log::log!(level, "{held}");
    }
    let acts = held.is_none() && !args.dry_run;
    if !acts && !args.dry_run && !args.json {
        return Ok(Exit::Well);
    }
    let now = Now { boot: moment.boot, monotonic: moment.monotonic.0, boot_id: boot_id() };
    let mut round = Round::begin(&config, now, acts && taken(&config)?)?;
    let reports = if acts { round.act(&config)? } else { round.foretell() };
    report::print(&reports, args.json, args.dry_run)?;
    Ok(if broken.is_some() { Exit::Config } else { round.exit() })
}

/// Nothing if another one is at work.
fn alone(config: &Config) -> Result<Option<Lock>, Failure> {
    Common::is_ours(config)?;
    let folder = &config.paths.keepalives;
    let locking = format!("locking {NAME} in {}", folder.display());
    match lock::try_lock(folder, NAME) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => {
            log::info!("it runs already");
            Ok(None)
        }
        Err(error) => Err(Failure::new(Exit::NeedsPerson, locking).because(error)),
    }
}

/// Who holds the station, if somebody does.
fn held(config: &Config, moment: &Moment) -> Result<Option<String>, Failure> {
    let told = |hold: Hold| {
        let left = hold.left(moment, &boot_id()).map(human_duration).unwrap_or_default();
        format!("{} holds the station for {left} more: {}", hold.by, hold.reason)
    };
    Ok(watchdog::held(config, moment)?.map(told))
}

/// Whether all servers were stopped on purpose since the last run.
fn taken(config: &Config) -> Result<bool, Failure> {
    let folder = &config.paths.keepalives;
    hold::take_stopped(folder, NAME).map_err(|error| {
        Failure::new(Exit::TryLater, format!("looking into {}", folder.display())).because(error)
    })
}

/// One run: what there is to be, what is seen of it, and what is done about it.
struct Round {
    now: Now,
    servers: Vec<Server>,
    seen: Vec<Seen>,
    steps: Vec<Step>,
    /// As the last run left it.
    before: State,
    state: State,
}

impl Round {
    /// `stopped`: all servers were stopped on purpose.
    fn begin(config: &Config, now: Now, stopped: bool) -> Result<Self, Failure> {
        let before = State::read(&config.paths.keepalives);
        let mut state = before.clone();
        state.begin(&now.boot_id);
        if stopped {
            state.stopped_on_purpose();
        }
        let servers = list::read(&config.paths.config.join("servers.alive"), &mut state);
        state.keep(&servers);
        let looking =
            || Failure::new(Exit::NeedsPerson, "looking at the processes of this machine");
        let seen = look::at(&servers, config).map_err(|error| looking().because(error))?;
        let step = |(server, seen): (&Server, &Seen)| plan::step(seen, state.of(server), &now);
        let steps = servers.iter().zip(&seen).map(step).collect();
        Ok(Self { now, servers, seen, steps, before, state })
    }

    /// What would be done.
    fn foretell(&self) -> Vec<Report> {
        let all = self.servers.iter().zip(&self.seen).zip(&self.steps);
        all.map(|((server, seen), step)| {
            Report::of(server, seen, step, None, self.state.of(server))
        })
        .collect()
    }

    /// Does it, tells what a person should know, and notes all for the next run.
    fn act(&mut self, config: &Config) -> Result<Vec<Report>, Failure> {
        let loops = self.count_starts();
        // Before anything is started: were we killed in between, a start that counts for nothing would be
        // worse than one that counts and was none.
        // But a full disk is no reason to leave servers down.
        if let Err(failure) = self.save(config) {
            log::warn!("{failure}; the start is not counted");
        }
        let results = act::carry_out(&self.servers, &self.seen, &self.steps, config);
        let mut reports = Vec::new();
        let all = self.servers.iter().zip(&self.seen).zip(self.steps.iter().zip(results));
        for (((server, seen), (step, result)), looped) in all.zip(loops) {
            if let Some(Ok(pid)) = &result {
                log::info!("{}: started, pid {pid}", server.name);
            }
            let record = self.state.of_mut(server);
            let happened = plan::Happened { step, result: result.as_ref(), looped };
            for told in plan::note(record, &happened, seen, &self.now) {
                log::warn!("{} {told}", server.name);
            }
            reports.push(Report::of(server, seen, step, result.as_ref(), record));
        }
        self.save(config)?;
        Ok(reports)
    }

    /// Counts the starts that are about to be; says of each server whether that makes a crash loop.
    fn count_starts(&mut self) -> Vec<bool> {
        let mut loops = Vec::new();
        for (server, step) in self.servers.iter().zip(&self.steps) {
            let record = self.state.of_mut(server);
            let starts = matches!(step, Step::Start | Step::Replace(_));
            loops.push(starts && record.restarts.started(self.now.boot, &self.now.boot_id));
        }
        loops
    }

    /// Writes the state, if it is another than what the file holds.
    fn save(&mut self, config: &Config) -> Result<(), Failure> {
        if self.state != self.before {
            self.state.write(&config.paths.keepalives)?;
            self.before = self.state.clone();
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        if self.state.is_list_wrong() {
            Exit::Config
        } else if self.state.has_faults() {
            Exit::NeedsPerson
        } else {
            Exit::Well
        }
    }
}
