//! `config/cleanup-list`: which processes are ended when they grow old.
//!
//! Entries `string,minutes`, separated by blanks or line ends; `#` begins a comment.

use std::{fmt, time::Duration};

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
    /// Whether a program at `path` (or a bare name) is meant: whole names between slashes are compared,
    /// so `/bin/ping` is `/usr/bin/ping` and neither `/xbin/ping` nor `/opt/bin/ping-x`.
    #[must_use]
    pub fn names(&self, path: impl AsRef<[u8]>) -> bool {
        let before = path.as_ref().strip_suffix(self.name.trim_start_matches('/').as_bytes());
        before.is_some_and(|before| before.is_empty() || before.ends_with(b"/"))
    }
}

impl fmt::Display for Entry {
    /// As the list has it: `gnuplot,5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.name, self.age.as_secs() / 60)
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
    if name.is_empty()
        || name.ends_with('/')
        || name.contains("//")
        || minutes == 0
        || minutes > 60 * 24 * 366
    {
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
    fn whole_names_of_a_path_are_compared() {
        let ping = entry("/bin/ping,3").expect("an entry");
        for path in ["/bin/ping", "/usr/bin/ping", "bin/ping", "/home/iepm/bin/ping"] {
            assert!(ping.names(path), "{path}");
        }
        for path in
            ["ping", "/xbin/ping", "/opt/bin/ping-x", "/bin/ping/x", "/bin/", "", "xbin/ping"]
        {
            assert!(!ping.names(path), "{path}");
        }
        let gnuplot = entry("gnuplot,5").expect("an entry");
        assert!(gnuplot.names(b"/\xff/gnuplot") && !gnuplot.names("/usr/bin/xgnuplot"));
        assert!(!gnuplot.names("gnuplot/") && !gnuplot.names("gnuplot.txt"));
        assert_eq!(
            (ping.to_string(), gnuplot.to_string()),
            ("/bin/ping,3".into(), "gnuplot,5".into())
        );
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
