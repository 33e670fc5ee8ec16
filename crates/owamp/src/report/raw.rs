//! Record by record (`-R`): number, time of sending, whether that clock is synchronised and its error, the same for the
//! time of arrival, and the TTL. Times are 32.32 fixed point, written as a decimal number.

use std::io::{self, Write};

use timed_udp::ntp::ErrorEstimate;

use super::figures::general;
use crate::protocol::Record;

/// The records, a line each.
///
/// # Errors
/// What `out` says.
pub fn raw<'a>(
    out: &mut impl Write,
    records: impl IntoIterator<Item = &'a Record>,
) -> io::Result<()> {
    for record in records {
        let received = record.received.unwrap_or_default().0;
        let (sent, by) = (record.sent.0, clock(record.send_error));
        let at = clock(record.receive_error);
        writeln!(out, "{} {sent:020} {by} {received:020} {at} {}", record.seq, record.ttl)?;
    }
    Ok(())
}

/// `0 2.32831e-10`: whether it is synchronised, and its error in seconds.
fn clock(estimate: Option<ErrorEstimate>) -> String {
    let synchronised = estimate.is_some_and(|it| it.synchronised);
    let error_s = estimate.map_or(0.0, ErrorEstimate::seconds);
    format!("{} {}", u8::from(synchronised), general(error_s, 6))
}
