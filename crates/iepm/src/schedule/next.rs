//! The runs that come next: those that have a row already, and those that the grid says.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use serde::Serialize;
use station::{
    text::{Align, Columns, Timestamp, human_duration},
    words::{grid::Grid, toolspec::ToolSpec},
    world::store::{self, Error, Session},
};

/// A run that comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Next {
    /// When it is due.
    pub(super) due_us: Timestamp,
    /// The node that is measured to.
    pub(super) node: String,
    /// By which tool.
    pub(super) tool: String,
    /// `pending`, `next` when it waits for the channel, `running`, or `planned` when it has no row yet.
    pub(super) state: String,
    /// Its row, if it has one.
    #[serde(rename = "scheduleID")]
    pub(super) schedule_id: Option<i64>,
    /// Its specification.
    #[serde(rename = "toolspecsID")]
    pub(super) spec_id: i64,
    /// What came of its try before; empty before the first.
    pub(super) reason: String,
}

/// The rows that wait or run.
pub(super) fn open(session: &mut dyn Session, station: &str) -> Result<Vec<Next>, Error> {
    // One that must be alone is claimed while another has the channel.
    let sql = "SELECT due_us, destNodeID, toolName, CASE WHEN state = 'running' AND start_us IS NULL \
               AND testtype = 'background-syn' THEN 'next' ELSE state END, scheduleID, toolspecsID, \
               COALESCE(reason, '') FROM SCHEDULE \
               WHERE state IN ('pending', 'running') AND srcNodeID = ?";
    store::all(session, sql, &[station.into()], |row| {
        Ok(Next {
            due_us: row.timestamp(0)?,
            node: row.text(1),
            tool: row.text(2),
            state: row.text(3),
            schedule_id: Some(row.int(4)?),
            spec_id: row.int(5)?,
            reason: row.text(6),
        })
    })
}

/// The first `number` of the open runs and those that the grids of `specs` give after them.
pub(super) fn merge(
    specs: &[&(i64, ToolSpec)],
    open: Vec<Next>,
    now: Timestamp,
    number: usize,
) -> Vec<Next> {
    let mut last: HashMap<i64, Timestamp> = HashMap::new();
    for run in &open {
        let due = last.entry(run.spec_id).or_insert(run.due_us);
        *due = run.due_us.max(*due);
    }
    let from = |id: &i64| last.get(id).map_or(now, |due| now.max(Timestamp(due.0 + 1)));
    let mut runs = open;
    runs.extend(planned(specs, from, number));
    runs.sort_by(|one, other| (one.due_us, &one.node).cmp(&(other.due_us, &other.node)));
    runs.truncate(number);
    runs
}

fn planned(
    specs: &[&(i64, ToolSpec)],
    from: impl Fn(&i64) -> Timestamp,
    number: usize,
) -> Vec<Next> {
    let grids: Vec<Grid> = specs.iter().map(|(_, spec)| Grid::of(spec)).collect();
    let first = |(index, (id, _)): (usize, &&(i64, ToolSpec))| {
        let slot = grids[index].first_from(from(id));
        Reverse((slot.due, index, slot.number))
    };
    let mut heap: BinaryHeap<_> = specs.iter().enumerate().map(first).collect();
    let mut runs = Vec::new();
    while let Some(Reverse((due, index, slot))) = heap.pop()
        && runs.len() < number
    {
        runs.push(plan(specs[index], due));
        let after = grids[index].slot(slot + 1);
        heap.push(Reverse((after.due, index, after.number)));
    }
    runs
}

fn plan((id, spec): &(i64, ToolSpec), due: Timestamp) -> Next {
    Next {
        due_us: due,
        node: spec.key.dest.to_string(),
        tool: spec.key.tool.to_string(),
        state: "planned".to_owned(),
        schedule_id: None,
        spec_id: *id,
        reason: String::new(),
    }
}

/// The runs in columns.
pub(super) fn text(runs: &[Next], now: Timestamp) -> String {
    if runs.is_empty() {
        return "  none\n".to_owned();
    }
    let mut columns = Columns::new(&[
        ("  DUE", Align::Left),
        ("IN", Align::Right),
        ("TOOL", Align::Left),
        ("NODE", Align::Left),
        ("STATE", Align::Left),
        ("RUN", Align::Right),
        ("", Align::Left),
    ]);
    for run in runs {
        let ahead =
            if run.due_us < now { "now".to_owned() } else { human_duration(now.until(run.due_us)) };
        let id = run.schedule_id.map_or_else(String::new, |id| id.to_string());
        let due = format!("  {}", run.due_us);
        let [tool, node, state, reason] =
            [&run.tool, &run.node, &run.state, &run.reason].map(Clone::clone);
        columns.push([due, ahead, tool, node, state, id, reason]);
    }
    columns.plain()
}

#[cfg(test)]
mod tests {
    use crate::testing;

    use super::*;

    fn specs(rows: &str) -> Vec<(i64, ToolSpec)> {
        (1..).zip(testing::specs(rows)).map(|(id, placed)| (id, placed.spec)).collect()
    }

    fn second(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn shown(runs: &[Next]) -> Vec<(i64, &str, &str)> {
        runs.iter().map(|run| (run.due_us.seconds(), &*run.node, &*run.state)).collect()
    }

    #[test]
    fn the_next_runs_of_all_grids_come_in_order() {
        let specs = specs("s,a,ping,background,15,600,,10\ns,b,ping,background,15,300,,20\n");
        let specs: Vec<_> = specs.iter().collect();
        let runs = merge(&specs, vec![], second(6_000), 5);
        let expected = [
            (6_010, "a", "planned"),
            (6_020, "b", "planned"),
            (6_320, "b", "planned"),
            (6_610, "a", "planned"),
            (6_620, "b", "planned"),
        ];
        assert_eq!(shown(&runs), expected);
    }

    #[test]
    fn a_run_that_has_a_row_is_not_planned_again() {
        let specs = specs("s,a,ping,background,15,600,,10\n");
        let pending = Next {
            due_us: second(6_010),
            node: "a".to_owned(),
            tool: "ping".to_owned(),
            state: "pending".to_owned(),
            schedule_id: Some(9),
            spec_id: 1,
            reason: "try 1: refused".to_owned(),
        };
        let specs: Vec<_> = specs.iter().collect();
        let runs = merge(&specs, vec![pending], second(6_000), 2);
        assert_eq!(shown(&runs), [(6_010, "a", "pending"), (6_610, "a", "planned")]);
        assert_eq!(
            text(&runs, second(6_000)),
            "  DUE                       IN  TOOL  NODE  STATE    RUN\n\
             \x20 1970-01-01T01:40:10Z     10s  ping  a     pending    9  try 1: refused\n\
             \x20 1970-01-01T01:50:10Z  10m10s  ping  a     planned\n"
        );
    }
}
