//! Reads the output of thrulay's client, over TCP with one stream (`tlaytcp`) or several (`mtlaytcp`), and
//! over UDP.
//!
//! # What was learned from real output
//!
//! - The exit status is 0 also after the server died or the path went dark: the rows that follow are of
//!   0.000 then. A rate of 0 is a figure; a round-trip time beside it is none, as nothing came back.
//! - The column of delays is a median. Smallest and largest come with `-v` alone: the least of the
//!   medians is not the least delay, and is not told as such.
//! - A run that is ended leaves no total. Its rows are kept.
//! - Rates and times have three digits. Bytes are not printed; they follow from both, to these digits.
//! - Over UDP neither time nor size is printed, and so no rate. What is called jitter is a quartile range, `inf`
//!   above 25 % loss: not the jitter of RFC 3550, and not told as such.
//! - Our own thrulay has a document of JSON too, in which nothing of this is missing: `json`.

mod datagrams;
mod json;
mod rows;

use crate::{
    Direction, Output, Unreadable, document, problem,
    text::{self, Line, bare},
    throughput::{Flow, Protocol, Throughput},
};

use datagrams::Report;
use rows::{Row, Rows};

/// Reads the output of a thrulay.
///
/// # Errors
///
/// If this is no output of thrulay's client, or contradicts itself: a field that is no number, more
/// datagrams received than sent. Also if nothing was printed and nothing ended the tool.
pub fn read(output: &Output<'_>) -> Result<Throughput, Unreadable> {
    if document::is_it(output.stdout) {
        return json::read(output);
    }
    let mut said = Transcript::default();
    for line in text::lines(output.stdout) {
        said.take(&line)?;
    }
    let Some(protocol) = said.protocol else {
        let problem = problem::instead_of_output(output, said.stranger)?;
        return Ok(Throughput { problem: Some(problem), ..Throughput::default() });
    };
    let (flow, ended) = match protocol {
        Protocol::Tcp => said.rows.flow(),
        Protocol::Udp => said.report.flow()?,
    };
    let complete = ended && !problem::complained(output.stderr);
    Ok(Throughput {
        protocol: Some(protocol),
        flows: flow.into_iter().collect(),
        warnings: problem::warnings(output.stderr),
        problem: problem::of(output, complete),
        complete,
        ..Throughput::default()
    })
}

#[derive(Default)]
struct Transcript {
    /// Known from the first line that is thrulay's.
    protocol: Option<Protocol>,
    rows: Rows,
    report: Report,
    /// The first line before that.
    stranger: Option<Unreadable>,
}

impl Transcript {
    fn take(&mut self, line: &Line<'_>) -> Result<(), Unreadable> {
        let said = bare(&line.text);
        if said.is_empty() {
            return Ok(());
        }
        if self.protocol.is_none() {
            self.protocol = first(said).filter(|_| line.finished);
        }
        match self.protocol {
            // A line that breaks off may break off within a number, and is not believed.
            Some(_) if !line.finished => {}
            Some(Protocol::Tcp) => self.take_row(line, said)?,
            Some(Protocol::Udp) => self.report.take(line, said)?,
            None => {
                self.stranger.get_or_insert_with(|| line.wrong("a line of thrulay", said));
            }
        }
        Ok(())
    }

    fn take_row(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        let total = said.strip_prefix('#');
        let body = total.unwrap_or(said);
        if body.starts_with("(ID)") || !body.starts_with('(') {
            return Ok(());
        }
        let row = Row::of(line, body)?;
        match (total, row.id) {
            (Some(_), _) => self.rows.end(row),
            (None, Some(id)) => self.rows.take(id, &row),
            (None, None) => return Err(line.wrong("the number of a stream", said)),
        }
        Ok(())
    }
}

/// What is measured, by the line with which the output begins.
fn first(said: &str) -> Option<Protocol> {
    if said.starts_with("# local window") || said.starts_with("#(ID)") {
        Some(Protocol::Tcp)
    } else if said.starts_with("Server used UDP buffer") || said.starts_with("Delay:") {
        Some(Protocol::Udp)
    } else {
        None
    }
}

/// The flow is always from the client: the server sends nothing but the times.
fn towards_target() -> Flow {
    Flow::new(Direction::To)
}
