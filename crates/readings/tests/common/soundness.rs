//! What holds of every reading, whatever its text was. The fuzzing targets check the same.

use readings::{
    Output, Reading,
    available::Available,
    oneway::{OneWay, Session},
    ping::Ping,
    read,
    throughput::{Flow, Interval, Throughput},
    traceroute::Traceroute,
};

/// Reads the output, and panics if what comes of it is no sound reading and no reason either.
pub(crate) fn check(tool: &str, output: &Output<'_>) {
    match read(tool, output) {
        Ok(reading) => {
            assert!(sound(&reading), "{reading:?}");
            let json = serde_json::to_string(&reading).expect("JSON");
            assert!(json.starts_with('{'));
        }
        Err(wrong) => assert!(!wrong.to_string().is_empty() && wrong.reason.len() < 2000),
    }
}

/// What holds of every reading.
pub(crate) fn sound(reading: &Reading) -> bool {
    match reading {
        Reading::Ping(ping) => sound_ping(ping),
        Reading::Traceroute(trace) => sound_trace(trace),
        Reading::Throughput(test) => sound_test(test),
        Reading::Available(found) => sound_range(found),
        Reading::OneWay(found) => sound_one_way(found),
    }
}

fn sound_ping(ping: &Ping) -> bool {
    let figures = [ping.min_ms, ping.avg_ms, ping.max_ms, ping.mdev_ms, ping.loss_ratio];
    let lost = ping.transmitted.map(|sent| sent - ping.received) == ping.lost;
    let explained = ping.complete || ping.problem.is_some();
    ratio(ping.loss_ratio) && lost && explained && finite(&figures)
}

fn sound_trace(trace: &Traceroute) -> bool {
    let explained = trace.complete || trace.problem.is_some();
    explained && trace.numhops <= 255 && trace.route().len() == trace.numhops as usize
}

fn sound_test(test: &Throughput) -> bool {
    let explained = test.complete || test.problem.is_some();
    explained && test.warnings.len() <= 16 && test.flows.iter().all(sound_flow)
}

fn sound_flow(flow: &Flow) -> bool {
    let rates = [flow.thrumin_bps, flow.thruavg_bps, flow.thrumax_bps];
    let whole = flow.sent.iter().chain(&flow.received);
    let mut parts = whole.chain(&flow.intervals).chain(&flow.by_stream);
    finite(&rates) && rising(&[flow.thrumin_bps, flow.thrumax_bps]) && parts.all(sound_interval)
}

fn sound_interval(part: &Interval) -> bool {
    let figures = [Some(part.start_s), Some(part.end_s), part.bits_per_s, part.jitter_us];
    let lost = part.lost.zip(part.datagrams).is_none_or(|(lost, sent)| lost <= sent);
    finite(&figures) && part.start_s <= part.end_s && lost
}

fn sound_range(found: &Available) -> bool {
    let figures = [found.min_bps, found.avg_bps, found.max_bps];
    let explained = found.complete || found.problem.is_some();
    let estimate = |rate: f64| rate.is_finite() && rate >= 0.0;
    explained
        && finite(&figures)
        && rising(&[found.min_bps, found.max_bps])
        && found.warnings.len() <= 16
        && found.estimates.iter().all(|it| it.time_s.is_finite() && estimate(it.bits_per_s))
}

fn sound_one_way(found: &OneWay) -> bool {
    let explained = found.complete || found.problem.is_some();
    let directions = found.sessions.iter().map(|session| session.direction);
    let ended = !found.complete || !found.sessions.is_empty();
    explained && ended && directions.is_sorted() && found.sessions.iter().all(sound_session)
}

fn sound_session(session: &Session) -> bool {
    let delays = [session.min_ms, session.median_ms, session.max_ms];
    let others = [session.p95_less_p50_ms, session.error_ms, session.one_reordered_ratio];
    let lost = session.lost.zip(session.sent).is_none_or(|(lost, sent)| lost <= sent);
    let hops = session.hops.is_none_or(|(least, most)| least <= most);
    let detail = &session.detail;
    let more = [detail.p95_ms, detail.p99_ms, detail.pdv_p95_ms, detail.pdv_p99_ms];
    let rest = [detail.ipdv_abs_mean_ms, detail.ipdv_abs_p95_ms, detail.late_p99_ms];
    finite(&delays)
        && finite(&others)
        && finite(&more)
        && finite(&rest)
        && session.percentiles.len() <= 16
        && ratio(session.one_reordered_ratio)
        && rising(&delays)
        && lost
        && hops
}

fn finite(figures: &[Option<f64>]) -> bool {
    figures.iter().flatten().all(|figure| figure.is_finite())
}

fn rising(figures: &[Option<f64>]) -> bool {
    figures.iter().flatten().is_sorted()
}

fn ratio(share: Option<f64>) -> bool {
    share.is_none_or(|share| (0.0..=1.0).contains(&share))
}
