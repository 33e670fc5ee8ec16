//! The figures for people, in the manner of the reference's two-way tool (perfSONAR's twping 5.2.3).

use chrono::DateTime;
use station::words::place::Place;
use timed_udp::ntp::NtpTime;

use super::{Args, figures::Figures, losses::Numbers, measured::Measured};
use crate::statistics::{Percent, Summary};

pub(super) fn human(args: &Args, measured: &Measured, figures: &Figures) -> String {
    let host = Place::of(&args.target).map_or_else(|_| args.target.clone(), |it| it.host);
    let (from, to) = (measured.from, measured.to);
    let mut lines = vec![
        String::new(),
        format!(
            "--- stamp statistics from [{}]:{} to [{host}]:{} ---",
            from.ip(),
            from.port(),
            to.port()
        ),
    ];
    let round = &figures.round;
    let (first, last) = round.span.unwrap_or_default();
    lines.push(format!("first:\t{}", time(first)));
    lines.push(format!("last:\t{}", time(last)));
    lines.extend(counts(figures));
    if round.received() > 0 {
        lines.extend(delays(figures));
    }
    let verdicts: Vec<_> = figures.verdicts().iter().map(ToString::to_string).collect();
    if !verdicts.is_empty() {
        lines.push(format!("beware: {}", verdicts.join(", ")));
    }
    lines.push(String::new());
    lines.join("\n") + "\n"
}

fn counts(figures: &Figures) -> Vec<String> {
    let (round, losses) = (&figures.round, &figures.losses);
    let percent = 100.0 * round.loss_ratio();
    let mut lines = vec![format!(
        "{} sent, {} lost ({percent:.3}%), {} send duplicates, {} reflect duplicates",
        round.sent, round.lost, figures.copies_there, figures.copies_back
    )];
    if round.lost > 0 && round.received() > 0 {
        let late = figures.late;
        let why = match losses.reflector_numbers {
            _ if losses.unknown == 0 => "",
            Numbers::Copied => ": the reflector keeps no state",
            Numbers::Either => ": the reflector's numbers do not tell",
            Numbers::Senseless => ": the reflector's numbers make no sense",
            Numbers::Own => "",
        };
        lines.push(format!(
            "lost on the way there {}, on the way back {}, unknown where {}{why}; {late} came too late",
            losses.there, losses.back, losses.unknown
        ));
    }
    if figures.wrong > 0 {
        lines.push(format!("{} packets came that answer none of ours", figures.wrong));
    }
    lines
}

fn delays(figures: &Figures) -> Vec<String> {
    let Figures { round, there, back, .. } = figures;
    let error = there.clocks.error_s.unwrap_or(0.0) * 1e3;
    let clocks = if figures.synchronised() {
        format!(", (err={} ms)", three(error))
    } else {
        ", (unsync)".to_owned()
    };
    let processing =
        figures.processing.map(|(least, most)| (millis(Some(least)), millis(Some(most))));
    let (least, most) = processing.unwrap_or_default();
    vec![
        range("round-trip time", round) + ", (no clock needed)",
        range("send time", there) + &clocks,
        range("reflect time", back) + &clocks,
        format!("reflector processing time min/max = {least}/{most} ms"),
        jitter("two-way", round),
        jitter("send", there),
        jitter("reflect", back),
        variation("two-way", round),
        variation("send", there),
        variation("reflect", back),
        hops("send", there),
        hops("reflect", back),
        reordering(there, back),
    ]
}

fn range(what: &str, it: &Summary) -> String {
    let delays = &it.delays;
    let [min, median, max] =
        [delays.min(), delays.percentile(Percent::P50), delays.max()].map(millis);
    format!("{what} min/median/max = {min}/{median}/{max} ms")
}

fn jitter(what: &str, it: &Summary) -> String {
    format!("{what} jitter = {} ms (P95-P50)", millis(it.p95_less_p50()))
}

/// RFC 5481's two words.
fn variation(what: &str, it: &Summary) -> String {
    let (pdv, ipdv) = (it.delays.pdv(Percent::P95), it.ipdv.abs_percentile(Percent::P95));
    format!("{what} PDV P95 = {} ms, IPDV P95 = {} ms", millis(pdv), millis(ipdv))
}

fn hops(what: &str, it: &Summary) -> String {
    match (it.hops(), it.ttls.len()) {
        (None, _) => format!("{what} TTL not reported"),
        (Some((hops, _)), 1) => format!("{what} hops = {hops} (consistently)"),
        (Some((min, max)), values) => {
            format!("{what} hops takes {values} values; min hops = {min}, max hops = {max}")
        }
    }
}

fn reordering(there: &Summary, back: &Summary) -> String {
    match (there.reordering.reordered, back.reordering.reordered) {
        (0, 0) => "no reordering".to_owned(),
        (there, back) => format!("reordered: {there} on the way there, {back} on the way back"),
    }
}

/// To the millisecond, UTC.
fn time(time: NtpTime) -> String {
    let millis = (time.unix_nanos() + 500_000).div_euclid(1_000_000);
    let time = i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis);
    time.map_or_else(String::new, |it| it.format("%Y-%m-%dT%H:%M:%S%.3f").to_string())
}

#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
fn millis(nanos: Option<i64>) -> String {
    nanos.map_or_else(|| "nan".to_owned(), |nanos| three(nanos as f64 / 1e6))
}

/// Three digits that count, and no power of ten.
fn three(value: f64) -> String {
    let size = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
    let after = (2.0 - size).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.after$}");
    let short =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    short.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_count() {
        for (value, shown) in [
            (21.25, "21.2"),
            (0.0, "0"),
            (0.000_954_1, "0.000954"),
            (-0.25, "-0.25"),
            (1_234.5, "1234"),
            (100.0, "100"),
        ] {
            assert_eq!(three(value), shown);
        }
    }
}
