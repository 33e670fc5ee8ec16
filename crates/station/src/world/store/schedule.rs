//! SCHEDULE: where a run stands, and how its row is written.
//!
//! ```text
//! pending -> running -> finished -> loaded
//!    |          |           `-> rejected
//!    |          `-> lost, failed, pending again
//!    `-> missed, cancelled, failed
//! ```
//!
//! How rows are claimed is in `claim.rs`, how they end in `close.rs`. Every change names the state and the attempt that it leaves; one row changed means that it was
//! ours to change. That holds on every engine, where locks held while reading do not.

use std::time::Duration;

use crate::{
    text::Timestamp,
    words::{
        command,
        run::{RunId, State},
        toolspec::SpecKey,
    },
};

use super::{Session, error::Error, value::Value};

/// A row to be written.
#[derive(Debug)]
pub struct NewRun<'a> {
    /// The specification.
    pub spec_id: i64,
    /// Its key.
    pub key: &'a SpecKey,
    /// Its `testtype`.
    pub testtype: &'a str,
    /// The host name or address that is measured to.
    pub target: &'a str,
    /// The command, word by word.
    pub words: Vec<String>,
    /// When it is to start.
    pub due: Timestamp,
    /// When it may no longer start.
    pub latest: Timestamp,
    /// After how long it is ended.
    pub limit: Duration,
}

/// Slots that passed without a run: one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// How many.
    pub slots: i64,
    /// When the first was due.
    pub first: Timestamp,
    /// When the last was due.
    pub last: Timestamp,
    /// `missed`, or `failed` for what could not have been started.
    pub state: State,
    /// Why.
    pub reason: String,
}

/// The run of a specification that is pending or running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRun {
    /// Its row.
    pub schedule_id: i64,
    /// Its state.
    pub state: String,
    /// The program that claimed it; empty while it is pending.
    pub claimed_by: String,
}

const INSERT: &str = "INSERT INTO SCHEDULE (toolspecsID, opentoolspecsID, srcNodeID, destNodeID, toolName, testtype, \
     target, command, dueepoch, due_us, latest_us, limit_s, state, attempt, slots, lastdue_us, claimedby, start_us, \
     reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Rows to be written together.
#[derive(Debug, Default)]
pub struct NewRows<'a>(Vec<Vec<Value<'a>>>);

impl<'a> NewRows<'a> {
    /// Adds a pending row.
    pub fn pending(&mut self, run: &NewRun<'a>) {
        self.0.push(row(run, Some(run.spec_id), State::Pending, None));
    }

    /// Adds the row of a gap; the key is source, destination, tool and testtype.
    pub fn gap(&mut self, spec_id: i64, key: [&'a str; 4], gap: Gap) {
        self.0.push(row_of_gap(spec_id, key, gap));
    }

    /// Writes them.
    ///
    /// # Errors
    /// [`Kind::Conflict`](super::Kind::Conflict) when a specification has an open run, or what the engine says.
    pub fn write(&self, session: &mut dyn Session) -> Result<(), Error> {
        session.execute_many(INSERT, &self.0).map(|_| ())
    }
}

/// Writes a row that is running already, beside the specification's open run: for runs by hand.
///
/// # Errors
/// What the engine says.
pub fn insert_running(
    session: &mut dyn Session,
    run: &NewRun<'_>,
    program: &str,
) -> Result<RunId, Error> {
    let schedule_id = session.insert(INSERT, &row(run, None, State::Running, Some(program)))?;
    Ok(RunId { schedule_id, attempt: 1 })
}

fn row<'a>(
    run: &NewRun<'a>,
    open: Option<i64>,
    state: State,
    program: Option<&'a str>,
) -> Vec<Value<'a>> {
    vec![
        run.spec_id.into(),
        open.into(),
        run.key.src.as_str().into(),
        run.key.dest.as_str().into(),
        run.key.tool.as_str().into(),
        run.testtype.into(),
        run.target.into(),
        command::to_column(&run.words).into(),
        run.due.seconds().into(),
        run.due.into(),
        run.latest.into(),
        run.limit.as_secs().into(),
        state.as_str().into(),
        i64::from(program.is_some()).into(),
        1_i64.into(),
        Value::Null,
        program.into(),
        program.map(|_| run.due).into(),
        Value::Null,
    ]
}

fn row_of_gap(spec_id: i64, key: [&str; 4], gap: Gap) -> Vec<Value<'_>> {
    let [src, dest, tool, testtype] = key;
    vec![
        spec_id.into(),
        Value::Null,
        src.into(),
        dest.into(),
        tool.into(),
        testtype.into(),
        "".into(),
        Value::Null,
        gap.first.seconds().into(),
        gap.first.into(),
        gap.last.into(),
        0_i64.into(),
        gap.state.as_str().into(),
        0_i64.into(),
        gap.slots.into(),
        gap.last.into(),
        Value::Null,
        Value::Null,
        gap.reason.into(),
    ]
}
