//! What happened between two cycles: the reason why slots may have passed unseen.

use serde::{Deserialize, Serialize};
use station::{
    text::{Timestamp, human_duration},
    world::clock::{Jump, Moment},
};

/// A pause between cycles that is longer than this is worth a word.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);

/// The cycle before, as it is noted in the database for the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCycle {
    /// When it was.
    pub wall_us: Timestamp,
}

/// What is known of the time since the cycle before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Away {
    /// Why slots may have passed unseen.
    pub reason: Option<String>,
    /// Whether the clock stands before the cycle before.
    pub set_back: bool,
}

/// Judges the time from the cycle before to `now`: `before` is of this process, `noted` of any.
#[must_use]
pub fn judge(before: Option<&Moment>, noted: Option<LastCycle>, now: &Moment) -> Away {
    match (before, noted) {
        (Some(before), _) => within_process(before, now),
        (None, Some(noted)) => since_start(noted, now),
        (None, None) => Away::default(),
    }
}

fn within_process(before: &Moment, now: &Moment) -> Away {
    let reason = match before.jump_to(now) {
        Some(Jump::Suspended(length)) => {
            Some(format!("the machine was suspended for {}", human_duration(length)))
        }
        Some(Jump::Forward(length)) => {
            Some(format!("the clock was set forward by {}", human_duration(length)))
        }
        Some(Jump::Back(length)) => {
            let reason = Some(format!("the clock was set back by {}", human_duration(length)));
            return Away { reason, set_back: true };
        }
        None => long(before.monotonic.until(now.monotonic))
            .map(|length| format!("load-scheduled did no cycle for {length}")),
    };
    Away { reason, set_back: false }
}

fn since_start(noted: LastCycle, now: &Moment) -> Away {
    if noted.wall_us > now.wall {
        let length = human_duration(now.wall.until(noted.wall_us));
        return Away {
            reason: Some(format!("the clock was set back by {length} or more")),
            set_back: true,
        };
    }
    let reason = long(noted.wall_us.until(now.wall))
        .map(|_| format!("load-scheduled did not run from {} to {}", noted.wall_us, now.wall));
    Away { reason, set_back: false }
}

fn long(length: std::time::Duration) -> Option<String> {
    (length > LONG).then(|| human_duration(length))
}
