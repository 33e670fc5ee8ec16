//! A TOML file read setting by setting, so that every mistake is told and not only the first.

use std::{borrow::Cow, fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::text::{Mistake, Span};

/// The tables of a file, the settings that were asked for, and the mistakes so far.
pub(super) struct Settings<'a> {
    text: &'a str,
    root: DeTable<'a>,
    asked: Vec<(&'static str, &'static str)>,
    /// Tables that hold tables, whose names the user chose.
    holders: Vec<&'static str>,
    /// What is no TOML; other mistakes on those lines would only follow from it.
    broken: Vec<Mistake>,
    mistakes: Vec<Mistake>,
}

impl<'a> Settings<'a> {
    /// Begins with `text`; what is no TOML is a mistake already.
    pub(super) fn of(text: &'a str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let broken = errors.iter().map(|error| {
            let range = error.span().unwrap_or(0..0);
            Mistake::new(Span::of_bytes(text, range.start, range.end), error.message())
        });
        let (root, broken, asked) = (root.into_inner(), broken.collect(), Vec::new());
        Self { text, root, asked, holders: Vec::new(), broken, mistakes: Vec::new() }
    }

    fn mistake(&mut self, range: Range<usize>, message: String) {
        let span = Span::of_bytes(self.text, range.start, range.end);
        self.mistakes.push(Mistake::new(span, message));
    }

    /// The value of `key` in `table` (`""`: above all tables), read by `read`, or `default`.
    pub(super) fn get<T>(
        &mut self,
        table: &'static str,
        key: &'static str,
        default: T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        self.asked.push((table, key));
        let holder = if table.is_empty() { Some(&self.root) } else { self.table(table) };
        let Some(value) = holder.and_then(|holder| holder.get(key)) else { return default };
        let (range, value) = (value.span(), read(value.get_ref()));
        self.value_or(key, default, range, value)
    }

    fn table(&self, name: &str) -> Option<&DeTable<'a>> {
        self.root.get(name)?.get_ref().as_table()
    }

    /// The names of the tables `[holder.NAME]`, read by `read`, each with its place.
    pub(super) fn names<T, E: fmt::Display>(
        &mut self,
        holder: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<(String, T, Span)> {
        self.holders.push(holder);
        let names = self.table(holder).into_iter().flat_map(DeTable::keys);
        let names: Vec<_> = names.map(|key| (key.get_ref().to_string(), key.span())).collect();
        let mut right = Vec::new();
        for (name, range) in names {
            match read(&name) {
                Ok(value) => {
                    let place = Span::of_bytes(self.text, range.start, range.end);
                    right.push((name, value, place));
                }
                Err(fault) => self.mistake(range, format!("[{holder}.{name}]: {fault}")),
            }
        }
        right
    }

    /// As [`Self::get`], in the table `[holder.name]`.
    pub(super) fn get_in<T>(
        &mut self,
        (holder, name): (&'static str, &str),
        key: &'static str,
        default: T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        let table = self.table(holder).and_then(|table| table.get(name)?.get_ref().as_table());
        let Some(value) = table.and_then(|table| table.get(key)) else { return default };
        let (range, value) = (value.span(), read(value.get_ref()));
        self.value_or(key, default, range, value)
    }

    fn value_or<T>(
        &mut self,
        key: &str,
        default: T,
        range: Range<usize>,
        value: Result<T, String>,
    ) -> T {
        value.unwrap_or_else(|fault| {
            self.mistake(range, format!("{key}: {fault}"));
            default
        })
    }

    /// What a table `[holder.NAME]` may hold.
    pub(super) fn knows_in(&mut self, holder: &'static str, keys: &[&'static str]) {
        self.asked.extend(keys.iter().map(|key| (holder, *key)));
    }

    /// All mistakes, those for settings that nobody asked for included.
    pub(super) fn finish(mut self) -> Vec<Mistake> {
        for (range, message) in self.unknown() {
            self.mistake(range, message);
        }
        let broken_lines: Vec<usize> = self.broken.iter().map(|m| m.span.line).collect();
        self.mistakes.retain(|mistake| !broken_lines.contains(&mistake.span.line));
        self.mistakes.append(&mut self.broken);
        self.mistakes.sort();
        self.mistakes
    }

    fn unknown(&self) -> Vec<(Range<usize>, String)> {
        let mut unknown = Vec::new();
        for (name, value) in &self.root {
            let is_table = self.asked.iter().any(|(table, _)| *table == name.get_ref().as_ref());
            match value.get_ref().as_table() {
                Some(table) if self.holders.contains(&name.get_ref().as_ref()) => {
                    unknown.extend(self.unknown_below(name.get_ref(), table));
                }
                Some(table) if is_table => unknown.extend(self.unknown_in(name.get_ref(), table)),
                _ if is_table => {
                    unknown.push((value.span(), format!("expected a table [{}]", name.get_ref())));
                }
                _ if self.knows("", name.get_ref()) => {}
                _ => unknown.push((name.span(), self.no_such("", name.get_ref()))),
            }
        }
        unknown
    }

    fn unknown_below(&self, holder: &str, tables: &DeTable<'_>) -> Vec<(Range<usize>, String)> {
        let below = |(name, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            let Some(table) = value.get_ref().as_table() else {
                let expected = format!("expected a table [{holder}.{}]", name.get_ref());
                return vec![(name.span(), expected)];
            };
            self.unknown_in(holder, table)
        };
        tables.iter().flat_map(below).collect()
    }

    fn unknown_in(&self, table: &str, content: &DeTable<'_>) -> Vec<(Range<usize>, String)> {
        let strange = content.keys().filter(|key| !self.knows(table, key.get_ref()));
        strange.map(|key| (key.span(), self.no_such(table, key.get_ref()))).collect()
    }

    fn knows(&self, table: &str, key: &str) -> bool {
        self.asked.iter().any(|(t, k)| *t == table && *k == key)
    }

    fn no_such(&self, table: &str, key: &str) -> String {
        let here = self.asked.iter().filter(|(t, _)| *t == table).map(|(_, key)| *key);
        let mut known: Vec<&str> = here.collect();
        if table.is_empty() {
            known.extend(
                self.asked.iter().map(|(table, _)| *table).filter(|table| !table.is_empty()),
            );
        }
        known.sort_unstable();
        known.dedup();
        format!("there is no setting \"{key}\" here; there are {}", known.join(", "))
    }
}

/// A text that `parse` takes.
pub(super) fn text<T, E: fmt::Display>(
    parse: impl Fn(&str) -> Result<T, E>,
) -> impl Fn(&DeValue<'_>) -> Result<T, String> {
    move |value| {
        let text = value.as_str().ok_or_else(|| expected("a text in quotes", value))?;
        parse(text).map_err(|error| error.to_string())
    }
}

/// A whole number of `range`.
pub(super) fn whole(range: Range<u64>) -> impl Fn(&DeValue<'_>) -> Result<u64, String> {
    move |value| {
        let number =
            value.as_integer().and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok());
        let number = number.filter(|number| range.contains(number));
        let bounds = format!("a whole number from {} to {}", range.start, range.end - 1);
        number.ok_or_else(|| expected(&bounds, value))
    }
}

/// A list of texts that `parse` takes, each.
pub(super) fn list<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&DeValue<'_>) -> Result<Vec<T>, String> {
    move |value| {
        let items = value.as_array().ok_or_else(|| expected("a list of texts", value))?;
        items.iter().map(|item| text(&parse)(item.get_ref())).collect()
    }
}

fn expected(what: &str, found: &DeValue<'_>) -> String {
    match found {
        DeValue::Integer(number) => format!("expected {what}, found {number}"),
        _ => format!("expected {what}, found a {}", found.type_str()),
    }
}
