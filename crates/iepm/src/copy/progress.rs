//! How far a copy is: one line that is drawn over and over, on a terminal only.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use station::world::{
    clock::{Clock, Monotonic, SystemClock},
    store::{
        Value,
        bulk::{Cells, Table},
    },
};

const PAUSE: Duration = Duration::from_millis(200);

/// The line, and what was drawn of it.
#[derive(Debug)]
pub(super) struct Progress {
    is_shown: bool,
    doing: String,
    rows: u64,
    /// The last key of the table, if it is a number.
    goal: Option<i64>,
    drawn: Monotonic,
}

impl Progress {
    /// Shown if the standard error is a terminal.
    pub(super) fn new() -> Self {
        let is_shown = io::stderr().is_terminal();
        let drawn = SystemClock.moment().monotonic;
        Self { is_shown, doing: String::new(), rows: 0, goal: None, drawn }
    }

    /// The next table.
    pub(super) fn begin(&mut self, doing: &str, table: &Table) {
        self.doing = format!("{doing} {}", table.name());
        (self.rows, self.goal) = (0, None);
    }

    /// The key that the table ends with.
    pub(super) fn goal(&mut self, key: Option<&Cells>) {
        self.goal = number(key);
    }

    /// So many rows more, up to a key.
    pub(super) fn on(&mut self, rows: usize, until: Option<&Cells>) {
        self.rows += rows as u64;
        let now = SystemClock.moment().monotonic;
        if self.is_shown && self.drawn.until(now) >= PAUSE {
            self.drawn = now;
            // Nobody to tell that it cannot be told.
            let _ = write!(io::stderr(), "\r{:<70}", self.line(until));
        }
    }

    fn line(&self, until: Option<&Cells>) -> String {
        let share = match (number(until), self.goal) {
            (Some(at), Some(goal)) if goal > 0 => {
                format!(", {} %", at.saturating_mul(100).saturating_div(goal).clamp(0, 100))
            }
            _ => String::new(),
        };
        format!("{}: {} rows{share}", self.doing, self.rows)
    }

    /// Makes room for what is printed next.
    pub(super) fn end(&self) {
        let _ = if self.is_shown { write!(io::stderr(), "\r{:70}\r", "") } else { Ok(()) };
    }
}

/// A key that is one number.
fn number(key: Option<&Cells>) -> Option<i64> {
    match key?.as_slice() {
        [Value::Int(number)] => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_counted_is_told_in_percent_and_another_in_rows() {
        let mut progress = Progress::new();
        progress.doing = "filling in PINGDATA".to_owned();
        progress.goal(Some(&vec![Value::Int(200)]));
        progress.rows = 40;
        assert_eq!(
            progress.line(Some(&vec![Value::Int(50)])),
            "filling in PINGDATA: 40 rows, 25 %"
        );
        progress.goal(Some(&vec!["a".into(), Value::Int(1)]));
        assert_eq!(progress.line(Some(&vec![Value::Int(50)])), "filling in PINGDATA: 40 rows");
    }
}
