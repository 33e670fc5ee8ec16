//! Messages of the control connection: a kind in one octet, the length of the body in two, and the body.

use super::Wrong;

/// Octets before a body.
const HEAD: usize = 3;
/// The most octets of a message, its head among them.
pub const LONGEST: usize = 2_048;

/// What came on a control connection and is not understood yet: never more than one message.
#[derive(Debug, Default)]
pub struct Incoming(Vec<u8>);

impl Incoming {
    /// How many octets more are to be read: up to the end of the message, and never beyond it.
    ///
    /// # Errors
    /// The message is longer than any.
    pub fn wanted(&self) -> Result<usize, Wrong> {
        let whole = self.length()?.unwrap_or(HEAD);
        Ok(whole.saturating_sub(self.0.len()))
    }

    /// Adds what was read, at most [`Self::wanted`] octets.
    pub fn add(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    /// Whether a message has begun.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        !self.0.is_empty()
    }

    /// The message, if it is whole: its kind and its body.
    ///
    /// # Errors
    /// It is longer than any.
    pub fn take(&mut self) -> Result<Option<(u8, Vec<u8>)>, Wrong> {
        match self.length()? {
            Some(length) if self.0.len() >= length => {
                let rest = self.0.split_off(length);
                let mut message = std::mem::replace(&mut self.0, rest);
                let body = message.split_off(HEAD);
                Ok(Some((message[0], body)))
            }
            _ => Ok(None),
        }
    }

    /// The whole length, once it is known.
    fn length(&self) -> Result<Option<usize>, Wrong> {
        let Some([_, high, low]) = self.0.first_chunk::<HEAD>() else { return Ok(None) };
        let length = HEAD + usize::from(u16::from_be_bytes([*high, *low]));
        if length > LONGEST {
            let what = format!("{length} octets, where {LONGEST} are the most");
            return Err(Wrong::new("a message", what));
        }
        Ok(Some(length))
    }
}

/// A message of this kind. A body that is too long is cut, which those of this protocol never are.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let body = &body[..body.len().min(LONGEST - HEAD)];
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    let [high, low] = length.to_be_bytes();
    let mut message = vec![kind, high, low];
    message.extend_from_slice(body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_to_its_end_and_no_further() {
        let mut incoming = Incoming::default();
        let message = message(7, b"body");
        for octet in &message {
            assert!(incoming.wanted().expect("fine") > 0);
            assert_eq!(incoming.take(), Ok(None));
            incoming.add(&[*octet]);
        }
        assert_eq!(incoming.wanted(), Ok(0));
        assert_eq!(incoming.take(), Ok(Some((7, b"body".to_vec()))));
        assert!(!incoming.has_begun());
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_head() {
        let mut incoming = Incoming::default();
        incoming.add(&[1, 0xff, 0xff]);
        assert!(incoming.wanted().is_err() && incoming.take().is_err());
    }
}
