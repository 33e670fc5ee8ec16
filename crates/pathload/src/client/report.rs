//! What is printed: the text in the reference's form, a JSON object, a line of `NetLogger`. Pure.

use std::{fmt::Write, net::IpAddr};

use chrono::{DateTime, Local};
use serde_json::{Value, json};
use station::{
    app,
    text::Timestamp,
    world::clock::{Clock, SystemClock},
};

use super::{Args, trouble::Trouble};
use crate::{
    control::Ended,
    search::{Outcome, Verdict},
    trend::{Flaw, Trend},
};

/// The most warnings that are kept.
const MOST_WARNINGS: usize = 16;

/// A measurement.
#[derive(Debug)]
pub(super) struct Run {
    sender: String,
    began: DateTime<Local>,
    pub(super) server: Option<IpAddr>,
    pub(super) fleets: Vec<FleetTold>,
    pub(super) outcome: Option<Outcome>,
    /// Octets of IP that were sent for it.
    pub(super) octets: u64,
    pub(super) seconds: f64,
    pub(super) warnings: Vec<String>,
    pub(super) problem: Option<String>,
}

/// A fleet.
#[derive(Debug)]
pub(super) struct FleetTold {
    pub(super) rate: f64,
    pub(super) verdict: Verdict,
    pub(super) trends: Vec<Trend>,
}

impl FleetTold {
    /// What each stream showed, a letter each.
    pub(super) fn text(&self) -> String {
        format!("  Streams {}: {}\n", self.letters(), verdict(self.verdict))
    }

    fn letters(&self) -> String {
        let letter = |trend: &Trend| match trend {
            Trend::Increasing => 'I',
            Trend::Level => 'N',
            Trend::Ambiguous => 'U',
            Trend::Void(_) => 'D',
        };
        self.trends.iter().map(letter).collect()
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Above => "above",
        Verdict::Below => "below",
        Verdict::Grey => "grey",
        Verdict::Failed(flaw) => flaw_name(flaw),
    }
}

fn flaw_name(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::LateSender => "late sender",
        Flaw::Coalesced => "coalesced arrivals",
        Flaw::OwnDrops => "own drops",
    }
}

fn now() -> DateTime<Local> {
    let Timestamp(micros) = SystemClock.moment().wall;
    DateTime::from_timestamp_micros(micros).unwrap_or_default().with_timezone(&Local)
}

impl Run {
    pub(super) fn begin(sender: &str) -> Self {
        Self {
            sender: sender.to_owned(),
            began: now(),
            server: None,
            fleets: Vec::new(),
            outcome: None,
            octets: 0,
            seconds: 0.0,
            warnings: Vec::new(),
            problem: None,
        }
    }

    pub(super) fn warn(&mut self, what: &str) {
        if self.warnings.len() < MOST_WARNINGS {
            self.warnings.push(what.to_owned());
        }
    }

    /// Prints something of the course, unless only the result, or JSON, is wanted.
    pub(super) fn say(
        &self,
        args: &Args,
        text: impl FnOnce(&Self) -> String,
    ) -> Result<(), Trouble> {
        if args.quiet || args.json {
            return Ok(());
        }
        app::print(&text(self)).map_err(|failure| Trouble::Ended(Ended::Ours(failure.to_string())))
    }

    fn ended(&self) -> DateTime<Local> {
        let length =
            chrono::TimeDelta::try_milliseconds(whole(self.seconds * 1e3)).unwrap_or_default();
        self.began + length
    }

    /// Why streams were left out, and how many.
    fn flaws(&self) -> Vec<(Flaw, usize)> {
        let count = |flaw| {
            let all = self.fleets.iter().flat_map(|fleet| &fleet.trends);
            (flaw, all.filter(|trend| **trend == Trend::Void(flaw)).count())
        };
        let all = [Flaw::LateSender, Flaw::Coalesced, Flaw::OwnDrops].map(count);
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

fn date(time: DateTime<Local>) -> String {
    time.format("%a %b %e %H:%M:%S %Y").to_string()
}

/// The lines before the first fleet.
pub(super) fn begin(run: &Run) -> String {
    let server = run.server.map_or_else(|| run.sender.clone(), |server| server.to_string());
    format!("\n\nReceiver starts measurements at sender {server} on {} \n", date(run.began))
}

/// The lines from the result on; none if it did not come to one.
pub(super) fn result(run: &Run) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |said: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{said}");
    };
    if run.server.is_none() {
        return text;
    }
    line(format_args!("\n\t*****  RESULT *****"));
    for (flaw, count) in run.flaws() {
        match flaw {
            Flaw::Coalesced => {
                line(format_args!("Interrupt coalescion detected in {count} streams"));
            }
            other => line(format_args!("{count} streams were left out: {}", flaw_name(other))),
        }
    }
    run.warnings.iter().for_each(|warning| line(format_args!("{warning}")));
    if let Some(problem) = run.problem.as_ref().filter(|it| it.starts_with("Measurement")) {
        line(format_args!("{problem}"));
    }
    if let Some(told) = run.outcome.and_then(outcome) {
        line(format_args!("Available bandwidth {told} (Mbps)"));
    }
    line(format_args!("Measurements finished at {} ", date(run.ended())));
    line(format_args!("Measurement latency is {:.2} sec ", run.seconds));
    line(format_args!("Overhead : {} bytes ({} KB)", run.octets, run.octets / 1_024));
    text
}

/// What was found, in the reference's words.
fn outcome(outcome: Outcome) -> Option<String> {
    let mbps = |rate: f64| rate / 1e6;
    match outcome {
        Outcome::Range(low, high) => Some(format!("range : {:.2} - {:.2}", mbps(low), mbps(high))),
        Outcome::AtLeast(rate) => Some(format!("is greater than {:.2}", mbps(rate))),
        Outcome::AtMost(rate) => Some(format!("is less than {:.2}", mbps(rate))),
        Outcome::Nothing(_) => None,
    }
}

/// The range: lower and upper end, bit/s, what is known of them.
fn ends(outcome: Option<Outcome>) -> (Option<f64>, Option<f64>) {
    match outcome {
        Some(Outcome::Range(low, high)) => (Some(low), Some(high)),
        Some(Outcome::AtLeast(rate)) => (Some(rate), None),
        Some(Outcome::AtMost(rate)) => (None, Some(rate)),
        Some(Outcome::Nothing(_)) | None => (None, None),
    }
}

/// The whole as one JSON object.
pub(super) fn json(run: &Run) -> String {
    let (low, high) = ends(run.outcome);
    let fleet = |fleet: &FleetTold| -> Value {
        json!({"rate_bit_per_s": fleet.rate, "verdict": verdict(fleet.verdict), "streams": fleet.letters()})
    };
    let flaws: Vec<_> = run
        .flaws()
        .iter()
        .map(|(flaw, count)| format!("{count} streams were left out: {}", flaw_name(*flaw)))
        .collect();
    let warnings: Vec<_> = flaws.iter().chain(&run.warnings).collect();
    let object = json!({
        "pathload": 1,
        "sender": run.sender,
        "address": run.server,
        "min_bit_per_s": low,
        "max_bit_per_s": high,
        "overhead_bytes": run.octets,
        "seconds": run.seconds,
        "fleets": run.fleets.iter().map(fleet).collect::<Vec<_>>(),
        "warnings": warnings,
        "problem": run.problem,
    });
    format!("{object:#}\n")
}

/// A line of `NetLogger`: what its readers look for in those of the reference.
pub(super) fn netlogger(run: &Run) -> String {
    let (low, high) = ends(run.outcome);
    let mbps = |rate: Option<f64>| {
        rate.map_or_else(|| "-1".to_owned(), |rate| format!("{:.2}", rate / 1e6))
    };
    let server = run.server.map_or_else(|| run.sender.clone(), |server| server.to_string());
    format!(
        "DATE={} HOST={server} PROG=pathload LVL=Usage PATHLOAD.SNDR={server} PATHLOAD.ABWL={}Mbps PATHLOAD.ABWH={}Mbps\n",
        run.ended().format("%Y%m%d%H%M%S"),
        mbps(low),
        mbps(high),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(outcome: Option<Outcome>) -> Run {
        let trends = vec![Trend::Increasing, Trend::Void(Flaw::LateSender), Trend::Level];
        Run {
            server: "192.0.2.2".parse().ok(),
            fleets: vec![FleetTold { rate: 8e6, verdict: Verdict::Grey, trends }],
            outcome,
            octets: 1_753_600,
            seconds: 24.47,
            ..Run::begin("host")
        }
    }

    #[test]
    fn the_result_has_the_references_lines() {
        let text = result(&run(Some(Outcome::Range(7.54e6, 7.6e6))));
        for line in [
            "\t*****  RESULT *****",
            "Available bandwidth range : 7.54 - 7.60 (Mbps)",
            "Measurement latency is 24.47 sec ",
            "Overhead : 1753600 bytes (1712 KB)",
            "1 streams were left out: late sender",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
        let least = result(&run(Some(Outcome::AtLeast(9e8))));
        assert!(least.contains("Available bandwidth is greater than 900.00 (Mbps)"), "{least}");
        assert_eq!(result(&Run::begin("host")), "", "nothing was begun");
    }

    #[test]
    fn json_tells_the_range_and_each_fleet() {
        let told: Value =
            serde_json::from_str(&json(&run(Some(Outcome::AtMost(1e6))))).expect("JSON");
        assert_eq!((&told["min_bit_per_s"], &told["max_bit_per_s"]), (&Value::Null, &json!(1e6)));
        assert_eq!(told["fleets"][0]["streams"], "IDN");
        assert_eq!(told["warnings"][0], "1 streams were left out: late sender");
    }

    #[test]
    fn the_line_of_netlogger_has_both_ends() {
        let line = netlogger(&run(Some(Outcome::Range(7.54e6, 7.6e6))));
        assert!(line.contains("PATHLOAD.ABWL=7.54Mbps PATHLOAD.ABWH=7.60Mbps"), "{line}");
    }
}
