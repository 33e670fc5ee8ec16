//! Untrusted text, a line at a time.
//!
//! Bytes are decoded line by line and long lines are cut, so that a reader never holds more of a huge
//! output than one line of it.

use std::{borrow::Cow, net::IpAddr, str::FromStr};

use crate::Unreadable;

/// Bytes of a line that are looked at. Ten probes with the longest names take a quarter of it.
const LONGEST_LINE: usize = 16 * 1024;
/// Characters of the text that a message or a remark quotes.
const LONGEST_QUOTE: usize = 200;
/// Whole milliseconds a delay may have: thirty years. Sums of delays stay exact below it.
const LONGEST_DELAY_MS: u64 = 1_000_000_000_000;

/// One line of output.
pub(crate) struct Line<'a> {
    /// From 1.
    pub(crate) number: usize,
    /// Without its newline; bytes that are no UTF-8 are replaced.
    pub(crate) text: Cow<'a, str>,
    /// Whether its end is there. If not, its last word may be half a word.
    pub(crate) finished: bool,
}

pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, raw)| Line::of(index + 1, raw))
}

impl<'a> Line<'a> {
    fn of(number: usize, raw: &'a [u8]) -> Self {
        let body = raw.strip_suffix(b"\n").unwrap_or(raw);
        let kept = body.get(..LONGEST_LINE).unwrap_or(body);
        let finished = body.len() < raw.len() && kept.len() == body.len();
        // Nearly always it is text: to find that out takes less than to look for what is not.
        let text =
            str::from_utf8(kept).map_or_else(|_| String::from_utf8_lossy(kept), Cow::Borrowed);
        Self { number, text, finished }
    }

    /// That something else should stand here.
    pub(crate) fn wrong(&self, expected: &str, found: &str) -> Unreadable {
        let found = quote(found);
        let reason = format!("expected {expected}, found {found:?}");
        Unreadable { reason, line: Some(self.number) }
    }
}

/// The text without the blanks, bells, carriage returns and backspaces around it.
pub(crate) fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c.is_control())
}

/// The text, cut to a length that is fit to be kept.
pub(crate) fn quote(text: &str) -> String {
    if text.len() <= LONGEST_QUOTE {
        return text.to_owned();
    }
    text.chars().take(LONGEST_QUOTE).collect()
}

/// Where the words are. For the few words of a line this takes less than to set up a search that is
/// quick in long texts.
pub(crate) fn find(text: &str, words: &str) -> Option<usize> {
    let (bytes, words) = (text.as_bytes(), words.as_bytes());
    let first = words.first()?;
    let begins = |place: &usize| bytes.get(*place..).is_some_and(|rest| rest.starts_with(words));
    let places = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    places.map(|(place, _)| place).find(begins)
}

/// The text before and after the words.
pub(crate) fn split<'a>(text: &'a str, words: &str) -> Option<(&'a str, &'a str)> {
    let place = find(text, words)?;
    Some((text.get(..place)?, text.get(place + words.len()..)?))
}

/// A whole number: digits and nothing else.
pub(crate) fn integer<T: FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A delay in milliseconds, `21.706`, or `21,706` from a locale that writes it so, as whole
/// microseconds.
pub(crate) fn microseconds(milliseconds: &str) -> Option<u64> {
    let (whole, fraction) = milliseconds.split_once(['.', ',']).unwrap_or((milliseconds, "0"));
    let whole: u64 = integer(whole).filter(|whole| *whole < LONGEST_DELAY_MS)?;
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().map(|byte| u64::from(byte - b'0'));
    let mut digits = digits.chain(std::iter::repeat(0));
    let thousandths = digits.by_ref().take(3).fold(0, |sum, digit| sum * 10 + digit);
    let round_up = digits.next().is_some_and(|digit| digit >= 5);
    Some(whole * 1000 + thousandths + u64::from(round_up))
}

/// The largest real number that is believed; what is derived from it by units stays finite.
const LARGEST: f64 = 1e15;

/// A real number: `-0.5`, `1.06e+04`. Not `nan`, nor a word like `infinity`.
pub(crate) fn real(text: &str) -> Option<f64> {
    let plain =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    let number: f64 = text.bytes().all(plain).then(|| text.parse().ok())??;
    (number.abs() <= LARGEST).then_some(number)
}

/// What a tool prints where it may have nothing to tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Figure {
    /// A number.
    Defined(f64),
    /// `nan` or `inf`.
    Undefined,
}

impl Figure {
    /// Reads it; nothing if it is neither.
    pub(crate) fn of(text: &str) -> Option<Self> {
        match text.trim_start_matches(['-', '+']) {
            "nan" | "inf" => Some(Self::Undefined),
            _ => real(text).map(Self::Defined),
        }
    }

    /// The number, if there is one, put through `scale`.
    pub(crate) fn scaled(self, scale: impl Fn(f64) -> f64) -> Option<f64> {
        match self {
            Self::Defined(number) => Some(scale(number)),
            Self::Undefined => None,
        }
    }
}

/// An address, with or without the zone of a link-local one (`fe80::1%eth0`).
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    text.split('%').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_become_whole_microseconds() {
        let cases = [("21.706", 21_706), ("150", 150_000), ("0.0005", 1), ("0.0004", 0)];
        for (text, expected) in cases {
            assert_eq!(microseconds(text), Some(expected), "{text}");
        }
        assert_eq!(microseconds("1,234"), Some(1_234));
    }

    #[test]
    fn what_is_no_plain_number_is_no_delay() {
        for text in ["", ".", "5.", ".5", "-1", "+1", "nan", "inf", "1e3", "1.2.3", "1 2"] {
            assert_eq!(microseconds(text), None, "{text}");
        }
        assert_eq!(microseconds("99999999999999999999"), None);
    }

    #[test]
    fn a_real_number_may_have_a_sign_and_an_exponent() {
        let cases = [("1.06e+04", 10_600.0), ("-0.5", -0.5), ("2.32831e-10", 2.328_31e-10)];
        for (text, expected) in cases {
            assert_eq!(real(text), Some(expected), "{text}");
        }
        for text in ["", "-", "e", "nan", "inf", "infinity", "1e309", "1e16", "0x1", "1 2"] {
            assert_eq!(real(text), None, "{text}");
        }
        assert_eq!(["-nan", "inf"].map(Figure::of), [Some(Figure::Undefined); 2]);
        assert_eq!(Figure::of("x"), None);
    }

    #[test]
    fn a_line_tells_whether_its_end_is_there() {
        let told: Vec<_> =
            lines(b"one\n\xfftwo").map(|l| (l.text.into_owned(), l.finished)).collect();
        assert_eq!(told, [("one".to_owned(), true), ("\u{fffd}two".to_owned(), false)]);
    }

    #[test]
    fn an_endless_line_is_cut_and_not_finished() {
        let mut rubbish = vec![b'x'; 1_000_000];
        rubbish.push(b'\n');
        let line = lines(&rubbish).next().expect("a line");
        assert_eq!((line.text.len(), line.finished), (LONGEST_LINE, false));
    }
}
