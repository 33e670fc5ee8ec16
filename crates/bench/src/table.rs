//! The figures, each beside its yardstick, and how they are printed.

use std::fmt::Write;

use serde::Serialize;
use serde_json::json;

/// A figure and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantity {
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

impl Quantity {
    /// So many `unit`.
    #[must_use]
    pub fn new(value: f64, unit: &'static str) -> Self {
        Self { value, unit }
    }

    fn shown(self) -> String {
        let digits = match self.value.abs() {
            value if value >= 100.0 => 0,
            value if value >= 1.0 => 1,
            _ => 2,
        };
        format!("{:.digits$} {}", self.value, self.unit)
    }
}

/// What a ratio is to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Reach {
    fn is_kept(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::AtMost(most) => format!("at most {most}x"),
            Self::AtLeast(least) => format!("at least {least}x"),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    what: String,
    figure: Quantity,
    yardstick: Option<(Quantity, &'static str)>,
    reach: Option<Reach>,
}

impl Line {
    /// A figure against a yardstick of the same run, which is named.
    pub fn measured(
        what: impl Into<String>,
        figure: Quantity,
        yardstick: (Quantity, &'static str),
        reach: Reach,
    ) -> Self {
        Self { what: what.into(), figure, yardstick: Some(yardstick), reach: Some(reach) }
    }

    /// A figure that has a limit: that is its yardstick.
    pub fn limited(what: impl Into<String>, figure: Quantity, limit: f64) -> Self {
        let limit = Quantity::new(limit, figure.unit);
        Self::measured(what, figure, (limit, "the limit"), Reach::AtMost(1.0))
    }

    /// A figure that explains others.
    pub fn told(what: impl Into<String>, figure: Quantity) -> Self {
        Self { what: what.into(), figure, yardstick: None, reach: None }
    }

    fn ratio(&self) -> Option<f64> {
        self.yardstick.map(|(yardstick, _)| self.figure.value / yardstick.value)
    }

    fn verdict(&self) -> &'static str {
        match self.ratio().zip(self.reach) {
            Some((ratio, reach)) if reach.is_kept(ratio) => "reached",
            Some(_) => "missed",
            None => "",
        }
    }

    fn cells(&self) -> [String; 6] {
        let yardstick = self.yardstick.map(|(size, name)| format!("{} {name}", size.shown()));
        [
            self.what.clone(),
            self.figure.shown(),
            yardstick.unwrap_or_default(),
            self.ratio().map(|ratio| format!("{ratio:.2}x")).unwrap_or_default(),
            self.reach.map(Reach::shown).unwrap_or_default(),
            self.verdict().to_owned(),
        ]
    }
}

const TITLES: [&str; 6] = ["what", "figure", "yardstick", "ratio", "reach", ""];

/// The table for people.
#[must_use]
pub fn text(lines: &[Line]) -> String {
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(lines.iter().map(Line::cells));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..TITLES.len()).filter_map(width).collect();
    rows.iter().map(|row| text_of_row(row, &widths)).collect()
}

fn text_of_row(row: &[String; 6], widths: &[usize]) -> String {
    let mut text = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        // What is a number, or begins with one, stands under the others by its end.
        let _ = match column {
            1 | 3 => write!(text, "{cell:>width$}  "),
            _ => write!(text, "{cell:<width$}  "),
        };
    }
    format!("{}\n", text.trim_end())
}

/// The table for programs: an array with an object for each line.
#[must_use]
pub fn json(lines: &[Line]) -> String {
    let objects: Vec<_> = lines.iter().map(object).collect();
    format!("{:#}\n", json!(objects))
}

fn object(line: &Line) -> serde_json::Value {
    json!({
        "what": line.what,
        "figure": line.figure,
        "yardstick": line.yardstick.map(|(size, _)| size),
        "yardstick_is": line.yardstick.map(|(_, name)| name),
        "ratio": line.ratio(),
        "reach": line.reach,
        "reached": line.reach.map(|_| line.verdict() == "reached"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(figure: f64, reach: Reach) -> Line {
        let ms = |value| Quantity::new(value, "ms");
        Line::measured("a cycle", ms(figure), (ms(10.0), "bare inserts"), reach)
    }

    #[test]
    fn a_ratio_is_held_against_its_reach() {
        assert_eq!(line(30.0, Reach::AtMost(3.0)).verdict(), "reached");
        assert_eq!(line(30.1, Reach::AtMost(3.0)).verdict(), "missed");
        assert_eq!(line(8.5, Reach::AtLeast(0.85)).verdict(), "reached");
        assert_eq!(line(8.4, Reach::AtLeast(0.85)).verdict(), "missed");
        assert_eq!(line(f64::NAN, Reach::AtLeast(0.85)).verdict(), "missed");
        assert_eq!(Line::told("a size", Quantity::new(1.0, "MB")).verdict(), "");
    }

    #[test]
    fn columns_stand_under_each_other() {
        let lines = [line(123.4, Reach::AtMost(3.0)), Line::told("x", Quantity::new(0.5, "MB"))];
        let expected = "\
            what      figure  yardstick             ratio  reach\n\
            a cycle   123 ms  10.0 ms bare inserts  12.34x  at most 3x  missed\n\
            x        0.50 MB\n";
        assert_eq!(text(&lines), expected.replace("ratio  reach", " ratio  reach"));
    }

    #[test]
    fn a_program_reads_the_same_table() {
        let text = json(&[line(20.0, Reach::AtMost(3.0))]);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value[0]["ratio"], 2.0);
        assert_eq!(value[0]["reached"], true);
        assert_eq!(value[0]["reach"]["at-most"], 3.0);
    }
}
