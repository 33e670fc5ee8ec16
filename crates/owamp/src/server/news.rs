//! What a log is told of what others do wrong: one line at most for each cause and minute, so that nobody fills it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use station::world::clock::{Clock, Monotonic, SystemClock};

/// Why a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Cause {
    /// There were too many connections.
    Crowd,
    /// A client is in no class, or may not do this without a passphrase.
    NotServed,
    /// A client has not the passphrase.
    NotAuthentic,
    /// A message made no sense, or did not come.
    Broken,
    /// A session was refused.
    Refused,
    /// A client went; that is told to nobody who does not ask for more.
    Gone,
    /// Packets came whose times cannot be.
    Clocks,
    /// Something here failed.
    Ours,
}

const A_MINUTE: Duration = Duration::from_secs(60);

/// When which cause was told last, and how often it was not since.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<HashMap<Cause, (Monotonic, u64)>>);

impl News {
    /// Writes the line, or counts it.
    pub(super) fn tell(&self, cause: Cause, line: impl FnOnce() -> String) {
        if cause == Cause::Gone {
            return log::debug!("{}", line());
        }
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept_back = is_news(&mut told, cause, SystemClock.moment().monotonic);
        drop(told);
        match kept_back {
            Some(0) => log::warn!("{}", line()),
            Some(more) => log::warn!("{} ({more} more like this since the last line)", line()),
            None => log::debug!("{}", line()),
        }
    }
}

/// How many were not told since the last one, if one is to be told now.
fn is_news(
    told: &mut HashMap<Cause, (Monotonic, u64)>,
    cause: Cause,
    now: Monotonic,
) -> Option<u64> {
    match told.get_mut(&cause) {
        Some((last, kept_back)) if last.until(now) < A_MINUTE => {
            *kept_back += 1;
            None
        }
        other => {
            let kept_back = other.map_or(0, |(_, kept_back)| *kept_back);
            told.insert(cause, (now, 0));
            Some(kept_back)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once_a_minute_with_how_many_there_were() {
        let mut told = HashMap::new();
        let mut at =
            |seconds, cause| is_news(&mut told, cause, Monotonic(Duration::from_secs(seconds)));
        assert_eq!(at(0, Cause::Broken), Some(0));
        assert_eq!(at(1, Cause::Broken), None);
        assert_eq!(at(1, Cause::Refused), Some(0));
        assert_eq!(at(59, Cause::Broken), None);
        assert_eq!(at(61, Cause::Broken), Some(2));
        assert_eq!(at(200, Cause::Broken), Some(0));
    }
}
