//! A table as its database tells it.

use std::cmp::Ordering;

use super::super::{
    Session,
    error::{Error, Kind},
    value::Value,
};

/// What a database keeps for itself: which steps of the schema were taken, and its marks.
const OWN: [&str; 2] = ["SCHEMAVERSION", "SCHEMASTEP"];

/// A table: its columns, and which of them are its primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    name: String,
    columns: Vec<Column>,
    /// Places in `columns`, in the order of the key.
    key: Vec<usize>,
    counts: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    holds: Holds,
}

/// What a column holds, in the words of both engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Int,
    Real,
    Text,
}

impl Holds {
    /// By its declared type, as the embedded engine judges it (<https://sqlite.org/datatype3.html>, 3.1).
    fn of(declared: &str) -> Option<Self> {
        let declared = declared.to_ascii_uppercase();
        let is_one_of = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        if is_one_of(&["INT"]) && !is_one_of(&["POINT"]) {
            Some(Self::Int)
        } else if is_one_of(&["CHAR", "TEXT"]) {
            Some(Self::Text)
        } else if is_one_of(&["DOUBLE", "REAL"]) {
            Some(Self::Real)
        } else {
            None
        }
    }
}

impl Table {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name as it stands in statements.
    pub(in crate::world::store) fn quoted(&self) -> String {
        quoted(&self.name)
    }

    /// Whether it gives its rows a number, and never one twice.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.counts
    }

    /// The names of its columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    pub(super) fn key_columns(&self) -> impl Iterator<Item = &str> {
        self.key.iter().map(|place| self.columns[*place].name.as_str())
    }

    /// The key of a row.
    #[must_use]
    pub fn key_of(&self, row: &[Value<'static>]) -> Vec<Value<'static>> {
        self.key.iter().filter_map(|place| row.get(*place).cloned()).collect()
    }

    /// How two rows follow each other.
    #[must_use]
    pub fn order(&self, one: &[Value<'_>], other: &[Value<'_>]) -> Ordering {
        let pairs = self.key.iter().filter_map(|place| one.get(*place).zip(other.get(*place)));
        pairs.map(|(one, other)| order(one, other)).find(|it| it.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// A key in words: `scheduleID 7`.
    #[must_use]
    pub fn told(&self, key: &[Value<'_>]) -> String {
        let part = |(column, value): (&str, &Value<'_>)| match value {
            Value::Int(int) => format!("{column} {int}"),
            Value::Text(text) => format!("{column} {text:?}"),
            other => format!("{column} {other:?}"),
        };
        self.key_columns().zip(key).map(part).collect::<Vec<_>>().join(", ")
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// How two keys follow each other, whatever engine holds them: numbers by size, texts byte by byte.
#[must_use]
pub fn key_order(one: &[Value<'_>], other: &[Value<'_>]) -> Ordering {
    let pairs = one.iter().zip(other).map(|(one, other)| order(one, other));
    pairs.into_iter().find(|it| it.is_ne()).unwrap_or(Ordering::Equal)
}

fn order(one: &Value<'_>, other: &Value<'_>) -> Ordering {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => one.cmp(other),
        (Value::Real(one), Value::Real(other)) => one.total_cmp(other),
        (Value::Text(one), Value::Text(other)) => one.as_bytes().cmp(other.as_bytes()),
        _ => rank(one).cmp(&rank(other)),
    }
}

fn rank(value: &Value<'_>) -> u8 {
    match value {
        Value::Null => 0,
        Value::Int(_) => 1,
        Value::Real(_) => 2,
        Value::Text(_) => 3,
        Value::Bytes(_) => 4,
    }
}

/// Tables, while an engine tells them column by column.
#[derive(Debug, Default)]
pub(in crate::world::store) struct Found {
    tables: Vec<Table>,
    /// For each column of the last key: its place in the key, from 1 on, and its place in the table.
    key: Vec<(i64, usize)>,
}

impl Found {
    /// The next column: of which table, of which declared type, where in its key (0: not in it), and whether
    /// the table counts its rows by it or by another.
    pub(in crate::world::store) fn column(
        &mut self,
        table: &str,
        name: &str,
        declared: &str,
        in_key: i64,
        counts: bool,
    ) -> Result<(), Error> {
        for name in [table, name] {
            if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
                return Err(cannot(table, &format!("it, or its column {name:?}, needs quoting")));
            }
        }
        let holds = Holds::of(declared).ok_or_else(|| {
            cannot(table, &format!("its column {name} is of the type {declared}"))
        })?;
        if self.tables.last().is_none_or(|last| last.name != table) {
            self.close();
            let (columns, key) = (Vec::new(), Vec::new());
            self.tables.push(Table { name: table.to_owned(), columns, key, counts: false });
        }
        let Some(last) = self.tables.last_mut() else { return Ok(()) };
        last.counts |= counts;
        last.columns.push(Column { name: name.to_owned(), holds });
        if in_key > 0 {
            self.key.push((in_key, last.columns.len() - 1));
        }
        Ok(())
    }

    fn close(&mut self) {
        let mut key = std::mem::take(&mut self.key);
        key.sort_unstable();
        if let Some(last) = self.tables.last_mut() {
            last.key = key.into_iter().map(|(_, column)| column).collect();
        }
    }

    /// All that were told.
    pub(in crate::world::store) fn tables(mut self) -> Result<Vec<Table>, Error> {
        self.close();
        match self.tables.iter().find(|table| table.key.is_empty()) {
            Some(table) => Err(cannot(&table.name, "it has no primary key")),
            None => Ok(self.tables),
        }
    }
}

fn cannot(table: &str, why: &str) -> Error {
    let what = format!(
        "the table {table} cannot be copied: {why}. No table of the suite is so: drop it, or move it elsewhere"
    );
    Error::new(Kind::Other, what)
}

/// The tables that hold a station's rows.
///
/// # Errors
/// What the engine says; a table that cannot be copied.
pub fn of_station(session: &mut dyn Session) -> Result<Vec<Table>, Error> {
    let tables = session.tables()?;
    Ok(tables.into_iter().filter(|table| !OWN.contains(&table.name.as_str())).collect())
}

/// In what the tables of two databases differ; each is a sentence.
#[must_use]
pub fn differences(source: &[Table], target: &[Table]) -> Vec<String> {
    let named = |tables: &[Table], name: &str| tables.iter().find(|it| it.name == name).cloned();
    let missing = |from: &[Table], to: &[Table], what: &str| -> Vec<String> {
        let missing = from.iter().filter(|table| named(to, &table.name).is_none());
        missing.map(|table| format!("only the {what} has a table {}", table.name)).collect()
    };
    let mut all = missing(source, target, "source");
    all.extend(missing(target, source, "target"));
    for table in source {
        let other = named(target, &table.name).filter(|other| !table.is_like(other));
        all.extend(other.map(|other| {
            let [ours, theirs] = [table, &other].map(Table::shape);
            format!("the table {} is {ours} in the source, {theirs} in the target", table.name)
        }));
    }
    all
}

impl Table {
    /// Whether it takes the rows of another; the order of columns does not matter.
    fn is_like(&self, other: &Self) -> bool {
        let sorted = |table: &Self| {
            let mut columns: Vec<_> =
                table.columns.iter().map(|it| (it.name.clone(), it.holds as u8)).collect();
            columns.sort_unstable();
            columns
        };
        sorted(self) == sorted(other) && self.key_columns().eq(other.key_columns())
    }

    fn shape(&self) -> String {
        let column = |it: &Column| format!("{} {:?}", it.name, it.holds);
        let columns: Vec<_> = self.columns.iter().map(column).collect();
        let key: Vec<_> = self.key_columns().collect();
        format!("({}; key {})", columns.join(", "), key.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, &str, i64)]) -> Result<Table, Error> {
        let mut found = Found::default();
        for (name, declared, key) in columns {
            found.column("T", name, declared, *key, false)?;
        }
        found.tables().map(|tables| tables[0].clone())
    }

    #[test]
    fn a_table_is_told_column_by_column_and_its_key_keeps_its_own_order() {
        let table =
            table(&[("a", "BIGINT", 2), ("b", "varchar(64)", 1), ("c", "DOUBLE", 0)]).expect("one");
        assert_eq!(table.key_columns().collect::<Vec<_>>(), ["b", "a"]);
        let row = [Value::Int(7), Value::from("x"), Value::Null];
        assert_eq!(table.told(&table.key_of(&row)), "b \"x\", a 7");
    }

    #[test]
    fn what_cannot_be_copied_is_told_with_what_to_do() {
        for (columns, told) in [
            (&[("a", "BIGINT", 0)][..], "no primary key"),
            (&[("a", "BLOB", 1)], "of the type BLOB"),
            (&[("a\" x", "BIGINT", 1)], "needs quoting"),
        ] {
            let fault = table(columns).expect_err("refused").to_string();
            assert!(fault.contains(told) && fault.contains("drop it"), "{fault}");
        }
    }

    #[test]
    fn tables_differ_by_a_column_a_type_or_a_key() {
        let one = |columns: &[_]| vec![table(columns).expect("a table")];
        let first = one(&[("a", "BIGINT", 1), ("b", "TEXT", 0)]);
        assert_eq!(
            differences(&first, &one(&[("b", "mediumtext", 0), ("a", "bigint", 1)])),
            [""; 0]
        );
        for other in [
            one(&[("a", "BIGINT", 1)]),
            one(&[("a", "BIGINT", 1), ("b", "DOUBLE", 0)]),
            one(&[("a", "BIGINT", 1), ("b", "TEXT", 2)]),
        ] {
            assert_eq!(differences(&first, &other).len(), 1, "{other:?}");
        }
        assert_eq!(differences(&first, &[]), ["only the source has a table T"]);
        assert_eq!(differences(&[], &first), ["only the target has a table T"]);
    }
}
