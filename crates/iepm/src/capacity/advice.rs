//! What to change so that runs that must be alone fit: each piece of advice is enough by itself.

use std::collections::BTreeSet;

use serde::Serialize;
use station::words::toolspec;

use super::{Claim, Fit, WHOLE, Window, fits};

/// A run that is shorter says little of a path: no advice goes below, seconds.
const SHORTEST: u32 = 5;
/// Intervals are rounded up to these, seconds: the first whose hundredfold they do not reach.
const STEPS: [u32; 3] = [1, 10, 60];
/// No interval is longer, seconds.
const LONGEST: f64 = 31_622_400.0;
/// So many targets are named.
const NAMED: usize = 5;

/// A change after which all fit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Advice {
    /// What to do, for people.
    pub(crate) what: String,
    /// The share of the time that is allotted then.
    pub(crate) share: f64,
    /// The claims then.
    #[serde(skip)]
    pub(super) claims: Vec<Claim>,
}

impl Advice {
    fn of(what: String, claims: Vec<Claim>) -> Self {
        Self { what, share: Fit::of(&claims).share, claims }
    }
}

/// All that helps; nothing if they fit already.
pub(super) fn advice(claims: &[Claim]) -> Vec<Advice> {
    if fits(claims) {
        return Vec::new();
    }
    let changes = [later_starts, as_measured, longer_intervals, shorter_runs];
    let mut all: Vec<Advice> = changes.iter().filter_map(|change| change(claims)).collect();
    let tools: BTreeSet<&str> = claims.iter().map(|claim| claim.tool.as_str()).collect();
    all.extend(tools.into_iter().filter_map(|tool| fewer_targets(claims, tool)));
    all
}

/// The claims, changed, if they fit then.
fn changed(claims: &[Claim], change: impl Fn(&mut Claim)) -> Option<Vec<Claim>> {
    let mut claims = claims.to_vec();
    claims.iter_mut().for_each(change);
    fits(&claims).then_some(claims)
}

/// By how many times too much of the time is taken: by all together, or by those that one waits for.
fn excess(claims: &[Claim]) -> f64 {
    largest(claims, |claim, wait| ratio(wait, claim.window()))
}

/// By how many times intervals are too short: of a run without a window of its own the interval must be a
/// little longer than the wait.
fn shortage(claims: &[Claim]) -> f64 {
    largest(claims, |claim, wait| match claim.latest {
        Some(_) => ratio(wait, claim.window()),
        None if wait <= claim.window() => 0.0,
        None => ratio(wait + u64::from(toolspec::BEFORE_NEXT), u64::from(claim.interval)),
    })
}

fn largest(claims: &[Claim], of: impl Fn(&Claim, u64) -> f64) -> f64 {
    let fit = Fit::of(claims);
    claims.iter().map(|claim| of(claim, fit.wait(claim))).fold(fit.share, f64::max)
}

#[expect(clippy::cast_precision_loss, reason = "seconds of some years")]
fn ratio(wait: u64, window: u64) -> f64 {
    wait as f64 / window as f64
}

fn longer_intervals(claims: &[Claim]) -> Option<Advice> {
    let longer = |claims: &[Claim]| {
        let times = shortage(claims);
        let too_long = |claim: &Claim| f64::from(claim.interval) * times > LONGEST - 60.0;
        if claims.iter().any(too_long) {
            return None;
        }
        changed(claims, |claim| claim.interval = rounded_up(claim.interval, times))
    };
    let what = |then: &[Claim]| differences("runinterval", claims, then, |claim| claim.interval);
    if let Some(then) = longer(claims) {
        return Some(Advice::of(what(&then), then));
    }
    // Windows of their own do not become longer with the intervals.
    let open: Vec<Claim> =
        claims.iter().map(|claim| Claim { latest: None, ..claim.clone() }).collect();
    let then = longer(&open)?;
    let is_same = then.iter().zip(claims).all(|(new, old)| new.interval == old.interval);
    let what = if is_same {
        "latestart empty for all".to_owned()
    } else {
        what(&then) + ", and latestart empty"
    };
    Some(Advice::of(what, then))
}

/// `interval` so many times, on a round number of seconds that is not less.
fn rounded_up(interval: u32, times: f64) -> u32 {
    let exact = f64::from(interval) * times;
    let step = STEPS.into_iter().find(|step| exact < f64::from(100 * step)).unwrap_or(60);
    // What is a hair above a round number is that number: shares are not exact.
    let steps = (exact / f64::from(step) - 1e-6).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to LONGEST")]
    let steps = steps as u32;
    (steps * step).max(interval)
}

fn shorter_runs(claims: &[Claim]) -> Option<Advice> {
    let times = excess(claims);
    let then = changed(claims, |claim| claim.time = shortened(claim.time, times))?;
    if then.iter().any(|claim| claim.time < SHORTEST) {
        return None;
    }
    let what = differences("time2run", claims, &then, |claim| claim.time);
    Some(Advice::of(what + ", and the tool's own -t with it", then))
}

fn shortened(time: u32, times: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "less than time")]
    let shorter = (f64::from(time) / times + 1e-6).floor() as u32;
    shorter.clamp(1, time)
}

/// What is allotted and was never needed can go.
fn as_measured(claims: &[Claim]) -> Option<Advice> {
    let then = changed(claims, |claim| {
        if let Some(measured) = &claim.measured {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds")]
            let needed = measured.longest.ceil() as u32 + 1;
            claim.time = claim.time.min(needed);
        }
    })?;
    let what = differences("time2run", claims, &then, |claim| claim.time);
    Some(Advice::of(what + ": no run of the last 7 days took longer", then))
}

/// A run may wait until the next one of its specification is due.
fn later_starts(claims: &[Claim]) -> Option<Advice> {
    let fit = Fit::of(claims);
    if fit.share > WHOLE {
        return None;
    }
    let then = changed(claims, |claim| {
        if fit.window(claim) == Window::NotKept {
            claim.latest =
                u32::try_from(fit.wait(claim)).ok().filter(|wait| *wait <= claim.interval);
        }
    })?;
    let window = |claim: &Claim| u32::try_from(claim.window()).unwrap_or(u32::MAX);
    Some(Advice::of(differences("latestart", claims, &then, window), then))
}

/// As many targets of a tool as fit beside all others.
fn fewer_targets(claims: &[Claim], tool: &str) -> Option<Advice> {
    let targets = claims.iter().filter(|claim| claim.tool == tool).count();
    (0..targets).rev().find_map(|kept| {
        let (then, dropped) = with_targets(claims, tool, kept);
        fits(&then).then(|| Advice::of(fewer(tool, kept, targets, &dropped), then))
    })
}

/// The claims with the first so many of a tool's, and the nodes of the others.
fn with_targets(claims: &[Claim], tool: &str, kept: usize) -> (Vec<Claim>, Vec<String>) {
    let (mut then, mut dropped, mut seen) = (Vec::new(), Vec::new(), 0);
    for claim in claims {
        seen += usize::from(claim.tool == tool);
        if claim.tool == tool && seen > kept {
            dropped.push(claim.node.clone());
        } else {
            then.push(claim.clone());
        }
    }
    (then, dropped)
}

fn fewer(tool: &str, kept: usize, targets: usize, dropped: &[String]) -> String {
    if kept == 0 {
        return format!("{tool} to no target: toolDo 0");
    }
    let named = dropped[..dropped.len().min(NAMED)].join(", ");
    let more = dropped.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{tool} to {kept} of its {targets} targets: without {named}{more}, for example")
}

/// What is another in a column, said once for all that it is the same of.
fn differences(
    column: &str,
    before: &[Claim],
    after: &[Claim],
    value: impl Fn(&Claim) -> u32,
) -> String {
    let mut seen: BTreeSet<(u32, u32)> = BTreeSet::new();
    let mut of_tools: BTreeSet<(u32, u32, &str)> = BTreeSet::new();
    for (old, new) in before.iter().zip(after).filter(|(old, new)| value(old) != value(new)) {
        seen.insert((value(old), value(new)));
        of_tools.insert((value(old), value(new), &old.tool));
    }
    let all_change = before.iter().zip(after).all(|(old, new)| value(old) != value(new));
    let change = |(old, new): &(u32, u32)| {
        let here = of_tools.iter().filter(|it| (it.0, it.1) == (*old, *new));
        let tools: Vec<&str> = here.map(|it| it.2).collect();
        let whom = if seen.len() == 1 && all_change { "all".to_owned() } else { tools.join(", ") };
        format!("{old} -> {new} for {whom}")
    };
    format!("{column} {}", seen.iter().map(change).collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{
        Measured,
        tests::{claim, original},
    };
    use super::*;

    fn told(claims: &[Claim]) -> Vec<String> {
        advice(claims).into_iter().map(|advice| advice.what).collect()
    }

    #[test]
    fn forty_targets_of_the_originals_tools_need_a_change() {
        assert_eq!(told(&original(30)), [""; 0]);
        assert_eq!(
            told(&original(40)),
            [
                "runinterval 1800 -> 2400 for all",
                "time2run 30 -> 22 for all, and the tool's own -t with it",
                "iperf to 20 of its 40 targets: without n20, n21, n22, n23, n24 and 15 more, for example",
                "miperf to 20 of its 40 targets: without n20, n21, n22, n23, n24 and 15 more, for example",
            ]
        );
    }

    #[test]
    fn what_runs_really_took_is_advice() {
        let mut claims = original(40);
        for claim in &mut claims {
            claim.measured = Some(Measured { runs: 9, median: 20.4, longest: 20.9 });
        }
        assert_eq!(
            told(&claims)[0],
            "time2run 30 -> 22 for all: no run of the last 7 days took longer"
        );
    }

    #[test]
    fn a_window_that_is_too_short_is_made_longer_if_the_interval_allows_it() {
        let mut claims = vec![claim("iperf", 0, 10, 600), claim("pathload", 0, 100, 1_000)];
        claims[0].latest = Some(30);
        assert_eq!(told(&claims)[0], "latestart 30 -> 100 for iperf");
        // One that has no window of its own waits until shortly before its next slot.
        let usual = [claim("iperf", 0, 10, 105), claim("pathload", 0, 100, 1_000)];
        assert_eq!(told(&usual)[0], "latestart 95 -> 100 for iperf");
        claims[0] = claim("iperf", 0, 10, 60);
        let all = told(&claims);
        assert_eq!(
            all[0], "runinterval 60 -> 110 for iperf; 1000 -> 1860 for pathload",
            "{all:#?}"
        );
        assert!(all.contains(&"pathload to no target: toolDo 0".to_owned()), "{all:#?}");
    }

    #[test]
    fn intervals_are_round() {
        let all = [(1_800, 4.0 / 3.0), (7, 1.5), (70, 1.5), (600, 1.01), (1_800, 1.000_000_000_1)];
        assert_eq!(
            all.map(|(interval, times)| rounded_up(interval, times)),
            [2_400, 11, 110, 610, 1_800]
        );
    }

    fn any_claim() -> impl Strategy<Value = Claim> {
        let latest = proptest::option::weighted(0.2, 1_u32..4_000);
        let took = proptest::option::weighted(0.5, 0.1_f64..90.0);
        (0_usize..4, 0_usize..50, 1_u32..120, 1_u32..4_000, 0_u32..60, latest, took).prop_map(
            |(tool, node, time, longer, grace, latest, took)| {
                let measured = took.map(|took| Measured { runs: 1, median: took, longest: took });
                let claim = claim(["a", "b", "c", "d"][tool], node, time, time + longer);
                Claim { grace, latest, measured, ..claim }
            },
        )
    }

    proptest! {
        #[test]
        fn after_each_piece_of_advice_all_fit(claims in proptest::collection::vec(any_claim(), 0..60)) {
            let all = advice(&claims);
            prop_assert_eq!(fits(&claims), all.is_empty());
            for advice in all {
                prop_assert!(fits(&advice.claims), "{}", advice.what);
                let is_whole = !advice.what.ends_with(' ') && !advice.what.contains(" ,");
                prop_assert!(advice.share <= WHOLE && is_whole, "{}", advice.what);
            }
        }

        #[test]
        fn advice_asks_for_no_more_than_it_must(targets in 31_usize..200) {
            let claims = original(targets);
            let longer = longer_intervals(&claims).expect("advice");
            // A minute less would not do.
            let mut less = longer.claims;
            for claim in &mut less {
                claim.interval -= 60;
            }
            prop_assert!(!fits(&less));
            let fewer = fewer_targets(&claims, "iperf");
            prop_assert_eq!(fewer.map(|it| it.claims.len()), (targets < 61).then_some(60));
        }
    }
}
