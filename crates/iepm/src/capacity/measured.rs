//! What runs that must be alone really took.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use station::{
    text::Timestamp,
    words::run::State,
    world::store::{self, Error, Session},
};

/// So far back runs are looked at.
const BACK: Duration = Duration::from_secs(7 * 86_400);
/// So many of the last runs of each specification count.
const MOST: usize = 50;

/// What the last runs of a specification took, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Measured {
    /// How many runs these are; at least 1.
    pub(crate) runs: usize,
    #[serde(rename = "median_s")]
    pub(crate) median: f64,
    #[serde(rename = "longest_s")]
    pub(crate) longest: f64,
}

impl Measured {
    /// Of run times in microseconds; nothing of none.
    fn of(mut times: Vec<i64>) -> Option<Self> {
        times.sort_unstable();
        let (middle, longest) = (*times.get(times.len() / 2)?, *times.last()?);
        let lower = times[(times.len() - 1) / 2];
        let median = f64::midpoint(seconds(lower), seconds(middle));
        Some(Self { runs: times.len(), median, longest: seconds(longest) })
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// What the last runs of these tools took, by the key of their specification in TOOLSPECS.
///
/// # Errors
/// As the database.
pub(crate) fn measured<'a>(
    session: &mut dyn Session,
    station: &str,
    tools: impl IntoIterator<Item = &'a str>,
    now: Timestamp,
) -> Result<BTreeMap<i64, Measured>, Error> {
    let mut times: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
    for tool in tools {
        for state in [State::Finished, State::Loaded] {
            for (spec, due, took) in runs(session, (state, station, tool), now - BACK)? {
                times.entry(spec).or_default().push((due, took));
            }
        }
    }
    let last = |mut runs: Vec<(i64, i64)>| {
        runs.sort_unstable_by_key(|(due, _)| -due);
        Measured::of(runs.iter().take(MOST).map(|(_, took)| *took).collect())
    };
    Ok(times.into_iter().filter_map(|(spec, runs)| Some((spec, last(runs)?))).collect())
}

/// Specification, due time and run time of each run; the index of SCHEDULE begins with these three columns.
fn runs(
    session: &mut dyn Session,
    (state, station, tool): (State, &str, &str),
    since: Timestamp,
) -> Result<Vec<(i64, i64, i64)>, Error> {
    let sql = "SELECT toolspecsID, due_us, end_us - start_us FROM SCHEDULE \
               WHERE state = ? AND srcNodeID = ? AND toolName = ? AND due_us >= ? \
               AND end_us >= start_us";
    let values = [state.as_str().into(), station.into(), tool.into(), since.into()];
    store::all(session, sql, &values, |row| Ok((row.int(0)?, row.int(1)?, row.int(2)?)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Station;

    use super::*;

    #[test]
    fn the_middle_of_the_run_times_and_the_longest() {
        let of = |seconds: &[i64]| Measured::of(seconds.iter().map(|s| s * 1_000_000).collect());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some(Measured { runs: 1, median: 7.0, longest: 7.0 }));
        assert_eq!(of(&[9, 1, 2]), Some(Measured { runs: 3, median: 2.0, longest: 9.0 }));
        assert_eq!(of(&[9, 1, 2, 4]), Some(Measured { runs: 4, median: 3.0, longest: 9.0 }));
    }

    #[test]
    fn only_runs_that_came_to_their_end_count() {
        let mut station = Station::new();
        for (spec, tool, due, state, took) in [
            (1, "iperf", 1_000_001, "loaded", Some(21_i64)),
            (1, "iperf", 1_000_002, "finished", Some(23)),
            (1, "iperf", 1_000_003, "lost", Some(90)),
            (1, "iperf", 1_000_004, "missed", None),
            (2, "miperf", 1_000_005, "loaded", Some(25)),
            (3, "ping", 1_000_006, "loaded", Some(9)),
            (1, "iperf", 1, "loaded", Some(80)),
        ] {
            let end = took.map(|took| (due + took) * 1_000_000);
            station.execute(
                "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
                 latest_us, state, slots, start_us, end_us) \
                 VALUES (?, 's', 'd', ?, 'background-syn', 0, ?, 0, ?, 1, ?, ?)",
                &[i64::from(spec).into(), tool.into(), (due * 1_000_000).into(), state.into(),
                  took.map(|_| due * 1_000_000).into(), end.into()],
            );
        }
        let now = Timestamp::from_seconds(1_000_100);
        let found = station
            .store
            .read(|session| measured(session, "s", ["iperf", "miperf"], now))
            .expect("read");
        let told: Vec<_> = found.iter().map(|(spec, it)| (*spec, it.runs, it.median)).collect();
        assert_eq!(told, [(1, 2, 22.0), (2, 1, 25.0)]);
    }
}
