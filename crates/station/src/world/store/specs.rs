//! NODES and TOOLSPECS as they stand in the tables.
//!
//! What comes from a table is checked again as if it came from a file: anybody may have written it.

use std::borrow::Cow;

use crate::{
    text::Mistake,
    words::{
        node::{self, Node},
        table::Row as TableRow,
        toolspec::{self, ToolSpec},
    },
};

use super::{Session, all, error::Error, value::Row};

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

/// The columns of TOOLSPECS that make a specification, in the order of the queries; those that scheduling
/// does not ask for are the last six.
pub(super) const SPEC_COLUMNS: [&str; 22] = [
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
    "phase",
    "jitter",
    "latestart",
    "grace",
    "daystoanalyze",
    "datatoanalyze",
    "dailybytes",
    "dailyseconds",
    "hours",
    "pingbeside",
];

const SPECS: &str = "SELECT t.toolspecsID, t.lastrunepoch, t.retiredepoch, t.srcNodeID, t.destNodeID, t.toolName, \
     t.testtype, t.variant, t.toolPath, t.toolDo, t.toolOpts1, t.toolOpts2, t.toolopts3, t.time2run, t.runinterval, \
     t.phase, t.jitter, t.latestart, t.grace, t.daystoanalyze, t.datatoanalyze, \
     t.dailybytes, t.dailyseconds, t.hours, t.pingbeside FROM TOOLSPECS t WHERE t.srcNodeID = ? \
     ORDER BY t.destNodeID, t.toolName, t.variant";

/// All specifications of a station, those that were taken out of its file included.
///
/// # Errors
/// What the engine says.
pub fn specs(session: &mut dyn Session, station: &str) -> Result<Vec<StoredSpec>, Error> {
    all(session, SPECS, &[station.into()], stored_spec)
}

fn stored_spec(row: &Row<'_>) -> Result<StoredSpec, Error> {
    Ok(StoredSpec {
        id: row.int(0)?,
        spec: checked(&SPEC_COLUMNS, |column| row.str(column + 3), toolspec::from_row),
        // Somebody's odd value in these hinders nobody.
        last_run: row.optional_int(1).ok().flatten(),
        retired: !row.str(2).is_empty(),
    })
}

/// Reads columns as if they stood in a file.
pub(super) fn checked<'a, T>(
    columns: &[&'static str],
    text: impl Fn(usize) -> Cow<'a, str>,
    read: impl Fn(&TableRow<'_>, &mut Vec<Mistake>) -> Option<T>,
) -> Result<T, String> {
    let row = TableRow::unplaced(
        columns.iter().enumerate().map(|(index, column)| (*column, text(index))),
    );
    let mut mistakes = Vec::new();
    let value = read(&row, &mut mistakes);
    let told: Vec<String> = mistakes.into_iter().map(|mistake| mistake.message).collect();
    value.filter(|_| told.is_empty()).ok_or_else(|| told.join("; "))
}

/// The columns of NODES that make a node; those for people are the last two.
pub(super) const NODE_COLUMNS: [&str; 5] =
    ["nodeID", "hostName", "ipVersion", "siteName", "comments"];

/// All nodes that are not retired.
///
/// # Errors
/// What the engine says.
pub fn nodes(session: &mut dyn Session) -> Result<Vec<Result<Node, String>>, Error> {
    let sql = "SELECT nodeID, hostName, ipVersion, siteName, comments FROM NODES WHERE retiredepoch IS NULL \
         ORDER BY nodeID";
    all(session, sql, &[], |row| {
        Ok(checked(&NODE_COLUMNS, |column| row.str(column), node::from_row))
    })
}
