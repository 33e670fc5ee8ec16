//! A file of the configuration: its text, and every mistake found in it, by whomever.

use std::{fs, path::Path};

use station::{
    text::{Mistake, Span, cite_all},
    world::files,
};

/// A file, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Source {
    shown: String,
    text: Option<String>,
    /// What is wrong with the file as a whole.
    faults: Vec<String>,
    mistakes: Vec<Mistake>,
    warnings: Vec<Mistake>,
    /// What may be meant so, of the file as a whole.
    doubts: Vec<String>,
}

impl Source {
    /// Reads a file. That it cannot be read, or that others may write to it, is noted.
    pub(crate) fn read(path: &Path) -> Self {
        let shown = path.display().to_string();
        let mut source = Self { shown, ..Self::default() };
        let shown = &source.shown;
        match fs::read_to_string(path) {
            Ok(text) => source.text = Some(text),
            Err(error) => source.faults.push(format!("{shown}: cannot be read: {error}")),
        }
        if files::writable_by_others(path).unwrap_or(false) {
            let fault = format!("{shown}: others may write to it; `chmod go-w {shown}`");
            source.faults.push(fault);
        }
        source
    }

    /// A file that says `text`.
    #[cfg(test)]
    pub(crate) fn of(shown: &str, text: &str) -> Self {
        Self { shown: shown.to_owned(), text: Some(text.to_owned()), ..Self::default() }
    }

    /// Reads the text by `parse`; what cannot be read is empty.
    pub(crate) fn parse<T: Default>(&mut self, parse: impl FnOnce(&str) -> (T, Vec<Mistake>)) -> T {
        let Some(text) = &self.text else { return T::default() };
        let (value, mut mistakes) = parse(text);
        self.mistakes.append(&mut mistakes);
        value
    }

    /// The text; empty if there is none.
    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Notes a mistake.
    pub(crate) fn mistake(&mut self, span: Span, message: impl Into<String>) {
        self.mistakes.push(Mistake::new(span, message));
    }

    /// Notes what may be meant so.
    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) {
        self.warnings.push(Mistake::new(span, format!("warning: {}", message.into())));
    }

    /// Notes a mistake of the file as a whole.
    pub(crate) fn fault(&mut self, message: impl std::fmt::Display) {
        self.faults.push(format!("{}: {message}", self.shown));
    }

    /// Notes what may be meant so, of the file as a whole.
    pub(crate) fn doubt(&mut self, message: impl std::fmt::Display) {
        self.doubts.push(format!("{}: warning: {message}", self.shown));
    }

    /// How many mistakes there are.
    pub(crate) fn mistakes(&self) -> usize {
        self.faults.len() + self.mistakes.len()
    }

    /// How many warnings there are.
    pub(crate) fn warnings(&self) -> usize {
        self.warnings.len() + self.doubts.len()
    }

    /// All mistakes and warnings, cited one below the other.
    pub(crate) fn cited(&self) -> String {
        let both = [self.mistakes.clone(), self.warnings.clone()].concat();
        let mut parts = [self.faults.clone(), self.doubts.clone()].concat();
        if !both.is_empty() {
            parts.push(cite_all(&self.shown, self.text(), &both));
        }
        parts.iter().flat_map(|part| [part.as_str(), "\n"]).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_is_not_there_has_one_mistake_and_is_not_parsed() {
        let mut source = Source::read(Path::new("/no/such/nodes.csv"));
        let nodes = source.parse(station::words::node::parse);
        assert_eq!((nodes.len(), source.mistakes()), (0, 1));
        assert!(source.cited().starts_with("/no/such/nodes.csv: cannot be read: No such file"));
    }

    #[test]
    fn a_file_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cleanup-list");
        fs::write(&path, "gnuplot,5\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).expect("mine");
        assert!(Source::read(&path).cited().contains("chmod go-w"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("mine");
        assert_eq!(Source::read(&path).mistakes(), 0);
    }

    #[test]
    fn mistakes_and_warnings_stand_in_the_order_of_their_places() {
        let mut source = Source::of("f", "one\ntwo\n");
        source.mistake(Span { line: 2, column: 1, width: 3 }, "wrong");
        source.warning(Span { line: 1, column: 1, width: 3 }, "odd");
        assert_eq!(
            source.cited(),
            "f:1:1: warning: odd\n  one\n  ^^^\nf:2:1: wrong\n  two\n  ^^^\n"
        );
    }
}
