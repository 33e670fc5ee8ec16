//! Stopping: stage by stage, each asked, waited for, and insisted on.
//!
//! First who schedules, so that nothing new is due; then who probes, who lets running probes come to
//! their ends; then who loads; the servers last, for other stations may measure to us meanwhile. What
//! is not loaded waits as files.

use std::{fmt::Write, fs, io, time::Duration};

use station::{
    app::{self, Exit, Failure},
    daemon,
    words::{config::Config, servers, suite},
    world::{
        ending::{Outcome, Scope, end_all},
        lock,
        processes::{self, Process},
        servers::family,
    },
};

/// What is stopped together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// What they are, for people.
    pub title: &'static str,
    /// Their names.
    pub names: Vec<String>,
    /// How long they may take before they are killed.
    pub grace: Duration,
    /// Whether they are known by their locks; else by their names.
    by_lock: bool,
}

/// Beyond what a daemon may wait for its probes or its loader.
const GRACE: Duration = Duration::from_secs(10);

/// The stages of a station.
#[must_use]
pub fn stages(daemons: &[String], servers: &[String], drain: Duration) -> Vec<Stage> {
    let of = |is: &dyn Fn(&str) -> bool| daemons.iter().filter(|name| is(name)).cloned().collect();
    let schedules = |name: &str| name == "load-scheduled";
    let loads = |name: &str| name == "load-datad";
    let stage = |title, names, grace, by_lock| Stage { title, names, grace, by_lock };
    vec![
        stage("schedulers", of(&schedules), GRACE, true),
        stage("probe daemons", of(&|name| !schedules(name) && !loads(name)), drain + GRACE, true),
        stage("loaders", of(&loads), GRACE, true),
        stage("servers", servers.to_vec(), GRACE, false),
    ]
}

/// Whether a daemon runs: whether its lock is held, or, of one without a lock, a process of its name.
#[must_use]
pub fn runs(name: &str, config: &Config) -> bool {
    found(name, true, config).is_ok_and(|found| !found.is_empty())
}

/// Stops all; gives the names of those that could not be ended. Tells who had to be killed.
#[must_use]
pub fn all(config: &Config) -> Vec<String> {
    let mut left = Vec::new();
    for stage in all_stages(config) {
        left.extend(end(&stage, config));
    }
    left
}

/// Shows what [`all`] would stop.
///
/// # Errors
/// The standard output cannot be written.
pub fn show(config: &Config) -> Result<Exit, Failure> {
    let mut text = String::new();
    for stage in all_stages(config) {
        for name in &stage.names {
            let pids = match found(name, stage.by_lock, config) {
                Ok(found) => found.iter().map(|process| process.identity.pid.to_string()).collect(),
                Err(error) => vec![error.to_string()],
            };
            let pids = if pids.is_empty() { "does not run".to_owned() } else { pids.join(" ") };
            // A String takes everything.
            let _ = writeln!(text, "{}: {name}: {pids}", stage.title);
        }
    }
    app::print(&text)?;
    Ok(Exit::Well)
}

fn all_stages(config: &Config) -> Vec<Stage> {
    // Also those that are not looked after, or not installed any more: whoever holds a lock is stopped.
    let mut daemons = daemon::watched(config);
    daemons.extend(suite::DAEMONS.iter().map(|name| (*name).to_owned()));
    daemons.sort();
    daemons.dedup();
    stages(&daemons, &server_names(config), config.drain)
}

/// The servers of `servers.alive`, as far as it can be read.
fn server_names(config: &Config) -> Vec<String> {
    let path = config.paths.config.join("servers.alive");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            log::error!("reading {}: {error}; no server is stopped", path.display());
            return Vec::new();
        }
    };
    let (servers, mistakes) = servers::parse(&text);
    if !mistakes.is_empty() {
        log::warn!(
            "{} has mistakes: only the servers of its right lines are stopped",
            path.display()
        );
    }
    servers.into_iter().map(|server| server.name.to_string()).collect()
}

fn found(name: &str, by_lock: bool, config: &Config) -> io::Result<Vec<Process>> {
    if by_lock && let Some(process) = lock::holding_process(&config.paths.keepalives, name)? {
        return Ok(vec![process]);
    }
    if by_lock && suite::DAEMONS.contains(&name) {
        return Ok(Vec::new());
    }
    let mut all = processes::ours(|glimpse| !is_own(glimpse.pid))?;
    all.retain(Process::shares_our_network);
    let pids: Vec<i32> = family(name, &all).iter().map(|process| process.identity.pid).collect();
    Ok(all.into_iter().filter(|process| pids.contains(&process.identity.pid)).collect())
}

fn is_own(pid: i32) -> bool {
    i64::from(pid) == i64::from(std::process::id())
}

/// Ends a stage; gives the names of those that are still there.
fn end(stage: &Stage, config: &Config) -> Vec<String> {
    let mut left = Vec::new();
    let mut doomed: Vec<(&String, Process)> = Vec::new();
    for name in &stage.names {
        match found(name, stage.by_lock, config) {
            Ok(found) => doomed.extend(found.into_iter().map(|process| (name, process))),
            Err(error) => {
                log::error!("{name}: cannot be looked at, and is not stopped: {error}");
                left.push(name.clone());
            }
        }
    }
    let processes: Vec<&Process> = doomed.iter().map(|(_, process)| process).collect();
    let outcomes = end_all(&processes, stage.grace, Scope::WithItsGroup);
    for ((name, process), outcome) in doomed.iter().zip(outcomes) {
        if !tell(name, process.identity.pid, &outcome, stage.grace) {
            left.push((*name).clone());
        }
    }
    left
}

/// Tells how one ended; says whether it did.
fn tell(name: &str, pid: i32, outcome: &Outcome, grace: Duration) -> bool {
    match outcome {
        Outcome::Gone | Outcome::Terminated => log::info!("{name} ({pid}) has ended"),
        Outcome::Killed => {
            let seconds = grace.as_secs();
            log::warn!("{name} ({pid}) did not end within {seconds}s and was killed");
        }
        Outcome::Stuck(place) => {
            log::error!("{name} ({pid}) cannot be ended: the kernel holds it ({place})");
        }
        Outcome::Refused(why) => log::error!("{name} ({pid}) may not be ended: {why}"),
    }
    !matches!(outcome, Outcome::Stuck(_) | Outcome::Refused(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_makes_work_is_stopped_before_who_does_it() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let daemons = names(&["bw-synchd", "load-datad", "load-scheduled", "own-daemon", "pingd"]);
        let stages = stages(&daemons, &names(&["iperf"]), Duration::from_secs(20));
        let order: Vec<_> = stages.iter().map(|stage| stage.names.join(" ")).collect();
        assert_eq!(order, ["load-scheduled", "bw-synchd own-daemon pingd", "load-datad", "iperf"]);
        assert_eq!(stages[1].grace, Duration::from_secs(30));
    }
}
