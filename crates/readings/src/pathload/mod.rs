//! Reads the output of pathload's receiver: a range within which the available bandwidth lies.
//!
//! # What was learned from real output
//!
//! - The exit status is 0 also when the measurement was given up, for too many context switches or too
//!   low a rate. Only the lines below `RESULT` say what came of it.
//! - Where interrupts of the network card are coalesced, only a lower end comes out, often 0.00: it is told
//!   as printed, with a warning.
//! - The rates of the fleets are what was sent, not what was found; they are no estimates.

mod json;

use crate::{
    Output, Unreadable,
    available::Available,
    document, problem,
    text::{self, Line, bare, integer},
};

/// Reads the output of a pathload.
///
/// # Errors
///
/// If this is no output of pathload's receiver, if a result is no number, or if its range is upside down.
/// Also if nothing was printed and nothing ended the tool.
pub fn read(output: &Output<'_>) -> Result<Available, Unreadable> {
    if document::is_it(output.stdout) {
        return json::read(output);
    }
    let mut said = Transcript::default();
    for line in text::lines(output.stdout) {
        said.take(&line)?;
    }
    if !said.known {
        let problem = problem::instead_of_output(output, said.stranger)?;
        return Ok(Available { problem: Some(problem), ..Available::default() });
    }
    let mut reading = said.reading;
    reading.complete = reading.min_bps.is_some() || reading.max_bps.is_some();
    reading.problem = problem::of_told(output, reading.complete, said.given_up.as_deref());
    Ok(reading)
}

#[derive(Default)]
struct Transcript {
    reading: Available,
    /// Why there is no result, in the tool's words.
    given_up: Option<String>,
    /// Whether any line is pathload's.
    known: bool,
    /// The first line before that.
    stranger: Option<Unreadable>,
}

impl Transcript {
    /// Takes a line. One that breaks off may break off within a number, and is not believed.
    fn take(&mut self, line: &Line<'_>) -> Result<(), Unreadable> {
        let said = bare(&line.text);
        if said.is_empty() {
            return Ok(());
        }
        if line.finished && self.understand(line, said)? {
            self.known = true;
        } else if !self.known {
            let wrong = || line.wrong("\"Receiver ... starts measurements\"", said);
            self.stranger.get_or_insert_with(wrong);
        }
        Ok(())
    }

    /// Whether the line is known.
    fn understand(&mut self, line: &Line<'_>, said: &str) -> Result<bool, Unreadable> {
        if let Some(result) = said.strip_prefix("Available bandwidth ") {
            self.take_result(line, result)?;
        } else if let Some(rest) = said.strip_prefix("Overhead : ") {
            let bytes = rest.split(' ').next().and_then(integer);
            self.reading.overhead_bytes = Some(bytes.ok_or_else(|| line.wrong("bytes", rest))?);
        } else if said.starts_with("Measurement") && said.contains("terminated") {
            self.given_up = Some(said.to_owned());
        } else if is_remark(said) {
            problem::warn(&mut self.reading.warnings, said);
        } else if let Some((_, rest)) = said.split_once(" starts measurements at sender ") {
            self.reading.address = rest.split(' ').next().and_then(text::address);
        } else {
            return Ok(said.starts_with("Receiving Fleet ") || said.ends_with("RESULT *****"));
        }
        Ok(true)
    }

    /// `range : 7.54 - 7.60 (Mbps)`, or `is greater than 0.00 (Mbps)` where only one end is known.
    fn take_result(&mut self, line: &Line<'_>, result: &str) -> Result<(), Unreadable> {
        let wrong = || line.wrong("a range or a bound in Mbps", result);
        let (words, _) = result.split_once(" (Mbps)").ok_or_else(wrong)?;
        let rate = |text| mbps(text).ok_or_else(wrong);
        let (min, max) = if let Some(range) = words.strip_prefix("range : ") {
            let (min, max) = range.split_once(" - ").ok_or_else(wrong)?;
            (Some(rate(min)?), Some(rate(max)?))
        } else {
            let (words, bound) = words.rsplit_once(' ').ok_or_else(wrong)?;
            match words {
                "is greater than" | "is at least" => (Some(rate(bound)?), None),
                "is less than" | "is at most" => (None, Some(rate(bound)?)),
                _ => return Err(wrong()),
            }
        };
        if min.zip(max).is_some_and(|(min, max)| min > max) {
            return Err(line.wrong("the lower end first", words));
        }
        (self.reading.min_bps, self.reading.max_bps) = (min, max);
        Ok(())
    }
}

/// Whether the line tells how good the result is. The original's are of interrupt coalescence only; all others are
/// our own tool's, which has them among the warnings of its JSON.
fn is_remark(said: &str) -> bool {
    said.contains("coalesc")
        || said.contains(" streams were left out: ")
        || said.starts_with("the time was over before the range ")
        || said.starts_with("the range is wider than it could be: ")
}

/// A rate in bit/s.
fn mbps(text: &str) -> Option<f64> {
    text::real(text).filter(|rate| *rate >= 0.0).map(|rate| rate * 1e6)
}
