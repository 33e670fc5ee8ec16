//! Whether the runs that must be alone fit into the time: arithmetic, from values to values.
//!
//! They go strictly one after the other, so each second of one is a second in which no other can run. A
//! set of specifications fits if, taking all the time that they are allotted,
//!
//! - together they take no more than the whole time, and
//! - each can wait for all others once, as it must when all are due at the same time, and still start
//!   within its window; a run that waits longer is missed.
//!
//! More than one wait of each other is not possible as long as the first holds. What happens beyond (all
//! take their grace, too) is told, and is no reason to say that they do not fit.

mod advice;
mod measured;
mod report;

use station::words::toolspec::{self, TestType, ToolSpec};

pub(crate) use self::{
    measured::{Measured, measured},
    report::Report,
};

/// All the time there is; sums of shares are not exact.
pub(crate) const WHOLE: f64 = 1.0 + 1e-9;

/// What a specification claims of the time in which only one may run. All times are in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claim {
    pub(crate) node: String,
    pub(crate) tool: String,
    pub(crate) variant: String,
    /// `time2run`, what it is allotted; at least 1.
    pub(crate) time: u32,
    /// What a run may take beyond that before it is ended.
    pub(crate) grace: u32,
    /// `runinterval`; at least 1.
    pub(crate) interval: u32,
    /// `latestart`, if the specification has one; else a run may wait its whole interval.
    pub(crate) latest: Option<u32>,
    /// What its last runs took.
    pub(crate) measured: Option<Measured>,
}

impl Claim {
    /// What a specification claims; nothing if its runs go side by side with others.
    pub(crate) fn of(spec: &ToolSpec) -> Option<Self> {
        (spec.testtype == TestType::BackgroundSyn).then(|| Self {
            node: spec.key.dest.to_string(),
            tool: spec.key.tool.to_string(),
            variant: spec.key.variant.clone(),
            time: spec.time2run.seconds(),
            grace: spec.grace,
            interval: spec.runinterval.seconds(),
            latest: spec.late_start.map(station::text::Period::seconds),
            measured: None,
        })
    }

    /// The share of the time that it is allotted.
    pub(crate) fn share(&self) -> f64 {
        f64::from(self.time) / f64::from(self.interval)
    }

    /// After so many seconds a run is ended from outside.
    fn limit(&self) -> u64 {
        u64::from(self.time) + u64::from(self.grace)
    }

    /// So many seconds a run may wait for its turn.
    fn window(&self) -> u64 {
        u64::from(self.latest.unwrap_or_else(|| toolspec::usual_wait(self.interval)))
    }
}

/// Whether the runs of a specification start in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Window {
    /// They do, even if all others are due with them and take as long as they may.
    Kept,
    /// They do, unless many of the others take their grace, too.
    KeptUnlessOthersOverrun,
    /// They do not when all others are due with them, though each takes no more than it is allotted.
    NotKept,
}

/// What the claims come to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fit {
    /// The share of the time that they are allotted; more than 1 is too much.
    pub(crate) share: f64,
    /// The share that they take if each run is ended at its limit only.
    pub(crate) worst_share: f64,
    /// The share that they take if they go on as their last runs did; what was not measured counts as
    /// allotted.
    pub(crate) measured_share: f64,
    /// The sum of one run of each, as allotted.
    total: u64,
    /// The same, at the limits.
    worst_total: u64,
}

impl Fit {
    pub(crate) fn of(claims: &[Claim]) -> Self {
        // An empty sum of floating-point numbers is -0.
        let sum = |share: &dyn Fn(&Claim) -> f64| claims.iter().map(share).sum::<f64>() + 0.0;
        let per_interval = |seconds: f64, claim: &Claim| seconds / f64::from(claim.interval);
        Self {
            share: sum(&Claim::share),
            worst_share: sum(&|claim| claim.share() + per_interval(f64::from(claim.grace), claim)),
            measured_share: sum(&|claim| match &claim.measured {
                Some(measured) => per_interval(measured.median, claim),
                None => claim.share(),
            }),
            total: claims.iter().map(|claim| u64::from(claim.time)).sum(),
            worst_total: claims.iter().map(Claim::limit).sum(),
        }
    }

    /// So many seconds a run of `claim`, one of the claims, waits if all others are due with it.
    pub(crate) fn wait(&self, claim: &Claim) -> u64 {
        self.total - u64::from(claim.time)
    }

    /// The same, if all others take as long as they may.
    pub(crate) fn worst_wait(&self, claim: &Claim) -> u64 {
        self.worst_total - claim.limit()
    }

    pub(crate) fn window(&self, claim: &Claim) -> Window {
        if self.wait(claim) > claim.window() {
            Window::NotKept
        } else if self.worst_wait(claim) > claim.window() || self.worst_share > WHOLE {
            Window::KeptUnlessOthersOverrun
        } else {
            Window::Kept
        }
    }
}

/// Whether all of them fit.
pub(crate) fn fits(claims: &[Claim]) -> bool {
    let fit = Fit::of(claims);
    fit.share <= WHOLE && claims.iter().all(|claim| fit.window(claim) != Window::NotKept)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A claim of a tool on a node.
    pub(crate) fn claim(tool: &str, node: usize, time: u32, interval: u32) -> Claim {
        Claim {
            node: format!("n{node}"),
            tool: tool.to_owned(),
            variant: String::new(),
            time,
            grace: 10,
            interval,
            latest: None,
            measured: None,
        }
    }

    /// The original's two tools to so many targets.
    pub(crate) fn original(targets: usize) -> Vec<Claim> {
        let both = |node| ["iperf", "miperf"].map(|tool| claim(tool, node, 30, 1_800));
        (0..targets).flat_map(both).collect()
    }

    #[test]
    fn thirty_targets_of_the_originals_tools_fit_and_not_one_more() {
        let fit = Fit::of(&original(30));
        assert!((fit.share - 1.0).abs() < 1e-9 && (fit.worst_share - 4.0 / 3.0).abs() < 1e-9);
        assert!(fits(&original(30)) && !fits(&original(31)));
        let claim = &original(1)[0];
        assert_eq!((fit.wait(claim), fit.worst_wait(claim)), (59 * 30, 59 * 40));
        assert_eq!(fit.window(claim), Window::KeptUnlessOthersOverrun);
        assert_eq!(Fit::of(&original(20)).window(claim), Window::Kept);
    }

    #[test]
    fn a_claim_is_what_its_specification_says() {
        let rows = "s,a,iperf,background-syn,30,1800,,\ns,a,ping,background,15,600,,\n";
        let specs = crate::testing::specs(rows);
        let claims: Vec<Claim> = specs.iter().filter_map(|it| Claim::of(&it.spec)).collect();
        let [claim] = &claims[..] else { panic!("{claims:?}") };
        assert_eq!(
            *claim,
            Claim { node: "a".to_owned(), ..super::tests::claim("iperf", 0, 30, 1_800) }
        );
        assert_eq!(claim.window(), specs[0].spec.window().as_secs());
        assert_eq!(claim.limit(), specs[0].spec.limit().as_secs());
    }

    #[test]
    fn nothing_fits_and_one_alone_fits_always() {
        let none = Fit::of(&[]);
        assert!(fits(&[]) && none.share == 0.0 && none.share.is_sign_positive());
        let one = [claim("iperf", 0, 1_800, 1_800)];
        assert!(fits(&one));
        assert_eq!(Fit::of(&one).wait(&one[0]), 0);
    }

    #[test]
    fn a_long_run_does_not_fit_with_one_that_is_due_soon_again() {
        let mut claims = vec![claim("iperf", 0, 10, 60), claim("pathload", 0, 100, 1_000)];
        let fit = Fit::of(&claims);
        assert!(fit.share < 0.27 && !fits(&claims));
        assert_eq!(fit.window(&claims[0]), Window::NotKept);
        assert_eq!(fit.window(&claims[1]), Window::Kept);
        claims[1].time = 50;
        assert_eq!(Fit::of(&claims).window(&claims[0]), Window::KeptUnlessOthersOverrun);
        // A window of its own counts, not the interval.
        claims[1].latest = Some(9);
        assert!(!fits(&claims));
    }

    #[test]
    fn what_was_measured_counts_in_place_of_what_is_allotted() {
        let mut claims = original(30);
        for claim in claims.iter_mut().filter(|claim| claim.tool == "iperf") {
            claim.measured = Some(Measured { runs: 9, median: 21.0, longest: 22.0 });
        }
        assert!((Fit::of(&claims).measured_share - 0.85).abs() < 1e-9);
    }
}
