//! The lines of iperf 2 and 3: `[  5]  0.0- 5.1 sec  12.0 MBytes  19.9 Mbits/sec  ...`

use crate::rates::{self, Figures, Printed};

/// Whom a line is about: what stands in its brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    /// A stream by its number; a star marks the one that goes the other way (iperf 2.1).
    Stream {
        /// The number.
        number: u32,
        /// Whether there is a star.
        star: bool,
    },
    /// All streams together.
    Sum,
    /// The heads of the columns and whatever else.
    Other,
}

impl Label {
    fn of(text: &str) -> Self {
        let text = text.trim_ascii();
        let (star, digits) = text.strip_prefix('*').map_or((false, text), |digits| (true, digits));
        match crate::text::integer(digits) {
            Some(number) => Self::Stream { number, star },
            None if text == "SUM" => Self::Sum,
            None => Self::Other,
        }
    }
}

/// A line that begins with a label.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labelled<'a> {
    pub(crate) label: Label,
    /// What stands in a second pair of brackets: `TX-C` (iperf 3 with `--bidir`).
    pub(crate) role: Option<&'a str>,
    /// The rest of the line, from its first word.
    pub(crate) rest: &'a str,
}

impl<'a> Labelled<'a> {
    pub(crate) fn of(said: &'a str) -> Option<Self> {
        let (label, rest) = said.strip_prefix('[')?.split_once(']')?;
        let second = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (role, rest) = second.map_or((None, rest), |(role, rest)| (Some(role), rest));
        Some(Self { label: Label::of(label), role, rest: rest.trim_ascii_start() })
    }
}

/// `0.0- 5.1 sec` and what follows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch<'a> {
    start: Printed,
    end: Printed,
    /// What follows, from its first word.
    pub(crate) rest: &'a str,
}

impl<'a> Stretch<'a> {
    pub(crate) fn of(said: &'a str) -> Option<Self> {
        let (start, mut rest) = said.split_once('-')?;
        let start = Printed::of(start.trim_ascii_end())?;
        let end = Printed::of(word(&mut rest)?)?;
        (word(&mut rest)? == "sec").then(|| Self { start, end, rest: rest.trim_ascii_start() })
    }

    /// Takes volume and rate off the rest.
    pub(crate) fn figures(&mut self) -> Figures {
        let mut next = || word(&mut self.rest).unwrap_or_default();
        let bytes = rates::volume(next(), next());
        let bits_per_s = rates::rate(next(), next());
        Figures { start: self.start, end: self.end, bytes, bits_per_s }
    }
}

/// Takes the next word, up to a blank.
pub(crate) fn word<'a>(text: &mut &'a str) -> Option<&'a str> {
    let trimmed = text.trim_ascii_start();
    let length = trimmed.bytes().position(|byte| byte == b' ').unwrap_or(trimmed.len());
    let (word, rest) = trimmed.split_at_checked(length)?;
    *text = rest;
    (!word.is_empty()).then_some(word)
}

/// The number of datagrams lost, and sent: `0/1295`, or `0/` and `1295` in the next word.
pub(crate) fn lost_of_sent(rest: &mut &str) -> Option<(u64, u64)> {
    let (lost, sent) = word(rest)?.split_once('/')?;
    let sent = if sent.is_empty() { word(rest)? } else { sent };
    Some((crate::text::integer(lost)?, crate::text::integer(sent)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_tells_whom_a_line_is_about() {
        let label = |text| Labelled::of(text).map(|line| (line.label, line.role, line.rest));
        let stream = |number, star| Label::Stream { number, star };
        assert_eq!(label("[  5]  0.0- 1"), Some((stream(5, false), None, "0.0- 1")));
        assert_eq!(label("[*20] x"), Some((stream(20, true), None, "x")));
        assert_eq!(label("[SUM][TX-C] 1"), Some((Label::Sum, Some("TX-C"), "1")));
        assert_eq!(label("[FD3] 1"), Some((Label::Other, None, "1")));
        assert_eq!(label("[SUM-2] Sent"), Some((Label::Other, None, "Sent")));
        assert_eq!(label("[  5"), None);
        assert_eq!(label("5]"), None);
    }

    #[test]
    fn datagrams_may_be_one_word_or_two() {
        let read = |mut text| lost_of_sent(&mut text);
        assert_eq!(read("5676/10704 (53%)"), Some((5676, 10704)));
        assert_eq!(read("   0/ 2126 (0%)"), Some((0, 2126)));
        assert_eq!(read("-1/5 (0%)"), None);
        assert_eq!(read("0/-1 (0%)"), None);
        assert_eq!(read("7"), None);
    }
}
