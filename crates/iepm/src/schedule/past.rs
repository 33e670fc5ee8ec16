//! The last runs, one by one.

use serde::Serialize;
use station::{
    filter::Filter,
    text::{Align, Columns, Timestamp},
    words::{config::Config, run::State},
    world::store::{self, Error, Row, Session},
};

/// A row of SCHEDULE that is not pending.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Past {
    #[serde(rename = "scheduleID")]
    schedule_id: i64,
    due_us: Timestamp,
    node: String,
    tool: String,
    state: String,
    slots: i64,
    start_us: Option<i64>,
    end_us: Option<i64>,
    reason: String,
    /// Each time that it had the channel; empty for runs that need none.
    tries: Vec<Try>,
}

/// A row of TRIES.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Try {
    attempt: i64,
    start_us: Timestamp,
    end_us: Option<i64>,
    bytes: Option<i64>,
    outcome: String,
    unclean: String,
}

impl Past {
    /// By how many milliseconds it was started late.
    fn lateness(&self) -> Option<f64> {
        Some(millis(self.start_us? - self.due_us.0))
    }

    /// How many seconds it took.
    fn duration(&self) -> Option<f64> {
        Some(millis(self.end_us? - self.start_us?) / 1e3)
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn millis(micros: i64) -> f64 {
    micros as f64 / 1e3
}

/// The last `number` rows, the newest first. They are looked for specification by specification, each from its
/// newest on and no further back than the last that would be shown: the table has rows of other stations, and
/// of years.
pub(super) fn rows(
    session: &mut dyn Session,
    config: &Config,
    number: usize,
    filter: &Filter,
) -> Result<Vec<Past>, Error> {
    let (mut rows, mut since): (Vec<Past>, i64) = (Vec::new(), i64::MIN);
    for spec in specs(session, config.node.as_str(), filter)? {
        let values = [spec.into(), since.into(), (number as u64).into()];
        rows.extend(store::all(session, NEWEST, &values, past)?);
        if rows.len() >= 2 * number + KEPT {
            since = newest(&mut rows, number).unwrap_or(since);
        }
    }
    newest(&mut rows, number);
    for row in &mut rows {
        row.tries = store::all(session, TRIES, &[row.schedule_id.into()], one_try)?;
    }
    Ok(rows)
}

/// So many rows may wait beside twice those that are shown before they are sorted out.
const KEPT: usize = 64;

/// Keeps the newest rows, in their order; says when the last of them was due, if there are so many.
fn newest(rows: &mut Vec<Past>, number: usize) -> Option<i64> {
    rows.sort_by_key(|row| std::cmp::Reverse((row.due_us, row.schedule_id)));
    rows.truncate(number);
    rows.last().filter(|_| rows.len() == number).map(|row| row.due_us.0)
}

fn specs(session: &mut dyn Session, station: &str, filter: &Filter) -> Result<Vec<i64>, Error> {
    let sql = "SELECT toolspecsID, destNodeID, toolName FROM TOOLSPECS WHERE srcNodeID = ?";
    let row = |row: &Row<'_>| Ok((row.int(0)?, row.text(1), row.text(2)));
    let specs = store::all(session, sql, &[station.into()], row)?;
    let taken = specs.into_iter().filter(|(_, node, tool)| filter.takes(node, tool));
    Ok(taken.map(|(id, ..)| id).collect())
}

const NEWEST: &str = "SELECT scheduleID, due_us, destNodeID, toolName, state, slots, start_us, end_us, reason FROM SCHEDULE \
     WHERE toolspecsID = ? AND state <> 'pending' AND due_us >= ? ORDER BY due_us DESC, scheduleID DESC LIMIT ?";

/// By the index that keeps them unique: a few at most for each run that is shown.
const TRIES: &str = "SELECT attempt, start_us, end_us, bytes, outcome, unclean FROM TRIES WHERE scheduleID = ? \
     ORDER BY attempt";

fn one_try(row: &Row<'_>) -> Result<Try, Error> {
    Ok(Try {
        attempt: row.int(0)?,
        start_us: row.timestamp(1)?,
        end_us: row.optional_int(2)?,
        bytes: row.optional_int(3)?,
        outcome: row.text(4),
        unclean: row.text(5),
    })
}

fn past(row: &Row<'_>) -> Result<Past, Error> {
    Ok(Past {
        schedule_id: row.int(0)?,
        due_us: row.timestamp(1)?,
        node: row.text(2),
        tool: row.text(3),
        state: row.text(4),
        slots: row.int(5)?,
        start_us: row.optional_int(6)?,
        end_us: row.optional_int(7)?,
        reason: row.text(8),
        tries: Vec::new(),
    })
}

/// The rows in columns.
pub(super) fn text(rows: &[Past]) -> String {
    let mut columns = Columns::new(&[
        ("DUE", Align::Left),
        ("LATE ms", Align::Right),
        ("TOOK s", Align::Right),
        ("TOOL", Align::Left),
        ("NODE", Align::Left),
        ("RUN", Align::Right),
        ("STATE", Align::Left),
        ("TRIES", Align::Right),
        ("REASON", Align::Left),
    ]);
    for row in rows {
        let slots = if row.slots == 1 { String::new() } else { format!(" ({} slots)", row.slots) };
        columns.push([
            row.due_us.to_string(),
            row.lateness().map_or_else(String::new, |late| format!("{late:.0}")),
            row.duration().map_or_else(String::new, |took| format!("{took:.1}")),
            row.tool.clone(),
            row.node.clone(),
            row.schedule_id.to_string(),
            format!("{}{slots}", row.state),
            if row.tries.is_empty() { String::new() } else { row.tries.len().to_string() },
            reason(row),
        ]);
    }
    columns.plain()
}

/// The reason, and what came of each try; that of the only one is told by the run's own state and reason
/// where these have it.
fn reason(row: &Past) -> String {
    let good = [State::Finished, State::Loaded].iter().any(|state| state.as_str() == row.state);
    let news = |outcome: &str| {
        !outcome.is_empty() && (row.tries.len() > 1 || !good && !row.reason.contains(outcome))
    };
    let said = |one: &Try| {
        let unclean = Some(format!("unclean: {}", one.unclean)).filter(|_| !one.unclean.is_empty());
        let outcome = Some(one.outcome.clone()).filter(|outcome| news(outcome));
        let said: Vec<String> = [outcome, unclean].into_iter().flatten().collect();
        (!said.is_empty()).then(|| format!("try {}: {}", one.attempt, said.join(", ")))
    };
    let own = Some(row.reason.clone()).filter(|reason| !reason.is_empty());
    own.into_iter().chain(row.tries.iter().filter_map(said)).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use crate::testing::Station;

    use super::*;

    fn spec(station: &mut Station, tool: &'static str) {
        station.execute(
            "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, runinterval) \
             VALUES ('s', 'd', ?, 'x', 'background', 15, 600)",
            &[tool.into()],
        );
    }

    #[test]
    fn the_newest_are_found_among_those_of_many_specifications() {
        let mut station = Station::new();
        let config = station.config.clone();
        for number in 1..=200_i64 {
            station.execute(
                "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, variant, toolPath, testtype, time2run, \
                 runinterval) VALUES ('s', 'd', 'ping', ?, 'x', 'background', 15, 600)",
                &[format!("v{number}").into()],
            );
            for round in 0..3_i64 {
                let due = round * 1_000 + number * 7 % 200;
                station.execute(
                    "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
                     latest_us, state) VALUES (?, 's', 'd', 'ping', 'background', 0, ?, 0, 'loaded')",
                    &[number.into(), due.into()],
                );
            }
        }
        let read = |session: &mut dyn Session| rows(session, &config, 5, &Filter::default());
        let found: Vec<i64> =
            station.store.read(read).expect("read").iter().map(|row| row.due_us.0).collect();
        assert_eq!(found, [2_199, 2_198, 2_197, 2_196, 2_195]);
    }

    #[test]
    fn the_last_runs_tell_how_late_and_how_long_they_were() {
        let mut station = Station::new();
        spec(&mut station, "ping");
        for (due, state, slots, start, end, reason) in [
            (1_000_000, "loaded", 1, Some(1_012_000), Some(10_112_000), None),
            (2_000_000, "missed", 7, None, None, Some("pingd was not running")),
            (9_000_000, "pending", 1, None, None, None),
        ] {
            station.execute(
                "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
                 latest_us, state, slots, start_us, end_us, reason) \
                 VALUES (1, 's', 'd', 'ping', 'background', 0, ?, 0, ?, ?, ?, ?, ?)",
                &[i64::from(due).into(), state.into(), i64::from(slots).into(),
                  start.map(i64::from).into(), end.map(i64::from).into(), reason.into()],
            );
        }
        let config = station.config.clone();
        let mut read = |number, filter: &Filter| {
            station.store.read(|session| rows(session, &config, number, filter)).expect("read")
        };
        assert_eq!(
            text(&read(10, &Filter::default())),
            "DUE                   LATE ms  TOOK s  TOOL  NODE  RUN  STATE             TRIES  REASON\n\
             1970-01-01T00:00:02Z                   ping  d       2  missed (7 slots)         pingd was not running\n\
             1970-01-01T00:00:01Z       12     9.1  ping  d       1  loaded\n"
        );
        assert_eq!(read(1, &Filter::default()).len(), 1);
    }
    #[test]
    fn tries_are_told_with_what_came_of_them() {
        let mut station = Station::new();
        spec(&mut station, "iperf");
        station.execute(
            "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
             latest_us, state, reason) VALUES (1, 's', 'd', 'iperf', 'background-syn', 0, 1000000, 0, 'failed', 'busy')",
            &[],
        );
        for (attempt, outcome, unclean) in [(1_i64, "refused", None), (2, "busy", Some("load"))] {
            station.execute(
                "INSERT INTO TRIES (scheduleID, attempt, toolspecsID, srcNodeID, destNodeID, start_us, end_us, outcome, \
                 unclean) VALUES (1, ?, 1, 's', 'd', 1000000, 2000000, ?, ?)",
                &[attempt.into(), outcome.into(), unclean.into()],
            );
        }
        let config = station.config.clone();
        let read = |session: &mut dyn Session| rows(session, &config, 9, &Filter::default());
        let rows = station.store.read(read).expect("read");
        assert_eq!(reason(&rows[0]), "busy; try 1: refused; try 2: busy, unclean: load");
        assert!(text(&rows).contains("failed      2  busy; try 1"), "{}", text(&rows));
        let json = serde_json::to_value(&rows).expect("plain values");
        assert_eq!(json[0]["tries"][1]["attempt"], 2);
        let once = Past { tries: rows[0].tries[1..].to_vec(), ..rows[0].clone() };
        assert_eq!(reason(&once), "busy; try 2: unclean: load");
        let loaded = Past { state: "loaded".to_owned(), reason: String::new(), ..once.clone() };
        assert_eq!(reason(&loaded), "try 2: unclean: load");
        let lost = Past { state: "lost".to_owned(), reason: String::new(), ..once };
        assert_eq!(reason(&lost), "try 2: busy, unclean: load");
    }
}
