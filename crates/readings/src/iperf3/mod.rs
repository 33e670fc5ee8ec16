//! Reads the output of the client of iperf 3: `-J`, and text.
//!
//! # What was learned from real output
//!
//! - With `-J` the exit status is 0 also after a failure, which stands under the key `error`; text has
//!   it on standard error, with exit status 1.
//! - Both ends exchange their counts when the test is over. Where that did not happen, the count of the
//!   other side is printed as 0: that is no figure.
//! - Nothing is printed before the end, unless asked for (`--forceflush`): a client that was killed
//!   leaves nothing.
//! - `iperf Done.` is the end of the text. What follows "Server output:" is the server's.
//! - Over UDP the sender's line has a jitter and losses of 0 that nobody measured.
//! - The receiver of datagrams knows of losses by the gaps between numbers: what it has not seen after the
//!   last one that arrived it does not count, neither as sent nor as lost. A path that goes dark in the middle
//!   has "0 lost", in a test that ended well.
//! - Against a server of iperf 2 it says that it is unable to receive a control message.

mod document;
mod json;
mod text;

use crate::{
    Output, Unreadable, contact,
    throughput::{Flow, Interval, Protocol, Throughput},
};

/// Reads the output of an iperf 3 client.
///
/// # Errors
///
/// If this is no output of an iperf 3 client: that of another tool or of a server, or JSON that is
/// broken or cut short. Also if nothing was printed and nothing ended the tool.
pub fn read(output: &Output<'_>) -> Result<Throughput, Unreadable> {
    match output.stdout.trim_ascii_start().first() {
        None => nothing(output),
        Some(b'{') => json::read(output),
        Some(_) => text::read(output),
    }
}

fn nothing(output: &Output<'_>) -> Result<Throughput, Unreadable> {
    let problem = contact::instead_of_test(output, None)?;
    Ok(Throughput { problem: Some(problem), ..Throughput::default() })
}

/// Takes back what the other side would have told, had there been an exchange at the end.
fn without_exchange(total: Option<Interval>) -> Option<Interval> {
    total.filter(|total| total.bytes.is_some_and(|bytes| bytes > 0))
}

/// A sender knows neither jitter nor losses.
fn as_sent(mut total: Interval) -> Interval {
    (total.jitter_us, total.lost, total.reordered) = (None, None, None);
    total
}

/// Over UDP what was sent is no throughput, and was lost if it did not arrive.
fn judge(flows: &mut [Flow], protocol: Option<Protocol>) {
    if protocol == Some(Protocol::Udp) {
        flows.iter_mut().for_each(Flow::distrust_sender);
        flows.iter_mut().for_each(count_the_rest);
    }
}

/// Counts as lost what was sent after the last datagram that arrived: the receiver has never heard of it.
fn count_the_rest(flow: &mut Flow) {
    let sent = flow.sent.as_ref().and_then(|sent| sent.datagrams);
    let Some((sent, received)) = sent.zip(flow.received.as_mut()) else { return };
    let counts = received.lost.zip(received.datagrams).filter(|(_, seen)| *seen < sent);
    if let Some((lost, seen)) = counts {
        (received.lost, received.datagrams) = (Some(lost.saturating_add(sent - seen)), Some(sent));
    }
}

/// Whether every flow has its rate.
fn have_rates(flows: &[Flow]) -> bool {
    !flows.is_empty() && flows.iter().all(|flow| flow.thruavg_bps.is_some())
}
