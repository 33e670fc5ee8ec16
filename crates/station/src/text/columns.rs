//! Rows set in columns, for people.

use std::fmt::Write as _;

/// To which side of its column a text is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows below a line of heads.
#[derive(Debug, Clone)]
pub struct Columns {
    heads: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// No rows yet.
    #[must_use]
    pub fn new(heads: &[(&'static str, Align)]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row: a text for each head. What does not print is shown as `?`.
    pub fn push(&mut self, row: impl IntoIterator<Item = String>) {
        let row: Vec<String> =
            row.into_iter().map(|text| text.replace(char::is_control, "?")).collect();
        debug_assert_eq!(row.len(), self.heads.len(), "a text for each head");
        self.rows.push(row);
    }

    /// All lines, each with its newline.
    #[must_use]
    pub fn plain(&self) -> String {
        self.painted(|_, _| None)
    }

    /// As [`Self::plain`], with the escape code that `paint` gives for a column and its text.
    #[must_use]
    pub fn painted(&self, paint: impl Fn(usize, &str) -> Option<&'static str>) -> String {
        let widths = self.widths();
        let heads: Vec<String> = self.heads.iter().map(|(head, _)| (*head).to_owned()).collect();
        let mut lines = self.line(&heads, &widths, |_, _| None);
        for row in &self.rows {
            lines.push_str(&self.line(row, &widths, &paint));
        }
        lines
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|(head, _)| head.len()).collect();
        for row in &self.rows {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = text.chars().count().max(*width);
            }
        }
        widths
    }

    fn line(
        &self,
        texts: &[String],
        widths: &[usize],
        paint: impl Fn(usize, &str) -> Option<&'static str>,
    ) -> String {
        let mut line = String::new();
        for (column, text) in texts.iter().enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let blanks = " ".repeat(widths[column].saturating_sub(text.chars().count()));
            let (before, after) = match self.heads[column].1 {
                Align::Left => ("", blanks.as_str()),
                Align::Right => (blanks.as_str(), ""),
            };
            // Writing to a String cannot fail.
            let _ = match paint(column, text) {
                Some(code) => write!(line, "{gap}{before}{code}{text}\x1b[0m{after}"),
                None => write!(line, "{gap}{before}{text}{after}"),
            };
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        let mut columns = Columns::new(&[("NODE", Align::Left), ("MS", Align::Right)]);
        columns.push(["é".to_owned(), "1.5".to_owned()]);
        columns.push(["gateway".to_owned(), "10.0".to_owned()]);
        columns
    }

    #[test]
    fn words_stand_left_and_numbers_right() {
        assert_eq!(columns().plain(), "NODE       MS\né         1.5\ngateway  10.0\n");
    }

    #[test]
    fn colour_takes_no_room() {
        let painted = columns().painted(|column, _| (column == 1).then_some("\x1b[31m"));
        assert!(painted.ends_with("gateway  \x1b[31m10.0\x1b[0m\n"), "{painted:?}");
    }
}
