//! The summary for people, and before it a line for each packet that is to be shown.

use std::io::{self, Write};

use super::{
    MOST_REORDERED, Style, Told,
    figures::{general, local, scientific, seconds, unix},
};
use crate::{protocol::Record, statistics::Percent};

/// What is said before anything else but with `-R`: when there will be more.
///
/// # Errors
/// What `out` says.
pub fn approximately(out: &mut impl Write, seconds: f64) -> io::Result<()> {
    writeln!(out, "Approximately {seconds:.1} seconds until results available")
}

/// The session for people.
///
/// # Errors
/// What `out` says.
pub fn human(out: &mut impl Write, told: &Told<'_>, style: &Style) -> io::Result<()> {
    if style.lines > 0 {
        header(out, told)?;
        let lines = told.records.iter().filter(|record| told.known.has(record.seq));
        lines.take(style.lines).try_for_each(|record| packet(out, record, style))?;
    }
    header(out, told)?;
    span(out, told, style)?;
    counts(out, told)?;
    delays(out, told, style)?;
    hops(out, told)?;
    reordering(out, told)?;
    writeln!(out)
}

fn header(out: &mut impl Write, told: &Told<'_>) -> io::Result<()> {
    let (from, to) = (&told.from, &told.to);
    let (source, target) = (from.address.port(), to.address.port());
    let ends = format!("from [{}]:{source} to [{}]:{target}", from.host, to.host);
    writeln!(out, "\n--- owping statistics {ends} ---\nSID:\t{}", told.sid())
}

fn packet(out: &mut impl Write, record: &Record, style: &Style) -> io::Result<()> {
    let number = record.seq;
    let Some(received) = record.received else {
        return writeln!(out, "seq_no={number:<10} *LOST*");
    };
    let delay = seconds(received.nanos_since(record.sent)) * style.unit.in_a_second();
    let unit = style.unit.as_str();
    let shown = general(delay, 3);
    let errors = record.send_error.zip(record.receive_error);
    let Some((by, at)) = errors.filter(|(by, at)| by.synchronised && at.synchronised) else {
        return writeln!(out, "seq_no={number:<10} delay={shown} {unit}\t(unsync)");
    };
    let error = general((by.seconds() + at.seconds()) * style.unit.in_a_second(), 3);
    if style.unix_times {
        let (delay, sent, came) = (scientific(delay), unix(record.sent), unix(received));
        let clocks = format!("(sync, err={error} {unit})");
        return writeln!(
            out,
            "seq_no={number} delay={delay} {unit} {clocks} sent={sent} recv={came}"
        );
    }
    writeln!(out, "seq_no={number:<10} delay={shown} {unit}\t(sync, err={error} {unit})")
}

fn span(out: &mut impl Write, told: &Told<'_>, style: &Style) -> io::Result<()> {
    let (first, last) = told.summary.span.unwrap_or((told.known.start, told.known.start));
    let local = |time| local(time, style.utc_offset);
    writeln!(out, "first:\t{}\nlast:\t{}", local(first), local(last))
}

fn counts(out: &mut impl Write, told: &Told<'_>) -> io::Result<()> {
    let it = told.summary;
    let percent = 100.0 * it.loss_ratio();
    let (sent, lost, duplicates) = (it.sent, it.lost, it.duplicates);
    writeln!(out, "{sent} sent, {lost} lost ({percent:.3}%), {duplicates} duplicates")
}

fn delays(out: &mut impl Write, told: &Told<'_>, style: &Style) -> io::Result<()> {
    let unit = style.unit.as_str();
    let shown = |delay: Option<i64>| match delay {
        Some(delay) => general(seconds(delay) * style.unit.in_a_second(), 3),
        None => "nan".to_owned(),
    };
    let all = &told.summary.delays;
    let [min, median, max] = [all.min(), all.percentile(Percent::P50), all.max()].map(shown);
    let clocks = if told.synchronised() {
        let error = told.summary.clocks.error_s.unwrap_or(0.0) * style.unit.in_a_second();
        format!("(err={} {unit})", general(error, 3))
    } else {
        "(unsync)".to_owned()
    };
    writeln!(out, "one-way delay min/median/max = {min}/{median}/{max} {unit}, {clocks}")?;
    writeln!(out, "one-way jitter = {} {unit} (P95-P50)", shown(told.summary.p95_less_p50()))?;
    if !style.percentiles.is_empty() {
        writeln!(out, "Percentiles:")?;
    }
    for percent in &style.percentiles {
        let delay = shown(all.percentile(*percent));
        writeln!(out, "\t{:.1}: {delay} {unit}", percent.number())?;
    }
    Ok(())
}

fn hops(out: &mut impl Write, told: &Told<'_>) -> io::Result<()> {
    match (told.summary.hops(), told.summary.ttls.len()) {
        (None, _) => writeln!(out, "TTL not reported"),
        (Some((hops, _)), 1) => writeln!(out, "hops = {hops} (consistently)"),
        (Some((min, max)), values) => {
            writeln!(out, "hops takes {values} values; min hops = {min}, max hops = {max}")
        }
    }
}

fn reordering(out: &mut impl Write, told: &Told<'_>) -> io::Result<()> {
    let all = told.n_reordered();
    for (n, packets) in (1..).zip(all) {
        let n: u64 = n;
        let arrivals = told.summary.reordering.arrivals;
        writeln!(out, "{n}-reordering = {:.6}%", percent_of(*packets, arrivals))?;
    }
    match all.len() {
        0 => writeln!(out, "no reordering"),
        MOST_REORDERED.. => writeln!(out, "{}-reordering not handled", MOST_REORDERED + 1),
        n => writeln!(out, "no {}-reordering", n + 1),
    }
}

#[expect(clippy::cast_precision_loss, reason = "packets of a session")]
fn percent_of(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
