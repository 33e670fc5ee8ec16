//! Periods in columns: some for people, all for programs.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use station::text::{Align, Columns, Timestamp};

use crate::rollup::{
    Figures,
    keep::{Place, Rows},
    kinds::Kind,
};

/// A column for people: its head, the figure, by what that is divided, and its digits.
type Shown = (&'static str, &'static str, f64, usize);

const PING: &[Shown] = &[
    ("RUNS", "runs", 1.0, 0),
    ("FAILED", "problems", 1.0, 0),
    ("SENT", "transmitted", 1.0, 0),
    ("LOST %", "lossratio", 0.01, 1),
    ("MIN ms", "min", 1.0, 3),
    ("MEDIAN", "rtt_p50_us", 1e3, 3),
    ("95 %", "rtt_p95_us", 1e3, 3),
    ("99 %", "rtt_p99_us", 1e3, 3),
    ("MAX", "max", 1.0, 3),
];

const ROUTE: &[Shown] = &[
    ("RUNS", "runs", 1.0, 0),
    ("REACHED", "reached", 1.0, 0),
    ("HOPS", "numhopsmin", 1.0, 0),
    ("TO", "numhopsmax", 1.0, 0),
    ("ROUTE", "routeno", 1.0, 0),
    ("ROUTES", "routes", 1.0, 0),
    ("CHANGES", "changes", 1.0, 0),
    ("MIN ms", "rttmin_us", 1e3, 3),
];

const BANDWIDTH: &[Shown] = &[
    ("RUNS", "runs", 1.0, 0),
    ("MEASURED", "measured", 1.0, 0),
    ("MIN Mbit/s", "thrumin", 1.0, 1),
    ("MEAN", "thruavg", 1.0, 1),
    ("MAX", "thrumax", 1.0, 1),
    ("LOST %", "lossratio", 0.01, 1),
    ("IDLE ms", "idle_rtt_p50_us", 1e3, 3),
    ("LOADED", "loaded_rtt_p50_us", 1e3, 3),
];

const ONE_WAY: &[Shown] = &[
    ("RUNS", "runs", 1.0, 0),
    ("-> MIN ms", "tmin", 1.0, 3),
    ("MEDIAN", "tmed", 1.0, 3),
    ("95 %", "to_p95_us", 1e3, 3),
    ("MAX", "tmax", 1.0, 3),
    ("LOST", "to_lost", 1.0, 0),
    ("<- MIN ms", "fmin", 1.0, 3),
    ("MEDIAN", "fmed", 1.0, 3),
    ("95 %", "from_p95_us", 1e3, 3),
    ("MAX", "fmax", 1.0, 3),
    ("LOST", "from_lost", 1.0, 0),
];

/// The table for people.
pub(super) fn text(tool: &str, kind: &Kind, rows: &Rows) -> String {
    let shown = match tool {
        "ping" => PING,
        "traceroute" => ROUTE,
        "owping" => ONE_WAY,
        _ => BANDWIDTH,
    };
    let mut heads = vec![("FROM", Align::Left), ("", Align::Left)];
    heads.extend(shown.iter().map(|(head, ..)| (*head, Align::Right)));
    let mut columns = Columns::new(&heads);
    for (place, figures) in rows {
        let start = Timestamp::from_seconds(place.start).to_string();
        let mut row = vec![start, mark(place)];
        row.extend(shown.iter().map(|column| cell(kind, figures, column)));
        columns.push(row);
    }
    let flagged = rows.keys().any(|place| place.flagged);
    let legend = "!: a test that must be alone went on meanwhile, or the machine was busy\n";
    columns.plain() + if flagged { legend } else { "" }
}

/// `->`, `<-`, and `!` for what may have measured the station itself.
fn mark(place: &Place) -> String {
    let arrow = match place.direction.as_str() {
        "to" => "->",
        "from" => "<-",
        _ => "",
    };
    format!("{arrow}{}", if place.flagged { "!" } else { "" })
}

fn cell(kind: &Kind, figures: &Figures, (_, name, per, digits): &Shown) -> String {
    let place = kind.columns.iter().position(|column| column.name == *name);
    let value = place.and_then(|place| figures.value(place));
    value.map_or_else(String::new, |value| format!("{:.digits$}", value / per))
}

/// What stands before the figures.
const KEY: [&str; 4] = ["period", "startepoch", "direction", "flagged"];

/// All columns, for programs.
pub(super) fn csv(kind: &Kind, rows: &Rows) -> String {
    let names: Vec<&str> = kind.columns.iter().map(|column| column.name).collect();
    let mut text = format!("#{},{}\n", KEY.join(","), names.join(","));
    for (Place { period, start, direction, flagged }, figures) in rows {
        // A String takes everything.
        let _ = write!(text, "{period},{start},{direction},{}", i64::from(*flagged));
        for value in figures.values() {
            let _ = write!(text, ",{}", value.map_or_else(String::new, |value| value.to_string()));
        }
        text.push('\n');
    }
    text
}

/// All columns, for programs: an array with an object for each row.
pub(super) fn json(kind: &Kind, rows: &Rows) -> String {
    let rows: Vec<Value> =
        rows.iter().map(|(place, figures)| object(kind, place, figures)).collect();
    format!("{:#}\n", Value::Array(rows))
}

fn object(kind: &Kind, place: &Place, figures: &Figures) -> Value {
    let direction = Some(&place.direction).filter(|direction| !direction.is_empty());
    let key = [json!(place.period), json!(place.start), json!(direction), json!(place.flagged)];
    let mut object: Map<String, Value> = KEY.map(str::to_owned).into_iter().zip(key).collect();
    let names = kind.columns.iter().map(|column| column.name.to_owned());
    object.extend(names.zip(figures.values().into_iter().map(number)));
    Value::Object(object)
}

/// What has no fraction is shown without one.
fn number(value: Option<f64>) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "counts and microseconds, below 2^53")]
    match value {
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => json!(value as i64),
        value => json!(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_for_people_is_one_of_the_roll_ups() {
        for (tool, shown) in
            [("ping", PING), ("traceroute", ROUTE), ("iperf", BANDWIDTH), ("owping", ONE_WAY)]
        {
            for (_, name, ..) in shown {
                assert!(Kind::of(tool).columns.iter().any(|column| column.name == *name), "{name}");
            }
        }
    }

    #[test]
    fn periods_are_shown_to_people_and_to_programs() {
        let kind = Kind::of("iperf");
        let mut figures = Figures::of(kind.columns);
        let mut row = vec![None; kind.columns.len()];
        for (name, value) in [
            ("runs", 3.0),
            ("measured", 2.0),
            ("thruavg", 18.25),
            ("lost", 1.0),
            ("datagrams", 8.0),
        ] {
            row[kind.columns.iter().position(|column| column.name == name).expect("a column")] =
                Some(value);
        }
        figures.add(&row);
        let place =
            Place { period: 3_600, start: 7_200, direction: "to".to_owned(), flagged: true };
        let rows = Rows::from([(place, figures)]);
        let text = text("iperf", kind, &rows);
        let line = "1970-01-01T02:00:00Z  ->!     3         2              18.2         12.5";
        assert_eq!(text.lines().nth(1).map(str::trim_end), Some(line), "{text}");
        assert!(text.contains("\n!: a test"), "{text}");
        let csv = csv(kind, &rows);
        assert!(csv.contains("\n3600,7200,to,1,3,,2,,,,18.25,"), "{csv}");
        let json: Value = serde_json::from_str(&json(kind, &rows)).expect("JSON");
        assert_eq!((&json[0]["runs"], &json[0]["lossratio"]), (&json!(3), &json!(0.125)));
        assert_eq!((&json[0]["thrumin"], &json[0]["direction"]), (&Value::Null, &json!("to")));
    }
}
