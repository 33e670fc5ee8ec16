//! Many rows of values for one statement in one packet: `COM_STMT_BULK_EXECUTE`, which MariaDB takes since
//! 10.2 and MySQL does not (MariaDB KB, "`COM_STMT_BULK_EXECUTE`").
//!
//! A node of a Galera cluster takes it, and must not be given it: a transaction that another node's has undone
//! while such a packet is worked on is not told so, and its COMMIT is answered as if it were whole (MariaDB
//! 10.11.19 with Galera 26.4.23; of eight that claimed runs on two nodes, one claim in a hundred was another's
//! too). There, and on MySQL, an INSERT has several rows, and other statements are carried out one by one.
//!
//! A packet names one type for each value of all its rows. The driver names them in the first packet of a
//! call only, also where that had nothing but NULL in a column: so each call is one packet.

use std::mem::{Discriminant, discriminant};

use ::mysql::{Conn, Error as Failure, prelude::Queryable};

use super::super::value::Value;

/// Bytes of values in one packet: far more than it takes to hide the way to the server, and far less than
/// any server's `max_allowed_packet`.
pub(super) const PART: usize = 512 * 1024;

/// Rows of one INSERT where packets of many rows are not taken: enough to hide the way to the server, and of the
/// widest table far fewer values than the 65,535 that a statement may have.
pub(super) const WIDE: usize = 32;

/// The INSERT of [`WIDE`] rows, made of that of one; nothing of another statement.
pub(super) fn wide(sql: &str) -> Option<String> {
    let (head, row) = sql.split_once(" VALUES ")?;
    let is_one_row = row.starts_with('(') && row.ends_with(')') && closes_at_its_end(row);
    let rows = || vec![row; WIDE].join(", ");
    (sql.starts_with("INSERT ") && is_one_row).then(|| format!("{head} VALUES {}", rows()))
}

fn closes_at_its_end(row: &str) -> bool {
    let mut depth = 0_i32;
    let first = row.bytes().position(|byte| {
        depth += i32::from(byte == b'(') - i32::from(byte == b')');
        depth == 0
    });
    first == Some(row.len() - 1)
}

/// `ER_UNSUPPORTED_PS`: what a server says that knows such packets, and is given one for a SELECT.
const NOT_FOR_THIS: u16 = 1295;

/// Whether a server takes many rows in a packet. To one of which the driver does not believe it, by its name or what it
/// says of itself, the driver gives rows one by one, and only the last of them is counted then: so it is tried.
///
/// # Errors
/// The server does not answer.
pub(super) fn is_taken_by(connection: &mut Conn) -> Result<bool, Failure> {
    match connection.exec_batch("SELECT ?", [(1,), (2,)]) {
        Err(Failure::MySqlError(said)) => Ok(said.code == NOT_FOR_THIS),
        Err(failure) => Err(failure),
        Ok(()) => Ok(false),
    }
}

/// Divides rows into parts that go in one packet each. A row that is too long for one is a part of its own.
pub(super) fn parts<'r, 'v>(mut rows: &'r [Vec<Value<'v>>]) -> Vec<&'r [Vec<Value<'v>>]> {
    let mut parts = Vec::new();
    while !rows.is_empty() {
        let (part, rest) = rows.split_at(first_part(rows));
        parts.push(part);
        rows = rest;
    }
    parts
}

/// How many of the rows go in the first packet.
fn first_part<'v>(rows: &[Vec<Value<'v>>]) -> usize {
    let mut types: Vec<Option<Discriminant<Value<'v>>>> = Vec::new();
    let mut bytes = 0;
    let fits = |row: &&Vec<Value<'v>>| {
        bytes += row.iter().map(size).sum::<usize>();
        types.resize(row.len(), None);
        bytes <= PART && row.iter().zip(&mut types).all(|(value, seen)| agrees(value, seen))
    };
    rows.iter().take_while(fits).count().max(1)
}

/// Whether a value is of the type that its column has; NULL is of any.
fn agrees<'v>(value: &Value<'v>, seen: &mut Option<Discriminant<Value<'v>>>) -> bool {
    *value == Value::Null || *seen.get_or_insert(discriminant(value)) == discriminant(value)
}

/// The most that a value takes in a packet, with what says whether it is there and how long it is.
fn size(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => 10 + text.len(),
        Value::Bytes(bytes) => 10 + bytes.len(),
        Value::Null | Value::Int(_) | Value::Real(_) => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(rows: &[Vec<Value<'_>>]) -> Vec<usize> {
        parts(rows).iter().map(|part| part.len()).collect()
    }

    #[test]
    fn a_part_is_no_longer_than_a_packet_and_a_long_row_goes_alone() {
        let row = |length: usize| vec![Value::from("x".repeat(length))];
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[row(9), row(9), row(9)]), [3]);
        assert_eq!(lengths(&[row(PART / 2), row(PART / 2), row(9)]), [1, 2]);
        assert_eq!(lengths(&[row(9), row(2 * PART), row(9), row(9)]), [1, 1, 2]);
    }

    #[test]
    fn a_column_has_one_type_in_a_part() {
        let rows = [
            vec![Value::Null, 1_i64.into()],
            vec!["x".into(), Value::Null],
            vec![Value::Null, 2_i64.into()],
            vec![1_i64.into(), 2_i64.into()],
            vec![Value::Null, 0.5.into()],
        ];
        assert_eq!(lengths(&rows), [3, 1, 1]);
    }

    #[test]
    fn an_insert_of_one_row_is_made_one_of_many_and_nothing_else_is() {
        let many = wide("INSERT INTO x (a, b) VALUES (COALESCE(?, 1), ?)").expect("an INSERT");
        assert!(many.starts_with("INSERT INTO x (a, b) VALUES (COALESCE(?, 1), ?), (COALESCE(?"));
        assert_eq!(many.matches("(COALESCE(?, 1), ?)").count(), WIDE);
        for other in [
            "UPDATE x SET a = ? WHERE b = ?",
            "INSERT INTO x (a) SELECT ? FROM y",
            "INSERT INTO x (a) VALUES (?) ON DUPLICATE KEY UPDATE a = VALUES (a)",
            "INSERT INTO x (a) VALUES (?), (?)",
            "REPLACE INTO x (a) VALUES (?)",
        ] {
            assert_eq!(wide(other), None, "{other}");
        }
    }
}
