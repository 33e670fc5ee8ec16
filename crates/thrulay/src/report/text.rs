//! The text of the reference's client (thrulay 0.9), character by character.

use std::fmt::Write as _;

use super::{TcpOutcome, TcpSetup, UdpOutcome};
use crate::{
    protocol::UdpReport,
    statistics::{RoundTrips, Row},
};

/// What stands above the rows of a TCP test.
#[must_use]
pub fn header(setup: &TcpSetup, verbose: bool) -> String {
    let TcpSetup { local_window, remote_window, block, mtu, mss, duration_s, interval_s, .. } =
        setup;
    let reporting = match interval_s {
        0 => "intermediate reporting disabled".to_owned(),
        seconds => format!("reporting interval = {seconds}s"),
    };
    let topology = topology(*mtu);
    let more = if verbose { "     min      avg      max" } else { "" };
    format!(
        "# local window = {local_window}B; remote window = {remote_window}B\n\
         # block size = {block}B\n\
         # MTU: {mtu}B; MSS: {mss}B; Topology guess: {topology}\n\
         # MTU = getsockopt(IP_MTU); MSS = getsockopt(TCP_MAXSEG)\n\
         # test duration = {duration_s}s; {reporting}\n\
         # delay (median) and jitter (interquartile spread of delay) are reported in ms\n\
         #(ID) begin, s   end, s   Mb/s  RTT delay,ms jitter{more}\n"
    )
}

/// Which network has such packets (RFC 1191 section 7.1, and what came later).
const fn topology(mtu: u32) -> &'static str {
    match mtu {
        65_535 | 65_536 => "loopback",
        17_914 => "16 Mb/s Token Ring",
        9_000 => "Ethernet, jumbo frames",
        8_166 => "IEEE 802.4",
        4_464 => "IEEE 802.5",
        4_352 => "FDDI",
        1_500 => "Ethernet (or PPP)",
        1_492 => "IEEE 802.3 (or PPPoE)",
        576 => "X.25",
        296 => "point-to-point, low delay",
        _ => "unknown",
    }
}

/// A row of an interval.
#[must_use]
pub fn row(row: &Row, verbose: bool) -> String {
    format!(" {}\n", fields(row, verbose))
}

/// The rows of the whole test: of each stream, if there are several, and of all.
#[must_use]
pub fn totals(outcome: &TcpOutcome, verbose: bool) -> String {
    let streams = outcome.streams.iter().filter(|_| outcome.streams.len() > 1);
    let rows = streams.map(|it| &it.row).chain([&outcome.total]);
    rows.fold(String::new(), |text, row| format!("{text}#{}\n", fields(row, verbose)))
}

fn fields(row: &Row, verbose: bool) -> String {
    let id = row.stream.map_or_else(|| "**".to_owned(), |stream| format!("{stream:2}"));
    let (begin, end) = (seconds(row.begin), seconds(row.end));
    let [median, range, min, mean, max] = row.rtt.as_ref().map_or([0.0; 5], times);
    let rate = row.bits_per_s() / 1e6;
    let mut line = format!("({id}) {begin:8.3} {end:8.3} {rate:8.3} {median:8.3} {range:8.3}");
    if verbose {
        let _ = write!(line, " {min:8.3} {mean:8.3} {max:8.3}");
    }
    line
}

fn times(rtt: &RoundTrips) -> [f64; 5] {
    [rtt.median, rtt.quartile_range, rtt.min, rtt.mean, rtt.max].map(millis)
}

#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

/// What is printed of a UDP test; without the server's report only what we know.
#[must_use]
pub fn udp(outcome: &UdpOutcome) -> String {
    let sent = outcome.lateness.sent();
    let mut text = format!(
        "Server used UDP buffer size of {} bytes\n\
         Client proposed sending {} packets\n\
         Client said it sent {sent} packets\n",
        outcome.buffer, outcome.proposed
    );
    if let Some(report) = &outcome.report {
        text += &received(report, sent);
    }
    text
}

fn received(report: &UdpReport, sent: u64) -> String {
    let UdpReport { received, unique, .. } = *report;
    let lost = percent(sent.saturating_sub(unique), sent);
    let copies = percent(received - unique, received);
    let delays = report.delays.map(|delays| delays.map(signed_millis));
    let [_, p25, median, p75, ..] = delays.unwrap_or([f64::INFINITY; 6]);
    // What is lost has a delay without end: of that many there is no quartile.
    let delay = if lost > 50.0 { f64::INFINITY } else { median };
    let jitter = if lost > 25.0 || delays.is_none() { f64::INFINITY } else { p75 - p25 };
    format!(
        "Server received {received} total packets\n\
         Server received {unique} unique packets\n\
         Delay:\t\t {delay:.3}ms\n\
         {}\
         Loss:\t\t {lost:.3}%\n\
         Jitter:\t\t {jitter:.3}ms\n\
         Duplication:\t {copies:.3}%\n\
         {}",
        quantiles(delays),
        reordering(report)
    )
}

fn quantiles(delays: Option<[f64; 6]>) -> String {
    let Some(delays) = delays else { return String::new() };
    let lines = [0, 25, 50, 75, 95].iter().zip(delays);
    lines.fold("\tDelay quantiles (ignoring clock offset):\n".to_owned(), |text, (of, delay)| {
        format!("{text}\t{of:3}th: {delay:8.3}ms\n")
    })
}

/// Shares of all packets that came after so many others as could have been before them (RFC 4737 section 5.4).
fn reordering(report: &UdpReport) -> String {
    let shares = (1_u64..).zip(&report.reordered);
    let shares: Vec<(u64, f64)> = shares
        .map(|(degree, count)| (degree, percent(*count, report.unique.saturating_sub(degree))))
        .collect();
    let first = shares.first().map_or(0.0, |(_, share)| *share);
    let mut text = format!("Reordering:\t {first:.3}%\n");
    for (degree, share) in &shares {
        let _ = writeln!(text, "\t{degree}-reordering = {share:.3}%");
    }
    let _ = match shares.len() {
        0 => writeln!(text, "\tno reordering"),
        100 => writeln!(text, "\tonly up to 100-reordering is handled"),
        more => writeln!(text, "\tno {}-reordering", more + 1),
    };
    text
}

#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { 100.0 * part as f64 / of as f64 }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
fn signed_millis(nanos: i64) -> f64 {
    nanos as f64 / 1e6
}
