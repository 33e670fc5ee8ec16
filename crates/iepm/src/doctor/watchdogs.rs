//! Who watches: the programs that cron calls, cron itself, and what they say of servers.

use std::{fs, io, path::Path, time::Duration};

use serde_json::Value;
use station::{
    text::{Timestamp, human_duration},
    words::config::Config,
    world::{
        clock::Moment,
        lock, process,
        processes::{self, Process},
    },
};

use super::finding::Finding;
use crate::crontab::{self, Installed, Table};

/// The watchdogs, and how long after the last one their next run is overdue.
const WATCHDOGS: [(&str, Duration); 3] =
    [(KEEP_EM_ALIVE, minutes(5)), ("keep-servers-alive", minutes(15)), ("bw-cleanup", minutes(5))];
const KEEP_EM_ALIVE: &str = "keep-em-alive";
/// Programs that end by themselves, and soon.
const SHORT: [&str; 5] =
    [KEEP_EM_ALIVE, "keep-servers-alive", "bw-cleanup", "all-servers", "doctor"];
/// What is short takes no longer, beyond what daemons may take to end.
const LONG: Duration = minutes(10);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// What was seen of them.
#[derive(Debug)]
pub(super) struct Watchdogs {
    /// How long ago each ran last; nothing when it never did.
    ages: Vec<(&'static str, Option<Duration>)>,
    /// Those that are at work, since when, with their pids.
    busy: Vec<(&'static str, i32, Duration)>,
    cron: Cron,
    /// What keep-servers-alive keeps.
    servers: Value,
}

/// What was seen of cron.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cron {
    /// Whether there is a cron; nothing when that is not to be seen.
    runs: Option<bool>,
    /// The station's block in the crontab of its user; nothing when we may not look.
    block: Option<Installed>,
}

/// A state file, as JSON; null when it is not there, or is none.
pub(super) fn state(folder: &Path, program: &str) -> Value {
    let content = fs::read(folder.join(format!("{program}.state"))).unwrap_or_default();
    serde_json::from_slice(&content).unwrap_or_default()
}

/// Looks at them.
pub(super) fn look(config: &Config, owner: u32, now: &Moment) -> Watchdogs {
    let folder = &config.paths.keepalives;
    // Each run writes its lock, and its state only when that changes. What was not yet called since the
    // machine was started is not late for that.
    let age = |program: &str| {
        let files = ["state", "lock"].map(|kind| folder.join(format!("{program}.{kind}")));
        let ages = files.iter().filter_map(|file| age(file, now.wall));
        ages.min().map(|age| age.min(now.boot))
    };
    Watchdogs {
        ages: WATCHDOGS.iter().map(|(name, _)| (*name, age(name))).collect(),
        busy: SHORT.iter().filter_map(|name| busy(folder, name, now)).collect(),
        cron: Cron { runs: cron_runs(), block: block(config, owner) },
        servers: state(folder, "keep-servers-alive"),
    }
}

fn age(path: &Path, now: Timestamp) -> Option<Duration> {
    let modified = fs::metadata(path).and_then(|file| file.modified()).ok()?;
    Some(Timestamp::of(modified).until(now))
}

fn busy(folder: &Path, name: &'static str, now: &Moment) -> Option<(&'static str, i32, Duration)> {
    let pid = lock::holder(folder, name).ok()??;
    let process: Process = processes::of(pid).ok()??;
    Some((name, pid, now.boot.saturating_sub(process.started())))
}

fn cron_runs() -> Option<bool> {
    let there: io::Result<Option<bool>> = processes::is_there(&["cron", "crond", "fcron"]);
    there.ok().flatten()
}

/// The crontab that tells is that of the station's user.
fn block(config: &Config, owner: u32) -> Option<Installed> {
    if owner != process::user() {
        return None;
    }
    let Some(table) = Table::find(config) else { return Some(Installed::No) };
    Some(match table.read() {
        Ok(crontab) => crontab::installed(&crontab, config),
        Err(failure) => Installed::Unclear(failure.to_string()),
    })
}

impl Watchdogs {
    /// Whether keep-em-alive ran a short while ago, whoever called it.
    pub(super) fn watched(&self) -> bool {
        let (name, limit) = WATCHDOGS[0];
        self.ages.iter().any(|(who, age)| *who == name && age.is_some_and(|age| age <= limit))
    }

    /// What is wrong with them. While the station is held they come and go without a trace.
    pub(super) fn judge(&self, held: bool, drain: Duration) -> Vec<Finding> {
        let mut findings = self.busy(LONG + drain);
        if !held {
            findings.extend(self.overdue());
        }
        findings.extend(self.cron.judge(self.watched()));
        findings.extend(self.servers());
        findings
    }

    fn busy(&self, limit: Duration) -> Vec<Finding> {
        let long = self.busy.iter().filter(|(.., age)| *age > limit);
        let finding = |(name, pid, age): &(&str, i32, Duration)| {
            let what = format!(
                "{name} has been at work for {}, and is mostly quick",
                human_duration(*age)
            );
            let todo =
                format!("see what it waits for (`cat /proc/{pid}/wchan`); `kill {pid}` ends it");
            Finding::warning(format!("busy {name}"), what, todo)
        };
        long.map(finding).collect()
    }

    fn overdue(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for ((name, limit), (_, age)) in WATCHDOGS.iter().zip(&self.ages) {
            if let Some(age) = age.filter(|age| age > limit) {
                let what = format!(
                    "{name} has not run for {}: cron does not call it",
                    human_duration(age)
                );
                let todo = "see whether cron runs, and what it mails; `iepm crontab --install`";
                findings.push(Finding::warning(format!("overdue {name}"), what, todo));
            }
        }
        findings
    }

    fn servers(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(fault) = self.servers["list_fault"].as_str() {
            let what = format!("servers.alive: {}", fault.lines().next().unwrap_or_default());
            findings.push(Finding::warning("servers", what, "`iepm check` shows every mistake"));
        }
        let servers = self.servers["servers"].as_object().into_iter().flatten();
        findings
            .extend(servers.filter_map(|(name, kept)| Some(server(name, kept["fault"].as_str()?))));
        findings
    }
}

/// A server that was never installed keeps nobody from measuring here: that is good to know, and was told
/// by keep-servers-alive. One that is there and does not run is another thing.
fn server(name: &str, fault: &str) -> Finding {
    let key = format!("server {name}");
    let missing = fault.rsplit_once("; ").filter(|_| fault.starts_with("is not installed"));
    if let Some((what, todo)) = missing {
        return Finding::note(key, format!("{name} {what}"), todo);
    }
    let todo = "`keep-servers-alive --json` shows how it stands; the logs say more";
    Finding::warning(key, format!("{name}: {fault}"), todo)
}

impl Cron {
    /// Who is watched by somebody else, a timer of systemd's for instance, needs no cron.
    fn judge(&self, watched: bool) -> Option<Finding> {
        let (install, key) = ("`iepm crontab --install`, or the timers in scripts/systemd", "cron");
        match (&self.block, self.runs) {
            (Some(Installed::Unclear(why)), _) => {
                let what = format!("the station's lines in the crontab are not clear: {why}");
                Some(Finding::warning(key, what, "put it right by `crontab -e`"))
            }
            (Some(Installed::Other), _) => {
                let what = "the station's lines in the crontab are of another version of the suite";
                Some(Finding::note(key, what, "`iepm crontab --install`"))
            }
            (Some(Installed::Yes), Some(false)) if !watched => {
                let what = "cron does not run: nothing looks after the station";
                Some(Finding::warning(key, what, "as root: `systemctl start cron`"))
            }
            (Some(Installed::No), _) if !watched => {
                let what = "nothing looks after the station: the crontab has no lines of it";
                Some(Finding::note(key, what, install))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::Severity::{self, Note, Warning};
    use super::*;

    fn cron(block: impl Into<Option<Installed>>, runs: impl Into<Option<bool>>) -> Cron {
        Cron { runs: runs.into(), block: block.into() }
    }

    fn fine() -> Watchdogs {
        let ages = WATCHDOGS.iter().map(|(name, _)| (*name, Some(minutes(1)))).collect();
        let cron = cron(Installed::Yes, true);
        Watchdogs { ages, busy: vec![], cron, servers: Value::Null }
    }

    fn keys(watchdogs: &Watchdogs, held: bool) -> Vec<(Severity, String)> {
        let findings = watchdogs.judge(held, minutes(1));
        findings.into_iter().map(|finding| (finding.severity, finding.key)).collect()
    }

    #[test]
    fn who_comes_in_time_is_not_missed() {
        assert_eq!(keys(&fine(), false), []);
        assert!(fine().watched());
        let never = Watchdogs { ages: vec![(KEEP_EM_ALIVE, None)], ..fine() };
        assert!(keys(&never, false).is_empty() && !never.watched());
    }

    #[test]
    fn who_does_not_come_is_missed_unless_the_station_is_held() {
        let ages =
            vec![(KEEP_EM_ALIVE, Some(minutes(6))), ("keep-servers-alive", Some(minutes(6)))];
        let late = Watchdogs { ages, ..fine() };
        assert_eq!(keys(&late, false), [(Warning, "overdue keep-em-alive".to_owned())]);
        assert_eq!(keys(&late, true), []);
        assert!(!late.watched());
    }

    #[test]
    fn who_takes_too_long_is_told() {
        let busy = |age| Watchdogs { busy: vec![("bw-cleanup", 7, minutes(age))], ..fine() };
        assert_eq!(keys(&busy(11), false), []);
        assert_eq!(keys(&busy(12), false), [(Warning, "busy bw-cleanup".to_owned())]);
    }

    #[test]
    fn each_state_of_cron_has_its_finding() {
        let unclear = || Installed::Unclear("line 3".to_owned());
        for (cron, watched, expected) in [
            (cron(Installed::Yes, true), false, None),
            (cron(Installed::Yes, false), false, Some(Warning)),
            (cron(Installed::Yes, None), false, None),
            (cron(Installed::Yes, false), true, None),
            (cron(Installed::No, true), false, Some(Note)),
            (cron(Installed::No, true), true, None),
            (cron(Installed::Other, true), true, Some(Note)),
            (cron(unclear(), true), true, Some(Warning)),
            (cron(None, false), false, None),
        ] {
            let severity = cron.judge(watched).map(|finding| finding.severity);
            assert_eq!(severity, expected, "{cron:?} {watched}");
        }
    }

    #[test]
    fn what_is_told_of_servers_is_passed_on_whatever_else_the_file_holds() {
        let servers = json!({
            "list_fault": "wrong\nline 2", "more": [1],
            "servers": {
                "owampd": {"fault": "is not installed: no place; install it"},
                "pathload_snd": {"fault": "does not stay up"}, "thrulayd": {"fault": null}, "odd": 3,
            },
        });
        let findings = Watchdogs { servers, ..fine() }.judge(false, minutes(1));
        let told: Vec<_> = findings.iter().map(|it| (it.severity, it.what.as_str())).collect();
        let expected = [
            (Warning, "servers.alive: wrong"),
            (Note, "owampd is not installed: no place"),
            (Warning, "pathload_snd: does not stay up"),
        ];
        assert_eq!(told, expected);
        assert_eq!(findings[1].todo, "install it");
    }
}
