//! The page: nodes down, tools across, in each cell how the last reading was. Pure: a picture in, HTML out; whatever
//! text comes from tables is escaped by the template.

use std::time::Duration;

use maud::{DOCTYPE, Markup, html};
use station::text::{Timestamp, human_duration};

use crate::picture::{Daemon, Line, Picture, Rate};

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content<'a> {
    /// The last picture that could be had; none: there never was one.
    pub(crate) picture: Option<&'a Picture>,
    /// Since when there is none, and why.
    pub(crate) trouble: Option<(Timestamp, &'a str)>,
    /// How often the page is made anew.
    pub(crate) every: Duration,
}

/// Makes the page.
#[must_use]
pub(crate) fn render(content: &Content<'_>) -> String {
    let station = content.picture.map_or("a station", |picture| picture.station.as_str());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content=(content.every.as_secs().max(10));
                title { (station) ": network paths" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "Network paths from " (station) }
                @if let Some((since, why)) = content.trouble { (trouble(since, why)) }
                @if let Some(picture) = content.picture { (body(picture)) }
            }
        }
    };
    page.into_string()
}

/// A page that is old must say so itself: nobody looks at the time beside a green table.
fn trouble(since: Timestamp, why: &str) -> Markup {
    html! {
        p class="trouble" { "Nothing new since " (since.to_string()) ": " (why) }
    }
}

fn body(picture: &Picture) -> Markup {
    html! {
        p { "As of " (picture.now_us.to_string()) ". " (summary(&picture.specifications)) }
        (map(&picture.specifications))
        @for fault in &picture.wrong { p class="trouble" { "A row of TOOLSPECS is wrong: " (fault) } }
        h2 { "Daemons" }
        ul { @for one in &picture.daemons { (daemon(one)) } }
        p { (files(picture)) }
    }
}

/// How many specifications are of each health, the most frequent first.
fn summary(lines: &[Line]) -> String {
    let mut counts: Vec<(usize, &str)> = Vec::new();
    for line in lines {
        match counts.iter_mut().find(|(_, health)| *health == line.health) {
            Some((count, _)) => *count += 1,
            None => counts.push((1, &line.health)),
        }
    }
    counts.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
    let parts: Vec<_> = counts.iter().map(|(count, health)| format!("{count} {health}")).collect();
    if parts.is_empty() { "Nothing is measured.".to_owned() } else { parts.join(", ") + "." }
}

/// Names in the order in which they first come.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

fn map(lines: &[Line]) -> Markup {
    let nodes = distinct(lines.iter().map(|line| line.node.as_str()));
    let tools = distinct(lines.iter().map(|line| line.tool.as_str()));
    let cell = |node: &str, tool: &str| -> Vec<&Line> {
        lines.iter().filter(|line| line.node == node && line.tool == tool).collect()
    };
    html! {
        table {
            thead { tr { th { "Node" } @for tool in &tools { th { (tool) } } } }
            tbody {
                @for node in &nodes {
                    tr {
                        th scope="row" { (node) }
                        @for tool in &tools { td { @for line in cell(node, tool) { (mark(line)) } } }
                    }
                }
            }
        }
    }
}

/// What a specification shows of itself; the rest is told to whoever points at it.
fn mark(line: &Line) -> Markup {
    let class = format!("mark {}", class(&line.health));
    html! {
        div class=(class) title=(details(line)) {
            @if !line.variant.is_empty() { small { (line.variant) " " } }
            b { (line.health) }
            @if let Some(figure) = figure(line) { " " (figure) }
            @if let Some(age) = line.age_seconds { small { " " (human_duration(Duration::from_secs(age))) " ago" } }
        }
    }
}

/// A health of a later version has the look of what needs to be looked at.
fn class(health: &str) -> &'static str {
    match health {
        "ok" => "good",
        "lossy" | "stale" => "poor",
        "waiting" | "held" | "off" => "idle",
        _ => "bad",
    }
}

/// The one figure that a tool is there for.
fn figure(line: &Line) -> Option<String> {
    if let Some(rate) = line.rates.first() {
        return mbits(rate);
    }
    let median = line.one_way.iter().find_map(|way| way.median_ms);
    let delay = line.avg_ms.or(median).map(|delay| format!("{delay:.2} ms"));
    delay.or_else(|| line.hops.map(|hops| format!("{hops} hops")))
}

/// The mean, or the range of those who know only that.
fn mbits(rate: &Rate) -> Option<String> {
    match (rate.thrumin_mbit_per_s, rate.thruavg_mbit_per_s, rate.thrumax_mbit_per_s) {
        (_, Some(mean), _) => Some(format!("{mean:.1} Mbit/s")),
        (Some(least), None, Some(most)) => Some(format!("{least:.1} to {most:.1} Mbit/s")),
        (Some(least), None, None) => Some(format!("over {least:.1} Mbit/s")),
        (None, None, most) => most.map(|most| format!("under {most:.1} Mbit/s")),
    }
}

fn details(line: &Line) -> String {
    let mut parts = vec![format!("{} to {}", line.tool, line.node)];
    let range = |(least, most): (f64, f64)| format!("{least:.3} to {most:.3} ms");
    parts.extend(line.min_ms.zip(line.max_ms).map(range));
    parts.extend(line.lossratio.map(|ratio| format!("{:.1} % lost", ratio * 100.0)));
    parts.extend(line.one_way.iter().filter_map(|way| {
        let delays = way.min_ms.zip(way.max_ms).map(range)?;
        Some(format!("{} the target {delays}", way.direction))
    }));
    parts.extend(
        line.rates
            .iter()
            .filter_map(|rate| Some(format!("{} the target {}", rate.direction, mbits(rate)?))),
    );
    parts.extend(Some(line.remark.clone()).filter(|remark| !remark.is_empty()));
    parts.join("; ")
}

fn daemon(one: &Daemon) -> Markup {
    let (class, state) = match one.running {
        Some(true) => ("good", "runs"),
        Some(false) => ("bad", "does not run"),
        None => ("poor", "cannot be looked at"),
    };
    html! {
        li {
            span class=(format!("mark {class}")) { (one.name) " " (state) }
            @if let Some(beat) = one.beat_seconds { small { " came round " (human_duration(Duration::from_secs(beat))) " ago" } }
        }
    }
}

fn files(picture: &Picture) -> String {
    let count = |count: Option<u64>| {
        count.map_or_else(|| "an unknown number".to_owned(), |count| count.to_string())
    };
    let (waiting, rejected) = (count(picture.waiting_files), count(picture.rejected_files));
    format!("Result files: {waiting} waiting to be loaded, {rejected} not understood.")
}

/// Colours by meaning, and the words beside them: not everybody sees the difference.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.4 system-ui,sans-serif;margin:1.5rem}\
table{border-collapse:collapse}\
th,td{border:1px solid #8886;padding:.3rem .5rem;text-align:left;vertical-align:top}\
.mark{border-left:.4rem solid;padding-left:.4rem}\
.good{border-color:#2a8a3a}.poor{border-color:#c98a00}.bad{border-color:#c62828}.idle{border-color:#8888}\
.trouble{border:2px solid #c62828;padding:.5rem}\
small{opacity:.7}";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(node: &str, tool: &str, health: &str) -> Line {
        Line {
            node: node.to_owned(),
            tool: tool.to_owned(),
            health: health.to_owned(),
            ..Line::default()
        }
    }

    fn picture(specifications: Vec<Line>) -> Picture {
        Picture {
            station: "here".to_owned(),
            now_us: Timestamp(1_795_000_000_000_000),
            specifications,
            wrong: Vec::new(),
            daemons: vec![Daemon {
                name: "pingd".to_owned(),
                running: Some(false),
                beat_seconds: Some(61),
            }],
            waiting_files: Some(3),
            rejected_files: None,
        }
    }

    fn page(picture: &Picture) -> String {
        render(&Content { picture: Some(picture), trouble: None, every: Duration::from_secs(60) })
    }

    #[test]
    fn each_node_has_a_row_and_each_tool_a_column_and_a_cell_the_tools_figure() {
        let mut lines = vec![
            line("cern", "ping", "ok"),
            line("cern", "iperf", "failing"),
            line("slac", "ping", "lossy"),
        ];
        lines[0].avg_ms = Some(12.345);
        lines[0].age_seconds = Some(90);
        lines[1].rates = vec![Rate {
            direction: "to".to_owned(),
            thruavg_mbit_per_s: Some(941.23),
            ..Rate::default()
        }];
        lines[2].lossratio = Some(0.25);
        let page = page(&picture(lines));
        assert_eq!(page.matches("<th scope=\"row\">").count(), 2, "{page}");
        assert_eq!(page.matches("<td>").count(), 4, "two nodes by two tools");
        for said in [
            "12.35 ms",
            "1m30s ago",
            "941.2 Mbit/s",
            "25.0 % lost",
            "1 failing, 1 lossy, 1 ok.",
            "pingd does not run",
            "3 waiting",
            "an unknown number not understood",
        ] {
            assert!(page.contains(said), "{said}: {page}");
        }
    }

    #[test]
    fn a_range_is_shown_as_what_is_known_of_it() {
        let rate =
            |min, max| Rate { thrumin_mbit_per_s: min, thrumax_mbit_per_s: max, ..Rate::default() };
        assert_eq!(mbits(&rate(Some(7.5), Some(7.6))).as_deref(), Some("7.5 to 7.6 Mbit/s"));
        assert_eq!(mbits(&rate(Some(7.5), None)).as_deref(), Some("over 7.5 Mbit/s"));
        assert_eq!(mbits(&rate(None, Some(7.6))).as_deref(), Some("under 7.6 Mbit/s"));
        assert_eq!(mbits(&rate(None, None)), None);
    }

    #[test]
    fn a_page_without_news_says_so_above_the_table() {
        let old = picture(vec![line("cern", "ping", "ok")]);
        let trouble = Some((Timestamp(1_795_000_060_000_000), "the database is locked"));
        let content = Content { picture: Some(&old), trouble, every: Duration::from_secs(60) };
        let page = render(&content);
        let (told, table) = (page.find("the database is locked"), page.find("<table>"));
        assert!(told.is_some() && told < table, "{page}");
        let never = render(&Content { picture: None, ..content });
        assert!(never.contains("Nothing new since") && !never.contains("<table>"), "{never}");
    }

    proptest! {
        #[test]
        fn no_text_of_a_table_becomes_markup(text in "[ -~]{0,20}[<>&\"][ -~]{0,20}") {
            let plain = page(&picture(vec![line("n", "t", "h")]));
            let mut odd = line(&text, &text, &text);
            odd.remark.clone_from(&text);
            odd.variant.clone_from(&text);
            let odd = page(&picture(vec![odd]));
            // The variant has an element of its own; else there are the same ones.
            prop_assert_eq!(odd.matches('<').count(), plain.matches('<').count() + 2);
        }
    }
}
