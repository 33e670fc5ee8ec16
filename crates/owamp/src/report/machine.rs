//! The summary for machines (`-M`): a key, a tab and a value in each line; delays are seconds.

use std::io::{self, Write};

use super::{
    MOST_REORDERED, Style, Told,
    figures::{general, seconds, unix},
};
use crate::statistics::{Percent, TTL_SENT};

/// The version of this form, as the reference tool counts them.
const FORM: &str = "3.00";

/// The session for machines.
///
/// # Errors
/// What `out` says.
pub fn machine(out: &mut impl Write, told: &Told<'_>, style: &Style) -> io::Result<()> {
    ends(out, told)?;
    span(out, told, style)?;
    session(out, told, style)?;
    figures(out, told)?;
    buckets(out, told, style)?;
    hops(out, told)?;
    reordering(out, told)
}

fn ends(out: &mut impl Write, told: &Told<'_>) -> io::Result<()> {
    writeln!(out, "SUMMARY\t{FORM}\nSID\t{}", told.sid())?;
    for (name, end) in [("FROM", &told.from), ("TO", &told.to)] {
        writeln!(out, "{name}_HOST\t{}\n{name}_ADDR\t{}", end.host, end.address.ip())?;
        writeln!(out, "{name}_PORT\t{}", end.address.port())?;
    }
    Ok(())
}

fn span(out: &mut impl Write, told: &Told<'_>, style: &Style) -> io::Result<()> {
    let (first, last) = told.summary.span.unwrap_or((told.known.start, told.known.start));
    writeln!(out, "START_TIME\t{:020}\nEND_TIME\t{:020}", first.0, last.0)?;
    if style.unix_times {
        writeln!(out, "UNIX_START_TIME\t{}\nUNIX_END_TIME\t{}", unix(first), unix(last))?;
    }
    Ok(())
}

fn session(out: &mut impl Write, told: &Told<'_>, style: &Style) -> io::Result<()> {
    if let Some(dscp) = told.dscp {
        writeln!(out, "DSCP\t0x{dscp:02x}")?;
    }
    writeln!(out, "LOSS_TIMEOUT\t{}\nPACKET_PADDING\t{}", told.known.timeout, told.padding)?;
    writeln!(out, "SESSION_PACKET_COUNT\t{}", told.session_packets)?;
    writeln!(out, "SAMPLE_PACKET_COUNT\t{}", told.known.asked)?;
    let width = seconds(i64::try_from(style.bucket_width).unwrap_or(i64::MAX));
    writeln!(out, "BUCKET_WIDTH\t{}", general(width, 6))?;
    writeln!(out, "SESSION_FINISHED\t{}", u8::from(told.finished))
}

/// What is undefined is left out.
fn figures(out: &mut impl Write, told: &Told<'_>) -> io::Result<()> {
    let it = told.summary;
    let error = general(it.clocks.error_s.unwrap_or(0.0), 6);
    writeln!(out, "SENT\t{}\nSYNC\t{}\nMAXERR\t{error}", it.sent, u8::from(told.synchronised()))?;
    writeln!(out, "DUPS\t{}\nLOST\t{}", it.duplicates, it.lost)?;
    let delays = [
        ("MIN", it.delays.min()),
        ("MEDIAN", it.delays.percentile(Percent::P50)),
        ("MAX", it.delays.max()),
        ("PDV", it.p95_less_p50()),
    ];
    for (name, delay) in delays {
        if let Some(delay) = delay {
            writeln!(out, "{name}\t{}", general(seconds(delay), 6))?;
        }
    }
    Ok(())
}

fn buckets(out: &mut impl Write, told: &Told<'_>, style: &Style) -> io::Result<()> {
    if told.summary.received() == 0 {
        return Ok(());
    }
    let buckets = told.summary.delays.buckets(style.bucket_width);
    writeln!(out, "<BUCKETS>")?;
    buckets.iter().try_for_each(|(bucket, packets)| writeln!(out, "\t{bucket}\t{packets}"))?;
    writeln!(out, "</BUCKETS>")
}

fn hops(out: &mut impl Write, told: &Told<'_>) -> io::Result<()> {
    // Of no packet: 255 to 0.
    let (most, least) = told.summary.hops().unwrap_or((TTL_SENT, 0));
    writeln!(out, "MINTTL\t{}\nMAXTTL\t{}", TTL_SENT - least, TTL_SENT - most)?;
    if !told.summary.ttls.is_empty() {
        writeln!(out, "<TTLBUCKETS>")?;
        let ttls = told.summary.ttls.iter();
        ttls.into_iter().try_for_each(|(ttl, packets)| writeln!(out, "\t{ttl}\t{packets}"))?;
        writeln!(out, "</TTLBUCKETS>")?;
    }
    writeln!(out)
}

fn reordering(out: &mut impl Write, told: &Told<'_>) -> io::Result<()> {
    let all = told.n_reordered();
    writeln!(out, "<NREORDERING>")?;
    for (n, packets) in (1..).zip(all) {
        let n: u64 = n;
        writeln!(out, "\t{n}\t{packets}")?;
    }
    if all.is_empty() || all.len() == MOST_REORDERED {
        writeln!(out, "\t{}\t0", all.len() + 1)?;
    }
    writeln!(out, "</NREORDERING>")
}
