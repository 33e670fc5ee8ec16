//! Reads the output of the client of iperf 2: 2.0.5 to 2.1.8, text and csv (`-y C`), TCP and UDP.
//!
//! # What was learned from real output
//!
//! - The exit status is 0 after nearly everything: refused, unreachable, timed out, cut off, an option
//!   it does not know. "local 0.0.0.0 port 0 connected with" comes before a refusal.
//! - The total of a stream is told from an interval by its begin: it goes back to 0. A single stretch
//!   is the total if the tool ended by itself, and may be either if it was ended.
//! - The sum of 2.1.8 can end before its streams do, and then shows more than went through.
//! - The sender's own count over UDP says what was offered. What came through is in the server's
//!   report alone; after reordering 2.1.8 fills that with `-nan` and lost counts near 2^32. Its csv
//!   never has the report: a total of -1 datagrams stands there.
//! - Which way a stream goes: in a dual test the server connects back from a port of its own; a star
//!   marks what comes back on the same connection. A sum over both ways is of no use.
//! - In csv 2.0.5 names first who counted, 2.1.8 who sent. The server is known by the lower port.

mod connection;
mod csv;
mod fields;
mod streams;
mod transcript;

use crate::{
    Direction, End, Output, Problem, Unreadable, contact,
    flows::{self, Track},
    problem::Kind,
    throughput::{Flow, Protocol, Throughput},
};

use streams::Streams;
use transcript::Transcript;

/// Reads the output of an iperf 2 client.
///
/// # Errors
///
/// If this is no output of an iperf 2 client: that of another tool, or of a server, whose many tests
/// are not one reading. Also if nothing was printed and nothing ended the tool.
pub fn read(output: &Output<'_>) -> Result<Throughput, Unreadable> {
    let said = Transcript::of(output.stdout)?;
    if !said.is_of_a_client() {
        let problem = contact::instead_of_test(output, said.stranger)?;
        return Ok(Throughput { problem: Some(problem), ..Throughput::default() });
    }
    Ok(assemble(said, output))
}

fn assemble(mut said: Transcript, output: &Output<'_>) -> Throughput {
    contact::remarks(output.stderr, |remark| said.warn(remark));
    let by_itself = matches!(output.end, End::Exited(_));
    let mut flows = flows(&mut said, by_itself);
    let told = contact::told_of_test(output.stderr);
    let broken = told.is_some_and(|told| matches!(told.kind, Kind::Broken | Kind::NoAnswer));
    let is_whole = |flow: &Flow| said.connect_only || flow.thruavg_bps.is_some();
    let every = !flows.is_empty() && flows.iter().all(is_whole);
    let complete = by_itself && every && said.failed == 0 && !broken;
    if broken {
        flows.iter_mut().for_each(Flow::distrust_sender);
    }
    let silent = said.without_report.take().or_else(|| without_rate(&flows));
    let problem = (!complete).then(|| contact::of_test(output, silent));
    Throughput {
        protocol: said.protocol,
        address: said.address,
        port: said.port,
        flows,
        warnings: said.warnings.into_vec(),
        problem,
        complete,
    }
}

/// What went either way, towards the target first.
fn flows(said: &mut Transcript, by_itself: bool) -> Vec<Flow> {
    let Streams { list, mut sum, .. } = std::mem::take(&mut said.streams);
    let (to, from): (Vec<_>, Vec<_>) =
        list.into_iter().partition(|stream| stream.direction == Direction::To);
    let both = !to.is_empty() && !from.is_empty();
    let mut flows = Vec::new();
    for (direction, streams) in [(Direction::To, to), (Direction::From, from)] {
        if streams.is_empty() {
            continue;
        }
        let mut tracks: Vec<Track> = streams.into_iter().map(|stream| stream.track).collect();
        if direction == Direction::From {
            sum.received = sum.sent.take();
        }
        if by_itself {
            let all = tracks.iter_mut().chain([&mut sum]);
            all.for_each(|track| track.promote_only_part(direction));
        }
        let sum = (!both).then_some(&mut sum);
        let mut flow = flows::assemble(direction, &mut tracks, sum, &mut said.warnings);
        if said.protocol == Some(Protocol::Udp) && direction == Direction::To {
            said.judge_report(&mut flow);
        }
        flows.push(flow);
    }
    flows
}

impl Transcript {
    /// Over UDP only the receiver's count is a throughput.
    fn judge_report(&mut self, flow: &mut Flow) {
        flow.distrust_sender();
        if flow.sent.is_some() && flow.received.is_none() && self.without_report.is_none() {
            let text = "there is no report of the server, or none that can be believed".to_owned();
            self.without_report = Some(Problem { kind: Kind::Other, text });
        }
    }
}

/// That the end of the test was told, but in figures that cannot be.
fn without_rate(flows: &[Flow]) -> Option<Problem> {
    let without = flows.iter().any(|flow| flow.whole().is_some() && flow.thruavg_bps.is_none());
    let text = "the total gives no rate, or none that can be believed".to_owned();
    without.then_some(Problem { kind: Kind::Other, text })
}
