//! Ending and starting servers.

use std::{fmt, io, path::PathBuf, time::Duration};

use station::{
    words::{config::Config, servers::Server},
    world::{
        clock::{self, Clock, Monotonic, SystemClock},
        detached::{self, Detached},
        ending::{Outcome, Scope, end_all},
        process::Status,
        processes::{self, Process},
        servers,
    },
};

use crate::{
    look::{Seen, is_other},
    plan::Step,
};

/// How long a server that is asked to end may take.
const GRACE: Duration = Duration::from_secs(5);
/// One that ends within this time did not stay up.
const STAYS: Duration = Duration::from_secs(1);
/// The exit status of a program whose configuration is wrong.
const WRONG: i32 = 78;

/// The pid of a server that was started and stays up, or what stood in the way.
pub(crate) type Started = Result<i32, Trouble>;

/// Why a server is not up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It did not stay up: how it ended, and its log.
    Ended(String, PathBuf),
    /// It says that its configuration is wrong; its log.
    Wrong(PathBuf),
    /// It could not be started.
    NotStarted(String),
    /// The one before it is still there.
    NotEnded(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(how, log) => {
                write!(f, "does not stay up: {how}; {} may say why", log.display())
            }
            Self::Wrong(log) => write!(
                f,
                "says that its configuration is wrong (exit status {WRONG}), see {}; it is started again \
                 when its line or its program has changed",
                log.display()
            ),
            Self::NotStarted(why) => write!(f, "cannot be started: {why}"),
            Self::NotEnded(why) => write!(f, "cannot be ended: {why}"),
        }
    }
}

/// Carries out all steps; gives what came of each start.
pub(crate) fn carry_out(
    servers: &[Server],
    seen: &[Seen],
    steps: &[Step],
    config: &Config,
) -> Vec<Option<Started>> {
    let replaced = |(server, step): (_, &Step)| matches!(step, Step::Replace(_)).then_some(server);
    let replaced: Vec<&Server> = servers.iter().zip(steps).filter_map(replaced).collect();
    let left = if replaced.is_empty() { Ok(Vec::new()) } else { end(&replaced) };
    let start = |((server, seen), step): ((&Server, &Seen), &Step)| match step {
        Step::Start | Step::Replace(_) => {
            Some(not_left(server, &left).and_then(|()| start(server, seen, config)))
        }
        _ => None,
    };
    // All are started before the first is watched: together they take one second and not one each.
    let begun: Vec<_> = servers.iter().zip(seen).zip(steps).map(start).collect();
    let until = SystemClock.moment().monotonic + STAYS;
    let watch = |(server, begun): (&Server, Option<Result<Detached, Trouble>>)| {
        begun.map(|begun| begun.and_then(|detached| watch(server, &detached, until, config)))
    };
    servers.iter().zip(begun).map(watch).collect()
}

fn not_left(server: &Server, left: &io::Result<Vec<(String, String)>>) -> Result<(), Trouble> {
    match left {
        Err(error) => Err(Trouble::NotEnded(error.to_string())),
        Ok(left) => match left.iter().find(|(name, _)| name == server.name.as_str()) {
            Some((_, why)) => Err(Trouble::NotEnded(why.clone())),
            None => Ok(()),
        },
    }
}

/// Ends servers, and what they have started in their groups and sessions; gives what would not end, and
/// why.
fn end(servers: &[&Server]) -> io::Result<Vec<(String, String)>> {
    let mut all = processes::ours(|glimpse| is_other(glimpse.pid))?;
    all.retain(Process::shares_our_network);
    let family = |server: &&Server| {
        let name = server.name.to_string();
        servers::family(&name, &all).into_iter().map(move |process| (name.clone(), process))
    };
    let doomed: Vec<(String, &Process)> = servers.iter().flat_map(family).collect();
    let processes: Vec<&Process> = doomed.iter().map(|(_, process)| *process).collect();
    // Each by itself: what belongs to them has been found.
    let outcomes = end_all(&processes, GRACE, Scope::Alone);
    let left = doomed
        .into_iter()
        .zip(outcomes)
        .filter_map(|((name, process), outcome)| Some((name, still_there(process, &outcome)?)));
    Ok(left.collect())
}

/// Why a process is still there, if it is.
fn still_there(process: &Process, outcome: &Outcome) -> Option<String> {
    let what = format!("process {} ({})", process.identity.pid, process.command());
    match outcome {
        Outcome::Gone | Outcome::Terminated | Outcome::Killed => None,
        Outcome::Stuck(place) if place.is_empty() => Some(format!("{what} outlives a KILL")),
        Outcome::Stuck(place) => Some(format!("{what} outlives a KILL, it waits in {place}")),
        Outcome::Refused(why) => Some(format!("{what} may not be ended: {why}")),
    }
}

fn start(server: &Server, seen: &Seen, config: &Config) -> Result<Detached, Trouble> {
    let failed = |why: String| Trouble::NotStarted(why);
    let program = seen.program.as_ref().map_err(|missing| failed(missing.clone()))?;
    let (stdout, stderr) = servers::outputs(server, &config.paths).map_err(failed)?;
    let started = detached::start(detached::Start {
        program,
        arguments: &server.parameters.words,
        argv0: None,
        folder: &config.paths.home,
        stdout,
        stderr,
    });
    started.map_err(|error| failed(format!("{}: {error}", program.display())))
}

/// Whether it stays up: it does not end, or it does and a process of its name goes on.
fn watch(server: &Server, started: &Detached, until: Monotonic, config: &Config) -> Started {
    let log = || servers::log(server, &server.parameters.stderr, &config.paths);
    let failed = |error: io::Error| Trouble::Ended(format!("it cannot be watched: {error}"), log());
    let left = || SystemClock.moment().monotonic.until(until);
    match started.watch(left()).map_err(failed)? {
        None => Ok(started.pid()),
        Some(Status::Exited(0)) => {
            // What is in the background now may be on its way there, or end as soon.
            clock::pause(left());
            daemon(server).map_err(failed)?.ok_or_else(|| {
                let how = "it ended with exit status 0, and no process of its name goes on";
                Trouble::Ended(how.to_owned(), log())
            })
        }
        Some(Status::Exited(WRONG)) => Err(Trouble::Wrong(log())),
        Some(status) => Err(Trouble::Ended(status.to_string(), log())),
    }
}

/// A process of a server that went into the background.
fn daemon(server: &Server) -> io::Result<Option<i32>> {
    let name = server.name.as_str();
    let found = processes::ours(|glimpse| is_other(glimpse.pid) && glimpse.is_called(name));
    let found = found?.into_iter().find(Process::shares_our_network);
    Ok(found.map(|process| process.identity.pid))
}
