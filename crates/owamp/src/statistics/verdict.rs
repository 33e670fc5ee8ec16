//! What a session's figures are not to be taken for.

use std::fmt;

use super::{Known, NOTABLE_NS, Percent, Summary};

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
    /// No packet came in time by the clocks, which are further apart than the time-out: all count as lost, and the
    /// network did not lose them.
    ClocksApart,
    /// Packets came later than the time-out by the clocks, others in time: they count as lost.
    BeyondTimeout,
}

impl Verdict {
    pub(super) fn all_of(summary: &Summary, known: &Known) -> Vec<Self> {
        let p99 = summary.lateness.percentile(Percent::P99);
        let is_late = p99.is_some_and(|late| late > NOTABLE_NS) || summary.skipped > 0;
        let (is_beyond, is_none) = (summary.beyond_timeout > 0, summary.received() == 0);
        let all = [
            (Self::LateSender, is_late),
            (Self::OwnDrops, summary.own_drops > 0),
            (Self::ClockStep, summary.clocks.steps > 0),
            (Self::ClocksDisagree, summary.clocks.impossible > 0),
            (Self::ClocksApart, known.clocks_apart || (is_beyond && is_none)),
            (Self::BeyondTimeout, is_beyond && !is_none),
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
            Self::ClocksApart => "clocks apart",
            Self::BeyondTimeout => "beyond time-out",
        }
    }

    /// What that means for the figures.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::LateSender => {
                "packets left late, or not at all: the stream was not the one that was asked for"
            }
            Self::OwnDrops => {
                "this machine dropped packets that the network had brought: they count as lost"
            }
            Self::ClockStep => {
                "this machine's clock was set meanwhile: delays before and after do not compare"
            }
            Self::ClocksDisagree => {
                "delays are below zero by more than the clocks admit to: one of them is wrong"
            }
            Self::ClocksApart => {
                "the clocks of both hosts are further apart than the time-out: what the network brought counts as lost"
            }
            Self::BeyondTimeout => {
                "packets came later than the time-out, by the clocks of both hosts: they count as lost"
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
