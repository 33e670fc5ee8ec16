//! How many rows statements step over that have no index for what they ask: a debug build writes it down for
//! a story, where `IEPM_TEST_SCANS` names a file, a line for each statement that scans: steps, a tab, the SQL.
//!
//! A table of a few rows is scanned by right; one that grows is not, and the steps tell which it was.

use std::{env, fs::File, io::Write};

use rusqlite::{Statement, StatementStatus};

/// Notes the rows that `statement` has stepped over since it was looked at last
/// (`SQLITE_STMTSTATUS_FULLSCAN_STEP`).
pub(super) fn note(statement: &Statement<'_>, sql: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    let steps = statement.reset_status(StatementStatus::FullscanStep);
    let Some(path) = env::var_os("IEPM_TEST_SCANS").filter(|_| steps > 0) else { return };
    let line = format!("{steps}\t{sql}\n");
    let file = File::options().create(true).append(true).open(path);
    // A story that finds no file has not seen what it wants to see.
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}
