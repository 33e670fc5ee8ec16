//! NODES and TOOLSPECS as they stand in the tables.
//!
//! What comes from a table is checked again as if it came from a file: anybody may have written it.

use crate::{
    text::{Mistake, Timestamp},
    words::{
        node::{self, Node},
        table::Row as TableRow,
        toolspec::{self, ToolSpec},
    },
};

use super::{
    Session, all,
    error::Error,
    one,
    schedule::OpenRun,
    value::{Row, Value},
};

/// A specification of the table, with what the table adds to it.
#[derive(Debug, Clone)]
pub struct StoredSpec {
    /// The key of TOOLSPECS.
    pub id: i64,
    /// The specification, or why it is none.
    pub spec: Result<ToolSpec, String>,
    /// When it ran last, whole seconds since the epoch.
    pub last_run: Option<i64>,
    /// Whether it was taken out of the file; its readings stay.
    pub retired: bool,
}

/// A specification whose time has come, with all that is needed to schedule it.
#[derive(Debug, Clone)]
pub struct DueSpec {
    /// The specification.
    pub stored: StoredSpec,
    /// Source, destination, tool and testtype as the table has them: for rows about a specification that is none.
    pub raw_key: [String; 4],
    /// The node that is measured to, or why there is none.
    pub node: Result<Node, String>,
    /// When its next slot is due; 0 for one that is not on the agenda.
    pub next_due: Timestamp,
    /// Its place on the agenda, by when it was put on it; nothing for one that is not.
    pub since: Option<Timestamp>,
    /// Whether that place is still its own: it was neither switched off nor changed since.
    pub is_current: bool,
    /// Its run that is pending or running.
    pub open: Option<OpenRun>,
}

/// The columns of TOOLSPECS that make a specification, in the order of the queries here.
const COLUMNS: [&str; 18] = [
    "srcNodeID",
    "destNodeID",
    "toolName",
    "testtype",
    "variant",
    "toolPath",
    "toolDo",
    "toolOpts1",
    "toolOpts2",
    "toolopts3",
    "time2run",
    "runinterval",
    "daystoanalyze",
    "datatoanalyze",
    "phase",
    "jitter",
    "latestart",
    "grace",
];

const SPECS: &str = "SELECT t.toolspecsID, t.lastrunepoch, t.retiredepoch, t.srcNodeID, t.destNodeID, t.toolName, \
     t.testtype, t.variant, t.toolPath, t.toolDo, t.toolOpts1, t.toolOpts2, t.toolopts3, t.time2run, t.runinterval, \
     t.daystoanalyze, t.datatoanalyze, t.phase, t.jitter, t.latestart, t.grace FROM TOOLSPECS t \
     ORDER BY t.srcNodeID, t.destNodeID, t.toolName, t.variant";

/// All specifications, those that were taken out of the file included.
///
/// # Errors
/// What the engine says.
pub fn specs(session: &mut dyn Session) -> Result<Vec<StoredSpec>, Error> {
    all(session, SPECS, &[], stored_spec)
}

fn stored_spec(row: &Row<'_>) -> Result<StoredSpec, Error> {
    Ok(StoredSpec {
        id: row.int(0)?,
        spec: checked(&COLUMNS, |column| row.text(column + 3), toolspec::from_row),
        // Somebody's odd value in these hinders nobody.
        last_run: row.optional_int(1).ok().flatten(),
        retired: !row.text(2).is_empty(),
    })
}

/// Reads columns as if they stood in a file.
fn checked<T>(
    columns: &[&'static str],
    text: impl Fn(usize) -> String,
    read: impl Fn(&TableRow, &mut Vec<Mistake>) -> Option<T>,
) -> Result<T, String> {
    let row = TableRow::unplaced(
        columns.iter().enumerate().map(|(index, column)| (*column, text(index))),
    );
    let mut mistakes = Vec::new();
    let value = read(&row, &mut mistakes);
    let told: Vec<String> = mistakes.into_iter().map(|mistake| mistake.message).collect();
    value.filter(|_| told.is_empty()).ok_or_else(|| told.join("; "))
}

const NODE_COLUMNS: [&str; 5] = ["nodeID", "hostName", "ipVersion", "siteName", "comments"];

/// All nodes that are not retired.
///
/// # Errors
/// What the engine says.
pub fn nodes(session: &mut dyn Session) -> Result<Vec<Result<Node, String>>, Error> {
    let sql = "SELECT nodeID, hostName, ipVersion, siteName, comments FROM NODES WHERE retiredepoch IS NULL \
         ORDER BY nodeID";
    all(session, sql, &[], |row| {
        Ok(checked(&NODE_COLUMNS, |column| row.text(column), node::from_row))
    })
}

/// What is asked of a specification that may be due; `a` is its place on the agenda.
macro_rules! due {
    ($next_due:literal, $since:literal, $from:literal) => {
        concat!(
            "SELECT t.toolspecsID, t.lastrunepoch, t.retiredepoch, t.srcNodeID, t.destNodeID, t.toolName, t.testtype, \
             t.variant, t.toolPath, t.toolDo, t.toolOpts1, t.toolOpts2, t.toolopts3, t.time2run, t.runinterval, \
             t.daystoanalyze, t.datatoanalyze, t.phase, t.jitter, t.latestart, t.grace, ",
            $next_due, ", ", $since, ", t.agenda_us, \
             n.nodeID, n.hostName, n.ipVersion, n.siteName, n.comments, s.scheduleID, s.state, s.claimedby FROM ",
            $from,
        )
    };
}

const NEW: &str = due!(
    "0",
    "NULL",
    "TOOLSPECS t LEFT JOIN NODES n ON n.nodeID = t.destNodeID \
     LEFT JOIN SCHEDULE s ON s.opentoolspecsID = t.toolspecsID \
     WHERE t.srcNodeID = ? AND t.agenda_us = 0 AND t.toolDo = 1 LIMIT ?"
);

// The agenda is gone through in its own order, whatever a planner thinks of it.
const DUE: &str = due!(
    "a.nextdue_us",
    "a.agenda_us",
    "AGENDA a CROSS JOIN TOOLSPECS t ON t.toolspecsID = a.toolspecsID \
     LEFT JOIN NODES n ON n.nodeID = t.destNodeID LEFT JOIN SCHEDULE s ON s.opentoolspecsID = t.toolspecsID \
     WHERE a.srcNodeID = ? AND a.nextdue_us BETWEEN ? AND ? AND (a.nextdue_us > ? OR a.toolspecsID > ?) \
     ORDER BY a.nextdue_us, a.toolspecsID LIMIT ?"
);

/// The specifications of a station that are on and not on the agenda, at most `most`.
///
/// # Errors
/// What the engine says.
pub fn new_specs(
    session: &mut dyn Session,
    station: &str,
    most: usize,
) -> Result<Vec<DueSpec>, Error> {
    all(session, NEW, &[station.into(), (most as u64).into()], due_spec)
}

/// The specifications of a station whose next slot is due until `until`, at most `most`, in the order
/// of that; those that stand behind `after`, the slot and the key of the last one that was seen.
///
/// # Errors
/// What the engine says.
pub fn due_specs(
    session: &mut dyn Session,
    station: &str,
    until: Timestamp,
    after: (Timestamp, i64),
    most: usize,
) -> Result<Vec<DueSpec>, Error> {
    let (seen, id) = after;
    let most = Value::from(most as u64);
    let values = [station.into(), seen.into(), until.into(), seen.into(), id.into(), most];
    all(session, DUE, &values, due_spec)
}

fn due_spec(row: &Row<'_>) -> Result<DueSpec, Error> {
    let open = row.optional_int(29)?.map(|schedule_id| OpenRun {
        schedule_id,
        state: row.text(30),
        claimed_by: row.text(31),
    });
    let dest = row.text(4);
    let node = if row.text(24).is_empty() {
        Err(format!("there is no node {dest} in NODES"))
    } else {
        checked(&NODE_COLUMNS, |column| row.text(column + 24), node::from_row)
    };
    Ok(DueSpec {
        stored: stored_spec(row)?,
        raw_key: [row.text(3), dest, row.text(5), row.text(6)],
        node,
        next_due: row.timestamp(21)?,
        since: row.optional_int(22)?.map(Timestamp),
        is_current: row.text(9) == "1" && row.text(22) == row.text(23),
        open,
    })
}

/// Notes when a specification's next slot is due; puts it on the agenda, `now`, if it is not.
///
/// # Errors
/// What the engine says.
pub fn set_next_due(
    session: &mut dyn Session,
    due: &DueSpec,
    next: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let (station, id) = (due.raw_key[0].as_str(), due.stored.id);
    if let Some(since) = due.since {
        let sql = "UPDATE AGENDA SET nextdue_us = ? \
             WHERE srcNodeID = ? AND nextdue_us = ? AND toolspecsID = ? AND agenda_us = ?";
        let values = [next.into(), station.into(), due.next_due.into(), id.into(), since.into()];
        return session.execute(sql, &values).map(|_| ());
    }
    session.execute(
        "UPDATE TOOLSPECS SET agenda_us = ? WHERE toolspecsID = ?",
        &[now.into(), id.into()],
    )?;
    let sql =
        "INSERT INTO AGENDA (srcNodeID, nextdue_us, toolspecsID, agenda_us) VALUES (?, ?, ?, ?)";
    session.execute(sql, &[station.into(), next.into(), id.into(), now.into()]).map(|_| ())
}

/// Takes a place off the agenda that is not current. A specification that was switched off is put on
/// it anew when it is switched on.
///
/// # Errors
/// What the engine says.
pub fn take_off_agenda(session: &mut dyn Session, due: &DueSpec) -> Result<(), Error> {
    let Some(since) = due.since else { return Ok(()) };
    let (station, id) = (due.raw_key[0].as_str(), due.stored.id);
    let sql = "DELETE FROM AGENDA WHERE srcNodeID = ? AND nextdue_us = ? AND toolspecsID = ? AND agenda_us = ?";
    session.execute(sql, &[station.into(), due.next_due.into(), id.into(), since.into()])?;
    let sql = "UPDATE TOOLSPECS SET agenda_us = 0 WHERE toolspecsID = ? AND agenda_us = ?";
    session.execute(sql, &[id.into(), since.into()]).map(|_| ())
}

/// What was noted under `name`.
///
/// # Errors
/// What the engine says.
pub fn get_note(session: &mut dyn Session, name: &str) -> Result<Option<String>, Error> {
    one(session, "SELECT value FROM NOTES WHERE name = ?", &[name.into()], |row| Ok(row.text(0)))
}

/// Notes `value` under `name`, in place of what was noted before.
///
/// # Errors
/// What the engine says.
pub fn put_note(session: &mut dyn Session, name: &str, value: &str) -> Result<(), Error> {
    let values: [Value<'_>; 2] = [value.into(), name.into()];
    if session.execute("UPDATE NOTES SET value = ? WHERE name = ?", &values)? == 0 {
        session.execute("INSERT INTO NOTES (value, name) VALUES (?, ?)", &values)?;
    }
    Ok(())
}
