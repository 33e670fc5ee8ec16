//! What a server's log is told of what others do wrong: the first at once, and then one line a minute for each kind, so
//! that nobody fills it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::world::clock::{Clock, Monotonic, SystemClock};

/// Why a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There were too many connections: one had to go for others.
    Crowd,
    /// A client is in no class, or may not do this without a passphrase.
    NotServed,
    /// A client has not the passphrase.
    NotAuthentic,
    /// A message made no sense, or did not come.
    Broken,
    /// What was asked for was refused.
    Refused,
    /// A client went; that is told to nobody who does not ask for more.
    Gone,
    /// Packets came whose times cannot be.
    Clocks,
    /// Something here failed.
    Ours,
}

/// How many causes there are.
const CAUSES: usize = Cause::Ours as usize + 1;

#[derive(Debug, Clone, Copy, Default)]
struct Kind {
    told: Option<Monotonic>,
    kept_back: u64,
}

const A_MINUTE: Duration = Duration::from_secs(60);

/// When which kind was told last, and how many were not since.
#[derive(Debug, Default)]
pub struct News(Mutex<[Kind; CAUSES]>);

impl News {
    /// Writes the line, or counts it.
    pub fn tell(&self, cause: Cause, line: impl FnOnce() -> String) {
        if cause == Cause::Gone {
            return log::debug!("{}", line());
        }
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept_back = kinds[cause as usize].due(SystemClock.moment().monotonic);
        drop(kinds);
        match kept_back {
            Some(0) => log::warn!("{}", line()),
            Some(more) => log::warn!("{} ({more} more like this were not told)", line()),
            None => log::debug!("{}", line()),
        }
    }
}

impl Kind {
    /// How many were kept back, if the next one is to be told.
    fn due(&mut self, now: Monotonic) -> Option<u64> {
        if self.told.is_some_and(|told| told.until(now) < A_MINUTE) {
            self.kept_back += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_then_one_a_minute_with_how_many_there_were() {
        let mut kind = Kind::default();
        let mut at = |seconds| kind.due(Monotonic(Duration::from_secs(seconds)));
        assert_eq!([at(5), at(6), at(64), at(65), at(66)], [Some(0), None, None, Some(2), None]);
    }
}
