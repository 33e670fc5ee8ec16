//! What came of a try: whether its server is to be tried again, and what it used up.

use std::time::Duration;

use readings::{Kind, Output, Problem};
use station::{text::Timestamp, words::run::Ended};

/// The first pause before another try, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// In a few words.
    pub outcome: String,
    /// Bytes that were sent, where that is known.
    pub bytes: Option<u64>,
    /// Whether the server was there but would not serve, or was not there: another try may do better.
    pub again: bool,
}

/// Judges what a tool left behind.
#[must_use]
pub fn judge(tool: &str, stdout: &[u8], stderr: &[u8], ended: &Ended) -> Verdict {
    let output = Output { stdout, stderr, end: ended.into() };
    match readings::read(tool, &output) {
        Ok(reading) => Verdict {
            outcome: reading.problem().map_or_else(|| "well".to_owned(), told),
            bytes: reading.bytes(),
            again: reading.problem().is_some_and(may_do_better) && !reading.has_figures(),
        },
        Err(unreadable) => {
            Verdict { outcome: format!("not understood: {unreadable}"), bytes: None, again: false }
        }
    }
}

fn told(problem: &Problem) -> String {
    format!("{}: {}", problem.kind, problem.text)
}

/// A server that is not there, or serves somebody else, may be there in a while.
fn may_do_better(problem: &Problem) -> bool {
    matches!(problem.kind, Kind::Refused | Kind::Busy)
}

/// When a run is tried again whose try number `tries` (1: the first) ended at `now`; nothing if that would
/// be after `latest`.
#[must_use]
pub fn next_try(now: Timestamp, tries: i64, latest: Timestamp) -> Option<Timestamp> {
    let (first, longest) = PAUSES;
    let doubled = u32::try_from(tries.clamp(1, 16) - 1).unwrap_or(0);
    let pause = first.saturating_mul(1 << doubled).min(longest);
    Some(now + pause).filter(|at| *at <= latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_with_the_window() {
        let next =
            |tries: i64, latest: i64| next_try(Timestamp(0), tries, Timestamp(latest * 1_000_000));
        let seconds = |at: Option<Timestamp>| at.map(Timestamp::seconds);
        let pauses = [1, 2, 3, 7, 60].map(|tries| seconds(next(tries, 9_999)));
        assert_eq!(pauses, [5, 10, 20, 300, 300].map(Some));
        assert_eq!(next(1, 4), None);
    }

    #[test]
    fn what_nobody_understands_is_not_tried_again() {
        let verdict = judge("nosuch", b"x", b"", &Ended::Exited { status: 0 });
        assert!(verdict.outcome.starts_with("not understood") && !verdict.again);
    }
}
