//! What became of the runs of a day: by state, and by reason.

use std::collections::BTreeMap;

use serde::Serialize;
use station::{
    filter::Filter,
    text::{Align, Columns, Timestamp},
    words::run::State,
    world::store::{self, Error, Session},
};

/// Runs that ended alike, for alike reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Outcome {
    /// Their state.
    pub(crate) state: State,
    /// Why; empty for what needs none.
    pub(crate) reason: String,
    /// How many slots of the grid they stand for: a missed row may stand for many.
    pub(crate) slots: i64,
    /// How many rows of SCHEDULE.
    pub(super) rows: i64,
}

/// The states of runs that left no reading where there should be one.
pub(crate) const BAD: [State; 4] = [State::Failed, State::Rejected, State::Missed, State::Lost];

/// The outcomes, among `states`, of what was due since `since`.
///
/// The index of SCHEDULE begins with state, station and tool: each combination is one look there.
pub(crate) fn outcomes(
    session: &mut dyn Session,
    station: &str,
    since: Timestamp,
    filter: &Filter,
    states: &[State],
) -> Result<Vec<Outcome>, Error> {
    let sql = "SELECT DISTINCT toolName FROM TOOLSPECS WHERE srcNodeID = ?";
    let tools = store::all(session, sql, &[station.into()], |row| Ok(row.text(0)))?;
    let mut sums = BTreeMap::new();
    for (state, tool) in states.iter().flat_map(|state| tools.iter().map(move |t| (*state, t))) {
        for group in groups(session, (state, station, tool), since)? {
            if filter.takes(&group.node, tool) {
                let sum: &mut (i64, i64) = sums.entry((state, alike(&group.reason))).or_default();
                *sum = (sum.0 + group.slots, sum.1 + group.rows);
            }
        }
    }
    let outcome = |((state, reason), (slots, rows))| Outcome { state, reason, slots, rows };
    let mut outcomes: Vec<Outcome> = sums.into_iter().map(outcome).collect();
    outcomes.sort_by_key(|outcome| (outcome.state, -outcome.slots));
    Ok(outcomes)
}

struct Group {
    node: String,
    reason: String,
    slots: i64,
    rows: i64,
}

fn groups(
    session: &mut dyn Session,
    (state, station, tool): (State, &str, &str),
    since: Timestamp,
) -> Result<Vec<Group>, Error> {
    let sql = "SELECT destNodeID, COALESCE(reason, ''), SUM(slots), COUNT(*) FROM SCHEDULE \
               WHERE state = ? AND srcNodeID = ? AND toolName = ? AND due_us >= ? \
               GROUP BY destNodeID, COALESCE(reason, '')";
    let values = [state.as_str().into(), station.into(), tool.into(), since.into()];
    store::all(session, sql, &values, |row| {
        Ok(Group { node: row.text(0), reason: row.text(1), slots: row.int(2)?, rows: row.int(3)? })
    })
}

/// A reason without the number of the run that it names: else each would stand alone.
pub(crate) fn alike(reason: &str) -> String {
    let word = |word: &str| {
        let number = word.trim_end_matches(',');
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && word.ends_with(',') { "...,".to_owned() } else { word.to_owned() }
    };
    reason.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The outcomes in columns.
pub(super) fn text(outcomes: &[Outcome]) -> String {
    if outcomes.is_empty() {
        return "  there were none\n".to_owned();
    }
    let mut columns =
        Columns::new(&[("  STATE", Align::Left), ("SLOTS", Align::Right), ("REASON", Align::Left)]);
    for outcome in outcomes {
        let state = format!("  {}", outcome.state);
        columns.push([state, outcome.slots.to_string(), outcome.reason.clone()]);
    }
    columns.plain()
}

#[cfg(test)]
mod tests {
    use crate::testing::Station;

    use super::*;

    fn run(station: &mut Station, due: i64, state: &'static str, slots: i64, reason: Option<&str>) {
        station.execute(
            "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
             latest_us, state, slots, reason) VALUES (1, 's', 'd', 'ping', 'background', 0, ?, 0, ?, ?, ?)",
            &[due.into(), state.into(), slots.into(), reason.into()],
        );
    }

    #[test]
    fn slots_are_counted_by_state_and_reason() {
        let mut station = Station::new();
        station.execute(
            "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, runinterval) \
             VALUES ('s', 'd', 'ping', 'ping', 'background', 1, 10)",
            &[],
        );
        run(&mut station, 99, "loaded", 1, None);
        run(&mut station, 100, "loaded", 1, None);
        run(&mut station, 101, "loaded", 1, None);
        run(&mut station, 102, "missed", 1, Some("the run before it, 17, had not ended (pingd)"));
        run(&mut station, 103, "missed", 1, Some("the run before it, 18, had not ended (pingd)"));
        run(&mut station, 104, "missed", 60, Some("it slept"));
        let filter = Filter::default();
        let outcomes = station
            .store
            .read(|session| outcomes(session, "s", Timestamp(100), &filter, &State::ALL));
        assert_eq!(
            text(&outcomes.expect("read")),
            "  STATE   SLOTS  REASON\n\
             \x20 loaded      2\n\
             \x20 missed     60  it slept\n\
             \x20 missed      2  the run before it, ..., had not ended (pingd)\n"
        );
    }

    #[test]
    fn times_in_a_reason_stay() {
        let reason = "load-scheduled did not run from 2026-11-24T02:00:00Z to 2026-11-24T03:00:00Z";
        assert_eq!(alike(reason), reason);
    }
}
