//! What a session's figures are not to be taken for.

use std::fmt;

use super::{NOTABLE_NS, Percent, Summary};

/// Why figures may not be the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// More than one packet in a hundred was sent later than 1 ms after its time, or packets were left out for being
    /// late: the stream was not the one that was asked for. Delays are right all the same, as each counts from when
    /// its packet was sent.
    LateSender,
    /// Our own machine dropped packets, which count as lost.
    OwnDrops,
    /// Our clock was set while the session went on.
    ClockStep,
    /// Delays below zero by more than the error that the clocks admit to: one of them is wrong.
    ClocksDisagree,
}

impl Verdict {
    pub(super) fn all_of(summary: &Summary) -> Vec<Self> {
        let p99 = summary.lateness.percentile(Percent::P99);
        let is_late = p99.is_some_and(|late| late > NOTABLE_NS) || summary.skipped > 0;
        let all = [
            (Self::LateSender, is_late),
            (Self::OwnDrops, summary.own_drops > 0),
            (Self::ClockStep, summary.clocks.steps > 0),
            (Self::ClocksDisagree, summary.clocks.impossible > 0),
        ];
        all.into_iter().filter(|(_, is)| *is).map(|(verdict, _)| verdict).collect()
    }

    /// In two words, as tables have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LateSender => "late sender",
            Self::OwnDrops => "own drops",
            Self::ClockStep => "clock step",
            Self::ClocksDisagree => "clocks disagree",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
