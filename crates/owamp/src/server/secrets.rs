//! The passphrases of users: `owamp-server.pfs`, and a client's file of the same form.
//!
//! A line holds an identity, blanks or tabs, and the passphrase as hexadecimal digits; `#` begins a comment.

use std::collections::HashMap;

use station::text::Mistake;

use super::lines::{Parts, Word, lines};
use crate::protocol::{KeyId, PassPhrase};

/// Users and their passphrases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(HashMap<String, PassPhrase>);

impl Secrets {
    /// That of a user.
    #[must_use]
    pub fn of(&self, user: &str) -> Option<&PassPhrase> {
        self.0.get(user)
    }

    /// Whether nobody has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All users.
    pub(super) fn users(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Reads a file: all that is right in it, and all mistakes. No mistake tells a passphrase.
#[must_use]
pub fn parse(text: &str) -> (Secrets, Vec<Mistake>) {
    let (mut secrets, mut mistakes) = (Secrets::default(), Vec::new());
    for line in lines(text, Parts::Blanks) {
        match entry(&line) {
            Ok((user, secret)) => {
                if secrets.0.insert(user.to_owned(), secret).is_some() {
                    // What stands in the first column may be a passphrase: somebody changed them round.
                    mistakes.push(line[0].mistake("this identity has a passphrase already"));
                }
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }
    (secrets, mistakes)
}

fn entry<'a>(line: &[Word<'a>]) -> Result<(&'a str, PassPhrase), Mistake> {
    let [user, digits] = line else {
        let what = "expected an identity and a passphrase in hexadecimal digits, and nothing else";
        return Err(line[0].mistake(what));
    };
    if KeyId::new(user.text).is_none() {
        let what = format!("an identity has at most {} octets", KeyId::LENGTH);
        return Err(user.mistake(what));
    }
    let secret = octets(digits.text).ok_or_else(|| {
        digits.mistake("a passphrase is an even number of hexadecimal digits, at least 2")
    })?;
    Ok((user.text, PassPhrase(secret)))
}

fn octets(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    let octet = |pair: &[u8; 2]| u8::try_from(value(pair[0])? << 4 | value(pair[1])?).ok();
    pairs.iter().map(octet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passphrases_are_read_as_the_reference_tools_write_them() {
        let text = "# pfs\niepm\t73746174696f6e2d736563726574\n other   00FF # one more\n";
        let (secrets, mistakes) = parse(text);
        assert_eq!(mistakes, []);
        assert_eq!(secrets.of("iepm"), Some(&PassPhrase(b"station-secret".to_vec())));
        assert_eq!(secrets.of("other"), Some(&PassPhrase(vec![0, 255])));
        assert_eq!(secrets.of("nobody"), None);
    }

    #[test]
    fn all_mistakes_are_told_and_no_passphrase() {
        let (_, mistakes) = parse("a 1\nb\nc zz\nd 11 22\nbeef 33\nbeef 44\n");
        let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.span.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 6]);
        let tells = |what| mistakes.iter().any(|mistake| mistake.message.contains(what));
        assert!(!tells("44") && !tells("beef"), "{mistakes:?}");
    }
}
