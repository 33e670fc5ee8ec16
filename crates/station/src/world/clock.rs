//! The machine's clocks. The one module of this library that reads them; everything else is told the time.
//!
//! Three clocks, because they disagree on bad days: the wall clock says when a run is due and is
//! stepped by people and NTP; the monotonic one measures how long a process has run and stands still
//! while the machine is suspended; the boot clock goes on during a suspend.

use std::{ops::Add, time::Duration};

use rustix::time::{ClockId, clock_gettime};

use crate::text::Timestamp;

/// A point on the monotonic clock (`CLOCK_MONOTONIC`): never stepped, still during a suspend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// The time from `self` to `later`; nothing if it is not later.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        later.0.saturating_sub(self.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(length))
    }
}

/// All three clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// `CLOCK_REALTIME`.
    pub wall: Timestamp,
    /// `CLOCK_MONOTONIC`.
    pub monotonic: Monotonic,
    /// `CLOCK_BOOTTIME`, since the machine was started.
    pub boot: Duration,
}

/// What was done to the clock, or to the machine, between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jump {
    /// The wall clock was set forward by so much.
    Forward(Duration),
    /// The wall clock was set back by so much.
    Back(Duration),
    /// The machine was suspended for so long.
    Suspended(Duration),
}

/// Less than this is NTP at work, or a busy machine between two readings.
const SLACK: Duration = Duration::from_secs(2);

impl Moment {
    /// What happened to the clocks from `self` to `later`, if anything did.
    #[must_use]
    pub fn jump_to(&self, later: &Self) -> Option<Jump> {
        let boot = later.boot.saturating_sub(self.boot);
        let asleep = boot.saturating_sub(self.monotonic.until(later.monotonic));
        let expected = self.wall + boot;
        let (ahead, behind) = (expected.until(later.wall), later.wall.until(expected));
        // A clock that was set back matters most, also after a suspend.
        if behind > SLACK {
            Some(Jump::Back(behind))
        } else if asleep > SLACK {
            Some(Jump::Suspended(asleep))
        } else if ahead > SLACK {
            Some(Jump::Forward(ahead))
        } else {
            None
        }
    }
}

/// Who is asked for the time.
pub trait Clock {
    /// The time on all clocks.
    fn moment(&self) -> Moment;

    /// The time on the wall.
    fn now(&self) -> Timestamp {
        self.moment().wall
    }
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn moment(&self) -> Moment {
        let since_boot = |id| {
            let time = clock_gettime(id);
            let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
            Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos)
        };
        let wall = clock_gettime(ClockId::Realtime);
        Moment {
            wall: Timestamp(wall.tv_sec * 1_000_000 + wall.tv_nsec / 1_000),
            monotonic: Monotonic(since_boot(ClockId::Monotonic)),
            boot: since_boot(ClockId::Boottime),
        }
    }
}

/// Does nothing for `length`. For short waits outside of any loop; loops wait where a signal wakes them.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// Whether the kernel holds the wall clock to be synchronised: `STA_UNSYNC` of `adjtimex(2)` is not set.
#[must_use]
pub fn is_synchronised() -> bool {
    timed_udp::clock::ClockState::now().synchronised
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    fn moment(wall: u64, monotonic: u64, boot: u64) -> Moment {
        Moment {
            wall: Timestamp::from_seconds(i64::try_from(wall).expect("small")),
            monotonic: Monotonic(Duration::from_secs(monotonic)),
            boot: Duration::from_secs(boot),
        }
    }

    #[test]
    fn the_clocks_misdeeds_are_told_apart() {
        let start = moment(10 * HOUR, 100, 100);
        let after = |wall, monotonic, boot| start.jump_to(&moment(wall, monotonic, boot));
        let hour = Duration::from_secs(HOUR);
        assert_eq!(after(10 * HOUR + 5, 105, 105), None);
        assert_eq!(after(11 * HOUR + 5, 105, 105), Some(Jump::Forward(hour)));
        assert_eq!(after(9 * HOUR + 5, 105, 105), Some(Jump::Back(hour)));
        assert_eq!(after(11 * HOUR + 5, 105, 105 + HOUR), Some(Jump::Suspended(hour)));
    }

    #[test]
    fn the_machines_clocks_go_forward() {
        let (first, second) = (SystemClock.moment(), SystemClock.moment());
        assert!(second.monotonic >= first.monotonic && second.boot >= first.boot);
        assert!(first.wall > Timestamp::from_seconds(1_700_000_000));
    }
}
