//! Files of `name value` lines, word by word, each with its place.

use station::text::{Mistake, Span};

/// A word of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) span: Span,
}

impl Word<'_> {
    pub(super) fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake::new(self.span, message)
    }
}

/// The words of each line that has any. `#` begins a comment; a backslash at a line's end joins the next line to it.
pub(super) fn lines(text: &str, parts: Parts) -> Vec<Vec<Word<'_>>> {
    let (mut all, mut words) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let code = line.split('#').next().unwrap_or_default().trim_end();
        let joined = code.strip_suffix('\\');
        for word in joined.unwrap_or(code).split(|c| parts.is_blank(c)) {
            words.extend(parts.of(word).into_iter().map(|text| place(index + 1, line, text)));
        }
        if joined.is_none() && !words.is_empty() {
            all.push(std::mem::take(&mut words));
        }
    }
    if !words.is_empty() {
        all.push(words);
    }
    all
}

/// What parts words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parts {
    /// Blanks.
    Blanks,
    /// Blanks and commas; and an equals sign is a word of its own.
    Options,
}

impl Parts {
    fn is_blank(self, c: char) -> bool {
        c.is_whitespace() || (self == Self::Options && c == ',')
    }

    fn of(self, word: &str) -> Vec<&str> {
        if self == Self::Blanks {
            return Some(word).filter(|word| !word.is_empty()).into_iter().collect();
        }
        let pieces = word.split_inclusive('=').flat_map(|piece| {
            let before = piece.strip_suffix('=').unwrap_or(piece);
            [before, &piece[before.len()..]]
        });
        pieces.filter(|piece| !piece.is_empty()).collect()
    }
}

fn place<'a>(number: usize, line: &str, text: &'a str) -> Word<'a> {
    let start = text.as_ptr() as usize - line.as_ptr() as usize;
    let column = line[..start].chars().count() + 1;
    Word { text, span: Span { line: number, column, width: text.chars().count() } }
}

/// A number with `k`, `m`, `g` or `t` for thousands of it, as bandwidths have it, or 1024 of it, as sizes.
pub(super) fn amount(text: &str, thousand: u64) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(thousand.checked_pow(power)?)
}

/// `on` or `off`.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "on" | "yes" | "true" => Some(true),
        "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_places_over_joined_lines() {
        let text = "# nothing\nlimit a with \\\n  disk = 2g, b=1\n\n  last";
        let lines = lines(text, Parts::Options);
        let texts: Vec<Vec<&str>> =
            lines.iter().map(|line| line.iter().map(|word| word.text).collect()).collect();
        let first = vec!["limit", "a", "with", "disk", "=", "2g", "b", "=", "1"];
        assert_eq!(texts, [first, vec!["last"]]);
        assert_eq!(lines[0][5].span, Span { line: 3, column: 10, width: 2 });
    }

    #[test]
    fn amounts_have_suffixes() {
        assert_eq!(amount("900m", 1000), Some(900_000_000));
        assert_eq!(amount("2G", 1024), Some(2 << 30));
        assert_eq!(amount("7", 1024), Some(7));
        for bad in ["", "m", "-1", "1x", "99999999999t", "1.5m"] {
            assert_eq!(amount(bad, 1000), None, "{bad}");
        }
    }
}
