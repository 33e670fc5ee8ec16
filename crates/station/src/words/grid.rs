//! When a specification is due: the grid of its slots.
//!
//! Slot `k` begins at `phase + k * runinterval` since the epoch and is due there, or, with a jitter,
//! at a random point of the jitter after it. The phase is a hash of the specification's key, so that
//! a thousand specifications of 600 s fall evenly over the 600 s, on every machine and after every
//! restart alike; a specification may pin it. The grid never drifts: no slot depends on when the one
//! before it ran.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::text::Timestamp;

use super::toolspec::{SpecKey, ToolSpec};

/// The slots of one specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    seed: u64,
    phase_us: i64,
    interval_us: i64,
    jitter_us: i64,
}

/// One slot: its number on the grid and the time it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Which one, counted from the epoch.
    pub number: i64,
    /// When a run is to start.
    pub due: Timestamp,
}

impl Grid {
    /// The grid of `spec`.
    #[must_use]
    pub fn of(spec: &ToolSpec) -> Self {
        let seed = seed(&spec.key);
        let interval_us = spec.runinterval.micros();
        let hashed = i64::try_from(seed % interval_us.unsigned_abs()).unwrap_or(0);
        let phase_us = spec.phase.map_or(hashed, |seconds| i64::from(seconds) * 1_000_000);
        Self { seed, phase_us, interval_us, jitter_us: i64::from(spec.jitter) * 1_000_000 }
    }

    /// Microseconds between slots.
    #[must_use]
    pub fn interval_us(&self) -> i64 {
        self.interval_us
    }

    /// The latest that the next slot can lie when the last one planned lay at most at `planned`.
    #[must_use]
    pub fn horizon(&self, planned: Timestamp) -> Timestamp {
        Timestamp(planned.0.saturating_add(self.interval_us).saturating_add(self.jitter_us))
    }

    /// The slot `number`.
    #[must_use]
    pub fn slot(&self, number: i64) -> Slot {
        let begin = number.saturating_mul(self.interval_us).saturating_add(self.phase_us);
        Slot { number, due: Timestamp(begin.saturating_add(self.jitter(number))) }
    }

    fn jitter(&self, number: i64) -> i64 {
        if self.jitter_us == 0 {
            return 0;
        }
        let mut hasher = SipHasher13::new_with_keys(self.seed, 1);
        hasher.write(&number.to_le_bytes());
        i64::try_from(hasher.finish() % self.jitter_us.unsigned_abs()).unwrap_or(0)
    }

    /// The first slot that is due at `time` or after it.
    #[must_use]
    pub fn first_from(&self, time: Timestamp) -> Slot {
        // The jitter is less than the interval, so the slot that begins at or before `time` may still be due.
        let begun = time.0.saturating_sub(self.phase_us).div_euclid(self.interval_us);
        let slots = [begun, begun.saturating_add(1)].map(|number| self.slot(number));
        if slots[0].due >= time { slots[0] } else { slots[1] }
    }

    /// The last slot that is due before `time`.
    #[must_use]
    pub fn last_before(&self, time: Timestamp) -> Slot {
        self.slot(self.first_from(time).number - 1)
    }
}

/// A hash that is the same on every machine and in every version of this program.
fn seed(key: &SpecKey) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x4945_504d, 0x4257);
    for part in [key.src.as_str(), key.dest.as_str(), key.tool.as_str(), &key.variant] {
        hasher.write(part.as_bytes());
        hasher.write_u8(0);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::words::toolspec;

    use super::*;

    fn grid(dest: &str, interval: u32, phase: &str, jitter: u32) -> Grid {
        let text = format!(
            "TABLENAME=TOOLSPECS\n#srcNodeID,destNodeID,toolName,testtype,time2run,runinterval,phase,jitter\n\
             s,{dest},ping,background,1,{interval},{phase},{jitter}\n"
        );
        let (specs, mistakes) = toolspec::parse(&text);
        assert_eq!(mistakes, []);
        Grid::of(&specs[0].spec)
    }

    #[test]
    fn a_pinned_phase_is_kept_to_the_second() {
        let grid = grid("d", 600, "30", 0);
        assert_eq!(
            grid.first_from(Timestamp::from_seconds(1_200)).due,
            Timestamp::from_seconds(1_230)
        );
        assert_eq!(
            grid.first_from(Timestamp::from_seconds(1_230)).due,
            Timestamp::from_seconds(1_230)
        );
        assert_eq!(
            grid.last_before(Timestamp::from_seconds(1_230)).due,
            Timestamp::from_seconds(630)
        );
    }

    #[test]
    fn the_phase_is_the_same_tomorrow() {
        // If this number changes, every station in the field moves all its measurements.
        assert_eq!(grid("d", 600, "", 0).first_from(Timestamp(0)).due, Timestamp(PHASE_OF_D));
    }

    const PHASE_OF_D: i64 = 302_229_259;

    #[test]
    fn a_thousand_specifications_spread_over_their_interval() {
        let mut per_minute = [0_u32; 10];
        for number in 0..1_000 {
            let due = grid(&format!("node{number}"), 600, "", 0).first_from(Timestamp(0)).due;
            per_minute[usize::try_from(due.seconds() / 60).expect("positive")] += 1;
        }
        // 100 in each minute are expected, with a deviation of 9.5.
        assert!(per_minute.iter().all(|count| (60..140).contains(count)), "{per_minute:?}");
    }

    proptest! {
        #[test]
        fn slots_neither_drift_nor_overlap(
            at in -1_i64 << 50..1_i64 << 51, interval in 1_u32..100_000, share in 0_u32..100, pinned: bool,
        ) {
            let phase = if pinned { (interval / 2).to_string() } else { String::new() };
            let grid = grid("d", interval, &phase, (interval - 1) * share / 100);
            let (before, next) = (grid.last_before(Timestamp(at)), grid.first_from(Timestamp(at)));
            prop_assert!(before.due.0 < at && next.due.0 >= at);
            prop_assert_eq!(before.number + 1, next.number);
            prop_assert_eq!(grid.first_from(next.due), next);
            let drift = (next.due.0 - before.due.0 - grid.interval_us).abs();
            prop_assert!(drift <= grid.jitter_us);
        }
    }
}
