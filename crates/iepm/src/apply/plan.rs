//! What the files say against what the tables say: a value, decided without a database.

use std::collections::BTreeMap;

use station::words::{node::Node, toolspec::Placed};

use super::listing::{Conflict, Listing};

/// What identifies a row: the texts of its key columns.
pub(super) type Key = Vec<String>;
/// What a row says beside its key: columns and their texts.
pub(super) type Fields = Vec<(&'static str, String)>;

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// What it says.
    pub(super) fields: Fields,
    /// Whether it was taken out of the file before.
    pub(super) retired: bool,
}

/// One change of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A row that was not there.
    Add(Fields),
    /// A row that was retired and is in the file again.
    Return(Fields),
    /// A row that says something else: all that it is to say, and what differs.
    Alter(Fields, Vec<Difference>),
    /// A row that is no longer in the file.
    Retire,
    /// A node that is no longer in the file, and that other stations have still: it stays.
    Leave,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Its column.
    pub(super) column: &'static str,
    /// What the table says.
    pub(super) old: String,
    /// What the file says.
    pub(super) new: String,
}

/// The changes of one table, by key.
pub(super) type Changes = Vec<(Key, Change)>;

/// All changes that a file makes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Of NODES.
    pub(super) nodes: Changes,
    /// Of TOOLSPECS.
    pub(super) specs: Changes,
    /// What other stations' files say of nodes that this one would move.
    pub(crate) conflicts: Vec<Conflict>,
    /// What is to be noted of the station's list of nodes.
    pub(super) listing: Listing,
    /// Specifications of other stations, which are theirs to apply.
    pub(super) elsewhere: usize,
}

impl Plan {
    /// How many changes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() + self.specs.len()
    }
}

/// The rows that the file of the nodes asks for.
pub(super) fn nodes_of(nodes: &[Node]) -> BTreeMap<Key, Fields> {
    nodes.iter().map(|node| (vec![node.id.to_string()], node.fields().into())).collect()
}

/// The rows that the file of the specifications asks for, of one station: others apply their own.
pub(super) fn specs_of(specs: &[Placed], station: &str) -> BTreeMap<Key, Fields> {
    let row = |placed: &Placed| {
        let key = &placed.spec.key;
        let texts = [key.src.as_str(), key.dest.as_str(), key.tool.as_str(), &key.variant];
        (texts.map(str::to_owned).into(), placed.spec.fields().into())
    };
    specs.iter().filter(|placed| placed.spec.key.src.as_str() == station).map(row).collect()
}

/// What makes a table that holds `stored` say what is `wanted`.
pub(super) fn compare(mut wanted: BTreeMap<Key, Fields>, stored: BTreeMap<Key, Stored>) -> Changes {
    let mut changes = Vec::new();
    for (key, stored) in stored {
        let change = match wanted.remove(&key) {
            Some(fields) if stored.retired => Some(Change::Return(fields)),
            Some(fields) => alter(fields, &stored.fields),
            None if stored.retired => None,
            None => Some(Change::Retire),
        };
        changes.extend(change.map(|change| (key, change)));
    }
    changes.extend(wanted.into_iter().map(|(key, fields)| (key, Change::Add(fields))));
    changes.sort_by(|(one, _), (other, _)| one.cmp(other));
    changes
}

fn alter(wanted: Fields, stored: &Fields) -> Option<Change> {
    let pairs = wanted.iter().zip(stored);
    let differences = pairs
        .filter(|((_, new), (_, old))| new != old)
        .map(|(new, old)| Difference { column: new.0, old: old.1.clone(), new: new.1.clone() });
    let differences: Vec<Difference> = differences.collect();
    (!differences.is_empty()).then_some(Change::Alter(wanted, differences))
}

/// Whether a specification is to take its place on the grid anew: a new grid, or switched on again.
pub(super) fn begins_anew(differences: &[Difference]) -> bool {
    differences.iter().any(|difference| match difference.column {
        "runinterval" | "phase" | "jitter" => true,
        "toolDo" => difference.new == "1",
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        vec![("runinterval", text.to_owned())]
    }

    fn key(text: &str) -> Key {
        vec![text.to_owned()]
    }

    #[test]
    fn each_row_is_added_kept_altered_retired_or_taken_up_again() {
        let wanted = ["new", "same", "other", "back"].map(|name| (key(name), fields("1")));
        let stored = [("same", "1", false), ("other", "2", false), ("gone", "1", false)];
        let stored = stored.into_iter().chain([("back", "1", true), ("long gone", "1", true)]);
        let stored = stored
            .map(|(name, text, retired)| (key(name), Stored { fields: fields(text), retired }));
        let changes = compare(wanted.into(), stored.collect());
        let difference =
            Difference { column: "runinterval", old: "2".to_owned(), new: "1".to_owned() };
        let expected = vec![
            (key("back"), Change::Return(fields("1"))),
            (key("gone"), Change::Retire),
            (key("new"), Change::Add(fields("1"))),
            (key("other"), Change::Alter(fields("1"), vec![difference])),
        ];
        assert_eq!(changes, expected);
    }

    #[test]
    fn only_what_moves_the_grid_or_switches_on_begins_anew() {
        let difference = |column, new: &str| {
            let (old, new) = (String::new(), new.to_owned());
            [Difference { column, old, new }]
        };
        assert!(begins_anew(&difference("phase", "3")));
        assert!(begins_anew(&difference("toolDo", "1")));
        assert!(!begins_anew(&difference("toolDo", "0")));
        assert!(!begins_anew(&difference("toolOpts1", "-c 1")));
    }
}
