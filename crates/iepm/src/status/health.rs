//! How a specification does: a value, judged from its latest rows and the time.

use serde::Serialize;
use station::{
    text::Timestamp,
    words::{allowance, run::State, toolspec::ToolSpec},
};

use super::reading::{End, Found, Latest, Rate, Reading, Way};

/// How a specification does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Health {
    /// Its last reading is in time and whole.
    Ok,
    /// Some packets were lost.
    Lossy,
    /// The node, or the server of the tool on it, did not answer at all.
    Down,
    /// Its last reading is older than it should be.
    Stale,
    /// Its last run left no reading.
    Failing,
    /// Its last run did not start, as its limits or hours have it.
    Held,
    /// It has not run yet.
    Waiting,
    /// It is switched off.
    Off,
}

impl Health {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Lossy => "lossy",
            Self::Down => "down",
            Self::Stale => "stale",
            Self::Failing => "failing",
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Off => "off",
        }
    }
}

/// What is shown of one specification. What does not apply is null in JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Line {
    pub(crate) node: String,
    pub(crate) tool: String,
    pub(super) variant: String,
    pub(crate) health: Health,
    pub(super) last_us: Option<Timestamp>,
    pub(crate) age_seconds: Option<u64>,
    pub(super) lossratio: Option<f64>,
    pub(super) min_ms: Option<f64>,
    pub(super) avg_ms: Option<f64>,
    pub(super) max_ms: Option<f64>,
    pub(super) hops: Option<i64>,
    pub(super) route: Option<i64>,
    pub(super) reached: Option<bool>,
    pub(super) rtt_ms: Option<f64>,
    /// Each direction that was measured, towards the target first; empty for other tools.
    pub(super) rates: Vec<Rate>,
    pub(super) one_way: Vec<Way>,
    /// Over which limits the machine was before a run that must be alone.
    pub(super) unclean: Option<String>,
    /// The scheduleID of a run that had the channel meanwhile.
    pub(super) overlapped: Option<i64>,
    pub(crate) remark: String,
    /// The last run, if it left no reading.
    #[serde(skip)]
    bad_end: Option<End>,
}

/// Judges a specification by its latest rows.
pub(super) fn judge(spec: &ToolSpec, seen: Latest, now: Timestamp) -> Line {
    let Latest { reading, end } = seen;
    let last = reading.as_ref().map_or(Timestamp(i64::MIN), |reading| reading.start);
    let bad_end = end.filter(|end| end.is_bad() && end.due > last);
    let health = health(spec, reading.as_ref(), bad_end.as_ref(), now);
    let remark = remark(health, reading.as_ref(), bad_end.as_ref());
    let mut line = Line { health, remark, bad_end, ..empty(spec) };
    if let Some(reading) = reading {
        line.last_us = Some(reading.start);
        line.age_seconds = Some(reading.start.until(now).as_secs());
        (line.unclean, line.overlapped) = (reading.unclean, reading.overlapped);
        fill(&mut line, reading.found);
    }
    line
}

/// 1. Switched off. 2. The last run left no reading, or was not to start. 3. There is no reading. 4. It is too old.
/// 5. What it says.
fn health(
    spec: &ToolSpec,
    reading: Option<&Reading>,
    bad_end: Option<&End>,
    now: Timestamp,
) -> Health {
    if !spec.on {
        return Health::Off;
    }
    if let Some(end) = bad_end {
        let is_held = end.state == State::Missed.as_str() && allowance::is_objection(&end.reason);
        return if is_held { Health::Held } else { Health::Failing };
    }
    let Some(reading) = reading else { return Health::Waiting };
    if reading.start + 2 * spec.runinterval.duration() + spec.limit() < now {
        Health::Stale
    } else {
        said(&reading.found, &reading.problem)
    }
}

/// Kinds of problems, by the words that readings begin with, for which the network was not asked.
const NOT_ASKED: [&str; 4] = ["usage", "not permitted", "resolver failure", "other"];
/// Those for which it was not asked to the end.
const NOT_TO_THE_END: [&str; 5] = ["hung", "killed", "interrupted", "cut short", "broken off"];

fn said(found: &Found, problem: &str) -> Health {
    let is_one_of = |kinds: &[&str]| kinds.iter().any(|kind| problem.starts_with(kind));
    match found {
        _ if is_one_of(&NOT_ASKED) => Health::Failing,
        Found::Ping { received: 0, .. } | Found::Route { reached: false, .. } => Health::Down,
        _ if is_one_of(&NOT_TO_THE_END) => Health::Failing,
        found if !answered(found) => Health::Down,
        found if lossratio(found).is_some_and(|loss| loss > 0.0) => Health::Lossy,
        _ => Health::Ok,
    }
}

/// Whether anything came through at all.
fn answered(found: &Found) -> bool {
    match found {
        Found::Ping { received, .. } => *received > 0,
        Found::Route { reached, .. } => *reached,
        Found::Bandwidth(rates) => {
            rates.iter().any(|rate| rate.is_known() && rate.lossratio.is_none_or(|loss| loss < 1.0))
        }
        Found::OneWay(ways) => ways.iter().any(|way| way.min_ms.is_some()),
    }
}

/// The share of packets that were lost, of the worse direction; none where none are counted.
fn lossratio(found: &Found) -> Option<f64> {
    match found {
        Found::Ping { lossratio, .. } => *lossratio,
        Found::Route { .. } => None,
        Found::Bandwidth(rates) => rates.iter().filter_map(|rate| rate.lossratio).reduce(f64::max),
        Found::OneWay(ways) => ways.iter().filter_map(Way::lossratio).reduce(f64::max),
    }
}

fn remark(health: Health, reading: Option<&Reading>, bad_end: Option<&End>) -> String {
    match (health, bad_end, reading) {
        (Health::Failing | Health::Held, Some(end), _) => format!("{}: {}", end.state, end.reason),
        (Health::Failing | Health::Down | Health::Lossy | Health::Ok, _, Some(reading)) => {
            reading.problem.clone()
        }
        _ => String::new(),
    }
}

fn fill(line: &mut Line, found: Found) {
    line.lossratio = lossratio(&found);
    match found {
        Found::Ping { min, avg, max, .. } => {
            (line.min_ms, line.avg_ms, line.max_ms) = (min, avg, max);
        }
        Found::Route { hops, reached, route, rtt_us } => {
            (line.hops, line.reached, line.route) = (Some(hops), Some(reached), route);
            line.rtt_ms = rtt_us.map(|micros| micros / 1e3);
        }
        Found::Bandwidth(rates) => {
            let rtt = rates.iter().find_map(Rate::rtt_ms);
            [line.min_ms, line.avg_ms, line.max_ms] = rtt.unwrap_or_default();
            line.rates = rates;
        }
        Found::OneWay(ways) => line.one_way = ways.into(),
    }
}

fn empty(spec: &ToolSpec) -> Line {
    Line {
        node: spec.key.dest.to_string(),
        tool: spec.key.tool.to_string(),
        variant: spec.key.variant.clone(),
        health: Health::Waiting,
        last_us: None,
        age_seconds: None,
        lossratio: None,
        min_ms: None,
        avg_ms: None,
        max_ms: None,
        hops: None,
        route: None,
        reached: None,
        rtt_ms: None,
        rates: Vec::new(),
        one_way: Vec::new(),
        unclean: None,
        overlapped: None,
        remark: String::new(),
        bad_end: None,
    }
}

/// A run that left no reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    pub(super) due_us: Timestamp,
    pub(super) node: String,
    pub(super) tool: String,
    pub(super) state: String,
    pub(super) reason: String,
}

/// The latest of the last runs that left no reading.
pub(super) fn last_problem(lines: &[Line]) -> Option<Trouble> {
    let bad = lines.iter().filter_map(|line| Some((line, line.bad_end.as_ref()?)));
    let (line, end) = bad.max_by_key(|(_, end)| end.due)?;
    Some(Trouble {
        due_us: end.due,
        node: line.node.clone(),
        tool: line.tool.clone(),
        state: end.state.clone(),
        reason: end.reason.clone(),
    })
}

#[cfg(test)]
mod tests {
    use crate::testing;

    use super::*;

    const START: i64 = 100_000;

    fn ping(received: i64, lossratio: Option<f64>) -> Reading {
        let found = Found::Ping { received, lossratio, min: None, avg: None, max: None };
        let start = Timestamp::from_seconds(START);
        Reading {
            start,
            found,
            problem: "unknown host".to_owned(),
            unclean: None,
            overlapped: None,
        }
    }

    fn end(due: i64, state: &str) -> End {
        let (due, reason) = (Timestamp::from_seconds(due), "why".to_owned());
        End { due, state: state.to_owned(), reason }
    }

    fn judged(reading: impl Into<Option<Reading>>, end: impl Into<Option<End>>, age: i64) -> Line {
        let (reading, end) = (reading.into(), end.into());
        let specs = testing::specs("s,d,ping,background,15,600,,\n");
        judge(&specs[0].spec, Latest { reading, end }, Timestamp::from_seconds(START + age))
    }

    #[test]
    fn what_the_last_reading_says_is_how_it_does() {
        assert_eq!(judged(ping(10, Some(0.0)), None, 5).health, Health::Ok);
        assert_eq!(judged(ping(9, Some(0.1)), None, 5).health, Health::Lossy);
        let down = judged(ping(0, Some(1.0)), None, 5);
        assert_eq!((down.health, down.remark.as_str()), (Health::Down, "unknown host"));
        assert_eq!(judged(None, None, 5).health, Health::Waiting);
    }

    #[test]
    fn a_reading_grows_stale_after_two_intervals_and_the_limit_of_a_run() {
        assert_eq!(judged(ping(10, None), None, 1_225).health, Health::Ok);
        assert_eq!(judged(ping(10, None), None, 1_226).health, Health::Stale);
    }

    #[test]
    fn a_run_without_a_reading_counts_until_there_is_a_newer_reading() {
        let failing = judged(ping(10, None), end(START + 600, "missed"), 700);
        assert_eq!((failing.health, &*failing.remark), (Health::Failing, "missed: why"));
        assert_eq!(judged(ping(10, None), end(START - 600, "missed"), 5).health, Health::Ok);
        assert_eq!(judged(ping(10, None), end(START + 600, "loaded"), 700).health, Health::Ok);
        assert_eq!(judged(None, end(START, "failed"), 5).health, Health::Failing);
    }

    #[test]
    fn what_is_switched_off_is_off_whatever_it_said() {
        let text = testing::HEADER.replace("phase", "toolDo") + "s,d,ping,background,15,600,,0\n";
        let (specs, _) = station::words::toolspec::parse(&text);
        let seen = Latest { reading: Some(ping(0, None)), end: Some(end(START, "failed")) };
        let line = judge(&specs[0].spec, seen, Timestamp::from_seconds(START));
        assert_eq!((line.health, line.remark.as_str()), (Health::Off, ""));
    }
}
