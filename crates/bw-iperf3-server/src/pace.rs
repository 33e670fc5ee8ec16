//! Whether a test takes too long, and how soon the next server comes: values only.

use std::time::Duration;

use station::world::{clock::Monotonic, process::Status};

use crate::one_off::End;

/// A server that ends sooner, and not well, has failed: its port is taken, for instance.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The pause after the first failure; each in a row doubles it.
const FIRST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// How fast one server follows another.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    failures: u32,
}

impl Pace {
    /// Notes that a server has `lasted` so long and ended so; gives how long the next one is put off.
    pub(crate) fn ended(&mut self, lasted: Duration, end: &End) -> Duration {
        let failed = match end {
            End::NotStarted(_) => true,
            End::Ended(status) => *status != Status::Exited(0) && lasted < AT_ONCE,
            End::Stuck(_) | End::Asked => false,
        };
        if !failed {
            self.failures = 0;
            return Duration::ZERO;
        }
        let doubled = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        FIRST_REST.saturating_mul(doubled).min(LONGEST_REST)
    }

    /// How many in a row have failed at once.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the last failure is worth a line: the first is, and some of the following.
    pub(crate) fn is_news(&self) -> bool {
        self.failures.is_power_of_two()
    }
}

/// How long a server has been in its test.
#[derive(Debug, Default)]
pub(crate) struct Test {
    since: Option<Monotonic>,
}

impl Test {
    /// Notes whether a client is there; gives the length of the test if that is beyond `limit`.
    pub(crate) fn seen(&mut self, busy: bool, now: Monotonic, limit: Duration) -> Option<Duration> {
        if !busy {
            self.since = None;
            return None;
        }
        let length = self.since.get_or_insert(now).until(now);
        (length >= limit).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: End = End::Ended(Status::Exited(1));
    const SHORT: Duration = Duration::from_millis(3);

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    #[test]
    fn after_a_test_the_next_server_comes_at_once() {
        let mut pace = Pace::default();
        for end in [End::Ended(Status::Exited(0)), End::Stuck(AT_ONCE), End::Asked] {
            assert_eq!(pace.ended(SHORT, &end), Duration::ZERO);
        }
        // A client that goes away in the midst of its test makes its server end badly.
        assert_eq!(pace.ended(AT_ONCE, &FAILED), Duration::ZERO);
    }

    #[test]
    fn one_that_fails_at_once_comes_ever_more_seldom() {
        let mut pace = Pace::default();
        let rests: Vec<u128> = (0..10).map(|_| pace.ended(SHORT, &FAILED).as_millis()).collect();
        assert_eq!(rests, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(pace.ended(SHORT, &End::NotStarted(String::new())), LONGEST_REST);
        assert!(!pace.is_news());
        assert_eq!(pace.ended(SHORT, &End::Ended(Status::Exited(0))), Duration::ZERO);
        assert_eq!(pace.ended(SHORT, &FAILED), FIRST_REST);
        assert!(pace.is_news());
    }

    #[test]
    fn waiting_for_a_client_is_no_test() {
        let mut test = Test::default();
        let limit = Duration::from_secs(60);
        assert_eq!(test.seen(false, at(0), limit), None);
        assert_eq!(test.seen(true, at(5_000), limit), None);
        assert_eq!(test.seen(true, at(5_059), limit), None);
        assert_eq!(test.seen(true, at(5_061), limit), Some(Duration::from_secs(61)));
        assert_eq!(test.seen(false, at(5_062), limit), None);
        assert_eq!(test.seen(true, at(9_000), limit), None);
    }

    proptest! {
        #[test]
        fn however_often_it_fails_it_comes_again(failures in 0_u32..200, lasted in 0_u64..5_000) {
            let mut pace = Pace { failures };
            let rest = pace.ended(Duration::from_millis(lasted), &FAILED);
            prop_assert!(rest <= LONGEST_REST);
            prop_assert_eq!(rest.is_zero(), lasted >= 1_000);
        }
    }
}
