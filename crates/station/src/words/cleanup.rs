//! `config/cleanup-list`: which processes are ended when they grow old.
//!
//! Entries `string,minutes`, separated by blanks or line ends; `#` begins a comment.

use std::time::Duration;

use crate::text::{Mistake, Span};

/// One entry: processes named so are ended when they are older.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The end of a program's path when it holds a `/`, else the program's or script's name.
    pub name: String,
    /// How old a process of that name may become.
    pub age: Duration,
}

impl Entry {
    /// Whether a program at `path` (or a bare name) is meant.
    #[must_use]
    pub fn names(&self, path: &str) -> bool {
        if self.name.contains('/') {
            path.ends_with(&self.name)
        } else {
            path.rsplit('/').next() == Some(self.name.as_str())
        }
    }
}

/// Reads the list: all right entries, all mistakes.
#[must_use]
pub fn parse(text: &str) -> (Vec<Entry>, Vec<Mistake>) {
    let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let code = line.split('#').next().unwrap_or_default();
        for word in code.split_ascii_whitespace() {
            // The word is a part of the line, so its distance from the line's start is its place.
            let start = word.as_ptr() as usize - line.as_ptr() as usize;
            let column = line[..start].chars().count() + 1;
            let span = Span { line: index + 1, column, width: word.chars().count() };
            match entry(word) {
                Ok(entry) => entries.push(entry),
                Err(fault) => mistakes.push(Mistake::new(span, fault)),
            }
        }
    }
    (entries, mistakes)
}

fn entry(word: &str) -> Result<Entry, String> {
    let wrong = || format!("expected a name and minutes, such as gnuplot,5, found \"{word}\"");
    let (name, minutes) = word.rsplit_once(',').ok_or_else(wrong)?;
    let minutes: u32 = minutes.parse().map_err(|_| wrong())?;
    if name.is_empty() || name.ends_with('/') || minutes == 0 || minutes > 60 * 24 * 366 {
        return Err(wrong());
    }
    Ok(Entry { name: name.to_owned(), age: Duration::from_secs(u64::from(minutes) * 60) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_list_is_read() {
        let text = "post-test,120 gnuplot,5 triganal,120 runperiod,120 pathload_rcv,3 pathchirp_rcv,3 \
                    /bin/ping,3 /bin/owping,3 /bin/tlaytcp,3 /bin/tlaytcp,3 /bin/bw-iperf-client,3 whois,3 asn.pl,3";
        let (entries, mistakes) = parse(text);
        assert_eq!(mistakes, []);
        assert_eq!(entries.len(), 13);
        assert!(entries[6].names("/usr/bin/ping"));
        assert!(!entries[6].names("ping"));
        assert!(entries[1].names("/usr/bin/gnuplot") && entries[1].names("gnuplot"));
    }

    #[test]
    fn wrong_entries_are_told_with_their_place() {
        let text = "gnuplot,5 ping,x\n# whois,3\n  ,3 ping\n";
        let (entries, mistakes) = parse(text);
        assert_eq!(entries.len(), 1);
        let places: Vec<_> = mistakes.iter().map(|m| (m.span.line, m.span.column)).collect();
        assert_eq!(places, [(1, 11), (3, 3), (3, 6)]);
    }
}
