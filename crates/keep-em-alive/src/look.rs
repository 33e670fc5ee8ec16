//! What is to be seen of a daemon: its lock, its process, its keep-alive file.

use std::{collections::BTreeMap, io};

use station::{
    words::{config::Config, suite},
    world::{
        clock::Moment,
        keepalive::{self, Alive},
        lock,
        processes::{self, Glimpse, Process},
    },
};

use crate::judge::{Pulse, Seen};

/// A daemon as it was found.
#[derive(Debug)]
pub struct Look {
    /// What is judged.
    pub seen: Seen,
    /// Its process, if it runs.
    pub process: Option<Process>,
    /// What it said that it was about, if it said so in this boot.
    pub doing: String,
}

/// The processes of foreign daemons, by their names: found in one look at all processes.
pub type Foreign = BTreeMap<String, Process>;

/// Finds the daemons that hold no lock of the suite's kind by their names. Where there are none, nothing
/// is looked through.
///
/// # Errors
/// The processes of the machine cannot be looked at.
pub fn foreign(names: &[String], config: &Config) -> io::Result<Foreign> {
    let is_foreign = |name: &&String| {
        let lock = config.paths.keepalives.join(format!("{name}.lock"));
        !suite::DAEMONS.contains(&name.as_str()) && !lock.exists()
    };
    let names: Vec<&String> = names.iter().filter(is_foreign).collect();
    if names.is_empty() {
        return Ok(Foreign::new());
    }
    let called = |glimpse: &Glimpse<'_>| names.iter().any(|name| glimpse.is_called(name));
    let mut found = Foreign::new();
    for process in processes::ours(called)? {
        let name = names.iter().find(|name| process.glimpse().is_called(name));
        if let Some(name) = name {
            found.entry((*name).clone()).or_insert(process);
        }
    }
    Ok(found)
}

/// Looks at a daemon.
///
/// # Errors
/// Its lock or its process cannot be looked at: nothing is known of it.
pub fn look(
    name: &str,
    config: &Config,
    foreign: &mut Foreign,
    (now, boot_id): (&Moment, &str),
) -> io::Result<Look> {
    let folder = &config.paths.keepalives;
    let process = match foreign.remove(name) {
        Some(process) => Some(process),
        None => lock::holding_process(folder, name)?,
    };
    let (pulse, alive) = pulse(name, keepalive::read(folder, name), now, boot_id);
    let running = process.as_ref().map(|process| process.identity);
    let doing = alive.map(|alive| alive.doing).unwrap_or_default();
    Ok(Look { seen: Seen { running, pulse }, process, doing })
}

fn pulse(
    name: &str,
    file: io::Result<Option<(Vec<u8>, station::text::Timestamp)>>,
    now: &Moment,
    boot_id: &str,
) -> (Pulse, Option<Alive>) {
    let (content, modified) = match file {
        Ok(Some(file)) => file,
        Ok(None) => return (Pulse::Silent("there is none"), None),
        Err(_) => return (Pulse::Silent("it cannot be read, or is a link"), None),
    };
    match serde_json::from_slice::<Alive>(&content) {
        Ok(alive) if alive.boot_id != boot_id => (Pulse::Silent("it is of an earlier boot"), None),
        Ok(alive) if alive.age(now, boot_id).is_none() => {
            (Pulse::Silent("it is from the future"), None)
        }
        Ok(alive) => (Pulse::Beat(alive.monotonic_us), Some(alive)),
        Err(_) if suite::DAEMONS.contains(&name) => (Pulse::Silent("it is not readable"), None),
        // Whatever a foreign daemon writes there: its time changes.
        Err(_) => (Pulse::Touched(modified), None),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use station::{
        text::Timestamp,
        world::{
            clock::{Clock, SystemClock},
            keepalive::{KeepAlive, boot_id},
        },
    };

    use super::*;

    struct Desk {
        folder: tempfile::TempDir,
        config: Config,
    }

    impl Desk {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let config = Config::default_at(folder.path());
            fs::create_dir(&config.paths.keepalives).expect("made");
            Self { folder, config }
        }

        fn look(&self, name: &str) -> Look {
            let names = [name.to_owned()];
            let mut foreign = foreign(&names, &self.config).expect("a look");
            let now = (&SystemClock.moment(), &*boot_id());
            look(name, &self.config, &mut foreign, now).expect("a look")
        }

        fn pulse(&self, name: &str, content: &str) -> Pulse {
            let path = self.config.paths.keepalives.join(format!("{name}.alive"));
            fs::write(path, content).expect("room");
            self.look(name).seen.pulse
        }
    }

    #[test]
    fn who_holds_the_lock_runs_and_its_beat_is_read() {
        let desk = Desk::new();
        let folder = &desk.config.paths.keepalives;
        assert_eq!(desk.look("pingd").seen.running, None);
        let _lock = lock::try_lock(folder, "pingd").expect("a try").expect("free");
        let mut keepalive = KeepAlive::of("pingd", folder, &SystemClock);
        keepalive.beat(&SystemClock.moment(), "3 running".to_owned());
        let look = desk.look("pingd");
        let pid = look.seen.running.map(|identity| i64::from(identity.pid));
        assert_eq!(pid, Some(i64::from(std::process::id())));
        assert!(matches!(look.seen.pulse, Pulse::Beat(_)), "{:?}", look.seen.pulse);
        assert_eq!(look.doing, "3 running");
    }

    #[test]
    fn a_file_that_says_nothing_is_told_apart_by_why() {
        let desk = Desk::new();
        assert_eq!(desk.look("pingd").seen.pulse, Pulse::Silent("there is none"));
        assert_eq!(desk.pulse("pingd", ""), Pulse::Silent("it is not readable"));
        assert_eq!(desk.pulse("pingd", "{\"pid\": 1"), Pulse::Silent("it is not readable"));
        let alive = |boot: &str, us: u64| {
            format!(
                r#"{{"pid":1,"started_us":0,"boot_id":"{boot}","monotonic_us":{us},"cycles":1,"doing":""}}"#
            )
        };
        let old = desk.pulse("pingd", &alive("another", 5));
        assert_eq!(old, Pulse::Silent("it is of an earlier boot"));
        let future = desk.pulse("pingd", &alive(&boot_id(), u64::MAX));
        assert_eq!(future, Pulse::Silent("it is from the future"));
        let link = desk.config.paths.keepalives.join("traced.alive");
        std::os::unix::fs::symlink("/etc/passwd", link).expect("made");
        let link = desk.look("traced").seen.pulse;
        assert_eq!(link, Pulse::Silent("it cannot be read, or is a link"));
    }

    #[test]
    fn a_foreign_daemon_merely_touches_its_file() {
        let desk = Desk::new();
        assert!(
            matches!(desk.pulse("own-daemon", ""), Pulse::Touched(Timestamp(time)) if time > 0)
        );
        assert!(desk.folder.path().exists());
    }

    #[test]
    fn a_foreign_daemon_is_known_by_its_name() {
        let desk = Desk::new();
        let own = std::env::current_exe().expect("a test knows itself");
        let name = own.file_name().expect("a name").to_string_lossy().into_owned();
        // Other tests of this program may run beside this one.
        assert!(desk.look(&name).seen.running.is_some());
        assert_eq!(desk.look("nobody-is-called-so").seen.running, None);
    }
}
