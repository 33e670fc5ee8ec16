//! AGENDA: when each specification is due next, in the order of time.
//!
//! It stands apart from TOOLSPECS so that what is due together lies together, however many
//! specifications there are. A cycle takes a stretch out of it and puts each specification back at its
//! next time.

use crate::{
    text::Timestamp,
    words::{
        node::{self, Node},
        toolspec::{self, ToolSpec},
    },
};

use super::{
    Session, all,
    error::Error,
    schedule::OpenRun,
    specs::{NODE_COLUMNS, SPEC_COLUMNS, checked},
    value::{Row, Value},
};

/// A specification whose time has come, with all that is needed to schedule it.
#[derive(Debug, Clone)]
pub struct DueSpec {
    /// The key of TOOLSPECS.
    pub id: i64,
    /// The specification, without what only the analysis reads; or why it is none.
    pub spec: Result<ToolSpec, String>,
    /// Source, destination, tool and testtype as the table has them, of a specification that is none.
    broken_key: [String; 4],
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

impl DueSpec {
    /// Source, destination, tool and testtype: for rows of SCHEDULE.
    #[must_use]
    pub fn key(&self) -> [&str; 4] {
        match &self.spec {
            Ok(ToolSpec { key, testtype, .. }) => {
                [key.src.as_str(), key.dest.as_str(), key.tool.as_str(), testtype.as_str()]
            }
            Err(_) => self.broken_key.each_ref().map(String::as_str),
        }
    }
}

impl DueSpec {
    /// Where it stands on the agenda: its time and its key.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.next_due, self.id)
    }
}

/// A place on the agenda: a time and the key of a specification, in this order.
pub type Place = (Timestamp, i64);

/// What is asked of a specification that may be due; `a` is its place on the agenda.
macro_rules! due {
    ($next_due:literal, $since:literal, $from:literal) => {
        concat!(
            "SELECT t.toolspecsID, t.srcNodeID, t.destNodeID, t.toolName, t.testtype, t.variant, t.toolPath, t.toolDo, \
             t.toolOpts1, t.toolOpts2, t.toolopts3, t.time2run, t.runinterval, t.phase, t.jitter, t.latestart, \
             t.grace, n.nodeID, n.hostName, n.ipVersion, t.agenda_us, ",
            $next_due, ", ", $since, ", s.scheduleID, s.state, s.claimedby FROM ", $from,
        )
    };
}

/// Where columns of that query begin, and the one that says whether a specification is on.
const SPEC: usize = 1;
const ON: usize = 7;
const NODE: usize = 17;
const PLACE: usize = 20;
const OPEN: usize = 23;

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
    after: Place,
    most: usize,
) -> Result<Vec<DueSpec>, Error> {
    let (seen, id) = after;
    let most = Value::from(most as u64);
    let values = [station.into(), seen.into(), until.into(), seen.into(), id.into(), most];
    all(session, DUE, &values, due_spec)
}

fn due_spec(row: &Row<'_>) -> Result<DueSpec, Error> {
    // What only the analysis or people read is left out.
    let (spec_columns, node_columns) = (&SPEC_COLUMNS[..16], &NODE_COLUMNS[..3]);
    let spec = checked(spec_columns, |column| row.str(column + SPEC), toolspec::from_row);
    let node = if row.str(NODE).is_empty() {
        Err(format!("there is no node {} in NODES", row.str(SPEC + 1)))
    } else {
        checked(node_columns, |column| row.str(column + NODE), node::from_row)
    };
    let key = |offset| if spec.is_ok() { String::new() } else { row.text(SPEC + offset) };
    let open = row.optional_int(OPEN)?.map(|schedule_id| OpenRun {
        schedule_id,
        state: row.text(OPEN + 1),
        claimed_by: row.text(OPEN + 2),
    });
    Ok(DueSpec {
        id: row.int(0)?,
        broken_key: [0, 1, 2, 3].map(key),
        spec,
        node,
        next_due: row.timestamp(PLACE + 1)?,
        since: row.optional_int(PLACE + 2)?.map(Timestamp),
        is_current: row.str(ON) == "1" && row.str(PLACE) == row.str(PLACE + 2),
        open,
    })
}

/// Takes the stretch of a station's agenda out that lies behind `after`, up to and with `last`.
///
/// # Errors
/// What the engine says.
pub fn clear_agenda(
    session: &mut dyn Session,
    station: &str,
    after: Place,
    last: Place,
) -> Result<(), Error> {
    let sql = "DELETE FROM AGENDA WHERE srcNodeID = ? AND nextdue_us BETWEEN ? AND ? \
         AND (nextdue_us > ? OR toolspecsID > ?) AND (nextdue_us < ? OR toolspecsID <= ?)";
    let values = [
        station.into(),
        after.0.into(),
        last.0.into(),
        after.0.into(),
        after.1.into(),
        last.0.into(),
        last.1.into(),
    ];
    session.execute(sql, &values).map(|_| ())
}

/// Puts specifications on the agenda that stand nowhere on it, each for its next time; one that had no
/// place before gets one, `now`. What stands there of before is void, and makes room.
///
/// # Errors
/// What the engine says.
pub fn put_on_agenda(
    session: &mut dyn Session,
    nexts: &[(&DueSpec, Timestamp)],
    now: Timestamp,
) -> Result<(), Error> {
    let new = nexts.iter().filter(|(due, _)| due.since.is_none());
    let new: Vec<_> = new.map(|(due, _)| vec![now.into(), due.id.into()]).collect();
    let sql = "UPDATE TOOLSPECS SET agenda_us = ? WHERE toolspecsID = ?";
    session.execute_many(sql, &new)?;
    let place = |&(due, next): &(&'_ DueSpec, Timestamp)| {
        let ([station, ..], since) = (due.key(), due.since.unwrap_or(now));
        vec![station.to_owned().into(), next.into(), due.id.into(), since.into()]
    };
    let places: Vec<_> = nexts.iter().map(place).collect();
    let sql =
        "REPLACE INTO AGENDA (srcNodeID, nextdue_us, toolspecsID, agenda_us) VALUES (?, ?, ?, ?)";
    session.execute_many(sql, &places).map(|_| ())
}

/// Notes that a specification is not on the agenda any more, unless it has another place there: one
/// that was switched off is put on it anew when it is switched on.
///
/// # Errors
/// What the engine says.
pub fn leave_off_agenda(session: &mut dyn Session, due: &DueSpec) -> Result<(), Error> {
    let Some(since) = due.since else { return Ok(()) };
    let sql = "UPDATE TOOLSPECS SET agenda_us = 0 WHERE toolspecsID = ? AND agenda_us = ?";
    session.execute(sql, &[due.id.into(), since.into()]).map(|_| ())
}
