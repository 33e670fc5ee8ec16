//! The daemons: whether they run, come round, and stay up.

use std::{io, path::PathBuf, time::Duration};

use serde_json::Value;
use station::{
    text::human_duration,
    words::{config::Config, suite},
    world::{clock::Moment, keepalive, lock, processes},
};

use super::finding::Finding;

/// A daemon as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Daemon {
    name: String,
    pulse: Pulse,
    /// What keep-em-alive told of it last, in its word; empty when it was well.
    told: String,
    /// How often in a row it did not stay up.
    in_a_row: u64,
}

/// How a daemon stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pulse {
    Down,
    /// It runs and came round so long ago; if it never did, it was started so long ago.
    Up(Duration),
    /// It cannot be looked at; why.
    Unknown(String),
}

/// What all daemons have in common.
#[derive(Debug)]
pub(super) struct Circumstances {
    pub(super) stale_after: Duration,
    /// An operator keeps the watchdogs off.
    pub(super) held: bool,
    /// keep-em-alive ran a short while ago.
    pub(super) watched: bool,
    pub(super) log: PathBuf,
}

/// The daemons that should run: those that the configuration names, or those that are installed.
fn names(config: &Config) -> Vec<String> {
    if let Some(daemons) = &config.watch.daemons {
        return daemons.iter().map(ToString::to_string).collect();
    }
    let installed = suite::DAEMONS.iter().filter(|name| config.paths.bin.join(name).exists());
    installed.map(|name| (*name).to_owned()).collect()
}

/// Looks at all daemons; `state` is what keep-em-alive keeps.
pub(super) fn look(config: &Config, state: &Value, now: &Moment) -> Vec<Daemon> {
    let daemon = |name: String| {
        let pulse = pulse(&name, config, now);
        let kept = &state["daemons"][&name];
        let told = kept["told"].as_str().unwrap_or_default().to_owned();
        let in_a_row = kept["restarts"]["in_a_row"].as_u64().unwrap_or(0);
        let pulse = pulse.unwrap_or_else(|error| Pulse::Unknown(error.to_string()));
        Daemon { name, pulse, told, in_a_row }
    };
    names(config).into_iter().map(daemon).collect()
}

fn pulse(name: &str, config: &Config, now: &Moment) -> io::Result<Pulse> {
    let folder = &config.paths.keepalives;
    if !suite::DAEMONS.contains(&name) {
        // What else it is said to do, keep-em-alive judges from one run to the next.
        let found = processes::ours(|glimpse| glimpse.is_called(name))?;
        return Ok(if found.is_empty() { Pulse::Down } else { Pulse::Up(Duration::ZERO) });
    }
    let Some(pid) = lock::holder(folder, name)? else { return Ok(Pulse::Down) };
    let alive = keepalive::look(folder, name)?;
    let beat = alive.and_then(|alive| alive.age(now, &keepalive::boot_id()));
    let started = || {
        let process = processes::of(pid)?;
        let age = process.map(|process| now.boot.saturating_sub(process.started()));
        age.ok_or_else(|| io::Error::other(format!("its process {pid} is not to be seen")))
    };
    Ok(Pulse::Up(beat.map_or_else(started, Ok)?))
}

/// What is wrong with the daemons.
pub(super) fn judge(daemons: &[Daemon], at: &Circumstances) -> Vec<Finding> {
    if daemons.is_empty() {
        let todo = "install the programs of the suite into the station's bin";
        return vec![Finding::warning("daemons", "there is no daemon: nothing is measured", todo)];
    }
    daemons.iter().filter_map(|daemon| daemon.judge(at)).collect()
}

impl Daemon {
    fn judge(&self, at: &Circumstances) -> Option<Finding> {
        let (name, key) = (&self.name, format!("daemon {}", self.name));
        let log = format!("its log {}/{name}.log says more", at.log.display());
        match &self.pulse {
            Pulse::Unknown(why) => {
                let todo = "call `iepm doctor` as the station's user";
                Some(Finding::warning(key, format!("{name} cannot be looked at: {why}"), todo))
            }
            Pulse::Down if at.held => {
                let todo = "`iepm release` has it started";
                Some(Finding::note(key, format!("{name} does not run; the station is held"), todo))
            }
            Pulse::Down if !self.told.is_empty() => Some(Finding::critical(
                key,
                format!("{name} does not run: {}", self.trouble()),
                log,
            )),
            Pulse::Down => Some(self.down(key, at, &log)),
            Pulse::Up(age) if *age > at.stale_after => Some(self.hangs(key, *age, at)),
            Pulse::Up(_) if !self.told.is_empty() => {
                let what = format!("{name} runs again, not for long yet: {}", self.trouble());
                Some(Finding::warning(key, what, log))
            }
            Pulse::Up(_) => None,
        }
    }

    fn down(&self, key: String, at: &Circumstances, log: &str) -> Finding {
        let name = &self.name;
        if at.watched {
            let todo = format!("keep-em-alive starts it within a minute; {log}");
            Finding::warning(key, format!("{name} does not run"), todo)
        } else {
            let what = format!("{name} does not run, and nothing starts it");
            Finding::critical(key, what, format!("`keep-em-alive` starts it; {log}"))
        }
    }

    fn hangs(&self, key: String, age: Duration, at: &Circumstances) -> Finding {
        let what = format!("{} runs and has not come round for {}", self.name, human_duration(age));
        if self.told == "stuck" {
            let todo = "the kernel holds it, mostly for a disk that does not answer: `dmesg`";
            Finding::critical(key, format!("{what}; it cannot be ended"), todo)
        } else if at.watched && !at.held {
            let todo = "keep-em-alive ends it and starts it again within two minutes";
            Finding::warning(key, what, todo)
        } else {
            let todo = "call `keep-em-alive` twice, a minute apart: it ends it and starts it again";
            Finding::critical(key, what, todo)
        }
    }

    /// The watchdog's word, in words.
    fn trouble(&self) -> String {
        match self.told.as_str() {
            "loops" | "crashing" => format!("it did not stay up, {} times in a row", self.in_a_row),
            "wrong" | "misconfigured" => {
                "the configuration or the schema is wrong for it".to_owned()
            }
            "failed" => "it could not be started".to_owned(),
            "ended" => "it ended as soon as it was started".to_owned(),
            "stuck" => "it hung and could not be ended".to_owned(),
            "unseen" => "it could not be looked at".to_owned(),
            other => format!("keep-em-alive says \"{other}\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity::{self, Critical, Note, Warning};
    use super::*;

    fn judged(pulse: Pulse, told: &str, held: bool, watched: bool) -> Option<(Severity, String)> {
        let daemon = Daemon { name: "pingd".to_owned(), pulse, told: told.to_owned(), in_a_row: 4 };
        let stale_after = Duration::from_secs(120);
        let at = Circumstances { stale_after, held, watched, log: "/log".into() };
        let finding = judge(&[daemon], &at).pop()?;
        assert_eq!(finding.key, "daemon pingd");
        Some((finding.severity, finding.what))
    }

    fn up(seconds: u64) -> Pulse {
        Pulse::Up(Duration::from_secs(seconds))
    }

    #[test]
    fn each_state_of_a_daemon_has_its_finding() {
        let told = |severity, what: &str| Some((severity, what.to_owned()));
        let nothing_starts_it = "pingd does not run, and nothing starts it";
        let loops = "pingd does not run: it did not stay up, 4 times in a row";
        let again = "pingd runs again, not for long yet: it did not stay up, 4 times in a row";
        let stale = "pingd runs and has not come round for 2m1s";
        for (pulse, word, held, watched, expected) in [
            (up(5), "", false, true, None),
            (up(120), "", false, true, None),
            (up(5), "", false, false, None),
            (Pulse::Down, "", false, true, told(Warning, "pingd does not run")),
            (Pulse::Down, "", false, false, told(Critical, nothing_starts_it)),
            (Pulse::Down, "", true, false, told(Note, "pingd does not run; the station is held")),
            (Pulse::Down, "loops", false, true, told(Critical, loops)),
            (up(5), "loops", false, true, told(Warning, again)),
            (up(121), "", false, true, told(Warning, stale)),
            (up(121), "", false, false, told(Critical, stale)),
            (up(121), "", true, true, told(Critical, stale)),
        ] {
            assert_eq!(judged(pulse.clone(), word, held, watched), expected, "{pulse:?} {word}");
        }
        let (severity, what) = judged(up(500), "stuck", false, true).expect("a finding");
        assert!(severity == Critical && what.ends_with("it cannot be ended"), "{what}");
        let (_, what) = judged(Pulse::Unknown("no rights".into()), "", false, true).expect("one");
        assert_eq!(what, "pingd cannot be looked at: no rights");
        let (_, what) = judged(Pulse::Down, "of a later version", false, true).expect("one");
        assert!(what.contains("says \"of a later version\""), "{what}");
    }

    #[test]
    fn a_station_without_daemons_does_not_measure() {
        let at = Circumstances {
            stale_after: Duration::ZERO,
            held: false,
            watched: true,
            log: PathBuf::new(),
        };
        assert_eq!(judge(&[], &at)[0].key, "daemons");
    }
}
