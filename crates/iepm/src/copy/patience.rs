//! What passes is waited for: a server that restarts, another transaction in the way.

use std::time::Duration;

use station::world::{
    clock::{Clock, Monotonic, SystemClock, pause},
    store::{Error, Kind},
};

/// For so long an end may be away before the copy gives up. What was copied stays, and the next goes on.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// How long something has been in the way.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Option<Monotonic>,
}

impl Patience {
    /// Does `work` again and again until it comes through, or fails for what does not pass, or nothing
    /// came through for a minute.
    pub(super) fn keep_trying<T>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            match work(self) {
                Ok(done) => {
                    self.since = None;
                    return Ok(done);
                }
                Err(error) if self.may_wait(&error) => pause(PAUSE),
                Err(error) => return Err(error),
            }
        }
    }

    fn may_wait(&mut self, error: &Error) -> bool {
        if !matches!(error.kind(), Kind::Busy | Kind::Away) {
            return false;
        }
        let now = SystemClock.moment().monotonic;
        if self.since.is_none() {
            log::warn!("{error}; waiting for it");
        }
        self.since.get_or_insert(now).until(now) < LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_told() {
        let mut left = 2;
        let passes = Patience::default().keep_trying(|_| {
            left -= 1;
            if left == 0 { Ok("through") } else { Err(Error::new(Kind::Away, "away")) }
        });
        assert_eq!(passes.expect("in the end"), "through");
        for kind in [Kind::Full, Kind::ReadOnly, Kind::Conflict, Kind::Other, Kind::Closed] {
            let mut patience = Patience::default();
            let fails = patience.keep_trying(|_| Err::<(), _>(Error::new(kind, "no")));
            assert_eq!(fails.expect_err("told").kind(), kind);
        }
    }
}
