//! The course of a measurement: chirp after chirp is judged, and changes what is known and what is probed next. Pure.

use std::collections::{BTreeMap, VecDeque};

use timed_udp::ntp::NtpTime;

use super::book::Came;
use crate::{
    estimate::{
        excursion::Rules,
        pool::{By, Pool, Said},
        range::Range,
        skew::Skew,
        verdict::{Unfit, judge},
    },
    protocol::message,
};

/// What is wanted of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    /// Chirps to smooth over.
    pub(super) smooth: usize,
    pub(super) rules: Rules,
    /// The range of the first chirp, and the highest rate of all, bit/s.
    pub(super) range: Range,
    pub(super) limit: f64,
    /// By which factor the rates of a chirp grow.
    pub(super) spread: f64,
    /// Octets of a packet with its headers.
    pub(super) octets: u32,
}

/// An estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) at: NtpTime,
    pub(super) bits_per_s: f64,
    pub(super) by: By,
}

/// Chirps of which what the machine can send is told.
const REMEMBERED: usize = 3;
/// By how much more is asked of the machine than it did.
const MORE: f64 = 1.1;
/// An estimate is sure if rates were probed that are so much higher.
const SURE: f64 = 4.0;
/// One of so many chirps may be spoilt, or one of all. With more of them late, estimates were a third above what was free
/// and more.
const SPOILT: u64 = 8;
/// Estimates that are kept; a session has some a second.
const MOST: usize = 1_000_000;

/// What is known so far.
#[derive(Debug)]
pub(super) struct Course {
    plan: Plan,
    pool: Pool,
    skew: Skew,
    range: Range,
    reaches: VecDeque<Option<f64>>,
    /// The highest rate to be asked for, bit/s.
    ceiling: f64,
    pub(super) estimates: Vec<Estimate>,
    /// The highest rate that was all available, bit/s, if there was one.
    pub(super) at_least: Option<f64>,
    /// Chirps of which nothing turned up.
    pub(super) unturned: u64,
    pub(super) chirps: u64,
    pub(super) counted: u64,
    pub(super) unfit: BTreeMap<Unfit, u64>,
    /// Chirps whose fastest packets were beyond the sender's machine.
    pub(super) cut: u64,
    /// The fastest that it kept in those, bit/s.
    pub(super) reach: Option<f64>,
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Course {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            pool: Pool::new(plan.smooth, plan.rules),
            skew: Skew::default(),
            range: plan.range.of_enough(plan.spread),
            reaches: VecDeque::new(),
            ceiling: plan.limit,
            estimates: Vec::new(),
            at_least: None,
            unturned: 0,
            chirps: 0,
            counted: 0,
            unfit: BTreeMap::new(),
            cut: 0,
            reach: None,
            sent: 0,
            received: 0,
        }
    }

    /// What is to be probed next.
    pub(super) fn range(&self) -> Range {
        self.range
    }

    /// Bytes that were sent for it, with the headers of UDP and IP.
    pub(super) fn overhead(&self) -> u64 {
        self.sent * u64::from(self.plan.octets)
    }

    /// By how much the receiver's clock goes faster than the sender's.
    pub(super) fn drift(&self) -> f64 {
        self.skew.drift()
    }

    /// Takes a chirp, and gives the estimate that it leads to.
    pub(super) fn take(&mut self, came: &Came, own_drops: u32) -> Option<Estimate> {
        self.chirps += 1;
        self.sent += came.sent;
        self.received += came.received;
        if let Some(delay) = came.least_delay() {
            self.skew.note(came.start, delay);
        }
        let fit = match judge(&came.groups, own_drops) {
            Ok(fit) => fit,
            Err(unfit) => {
                *self.unfit.entry(unfit).or_default() += 1;
                return None;
            }
        };
        self.counted += 1;
        self.note_reach(fit.reach);
        let drift = self.skew.drift();
        let mut steps = fit.steps;
        for step in &mut steps {
            step.growth -= drift * step.gap;
        }
        let (_, said) = self.pool.take(steps)?;
        // A range that is nearer to what is free is easier to send, too.
        self.range = self.range.next(said, self.ceiling).of_enough(self.plan.spread);
        if self.is_trusted() { self.note(said, came) } else { None }
    }

    fn note(&mut self, said: Said, came: &Came) -> Option<Estimate> {
        match said {
            Said::Available { bits_per_s, by } => {
                let estimate = Estimate { at: came.at, bits_per_s, by };
                if self.estimates.len() < MOST {
                    self.estimates.push(estimate);
                }
                Some(estimate)
            }
            Said::AtLeast(rate) => {
                self.unturned += 1;
                let rate = rate.min(message::rate(came.range.1));
                self.at_least = Some(self.at_least.map_or(rate, |before| before.max(rate)));
                None
            }
        }
    }

    /// Most of the last chirps were beyond the machine: a little more than what it kept is asked for from now on. If they
    /// were not, it is found out step by step whether it can do more.
    fn note_reach(&mut self, reach: Option<f64>) {
        self.reaches.push_front(reach);
        self.reaches.truncate(REMEMBERED);
        let kept = self.reaches.iter().copied().flatten();
        if kept.clone().count() * 2 > REMEMBERED {
            self.ceiling = kept.fold(0.0, f64::max) * MORE;
            self.reaches.clear();
        } else if reach.is_none() {
            self.ceiling = (self.ceiling * MORE).min(self.plan.limit);
        }
        if let Some(reach) = reach {
            self.cut += 1;
            self.reach = Some(self.reach.map_or(reach, |before| before.max(reach)));
        }
    }

    /// Whether so many chirps count that those which do can be believed: where machines spoil many of them, they bend the
    /// rest.
    fn is_trusted(&self) -> bool {
        self.chirps > 0 && self.chirps - self.counted <= (self.chirps / SPOILT).max(1)
    }

    /// Whether the sender's machine does not do as much as a sure estimate wants.
    fn is_at_its_end(&self) -> bool {
        let last = self.estimates.last().map_or(0.0, |it| it.bits_per_s);
        self.ceiling < self.plan.limit.min(last * SURE)
    }

    /// What there is in the end, if it cannot be believed: nothing.
    pub(super) fn close(&mut self) {
        if !self.is_trusted() {
            self.estimates.clear();
            self.at_least = None;
        }
    }

    /// Whether a lower bound is all there is, and what to do about that.
    pub(super) fn bound(&self) -> Option<String> {
        let rate = self.at_least.filter(|_| self.estimates.is_empty())? / 1e6;
        let beyond = self.ceiling < self.plan.limit;
        let advice = if beyond {
            "more is a range beyond what this machine can send: larger groups (-J) would do"
        } else {
            "it is all that was probed: a higher rate by -u would do, if the sender's own limit allows it"
        };
        Some(format!("at least {rate:.3} Mbit/s are available, and no estimate: {advice}"))
    }

    /// Why there is neither an estimate nor a lower bound, and what to do about it.
    pub(super) fn problem(&self) -> Option<String> {
        if self.chirps == 0 {
            return Some("no estimate: no chirp came".to_owned());
        }
        let is_known = !self.estimates.is_empty() || self.at_least.is_some();
        if is_known && self.is_trusted() {
            return None;
        }
        let most = self.unfit.iter().max_by_key(|(_, count)| **count);
        Some(most.map_or_else(
            || "no estimate: chirps said nothing".to_owned(),
            |(unfit, _)| {
                let (chirps, counted, advice) = (self.chirps, self.counted, unfit.advice());
                format!(
                    "no estimate that can be believed: {counted} of {chirps} chirps count: {unfit}: {advice}"
                )
            },
        ))
    }

    /// What is to be known of the estimates that there are.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self
            .unfit
            .iter()
            .map(|(unfit, count)| {
                format!(
                    "{unfit}: {count} of {} chirps do not count: {}",
                    self.chirps,
                    unfit.advice()
                )
            })
            .collect();
        if let Some(reach) = self.reach.filter(|_| self.is_at_its_end()) {
            warnings.push(format!(
                "range beyond what this machine can send: chirps were cut at about {:.0} Mbit/s, not far above the estimate: \
                 larger groups (-J) would do",
                reach / 1e6
            ));
        }
        if let Some(bound) = self.bound() {
            warnings.push(bound);
        } else if let Some(rate) = self.at_least.filter(|_| self.unturned * 2 > self.counted) {
            warnings.push(format!(
                "{} of {} chirps met no queue: at that time {:.0} Mbit/s or more were available",
                self.unturned,
                self.chirps,
                rate / 1e6
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        estimate::{
            simulator::{Cross, Dice, Ends, Link, chirp},
            verdict::Timed,
        },
        shape::Shape,
    };

    const MBIT: f64 = 1e6;

    fn course(low: f64, high: f64) -> Course {
        Course::new(Plan {
            smooth: 11,
            rules: Rules { decrease: 1.5, length: 5 },
            range: Range { low: low * MBIT, high: high * MBIT },
            limit: high * MBIT,
            spread: 1.2,
            octets: 1_028,
        })
    }

    /// Sends a chirp of the range that is wanted next; `spoil` makes of it what the machines do.
    fn give(
        course: &mut Course,
        link: &mut Link,
        number: u32,
        ends: Ends,
        spoil: impl Fn(&mut Vec<Timed>),
    ) -> Option<Estimate> {
        let Range { low, high } = course.range();
        let shape = Shape { low, high, spread: 1.2, octets: 1_028, group: 6 };
        let start = f64::from(number);
        let groups = chirp(link, &shape, start + 1.0, ends);
        let mut groups: Vec<Timed> = groups
            .into_iter()
            .map(|group| Timed { due: Some(group.sent), held: 0.0, group })
            .collect();
        spoil(&mut groups);
        let sent = shape.packets() as u64;
        let range = (1, 2_000_000_000);
        let at = NtpTime(u64::from(number) << 32);
        let came = Came { chirp: number, at, start, range, groups, sent, received: sent };
        course.take(&came, 0)
    }

    #[test]
    fn the_row_of_the_document_finds_a_path_far_below_its_range() {
        let mut course = course(100.0, 10_000.0);
        let mut link = Link::new(10.0 * MBIT, 3.0 * MBIT, Cross::Random, 3);
        for number in 0..60 {
            give(&mut course, &mut link, number, Ends { noise: 10e-6, ..Ends::default() }, |_| ());
        }
        let mut rates: Vec<f64> = course.estimates.iter().map(|it| it.bits_per_s / 7e6).collect();
        rates.sort_by(f64::total_cmp);
        assert!((0.85..1.15).contains(&rates[rates.len() / 2]), "{rates:?}");
        assert_eq!((course.problem(), course.warnings()), (None, vec![]));
    }

    #[test]
    fn a_clock_that_drifts_changes_nothing() {
        let mut course = course(1.0, 60.0);
        let mut link = Link::new(10.0 * MBIT, 3.0 * MBIT, Cross::Random, 3);
        let ends = Ends { noise: 10e-6, skew: 300e-6, ..Ends::default() };
        for number in 0..60 {
            give(&mut course, &mut link, number, ends, |_| ());
        }
        let mut rates: Vec<f64> = course.estimates.iter().map(|it| it.bits_per_s / 7e6).collect();
        rates.sort_by(f64::total_cmp);
        assert!((0.85..1.15).contains(&rates[rates.len() / 2]), "{rates:?}");
        assert!((course.drift() - 300e-6).abs() < 20e-6, "{}", course.drift());
    }

    #[test]
    fn a_path_with_more_than_the_limit_has_a_lower_bound_and_is_told_how_to_have_an_estimate() {
        let mut course = course(10.0, 200.0);
        let mut link = Link::new(10_000.0 * MBIT, 0.0, Cross::Steady, 3);
        for number in 0..20 {
            assert_eq!(give(&mut course, &mut link, number, Ends::default(), |_| ()), None);
        }
        assert_eq!(course.problem(), None);
        let warning = course.warnings().remove(0);
        assert!(warning.starts_with("at least 2") && warning.contains("by -u"), "{warning}");
        assert!(course.at_least.is_some_and(|rate| rate > 180.0 * MBIT));
    }

    #[test]
    fn if_no_chirp_counts_the_reason_is_told_and_no_figure() {
        let mut course = course(10.0, 200.0);
        let mut link = Link::new(100.0 * MBIT, 0.0, Cross::Steady, 3);
        for number in 0..20 {
            let late = |groups: &mut Vec<Timed>| {
                let mut dice = Dice::new(u64::from(number));
                for it in groups.iter_mut() {
                    it.group.sent += dice.even() * 50e-3;
                }
                groups.sort_by(|one, two| one.group.sent.total_cmp(&two.group.sent));
            };
            assert_eq!(give(&mut course, &mut link, number, Ends::default(), late), None);
        }
        let problem = course.problem().expect("no estimate");
        assert!(problem.contains("0 of 20 chirps count: late sender"), "{problem}");
        assert!(course.warnings()[0].starts_with("late sender: 20 of 20"));
    }

    /// Chirps of which the first some are spoiled.
    fn spoiled(some: u32, of: u32) -> Course {
        let mut course = course(1.0, 200.0);
        let mut link = Link::new(100.0 * MBIT, 0.0, Cross::Steady, 3);
        for number in 0..of {
            let spoil = |groups: &mut Vec<Timed>| {
                if number < some {
                    groups.iter_mut().skip(4).for_each(|it| it.group.delay = None);
                }
            };
            give(&mut course, &mut link, number, Ends::default(), spoil);
        }
        course.close();
        course
    }

    #[test]
    fn if_more_than_an_eighth_of_the_chirps_are_spoiled_the_rest_is_not_believed_either() {
        for (some, of) in [(1, 3), (3, 30), (1, 30)] {
            let course = spoiled(some, of);
            assert_eq!(course.problem(), None, "{some} of {of}");
            assert!(!course.estimates.is_empty(), "{some} of {of}");
        }
        for (some, of) in [(2, 3), (4, 30), (20, 30)] {
            let course = spoiled(some, of);
            assert!(course.estimates.is_empty(), "{some} of {of}");
            let problem = course.problem().expect("no estimate");
            let counted = format!("{} of {of} chirps count: too few packets", of - some);
            assert!(problem.contains(&counted), "{problem}");
        }
    }

    #[test]
    fn what_the_machine_cannot_send_is_told_and_not_asked_for_again() {
        let mut course = course(10.0, 2_000.0);
        let mut link = Link::new(400.0 * MBIT, 0.0, Cross::Steady, 3);
        for number in 0..30 {
            let slow = |groups: &mut Vec<Timed>| {
                let mut last = f64::NEG_INFINITY;
                for it in groups {
                    it.group.sent = it.group.sent.max(last + 60e-6);
                    last = it.group.sent;
                }
            };
            give(&mut course, &mut link, number, Ends::default(), slow);
        }
        let asked = course.range().high / MBIT;
        assert!(asked < 1_300.0, "a group in 60 us is 822 Mbit/s: {asked}");
        assert!(course.warnings()[0].starts_with("range beyond what this machine can send"));
    }
}
