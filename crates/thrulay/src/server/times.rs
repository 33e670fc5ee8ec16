//! How long a test is waited for. Pure.

use std::time::Duration;

use timed_udp::clock::Mono;

/// How long each thing may take that is to come before a test begins: a stream, or the first packet.
const COMING: Duration = Duration::from_secs(15);
/// How long after its end a test may go on: what is in queues comes, and who says nothing any more is given up.
const GRACE: Duration = Duration::from_secs(30);
/// How long nothing may come of a test that has begun, beyond what lies between two packets of it.
const SILENCE: Duration = Duration::from_secs(30);

/// The times of a test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When something came last.
    came: Mono,
    /// Of a test that has begun: when it is over at the latest, and how long nothing may come.
    going: Option<(Mono, Duration)>,
}

impl Times {
    /// Of a test that has been granted.
    pub(super) const fn granted(now: Mono) -> Self {
        Self { came: now, going: None }
    }

    /// Something came of it.
    pub(super) const fn came(&mut self, now: Mono) {
        self.came = now;
    }

    /// It begins: it is to last so long, and from one packet to the next it is `gap`.
    pub(super) fn begin(&mut self, now: Mono, length: Duration, gap: Duration) {
        let end = now + length + GRACE;
        (self.came, self.going) = (now, Some((end, SILENCE.saturating_add(gap))));
    }

    /// How long it is waited for.
    ///
    /// # Errors
    /// No longer, and why. `missing` is what a test lacks that has not begun.
    pub(super) fn left(&self, now: Mono, missing: &str) -> Result<Duration, String> {
        let Some((end, silence)) = self.going else {
            let left = (self.came + COMING).since(now);
            return if left.is_zero() { Err(missing.to_owned()) } else { Ok(left) };
        };
        if now >= end {
            return Err("it did not end its test".to_owned());
        }
        if now >= self.came + silence {
            return Err(format!("nothing came of it for {} s", silence.as_secs()));
        }
        Ok(end.min(self.came + silence).since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    fn left(times: &Times, now: u64) -> Option<u64> {
        times.left(at(now), "a stream").ok().map(|left| left.as_secs())
    }

    #[test]
    fn each_stream_that_joins_gives_the_next_one_its_time() {
        let mut times = Times::granted(at(0));
        assert_eq!((left(&times, 14), left(&times, 15)), (Some(1), None));
        for stream in 1..=64 {
            assert!(left(&times, stream * 10).is_some());
            times.came(at(stream * 10));
        }
        assert_eq!((left(&times, 654), left(&times, 655)), (Some(1), None));
        assert_eq!(times.left(at(655), "a stream"), Err("a stream".to_owned()));
    }

    #[test]
    fn a_test_of_which_nothing_comes_is_over_after_half_a_minute_and_any_other_after_its_end() {
        let mut times = Times::granted(at(0));
        times.begin(at(10), Duration::from_secs(3_600), Duration::ZERO);
        assert_eq!(left(&times, 39), Some(1));
        assert!(
            times.left(at(40), "").expect_err("silent").contains("nothing came of it for 30 s")
        );
        for now in (20..3_640).step_by(20) {
            assert!(left(&times, now).is_some(), "after {now} s");
            times.came(at(now));
        }
        assert_eq!(left(&times, 3_639), Some(1));
        assert!(times.left(at(3_640), "").expect_err("late").contains("did not end"));
    }

    #[test]
    fn packets_that_are_far_apart_are_no_silence() {
        let mut times = Times::granted(at(0));
        times.begin(at(0), Duration::from_secs(3_600), Duration::from_secs(120));
        assert_eq!((left(&times, 149), left(&times, 150)), (Some(1), None));
    }
}
