//! Statements in a transaction, and what comes back.

use std::str;

use ::mysql::{
    Conn, Error as Failure, Params, Row as ServerRow, Value as ServerValue, consts::ColumnType,
    prelude::Queryable,
};

use crate::text::Timestamp;

use super::{
    super::{
        Session,
        bulk::{Found, Table},
        error::{Error, Kind},
        one,
        value::{Columns, Row, Value},
    },
    bulk, dialect,
    errors::{self, Left},
    link::Link,
};

/// A transaction that goes on.
pub(super) struct InTransaction<'a> {
    connection: &'a mut Conn,
    shown: &'a str,
    takes_bulk: bool,
    /// What undid the transaction. Whoever goes on all the same would write outside of any: the next
    /// statement fails too, and so does the commit.
    pub(super) undone: Option<Error>,
    /// Whether another server may do better.
    pub(super) left: Option<Left>,
}

impl<'a> InTransaction<'a> {
    pub(super) fn on(link: &'a mut Link) -> Self {
        let Link { connection, node, takes_bulk, .. } = link;
        Self { connection, shown: node, takes_bulk: *takes_bulk, undone: None, left: None }
    }

    fn failed(&mut self, failure: &Failure) -> Error {
        let error = errors::explain(failure, self.shown);
        self.left = errors::left(failure);
        if !matches!(error.kind(), Kind::Conflict | Kind::Other) {
            self.undone = Some(error.clone());
        }
        error
    }

    fn execute_part(&mut self, sql: &str, part: &[Vec<Value<'_>>]) -> Result<u64, Error> {
        let done = self.connection.exec_batch(sql, part.iter().map(|values| params(values)));
        done.map_err(|failure| self.failed(&failure))?;
        Ok(self.connection.affected_rows())
    }

    /// Several rows of an INSERT by each statement, and what is left one by one.
    fn insert_part(
        &mut self,
        sql: &'static str,
        wide: &str,
        part: &[Vec<Value<'_>>],
    ) -> Result<u64, Error> {
        let chunks = part.chunks_exact(bulk::WIDE);
        let mut changed = self.one_by_one(sql, chunks.remainder())?;
        for chunk in chunks {
            let values = chunk.iter().flatten().map(server_value).collect();
            let done = self.connection.exec_drop(wide, Params::Positional(values));
            done.map_err(|failure| self.failed(&failure))?;
            changed += self.connection.affected_rows();
        }
        Ok(changed)
    }

    fn one_by_one(&mut self, sql: &'static str, part: &[Vec<Value<'_>>]) -> Result<u64, Error> {
        part.iter().try_fold(0, |changed, values| Ok(changed + self.execute(sql, values)?))
    }

    fn whole(&self) -> Result<(), Error> {
        self.undone.clone().map_or(Ok(()), Err)
    }
}

impl Session for InTransaction<'_> {
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.whole()?;
        let done = self.connection.exec_drop(sql, params(values));
        done.map_err(|failure| self.failed(&failure))?;
        Ok(self.connection.affected_rows())
    }

    fn execute_many(&mut self, sql: &'static str, rows: &[Vec<Value<'_>>]) -> Result<u64, Error> {
        self.whole()?;
        let wide = if self.takes_bulk { None } else { bulk::wide(sql) };
        let mut changed = 0;
        for part in bulk::parts(rows) {
            changed += match (&wide, part) {
                (Some(wide), _) => self.insert_part(sql, wide, part)?,
                (None, [_, _, ..]) if self.takes_bulk => self.execute_part(sql, part)?,
                (None, _) => self.one_by_one(sql, part)?,
            };
        }
        Ok(changed)
    }

    fn insert(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<i64, Error> {
        self.execute(sql, values)?;
        Ok(i64::try_from(self.connection.last_insert_id()).unwrap_or(i64::MAX))
    }

    fn define(&mut self, sql: &'static str) -> Result<(), Error> {
        self.whole()?;
        let done = self.connection.query_drop(dialect::define(sql));
        done.map_err(|failure| self.failed(&failure))
    }

    fn keeps_definitions(&self) -> bool {
        true
    }

    // Without an argument it has no time zone, and no hour that comes twice.
    fn now(&mut self) -> Result<Timestamp, Error> {
        let seconds = one(self, "SELECT UNIX_TIMESTAMP()", &[], |row| row.int(0))?;
        Ok(Timestamp::from_seconds(seconds.unwrap_or_default()))
    }

    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.whole()?;
        match rows(self.connection, sql, values, each) {
            Ok(ours) => ours,
            Err(failure) => Err(self.failed(&failure)),
        }
    }

    fn write(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.whole()?;
        let done = self.connection.exec_drop(sql, params(values));
        done.map_err(|failure| self.failed(&failure))?;
        Ok(self.connection.affected_rows())
    }

    fn rows_at_once(&self) -> usize {
        // Each statement is a way to the server and back; more than these make nothing faster.
        256
    }

    fn tables(&mut self) -> Result<Vec<Table>, Error> {
        let sql = "SELECT c.table_name, c.column_name, c.data_type, COALESCE(k.ordinal_position, 0), \
                   c.extra LIKE '%auto_increment%' \
                   FROM information_schema.tables t \
                   JOIN information_schema.columns c ON c.table_schema = t.table_schema AND c.table_name = t.table_name \
                   LEFT JOIN information_schema.key_column_usage k ON k.table_schema = c.table_schema \
                   AND k.table_name = c.table_name AND k.column_name = c.column_name AND k.constraint_name = 'PRIMARY' \
                   WHERE t.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' \
                   ORDER BY c.table_name, c.ordinal_position";
        let mut found = Found::default();
        self.query(sql, &[], &mut |row| {
            found.column(&row.str(0), &row.str(1), &row.str(2), row.int(3)?, row.int(4)? == 1)
        })?;
        found.tables()
    }

    fn next_key(&mut self, table: &Table) -> Result<i64, Error> {
        // What information_schema says of it may be a day old (MySQL 8, information_schema_stats_expiry).
        let sql = format!("SHOW CREATE TABLE {}", table.quoted());
        let made = one(self, &sql, &[], |row| Ok(row.text(1)))?.unwrap_or_default();
        let (_, after) = made.rsplit_once(" AUTO_INCREMENT=").unwrap_or_default();
        let digits = after.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        Ok(digits.parse().unwrap_or(1))
    }

    fn raise_next_key(&mut self, table: &Table, next: i64) -> Result<(), Error> {
        self.whole()?;
        let sql = format!("ALTER TABLE {} AUTO_INCREMENT = {next}", table.quoted());
        let done = self.connection.query_drop(sql);
        done.map_err(|failure| self.failed(&failure))
    }
}

/// Hands over the rows of a query. The failure is the server's, the error within that of `each`.
fn rows(
    connection: &mut Conn,
    sql: &str,
    values: &[Value<'_>],
    each: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>,
) -> Result<Result<(), Error>, Failure> {
    for row in connection.exec_iter(sql, params(values))? {
        if let Err(error) = each(&Row(&row?)) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

fn params(values: &[Value<'_>]) -> Params {
    if values.is_empty() {
        return Params::Empty;
    }
    Params::Positional(values.iter().map(server_value).collect())
}

fn server_value(value: &Value<'_>) -> ServerValue {
    match value {
        Value::Null => ServerValue::NULL,
        Value::Int(int) => ServerValue::Int(*int),
        Value::Real(real) => ServerValue::Double(*real),
        Value::Text(text) => ServerValue::Bytes(text.as_bytes().to_vec()),
        Value::Bytes(bytes) => ServerValue::Bytes(bytes.to_vec()),
    }
}

impl Columns for ServerRow {
    fn at(&self, column: usize) -> Value<'_> {
        match self.as_ref(column) {
            Some(ServerValue::Int(int)) => Value::Int(*int),
            Some(ServerValue::UInt(int)) => Value::from(*int),
            Some(ServerValue::Float(real)) => Value::Real(f64::from(*real)),
            Some(ServerValue::Double(real)) => Value::Real(*real),
            Some(ServerValue::Bytes(bytes)) => {
                text(bytes, self.columns_ref().get(column).map(::mysql::Column::column_type))
            }
            // There are no columns of dates.
            _ => Value::Null,
        }
    }
}

/// A text, or the number that a server gives as one: its sums of integers are decimals.
fn text(bytes: &[u8], of: Option<ColumnType>) -> Value<'_> {
    let is_decimal =
        matches!(of, Some(ColumnType::MYSQL_TYPE_NEWDECIMAL | ColumnType::MYSQL_TYPE_DECIMAL));
    let digits = str::from_utf8(bytes).ok().filter(|_| is_decimal);
    let int = digits.and_then(|digits| digits.parse().ok()).map(Value::Int);
    let real = || digits.and_then(|digits| digits.parse().ok()).map(Value::Real);
    int.or_else(real).unwrap_or_else(|| Value::of_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_a_number_and_a_text_of_digits_stays_one() {
        let decimal = Some(ColumnType::MYSQL_TYPE_NEWDECIMAL);
        assert_eq!(text(b"12", decimal), Value::Int(12));
        assert_eq!(text(b"12.50", decimal), Value::Real(12.5));
        assert_eq!(text(b"12", Some(ColumnType::MYSQL_TYPE_VAR_STRING)), Value::Text("12".into()));
        assert_eq!(text(b"\xff", None), Value::Bytes(b"\xff"[..].into()));
    }
}
