//! What the clock was worth while a session went on.

use timed_udp::clock::{ClockState, Step};

/// The wall clock of this machine during a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockReport {
    /// When it began.
    pub at_start: ClockState,
    /// When it ended.
    pub at_end: ClockState,
    /// When somebody set it meanwhile, seen up to a second later; at most [`MOST_STEPS`].
    pub steps: Vec<Step>,
}

/// Steps that are noted of one session. Who sets a clock more often has other troubles.
pub const MOST_STEPS: usize = 64;

/// The steps since the program began, for sessions that begin and end at any time. The oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct Steps {
    forgotten: usize,
    kept: Vec<Step>,
}

impl Steps {
    pub(super) fn note(&mut self, step: Step) {
        if self.kept.len() >= 2 * MOST_STEPS {
            self.kept.drain(..MOST_STEPS);
            self.forgotten += MOST_STEPS;
        }
        self.kept.push(step);
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.forgotten + self.kept.len()
    }

    /// Those after the first so many.
    pub(super) fn after(&self, count: usize) -> Vec<Step> {
        let from = count.saturating_sub(self.forgotten).min(self.kept.len());
        self.kept[from..].iter().copied().take(MOST_STEPS).collect()
    }
}

#[cfg(test)]
mod tests {
    use timed_udp::ntp::NtpTime;

    use super::*;

    #[test]
    fn a_session_is_told_the_steps_of_its_own_time() {
        let mut steps = Steps::default();
        let step = |nanos| Step { nanos, seen: NtpTime(1) };
        steps.note(step(1));
        let begun = steps.count();
        assert_eq!(steps.after(begun), []);
        steps.note(step(2));
        assert_eq!(steps.after(begun), [step(2)]);
        (0..1_000).for_each(|nanos| steps.note(step(nanos)));
        assert!(steps.kept.len() <= 2 * MOST_STEPS);
        assert_eq!(steps.after(begun).len(), MOST_STEPS);
        assert_eq!(steps.after(steps.count()), []);
    }
}
