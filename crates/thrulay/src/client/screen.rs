//! What is printed while a test goes on, and at its end.

use station::app::{Failure, print};

use super::Args;
use crate::{
    report::{self, Outcome, Run, TcpSetup},
    statistics::Row,
};

/// The standard output.
pub(super) struct Screen {
    is_json: bool,
    verbose: bool,
}

impl Screen {
    pub(super) fn of(args: &Args) -> Self {
        Self { is_json: args.json, verbose: args.verbose }
    }

    pub(super) fn begin(&mut self, setup: &TcpSetup) -> Result<(), Failure> {
        if self.is_json { Ok(()) } else { print(&report::header(setup, self.verbose)) }
    }

    pub(super) fn rows(&mut self, rows: &[Row]) -> Result<(), Failure> {
        if self.is_json {
            return Ok(());
        }
        let lines: String = rows.iter().map(|row| report::row(row, self.verbose)).collect();
        print(&lines)
    }

    pub(super) fn end(&mut self, run: &Run) -> Result<(), Failure> {
        if self.is_json {
            return print(&report::json(run));
        }
        match &run.outcome {
            Some(Outcome::Tcp(outcome)) => print(&report::totals(outcome, self.verbose)),
            Some(Outcome::Udp(outcome)) => print(&report::udp(outcome)),
            None => Ok(()),
        }
    }
}
