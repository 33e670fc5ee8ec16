//! How each server stands, for people and as JSON.

use serde::Serialize;
use station::{
    app::{self, Exit, Failure},
    text::human_duration,
    words::servers::Server,
};

use crate::{act::Started, look::Seen, plan::Step, state::Record};

/// How one server stands.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    name: String,
    /// `up`, `silent`, `down`, `waiting`, `wrong`, `missing`.
    state: &'static str,
    /// What was done, or is to be: `none`, `start`, `replace`.
    action: &'static str,
    pids: Vec<i32>,
    program: Option<String>,
    why: Option<String>,
    starts_in_a_row: u32,
    next_start_in_s: Option<u64>,
    #[serde(skip)]
    line: String,
}

impl Report {
    /// `started` is what came of a start; nothing when it is only foretold.
    pub(crate) fn of(
        server: &Server,
        seen: &Seen,
        step: &Step,
        started: Option<&Started>,
        record: &Record,
    ) -> Self {
        let (mut state, mut why) = before(step);
        let mut pids = seen.pids.clone();
        match started {
            Some(Ok(pid)) => (state, pids) = ("up", vec![*pid]),
            Some(Err(trouble)) => (state, why, pids) = ("down", Some(trouble.to_string()), vec![]),
            None => {}
        }
        Self {
            name: server.name.to_string(),
            state,
            action: action(step),
            line: foretold(server, seen, step),
            pids,
            program: seen.program.as_ref().ok().map(|path| path.display().to_string()),
            why: why.or_else(|| record.fault.clone()),
            starts_in_a_row: record.restarts.in_a_row(),
            next_start_in_s: if let Step::Wait(left, _) = step {
                Some(left.as_secs())
            } else {
                None
            },
        }
    }
}

/// How it stood before anything was done about it, and why.
fn before(step: &Step) -> (&'static str, Option<String>) {
    match step {
        Step::Leave => ("up", None),
        Step::Suspect(why) | Step::Replace(why) => ("silent", Some(why.clone())),
        Step::Start => ("down", None),
        Step::Wait(..) => ("waiting", None),
        Step::Wrong => ("wrong", None),
        Step::Missing(why) => ("missing", Some(why.clone())),
    }
}

fn action(step: &Step) -> &'static str {
    match step {
        Step::Start => "start",
        Step::Replace(_) => "replace",
        _ => "none",
    }
}

fn foretold(server: &Server, seen: &Seen, step: &Step) -> String {
    let program = seen.program.as_ref().map_or(String::new(), |path| path.display().to_string());
    let command = || [&[program.clone()][..], &server.parameters.words].concat().join(" ");
    let pids: Vec<String> = seen.pids.iter().map(ToString::to_string).collect();
    let pids = pids.join(" ");
    let what = match step {
        Step::Leave => format!("runs (pid {pids}) and is left alone"),
        Step::Suspect(why) => format!("{why} (pid {pids}); it is left alone this time"),
        Step::Replace(why) => {
            format!("{why}; process {pids} would be ended, and started again: {}", command())
        }
        Step::Start => format!("does not run; would be started: {}", command()),
        Step::Wait(left, starts) => format!(
            "does not run; {starts} starts in a row did not stay up, the next comes in {}",
            human_duration(*left)
        ),
        Step::Wrong => "does not run; its configuration is wrong, by its exit status 78".to_owned(),
        Step::Missing(why) => why.clone(),
    };
    format!("{} {what}", server.name)
}

/// Prints what was asked for.
pub(crate) fn print(reports: &[Report], as_json: bool, foretold: bool) -> Result<(), Failure> {
    if as_json {
        let json = serde_json::to_string_pretty(reports);
        let writing = |error| Failure::new(Exit::NeedsPerson, "writing JSON").because(error);
        app::print(&(json.map_err(writing)? + "\n"))
    } else if foretold {
        app::print(&reports.iter().flat_map(|report| [&report.line, "\n"]).collect::<String>())
    } else {
        Ok(())
    }
}
