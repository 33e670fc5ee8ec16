//! What is to be done to a part of the target to make it as the source: a value, from the rows of both.

use std::cmp::Ordering;

use station::world::store::bulk::{Batch, Cells, Table, key_order};

use super::checksum::is_same;

/// What is to be done to the target's rows.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Change {
    /// Keys of rows that go: those that the source has not, and those that it has otherwise.
    pub(super) delete: Vec<Cells>,
    /// Rows that come.
    pub(super) insert: Vec<Cells>,
    /// How many of these are in place of others.
    pub(super) changed: u64,
}

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        self.delete.is_empty() && self.insert.is_empty()
    }

    /// Rows that the target did not have.
    pub(super) fn new_rows(&self) -> u64 {
        self.insert.len() as u64 - self.changed
    }

    /// Rows that the source has no more.
    pub(super) fn gone(&self) -> u64 {
        self.delete.len() as u64 - self.changed
    }
}

/// Cuts two batches that begin behind the same key to the part of the table that both cover; says where
/// that ends, if not with the table.
pub(super) fn cut(table: &Table, source: &mut Batch, target: &mut Batch) -> Option<Cells> {
    let until = match (source.until.take(), target.until.take()) {
        (Some(one), Some(other)) if key_order(&one, &other).is_gt() => Some(other),
        (None, other) => other,
        (one, _) => one,
    };
    if let Some(until) = &until {
        for batch in [source, target] {
            keep_until(table, batch, until);
        }
    }
    until
}

/// Drops the rows behind a key.
pub(super) fn keep_until(table: &Table, batch: &mut Batch, until: &Cells) {
    let within = |row: &Cells| key_order(&table.key_of(row), until).is_le();
    let kept = batch.rows.partition_point(within);
    batch.rows.truncate(kept);
}

/// Compares the rows of the same part of a table.
pub(super) fn compare(table: &Table, source: &[Cells], target: &[Cells]) -> Change {
    let (mut ours, mut theirs) = (source.iter().peekable(), target.iter().peekable());
    let mut change = Change::default();
    loop {
        let order = match (ours.peek(), theirs.peek()) {
            (None, None) => return change,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => table.order(one, other),
        };
        let one = if order.is_le() { ours.next() } else { None };
        let other = if order.is_ge() { theirs.next() } else { None };
        if one.zip(other).is_some_and(|(one, other)| is_same_row(one, other)) {
            continue;
        }
        change.changed += u64::from(order.is_eq());
        change.insert.extend(one.cloned());
        change.delete.extend(other.map(|row| table.key_of(row)));
    }
}

fn is_same_row(one: &Cells, other: &Cells) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
}

#[cfg(test)]
mod tests {
    use station::world::store::{Session, Value, bulk};

    use crate::testing::Station;

    use super::*;

    /// NOTES: a name, which is the key, and a value.
    fn table() -> Table {
        let mut station = Station::new();
        let tables = |session: &mut dyn Session| bulk::of_station(session);
        let tables = station.store.read(tables).expect("read");
        tables.into_iter().find(|table| table.name() == "NOTES").expect("there")
    }

    fn rows(text: &str) -> Vec<Cells> {
        let row = |pair: &str| pair.chars().map(|c| Value::from(c.to_string())).collect();
        text.split_whitespace().map(row).collect()
    }

    fn batch(text: &str, until: Option<&str>) -> Batch {
        let until = until.map(|key| vec![Value::from(key.to_owned())]);
        Batch { rows: rows(text), until, bytes: 0 }
    }

    #[test]
    fn what_is_new_changed_or_gone_is_told_apart_and_what_is_the_same_is_left() {
        let table = table();
        let change = compare(&table, &rows("a1 b2 d4 e5"), &rows("b2 c3 d0 f6"));
        assert_eq!(change.insert, rows("a1 d4 e5"));
        assert_eq!(change.delete, ["c", "d", "f"].map(|key| vec![Value::from(key)]));
        assert_eq!((change.new_rows(), change.changed, change.gone()), (2, 1, 2));
        assert!(compare(&table, &rows("a1 b2"), &rows("a1 b2")).is_empty());
    }

    #[test]
    fn rows_are_compared_as_far_as_both_were_read() {
        let table = table();
        for (source, target, ends, left) in [
            (("a1 c3", Some("c")), ("a1 b2", Some("b")), Some("b"), ["a1", "a1 b2"]),
            (("a1 b2", Some("b")), ("a1 b2 c3", None), Some("b"), ["a1 b2", "a1 b2"]),
            (("", None), ("a1 b2", Some("b")), Some("b"), ["", "a1 b2"]),
            (("a1", None), ("b2", None), None, ["a1", "b2"]),
        ] {
            let (mut one, mut other) = (batch(source.0, source.1), batch(target.0, target.1));
            let until = cut(&table, &mut one, &mut other);
            assert_eq!(until, ends.map(|key| vec![Value::from(key)]));
            assert_eq!([one.rows, other.rows], left.map(rows));
        }
    }
}
