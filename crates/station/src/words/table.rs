//! The csv form of the original's tables.
//!
//! ```text
//! TABLENAME=NODES
//! #nodeID,hostName
//! gateway,192.0.2.1
//! ##old,192.0.2.9
//! ```
//!
//! The first line names the table, the line that begins with one `#` names the columns, in any order;
//! `##` switches a row off; every row is one physical line, fields may be quoted as in RFC 4180.
//! A wrong row never hides a right one: [`parse`] gives back all rows it could read and every mistake.

use std::{borrow::Cow, str::FromStr};

use crate::text::{Mistake, Span};

/// One table of a file.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The rows that are switched on.
    pub rows: Vec<Row<'static>>,
    /// How many rows `##` switches off.
    pub off: usize,
}

/// One row: a field for each column that the file names.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    fields: Vec<Field<'a>>,
    line: Span,
}

#[derive(Debug, Clone)]
struct Field<'a> {
    column: &'static str,
    text: Cow<'a, str>,
    span: Span,
}

/// What a table may look like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The name after `TABLENAME=`.
    pub name: &'static str,
    /// Columns that every file has.
    pub required: &'static [&'static str],
    /// Columns that may be left out.
    pub optional: &'static [&'static str],
}

impl Shape {
    fn column(&self, name: &str) -> Option<&'static str> {
        let mut known = self.required.iter().chain(self.optional);
        known.find(|column| column.eq_ignore_ascii_case(name)).copied()
    }
}

/// Reads one table. Mistakes stand in the order in which they were found.
#[must_use]
pub fn parse(shape: &Shape, text: &str) -> (Table, Vec<Mistake>) {
    let mut reader = Reader { shape, columns: None, table: Table::default(), mistakes: Vec::new() };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines =
        text.lines().enumerate().map(|(index, line)| Line { number: index + 1, text: line });
    reader.table_name(lines.next());
    for line in lines {
        reader.line(line);
    }
    if reader.columns.is_none() && reader.mistakes.is_empty() {
        let end = Span { line: text.lines().count().max(1), column: 1, width: 1 };
        reader.mistake(end, "expected a line that begins with one '#' and names the columns");
    }
    (reader.table, reader.mistakes)
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl Line<'_> {
    fn span(self) -> Span {
        Span { line: self.number, column: 1, width: self.text.chars().count() }
    }
}

struct Reader<'a> {
    shape: &'a Shape,
    /// What stands in each place of the header; nothing where it is no column of the table.
    columns: Option<Vec<Option<&'static str>>>,
    table: Table,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn mistake(&mut self, span: Span, message: impl Into<String>) {
        self.mistakes.push(Mistake::new(span, message));
    }

    fn table_name(&mut self, line: Option<Line<'_>>) {
        let expected = format!("TABLENAME={}", self.shape.name);
        let found = line.map_or("", |line| line.text.trim_end());
        // A spreadsheet quotes, and gives every line as many commas as the longest.
        if found.trim_end_matches([',', '"']).trim_start_matches('"') != expected {
            let span = line.map_or(Span { line: 1, column: 1, width: 1 }, Line::span);
            self.mistake(span, format!("the first line must be \"{expected}\""));
        }
    }

    fn line(&mut self, line: Line<'_>) {
        if line.text.trim().trim_matches(',').is_empty() {
        } else if line.text.starts_with("##") {
            self.table.off += 1;
        } else if let Some(header) = line.text.strip_prefix('#') {
            self.header(line, header);
        } else if self.columns.is_none() {
            self.mistake(
                line.span(),
                "a row before the line that names the columns ('#column,column,...')",
            );
            // Said once: the rows below have the same fault.
            self.columns = Some(Vec::new());
        } else {
            self.row(line);
        }
    }

    fn header(&mut self, line: Line<'_>, header: &str) {
        if self.columns.is_some() {
            self.mistake(
                line.span(),
                "the columns are named already; a row is switched off by '##'",
            );
            return;
        }
        let mut columns: Vec<Option<&'static str>> = Vec::new();
        for cell in without_empty_end(cells(line.number, 2, header)) {
            columns.push(self.named(&cell, &columns));
        }
        let missing = |column: &&&str| !columns.contains(&Some(**column));
        for column in self.shape.required.iter().filter(missing) {
            self.mistake(line.span(), format!("the column {column} is missing"));
        }
        self.columns = Some(columns);
    }

    /// The column that a cell of the header names, unless one before it does.
    fn named(&mut self, cell: &Cell, before: &[Option<&'static str>]) -> Option<&'static str> {
        let name = cell.text.trim();
        let column = self.shape.column(name);
        if column.is_none() {
            self.mistake(cell.span, self.unknown_column(name));
        } else if before.contains(&column) {
            self.mistake(cell.span, format!("the column {name} is named twice"));
            return None;
        }
        column
    }

    fn unknown_column(&self, name: &str) -> String {
        let known: Vec<&str> =
            self.shape.required.iter().chain(self.shape.optional).copied().collect();
        format!("{} has no column \"{name}\"; it has {}", self.shape.name, known.join(", "))
    }

    fn row(&mut self, line: Line<'_>) {
        let columns = self.columns.clone().unwrap_or_default();
        if columns.is_empty() {
            return;
        }
        if let Some(column) = open_quote(line.text) {
            let span = Span { line: line.number, column, width: 1 };
            self.mistake(span, "this quote is not closed; a row is one physical line");
            return;
        }
        let mut cells = cells(line.number, 1, line.text);
        if cells.iter().skip(columns.len()).all(|cell| cell.text.is_empty()) {
            cells.truncate(columns.len());
        }
        if cells.len() != columns.len() {
            let message = format!("expected {} fields, found {}", columns.len(), cells.len());
            let span =
                cells.get(columns.len()).or(cells.last()).map_or(line.span(), |cell| cell.span);
            self.mistake(span, message);
            return;
        }
        let pairs = columns.into_iter().zip(cells);
        let fields = pairs.filter_map(|(column, cell)| {
            Some(Field { column: column?, text: cell.text.into(), span: cell.span })
        });
        self.table.rows.push(Row { fields: fields.collect(), line: line.span() });
    }
}

struct Cell {
    text: String,
    span: Span,
}

/// The fields of one physical line, each with its place; `first` is the column where `text` begins.
fn cells(line: usize, first: usize, text: &str) -> Vec<Cell> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    // A line that came from a &str, without a newline, cannot fail to be one record of UTF-8.
    let _ = reader.read_record(&mut record);
    let texts = record.iter().map(|field| field.trim().to_owned());
    let cell =
        |(text, (start, width))| Cell { text, span: Span { line, column: first + start, width } };
    texts.zip(extents(text)).map(cell).collect()
}

/// Without the empty cells that a spreadsheet adds to the end of a line.
fn without_empty_end(mut cells: Vec<Cell>) -> Vec<Cell> {
    let last = cells.iter().rposition(|cell| !cell.text.trim().is_empty());
    cells.truncate(last.map_or(0, |last| last + 1));
    cells
}

/// Start (characters from 0) and width of each field of a line: what lies between its commas.
fn extents(text: &str) -> Vec<(usize, usize)> {
    let (mut extents, mut start, mut quoted) = (Vec::new(), 0, false);
    let mut length = 0;
    for (index, c) in text.chars().enumerate() {
        length = index + 1;
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                extents.push((start, index - start));
                start = index + 1;
            }
            _ => {}
        }
    }
    extents.push((start, length - start));
    extents
}

/// The column, from 1, of a quote that no other closes.
fn open_quote(text: &str) -> Option<usize> {
    let quotes: Vec<usize> =
        text.chars().enumerate().filter(|(_, c)| *c == '"').map(|(i, _)| i).collect();
    if quotes.len().is_multiple_of(2) { None } else { quotes.last().map(|index| index + 1) }
}

impl<'a> Row<'a> {
    /// A row that comes from no file.
    pub fn unplaced(fields: impl IntoIterator<Item = (&'static str, Cow<'a, str>)>) -> Self {
        let nowhere = Span { line: 0, column: 0, width: 0 };
        let field = |(column, text)| Field { column, text, span: nowhere };
        Self { fields: fields.into_iter().map(field).collect(), line: nowhere }
    }

    /// The text of `column`; empty if the file has no such column.
    #[must_use]
    pub fn text(&self, column: &str) -> &str {
        self.field(column).map_or("", |field| &field.text)
    }

    /// Where `column` stands; the whole row if the file has no such column.
    #[must_use]
    pub fn span(&self, column: &str) -> Span {
        self.field(column).map_or(self.line, |field| field.span)
    }

    fn field(&self, column: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.column == column)
    }

    /// The value of `column`; a mistake is noted and `None` returned when it is none.
    pub fn value<T: FromStr<Err = String>>(
        &self,
        column: &str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        let parsed = self.text(column).parse();
        parsed
            .map_err(|fault| {
                mistakes.push(Mistake::new(self.span(column), format!("{column}: {fault}")));
            })
            .ok()
    }

    /// As [`Self::value`], with `default` for a field that is empty or left out.
    pub fn value_or<T: FromStr<Err = String>>(
        &self,
        column: &str,
        default: T,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        if self.text(column).is_empty() { Some(default) } else { self.value(column, mistakes) }
    }

    /// As [`Self::value`], with nothing for a field that is empty or left out.
    pub fn optional<T: FromStr<Err = String>>(
        &self,
        column: &str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Option<T>> {
        if self.text(column).is_empty() {
            Some(None)
        } else {
            self.value(column, mistakes).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: Shape = Shape { name: "T", required: &["a", "b"], optional: &["c"] };

    fn mistakes(text: &str) -> Vec<String> {
        parse(&SHAPE, text).1.iter().map(|mistake| mistake.cite("t.csv", text)).collect()
    }

    #[test]
    fn columns_stand_in_any_order_and_rows_can_be_switched_off() {
        let (table, mistakes) =
            parse(&SHAPE, "TABLENAME=T\n#B,a\n1, 2\n##3,4\n\n\"x,y\",\"q\"\"q\"\n");
        assert_eq!(mistakes, []);
        assert_eq!(table.off, 1);
        let shown: Vec<_> =
            table.rows.iter().map(|row| (row.text("a"), row.text("b"), row.text("c"))).collect();
        assert_eq!(shown, [("2", "1", ""), ("q\"q", "x,y", "")]);
    }

    #[test]
    fn every_mistake_is_told_and_the_right_rows_are_kept() {
        let text = "TABLENAME=T\n#a,b,d,a\n1,2\n";
        assert_eq!(
            mistakes(text),
            [
                "t.csv:2:6: T has no column \"d\"; it has a, b, c\n  #a,b,d,a\n       ^",
                "t.csv:2:8: the column a is named twice\n  #a,b,d,a\n         ^",
                "t.csv:3:3: expected 4 fields, found 2\n  1,2\n    ^",
            ]
        );
        assert_eq!(parse(&SHAPE, "TABLENAME=T\n#a,b,d\n1,2,3\n").0.rows.len(), 1);
    }

    #[test]
    fn a_row_has_as_many_fields_as_there_are_columns() {
        let text = "TABLENAME=T\n#a,b\n1\n1,2,33\n5,6\n";
        assert_eq!(
            mistakes(text),
            [
                "t.csv:3:1: expected 2 fields, found 1\n  1\n  ^",
                "t.csv:4:5: expected 2 fields, found 3\n  1,2,33\n      ^^",
            ]
        );
    }

    #[test]
    fn what_a_spreadsheet_adds_is_no_mistake() {
        let text = "\u{feff}\"TABLENAME=T\",,\r\n#a,b,,\r\n1,2,,\r\n,,,\r\n##off,,,\r\n";
        let (table, mistakes) = parse(&SHAPE, text);
        assert_eq!(mistakes, []);
        assert_eq!(table.rows.len(), 1);
    }

    #[test]
    fn an_open_quote_does_not_swallow_the_next_line() {
        let text = "TABLENAME=T\n#a,b\n1,\"two\n3,4\n";
        assert_eq!(
            mistakes(text),
            ["t.csv:3:3: this quote is not closed; a row is one physical line\n  1,\"two\n    ^"]
        );
        assert_eq!(parse(&SHAPE, text).0.rows.len(), 1);
    }

    #[test]
    fn a_file_without_name_or_header_says_what_is_missing() {
        assert_eq!(mistakes("").len(), 1);
        assert_eq!(mistakes("TABLENAME=T\n").len(), 1);
        assert_eq!(mistakes("TABLENAME=X\n#a,b\n").len(), 1);
        assert_eq!(mistakes("TABLENAME=T\n1,2\n3,4\n").len(), 1);
        assert_eq!(mistakes("TABLENAME=T\n#c\n").len(), 2);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in "(TABLENAME=T\n)?(#a,b\n)?[a1,\"#\n é]{0,80}") {
            let (table, mistakes) = parse(&SHAPE, &text);
            for mistake in &mistakes {
                let _ = mistake.cite("t", &text);
            }
            prop_assert!(table.rows.len() <= text.lines().count());
        }
    }
}
