//! `iepm doctor`: what is wrong with this station, the worst first, and what to do about it.
//!
//! Each part looks (`look`), and says what is wrong with what it saw (`judge`): the second is a plain
//! function, tried without a machine. What cannot be looked at is a finding like any other, so that one
//! fault does not hide the rest.

mod alert;
mod daemons;
mod disks;
mod files;
mod finding;
mod network;
mod runs;
mod send;
mod tools;
mod watchdogs;

use std::{collections::BTreeMap, fs, io, os::unix::fs::MetadataExt};

use serde_json::json;
use station::{
    app::{self, Common, Exit, Failure},
    report::Reporter,
    text::Timestamp,
    words::{config::Config, toolspec::ToolSpec},
    world::{
        clock::{self, Clock, Moment, SystemClock},
        files::{Durable, replace},
        hold::{self, Hold},
        lock,
        store::Kind,
    },
};

use self::{alert::State, daemons::Circumstances, network::Others};

pub(crate) use finding::{Finding, Severity, count, is_well};

use crate::check;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON: each finding with its severity, what it is and what to do
    #[arg(long)]
    json: bool,
    /// Tell what is new, and what is over, by the command of the configuration; for cron
    #[arg(long, conflicts_with = "json")]
    alert: bool,
    /// All stations of the database: what each found itself last, and what is only seen from outside
    #[arg(long, conflicts_with = "alert")]
    all: bool,
}

/// All that was found.
struct Diagnosis {
    /// Of this station.
    findings: Vec<Finding>,
    held: bool,
    /// How many of its specifications are of each health.
    healths: BTreeMap<&'static str, usize>,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    if args.all {
        return network::all(args.json, common);
    }
    let (config, broken) = match common.load() {
        Ok(config) => (config, None),
        // The last good one tells where everything is; without one there is nothing to look at.
        Err(_) => common.load_or_last_good()?,
    };
    let now = SystemClock.moment();
    let Diagnosis { mut findings, held, healths } = diagnose(&config, broken.as_ref(), &now);
    if args.alert {
        Common::is_ours(&config)?;
        findings.extend(tell_others(&config, &now, &findings, &healths));
    }
    // A database that is away is told of as this station's.
    let Others { findings: of_others, quiet } = network::look(&config).unwrap_or_default();
    findings.extend(of_others);
    finding::sort(&mut findings);
    if args.alert {
        tell_changes(&config, &findings, &quiet, held)?;
    } else if args.json {
        app::print(&as_json(&config, &findings, now.wall))?;
    } else {
        app::print(&finding::text(&findings))?;
    }
    Ok(if finding::is_well(&findings) { Exit::Well } else { Exit::NeedsPerson })
}

fn diagnose(config: &Config, broken: Option<&Failure>, now: &Moment) -> Diagnosis {
    let owner = fs::metadata(&config.paths.home).map_or(u32::MAX, |file| file.uid());
    let found = hold::active(&config.paths.keepalives, now);
    let held = !matches!(found, Ok(None));
    let files = files::look(config, owner, now.wall);
    let (runs, specs, healths) = runs_and_specs(config, files.wait(), now.wall);
    let mut findings = [
        configuration(config, broken),
        runs,
        programs(config, owner, held, now),
        tools::judge(&tools::look(&specs, config)),
        disks::judge(&disks::look(config)),
        files.judge(&config.paths),
    ]
    .concat();
    findings.extend(judge_hold(found));
    findings.extend(judge_clock(clock::is_synchronised(), &specs));
    findings.extend(send::fault(config).map(|why| {
        let todo = "put [alert] right in iepm.toml";
        Finding::warning("alert", format!("alerts cannot be sent: {why}"), todo)
    }));
    finding::sort(&mut findings);
    Diagnosis { findings, held, healths }
}

/// Tells the other stations what was found; a database that is away is told of as this station's.
fn tell_others(
    config: &Config,
    now: &Moment,
    findings: &[Finding],
    healths: &BTreeMap<&'static str, usize>,
) -> Option<Finding> {
    let (findings, healths) = network::told(findings, healths);
    let mut store = crate::store(config);
    let told = Reporter::report_findings(&mut store, config, now, (&findings, &healths));
    let error = told.err().filter(|error| !matches!(error.kind(), Kind::Away | Kind::Busy))?;
    let what = format!("what is found here cannot be told to other stations: {error}");
    let todo = "on a server, its account must be allowed to: `iepm init` tells the rights";
    Some(Finding::warning("report", what, todo))
}

/// What the database says; the specifications that it has, if it says anything.
fn runs_and_specs(
    config: &Config,
    waiting: bool,
    now: Timestamp,
) -> (Vec<Finding>, Vec<ToolSpec>, BTreeMap<&'static str, usize>) {
    match runs::look(config, now) {
        Ok(runs) => (runs::judge(&runs, waiting), runs.specs.clone(), runs.healths()),
        Err(error) => (vec![runs::judge_database(&error)], Vec::new(), BTreeMap::new()),
    }
}

/// The daemons, and who looks after them.
fn programs(config: &Config, owner: u32, held: bool, now: &Moment) -> Vec<Finding> {
    let watchdogs = watchdogs::look(config, owner, now);
    let kept = watchdogs::state(&config.paths.keepalives, "keep-em-alive");
    let at = Circumstances {
        stale_after: config.watch.stale_after,
        held,
        watched: watchdogs.watched(),
        log: config.paths.log.clone(),
    };
    let mut findings = daemons::judge(&daemons::look(config, &kept, now), &at);
    findings.extend(watchdogs.judge(held, config.drain));
    findings
}

/// What is wrong with the files of the configuration. With `iepm.toml` broken nothing is said of the
/// others, which may lie elsewhere by now.
fn configuration(config: &Config, broken: Option<&Failure>) -> Vec<Finding> {
    if let Some(failure) = broken {
        let told = failure.to_string();
        let first: Vec<&str> = told.lines().take(2).collect();
        let todo = "`iepm check` shows every mistake; daemons go on, and none can be started until it is right";
        return vec![Finding::critical("iepm.toml", first.join(": "), todo)];
    }
    let checked = check::look(config);
    let mut findings = Vec::new();
    if checked.mistakes > 0 {
        let mistakes = finding::count(checked.mistakes, "mistake");
        let what = format!("{mistakes} in the station's files: {}", checked.first);
        let todo = "`iepm check` shows every mistake; what was applied before goes on";
        findings.push(Finding::warning("check", what, todo));
    } else if checked.warnings > 0 {
        let warnings = finding::count(checked.warnings, "warning");
        let what = format!("{warnings} of `iepm check`: {}", checked.first);
        findings.push(Finding::note("check", what, "`iepm check` shows all"));
    }
    findings
}

fn judge_hold(found: io::Result<Option<Hold>>) -> Option<Finding> {
    match found {
        Ok(None) => None,
        Ok(Some(hold)) => {
            let what = format!("held by {} until {}: {}", hold.by, hold.until_us, hold.reason);
            Some(Finding::note("hold", what, "`iepm release` ends it"))
        }
        Err(error) => {
            let what = format!("the hold cannot be read, and is honoured: {error}");
            Some(Finding::warning("hold", what, "`iepm release` ends it"))
        }
    }
}

/// Tools that compare the clocks of two hosts.
const ONE_WAY: [&str; 1] = ["owping"];

fn judge_clock(synchronised: bool, specs: &[ToolSpec]) -> Option<Finding> {
    if synchronised {
        return None;
    }
    let todo = "install and start chrony, ntpsec or systemd-timesyncd";
    let one_way = specs.iter().any(|spec| ONE_WAY.contains(&spec.key.tool.as_str()));
    Some(if one_way {
        let what = "the clock is not synchronised: delays of one way are worth nothing";
        Finding::warning("clock", what, todo)
    } else {
        let what = "the clock is not synchronised: the times of readings may be wrong";
        Finding::note("clock", what, todo)
    })
}

fn as_json(config: &Config, findings: &[Finding], now: Timestamp) -> String {
    let well = finding::is_well(findings);
    let object = json!({
        "station": config.node.as_str(), "now_us": now, "well": well, "findings": findings,
    });
    format!("{object:#}\n")
}

/// Sends what has changed since the last run, and keeps what the next one has to know. What is `quiet` another
/// station tells, unless it was told here before: then its end is told here, too.
fn tell_changes(
    config: &Config,
    findings: &[Finding],
    quiet: &[String],
    held: bool,
) -> Result<(), Failure> {
    let folder = &config.paths.keepalives;
    let path = folder.join("doctor.state");
    let keeping = || Failure::new(Exit::TryLater, format!("keeping {}", path.display()));
    // Two at once would tell the same twice.
    let lock = lock::try_lock(folder, "doctor").map_err(|error| keeping().because(error))?;
    if lock.is_none() {
        log::info!("it runs already");
        return Ok(());
    }
    // A file that is none of ours is as good as none: everything is new.
    let content = fs::read(&path).unwrap_or_default();
    let before: State = serde_json::from_slice(&content).unwrap_or_default();
    let is_told = |it: &&Finding| !quiet.contains(&it.key) || before.has_told(&it.key);
    let findings: Vec<Finding> = findings.iter().filter(is_told).cloned().collect();
    let (mut next, alert) = before.compare(&findings, held);
    if !alert.is_empty() {
        let subject = alert.subject(config.node.as_str());
        if let Err(why) = send::send(config, &subject, &alert.text()) {
            if before.failing != why {
                log::error!("sending an alert, which is tried again: {why}: {subject}");
            }
            next = before.unsent(&next, &why);
        }
    }
    let content = serde_json::to_vec(&next).map_err(|error| keeping().because(error))?;
    replace(&path, &content, Durable::WithinThisBoot).map_err(|error| keeping().because(error))
}

#[cfg(test)]
mod tests {
    use super::{finding::Severity, *};
    use crate::testing;

    #[test]
    fn the_clock_matters_most_to_tools_that_compare_two() {
        let specs = |tool: &str| -> Vec<ToolSpec> {
            let rows = testing::specs(&format!("s,d,{tool},background,15,600,,\n"));
            rows.into_iter().map(|placed| placed.spec).collect()
        };
        let severity = |synchronised, tool| {
            judge_clock(synchronised, &specs(tool)).map(|finding| finding.severity)
        };
        assert_eq!(severity(true, "owping"), None);
        assert_eq!(severity(false, "owping"), Some(Severity::Warning));
        assert_eq!(severity(false, "ping"), Some(Severity::Note));
    }

    #[test]
    fn a_hold_is_good_to_know_and_one_that_cannot_be_read_is_more() {
        assert_eq!(judge_hold(Ok(None)), None);
        let moment = SystemClock.moment();
        let hold = Hold::new("ann", "new disk", &moment, std::time::Duration::from_secs(60));
        let finding = judge_hold(Ok(Some(hold))).expect("a finding");
        assert_eq!(finding.severity, Severity::Note);
        assert!(
            finding.what.starts_with("held by ann until ") && finding.what.ends_with(": new disk")
        );
        let unread = judge_hold(Err(io::Error::other("odd"))).expect("a finding");
        assert_eq!(unread.severity, Severity::Warning);
    }
}
