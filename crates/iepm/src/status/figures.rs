//! Figures as text: what has no column of its own stands in the remark.
//!
//! `->` is towards the target, `<-` from it.

use super::{
    health::Line,
    reading::{Rate, Way},
};

/// What is said of a line beside its columns.
pub(super) fn remark(line: &Line) -> String {
    let mut parts: Vec<String> = route(line).into_iter().collect();
    parts.extend(line.rates.iter().filter_map(rate));
    parts.extend(loaded(&line.rates));
    parts.extend(line.one_way.iter().filter_map(way));
    let marks = [(line.unclean.is_some(), UNCLEAN), (line.overlapped.is_some(), OVERLAPPED)];
    parts.extend(marks.iter().filter(|(is, _)| *is).map(|(_, mark)| (*mark).to_owned()));
    parts.extend(Some(line.remark.clone()).filter(|remark| !remark.is_empty()));
    parts.join("; ")
}

const UNCLEAN: &str = "!unclean";
const OVERLAPPED: &str = "!overlapped";

/// What the marks mean, for those that are shown.
pub(super) fn legend(lines: &[Line]) -> String {
    let mut legend = String::new();
    if lines.iter().any(|line| line.unclean.is_some()) {
        legend += "!unclean: the machine was busy when the test began; --json says with what\n";
    }
    if lines.iter().any(|line| line.overlapped.is_some()) {
        legend += "!overlapped: a test that must be alone went on meanwhile, and may be what was measured\n";
    }
    let ways = || lines.iter().flat_map(|line| &line.one_way);
    if ways().any(|way| way.synchronised == Some(false)) {
        legend += "unsync: a clock of the two ends is not synchronised, and delays may be off by any amount\n";
    }
    legend
}

fn route(line: &Line) -> Option<String> {
    let hops = line.hops?;
    let plural = if hops == 1 { "" } else { "s" };
    let number = line.route.map_or_else(String::new, |number| format!(", route {number}"));
    let rtt = line.rtt_ms.map_or_else(String::new, |rtt| format!(", {rtt:.3} ms"));
    let missed = if line.reached == Some(false) { ", not reached" } else { "" };
    Some(format!("{hops} hop{plural}{number}{rtt}{missed}"))
}

/// `-> 19.0 Mbit/s`, or a range: `<- 61.5 to 70.0 Mbit/s`.
fn rate(rate: &Rate) -> Option<String> {
    let figures = match (rate.avg, rate.min, rate.max) {
        (Some(avg), ..) => human_rate(avg),
        (None, Some(min), Some(max)) => format!("{} to {}", human_rate(min), human_rate(max)),
        (None, Some(min), None) => format!("more than {}", human_rate(min)),
        (None, None, Some(max)) => format!("less than {}", human_rate(max)),
        (None, None, None) => return None,
    };
    let lost = lost(rate.lossratio);
    Some(format!("{} {figures}{lost}", arrow(&rate.direction)))
}

/// Three digits and a unit: `19.0 Mbit/s`, `940 Mbit/s`, `9.41 Gbit/s`.
fn human_rate(mbit_per_s: f64) -> String {
    let (figure, unit) = match mbit_per_s {
        gbit if gbit >= 1e3 => (gbit / 1e3, "Gbit/s"),
        mbit if mbit >= 1.0 || mbit <= 0.0 => (mbit, "Mbit/s"),
        kbit => (kbit * 1e3, "kbit/s"),
    };
    let digits = match figure {
        figure if figure >= 99.95 => 0,
        figure if figure >= 9.995 => 1,
        _ => 2,
    };
    format!("{figure:.digits$} {unit}")
}

/// How the delay changed under the load, which is the same for all directions of a run.
fn loaded(rates: &[Rate]) -> Option<String> {
    let (idle, loaded) = rates.iter().find_map(|rate| rate.idle_rtt_ms.zip(rate.loaded_rtt_ms))?;
    Some(format!("rtt {idle:.3} ms, {loaded:.3} ms under load"))
}

/// `-> 1.20/1.31/4.50 ms`: the smallest, the median, the largest; and what is to be known of them.
fn way(way: &Way) -> Option<String> {
    let figure = |value: Option<f64>| value.map_or("?".to_owned(), |value| format!("{value:.2}"));
    let lost = lost(way.lossratio());
    let figures = [way.min_ms, way.median_ms, way.max_ms];
    if figures.iter().all(Option::is_none) && lost.is_empty() {
        return None;
    }
    let figures = figures.map(figure).join("/");
    let clocks = if way.synchronised == Some(false) { ", unsync" } else { "" };
    let verdict = Some(&way.verdict).filter(|verdict| !verdict.is_empty());
    let verdict = verdict.map_or_else(String::new, |verdict| format!(", {verdict}"));
    Some(format!("{} {figures} ms{lost}{clocks}{verdict}", arrow(way.direction)))
}

fn lost(ratio: Option<f64>) -> String {
    let lossy = ratio.filter(|ratio| *ratio > 0.0);
    lossy.map_or_else(String::new, |ratio| format!(", {} % lost", percent(ratio)))
}

fn arrow(direction: &str) -> &'static str {
    if direction == "to" { "->" } else { "<-" }
}

/// `0.050`; nothing where there is no figure.
pub(super) fn millis(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.3}"))
}

/// A ratio in percent: `0`, `10`, `33.3`.
pub(super) fn percent(ratio: f64) -> String {
    let text = format!("{:.1}", ratio * 100.0);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_three_digits_and_a_unit() {
        let shown = [0.0, 0.0195, 0.94, 1.0, 9.41, 19.0, 99.96, 940.2, 9_410.0].map(human_rate);
        let (small, large) = shown.split_at(5);
        assert_eq!(
            small,
            ["0.00 Mbit/s", "19.5 kbit/s", "940 kbit/s", "1.00 Mbit/s", "9.41 Mbit/s"]
        );
        assert_eq!(large, ["19.0 Mbit/s", "100 Mbit/s", "940 Mbit/s", "9.41 Gbit/s"]);
    }

    #[test]
    fn a_range_is_told_as_far_as_it_is_known() {
        let shown = |min, avg, max| {
            let direction = "from".to_owned();
            rate(&Rate { direction, min, avg, max, ..Rate::default() })
        };
        let told = |text: &str| Some(text.to_owned());
        assert_eq!(shown(Some(61.5), None, Some(70.0)), told("<- 61.5 Mbit/s to 70.0 Mbit/s"));
        assert_eq!(shown(Some(61.5), None, None), told("<- more than 61.5 Mbit/s"));
        assert_eq!(shown(Some(1.0), Some(2.0), Some(3.0)), told("<- 2.00 Mbit/s"));
        assert_eq!(shown(None, None, None), None);
    }

    #[test]
    fn a_way_without_delays_is_told_for_its_loss() {
        let lost = Way { direction: "from", sent: Some(100), lost: Some(100), ..Way::default() };
        assert_eq!(way(&lost).as_deref(), Some("<- ?/?/? ms, 100 % lost"));
        assert_eq!(way(&Way::default()), None);
    }

    #[test]
    fn what_delays_are_worth_stands_behind_them() {
        let verdict = "late sender".to_owned();
        let (min_ms, median_ms, max_ms) = (Some(-0.5), Some(1.0), Some(2.0));
        let synchronised = Some(false);
        let doubtful = Way {
            direction: "to",
            min_ms,
            median_ms,
            max_ms,
            synchronised,
            verdict,
            ..Way::default()
        };
        let told = "-> -0.50/1.00/2.00 ms, unsync, late sender";
        assert_eq!(way(&doubtful).as_deref(), Some(told));
    }
}
