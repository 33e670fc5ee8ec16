//! How exactly packets leave, by the clock and as a receiver sees it.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::Result;
use timed_udp::{
    clock::{Mono, nanos},
    inbox::Inbox,
    ntp::NtpTime,
    pace::{Pacer, Precision},
    socket::{Opening, TimedSocket},
};

use crate::{
    bed::Bed,
    machine::{median, quantile},
    table::{Line, Quantity},
};

/// Gaps between packets, microseconds.
const GAPS: [u64; 3] = [20, 100, 1_000];
/// What the error of a sending time is to be at most, microseconds: of half of the packets, and of 99 in 100.
const REACH: (f64, f64) = (2.0, 20.0);
/// A first part that is not counted: caches are cold, and the margin is not learned.
const WARMING_UP: usize = 500;

/// Sends packets at fixed gaps on loopback.
///
/// # Errors
/// There is no socket.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for gap in GAPS {
        let length = u64::from(bed.size(4_000_000, 1_000_000));
        let count = WARMING_UP + usize::try_from(length / gap)?;
        lines.extend(lines_of(gap, &sent_at_gaps(Duration::from_micros(gap), count)?));
    }
    Ok(lines)
}

/// Microseconds: how late each packet was sent, and how far each gap was wrong as its receiver saw it.
struct Errors {
    late: Vec<f64>,
    gaps: Vec<f64>,
}

fn sent_at_gaps(gap: Duration, count: usize) -> Result<Errors> {
    let here = Opening::at(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let from = here.open()?;
    let to = Opening { receive_buffer: count * 1_024, ..here }.open()?;
    from.connect(to.local())?;
    let mut pacer = Pacer::new(Precision::Exact);
    let (mut due, mut late) = (Mono::now() + Duration::from_millis(5), Vec::with_capacity(count));
    for _ in 0..count {
        late.push(micros(nanos(pacer.wait_until(due).since(due))));
        from.send(&[0; 64])?;
        due = due + gap;
    }
    let came = arrivals(&to)?;
    let wanted = micros(nanos(gap));
    let error =
        |pair: &[NtpTime]| (micros(pair[1].nanos_since(pair[0]).unsigned_abs()) - wanted).abs();
    let gaps = came.windows(2).map(error).skip(WARMING_UP).collect();
    Ok(Errors { late: late.split_off(WARMING_UP), gaps })
}

fn arrivals(to: &TimedSocket) -> Result<Vec<NtpTime>> {
    let (mut inbox, mut came) = (Inbox::new(64), Vec::new());
    while inbox.receive(to)? > 0 {
        came.extend(inbox.batch().map(|(arrival, _)| arrival.received));
    }
    Ok(came)
}

fn lines_of(gap: u64, errors: &Errors) -> [Line; 4] {
    let name = |what| format!("packets every {gap} us: {what}");
    let us = |value| Quantity::new(value, "us");
    [
        Line::limited(name("sent late, median"), us(median(&errors.late)), REACH.0),
        Line::limited(name("sent late, p99"), us(quantile(&errors.late, 0.99)), REACH.1),
        Line::limited(name("error of a received gap, median"), us(median(&errors.gaps)), REACH.0),
        Line::limited(
            name("error of a received gap, p99"),
            us(quantile(&errors.gaps, 0.99)),
            REACH.1,
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 ns")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}
