//! What has to be rolled up: a value, from how many readings there are and how many were counted.
//!
//! A reading never changes, so a roll-up is whole when it is of as many runs as there are readings. One
//! that came late is more than were counted: its hour is computed anew, and so is its day.

use std::collections::{BTreeMap, BTreeSet};

/// Seconds of an hour, UTC: the shorter period.
pub(crate) const HOUR: i64 = 3_600;
/// Seconds of a day, UTC: the longer period.
pub(crate) const DAY: i64 = 86_400;

/// When the period began that a time is in.
pub(crate) fn begin(time: i64, period: i64) -> i64 {
    time - time.rem_euclid(period)
}

/// What a roll-up is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rolled {
    /// So many runs were counted.
    pub(crate) runs: i64,
    /// What it is made of is gone.
    pub(crate) gone: bool,
}

/// What there is of a specification in a stretch of whole days; each by the beginning of its period.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// How many readings of each hour.
    pub(crate) readings: BTreeMap<i64, i64>,
    pub(crate) hours: BTreeMap<i64, Rolled>,
    pub(crate) days: BTreeMap<i64, Rolled>,
}

/// What has to be done of one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// When the day began.
    pub(super) day: i64,
    /// The hours of it that have to be computed anew.
    pub(super) hours: Vec<i64>,
    pub(super) whole: Whole,
}

/// What the row of a day is computed of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    /// It is not over, or as it should be.
    Not,
    /// Its readings.
    Readings,
    /// Its hours, for of some the readings are gone.
    Hours,
}

impl Seen {
    /// What has to be done, of hours and days that are over at `now`, seconds since the epoch; or, of all.
    pub(crate) fn jobs(&self, now: i64) -> Vec<Job> {
        let times = self.readings.keys().chain(self.hours.keys());
        let days: BTreeSet<i64> = times.map(|hour| begin(*hour, DAY)).collect();
        let jobs = days.into_iter().filter_map(|day| self.job(day, now));
        jobs.collect()
    }

    fn job(&self, day: i64, now: i64) -> Option<Job> {
        let rolled = self.days.get(&day);
        if rolled.is_some_and(|day| day.gone) {
            return None;
        }
        let of_day = day..day + DAY;
        let readings = self.readings.range(of_day.clone());
        let stale =
            readings.filter(|(hour, count)| **hour + HOUR <= now && self.is_stale(**hour, **count));
        let hours: Vec<i64> = stale.map(|(hour, _)| *hour).collect();
        // Of how many runs the hours will be.
        let of =
            |(hour, rolled): (&i64, &Rolled)| if hours.contains(hour) { 0 } else { rolled.runs };
        let kept: i64 = self.hours.range(of_day.clone()).map(of).sum();
        let anew: i64 = hours.iter().map(|hour| self.readings[hour]).sum();
        let is_whole = rolled.map_or(0, |day| day.runs) >= kept + anew;
        let is_gone = self.hours.range(of_day).any(|(hour, rolled)| {
            rolled.gone || rolled.runs > self.readings.get(hour).copied().unwrap_or(0)
        });
        let whole = match (day + DAY <= now, is_whole, is_gone) {
            (false, ..) | (_, true, _) => Whole::Not,
            (.., false) => Whole::Readings,
            (.., true) => Whole::Hours,
        };
        (whole != Whole::Not || !hours.is_empty()).then_some(Job { day, hours, whole })
    }

    fn is_stale(&self, hour: i64, readings: i64) -> bool {
        self.hours.get(&hour).is_none_or(|rolled| !rolled.gone && rolled.runs < readings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: i64 = 20_000 * DAY;

    fn rolled(rows: &[(i64, i64, bool)]) -> BTreeMap<i64, Rolled> {
        rows.iter()
            .map(|(time, runs, gone)| (D + time, Rolled { runs: *runs, gone: *gone }))
            .collect()
    }

    fn seen(
        readings: &[(i64, i64)],
        hours: &[(i64, i64, bool)],
        days: &[(i64, i64, bool)],
    ) -> Seen {
        let readings = readings.iter().map(|(time, count)| (D + time, *count)).collect();
        Seen { readings, hours: rolled(hours), days: rolled(days) }
    }

    fn job(day: i64, hours: &[i64], whole: Whole) -> Job {
        Job { day: D + day, hours: hours.iter().map(|hour| D + hour).collect(), whole }
    }

    #[test]
    fn what_is_over_and_not_counted_is_to_be_done() {
        let seen = seen(&[(0, 6), (HOUR, 6), (DAY, 6), (DAY + HOUR, 1)], &[(0, 6, false)], &[]);
        let now = D + DAY + HOUR + 5;
        let jobs = [job(0, &[HOUR], Whole::Readings), job(DAY, &[DAY], Whole::Not)];
        assert_eq!(seen.jobs(now), jobs);
    }

    #[test]
    fn what_was_counted_is_done() {
        let seen =
            seen(&[(0, 6), (HOUR, 6)], &[(0, 6, false), (HOUR, 6, false)], &[(0, 12, false)]);
        assert_eq!(seen.jobs(D + 9 * DAY), []);
    }

    #[test]
    fn a_reading_that_came_late_is_counted() {
        let seen =
            seen(&[(0, 7), (HOUR, 6)], &[(0, 6, false), (HOUR, 6, false)], &[(0, 12, false)]);
        assert_eq!(seen.jobs(D + 9 * DAY), [job(0, &[0], Whole::Readings)]);
    }

    #[test]
    fn what_is_gone_is_never_computed_anew() {
        let half = seen(&[(HOUR, 7)], &[(0, 6, true), (HOUR, 6, false)], &[(0, 12, false)]);
        assert_eq!(half.jobs(D + 9 * DAY), [job(0, &[HOUR], Whole::Hours)]);
        let late = seen(&[(0, 1)], &[(0, 6, true)], &[(0, 6, false)]);
        assert_eq!(late.jobs(D + 9 * DAY), []);
        let hours_gone = seen(&[(0, 1)], &[], &[(0, 6, true)]);
        assert_eq!(hours_gone.jobs(D + 9 * DAY), []);
        let by_hand = seen(&[(0, 1)], &[(0, 6, false)], &[]);
        assert_eq!(by_hand.jobs(D + 9 * DAY), [job(0, &[], Whole::Hours)]);
    }
}
