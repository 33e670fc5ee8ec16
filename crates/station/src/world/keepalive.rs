//! Keep-alive files: how a daemon says "I am still turning".
//!
//! Each daemon owns `<keepalives>/<daemon>.alive` and replaces it after each *useful* cycle. The time
//! of the file is for people; the monotonic time inside decides, since people and NTP step the wall
//! clock, and the boot id tells a file of this boot from one of an earlier.
//!
//! # What it promises
//!
//! A fresh file means that the loop came round and did its work, which is more than a pid can say. A
//! stale one means only that it did not come round: not why, and not that the process is gone.
//!
//! # What it leaves to others
//!
//! Only one daemon of a kind may run: that is the lock's business. How old is too old: the watchdog's.
//! The file is not fsynced: after a power loss the boot id makes it worthless anyway.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::{
    clock::{Clock, Moment},
    files::{self, Durable},
};
use crate::text::Timestamp;

/// The longest time between two cycles of an idle daemon: several go by before a file is stale.
pub const BEAT: Duration = Duration::from_secs(10);

/// More than any keep-alive file of ours holds, bytes.
const LONGEST: u64 = 64 * 1024;

/// What a keep-alive file holds, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// The daemon's process.
    pub pid: u32,
    /// When the daemon was started, microseconds since the epoch.
    pub started_us: Timestamp,
    /// The boot that `monotonic_us` belongs to.
    pub boot_id: String,
    /// `CLOCK_MONOTONIC` at the end of the cycle, microseconds.
    pub monotonic_us: u64,
    /// Cycles since the start.
    pub cycles: u64,
    /// What the daemon is about, for people: `12 running`, `database away since ...`.
    pub doing: String,
}

/// A daemon's own keep-alive file.
#[derive(Debug)]
pub struct KeepAlive {
    path: PathBuf,
    alive: Alive,
    /// The last failure to write, so that it is told once and not in every cycle.
    failing: Option<io::ErrorKind>,
}

fn path(folder: &Path, daemon: &str) -> PathBuf {
    folder.join(format!("{daemon}.alive"))
}

impl KeepAlive {
    /// The file of `daemon`, which has just been started.
    #[must_use]
    pub fn of(daemon: &str, folder: &Path, clock: &impl Clock) -> Self {
        let moment = clock.moment();
        let alive = Alive {
            pid: std::process::id(),
            started_us: moment.wall,
            boot_id: boot_id(),
            monotonic_us: 0,
            cycles: 0,
            doing: String::new(),
        };
        Self { path: path(folder, daemon), alive, failing: None }
    }

    /// Says that a useful cycle has ended at `moment`.
    ///
    /// A file that cannot be written is told once, and again when the reason is another.
    pub fn beat(&mut self, moment: &Moment, doing: String) {
        self.alive.cycles += 1;
        self.alive.monotonic_us = u64::try_from(moment.monotonic.0.as_micros()).unwrap_or(u64::MAX);
        self.alive.doing = doing;
        let content = serde_json::to_vec(&self.alive).unwrap_or_default();
        let written = files::replace(&self.path, &content, Durable::WithinThisBoot);
        let failing = written.as_ref().err().map(io::Error::kind);
        if let Err(error) = written
            && self.failing != failing
        {
            log::warn!("cannot write {}: {error}", self.path.display());
        }
        self.failing = failing;
    }
}

/// What a daemon's file says; `None` if there is none, or none that can be read as one.
///
/// # Errors
/// As `open(2)` and `read(2)`; a link is none of ours.
pub fn look(folder: &Path, daemon: &str) -> io::Result<Option<Alive>> {
    Ok(read(folder, daemon)?.and_then(|(content, _)| serde_json::from_slice(&content).ok()))
}

/// The content of a daemon's file and when it was written last, whatever it holds: foreign daemons
/// merely touch theirs. `None` if there is none.
///
/// # Errors
/// As `open(2)` and `read(2)`; a link is none of ours.
pub fn read(folder: &Path, daemon: &str) -> io::Result<Option<(Vec<u8>, Timestamp)>> {
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let opened = OpenOptions::new().read(true).custom_flags(no_link).open(path(folder, daemon));
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let modified = Timestamp::of(file.metadata()?.modified()?);
    let mut content = Vec::new();
    file.by_ref().take(LONGEST).read_to_end(&mut content)?;
    Ok(Some((content, modified)))
}

impl Alive {
    /// How long ago the last cycle ended; `None` if it was in an earlier boot, or lies in the future.
    #[must_use]
    pub fn age(&self, moment: &Moment, boot_id: &str) -> Option<Duration> {
        let then = Duration::from_micros(self.monotonic_us);
        if self.boot_id == boot_id { moment.monotonic.0.checked_sub(then) } else { None }
    }
}

/// The kernel's name for this boot; empty where it has none.
#[must_use]
pub fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::world::clock::SystemClock;

    use super::*;

    #[test]
    fn a_beat_is_seen_by_who_looks() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(look(folder.path(), "pingd").expect("a look"), None);
        let mut keepalive = KeepAlive::of("pingd", folder.path(), &SystemClock);
        keepalive.beat(&SystemClock.moment(), "idle".to_owned());
        keepalive.beat(&SystemClock.moment(), "1 running".to_owned());
        let alive = look(folder.path(), "pingd").expect("a look").expect("a file");
        assert_eq!((alive.cycles, alive.doing.as_str()), (2, "1 running"));
        let age = alive.age(&SystemClock.moment(), &boot_id()).expect("of this boot");
        assert!(age < Duration::from_secs(60));
        assert_eq!(alive.age(&SystemClock.moment(), "another"), None);
    }

    #[test]
    fn a_file_that_is_broken_or_from_the_future_has_no_age() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(path(folder.path(), "traced"), b"{\"pid\":").expect("written");
        assert_eq!(look(folder.path(), "traced").expect("a look"), None);
        let mut keepalive = KeepAlive::of("pingd", folder.path(), &SystemClock);
        keepalive.alive.monotonic_us = u64::MAX;
        assert_eq!(keepalive.alive.age(&SystemClock.moment(), &boot_id()), None);
    }
}
