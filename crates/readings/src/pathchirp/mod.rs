//! Reads the estimates of pathchirp: a line for each, `1795398339.123 7.52`, seconds since the epoch and
//! Mbit/s, as they stand in an `.instbw` file too.
//!
//! # What was learned from real output
//!
//! - The reference tool writes its estimates into a file and tells its progress on standard error.
//!   Without a file's lines on standard output there are no figures, and that is the problem then.
//! - Without a sender it ends with status 0, and says so on standard error alone.
//! - Times may go backwards (assolo): lines are kept in the order in which they came.
//! - An estimate that is no number, or negative, is one that the tool could not make; it is left out.
//! - Our own tool has a JSON with all figures, and where no chirp met a queue it knows how much is available at least:
//!   in text that is a warning on standard error.
//! - Its exit status is 0 only if it stands by what it printed. Estimates are printed as they come: if it finds in the
//!   end that they cannot be believed, it says so on standard error, and they are no figures, as in the JSON.

mod json;

use crate::{
    End, Output, Unreadable,
    available::{Available, Estimate},
    document,
    problem::{self, Kind, Problem},
    statistics::real,
    text::{self, Figure, Line, bare, quote},
};

/// Estimates that a reading keeps: a run makes some in a second. All count in the least, mean and largest.
pub const MOST_ESTIMATES: usize = 100_000;

/// Lines of standard error among which a lower bound is looked for.
const MOST_LINES: usize = 10_000;

/// Reads the output of a pathchirp.
///
/// # Errors
///
/// If a line is not a time and a rate. Also if nothing was printed and nothing ended the tool.
pub fn read(output: &Output<'_>) -> Result<Available, Unreadable> {
    if document::is_it(output.stdout) {
        return json::read(output);
    }
    let mut tally = Tally::default();
    for line in text::lines(output.stdout) {
        if let Some(estimate) = estimate(&line)? {
            tally.take(estimate);
        }
    }
    let address = sender(output.stderr);
    if let Some(said) = disowned(output.stderr) {
        return Ok(Available { address, ..without_figures(output, &said) });
    }
    if tally.number == 0 {
        let found = bound(output).map_or_else(|| nothing(output), Ok)?;
        return Ok(Available { address, ..found });
    }
    let complete =
        output.stdout.ends_with(b"\n") && is_content(output) && !problem::complained(output.stderr);
    Ok(Available {
        address,
        min_bps: Some(tally.least),
        avg_bps: Some(tally.rates()[1]),
        max_bps: Some(tally.largest),
        estimates: tally.kept,
        overhead_bytes: None,
        warnings: problem::warnings(output.stderr),
        problem: problem::of(output, complete),
        complete,
    })
}

#[derive(Default)]
struct Tally {
    number: u64,
    sum: f64,
    least: f64,
    largest: f64,
    kept: Vec<Estimate>,
}

impl Tally {
    /// The least, the mean and the largest.
    fn rates(&self) -> [f64; 3] {
        [self.least, self.sum / real(self.number), self.largest]
    }

    fn take(&mut self, estimate: Estimate) {
        let rate = estimate.bits_per_s;
        self.least = if self.number == 0 { rate } else { self.least.min(rate) };
        self.largest = self.largest.max(rate);
        self.sum += rate;
        self.number += 1;
        if self.kept.len() < MOST_ESTIMATES {
            self.kept.push(estimate);
        }
    }
}

/// What a line says; nothing if it is blank, breaks off, or holds no estimate.
fn estimate(line: &Line<'_>) -> Result<Option<Estimate>, Unreadable> {
    let said = bare(&line.text);
    if said.is_empty() || !line.finished {
        return Ok(None);
    }
    let wrong = || line.wrong("a time and a rate", said);
    let (time, rate) = said.split_once([' ', '\t']).ok_or_else(wrong)?;
    let time_s = text::real(time).ok_or_else(wrong)?;
    let rate = Figure::of(rate.trim_start()).ok_or_else(wrong)?.scaled(|mbps| mbps * 1e6);
    let rate = rate.filter(|rate| *rate >= 0.0);
    Ok(rate.map(|bits_per_s| Estimate { time_s, bits_per_s }))
}

/// `Sender host is:  192.0.2.2`, from standard error.
fn sender(stderr: &[u8]) -> Option<std::net::IpAddr> {
    text::lines(stderr).take(16).find_map(|line| {
        let (_, address) = line.text.split_once("Sender host is:")?;
        text::address(bare(address))
    })
}

/// Why our own tool does not stand by the estimates that it has printed, if it does not.
fn disowned(stderr: &[u8]) -> Option<String> {
    text::lines(stderr).find_map(|line| {
        let said = bare(&line.text);
        said.contains("no estimate that can be believed").then(|| quote(said))
    })
}

fn without_figures(output: &Output<'_>, said: &str) -> Available {
    let problem = problem::of_told(output, false, Some(said));
    Available { problem, warnings: problem::warnings(output.stderr), ..Available::default() }
}

/// Whether it ended by itself with what it wanted. The exit status of the original says nothing of that.
fn is_content(output: &Output<'_>) -> bool {
    match output.end {
        End::Exited(0) => true,
        End::Exited(_) => is_original(output.stderr),
        End::Signalled(_) | End::TimedOut => false,
    }
}

/// Whether the original tool has begun: ours opens no file, and says nothing of one.
fn is_original(stderr: &[u8]) -> bool {
    text::lines(stderr).any(|line| line.text.contains("Opening file"))
}

/// A run that only knows how much is available at least.
fn bound(output: &Output<'_>) -> Option<Available> {
    let min_bps = Some(at_least(output)?);
    let warnings = problem::warnings(output.stderr);
    Some(Available { min_bps, warnings, complete: true, ..Available::default() })
}

fn nothing(output: &Output<'_>) -> Result<Available, Unreadable> {
    let problem = Some(without_estimates(output)?);
    Ok(Available { problem, ..Available::default() })
}

/// `warning: at least 2284.000 Mbit/s are available`, from a run that came to its own end, bit/s.
fn at_least(output: &Output<'_>) -> Option<f64> {
    if output.end != End::Exited(0) {
        return None;
    }
    text::lines(output.stderr).take(MOST_LINES).filter(|line| line.finished).find_map(|line| {
        let (_, rest) = line.text.split_once("warning: at least ")?;
        let (rate, _) = rest.split_once(" Mbit/s are available")?;
        Figure::of(rate)?.scaled(|mbps| mbps * 1e6).filter(|rate| *rate >= 0.0)
    })
}

fn without_estimates(output: &Output<'_>) -> Result<Problem, Unreadable> {
    let instead = problem::instead_of_output(output, None);
    let began = is_original(output.stderr);
    let nothing = || Problem { kind: Kind::Other, text: "no estimate was printed".to_owned() };
    instead.or_else(|silence| if began { Ok(nothing()) } else { Err(silence) })
}
