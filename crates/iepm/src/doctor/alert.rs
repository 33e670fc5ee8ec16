//! What is told of what is found: what is new, once, and that it is over, once. A value.
//!
//! What is critical is told at once. A warning must be there in two runs in a row, so that a daemon that
//! is just being started anew is no alarm; and nothing is over before two runs in a row have not found
//! it, so that what comes and goes is not told each time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::{Finding, Severity};

/// So many runs in a row make a warning, or the end of what was told.
const RUNS: u32 = 2;
/// Characters.
const LONGEST_SUBJECT: usize = 150;

/// What one run leaves to the next, as JSON in `<keepalives>/doctor.state`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// Findings that were not told yet, and in how many runs in a row they were there.
    seen: BTreeMap<String, u32>,
    told: BTreeMap<String, Told>,
    /// Why the last alert could not be sent; empty when it could.
    pub(super) failing: String,
}

/// A finding that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    severity: Severity,
    what: String,
    /// In how many runs in a row it was not there.
    absent: u32,
}

/// What is to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) new: Vec<Finding>,
    /// What is over, in the words in which it was told.
    pub(super) over: Vec<String>,
    /// How many were told before and are still there.
    pub(super) lasting: usize,
}

impl State {
    /// Compares what is found with what was told; gives the state once the alert is sent. While the
    /// station is `held` nothing is over: what does not run then, runs on purpose no more.
    pub(super) fn compare(&self, findings: &[Finding], held: bool) -> (Self, Alert) {
        let severe = || findings.iter().filter(|finding| finding.severity > Severity::Note);
        let (mut next, mut alert) = (Self::default(), Alert::default());
        for finding in severe() {
            let runs = self.seen.get(&finding.key).map_or(1, |runs| runs.saturating_add(1));
            let before = self.told.get(&finding.key);
            let is_known = before.is_some_and(|told| told.severity >= finding.severity);
            if is_known {
                alert.lasting += 1;
            } else if finding.severity == Severity::Critical || runs >= RUNS {
                alert.new.push(finding.clone());
            } else {
                next.seen.insert(finding.key.clone(), runs);
                continue;
            }
            let worst = before.map_or(finding.severity, |told| told.severity.max(finding.severity));
            // What grows better and worse in turn is told at its worst, once.
            let told = Told { severity: worst, ..Told::of(finding) };
            next.told.insert(finding.key.clone(), told);
        }
        for (key, told) in self.told.iter().filter(|(key, _)| severe().all(|f| f.key != **key)) {
            let absent = if held { 0 } else { told.absent.saturating_add(1) };
            if absent >= RUNS {
                alert.over.push(told.what.clone());
            } else {
                alert.lasting += 1;
                next.told.insert(key.clone(), Told { absent, ..told.clone() });
            }
        }
        (next, alert)
    }

    /// Whether a finding was told, and is not over.
    pub(super) fn has_told(&self, key: &str) -> bool {
        self.told.contains_key(key)
    }

    /// The state when the alert could not be sent: it is tried again by the next run.
    pub(super) fn unsent(&self, next: &Self, failing: &str) -> Self {
        let mut seen = next.seen.clone();
        // What was to be told counts as often seen as it must be.
        let untold = next.told.keys().filter(|key| !self.told.contains_key(*key));
        seen.extend(untold.map(|key| (key.clone(), RUNS)));
        let mut told = self.told.clone();
        for (key, told) in &mut told {
            let over = !next.told.contains_key(key);
            told.absent = if over { RUNS } else { next.told[key].absent };
        }
        Self { seen, told, failing: failing.to_owned() }
    }
}

impl Told {
    fn of(finding: &Finding) -> Self {
        Self { severity: finding.severity, what: finding.what.clone(), absent: 0 }
    }
}

impl Alert {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.new.is_empty() && self.over.is_empty()
    }

    /// In one line: the worst that is new, or that something is over.
    pub(super) fn subject(&self, station: &str) -> String {
        self.whole_subject(station).chars().take(LONGEST_SUBJECT).collect()
    }

    fn whole_subject(&self, station: &str) -> String {
        let more = |number: usize| match number {
            0 | 1 => String::new(),
            number => format!(" (and {} more)", number - 1),
        };
        match (self.new.first(), self.over.first()) {
            (Some(worst), _) => {
                let (severity, what) = (worst.severity.as_str(), &worst.what);
                format!("iepm {station}: {severity}: {what}{}", more(self.new.len()))
            }
            (None, Some(_)) if self.lasting == 0 => format!("iepm {station}: well again"),
            (None, Some(what)) => format!("iepm {station}: over: {what}{}", more(self.over.len())),
            (None, None) => format!("iepm {station}: nothing new"),
        }
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        let new = self.new.iter().map(Finding::text);
        let over = self.over.iter().map(|what| format!("{:<10}{what}\n", "over"));
        let lasting = match self.lasting {
            0 => None,
            number => Some(format!("\nand as before: {number}; `iepm doctor` shows all\n")),
        };
        new.chain(over).chain(lasting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pingd() -> Finding {
        Finding::warning("daemon pingd", "pingd does not run", "wait")
    }

    fn disk() -> Finding {
        Finding::critical("disk /", "the disk is full", "make room")
    }

    /// What is told in each of several runs.
    fn runs(found: &[&[Finding]]) -> Vec<(usize, usize)> {
        let mut state = State::default();
        let run = |findings: &&[Finding]| {
            let (next, alert) = state.compare(findings, false);
            state = next;
            (alert.new.len(), alert.over.len())
        };
        found.iter().map(run).collect()
    }

    #[test]
    fn a_warning_is_told_in_its_second_run_and_once() {
        let warned: &[Finding] = &[pingd()];
        assert_eq!(runs(&[warned, warned, warned]), [(0, 0), (1, 0), (0, 0)]);
        assert_eq!(runs(&[warned, &[], warned, &[]]), [(0, 0); 4], "a restart is no alarm");
    }

    #[test]
    fn what_is_critical_is_told_at_once_and_once() {
        assert_eq!(runs(&[&[disk()], &[disk()]]), [(1, 0), (0, 0)]);
    }

    #[test]
    fn what_is_over_is_told_after_two_runs_and_once() {
        let full: &[Finding] = &[disk()];
        assert_eq!(runs(&[full, &[], &[], &[]]), [(1, 0), (0, 0), (0, 1), (0, 0)]);
        assert_eq!(runs(&[full, &[], full, &[], full]), [(1, 0), (0, 0), (0, 0), (0, 0), (0, 0)]);
    }

    #[test]
    fn what_grows_worse_is_told_again_and_what_goes_up_and_down_is_not() {
        let low = Finding::warning("disk /", "the disk is nearly full", "make room");
        let (low, full): (&[Finding], &[Finding]) = (&[low], &[disk()]);
        assert_eq!(runs(&[low, low, full, low, full]), [(0, 0), (1, 0), (1, 0), (0, 0), (0, 0)]);
    }

    #[test]
    fn notes_are_not_told() {
        let note = Finding::note("n", "a note", "nothing");
        let notes: &[Finding] = &[note];
        assert_eq!(runs(&[notes, notes, notes]), [(0, 0); 3]);
    }

    #[test]
    fn while_the_station_is_held_nothing_is_over() {
        let (mut state, alert) = State::default().compare(&[disk()], false);
        assert_eq!(alert.new.len(), 1);
        for _ in 0..5 {
            let (next, alert) = state.compare(&[], true);
            assert!(alert.is_empty());
            state = next;
        }
    }

    #[test]
    fn what_could_not_be_sent_is_sent_by_the_next_run() {
        let none = State::default();
        let (next, alert) = none.compare(&[disk()], false);
        let unsent = none.unsent(&next, "no mail");
        let (next, again) = unsent.compare(&[disk()], false);
        assert_eq!((&again.new, unsent.failing.as_str()), (&alert.new, "no mail"));
        let (after, _) = next.compare(&[], false);
        let (gone, over) = after.compare(&[], false);
        assert_eq!(over.over, ["the disk is full"]);
        let unsent = after.unsent(&gone, "no mail");
        assert_eq!(unsent.compare(&[], false).1.over, ["the disk is full"]);
    }

    #[test]
    fn the_subject_says_the_worst_in_a_line() {
        let alert = |new: &[Finding], over: &[&str], lasting| Alert {
            new: new.to_vec(),
            over: over.iter().map(|what| (*what).to_owned()).collect(),
            lasting,
        };
        let both = alert(&[disk(), pingd()], &["old"], 1);
        assert_eq!(both.subject("s"), "iepm s: critical: the disk is full (and 1 more)");
        assert_eq!(
            both.text(),
            "critical  the disk is full\n          make room\nwarning   pingd does not run\n          wait\n\
             over      old\n\nand as before: 1; `iepm doctor` shows all\n"
        );
        assert_eq!(alert(&[], &["old"], 0).subject("s"), "iepm s: well again");
        assert_eq!(alert(&[], &["old", "b"], 1).subject("s"), "iepm s: over: old (and 1 more)");
    }
}
