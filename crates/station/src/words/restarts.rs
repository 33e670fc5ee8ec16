//! How often something may be started that does not stay up: a value that is kept between two runs of
//! a watchdog.
//!
//! The first start comes at once. Each start that follows on one that did not stay up waits longer, 0,
//! 1, 5, 15, 30 and then 60 minutes; what has been well for a minute and a half begins again at the front. A
//! program that ends with status 78 (its configuration is wrong) is not started until that has changed.
//!
//! Times are of `CLOCK_BOOTTIME`, and worthless in another boot: a machine that was started anew has
//! no history.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a start waits that follows on so many that did not stay up.
const WAITS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(60 * 60),
];
/// Cron comes round by the minute and not to the second, and the start before took its time: a start that
/// would be due so soon is due.
const SLACK: Duration = Duration::from_secs(20);
/// What has been up for so long is well.
pub const WELL: Duration = Duration::from_secs(90);
/// So many starts in a row that did not stay up are a crash loop: a person is told.
pub const LOOP: u32 = 3;

/// The starts of one program, as the state file of a watchdog holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restarts {
    /// The boot that the times belong to.
    boot_id: String,
    /// Starts in a row that did not stay up, the last one included.
    in_a_row: u32,
    /// When the last start was, microseconds of `CLOCK_BOOTTIME`.
    last_us: u64,
    /// The configuration with which it ended for being wrong.
    wrong: Option<String>,
}

/// Whether something may be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Now,
    /// Not before so long has gone by: it did not stay up, so many times in a row.
    Wait(Duration, u32),
    /// Not before its configuration has changed.
    Wrong,
}

impl Restarts {
    /// Whether it may be started at `boot` (`CLOCK_BOOTTIME`) of the boot `boot_id`; `configuration`
    /// stands for what it reads, and changes when that does.
    #[must_use]
    pub fn verdict(&self, boot: Duration, boot_id: &str, configuration: &str) -> Verdict {
        if let Some(wrong) = &self.wrong {
            // What ended for its configuration has nothing to do with crashing.
            return if wrong == configuration { Verdict::Wrong } else { Verdict::Now };
        }
        if self.boot_id != boot_id || self.in_a_row == 0 {
            return Verdict::Now;
        }
        let step = usize::try_from(self.in_a_row - 1).unwrap_or(usize::MAX);
        let wait = WAITS.get(step).copied().unwrap_or(WAITS[WAITS.len() - 1]);
        // A last start that lies in the future is a state file of nobody.
        let gone = boot.checked_sub(Duration::from_micros(self.last_us)).unwrap_or(wait);
        let left = wait.saturating_sub(gone);
        if left <= SLACK { Verdict::Now } else { Verdict::Wait(left, self.in_a_row) }
    }

    /// Notes that it was started; says whether a person should be told that it does not stay up: once
    /// in a crash loop.
    #[must_use]
    pub fn started(&mut self, boot: Duration, boot_id: &str) -> bool {
        if self.boot_id != boot_id {
            self.in_a_row = 0;
            boot_id.clone_into(&mut self.boot_id);
        }
        self.wrong = None;
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last_us = u64::try_from(boot.as_micros()).unwrap_or(u64::MAX);
        self.in_a_row == LOOP
    }

    /// Notes that the last start came too early, for reasons that will pass: it does not count.
    pub fn not_now(&mut self) {
        self.in_a_row = self.in_a_row.saturating_sub(1);
    }

    /// Notes that it is up; says whether that ends a crash loop: it has been up long enough.
    pub fn up(&mut self, boot: Duration, boot_id: &str) -> bool {
        if self.boot_id != boot_id {
            // Whatever was in another boot is over.
            self.in_a_row = 0;
            return false;
        }
        let since = boot.saturating_sub(Duration::from_micros(self.last_us));
        if self.in_a_row == 0 || since < WELL {
            return false;
        }
        let looped = self.in_a_row >= LOOP;
        self.in_a_row = 0;
        looped
    }

    /// Notes that it ended because this configuration is wrong; says whether that is new.
    pub fn wrong(&mut self, configuration: &str) -> bool {
        let new = self.wrong.as_deref() != Some(configuration);
        self.wrong = Some(configuration.to_owned());
        new
    }

    /// Whether it ended for a wrong configuration.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.wrong.is_some()
    }

    /// Starts in a row that did not stay up.
    #[must_use]
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn what_does_not_stay_up_is_started_more_and_more_seldom() {
        let mut restarts = Restarts::default();
        let (mut starts, mut told) = (Vec::new(), Vec::new());
        for minute in 0..200 {
            if restarts.verdict(minutes(minute), "boot", "") == Verdict::Now {
                starts.push(minute);
                if restarts.started(minutes(minute), "boot") {
                    told.push(minute);
                }
            }
        }
        assert_eq!(starts, [0, 1, 2, 7, 22, 52, 112, 172]);
        assert_eq!(told, [2]);
    }

    #[test]
    fn a_look_that_comes_round_a_little_early_is_not_put_off_to_the_next() {
        let mut restarts = Restarts::default();
        let at = Duration::from_secs;
        for second in [60, 128] {
            let _ = restarts.started(at(second), "boot");
        }
        assert_eq!(restarts.verdict(at(133), "boot", ""), Verdict::Wait(at(55), 2));
        assert_eq!(restarts.verdict(at(180), "boot", ""), Verdict::Now);
    }

    #[test]
    fn what_has_been_up_for_long_begins_anew() {
        let mut restarts = Restarts::default();
        for minute in [0, 1, 2] {
            let _ = restarts.started(minutes(minute), "boot");
        }
        assert!(!restarts.up(minutes(3), "boot"));
        assert!(restarts.up(minutes(4), "boot"), "the end of a loop is told");
        assert!(!restarts.up(minutes(5), "boot"));
        assert_eq!(restarts.verdict(minutes(10), "boot", ""), Verdict::Now);
    }

    #[test]
    fn another_boot_has_no_history() {
        let mut restarts = Restarts::default();
        for minute in [900, 901, 902] {
            let _ = restarts.started(minutes(minute), "boot");
        }
        assert_eq!(restarts.verdict(minutes(903), "boot", ""), Verdict::Wait(minutes(4), 3));
        assert_eq!(restarts.verdict(minutes(1), "another", ""), Verdict::Now);
        assert!(!restarts.started(minutes(1), "another"));
        assert_eq!(restarts.in_a_row(), 1);
    }

    #[test]
    fn a_wrong_configuration_waits_for_another_also_after_a_boot() {
        let mut restarts = Restarts::default();
        assert!(restarts.wrong("v1") && !restarts.wrong("v1"));
        assert_eq!(restarts.verdict(minutes(1), "boot", "v1"), Verdict::Wrong);
        assert_eq!(restarts.verdict(minutes(1), "boot", "v2"), Verdict::Now);
    }

    proptest! {
        #[test]
        fn no_state_file_keeps_a_program_down_for_more_than_an_hour(
            in_a_row in any::<u32>(), last_us in any::<u64>(), boot in 0_u64..u64::MAX / 2_000_000,
        ) {
            let restarts = Restarts { boot_id: "boot".to_owned(), in_a_row, last_us, wrong: None };
            if let Verdict::Wait(left, _) = restarts.verdict(Duration::from_secs(boot), "boot", "") {
                prop_assert!(left <= minutes(60));
            }
        }
    }
}
