//! What the log is told, so that nobody fills it: lines of sessions up to so many a minute, and of all else a sum.

use std::{collections::BTreeMap, time::Duration};

use timed_udp::clock::Mono;

use super::talk::Heard;
use crate::protocol::message::Reason;

/// Lines of sessions that begin and end, a minute.
const LINES: u32 = 60;
pub(super) const A_MINUTE: Duration = Duration::from_secs(60);

/// Of a minute.
#[derive(Debug)]
pub(super) struct Tally {
    since: Mono,
    lines: u32,
    unwritten: u32,
    counts: BTreeMap<&'static str, u64>,
    dropped: u64,
}

impl Tally {
    pub(super) fn new(now: Mono) -> Self {
        Self { since: now, lines: 0, unwritten: 0, counts: BTreeMap::new(), dropped: 0 }
    }

    /// Counts what is of interest.
    pub(super) fn count(&mut self, heard: Heard) {
        if let Some(what) = what(heard) {
            *self.counts.entry(what).or_default() += 1;
        }
    }

    /// Tells of a session, if there were not too many lines already.
    pub(super) fn session(&mut self, line: &str) {
        if self.lines < LINES {
            self.lines += 1;
            log::info!("{line}");
        } else {
            self.unwritten += 1;
            log::debug!("{line}");
        }
    }

    /// Every minute: what there was. `dropped` is what our queues have dropped so far.
    pub(super) fn look(&mut self, now: Mono, dropped: u64) {
        if now.since(self.since) >= A_MINUTE {
            self.tell(dropped);
            *self = Self { dropped, ..Self::new(now) };
        }
    }

    pub(super) fn tell(&self, dropped: u64) {
        if let Some(line) = self.line(dropped) {
            log::warn!("{line}");
        }
    }

    fn line(&self, dropped: u64) -> Option<String> {
        let mut parts: Vec<String> =
            self.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        if self.unwritten > 0 {
            parts.push(format!("{} more lines of sessions (-v writes them)", self.unwritten));
        }
        let dropped = dropped.saturating_sub(self.dropped);
        if dropped > 0 {
            parts.push(format!(
                "{dropped} that our own queue dropped: more came than this machine takes"
            ));
        }
        (!parts.is_empty()).then(|| format!("in a minute there were: {}", parts.join(", ")))
    }
}

/// What is told of a message; nothing of those that are as they should be.
fn what(heard: Heard) -> Option<&'static str> {
    match heard {
        Heard::Hello | Heard::Began | Heard::Again | Heard::Lives | Heard::Ended => None,
        Heard::Refused(Reason::Busy) => Some("requests refused, as all sessions were taken"),
        Heard::Refused(Reason::BusyForAddress) => {
            Some("requests refused, as their address has its sessions already")
        }
        Heard::Refused(_) => Some("requests refused, as they want what the limits forbid"),
        Heard::NoCookie => Some("requests without a good cookie"),
        Heard::Replayed => Some("requests that were granted before"),
        Heard::NoSession => Some("messages of sessions that there are not"),
        Heard::Nobody => Some("messages from addresses that are nobody's"),
        Heard::Wrong(_) => Some("packets that make no sense"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Wrong;

    #[test]
    fn what_is_as_it_should_be_is_not_told_and_the_rest_in_one_line() {
        let mut tally = Tally::new(Mono(0));
        for heard in [Heard::Hello, Heard::Began, Heard::Lives] {
            tally.count(heard);
        }
        assert_eq!(tally.line(0), None);
        (0..9_000).for_each(|_| tally.count(Heard::Wrong(Wrong::NotOurs)));
        tally.count(Heard::NoCookie);
        assert_eq!(
            tally.line(0).as_deref(),
            Some(
                "in a minute there were: 9000 packets that make no sense, 1 requests without a good cookie"
            )
        );
    }

    #[test]
    fn a_crowd_of_sessions_does_not_fill_the_log() {
        let mut tally = Tally::new(Mono(0));
        (0..100).for_each(|_| tally.session("one"));
        assert_eq!((tally.lines, tally.unwritten), (60, 40));
    }
}
