//! The list as it is now, or as it last was right.

use std::{fs, path::Path};

use station::{
    app::{Exit, Failure},
    text::cite_all,
    words::cleanup::{self, Entry},
    world::files,
};

/// A list that was read.
#[derive(Debug)]
pub struct List {
    /// What it says.
    pub entries: Vec<Entry>,
    /// Its text.
    pub text: String,
}

impl List {
    /// Reads the list at `path`.
    ///
    /// # Errors
    /// [`Exit::Config`]: it cannot be read, others may write to it, or it has mistakes, which are all told.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let reading = || Failure::new(Exit::Config, format!("reading the list {shown}"));
        if files::writable_by_others(path).map_err(|error| reading().because(error))? {
            return Err(reading().why(format!("others may write to it; `chmod go-w {shown}`")));
        }
        let text = fs::read_to_string(path).map_err(|error| reading().because(error))?;
        let (entries, mistakes) = cleanup::parse(&text);
        if mistakes.is_empty() {
            return Ok(Self { entries, text });
        }
        let count = match mistakes.len() {
            1 => "a mistake".to_owned(),
            count => format!("{count} mistakes"),
        };
        let cited = cite_all(&shown.to_string(), &text, &mistakes);
        Err(Failure::new(Exit::Config, format!("the list {shown} has {count}\n{cited}")))
    }

    /// The list that an earlier run found right.
    #[must_use]
    pub fn remembered(text: Option<&String>) -> Option<Self> {
        let (entries, mistakes) = cleanup::parse(text?);
        // Another version may have found right what this one does not.
        mistakes.is_empty().then(|| Self { entries, text: text.cloned().unwrap_or_default() })
    }
}
