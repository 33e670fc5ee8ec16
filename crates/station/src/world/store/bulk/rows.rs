//! Rows of a table: read in the order of its key, written, deleted.

use super::{
    super::{
        Session,
        error::{Error, Kind},
        marks, one,
        value::Value,
    },
    table::{Table, quoted},
};

/// The values of a row, column by column; or of its key.
pub type Cells = Vec<Value<'static>>;

/// So much of a table is held in memory at once.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Rows.
    pub rows: usize,
    /// Bytes of their values; one row is read however long it is.
    pub bytes: usize,
}

/// Rows that follow each other.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    /// The rows, by key.
    pub rows: Vec<Cells>,
    /// The key of the last, if there may be more behind it; nothing: the table ends here.
    pub until: Option<Cells>,
    /// How many bytes their values have.
    pub bytes: usize,
}

/// How many rows a table has. Every row is looked at.
///
/// # Errors
/// What the engine says.
pub fn count(session: &mut dyn Session, table: &Table) -> Result<u64, Error> {
    let sql = format!("SELECT COUNT(*) FROM {}", table.quoted());
    Ok(one(session, &sql, &[], |row| row.int(0))?.map_or(0, i64::unsigned_abs))
}

/// Whether a table has no row.
///
/// # Errors
/// What the engine says.
pub fn is_empty(session: &mut dyn Session, table: &Table) -> Result<bool, Error> {
    let sql = format!("SELECT 1 FROM {} LIMIT 1", table.quoted());
    Ok(one(session, &sql, &[], |row| row.int(0))?.is_none())
}

/// The largest key of a table; nothing: it is empty.
///
/// # Errors
/// What the engine says.
pub fn last_key(session: &mut dyn Session, table: &Table) -> Result<Option<Cells>, Error> {
    let key: Vec<_> = table.key_columns().map(quoted).collect();
    let down: Vec<_> = key.iter().map(|column| format!("{column} DESC")).collect();
    let (columns, order) = (key.join(", "), down.join(", "));
    let sql = format!("SELECT {columns} FROM {} ORDER BY {order} LIMIT 1", table.quoted());
    let width = key.len();
    one(session, &sql, &[], |row| Ok((0..width).map(|at| row.at(at).into_owned()).collect()))
}

/// The rows behind a key, in the order of keys; from the first on without one.
///
/// A key of several columns is asked for level by level (the rest of what is equal in all but the last
/// column, then of what is equal in all but the last two), for each of these is one range of the key's
/// index, on every engine.
///
/// # Errors
/// What the engine says; keys that it orders in another way than [`Table::order`].
pub fn rows_after(
    session: &mut dyn Session,
    table: &Table,
    after: Option<&[Value<'static>]>,
    limit: Limit,
) -> Result<Batch, Error> {
    let mut read = Reading { table, limit, batch: Batch::default(), full: false };
    let Some(after) = after else {
        read.level(session, &[], 0)?;
        return Ok(read.ended());
    };
    for depth in (0..after.len()).rev() {
        if !read.full {
            read.level(session, after, depth)?;
        }
    }
    Ok(read.ended())
}

struct Reading<'a> {
    table: &'a Table,
    limit: Limit,
    batch: Batch,
    full: bool,
}

impl Reading<'_> {
    /// Reads what is equal to `after` in the first `depth` columns of the key and larger in the next.
    fn level(
        &mut self,
        session: &mut dyn Session,
        after: &[Value<'static>],
        depth: usize,
    ) -> Result<(), Error> {
        let (sql, values) = self.asked(after, depth);
        let width = self.table.columns().count();
        let read = session.query(&sql, &values, &mut |row| {
            self.take((0..width).map(|at| row.at(at).into_owned()).collect())
        });
        match read {
            Err(_) if self.full => Ok(()),
            read => read,
        }
    }

    fn asked(&self, after: &[Value<'static>], depth: usize) -> (String, Vec<Value<'static>>) {
        let key: Vec<_> = self.table.key_columns().map(quoted).collect();
        let columns: Vec<_> = self.table.columns().map(quoted).collect();
        let (columns, table) = (columns.join(", "), self.table.quoted());
        let equal = key.iter().take(depth).map(|column| format!("{column} = ?"));
        let larger = key.get(depth).filter(|_| !after.is_empty()).map(|key| format!("{key} > ?"));
        let conditions: Vec<_> = equal.chain(larger).collect();
        let wher = if conditions.is_empty() { "" } else { " WHERE " };
        let (conditions, order) = (conditions.join(" AND "), key[depth..].join(", "));
        let sql =
            format!("SELECT {columns} FROM {table}{wher}{conditions} ORDER BY {order} LIMIT ?");
        let mut values: Vec<_> = after.iter().take(depth + 1).cloned().collect();
        values.push(((self.limit.rows - self.batch.rows.len()) as u64).into());
        (sql, values)
    }

    /// Takes a row; fails when it is the last that has room.
    fn take(&mut self, row: Cells) -> Result<(), Error> {
        if self.batch.rows.last().is_some_and(|last| self.table.order(last, &row).is_ge()) {
            let key = self.table.told(&self.table.key_of(&row));
            let what = format!(
                "the rows of {} are not in order at {key}: this key cannot be copied to another engine",
                self.table.name()
            );
            return Err(Error::new(Kind::Other, what));
        }
        self.batch.bytes += row.iter().map(size).sum::<usize>();
        self.batch.rows.push(row);
        self.full =
            self.batch.rows.len() >= self.limit.rows || self.batch.bytes >= self.limit.bytes;
        if self.full { Err(Error::new(Kind::Other, "enough")) } else { Ok(()) }
    }

    fn ended(mut self) -> Batch {
        if self.full {
            self.batch.until = self.batch.rows.last().map(|row| self.table.key_of(row));
        }
        if self.table.name() == "NOTES" {
            let is_own = |row: &Cells| match self.table.key_of(row).first() {
                Some(Value::Text(name)) => marks::is_own(name),
                _ => false,
            };
            self.batch.rows.retain(|row| !is_own(row));
        }
        self.batch
    }
}

fn size(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len() + 8,
        Value::Bytes(bytes) => bytes.len() + 8,
        _ => 8,
    }
}

/// A statement has no more values than this: a server takes 65,535 (`ER_PS_MANY_PARAM`).
const VALUES: usize = 16_000;
/// Nor more bytes, but for one long row: a server takes `max_allowed_packet`, which is 16 MB or more.
const BYTES: usize = 1_000_000;

/// Writes rows that are not there yet.
///
/// # Errors
/// What the engine says: [`Kind::Conflict`] if a key is there, [`Kind::Other`] if a value does not fit.
pub fn insert(session: &mut dyn Session, table: &Table, rows: &[Cells]) -> Result<(), Error> {
    rows.iter().try_for_each(|row| is_text(table, row))?;
    let width = table.columns().count();
    let most = session.rows_at_once().min(VALUES / width.max(1)).max(1);
    let mut rest = rows;
    while !rest.is_empty() {
        let (some, others) = rest.split_at(together(rest, most));
        rest = others;
        if let [row] = some {
            session.write(&inserting(table, 1), row)?;
        } else {
            let values: Cells = some.iter().flatten().cloned().collect();
            session.write(&inserting(table, some.len()), &values)?;
        }
    }
    Ok(())
}

/// Refuses what no server takes, and what would become something else.
fn is_text(table: &Table, row: &Cells) -> Result<(), Error> {
    let is_bytes = |(_, value): &(&str, &Value<'_>)| matches!(value, Value::Bytes(_));
    match table.columns().zip(row).find(is_bytes) {
        None => Ok(()),
        Some((column, _)) => {
            let what = format!("its column {column} holds bytes that are no text (UTF-8)");
            Err(Error::new(Kind::Other, what))
        }
    }
}

/// How many of the rows go into one statement: a power of two, so that there are few statements to prepare.
fn together(rows: &[Cells], most: usize) -> usize {
    let mut bytes = 0;
    let fits = |row: &&Cells| {
        bytes += row.iter().map(size).sum::<usize>();
        bytes <= BYTES
    };
    let fitting = rows.iter().take(most).take_while(fits).count().max(1);
    1 << fitting.ilog2()
}

fn inserting(table: &Table, rows: usize) -> String {
    let columns: Vec<_> = table.columns().map(quoted).collect();
    let group = format!("({})", vec!["?"; columns.len()].join(", "));
    let groups = vec![group.as_str(); rows].join(", ");
    format!("INSERT INTO {} ({}) VALUES {groups}", table.quoted(), columns.join(", "))
}

/// Deletes the row of a key.
///
/// # Errors
/// What the engine says.
pub fn delete(session: &mut dyn Session, table: &Table, key: &[Value<'_>]) -> Result<(), Error> {
    let is: Vec<_> = table.key_columns().map(|key| format!("{} = ?", quoted(key))).collect();
    let sql = format!("DELETE FROM {} WHERE {}", table.quoted(), is.join(" AND "));
    session.write(&sql, key).map(|_| ())
}

#[cfg(test)]
mod tests;
