//! Once a day, also on the days on which an hour is missing or comes twice.
//!
//! Cron is told two times an hour apart; the second call finds that it was done already, and on a day
//! that leaves the first one out it makes up for it.

use std::{fs, io, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use station::{
    text::Timestamp,
    world::{
        clock::Moment,
        files::{self, Durable},
        keepalive::boot_id,
    },
};

/// Within this time it is not done again.
const NOT_AGAIN: Duration = Duration::from_secs(12 * 3_600);

/// When all was restarted last, as the state file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTime {
    /// By the clock on the wall, microseconds since the epoch.
    wall_us: Timestamp,
    /// The boot in which it was.
    boot_id: String,
    /// `CLOCK_BOOTTIME`, microseconds: what counts in the same boot.
    boot_us: u64,
}

const FILE: &str = "restart-all-servers.state";

impl LastTime {
    /// It was at `moment`.
    #[must_use]
    pub fn of(moment: &Moment) -> Self {
        let boot_us = u64::try_from(moment.boot.as_micros()).unwrap_or(u64::MAX);
        Self { wall_us: moment.wall, boot_id: boot_id(), boot_us }
    }

    /// What is kept of the last time; nothing if there was none, or if nobody can read it.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// Keeps it.
    ///
    /// # Errors
    /// As the system calls.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        files::replace(&folder.join(FILE), &serde_json::to_vec(self)?, Durable::AgainstPowerLoss)
    }
}

/// Whether it is to be done at `moment` of the boot `boot_id`.
#[must_use]
pub fn is_due(last: Option<&LastTime>, moment: &Moment, boot_id: &str) -> bool {
    let Some(last) = last else { return true };
    if last.boot_id == boot_id {
        // Nobody steps this clock: neither summer time nor a person. A time to come is nobody's.
        let gone = moment.boot.checked_sub(Duration::from_micros(last.boot_us));
        return gone.is_none_or(|gone| gone >= NOT_AGAIN);
    }
    // A last time that lies in the future is of a clock that was wrong.
    last.wall_us > moment.wall || last.wall_us.until(moment.wall) >= NOT_AGAIN
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use station::world::clock::Monotonic;

    use super::*;

    const HOUR: u64 = 3_600;

    fn moment(wall_hours: i64, boot_hours: u64) -> Moment {
        let boot = Duration::from_secs(boot_hours * HOUR);
        Moment {
            wall: Timestamp::from_seconds(wall_hours * 3_600),
            monotonic: Monotonic(boot),
            boot,
        }
    }

    #[test]
    fn of_two_calls_an_hour_apart_one_does_it_each_night() {
        let (mut last, mut done) = (None, Vec::new());
        for day in 0..5 {
            for hour in [24 * day, 24 * day + 1] {
                let now = moment(1_000_000 + hour, 5_000 + hour.unsigned_abs());
                if is_due(last.as_ref(), &now, &boot_id()) {
                    done.push(hour);
                    last = Some(LastTime::of(&now));
                }
            }
        }
        assert_eq!(done, [0, 24, 48, 72, 96]);
    }

    #[test]
    fn a_night_without_the_first_hour_is_made_up_for_and_one_with_two_of_them_is_no_reason_for_two()
    {
        let last = LastTime::of(&moment(1_000_000, 500));
        // 23 hours later it is 01:17: 00:17 was left out.
        assert!(is_due(Some(&last), &moment(1_000_024, 523), &boot_id()));
        // An hour later it is 00:17 again.
        assert!(!is_due(Some(&last), &moment(1_000_000, 501), &boot_id()));
    }

    #[test]
    fn in_another_boot_the_wall_clock_counts_and_the_future_does_not() {
        let last = LastTime::of(&moment(1_000_000, 500));
        assert!(!is_due(Some(&last), &moment(1_000_001, 0), "another"));
        assert!(is_due(Some(&last), &moment(1_000_012, 0), "another"));
        assert!(is_due(Some(&last), &moment(900_000, 0), "another"));
        assert!(is_due(None, &moment(0, 0), "another"));
    }

    #[test]
    fn what_is_kept_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(LastTime::read(folder.path()), None);
        let last = LastTime::of(&moment(5, 5));
        last.write(folder.path()).expect("room");
        assert_eq!(LastTime::read(folder.path()), Some(last));
    }

    proptest! {
        /// Whatever stands in the file: within a day of calls every hour it is done at least once.
        #[test]
        fn it_is_never_put_off_for_more_than_a_day(wall in any::<i64>(), boot_us in any::<u64>(), same in any::<bool>()) {
            let boot_id = if same { "now" } else { "then" }.to_owned();
            let last = LastTime { wall_us: Timestamp(wall), boot_id, boot_us };
            let due = (0..24_u8).any(|hour| {
                is_due(Some(&last), &moment(500_000 + i64::from(hour), 100 + u64::from(hour)), "now")
            });
            prop_assert!(due);
        }
    }
}
