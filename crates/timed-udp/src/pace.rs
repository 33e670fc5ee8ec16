//! Waiting for a time: asleep as long as that is safe, and for the rest with open eyes.
//!
//! Who sleeps until a time wakes after it, by what the scheduler takes: some microseconds to some hundred, on a
//! machine's good and bad days. Who wants the time itself sleeps until before it, and then looks at the clock until it
//! is there. How long before is learned.

use std::time::Duration;

use rustix::{
    thread::{clock_nanosleep_absolute, set_current_timer_slack},
    time::{ClockId, Timespec},
};

use crate::clock::{Mono, nanos};

/// What matters more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// The processor: never waits with open eyes. Some ten microseconds late, under load more.
    #[default]
    Saving,
    /// The time: about a microsecond late, for up to a whole processor when the gaps are short.
    Exact,
    /// The time, at the price of a whole processor: never sleeps.
    Watching,
}

/// How a time is to be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Asleep until this time, which is before it; then ask again.
    Sleep(Mono),
    /// With open eyes: it is too near to sleep.
    Watch,
    /// It is there.
    Over,
}

/// Decides how to wait, and learns how late this thread wakes.
#[derive(Debug, Clone)]
pub struct Pacer {
    precision: Precision,
    margin: u64,
}

/// The margin lies between these, nanoseconds: below, there is nothing to gain; above, the machine is so busy that
/// another microsecond of waiting gains nothing.
const LEAST: u64 = 5_000;
const MOST: u64 = 200_000;
const FIRST: u64 = 60_000;

impl Pacer {
    /// For the thread that calls it: has its timers go off when they are due, and not up to 50 microseconds later
    /// together with others (`PR_SET_TIMERSLACK`).
    #[must_use]
    pub fn new(precision: Precision) -> Self {
        // A thread of a real-time class has no slack anyway, and nothing else can fail.
        let _ = set_current_timer_slack(std::num::NonZeroU64::new(1));
        Self::untried(precision)
    }

    fn untried(precision: Precision) -> Self {
        Self { precision, margin: FIRST }
    }

    /// How long before a time this thread is to be awake.
    #[must_use]
    pub fn margin(&self) -> Duration {
        match self.precision {
            Precision::Saving => Duration::ZERO,
            Precision::Exact => Duration::from_nanos(self.margin),
            Precision::Watching => Duration::MAX,
        }
    }

    /// How to wait at `now` for `until`.
    #[must_use]
    pub fn wait(&self, now: Mono, until: Mono) -> Wait {
        let wake = until - self.margin();
        if now >= until {
            Wait::Over
        } else if now < wake {
            Wait::Sleep(wake)
        } else {
            Wait::Watch
        }
    }

    /// It slept until `meant` and woke at `woke`. The margin becomes what was missing at once, and shrinks slowly:
    /// a machine that was late once in a hundred times will be again.
    pub fn woke(&mut self, meant: Mono, woke: Mono) {
        let late = nanos(woke.since(meant));
        let shrunk = self.margin - self.margin.saturating_sub(late) / 1_024;
        self.margin = shrunk.max(late).clamp(LEAST, MOST);
    }

    /// Waits until `until` and returns the time then. A signal does not end it.
    pub fn wait_until(&mut self, until: Mono) -> Mono {
        loop {
            let now = Mono::now();
            match self.wait(now, until) {
                Wait::Over => return now,
                Wait::Watch => std::hint::spin_loop(),
                Wait::Sleep(wake) => {
                    if clock_nanosleep_absolute(ClockId::Monotonic, &timespec(wake)).is_ok() {
                        self.woke(wake, Mono::now());
                    }
                }
            }
        }
    }
}

fn timespec(time: Mono) -> Timespec {
    let part = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Timespec { tv_sec: part(time.0 / 1_000_000_000), tv_nsec: part(time.0 % 1_000_000_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_saves_sleeps_to_the_end_and_who_is_exact_wakes_before() {
        let (now, until) = (Mono(1_000_000), Mono(2_000_000));
        let saving = Pacer::untried(Precision::Saving);
        assert_eq!(saving.wait(now, until), Wait::Sleep(until));
        let exact = Pacer::untried(Precision::Exact);
        assert_eq!(exact.wait(now, until), Wait::Sleep(Mono(2_000_000 - FIRST)));
        assert_eq!(exact.wait(Mono(1_990_000), until), Wait::Watch);
        assert_eq!(exact.wait(until, until), Wait::Over);
        let watching = Pacer::untried(Precision::Watching);
        assert_eq!(watching.wait(now, until), Wait::Watch);
        assert_eq!(watching.wait(until, until), Wait::Over);
    }

    #[test]
    fn the_margin_follows_how_late_the_thread_wakes_and_stays_bounded() {
        let mut pacer = Pacer::untried(Precision::Exact);
        for _ in 0..10_000 {
            pacer.woke(Mono(0), Mono(8_000));
        }
        assert!((8_000..9_100).contains(&pacer.margin), "a quiet machine: {}", pacer.margin);
        for _ in 0..5 {
            pacer.woke(Mono(0), Mono(90_000));
            (0..99).for_each(|_| pacer.woke(Mono(0), Mono(8_000)));
            assert!(pacer.margin > 80_000, "it is late one time in a hundred: {}", pacer.margin);
        }
        pacer.woke(Mono(0), Mono(50_000_000));
        assert_eq!(pacer.margin, MOST);
        for _ in 0..20_000 {
            pacer.woke(Mono(0), Mono(0));
        }
        assert_eq!(pacer.margin, LEAST);
    }

    #[test]
    fn a_time_that_was_waited_for_is_there() {
        for precision in [Precision::Saving, Precision::Exact, Precision::Watching] {
            let mut pacer = Pacer::new(precision);
            let until = Mono::now() + Duration::from_millis(3);
            assert!(pacer.wait_until(until) >= until);
            assert!(pacer.wait_until(Mono(1)) >= until, "what is past is not waited for");
        }
    }
}
