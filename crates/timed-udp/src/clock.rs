//! The clocks: the time on the wall as packets carry it, the monotonic one by which they are sent, and what the
//! kernel knows of the error of the first.
//!
//! Packets are stamped by the wall clock, since two machines have no other in common, and sent by the
//! monotonic clock, which nobody sets. Both are slewed alike by whoever disciplines the clock, so that their distance
//! changes only when the wall clock is set: [`StepWatch`].

use std::{
    ops::{Add, Sub},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

use crate::ntp::{ErrorEstimate, NtpTime};

/// A point on `CLOCK_MONOTONIC`, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// The time now.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        // Never before the machine was started, and 584 years fit.
        Self((time.tv_sec * 1_000_000_000 + time.tv_nsec).unsigned_abs())
    }

    /// From `earlier` to this; nothing if this is the earlier one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// So many nanoseconds later; earlier if negative. It stays between the clock's ends.
    #[must_use]
    pub const fn moved(self, nanos: i64) -> Self {
        Self(self.0.saturating_add_signed(nanos))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(nanos(length)))
    }
}

impl Sub<Duration> for Mono {
    type Output = Self;
    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(length)))
    }
}

/// A length as whole nanoseconds; 584 years at most.
#[must_use]
pub fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// The time on the wall (`CLOCK_REALTIME`).
#[must_use]
pub fn wall() -> NtpTime {
    let time = clock_gettime(ClockId::Realtime);
    NtpTime::from_unix_nanos(i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec))
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time on the wall.
    pub wall: NtpTime,
    /// The time since the machine was started.
    pub mono: Mono,
}

/// Two looks at one clock that are further apart had a pause between them, nanoseconds.
const ONE_MOMENT: u64 = 5_000;
const TRIES: usize = 4;

impl Moment {
    /// Now: the wall clock between two looks at the monotonic one, the closest of a few. What it is wrong by is
    /// half their distance, mostly far below a microsecond.
    #[must_use]
    pub fn now() -> Self {
        let mut best = (u64::MAX, Self { wall: NtpTime::default(), mono: Mono::default() });
        for _ in 0..TRIES {
            let (before, wall, after) = (Mono::now(), wall(), Mono::now());
            let width = after.0 - before.0;
            if width < best.0 {
                best = (width, Self { wall, mono: Mono(before.0 + width / 2) });
            }
            if width <= ONE_MOMENT {
                break;
            }
        }
        best.1
    }

    /// When the wall clock will show `wall`, or showed it, if nobody sets it.
    #[must_use]
    pub const fn mono_at(&self, nanos_later: i64) -> Mono {
        self.mono.moved(nanos_later)
    }
}

/// What the kernel knows of the wall clock (`adjtimex(2)`), told by whoever keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockState {
    /// Whether it is held to be synchronised: `STA_UNSYNC` is not set.
    pub synchronised: bool,
    /// How far it is thought to be wrong, nanoseconds; zero if nobody estimates it, as systemd-timesyncd.
    pub estimated: u64,
    /// How far it can be wrong, nanoseconds; grows by 500 parts per million until somebody sets it anew.
    pub most: u64,
}

/// What is said of a clock of which nothing is known: RFC 5905's greatest dispersion.
const UNKNOWN: u64 = 16_000_000_000;

impl ClockState {
    /// As it is now. A kernel that does not tell has a clock that is not synchronised.
    #[must_use]
    pub fn now() -> Self {
        let unknown = Self { synchronised: false, estimated: UNKNOWN, most: UNKNOWN };
        adjtimex::read().map_or(unknown, |timex| Self {
            synchronised: timex.status & libc::STA_UNSYNC == 0,
            estimated: nanos_of_micros(timex.esterror),
            most: nanos_of_micros(timex.maxerror),
        })
    }

    /// The error to be stated in a packet, nanoseconds: the estimate, if somebody keeps the clock and estimates
    /// it; else the most that it can be, for that is all that is known.
    #[must_use]
    pub fn error(self) -> u64 {
        match self {
            Self { synchronised: true, estimated: 1.., .. } => self.estimated,
            _ => self.most.max(self.estimated),
        }
    }

    /// The same as a packet carries it, `more` nanoseconds added for what else is known to be wrong.
    #[must_use]
    pub fn estimate(self, more: u64) -> ErrorEstimate {
        ErrorEstimate::at_least(self.error().saturating_add(more), self.synchronised)
    }
}

fn nanos_of_micros(micros: libc::c_long) -> u64 {
    u64::try_from(micros).unwrap_or(0).saturating_mul(1_000)
}

mod adjtimex {
    #[expect(unsafe_code, reason = "adjtimex(2) has no safe wrapper among our libraries")]
    pub(super) fn read() -> Option<libc::timex> {
        // SAFETY: a timex of zeros is valid and asks for nothing to be changed (`modes` = 0).
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a whole timex that lives through the call.
        let state = unsafe { libc::adjtimex(&raw mut timex) };
        (state >= 0).then_some(timex)
    }
}

/// The clock's state, asked anew once a second, for those who need it with every packet.
#[derive(Debug, Clone, Copy)]
pub struct KnownState {
    state: ClockState,
    estimate: ErrorEstimate,
    asked: Mono,
}

/// How long an answer of the kernel is good for. Its error grows by half a microsecond a millisecond.
const GOOD_FOR: Duration = Duration::from_secs(1);

impl KnownState {
    /// Asks the kernel.
    #[must_use]
    pub fn ask(now: Mono) -> Self {
        let state = ClockState::now();
        Self { state, estimate: state.estimate(0), asked: now }
    }

    /// As it was at most a second before `now`.
    pub fn at(&mut self, now: Mono) -> ClockState {
        if now.since(self.asked) >= GOOD_FOR {
            *self = Self::ask(now);
        }
        self.state
    }

    /// The error as a packet carries it, no older.
    pub fn estimate_at(&mut self, now: Mono) -> ErrorEstimate {
        self.at(now);
        self.estimate
    }
}

/// The wall clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// By how much, nanoseconds; negative if it was set back. A suspend of the machine is a step forward, since
    /// the monotonic clock stands still meanwhile.
    pub nanos: i64,
    /// The time on the wall when it was seen.
    pub seen: NtpTime,
}

/// Sees whether the wall clock is set between two looks at both clocks.
#[derive(Debug, Clone, Copy)]
pub struct StepWatch(Moment);

/// Less than this is a busy machine between two readings: 0.1 ms.
const LEAST_STEP: i64 = 100_000;

impl StepWatch {
    /// Begins to watch.
    #[must_use]
    pub const fn begin(moment: Moment) -> Self {
        Self(moment)
    }

    /// What was done to the wall clock since the last look, if anything was.
    pub fn look(&mut self, now: Moment) -> Option<Step> {
        let wall = now.wall.nanos_since(self.0.wall);
        let mono = i64::try_from(nanos(now.mono.since(self.0.mono))).unwrap_or(i64::MAX);
        let nanos = wall.saturating_sub(mono);
        if nanos.abs() < LEAST_STEP {
            // The look itself is not taken over: small steps one after the other would never be seen.
            return None;
        }
        *self = Self(now);
        Some(Step { nanos, seen: now.wall })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_ms: i128, mono_ms: u64) -> Moment {
        Moment {
            wall: NtpTime::from_unix_nanos(1_783_000_000_000_000_000 + wall_ms * 1_000_000),
            mono: Mono(mono_ms * 1_000_000),
        }
    }

    #[test]
    fn a_clock_that_is_set_is_seen_with_the_size_of_the_step() {
        let mut watch = StepWatch::begin(at(0, 500));
        assert_eq!(watch.look(at(1_000, 1_500)), None);
        let step = watch.look(at(2_250, 2_500)).expect("it was set by 250 ms");
        assert!((step.nanos - 250_000_000).abs() < 10, "{step:?}");
        assert_eq!(watch.look(at(3_250, 3_500)), None, "it was told once");
        let back = watch.look(at(1_250, 4_500)).expect("it was set back");
        assert!((back.nanos + 3_000_000_000).abs() < 10, "{back:?}");
    }

    #[test]
    fn small_steps_one_after_the_other_are_one_that_is_seen() {
        let mut watch = StepWatch::begin(at(0, 0));
        let moment = |n: u64| Moment {
            wall: NtpTime::from_unix_nanos(
                1_783_000_000_000_000_000 + i128::from(n) * 1_000_060_000,
            ),
            mono: Mono(n * 1_000_000_000),
        };
        assert_eq!(watch.look(moment(1)), None);
        assert!(watch.look(moment(2)).is_some_and(|step| step.nanos > 110_000));
    }

    #[test]
    fn the_error_that_is_stated_is_never_a_flattering_one() {
        let state = |synchronised, estimated, most| ClockState { synchronised, estimated, most };
        assert_eq!(state(true, 504_000, 20_000_000).error(), 504_000);
        assert_eq!(state(true, 0, 20_000_000).error(), 20_000_000, "nobody estimated it");
        assert_eq!(state(false, 504_000, 16_000_000_000).error(), 16_000_000_000);
        assert!(!state(false, 1, 1).estimate(0).synchronised);
    }

    #[test]
    fn both_clocks_of_the_machine_go_forward_together() {
        let (first, second) = (Moment::now(), Moment::now());
        assert!(second.mono >= first.mono);
        assert!(first.wall.unix_nanos() > 1_700_000_000_000_000_000);
        let mut known = KnownState::ask(first.mono);
        assert_eq!(known.at(second.mono), known.state);
    }
}
