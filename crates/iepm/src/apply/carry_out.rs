//! NODES and TOOLSPECS as texts, row by row, and the statements that change them.
//!
//! The rows are not checked here: a row that is wrong is one that the file puts right.

use std::collections::BTreeMap;

use station::{
    text::Timestamp,
    world::store::{self, Error, Row, Session, Value},
};

use super::plan::{self, Change, Fields, Key, Plan, Stored};

const NODE_KEY: usize = 1;
const NODE_FIELDS: [&str; 4] = ["hostName", "ipVersion", "siteName", "comments"];
const NODES: &str =
    "SELECT retiredepoch, nodeID, hostName, ipVersion, siteName, comments FROM NODES";

const SPEC_KEY: usize = 4;
const SPEC_FIELDS: [&str; 18] = [
    "toolPath",
    "toolDo",
    "testtype",
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
    "dailybytes",
    "dailyseconds",
    "hours",
    "pingbeside",
];
const SPECS: &str = "SELECT retiredepoch, srcNodeID, destNodeID, toolName, variant, toolPath, toolDo, testtype, \
     toolOpts1, toolOpts2, toolopts3, time2run, runinterval, daystoanalyze, datatoanalyze, phase, jitter, latestart, \
     grace, dailybytes, dailyseconds, hours, pingbeside FROM TOOLSPECS WHERE srcNodeID = ?";

/// The rows of NODES.
pub(super) fn nodes(session: &mut dyn Session) -> Result<BTreeMap<Key, Stored>, Error> {
    let rows = store::all(session, NODES, &[], |row| stored(row, NODE_KEY, &NODE_FIELDS))?;
    Ok(rows.into_iter().collect())
}

/// The rows of TOOLSPECS that are a station's.
pub(super) fn specs(
    session: &mut dyn Session,
    station: &str,
) -> Result<BTreeMap<Key, Stored>, Error> {
    let rows =
        store::all(session, SPECS, &[station.into()], |row| stored(row, SPEC_KEY, &SPEC_FIELDS))?;
    Ok(rows.into_iter().collect())
}

/// A row: `retiredepoch`, then the columns of its key, then its fields.
fn stored(row: &Row<'_>, key: usize, fields: &[&'static str]) -> Result<(Key, Stored), Error> {
    let retired = row.optional_int(0)?.is_some();
    let texts = (1..).map(|column| row.text(column));
    let fields = fields.iter().copied().zip(texts.clone().skip(key)).collect();
    Ok((texts.take(key).collect(), Stored { fields, retired }))
}

/// Makes all changes of a plan.
pub(super) fn plan(session: &mut dyn Session, plan: &Plan, now: Timestamp) -> Result<(), Error> {
    for (key, change) in &plan.nodes {
        change_node(session, key, change, now)?;
    }
    for (key, change) in &plan.specs {
        change_spec(session, key, change, now)?;
    }
    Ok(())
}

fn change_node(
    session: &mut dyn Session,
    key: &[String],
    change: &Change,
    now: Timestamp,
) -> Result<(), Error> {
    let (sql, values) = match change {
        Change::Add(fields) => (
            "INSERT INTO NODES (hostName, ipVersion, siteName, comments, nodeID) VALUES (?, ?, ?, ?, ?)",
            texts(fields),
        ),
        Change::Return(fields) | Change::Alter(fields, _) => (
            "UPDATE NODES SET hostName = ?, ipVersion = ?, siteName = ?, comments = ?, retiredepoch = NULL \
             WHERE nodeID = ?",
            texts(fields),
        ),
        Change::Retire => {
            ("UPDATE NODES SET retiredepoch = ? WHERE nodeID = ?", vec![now.seconds().into()])
        }
        // Only the station's list changes.
        Change::Leave => return Ok(()),
    };
    session.execute(sql, &with_key(values, key)).map(|_| ())
}

fn change_spec(
    session: &mut dyn Session,
    key: &[String],
    change: &Change,
    now: Timestamp,
) -> Result<(), Error> {
    match change {
        Change::Add(fields) => {
            session.execute(INSERT_SPEC, &with_key(texts(fields), key))?;
        }
        Change::Return(fields) => {
            session.execute(UPDATE_SPEC, &with_key(texts(fields), key))?;
            begin_anew(session, key)?;
        }
        Change::Alter(fields, differences) => {
            session.execute(UPDATE_SPEC, &with_key(texts(fields), key))?;
            if plan::begins_anew(differences) {
                begin_anew(session, key)?;
            }
        }
        // That is of nodes.
        Change::Leave => {}
        Change::Retire => {
            session.execute(RETIRE_SPEC, &with_key(vec![now.seconds().into()], key))?;
        }
    }
    Ok(())
}

const INSERT_SPEC: &str = "INSERT INTO TOOLSPECS (toolPath, toolDo, testtype, toolOpts1, toolOpts2, toolopts3, time2run, \
     runinterval, daystoanalyze, datatoanalyze, phase, jitter, latestart, grace, dailybytes, dailyseconds, hours, \
     pingbeside, srcNodeID, destNodeID, toolName, variant) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

const UPDATE_SPEC: &str = "UPDATE TOOLSPECS SET toolPath = ?, toolDo = ?, testtype = ?, toolOpts1 = ?, toolOpts2 = ?, \
     toolopts3 = ?, time2run = ?, runinterval = ?, daystoanalyze = ?, datatoanalyze = ?, phase = ?, jitter = ?, \
     latestart = ?, grace = ?, dailybytes = ?, dailyseconds = ?, hours = ?, pingbeside = ?, retiredepoch = NULL \
     WHERE srcNodeID = ? AND destNodeID = ? AND toolName = ? AND variant = ?";

const RETIRE_SPEC: &str = "UPDATE TOOLSPECS SET toolDo = 0, retiredepoch = ? \
     WHERE srcNodeID = ? AND destNodeID = ? AND toolName = ? AND variant = ?";

/// Lets a specification take its place on the grid anew. Its run that waits is called off: it may be
/// of the same slot, which would else run twice.
fn begin_anew(session: &mut dyn Session, key: &[String]) -> Result<(), Error> {
    session.execute(
        "UPDATE TOOLSPECS SET agenda_us = 0 \
         WHERE srcNodeID = ? AND destNodeID = ? AND toolName = ? AND variant = ?",
        &with_key(Vec::new(), key),
    )?;
    session.execute(
        "UPDATE SCHEDULE SET state = 'cancelled', opentoolspecsID = NULL, reason = 'its specification was changed' \
         WHERE state = 'pending' AND opentoolspecsID = (SELECT toolspecsID FROM TOOLSPECS \
         WHERE srcNodeID = ? AND destNodeID = ? AND toolName = ? AND variant = ?)",
        &with_key(Vec::new(), key),
    )?;
    Ok(())
}

/// The texts of fields; columns of integers take the digits as the integers they are.
fn texts(fields: &Fields) -> Vec<Value<'_>> {
    fields.iter().map(|(_, text)| text.as_str().into()).collect()
}

fn with_key<'a>(mut values: Vec<Value<'a>>, key: &'a [String]) -> Vec<Value<'a>> {
    values.extend(key.iter().map(|text| Value::from(text.as_str())));
    values
}

#[cfg(test)]
mod tests {
    use crate::testing;

    use super::*;

    #[test]
    fn the_columns_are_those_that_specifications_and_nodes_have() {
        let tables = testing::tables(&["s", "d"], "s,d,ping,background,15,600,,\n");
        let spec = tables.specs[0].spec.fields().map(|(column, _)| column);
        let node = tables.nodes[0].fields().map(|(column, _)| column);
        assert_eq!((spec, node), (SPEC_FIELDS, NODE_FIELDS));
    }

    #[test]
    fn the_statements_name_the_columns_in_that_order() {
        let in_order = |sql: &str, columns: &[&str]| {
            let places: Vec<_> = columns.iter().map(|column| sql.find(column)).collect();
            assert!(places.is_sorted() && !places.contains(&None), "{sql}: {places:?}");
        };
        let key = ["srcNodeID", "destNodeID", "toolName", "variant"];
        in_order(SPECS, &[&key[..], &SPEC_FIELDS].concat());
        in_order(INSERT_SPEC, &[&SPEC_FIELDS[..], &key].concat());
        in_order(UPDATE_SPEC, &[&SPEC_FIELDS[..], &key].concat());
        in_order(NODES, &[&["nodeID"][..], &NODE_FIELDS].concat());
    }
}
