//! Which rate is tried next, and when it is enough: a bisection between the highest rate at which no stream was too fast
//! and the lowest at which all were, around a grey region in which some are and some are not (the paper, section 4.2).

use crate::{
    line::Crossing,
    trend::{Flaw, Trend},
};

/// Streams of a fleet (the paper's N).
pub const FLEET: u32 = 12;
/// So many of them decide (the paper's f is 0.7).
pub const DECIDE: u32 = 9;
/// Void streams that a fleet may have beyond those that count.
pub const MOST_VOID: u32 = 12;
/// Fleets that may be given up before the measurement is.
const MOST_FAILED: u32 = 2;
/// Fleets of a measurement.
const MOST_FLEETS: u32 = 24;

/// What a fleet showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its rate is above what is left.
    Above,
    /// Below.
    Below,
    /// At times above and at times below: what is left changes, and its rate lies within.
    Grey,
    /// Too many streams were not to be believed.
    Failed(Flaw),
}

/// The streams of a fleet so far.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    increasing: u32,
    level: u32,
    ambiguous: u32,
    void: [u32; 3],
}

impl Fleet {
    /// Adds a stream.
    pub fn take(&mut self, trend: Trend) {
        match trend {
            Trend::Increasing => self.increasing += 1,
            Trend::Level => self.level += 1,
            Trend::Ambiguous => self.ambiguous += 1,
            Trend::Void(flaw) => self.void[flaw as usize] += 1,
        }
    }

    /// The verdict, as soon as the streams to come cannot change it.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let counted = self.increasing + self.level + self.ambiguous;
        let left = FLEET.saturating_sub(counted);
        if self.increasing >= DECIDE {
            Some(Verdict::Above)
        } else if self.level >= DECIDE {
            Some(Verdict::Below)
        } else if self.void.iter().sum::<u32>() > MOST_VOID {
            Some(Verdict::Failed(self.worst()))
        } else {
            let undecided = self.increasing + left < DECIDE && self.level + left < DECIDE;
            undecided.then_some(Verdict::Grey)
        }
    }

    fn worst(&self) -> Flaw {
        let all = [Flaw::LateSender, Flaw::Coalesced, Flaw::OwnDrops];
        all.into_iter().max_by_key(|flaw| self.void[*flaw as usize]).unwrap_or(Flaw::LateSender)
    }
}

/// What was found, bit/s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// It lies between the two.
    Range(f64, f64),
    /// It is at least this: faster streams cannot be sent, or were not to be believed.
    AtLeast(f64),
    /// It is at most this: slower ones are not sent.
    AtMost(f64),
    /// Nothing can be told, for this reason; none: there was no time to find anything out.
    Nothing(Option<Flaw>),
}

impl Outcome {
    /// What is known for sure, as rates near to what is left are told wrongly; of a range, the part in which the line of the
    /// streams that were too fast begins, too, or all of it if there is no such part: then the line is not to be believed.
    #[must_use]
    pub fn narrowed(self, crossing: Option<Crossing>) -> Self {
        let (low, high) = (|low: f64| low * (1.0 - EDGES.0), |high: f64| high * (1.0 + EDGES.1));
        let wider = match self {
            Self::Range(least, most) => Self::Range(low(least), high(most)),
            Self::AtLeast(rate) => Self::AtLeast(low(rate)),
            Self::AtMost(rate) => Self::AtMost(high(rate)),
            Self::Nothing(_) => self,
        };
        let Self::Range(low, high) = wider else { return wider };
        let (least, most) = crossing.map_or((low, high), |crossing| {
            let either_way = (ERRORS * crossing.error).max(LEAST * crossing.rate);
            (low.max(crossing.rate - either_way), high.min(crossing.rate + either_way))
        });
        let (low, high) = if least < most { (least, most) } else { (low, high) };
        let (middle, half) = (f64::midpoint(low, high), NARROWEST / 2.0);
        Self::Range(low.min(middle * (1.0 - half)), high.max(middle * (1.0 + half)))
    }
}

/// A rate that is above what is left by less than this part of it looks as if it were level: in a stream the queue grows by
/// less than machines make. One that is below looks too fast only by chance, and is hardly ever off.
const EDGES: (f64, f64) = (0.05, 0.01);
/// What is left lies within so many standard errors of where the line begins.
const ERRORS: f64 = 2.5;
/// And is not told more exactly than to this part of it.
const LEAST: f64 = 0.10;
/// Two rates are not told apart more exactly than that: a range is no narrower, as a part of its middle.
pub const NARROWEST: f64 = 0.10;
/// A range that is wider than this part of its middle, and than what was asked for, is worth more fleets of which
/// only the line is to be had.
const WIDE: f64 = 0.25;
/// So many of them, at most.
const MOST_EXTRA: u32 = 5;
/// The first is so many times as fast as the upper end, and not less than the other: it fixes how steep the line is.
const FAR: (f64, f64) = (2.0, 1.3);
/// The others, so many times: near to where the line begins, and still above for nearly all of their streams.
const NEAR: f64 = 1.1;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Next {
    /// A fleet at this rate, bit/s.
    Fleet(f64),
    /// It is over.
    Over(Outcome),
}

/// The search.
#[derive(Debug, Clone)]
pub struct Search {
    /// The highest rate that was below, or the least that is tried.
    low: f64,
    /// The lowest that was above; none: none was.
    high: Option<f64>,
    grey: Option<(f64, f64)>,
    ceiling: f64,
    floor: f64,
    /// How wide the range may be, if that is more than [`NARROWEST`], bit/s.
    width: f64,
    /// The rate that is tried now.
    rate: f64,
    was_below: bool,
    failed: u32,
    /// The reason of the last failed fleet.
    flaw: Option<Flaw>,
    fleets: u32,
}

impl Search {
    /// Begins at `first`, and tries none above `ceiling` or below `floor`. It ends when the range is no wider than
    /// a tenth of its middle, or than `width`, or its parts beside a grey region are not. Rates in bit/s.
    #[must_use]
    pub fn new(first: f64, (floor, ceiling): (f64, f64), width: f64) -> Self {
        let rate = first.clamp(floor, ceiling);
        Self {
            low: floor,
            high: None,
            grey: None,
            ceiling,
            floor,
            width,
            rate,
            was_below: false,
            failed: 0,
            flaw: None,
            fleets: 0,
        }
    }

    /// The rate of the first fleet.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// What comes after a fleet with this verdict.
    pub fn take(&mut self, verdict: Verdict) -> Next {
        self.fleets += 1;
        let rate = self.rate;
        match verdict {
            Verdict::Above => self.above(rate),
            Verdict::Below => self.below(rate),
            Verdict::Grey => self.grey(rate),
            Verdict::Failed(flaw) => {
                self.failed += 1;
                self.flaw = Some(flaw);
                // What cannot be sent or seen at this rate perhaps can at a lower one. Below a rate that was judged it is
                // the moment that was bad, and the same rate comes again.
                if self.high.is_none() {
                    self.ceiling = rate;
                }
            }
        }
        if let Some(outcome) = self.outcome() {
            return Next::Over(outcome);
        }
        self.rate = self.next_rate();
        Next::Fleet(self.rate)
    }

    fn above(&mut self, rate: f64) {
        self.high = Some(self.high.map_or(rate, |high| high.min(rate)));
        self.low = self.low.min(rate);
        self.grey = self.grey.filter(|grey| grey.1 < rate);
    }

    fn below(&mut self, rate: f64) {
        self.was_below = true;
        self.low = self.low.max(rate);
        self.grey = self.grey.filter(|grey| grey.0 > rate);
    }

    fn grey(&mut self, rate: f64) {
        let (least, most) = self.grey.unwrap_or((rate, rate));
        self.grey = Some((least.min(rate), most.max(rate)));
    }

    /// Whether two rates are as close as wanted.
    fn are_close(&self, low: f64, high: f64) -> bool {
        high - low <= self.width.max(NARROWEST * f64::midpoint(low, high))
    }

    fn outcome(&self) -> Option<Outcome> {
        if self.failed > MOST_FAILED || (self.failed > 0 && self.ceiling <= self.floor * 1.01) {
            return Some(self.best());
        }
        let top = self.high.unwrap_or(self.ceiling);
        let is_found = match self.grey {
            None => self.are_close(self.low, top),
            Some((least, most)) => self.are_close(self.low, least) && self.are_close(most, top),
        };
        (is_found || self.fleets >= MOST_FLEETS).then(|| self.best())
    }

    /// How many fleets said nothing, if it ended for them.
    #[must_use]
    pub fn gave_up(&self) -> Option<u32> {
        (self.failed > MOST_FAILED).then_some(self.failed)
    }

    /// What is known now.
    #[must_use]
    pub fn best(&self) -> Outcome {
        let least = if self.was_below { Some(self.low) } else { None };
        match (least, self.high, self.grey, self.flaw) {
            (Some(low), Some(high), ..) => Outcome::Range(low, high),
            (Some(low), None, ..) => Outcome::AtLeast(low),
            // A grey region is no bound: its rates are above what is left as often as below.
            (None, Some(high), ..) => Outcome::AtMost(high),
            (None, None, _, flaw) => Outcome::Nothing(flaw),
        }
    }

    /// The rate of another fleet of which only the line is to be had, after `sent` of them, while the range is wide.
    #[must_use]
    pub fn extra(&self, found: Outcome, crossing: Option<Crossing>, sent: u32) -> Option<f64> {
        let (Outcome::Range(low, high), Some(above)) = (found.narrowed(crossing), self.high) else {
            return None;
        };
        let far = (above * FAR.0).min(self.ceiling);
        let (far, near) = ((far >= above * FAR.1).then_some(far), above * NEAR);
        // Without a line that is known already, streams of about one rate make none.
        let near = crossing.map(|_| near).filter(|near| *near <= self.ceiling);
        let rate = if sent == 0 { far.or(near) } else { near };
        let is_wide = high - low > self.width.max(WIDE * f64::midpoint(low, high));
        rate.filter(|_| is_wide && sent < MOST_EXTRA)
    }

    fn next_rate(&self) -> f64 {
        let top = self.high.unwrap_or(self.ceiling);
        match self.grey {
            Some((least, most)) => {
                // The wider part beside the grey region.
                if top - most > least - self.low {
                    self.between(most, top)
                } else {
                    self.between(self.low, least)
                }
            }
            None => self.between(self.low, top),
        }
    }

    /// In the middle; while nothing was above yet, not farther than twice what is known, and while nothing was below, not
    /// lower than half of it.
    fn between(&self, low: f64, high: f64) -> f64 {
        let middle = f64::midpoint(low, high);
        if self.high.is_none() && low > self.floor {
            middle.min(low * 2.0)
        } else if !self.was_below {
            middle.max(high / 2.0)
        } else {
            middle
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches where everything below `free` is below and everything above is above, but for a grey region.
    fn found(free: f64, grey: f64, mut search: Search) -> (Outcome, u32) {
        let mut rate = search.rate();
        for fleets in 1..100 {
            let verdict = if rate < free * (1.0 - grey) {
                Verdict::Below
            } else if rate > free * (1.0 + grey) {
                Verdict::Above
            } else {
                Verdict::Grey
            };
            match search.take(verdict) {
                Next::Fleet(next) => rate = next,
                Next::Over(outcome) => return (outcome, fleets),
            }
        }
        panic!("it does not end");
    }

    #[test]
    fn what_is_left_is_found_in_a_few_fleets() {
        let (outcome, fleets) = found(42e6, 0.0, Search::new(80e6, (1e5, 1e9), 0.0));
        let Outcome::Range(low, high) = outcome else { panic!("{outcome:?}") };
        assert!(low <= 42e6 && high >= 42e6 && high - low < 0.11 * 42e6, "{low} {high}");
        assert!(fleets <= 8, "{fleets}");
    }

    #[test]
    fn a_path_that_is_faster_than_any_stream_has_a_lower_bound_only() {
        let (outcome, _) = found(1e12, 0.0, Search::new(5e8, (1e5, 1e9), 0.0));
        assert!(matches!(outcome, Outcome::AtLeast(rate) if rate > 9e8), "{outcome:?}");
    }

    #[test]
    fn a_first_fleet_that_is_grey_does_not_make_the_next_one_a_flood() {
        let mut search = Search::new(2e7, (1e5, 1e9), 0.0);
        let next = search.take(Verdict::Grey);
        assert!(matches!(next, Next::Fleet(rate) if rate <= 4e7), "{next:?}");
    }

    #[test]
    fn one_that_is_slower_than_any_has_an_upper_one() {
        let (outcome, _) = found(1.0, 0.0, Search::new(1e6, (1e5, 1e9), 0.0));
        assert!(matches!(outcome, Outcome::AtMost(rate) if rate < 1.2e5), "{outcome:?}");
    }

    #[test]
    fn who_cannot_be_believed_at_any_rate_tells_nothing_and_why() {
        let mut search = Search::new(1e8, (1e5, 1e9), 0.0);
        let mut last = Next::Fleet(0.0);
        for _ in 0..3 {
            last = search.take(Verdict::Failed(Flaw::Coalesced));
        }
        assert_eq!(last, Next::Over(Outcome::Nothing(Some(Flaw::Coalesced))));
    }

    #[test]
    fn a_bad_moment_below_a_rate_that_was_judged_is_no_reason_to_leave_a_rate_out() {
        let mut search = Search::new(1e8, (1e5, 1e9), 0.0);
        search.take(Verdict::Above);
        let Next::Fleet(middle) = search.take(Verdict::Below) else { panic!("it is not over") };
        assert_eq!(search.take(Verdict::Failed(Flaw::LateSender)), Next::Fleet(middle));
    }

    #[test]
    fn a_wide_range_is_worth_a_fleet_that_is_much_too_fast_and_some_that_are_a_little() {
        let mut search = Search::new(1e8, (1e5, 1e9), 0.0);
        search.take(Verdict::Above);
        search.take(Verdict::Below);
        search.take(Verdict::Failed(Flaw::LateSender));
        let line = Some(Crossing { rate: 8e7, error: 2e7 });
        let (wide, slim) = (Outcome::Range(5e7, 1e8), Outcome::Range(9e7, 1e8));
        let rates = [0, 1, MOST_EXTRA - 1, MOST_EXTRA].map(|sent| search.extra(wide, line, sent));
        assert_eq!(rates, [Some(2e8), Some(1e8 * NEAR), Some(1e8 * NEAR), None]);
        assert_eq!(search.extra(wide, None, 0), Some(2e8));
        assert_eq!(search.extra(wide, None, 1), None, "of about one rate there is no line");
        assert_eq!(search.extra(slim, line, 0), None, "it is narrow enough");
        assert_eq!(search.extra(Outcome::AtLeast(5e7), line, 0), None);
        let coarse = Search { width: 6e7, ..search.clone() };
        assert_eq!(coarse.extra(wide, None, 0), None, "as it was asked for");
        let slow = Search { ceiling: 1.2e8, ..search.clone() };
        assert_eq!(slow.extra(wide, line, 0), Some(1e8 * NEAR), "nothing is much faster");
        assert_eq!(slow.extra(wide, None, 0), None);
        assert_eq!(Search { ceiling: 1e8, ..search }.extra(wide, line, 0), None);
    }

    #[test]
    fn the_line_takes_off_what_is_far_from_where_it_begins() {
        let found = Outcome::Range(5e7, 1e8);
        let (low, high) = (5e7 * (1.0 - EDGES.0), 1e8 * (1.0 + EDGES.1));
        let narrowed = |rate, error| match found.narrowed(Some(Crossing { rate, error })) {
            Outcome::Range(low, high) => (low.round(), high.round()),
            other => panic!("{other:?}"),
        };
        assert_eq!(narrowed(7e7, 4e6), (6e7, 8e7));
        assert_eq!(narrowed(7e7, 0.0), (6.3e7, 7.7e7), "a tenth either way at the least");
        assert_eq!(narrowed(2e8, 1e6), (low.round(), high.round()), "no line begins there");
        let (least, most) = narrowed(1.1e8, 0.0);
        assert!(
            (most - least - NARROWEST * f64::midpoint(least, most)).abs() < 2.0,
            "{least} {most}"
        );
    }

    #[test]
    fn ends_allow_for_rates_that_look_level_though_they_are_not() {
        let ends = |outcome: Outcome| outcome.narrowed(None);
        assert_eq!(ends(Outcome::AtLeast(1e8)), Outcome::AtLeast(0.95e8));
        assert_eq!(ends(Outcome::AtMost(1e8)), Outcome::AtMost(1.01e8));
        assert_eq!(ends(Outcome::Range(1e8, 2e8)), Outcome::Range(0.95e8, 2.02e8));
    }

    #[test]
    fn what_nobody_found_out_is_no_bound() {
        let mut search = Search::new(1e8, (1e5, 1e9), 0.0);
        assert_eq!(search.best(), Outcome::Nothing(None), "there was no time for any fleet");
        search.take(Verdict::Grey);
        assert_eq!(search.best(), Outcome::Nothing(None), "that rate is neither above nor below");
        search.take(Verdict::Failed(Flaw::LateSender));
        assert_eq!(search.best(), Outcome::Nothing(Some(Flaw::LateSender)));
        search.take(Verdict::Below);
        assert!(matches!(search.best(), Outcome::AtLeast(_)));
    }

    #[test]
    fn a_fleet_is_over_when_the_rest_cannot_change_it() {
        let mut fleet = Fleet::default();
        (0..8).for_each(|_| fleet.take(Trend::Increasing));
        assert_eq!(fleet.verdict(), None);
        fleet.take(Trend::Increasing);
        assert_eq!(fleet.verdict(), Some(Verdict::Above));
        let mut mixed = Fleet::default();
        (0..4).for_each(|_| mixed.take(Trend::Increasing));
        (0..3).for_each(|_| mixed.take(Trend::Level));
        assert_eq!(mixed.verdict(), None);
        mixed.take(Trend::Level);
        assert_eq!(mixed.verdict(), Some(Verdict::Grey));
        let mut void = Fleet::default();
        (0..=MOST_VOID).for_each(|_| void.take(Trend::Void(Flaw::LateSender)));
        assert_eq!(void.verdict(), Some(Verdict::Failed(Flaw::LateSender)));
    }

    proptest! {
        #[test]
        fn the_truth_is_always_within_the_range(free in 2e5_f64..9e8, grey in 0.0_f64..0.1, first in 1e5_f64..1e9) {
            let (outcome, _) = found(free, grey, Search::new(first, (1e5, 1e9), 0.0));
            if let Outcome::Range(low, high) = outcome {
                prop_assert!(low <= free && free <= high, "{low} {high}");
            }
        }
    }
}
