//! A connection to a station's database, of either engine, to look with.

use mysql::prelude::Queryable;
use rusqlite::types::{FromSql, ValueRef};

/// The connection.
#[derive(Debug)]
pub enum Look {
    /// To a file.
    Sqlite(rusqlite::Connection),
    /// To a server.
    Mysql(Box<mysql::Conn>),
}

impl Look {
    /// The one value of a query; nothing when there is no row.
    #[track_caller]
    pub fn ask<T: FromSql>(&mut self, sql: &str) -> Option<T> {
        match self {
            Self::Sqlite(connection) => match connection.query_row(sql, [], |row| row.get(0)) {
                Ok(value) => Some(value),
                Err(rusqlite::Error::QueryReturnedNoRows) => None,
                Err(error) => panic!("{sql}: {error}"),
            },
            Self::Mysql(connection) => {
                let row: Option<mysql::Row> =
                    connection.exec_first(sql, ()).unwrap_or_else(|error| panic!("{sql}: {error}"));
                let value = T::column_result(value(row.as_ref()?.as_ref(0)?));
                Some(value.unwrap_or_else(|error| panic!("{sql}: {error}")))
            }
        }
    }

    /// A number that a query counts.
    #[track_caller]
    pub fn count(&mut self, rows: &str) -> i64 {
        self.ask(&format!("SELECT COUNT(*) FROM {rows}")).expect("a count")
    }

    /// The rows of a query of a text and a number.
    #[track_caller]
    pub fn pairs(&mut self, sql: &str) -> Vec<(String, i64)> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare(sql).expect("a query");
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
                rows.expect("rows").collect::<Result<_, _>>().expect("rows")
            }
            Self::Mysql(connection) => connection.exec(sql, ()).expect("rows"),
        }
    }

    /// Carries out a statement that gives no rows.
    #[track_caller]
    pub fn execute(&mut self, sql: &str) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sql).expect("executed"),
            Self::Mysql(connection) => connection.query_drop(sql).expect("executed"),
        }
    }
}

/// A server's value, as the embedded engine would give it.
fn value(value: &mysql::Value) -> ValueRef<'_> {
    match value {
        mysql::Value::Int(int) => ValueRef::Integer(*int),
        mysql::Value::UInt(int) => ValueRef::Integer(i64::try_from(*int).unwrap_or(i64::MAX)),
        mysql::Value::Float(real) => ValueRef::Real(f64::from(*real)),
        mysql::Value::Double(real) => ValueRef::Real(*real),
        mysql::Value::Bytes(bytes) => ValueRef::Text(bytes),
        _ => ValueRef::Null,
    }
}
