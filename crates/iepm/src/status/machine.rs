//! The daemons and the files of the station.

use std::{fs, io, path::Path};

use serde::Serialize;
use station::{
    words::{config::Config, suite},
    world::{
        clock::Moment,
        keepalive::{self, Alive},
        lock,
        spool::Spool,
    },
};

/// What the machine says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Machine {
    pub(super) daemons: Vec<Daemon>,
    /// Result files that wait for the loader; null when they cannot be counted.
    pub(super) waiting_files: Option<usize>,
    /// Result files that were not understood.
    pub(super) rejected_files: Option<usize>,
}

/// One daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Daemon {
    pub(super) name: &'static str,
    /// Whether its lock is held; null when that cannot be told.
    pub(super) running: Option<bool>,
    /// How long ago its last useful cycle ended; null if that was in an earlier boot.
    pub(super) beat_seconds: Option<u64>,
    /// What it said then that it was about.
    pub(super) doing: String,
}

/// Looks at daemons and files.
pub(super) fn look(config: &Config, moment: &Moment) -> Machine {
    let folder = &config.paths.keepalives;
    let boot = keepalive::boot_id();
    let daemon = |name: &&'static str| {
        let alive = keepalive::look(folder, name).ok().flatten();
        daemon(name, lock::is_held(folder, name).ok(), alive.as_ref(), moment, &boot)
    };
    let data = &config.paths.data;
    Machine {
        daemons: suite::DAEMONS.iter().map(daemon).collect(),
        waiting_files: waiting(data).ok(),
        rejected_files: files(&data.join("rejected")).ok(),
    }
}

fn daemon(
    name: &'static str,
    running: Option<bool>,
    alive: Option<&Alive>,
    moment: &Moment,
    boot: &str,
) -> Daemon {
    Daemon {
        name,
        running,
        beat_seconds: alive.and_then(|alive| alive.age(moment, boot)).map(|age| age.as_secs()),
        doing: alive.map(|alive| alive.doing.clone()).unwrap_or_default(),
    }
}

fn waiting(data: &Path) -> io::Result<usize> {
    Ok(Spool::open(data)?.waiting(None)?.count())
}

fn files(folder: &Path) -> io::Result<usize> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        entries => Ok(entries?.count()),
    }
}

#[cfg(test)]
mod tests {
    use station::world::{
        clock::{Clock, SystemClock},
        keepalive::KeepAlive,
    };

    use super::*;

    #[test]
    fn a_held_lock_and_a_beat_are_seen() {
        let home = tempfile::tempdir().expect("a folder");
        let config = Config::default_at(home.path());
        let folder = &config.paths.keepalives;
        fs::create_dir_all(folder).expect("made");
        let _lock = lock::try_lock(folder, "pingd").expect("mine").expect("free");
        let mut keepalive = KeepAlive::of("pingd", folder, &SystemClock);
        keepalive.beat(&SystemClock.moment(), "2 running".to_owned());
        fs::create_dir_all(config.paths.data.join("rejected")).expect("made");
        fs::write(config.paths.data.join("5.ping"), "x").expect("written");
        fs::write(config.paths.data.join("rejected/4.ping"), "x").expect("written");

        let machine = look(&config, &SystemClock.moment());
        assert_eq!((machine.waiting_files, machine.rejected_files), (Some(1), Some(1)));
        let pingd = machine.daemons.iter().find(|daemon| daemon.name == "pingd").expect("pingd");
        assert_eq!((pingd.running, &*pingd.doing), (Some(true), "2 running"));
        assert!(pingd.beat_seconds.is_some_and(|seconds| seconds < 60));
        let traced = machine.daemons.iter().find(|daemon| daemon.name == "traced").expect("traced");
        assert_eq!((traced.running, traced.beat_seconds), (Some(false), None));
    }
}
