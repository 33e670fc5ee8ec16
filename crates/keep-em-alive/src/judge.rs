//! How a daemon is: a value, judged without a machine.
//!
//! A daemon that does not run is started at once. One that runs and has not come round for too long is
//! suspected, and ended and started again only when the next look finds it in the same place: a machine
//! that has just woken up, or is short of everything for a minute, must not lose its daemons.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use station::{
    text::{Timestamp, human_duration},
    words::restarts::{Restarts, Verdict as MayStart},
    world::{clock::Moment, processes::Identity},
};

/// Two looks that are closer together count as one: somebody called the program by hand.
const APART: Duration = Duration::from_secs(10);

/// What a daemon's keep-alive file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulse {
    /// It came round at this point of the monotonic clock of this boot, microseconds.
    Beat(u64),
    /// It holds nothing of ours: a daemon that merely touches it, and did so at this time.
    Touched(Timestamp),
    /// It says nothing; why.
    Silent(&'static str),
}

/// What was seen of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its process, if it runs.
    pub running: Option<Identity>,
    /// Its keep-alive file.
    pub pulse: Pulse,
}

/// What is kept of a daemon from one run of this program to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// How often it was started.
    pub restarts: Restarts,
    /// What its keep-alive file said, and since when: a change of it is all that tells the age of a file
    /// without a time of ours in it.
    sight: Option<Sight>,
    /// When it was first found stale, and with which sight.
    suspect: Option<Sight>,
    /// What was told of it last; empty when it is well.
    pub told: String,
    /// Whether this look ends a crash loop.
    #[serde(skip)]
    pub well_again: bool,
}

/// Something seen for the first time at a point of the monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sight {
    pid: i32,
    start_ticks: u64,
    /// The beat, or the time of the file; -1 for none.
    stamp: i64,
    /// Microseconds of `CLOCK_MONOTONIC`.
    since_us: u64,
}

impl Sight {
    fn is_same(&self, other: &Self) -> bool {
        (self.pid, self.start_ticks, self.stamp) == (other.pid, other.start_ticks, other.stamp)
    }

    fn age(&self, now_us: u64) -> Duration {
        Duration::from_micros(now_us.saturating_sub(self.since_us))
    }
}

/// What is to be done with a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Well,
    /// It has not come round for so long; the next look decides.
    Suspect(Duration),
    /// It is to be ended and started again: it has not come round for so long.
    Hangs(Duration),
    /// It does not run and is to be started.
    Start,
    /// It would be started, but did not stay up so many times in a row; not before so long.
    Wait(Duration, u32),
    /// It does not run, and its configuration is wrong until it is changed.
    Wrong,
}

/// The circumstances of a look, the same for all daemons.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The time on all clocks.
    pub now: Moment,
    /// The kernel's name for this boot.
    pub boot_id: String,
    /// A daemon that has not come round for so long is stale.
    pub stale_after: Duration,
    /// Stands for what the daemons read when they start.
    pub configuration: String,
}

impl Memory {
    /// It was stopped on purpose: neither is its start any news, nor does it count. What was told of it
    /// is no news because of that either.
    pub fn stopped_on_purpose(&mut self) {
        *self = Self { told: std::mem::take(&mut self.told), ..Self::default() };
    }
}

/// Judges a daemon, and notes in its memory what the next look has to know.
pub fn judge(seen: &Seen, memory: &mut Memory, at: &Circumstances) -> Verdict {
    let Some(identity) = seen.running else {
        (memory.sight, memory.suspect) = (None, None);
        return may_start(memory, at).unwrap_or(Verdict::Start);
    };
    let now_us = u64::try_from(at.now.monotonic.0.as_micros()).unwrap_or(u64::MAX);
    let sight = note_sight(memory, identity, &seen.pulse, now_us);
    let age = match seen.pulse {
        Pulse::Beat(beat_us) => Duration::from_micros(now_us.saturating_sub(beat_us)),
        Pulse::Touched(_) | Pulse::Silent(_) => sight.age(now_us),
    };
    // One that hangs from its start on is not yet stale when it has been there for a while.
    memory.well_again = age <= at.stale_after / 2 && memory.restarts.up(at.now.boot, &at.boot_id);
    if age <= at.stale_after {
        memory.suspect = None;
        return Verdict::Well;
    }
    match &memory.suspect {
        Some(before) if before.is_same(&sight) && before.age(now_us) >= APART => {
            may_start(memory, at).unwrap_or(Verdict::Hangs(age))
        }
        Some(before) if before.is_same(&sight) => Verdict::Suspect(age),
        _ => {
            memory.suspect = Some(Sight { since_us: now_us, ..sight });
            Verdict::Suspect(age)
        }
    }
}

/// Why it may not be started now, if it may not.
fn may_start(memory: &Memory, at: &Circumstances) -> Option<Verdict> {
    match memory.restarts.verdict(at.now.boot, &at.boot_id, &at.configuration) {
        MayStart::Now => None,
        MayStart::Wait(left, in_a_row) => Some(Verdict::Wait(left, in_a_row)),
        MayStart::Wrong => Some(Verdict::Wrong),
    }
}

/// Since when the daemon is seen like this.
fn note_sight(memory: &mut Memory, identity: Identity, pulse: &Pulse, now_us: u64) -> Sight {
    let stamp = match pulse {
        Pulse::Beat(beat_us) => i64::try_from(*beat_us).unwrap_or(i64::MAX),
        Pulse::Touched(Timestamp(time)) => *time,
        Pulse::Silent(_) => -1,
    };
    let Identity { pid, start_ticks } = identity;
    let new = Sight { pid, start_ticks, stamp, since_us: now_us };
    // A sight from the future is of an earlier boot.
    let known = memory.sight.take().filter(|old| old.is_same(&new) && old.since_us <= now_us);
    memory.sight.insert(known.unwrap_or(new)).clone()
}

impl Verdict {
    /// What a person should know; nothing when all goes as it should.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Well | Self::Suspect(_) | Self::Start | Self::Hangs(_) => None,
            Self::Wait(left, times) => Some(format!(
                "did not stay up, {times} times in a row; the next start is in {} at the earliest; its log says more",
                human_duration(*left)
            )),
            Self::Wrong => Some(
                "its configuration or the schema is wrong; it is started when that has changed, and its log says \
                 what is wrong"
                    .to_owned(),
            ),
        }
    }

    /// One word for it, for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Suspect(_) => "suspect",
            Self::Hangs(_) => "hangs",
            Self::Start => "down",
            Self::Wait(..) => "crashing",
            Self::Wrong => "misconfigured",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use station::world::clock::Monotonic;

    use super::*;

    const PINGD: Identity = Identity { pid: 100, start_ticks: 5_000 };

    fn at(seconds: u64) -> Circumstances {
        let clock = Duration::from_secs(seconds);
        Circumstances {
            now: Moment {
                wall: Timestamp::from_seconds(1_795_000_000),
                monotonic: Monotonic(clock),
                boot: clock,
            },
            boot_id: "boot".to_owned(),
            stale_after: Duration::from_secs(120),
            configuration: "v1".to_owned(),
        }
    }

    fn beating(seconds: u64) -> Seen {
        Seen { running: Some(PINGD), pulse: Pulse::Beat(seconds * 1_000_000) }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const DOWN: Seen = Seen { running: None, pulse: Pulse::Silent("there is none") };

    #[test]
    fn a_daemon_that_comes_round_is_well() {
        let mut memory = Memory::default();
        for now in [1_000, 1_060, 1_120] {
            assert_eq!(judge(&beating(now - 9), &mut memory, &at(now)), Verdict::Well);
        }
    }

    #[test]
    fn one_that_hangs_is_suspected_and_then_ended() {
        let mut memory = Memory::default();
        let hung = beating(1_000);
        assert_eq!(judge(&hung, &mut memory, &at(1_060)), Verdict::Well);
        assert_eq!(judge(&hung, &mut memory, &at(1_121)), Verdict::Suspect(seconds(121)));
        // Somebody calls the program again at once.
        assert_eq!(judge(&hung, &mut memory, &at(1_122)), Verdict::Suspect(seconds(122)));
        assert_eq!(judge(&hung, &mut memory, &at(1_181)), Verdict::Hangs(seconds(181)));
    }

    #[test]
    fn one_that_came_round_meanwhile_is_suspected_anew() {
        let mut memory = Memory::default();
        assert_eq!(judge(&beating(1_000), &mut memory, &at(1_200)), Verdict::Suspect(seconds(200)));
        assert_eq!(judge(&beating(1_210), &mut memory, &at(1_400)), Verdict::Suspect(seconds(190)));
        assert_eq!(judge(&beating(1_401), &mut memory, &at(1_402)), Verdict::Well);
        assert_eq!(judge(&beating(1_401), &mut memory, &at(1_600)), Verdict::Suspect(seconds(199)));
    }

    #[test]
    fn another_process_of_the_same_name_is_not_the_one_that_was_suspected() {
        let mut memory = Memory::default();
        let _ = judge(&beating(1_000), &mut memory, &at(1_200));
        let other =
            Seen { running: Some(Identity { pid: 100, start_ticks: 9_000 }), ..beating(1_000) };
        assert_eq!(judge(&other, &mut memory, &at(1_260)), Verdict::Suspect(seconds(260)));
    }

    #[test]
    fn a_silent_file_is_as_old_as_it_has_been_seen_so() {
        let mut memory = Memory::default();
        let silent = Seen { running: Some(PINGD), pulse: Pulse::Silent("it is empty") };
        assert_eq!(judge(&silent, &mut memory, &at(1_000)), Verdict::Well);
        assert_eq!(judge(&silent, &mut memory, &at(1_060)), Verdict::Well);
        assert_eq!(judge(&silent, &mut memory, &at(1_121)), Verdict::Suspect(seconds(121)));
        assert_eq!(judge(&silent, &mut memory, &at(1_180)), Verdict::Hangs(seconds(180)));
    }

    #[test]
    fn a_touched_file_is_judged_by_its_changes_and_not_by_the_clock_on_the_wall() {
        let mut memory = Memory::default();
        let touched = |wall| Seen { running: Some(PINGD), pulse: Pulse::Touched(Timestamp(wall)) };
        // From the future, or of 1970: what counts is that it changes.
        for (now, wall) in [(1_000, i64::MAX), (1_500, 7), (2_000, i64::MAX), (2_100, i64::MAX)] {
            assert_eq!(judge(&touched(wall), &mut memory, &at(now)), Verdict::Well, "{now}");
        }
        assert_eq!(
            judge(&touched(i64::MAX), &mut memory, &at(2_121)),
            Verdict::Suspect(seconds(121))
        );
    }

    #[test]
    fn what_does_not_run_is_started_until_it_does_not_stay_up() {
        let mut memory = Memory::default();
        assert_eq!(judge(&DOWN, &mut memory, &at(1_000)), Verdict::Start);
        for _ in 0..2 {
            let _ = memory.restarts.started(seconds(1_000), "boot");
        }
        assert_eq!(judge(&DOWN, &mut memory, &at(1_020)), Verdict::Wait(seconds(40), 2));
        let _ = memory.restarts.wrong("v1");
        assert_eq!(judge(&DOWN, &mut memory, &at(9_000)), Verdict::Wrong);
        let changed = Circumstances { configuration: "v2".to_owned(), ..at(9_000) };
        assert_eq!(judge(&DOWN, &mut memory, &changed), Verdict::Start);
    }

    #[test]
    fn one_that_hangs_after_every_start_is_not_started_over_and_over() {
        let mut memory = Memory::default();
        for _ in 0..3 {
            let _ = memory.restarts.started(seconds(1_000), "boot");
        }
        let _ = judge(&beating(1_001), &mut memory, &at(1_130));
        assert_eq!(judge(&beating(1_001), &mut memory, &at(1_190)), Verdict::Wait(seconds(110), 3));
    }

    #[test]
    fn a_loop_is_over_when_it_comes_round_and_not_because_it_is_there() {
        let mut memory = Memory::default();
        for _ in 0..3 {
            let _ = memory.restarts.started(seconds(1_000), "boot");
        }
        assert_eq!(judge(&beating(1_001), &mut memory, &at(1_095)), Verdict::Well);
        assert!(!memory.well_again && memory.restarts.in_a_row() == 3, "it has come round once");
        assert_eq!(judge(&beating(1_096), &mut memory, &at(1_100)), Verdict::Well);
        assert!(memory.well_again && memory.restarts.in_a_row() == 0);
    }

    #[test]
    fn what_is_stopped_on_purpose_has_no_history_but_what_was_told_of_it() {
        let mut memory = Memory { told: "failed".to_owned(), ..Memory::default() };
        let _ = judge(&beating(1_000), &mut memory, &at(1_200));
        for _ in 0..3 {
            let _ = memory.restarts.started(seconds(1_200), "boot");
        }
        assert_eq!(judge(&DOWN, &mut memory, &at(1_201)), Verdict::Wait(seconds(299), 3));
        memory.stopped_on_purpose();
        assert_eq!(memory, Memory { told: "failed".to_owned(), ..Memory::default() });
        assert_eq!(judge(&DOWN, &mut memory, &at(1_202)), Verdict::Start);
    }

    proptest! {
        /// Whatever is in the file and however the looks lie: nothing is ended that was not found stale
        /// twice in the same place, some time apart.
        #[test]
        fn nothing_is_ended_at_first_sight(
            looks in prop::collection::vec((0_u64..400, 0_u64..5, any::<bool>()), 1..40),
        ) {
            let (mut memory, mut now) = (Memory::default(), 10_000);
            let mut before: Option<(Pulse, u64)> = None;
            for (pause, stamp, silent) in looks {
                now += pause;
                let pulse =
                    if silent { Pulse::Silent("") } else { Pulse::Beat(stamp * 1_000_000_000) };
                let seen = Seen { running: Some(PINGD), pulse: pulse.clone() };
                let verdict = judge(&seen, &mut memory, &at(now));
                let since = before.filter(|(last, _)| *last == pulse).map_or(now, |(_, since)| since);
                if matches!(verdict, Verdict::Hangs(_)) {
                    prop_assert!(now - since >= APART.as_secs());
                }
                before = Some((pulse, since));
            }
        }
    }
}
