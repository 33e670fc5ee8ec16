//! Rows that a measurement begins with, and the bare inserts that others are measured against.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, TransactionBehavior, params_from_iter, types::Value};
use station::{
    text::Timestamp,
    words::toolspec::{SpecKey, TestType},
    world::store::{NewRows, NewRun, Store},
};

use crate::{bed::Station, machine::timed};

/// How long filling a database may wait for others.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where all runs measure to.
pub const TARGET: &str = "127.0.0.1";

/// Runs to be put into SCHEDULE, each of a specification of its own.
#[derive(Debug)]
pub struct Runs<'a> {
    /// How many.
    pub count: u32,
    /// What each runs.
    pub words: &'a [&'a str],
    /// Whether they may go side by side.
    pub testtype: TestType,
    /// When the first is due.
    pub first: Timestamp,
    /// How much later each is due than the one before it.
    pub step: Duration,
    /// How late each may start.
    pub window: Duration,
    /// After how long each is ended.
    pub limit: Duration,
}

const SPEC: &str = "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, variant, toolPath, testtype, time2run, \
     runinterval) VALUES ('station', 'target', 'ping', ?, 'ping', 'background', 10, 3600)";

impl Runs<'_> {
    /// Writes them, pending.
    ///
    /// # Errors
    /// What the engine says.
    pub fn put_into(&self, station: &Station) -> Result<()> {
        let key = key("target")?;
        let words: Vec<String> = self.words.iter().map(|word| (*word).to_owned()).collect();
        let mut store = Store::of(&station.config.database, PATIENCE);
        store.transaction(|session| {
            let (mut due, mut rows) = (self.first, NewRows::default());
            for number in 0..self.count {
                let spec_id = session.insert(SPEC, &[format!("v{number}").into()])?;
                rows.pending(&self.run(spec_id, &key, &words, due));
                due = due + self.step;
            }
            rows.write(session)
        })?;
        Ok(())
    }

    fn run<'a>(
        &'a self,
        spec_id: i64,
        key: &'a SpecKey,
        words: &[String],
        due: Timestamp,
    ) -> NewRun<'a> {
        NewRun {
            spec_id,
            key,
            testtype: self.testtype.as_str(),
            target: TARGET,
            words: words.to_vec(),
            due,
            latest: due + self.window,
            limit: self.limit,
        }
    }
}

fn key(dest: &str) -> Result<SpecKey> {
    let name = |text: &str| text.parse().map_err(|fault: String| anyhow::anyhow!(fault));
    let tool = "ping".parse().map_err(|fault: String| anyhow::anyhow!(fault))?;
    Ok(SpecKey { src: name("station")?, dest: name(dest)?, tool, variant: String::new() })
}

/// Whether no run waits or goes on; a look that costs next to nothing.
///
/// # Errors
/// What the engine says.
pub fn all_over(connection: &Connection) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM SCHEDULE WHERE state IN ('pending', 'running'))";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Makes sure that every run came to its end, for what is not done is done quickly.
///
/// # Errors
/// Some are missing.
pub fn all_finished(connection: &Connection, count: u32) -> Result<()> {
    let sql = "SELECT COUNT(*) FROM SCHEDULE WHERE state = 'finished'";
    let finished: u32 = connection.query_row(sql, [], |row| row.get(0))?;
    ensure!(finished == count, "{finished} of {count} runs are finished");
    Ok(())
}

/// The columns of a table beside its key.
///
/// # Errors
/// What the engine says.
pub fn columns(connection: &Connection, table: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?) WHERE pk = 0")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect::<Result<_, _>>().with_context(|| format!("the columns of {table}"))
}

/// The rows of a table whose key is greater than `after`, and the INSERT that writes one of them.
///
/// # Errors
/// What the engine says.
pub fn rows_after(
    connection: &Connection,
    table: &str,
    after: i64,
) -> Result<(Vec<Vec<Value>>, String)> {
    let columns = columns(connection, table)?;
    let (names, marks) = (columns.join(", "), vec!["?"; columns.len()].join(", "));
    let select = format!("SELECT {names} FROM {table} WHERE rowid > ? ORDER BY rowid");
    let mut statement = connection.prepare(&select)?;
    let rows = statement
        .query_map([after], |row| (0..columns.len()).map(|column| row.get(column)).collect())?;
    let rows = rows.collect::<Result<_, _>>()?;
    Ok((rows, format!("INSERT INTO {table} ({names}) VALUES ({marks})")))
}

/// The greatest key of a table, 0 when it is empty.
///
/// # Errors
/// What the engine says.
pub fn last_key(connection: &Connection, table: &str) -> Result<i64> {
    let sql = format!("SELECT COALESCE(MAX(rowid), 0) FROM {table}");
    Ok(connection.query_row(&sql, [], |row| row.get(0))?)
}

/// The yardstick: inserts rows with one prepared statement, so many in each transaction; says how
/// long that took.
///
/// # Errors
/// What the engine says.
pub fn insert_bare(
    connection: &mut Connection,
    sql: &str,
    rows: &[Vec<Value>],
    together: usize,
) -> Result<Duration> {
    let (took, ()) = timed(|| {
        for some in rows.chunks(together) {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut statement = transaction.prepare_cached(sql)?;
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
