//! An engine's own driver, without the suite: the yardstick for inserts, and who looks into tables.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mysql::{Conn, Opts, TxOpts, prelude::Queryable};
use rusqlite::{Connection, TransactionBehavior, params_from_iter, types::Value};
use station::words::database::Database;

use crate::{bed::connect, machine::timed};

/// A connection.
#[derive(Debug)]
pub enum Driver {
    /// Of rusqlite.
    Sqlite(Connection),
    /// Of the mysql crate.
    Mariadb(Box<Conn>),
}

/// How many rows are inserted bare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As the driver does many: `exec_batch`, with MariaDB the values of many rows in one packet, as fast as
    /// an INSERT of many rows; of the embedded engine a prepared statement, again and again.
    Batched,
    /// A prepared statement, again and again.
    OneByOne,
}

/// Rows of a table, and the INSERT that writes one of them.
#[derive(Debug)]
pub struct Rows {
    /// The INSERT.
    pub insert: String,
    /// Its values.
    pub values: Vec<Vec<Value>>,
}

impl Driver {
    /// Connects to a database.
    ///
    /// # Errors
    /// What the engine says.
    pub fn of(database: &Database) -> Result<Self> {
        Ok(match database {
            Database::Sqlite(path) => Self::Sqlite(connect(path)?),
            Database::Mysql(address) => {
                Self::Mariadb(Box::new(Conn::new(Opts::from_url(&address.to_string())?)?))
            }
        })
    }

    /// Carries out a statement; says how many rows it changed.
    ///
    /// # Errors
    /// What the engine says.
    pub fn execute(&mut self, sql: &str) -> Result<u64> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute(sql, [])? as u64),
            Self::Mariadb(connection) => {
                connection.query_drop(sql)?;
                Ok(connection.affected_rows())
            }
        }
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// What the engine says.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Value>>> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare(sql)?;
                let columns = statement.column_count();
                let row = |row: &rusqlite::Row<'_>| (0..columns).map(|it| row.get(it)).collect();
                Ok(statement.query_map([], row)?.collect::<Result<_, _>>()?)
            }
            Self::Mariadb(connection) => {
                let rows: Vec<mysql::Row> = connection.exec(sql, ())?;
                rows.into_iter().map(|row| row.unwrap().into_iter().map(ours).collect()).collect()
            }
        }
    }

    /// The rows of a query whose columns are all numbers.
    ///
    /// # Errors
    /// They are not, or what the engine says.
    pub fn numbers(&mut self, sql: &str) -> Result<Vec<Vec<f64>>> {
        let numbers = |row: Vec<Value>| row.iter().map(number).collect::<Option<Vec<f64>>>();
        let rows = self.rows(sql)?.into_iter().map(numbers);
        rows.collect::<Option<_>>().with_context(|| format!("{sql}: not all are numbers"))
    }

    /// The one number of a query.
    ///
    /// # Errors
    /// It gives none, or what the engine says.
    pub fn number(&mut self, sql: &str) -> Result<i64> {
        let rows = self.rows(sql)?;
        let value = rows.first().and_then(|row| row.first());
        value.and_then(integer).with_context(|| format!("{sql}: no number"))
    }

    /// The rows of a table whose key is greater than `after`, without their keys.
    ///
    /// # Errors
    /// What the engine says.
    pub fn rows_after(&mut self, table: &str, after: i64) -> Result<Rows> {
        let (key, columns) = self.columns(table)?;
        let (names, marks) = (columns.join(", "), vec!["?"; columns.len()].join(", "));
        let select = format!("SELECT {names} FROM {table} WHERE {key} > {after} ORDER BY {key}");
        let values = self.rows(&select)?;
        Ok(Rows { insert: format!("INSERT INTO {table} ({names}) VALUES ({marks})"), values })
    }

    /// The greatest key of a table, 0 when it is empty.
    ///
    /// # Errors
    /// What the engine says.
    pub fn last_key(&mut self, table: &str) -> Result<i64> {
        let (key, _) = self.columns(table)?;
        self.number(&format!("SELECT COALESCE(MAX({key}), 0) FROM {table}"))
    }

    /// Whether the engine has cleaned up after what was changed: a server does that beside its work, within
    /// a second or so, and what it has not come to is gone through by every query that comes by.
    ///
    /// # Errors
    /// What the engine says.
    pub fn has_cleaned_up(&mut self) -> Result<bool> {
        match self {
            Self::Sqlite(_) => Ok(true),
            Self::Mariadb(_) => {
                let sql = "SELECT variable_value + 0 FROM information_schema.global_status \
                     WHERE variable_name = 'INNODB_HISTORY_LIST_LENGTH'";
                let changes = self.numbers(sql)?.concat();
                Ok(changes.iter().all(|changes| *changes < 1.0))
            }
        }
    }

    /// The key of a table, and its other columns.
    fn columns(&mut self, table: &str) -> Result<(String, Vec<String>)> {
        let sql = match self {
            Self::Sqlite(_) => format!("SELECT name, pk = 1 FROM pragma_table_info('{table}')"),
            Self::Mariadb(_) => format!(
                "SELECT column_name, column_key = 'PRI' FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = '{table}' ORDER BY ordinal_position"
            ),
        };
        let rows = self.rows(&sql)?;
        let name = |row: &Vec<Value>| match row.first() {
            Some(Value::Text(name)) => name.clone(),
            _ => String::new(),
        };
        let is_key = |row: &&Vec<Value>| row.get(1).and_then(integer) == Some(1);
        let (keys, others): (Vec<_>, Vec<_>) = rows.iter().partition(is_key);
        ensure!(keys.len() == 1, "{table} has {} columns in its key", keys.len());
        Ok((name(keys[0]), others.into_iter().map(name).collect()))
    }

    /// The yardstick: inserts rows, so many in each transaction; says how long that took.
    ///
    /// # Errors
    /// What the engine says.
    pub fn insert(&mut self, rows: &Rows, together: usize, how: How) -> Result<Duration> {
        match self {
            Self::Sqlite(connection) => insert_prepared(connection, rows, together),
            Self::Mariadb(connection) => insert_on_server(connection, rows, together, how),
        }
    }
}

fn insert_prepared(connection: &mut Connection, rows: &Rows, together: usize) -> Result<Duration> {
    let (took, ()) = timed(|| {
        for some in rows.values.chunks(together) {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut statement = transaction.prepare_cached(&rows.insert)?;
            for row in some {
                statement.execute(params_from_iter(row))?;
            }
            drop(statement);
            transaction.commit()?;
        }
        Ok(())
    })?;
    Ok(took)
}

fn insert_on_server(
    connection: &mut Conn,
    rows: &Rows,
    together: usize,
    how: How,
) -> Result<Duration> {
    let values = rows.values.iter().map(|row| row.iter().cloned().map(theirs).collect());
    let values: Vec<Vec<mysql::Value>> = values.collect();
    let (took, ()) = timed(|| {
        for some in values.chunks(together) {
            let mut transaction = connection.start_transaction(TxOpts::default())?;
            match how {
                How::Batched => {
                    transaction.exec_batch(rows.insert.as_str(), some.iter().cloned())?;
                }
                How::OneByOne => some
                    .iter()
                    .try_for_each(|row| transaction.exec_drop(rows.insert.as_str(), row.clone()))?,
            }
            transaction.commit()?;
        }
        Ok(())
    })?;
    Ok(took)
}

/// An integer of either driver.
#[must_use]
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(value) => Some(*value),
        Value::Text(digits) => digits.parse().ok(),
        _ => None,
    }
}

/// A number of either driver; microseconds since the epoch are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(value) => Some(*value as f64),
        Value::Real(value) => Some(*value),
        Value::Text(digits) => digits.parse().ok(),
        _ => None,
    }
}

fn ours(value: mysql::Value) -> Result<Value> {
    Ok(match value {
        mysql::Value::NULL => Value::Null,
        mysql::Value::Int(value) => Value::Integer(value),
        mysql::Value::UInt(value) => Value::Integer(i64::try_from(value)?),
        mysql::Value::Float(value) => Value::Real(value.into()),
        mysql::Value::Double(value) => Value::Real(value),
        mysql::Value::Bytes(bytes) => Value::Text(String::from_utf8(bytes)?),
        other => anyhow::bail!("there are no columns of dates: {other:?}"),
    })
}

fn theirs(value: Value) -> mysql::Value {
    match value {
        Value::Null => mysql::Value::NULL,
        Value::Integer(value) => mysql::Value::Int(value),
        Value::Real(value) => mysql::Value::Double(value),
        Value::Text(text) => mysql::Value::Bytes(text.into_bytes()),
        Value::Blob(bytes) => mysql::Value::Bytes(bytes),
    }
}
