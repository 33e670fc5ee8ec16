//! The hold: while it lasts, no watchdog of the station starts or ends anything.
//!
//! An operator who works on the station holds it (`iepm hold`), and so do `kill-all-servers` and
//! `restart-all-servers` while they work, lest a watchdog undo meanwhile what they do. A hold has an
//! end, so that a forgotten one, or one whose program was killed, does not leave the station alone for
//! ever. It is one file, `<keepalives>/hold`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    clock::Moment,
    files::{self, Durable},
    keepalive::boot_id,
};
use crate::text::Timestamp;

/// What the file holds, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who holds the station: a program, or an operator's name.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it began, microseconds since the epoch.
    pub since_us: Timestamp,
    /// When it ends, microseconds since the epoch: what counts after the machine was started anew.
    pub until_us: Timestamp,
    /// The boot in which it began.
    boot_id: String,
    /// When it ends on `CLOCK_BOOTTIME` of that boot, microseconds: what counts in that boot, for
    /// people and NTP step the other clock.
    until_boot_us: u64,
}

/// The longest hold; whoever needs more holds again.
pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);

fn path(folder: &Path) -> PathBuf {
    folder.join("hold")
}

impl Hold {
    /// A hold from `moment` on, for `length`, at most [`LONGEST`].
    #[must_use]
    pub fn new(by: &str, reason: &str, moment: &Moment, length: Duration) -> Self {
        let length = length.min(LONGEST);
        let until_boot = moment.boot + length;
        Self {
            by: by.to_owned(),
            reason: reason.to_owned(),
            since_us: moment.wall,
            until_us: moment.wall + length,
            boot_id: boot_id(),
            until_boot_us: u64::try_from(until_boot.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// How long it still lasts at `moment` of the boot `boot_id`; `None` when it is over.
    #[must_use]
    pub fn left(&self, moment: &Moment, boot_id: &str) -> Option<Duration> {
        let left = if self.boot_id == boot_id {
            Duration::from_micros(self.until_boot_us).saturating_sub(moment.boot)
        } else {
            // Also by a clock that stands years back it lasts no longer than it was meant to.
            let meant = self.since_us.until(self.until_us);
            moment.wall.until(self.until_us).min(meant.saturating_sub(moment.boot))
        };
        (!left.is_zero()).then_some(left.min(LONGEST))
    }
}

/// Holds the station, in place of any hold before.
///
/// # Errors
/// As the system calls.
pub fn put(folder: &Path, hold: &Hold) -> io::Result<()> {
    let content = serde_json::to_vec(hold)?;
    files::replace(&path(folder), &content, Durable::AgainstPowerLoss)
}

/// The hold that lasts at `moment`, if there is one.
///
/// # Errors
/// As `open(2)` and `read(2)`; a file that is no hold is an error, too: somebody wanted something.
pub fn active(folder: &Path, moment: &Moment) -> io::Result<Option<Hold>> {
    let content = match fs::read(path(folder)) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let hold: Hold = serde_json::from_slice(&content)?;
    Ok(hold.left(moment, &boot_id()).is_some().then_some(hold))
}

/// Ends a hold; says whether there was one.
///
/// # Errors
/// As `unlink(2)`.
pub fn release(folder: &Path) -> io::Result<bool> {
    remove(&path(folder))
}

/// Removes a file; says whether there was one.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn stopped(folder: &Path, watchdog: &str) -> PathBuf {
    folder.join(format!("{watchdog}.stopped"))
}

/// Leaves word for a watchdog that all it looks after was stopped on purpose: what it finds down at its
/// next look did not die.
///
/// # Errors
/// As the system calls.
pub fn note_stopped(folder: &Path, watchdog: &str) -> io::Result<()> {
    files::replace(&stopped(folder, watchdog), &[], Durable::WithinThisBoot)
}

/// Whether such a word was left; it counts once.
///
/// # Errors
/// As `unlink(2)`.
pub fn take_stopped(folder: &Path, watchdog: &str) -> io::Result<bool> {
    remove(&stopped(folder, watchdog))
}

#[cfg(test)]
mod tests {
    use crate::world::clock::{Clock, Monotonic, SystemClock};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn moment(wall: i64, boot: u64) -> Moment {
        let boot = Duration::from_secs(boot);
        Moment { wall: Timestamp::from_seconds(wall), monotonic: Monotonic(boot), boot }
    }

    #[test]
    fn a_hold_lasts_its_time_whatever_is_done_to_the_clock() {
        let hold = Hold::new("ann", "new disk", &moment(10_000, 500), HOUR);
        let left = |wall, boot| hold.left(&moment(wall, boot), &boot_id());
        assert_eq!(left(10_000, 500), Some(HOUR));
        assert_eq!(left(99_000, 501), Some(Duration::from_secs(3_599)));
        assert_eq!(left(0, 500 + 3_600), None);
    }

    #[test]
    fn after_a_boot_the_wall_clock_counts() {
        let hold = Hold::new("ann", "new disk", &moment(10_000, 500), HOUR);
        assert_eq!(hold.left(&moment(13_000, 5), "another"), Some(Duration::from_secs(600)));
        assert_eq!(hold.left(&moment(13_600, 5), "another"), None);
        // A clock that stands years back must not hold the station for years.
        assert_eq!(
            hold.left(&moment(-99_999_999, 600), "another"),
            Some(Duration::from_secs(3_000))
        );
        assert_eq!(hold.left(&moment(-99_999_999, 3_600), "another"), None);
    }

    #[test]
    fn a_station_is_held_and_released() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = SystemClock.moment();
        assert_eq!(active(folder.path(), &now).expect("a look"), None);
        let hold = Hold::new("ann", "new disk", &now, HOUR);
        put(folder.path(), &hold).expect("room");
        assert_eq!(active(folder.path(), &now).expect("a look"), Some(hold));
        assert!(release(folder.path()).expect("removed"));
        assert!(!release(folder.path()).expect("nothing there"));
        fs::write(path(folder.path()), "keep off").expect("room");
        assert!(active(folder.path(), &now).is_err());
    }

    #[test]
    fn a_word_for_a_watchdog_counts_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let take = |watchdog| take_stopped(folder.path(), watchdog).expect("a look");
        assert!(!take("keep-em-alive"));
        note_stopped(folder.path(), "keep-em-alive").expect("room");
        assert!(!take("keep-servers-alive"));
        assert!(take("keep-em-alive") && !take("keep-em-alive"));
    }
}
