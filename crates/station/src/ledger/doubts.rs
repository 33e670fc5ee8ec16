//! Claims whose COMMIT was not answered: nobody carries them out, and they may be made yet.
//!
//! A node of a cluster may still have the COMMIT before it when its client has long gone on to another, and
//! puts the claim back there in vain: it lands later, and the row is running with nobody to run it. So such a
//! claim is put back again and again, until nothing can land any more.

use std::time::Duration;

use crate::{words::run::RunId, world::clock::Monotonic};

/// A COMMIT may land for so long. The kernel goes on sending what a closed connection had to say for some 100 s
/// (`tcp_orphan_retries`, tcp(7)), and a node that was stopped for longer is no part of its cluster.
const LASTS: Duration = Duration::from_secs(300);
/// How often a claim is put back.
const EVERY: Duration = Duration::from_secs(10);

/// The claims that are in doubt; `C` is what it takes to put one back.
#[derive(Debug)]
pub struct Doubts<C> {
    claims: Vec<Doubt<C>>,
    /// When they are put back next.
    next: Monotonic,
}

#[derive(Debug)]
struct Doubt<C> {
    run: RunId,
    claim: C,
    until: Monotonic,
}

impl<C> Default for Doubts<C> {
    fn default() -> Self {
        Self { claims: Vec::new(), next: Monotonic::default() }
    }
}

impl<C> Doubts<C> {
    /// Takes up claims whose COMMIT was not answered at `now`; they are to be put back at once.
    pub fn raise(&mut self, claims: impl IntoIterator<Item = (RunId, C)>, now: Monotonic) {
        for (run, claim) in claims {
            self.settle(run);
            self.claims.push(Doubt { run, claim, until: now + LASTS });
            self.next = now;
        }
    }

    /// A claim was answered, and is carried out: it must not be put back.
    pub fn settle(&mut self, run: RunId) {
        self.claims.retain(|doubt| doubt.run != run);
    }

    /// Whether there are claims that are to be put back at `now`.
    #[must_use]
    pub fn are_due(&self, now: Monotonic) -> bool {
        !self.claims.is_empty() && now >= self.next
    }

    /// The claims that are to be put back at `now`.
    pub fn due(&self, now: Monotonic) -> impl Iterator<Item = &C> {
        let due = if self.are_due(now) { &self.claims[..] } else { &[] };
        due.iter().map(|doubt| &doubt.claim)
    }

    /// Has all that are in doubt put back at once: there may be no time for it later.
    pub fn hurry(&mut self) {
        self.next = Monotonic::default();
    }

    /// What was [due](Self::due) at `now` was put back, and that is committed.
    pub fn put_back(&mut self, now: Monotonic) {
        if self.are_due(now) {
            self.claims.retain(|doubt| doubt.until > now);
            self.next = now + EVERY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: RunId = RunId { schedule_id: 1, attempt: 1 };
    const OTHER: RunId = RunId { schedule_id: 2, attempt: 1 };

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(1_000 + seconds))
    }

    fn due(doubts: &Doubts<&'static str>, now: Monotonic) -> Vec<&'static str> {
        doubts.due(now).copied().collect()
    }

    #[test]
    fn a_claim_in_doubt_is_put_back_at_once_and_again_until_nothing_can_land() {
        let mut doubts = Doubts::default();
        doubts.raise([(FIRST, "first")], at(0));
        assert_eq!(due(&doubts, at(0)), ["first"]);
        // It could not be written: it stays due.
        assert_eq!(due(&doubts, at(3)), ["first"]);
        doubts.put_back(at(3));
        assert_eq!(due(&doubts, at(12)), [""; 0]);
        let times: Vec<u64> = (4..1_000)
            .filter(|second| {
                let is_due = doubts.are_due(at(*second));
                doubts.put_back(at(*second));
                is_due
            })
            .collect();
        assert_eq!(times.first(), Some(&13));
        assert_eq!(times.last(), Some(&303), "the last time is when it cannot land any more");
    }

    #[test]
    fn one_that_was_claimed_for_sure_is_left_alone() {
        let mut doubts = Doubts::default();
        doubts.raise([(FIRST, "first"), (OTHER, "other")], at(0));
        doubts.settle(FIRST);
        assert_eq!(due(&doubts, at(1)), ["other"]);
    }

    #[test]
    fn a_daemon_that_ends_puts_back_at_once_what_it_may() {
        let mut doubts = Doubts::default();
        doubts.raise([(FIRST, "first")], at(0));
        doubts.put_back(at(0));
        assert_eq!(due(&doubts, at(1)), [""; 0]);
        doubts.hurry();
        assert_eq!(due(&doubts, at(1)), ["first"]);
    }

    #[test]
    fn one_that_is_in_doubt_twice_counts_once_and_from_the_later_time_on() {
        let mut doubts = Doubts::default();
        doubts.raise([(FIRST, "first")], at(0));
        doubts.put_back(at(0));
        doubts.raise([(FIRST, "again")], at(299));
        doubts.put_back(at(299));
        assert_eq!(due(&doubts, at(400)), ["again"]);
    }
}
