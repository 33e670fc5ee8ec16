//! How a daemon gets its runs: it claims rows of SCHEDULE, each for itself alone.

use std::time::Duration;

use crate::{
    text::Timestamp,
    words::{command, run::RunId},
};

use super::{
    super::probe::Order,
    Session,
    error::{Error, Kind},
    value::Row,
};

/// Who claims runs, and which.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The station.
    pub station: &'a str,
    /// The program, by which its own rows are known after a crash.
    pub program: &'a str,
    /// The tool whose background runs it carries out.
    pub tool: &'a str,
}

/// A claimed row, or why it cannot be carried out.
pub type Claimed = Result<Order, (RunId, String)>;

const CLAIMABLE: &str = "SELECT scheduleID, attempt, toolspecsID, destNodeID, target, command, due_us, latest_us, limit_s \
     FROM SCHEDULE WHERE state = 'pending' AND srcNodeID = ? AND toolName = ? AND due_us <= ? \
     AND testtype = 'background' AND latest_us >= ? ORDER BY due_us LIMIT ?";

pub(super) const CLAIM: &str = "UPDATE SCHEDULE SET state = 'running', attempt = attempt + 1, claimedby = ? \
     WHERE scheduleID = ? AND state = 'pending' AND attempt = ?";

/// Whether [`claim`] would find something: a look that keeps no other program waiting.
///
/// # Errors
/// What the engine says.
pub fn any_claimable(
    session: &mut dyn Session,
    who: &Claimant<'_>,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, Error> {
    let values = [who.station.into(), who.tool.into(), until.into(), now.into(), 1_i64.into()];
    Ok(super::one(session, CLAIMABLE, &values, |row| row.int(0))?.is_some())
}

/// Claims at most `most` runs that are due until `until` and may still start at `now`.
///
/// # Errors
/// What the engine says; then nothing is claimed.
pub fn claim(
    session: &mut dyn Session,
    who: &Claimant<'_>,
    now: Timestamp,
    until: Timestamp,
    most: usize,
) -> Result<Vec<Claimed>, Error> {
    let values =
        [who.station.into(), who.tool.into(), until.into(), now.into(), (most as u64).into()];
    let candidates =
        super::all(session, CLAIMABLE, &values, |row| Ok((run_id(row)?, order(row, who.tool)?)))?;
    let values = |(before, _): &(RunId, Claimed)| {
        vec![who.program.into(), before.schedule_id.into(), before.attempt.into()]
    };
    let values: Vec<_> = candidates.iter().map(values).collect();
    match session.execute_many(CLAIM, &values)? {
        // Another claimer had seen the same ones, and was quicker.
        0 => Ok(Vec::new()),
        all if all == values.len() as u64 => {
            Ok(candidates.into_iter().map(|(_, order)| order).collect())
        }
        // Which ones it left is not told: the next try sees it.
        _ => Err(Error::new(Kind::Busy, "another program claims some of the same runs")),
    }
}

/// The run that a row begins with: its key and its attempt.
pub(super) fn run_id(row: &Row<'_>) -> Result<RunId, Error> {
    Ok(RunId { schedule_id: row.int(0)?, attempt: row.int(1)? })
}

/// The order of a row. Whatever is wrong with the row is its own fault, and no other row's.
fn order(row: &Row<'_>, tool: &str) -> Result<Claimed, Error> {
    let before = run_id(row)?;
    let run = RunId { attempt: before.attempt + 1, ..before };
    Ok(checked_order(row, run, tool).map_err(|fault| (run, fault)))
}

pub(super) fn checked_order(row: &Row<'_>, run: RunId, tool: &str) -> Result<Order, String> {
    let argv = command::from_column(&row.text(5), &row.text(4))?;
    let number = |column| row.int(column).map_err(|error| format!("its row of SCHEDULE: {error}"));
    Ok(Order {
        run,
        spec_id: number(2)?,
        tool: tool.to_owned(),
        node: row.text(3),
        argv,
        due: Timestamp(number(6)?),
        latest: Timestamp(number(7)?),
        limit: Duration::from_secs(u64::try_from(number(8)?).unwrap_or(0)),
    })
}

/// The runs that a claimant has claimed and not ended.
///
/// # Errors
/// What the engine says.
pub fn running_of(
    session: &mut dyn Session,
    who: &Claimant<'_>,
) -> Result<Vec<(RunId, Claimed)>, Error> {
    let sql = "SELECT scheduleID, attempt, toolspecsID, destNodeID, target, command, due_us, latest_us, limit_s \
         FROM SCHEDULE WHERE state = 'running' AND srcNodeID = ? AND toolName = ? AND claimedby = ?";
    let values = [who.station.into(), who.tool.into(), who.program.into()];
    super::all(session, sql, &values, |row| {
        let run = run_id(row)?;
        let order = order(row, who.tool)?.map(|order| Order { run, ..order });
        Ok((run, order.map_err(|(_, fault)| (run, fault))))
    })
}
