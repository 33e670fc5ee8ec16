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
    pub words: &'a [String],
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

/// Writes a pending row.
///
/// # Errors
/// [`Kind::Conflict`](super::Kind::Conflict) when the specification has an open run, or what the engine says.
pub fn insert_pending(session: &mut dyn Session, run: &NewRun<'_>) -> Result<i64, Error> {
    insert(session, run, Some(run.spec_id), State::Pending, None)
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
    let schedule_id = insert(session, run, None, State::Running, Some(program))?;
    Ok(RunId { schedule_id, attempt: 1 })
}

fn insert(
    session: &mut dyn Session,
    run: &NewRun<'_>,
    open: Option<i64>,
    state: State,
    program: Option<&str>,
) -> Result<i64, Error> {
    session.insert(
        INSERT,
        &[
            run.spec_id.into(),
            open.into(),
            run.key.src.as_str().into(),
            run.key.dest.as_str().into(),
            run.key.tool.as_str().into(),
            run.testtype.into(),
            run.target.into(),
            command::to_column(run.words).into(),
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
        ],
    )
}

/// Writes the row of a gap.
///
/// # Errors
/// What the engine says.
pub fn insert_gap(
    session: &mut dyn Session,
    spec_id: i64,
    key: (&str, &str, &str, &str),
    gap: &Gap,
) -> Result<i64, Error> {
    let (src, dest, tool, testtype) = key;
    let values = [
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
        gap.reason.as_str().into(),
    ];
    session.insert(INSERT, &values)
}
