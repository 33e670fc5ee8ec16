//! Which files of a batch belong to runs whose rows in SCHEDULE wait for them: looked up for all at once.

use std::collections::{BTreeMap, HashSet};

use station::{
    text::Timestamp,
    words::run::{Header, State},
    world::store::{self, Error, Session, Value},
};

use crate::file::{Content, Measured, Prepared};

/// A row of SCHEDULE, as far as its readings repeat it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub schedule_id: i64,
    /// The specification.
    pub spec_id: i64,
    /// The station.
    pub src: String,
    /// The node that was measured to.
    pub dest: String,
    /// The tool.
    pub tool: String,
    due: Timestamp,
    state: String,
    attempt: i64,
    start: Option<i64>,
    end: Option<i64>,
    reason: Option<String>,
}

/// A reading, and its row that waits for it.
pub type Plain<'a> = (&'a Measured, &'a Row);

/// Reads the rows that files name, by their keys.
///
/// # Errors
/// What the engine says.
pub fn rows_of(session: &mut dyn Session, files: &[Prepared]) -> Result<BTreeMap<i64, Row>, Error> {
    if files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = format!(
        "SELECT scheduleID, toolspecsID, srcNodeID, destNodeID, toolName, due_us, state, attempt, start_us, end_us, \
         reason FROM SCHEDULE \
         WHERE scheduleID IN ({})",
        vec!["?"; files.len()].join(", ")
    );
    let ids: Vec<Value<'_>> = files.iter().map(|file| file.schedule_id.into()).collect();
    let rows = store::all(session, &sql, &ids, |row| {
        Ok(Row {
            schedule_id: row.int(0)?,
            spec_id: row.int(1)?,
            src: row.text(2),
            dest: row.text(3),
            tool: row.text(4),
            due: row.timestamp(5)?,
            state: row.text(6),
            attempt: row.int(7)?,
            start: row.optional_int(8)?,
            end: row.optional_int(9)?,
            reason: Some(row.text(10)).filter(|reason| !reason.is_empty()),
        })
    })?;
    Ok(rows.into_iter().map(|row| (row.schedule_id, row)).collect())
}

impl Row {
    /// Whether all that it lacks is that its result is loaded: its daemon has come to it, and wrote the
    /// same as the file says.
    #[must_use]
    pub fn is_settled(&self, header: &Header, reason: Option<&str>) -> bool {
        self.state == State::Finished.as_str()
            && (self.start, self.end) == (Some(header.start_us.0), Some(header.end_us.0))
            && reason.is_none_or(|reason| self.reason.as_deref() == Some(reason))
    }

    /// Whether it waits for the result of this run, of this attempt.
    fn waits_for(&self, header: &Header) -> bool {
        let waits = [State::Finished, State::Running].map(State::as_str);
        waits.contains(&self.state.as_str())
            && (self.attempt, self.spec_id) == (header.attempt, header.spec_id)
            && (self.due, self.tool.as_str()) == (header.due_us, header.probetype.as_str())
    }
}

/// The readings of a batch whose rows, of this station, wait for them, file by file; nothing for any other
/// file, and for the second one of a run.
#[must_use]
pub fn waited_for<'a>(
    station: &str,
    batch: &'a [Prepared],
    rows: &'a BTreeMap<i64, Row>,
) -> Vec<Option<Plain<'a>>> {
    let mut seen = HashSet::new();
    let mut waited_for = |file: &'a Prepared| {
        let Content::Reading(measured) = &file.content else { return None };
        let row = rows.get(&measured.header.schedule_id)?;
        let is =
            row.src == station && row.waits_for(&measured.header) && seen.insert(row.schedule_id);
        is.then_some((&**measured, row))
    };
    batch.iter().map(&mut waited_for).collect()
}
