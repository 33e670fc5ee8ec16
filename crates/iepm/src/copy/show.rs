//! What was copied, for people and for programs.

use std::time::Duration;

use serde::Serialize;
use station::text::{Align, Columns, Timestamp, human_duration};

use super::carry_out::Copied;

/// A copy that was made and verified.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) from: String,
    pub(super) to: String,
    /// When the state of the source was, which the target has now.
    pub(super) as_of_us: Timestamp,
    /// Whether the source is closed and the target open.
    pub(super) moved: bool,
    pub(super) tables: Vec<Line>,
    #[serde(skip)]
    pub(super) took: Duration,
}

/// A table.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) table: String,
    pub(super) rows: u64,
    pub(super) new: u64,
    pub(super) changed: u64,
    pub(super) gone: u64,
    /// SHA-256 of its rows, the same at both ends.
    pub(super) checksum: String,
}

impl Line {
    pub(super) fn of(copied: &Copied) -> Self {
        Self {
            table: copied.table.name().to_owned(),
            rows: copied.target.rows(),
            new: copied.new,
            changed: copied.changed,
            gone: copied.gone,
            checksum: copied.target.hex(),
        }
    }
}

/// So many digits of a checksum are enough to compare two by eye.
const DIGITS: usize = 12;

impl Report {
    /// The tables, and what they mean for the target.
    pub(super) fn text(&self) -> String {
        let right = |head| (head, Align::Right);
        let mut columns = Columns::new(&[
            ("TABLE", Align::Left),
            right("ROWS"),
            right("NEW"),
            right("CHANGED"),
            right("GONE"),
            ("CHECKSUM, SAME AT BOTH ENDS", Align::Left),
        ]);
        for line in &self.tables {
            let counts = [line.rows, line.new, line.changed, line.gone].map(|it| it.to_string());
            let [rows, new, changed, gone] = counts;
            let checksum = line.checksum.chars().take(DIGITS).collect();
            columns.push([line.table.clone(), rows, new, changed, gone, checksum]);
        }
        let sum = |of: fn(&Line) -> u64| self.tables.iter().map(of).sum::<u64>();
        format!(
            "{}\n{} rows, {} new, {} changed, {} gone, in {}\n",
            columns.plain(),
            sum(|line| line.rows),
            sum(|line| line.new),
            sum(|line| line.changed),
            sum(|line| line.gone),
            human_duration(Duration::from_secs(self.took.as_secs().max(1)))
        )
    }

    /// What is to be done next.
    pub(super) fn next(&self) -> String {
        let Self { from, to, as_of_us, .. } = self;
        if self.moved {
            return format!(
                "\nMoved, and verified row by row. Now make `database = \"{to}\"` in iepm.toml, and call `iepm check` and \
                 `iepm release`.\n{from} is closed: no program uses it any more, until `iepm copy --reopen --from '{from}'`.\n"
            );
        }
        format!(
            "\n{to} is what {from} was at {as_of_us}, verified row by row. What is written there since is not in it, and no \
             program uses it yet.\nCall this again as often as you like; to move the station: `kill-all-servers`, then \
             `iepm copy --to '{to}' --final`.\n"
        )
    }
}
