//! Mistakes that point: every one has a place, and none hides another.

use std::fmt::Write as _;

/// Where a mistake stands. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Line of the text, from 1.
    pub line: usize,
    /// Character of the line, from 1.
    pub column: usize,
    /// How many characters are at fault; at least 1 is shown.
    pub width: usize,
}

impl Span {
    /// The place of the byte range `start..end` of `text`; a range over several lines is cut at the first.
    #[must_use]
    pub fn of_bytes(text: &str, start: usize, end: usize) -> Self {
        let before = text.get(..start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let inside = text.get(start..end).unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            width: inside.lines().next().unwrap_or_default().chars().count(),
        }
    }
}

/// One mistake in a file, for the person who wrote the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where.
    pub span: Span,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Mistake {
    /// A mistake at `span`.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }

    /// Shows the mistake as a compiler would: place, message, the line, a mark under the fault.
    #[must_use]
    pub fn cite(&self, file: &str, text: &str) -> String {
        let Span { line, column, width } = self.span;
        let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let before = source.chars().take(column.saturating_sub(1));
        let indent: String = before.map(|c| if c == '\t' { c } else { ' ' }).collect();
        let mark = "^".repeat(width.max(1));
        format!("{file}:{line}:{column}: {}\n  {source}\n  {indent}{mark}", self.message)
    }
}

/// All mistakes of one file, in the order of their places, one below the other.
#[must_use]
pub fn cite_all(file: &str, text: &str, mistakes: &[Mistake]) -> String {
    let mut sorted: Vec<&Mistake> = mistakes.iter().collect();
    sorted.sort();
    let mut cited = String::new();
    for mistake in sorted {
        // Writing to a String cannot fail.
        let _ = writeln!(cited, "{}", mistake.cite(file, text));
    }
    cited.truncate(cited.trim_end().len());
    cited
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_marked_under_its_characters() {
        let mistake = Mistake::new(Span { line: 2, column: 5, width: 3 }, "no such colour");
        assert_eq!(
            mistake.cite("a.csv", "one\nré, bleu\n"),
            "a.csv:2:5: no such colour\n  ré, bleu\n      ^^^"
        );
    }

    #[test]
    fn tabs_before_the_fault_stay_tabs() {
        let mistake = Mistake::new(Span { line: 1, column: 2, width: 1 }, "x");
        assert!(mistake.cite("f", "\tz").ends_with("\n  \t^"));
    }

    #[test]
    fn a_byte_range_becomes_a_place() {
        let text = "a = 1\nbé = \"x\"\n";
        let start = text.find('"').expect("a quote");
        assert_eq!(Span::of_bytes(text, start, start + 3), Span { line: 2, column: 6, width: 3 });
    }
}
