//! NODES is everybody's: where stations share a database, a node has one row, whoever names it in his
//! nodes.csv. NODELISTS tells who does, and how.
//!
//! A node that leaves one station's file stays as long as another station lists it, or measures to it.
//! Where a node is (its host name and IP version) is changed by the first station that is told to; when
//! another one's file says something else, only if that is asked for, so that two files that differ do not
//! undo each other.

use std::collections::BTreeMap;

use station::world::store::{self, Error, Row, Session};

use super::plan::{Change, Changes, Fields, Key};

/// Where a node is: host name and IP version.
type Place = [String; 2];

/// What another station's file says of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(super) node: String,
    pub(super) ours: Place,
    pub(super) station: String,
    pub(super) theirs: Place,
}

impl Conflict {
    /// The node.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// In one line.
    pub(crate) fn text(&self) -> String {
        let Self { node, ours, station, theirs } = self;
        let place = |[host, version]: &Place| format!("{host} ({version})");
        format!(
            "node {node}: nodes.csv says {}, that of {station} says {}",
            place(ours),
            place(theirs)
        )
    }
}

/// What is to be noted of the station's own list.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    listed: Vec<(String, Place)>,
    unlisted: Vec<String>,
}

/// Turns the changes that a file alone would make into those that it makes among other stations.
pub(super) fn among_others(
    session: &mut dyn Session,
    station: &str,
    changes: Changes,
) -> Result<(Changes, Vec<Conflict>), Error> {
    let (mut shared, mut conflicts) = (Changes::new(), Vec::new());
    for (key, change) in changes {
        let change = match change {
            Change::Retire => retire(session, station, &key)?,
            Change::Alter(fields, differences) => {
                let moves = differences.iter().any(|it| PLACE.contains(&it.column));
                if moves {
                    conflicts.extend(conflict(session, station, &key, place(&fields))?);
                }
                Some(Change::Alter(fields, differences))
            }
            other => Some(other),
        };
        shared.extend(change.map(|change| (key, change)));
    }
    Ok((shared, conflicts))
}

const PLACE: [&str; 2] = ["hostName", "ipVersion"];

fn place(fields: &Fields) -> Place {
    let of = |column: &str| fields.iter().find(|(name, _)| *name == column);
    PLACE.map(|column| of(column).map(|(_, text)| text.clone()).unwrap_or_default())
}

const OTHERS: &str = "SELECT srcNodeID, hostName, ipVersion FROM NODELISTS WHERE nodeID = ? AND srcNodeID <> ? \
     ORDER BY srcNodeID";
const MEASURED: &str = "SELECT srcNodeID FROM TOOLSPECS WHERE srcNodeID <> ? AND retiredepoch IS NULL \
     AND (destNodeID = ? OR srcNodeID = ?) LIMIT 1";

/// What becomes of a node that is not in the station's file.
fn retire(
    session: &mut dyn Session,
    station: &str,
    key: &[String],
) -> Result<Option<Change>, Error> {
    let node = key.concat();
    let listed = !store::all(session, OTHERS, &[node.as_str().into(), station.into()], |_| Ok(()))?
        .is_empty();
    let values = [station.into(), node.as_str().into(), node.as_str().into()];
    if !listed && store::one(session, MEASURED, &values, |_| Ok(()))?.is_none() {
        return Ok(Some(Change::Retire));
    }
    let sql = "SELECT nodeID FROM NODELISTS WHERE srcNodeID = ? AND nodeID = ?";
    let ours = store::one(session, sql, &[station.into(), node.as_str().into()], |_| Ok(()))?;
    Ok(ours.map(|()| Change::Leave))
}

fn conflict(
    session: &mut dyn Session,
    station: &str,
    key: &[String],
    ours: Place,
) -> Result<Option<Conflict>, Error> {
    let node = key.concat();
    let others =
        store::all(session, OTHERS, &[node.as_str().into(), station.into()], |row: &Row<'_>| {
            Ok((row.text(0), [row.text(1), row.text(2)]))
        })?;
    let other = others.into_iter().find(|(_, theirs)| *theirs != ours);
    Ok(other.map(|(station, theirs)| Conflict { node, ours, station, theirs }))
}

/// What is to be noted of the station's list when its file asks for `wanted`.
pub(super) fn listing(
    session: &mut dyn Session,
    station: &str,
    wanted: &BTreeMap<Key, Fields>,
) -> Result<Listing, Error> {
    let sql = "SELECT nodeID, hostName, ipVersion FROM NODELISTS WHERE srcNodeID = ?";
    let before: BTreeMap<String, Place> = store::all(session, sql, &[station.into()], |row| {
        Ok((row.text(0), [row.text(1), row.text(2)]))
    })?
    .into_iter()
    .collect();
    let wanted: BTreeMap<String, Place> =
        wanted.iter().map(|(key, fields)| (key.concat(), place(fields))).collect();
    let unlisted = before.keys().filter(|node| !wanted.contains_key(*node)).cloned().collect();
    let listed = wanted.into_iter().filter(|(node, place)| before.get(node) != Some(place));
    Ok(Listing { listed: listed.collect(), unlisted })
}

/// Notes it.
pub(super) fn note(
    session: &mut dyn Session,
    station: &str,
    listing: &Listing,
) -> Result<(), Error> {
    for node in &listing.unlisted {
        let sql = "DELETE FROM NODELISTS WHERE srcNodeID = ? AND nodeID = ?";
        session.execute(sql, &[station.into(), node.as_str().into()])?;
    }
    for (node, [host, version]) in &listing.listed {
        let sql =
            "REPLACE INTO NODELISTS (srcNodeID, nodeID, hostName, ipVersion) VALUES (?, ?, ?, ?)";
        let values = [station, node, host, version].map(Into::into);
        session.execute(sql, &values)?;
    }
    Ok(())
}

/// Nodes that stations define differently: the node, and what each says.
pub(crate) fn differing(session: &mut dyn Session) -> Result<Vec<(String, String)>, Error> {
    let sql = "SELECT l.nodeID, l.srcNodeID, l.hostName, l.ipVersion FROM NODELISTS l \
         JOIN NODES n ON n.nodeID = l.nodeID WHERE n.hostName <> l.hostName OR n.ipVersion <> l.ipVersion \
         ORDER BY l.nodeID, l.srcNodeID";
    store::all(session, sql, &[], |row| {
        let [node, station, host, version] = [0, 1, 2, 3].map(|column| row.text(column));
        Ok((node.clone(), format!("nodes.csv of {station} says {host} ({version})")))
    })
}
