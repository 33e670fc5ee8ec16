//! What the log is told of what others do wrong: the first at once, and then one line a minute for each kind.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use timed_udp::clock::Mono;

/// Why a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A connection had to go for others.
    Crowd,
    /// A message made no sense, or did not come.
    Broken,
    /// A test was refused.
    Refused,
    /// Something here failed.
    Ours,
}

#[derive(Debug, Clone, Copy, Default)]
struct Kind {
    told: Option<Mono>,
    kept_back: u64,
}

const A_MINUTE: Duration = Duration::from_secs(60);

/// When which kind was told last, and how many were not since.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<[Kind; 4]>);

impl News {
    /// Writes the line, or counts it.
    pub(super) fn tell(&self, cause: Cause, line: impl FnOnce() -> String) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept_back = kinds[cause as usize].due(Mono::now());
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
    fn due(&mut self, now: Mono) -> Option<u64> {
        if self.told.is_some_and(|told| now.since(told) < A_MINUTE) {
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
        let mut at = |seconds| kind.due(Mono(0) + Duration::from_secs(seconds));
        assert_eq!([at(5), at(6), at(64), at(65), at(66)], [Some(0), None, None, Some(2), None]);
    }
}
