//! What the two programs say to each other, version 1.
//!
//! On TCP: JSON objects, one a line, at most [`LONGEST_LINE`] octets with its end. On UDP: packets of a stream, and the
//! knocks by which a client shows that it is at the address that streams are to go to. `docs/pathload_snd.md` tells
//! the conversation.

use serde::{Deserialize, Serialize};

/// The version that is spoken.
pub const VERSION: u32 = 1;
/// The longest line, octets, its end among them.
pub const LONGEST_LINE: usize = 1_024;
/// Octets of a token.
const TOKEN: usize = 16;
/// Octets of a packet's own data; what follows is padding.
pub const HEADER: usize = 40;
/// Octets of a knock: not fewer than any packet of ours that is sent for it, which is none.
pub const KNOCK: usize = 4 + TOKEN;
/// Headers of IP and UDP, octets: of IPv4, and of IPv6.
pub const HEADERS: (u32, u32) = (28, 48);

const STREAM: [u8; 4] = *b"PLs1";
const KNOCKS: [u8; 4] = *b"PLk1";

/// What the server grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The highest rate of a stream, bit/s of IP.
    pub rate: u64,
    /// Packets of a stream.
    pub packets: u32,
    /// Octets of a packet of IP.
    pub octets: u32,
    /// How long the measurement may take, seconds.
    pub seconds: u32,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase")]
pub enum Answer {
    /// Others are measured first; said again whenever this changes, and every few seconds.
    Wait {
        /// How many are before.
        before: u32,
        /// How long it takes at most, seconds.
        seconds: u32,
    },
    /// It is the client's turn.
    Hello {
        /// [`VERSION`]; a client of another one ends.
        version: u32,
        /// What the client knocks with, 32 hexadecimal digits.
        token: String,
        /// Where it knocks, and where streams come from, UDP.
        port: u16,
        /// What is granted.
        limits: Limits,
    },
    /// A knock came; streams go to where it came from.
    Known,
    /// A stream was sent.
    Sent {
        /// Its number.
        stream: u32,
        /// How late its latest packet was, nanoseconds.
        late: u64,
        /// Packets that did not leave the server's machine.
        unsent: u32,
    },
    /// The server goes no further; the connection ends.
    Refused {
        /// Whether the same may be granted later.
        later: bool,
        /// Why, for people.
        why: String,
    },
}

/// What the client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase")]
pub enum Request {
    /// Send a stream.
    Stream {
        /// Its number, greater than any before.
        stream: u32,
        /// Packets.
        packets: u32,
        /// Octets of each at IP.
        octets: u32,
        /// From one to the next, nanoseconds.
        gap: u64,
    },
    /// It is over.
    Bye,
}

/// Writes a message as a line.
#[must_use]
pub fn line<T: Serialize>(message: &T) -> Vec<u8> {
    // Values of these types have nothing that JSON cannot hold.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Takes the first line from what came so far, if it is whole.
///
/// # Errors
/// It is too long, or no such message; says why.
pub fn take<T: for<'a> Deserialize<'a>>(came: &mut Vec<u8>) -> Result<Option<T>, String> {
    let Some(end) = came.iter().take(LONGEST_LINE).position(|octet| *octet == b'\n') else {
        let is_too_long = came.len() >= LONGEST_LINE;
        return if is_too_long { Err("a line without an end".to_owned()) } else { Ok(None) };
    };
    let line: Vec<u8> = came.drain(..=end).collect();
    serde_json::from_slice(&line[..end]).map(Some).map_err(|error| {
        let shown: String = String::from_utf8_lossy(&line[..end.min(80)]).escape_debug().collect();
        format!("no message of version {VERSION}: {error}: \"{shown}\"")
    })
}

/// A token of random octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(pub [u8; TOKEN]);

impl Token {
    /// As it is told on TCP.
    #[must_use]
    pub fn as_text(&self) -> String {
        use std::fmt::Write;
        self.0.iter().fold(String::new(), |mut text, octet| {
            // Writing to a string does not fail.
            let _ = write!(text, "{octet:02x}");
            text
        })
    }

    /// None if it is no such text.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let mut octets = [0; TOKEN];
        let digits = text.as_bytes();
        if digits.len() != 2 * TOKEN || !text.is_ascii() {
            return None;
        }
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            *octet = hex(pair[0])? << 4 | hex(pair[1])?;
        }
        Some(Self(octets))
    }

    /// The knock with it.
    #[must_use]
    pub fn knock(&self) -> [u8; KNOCK] {
        let mut packet = [0; KNOCK];
        packet[..4].copy_from_slice(&KNOCKS);
        packet[4..].copy_from_slice(&self.0);
        packet
    }

    /// Whether a packet is a knock with it. How long this takes tells nothing: a token is of one connection, and who can
    /// try it a billion times within its five seconds has better things to do.
    #[must_use]
    pub fn is_of(&self, packet: &[u8]) -> bool {
        packet == self.knock()
    }
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// What a packet of a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Of the measurement.
    pub token: Token,
    /// Of the stream.
    pub stream: u32,
    /// Its own, from 0.
    pub number: u32,
    /// When it left, nanoseconds after the stream's start.
    pub left: u64,
}

impl Mark {
    /// Writes it into the begin of a packet, which is at least [`HEADER`] octets long.
    pub fn write(&self, packet: &mut [u8]) {
        let Some(packet) = packet.first_chunk_mut::<HEADER>() else { return };
        packet[..4].copy_from_slice(&STREAM);
        packet[4..20].copy_from_slice(&self.token.0);
        packet[20..24].copy_from_slice(&self.stream.to_be_bytes());
        packet[24..28].copy_from_slice(&self.number.to_be_bytes());
        packet[28..36].copy_from_slice(&self.left.to_be_bytes());
        packet[36..].fill(0);
    }

    /// Reads it; none if this is no packet of a stream.
    #[must_use]
    pub fn read(packet: &[u8]) -> Option<Self> {
        let packet = packet.first_chunk::<HEADER>()?;
        let four = |at: usize| {
            u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
        };
        let is_ours = packet[..4] == STREAM;
        let mut token = [0; TOKEN];
        token.copy_from_slice(&packet[4..20]);
        let left = u64::from(four(28)) << 32 | u64::from(four(32));
        is_ours.then(|| Self { token: Token(token), stream: four(20), number: four(24), left })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_conversation_is_lines_of_json() {
        let stream = Request::Stream { stream: 3, packets: 100, octets: 500, gap: 500_000 };
        let text = String::from_utf8(line(&stream)).expect("text");
        let told =
            "{\"say\":\"stream\",\"stream\":3,\"packets\":100,\"octets\":500,\"gap\":500000}\n";
        assert_eq!(text, told);
        let mut came = [line(&stream), line(&Request::Bye), b"{\"say\":\"str".to_vec()].concat();
        assert_eq!(take(&mut came), Ok(Some(stream)));
        assert_eq!(take(&mut came), Ok(Some(Request::Bye)));
        assert_eq!(take::<Request>(&mut came), Ok(None));
        assert_eq!(came, b"{\"say\":\"str");
    }

    #[test]
    fn what_is_no_message_is_told_and_a_line_without_end_is_not_waited_for() {
        let said = |text: &str| take::<Request>(&mut text.as_bytes().to_vec());
        for wrong in ["hello\n", "{}\n", "{\"say\":\"stream\"}\n", "{\"say\":\"bye\"} 1\n", "\n"] {
            assert!(said(wrong).is_err(), "{wrong}");
        }
        assert!(said(&"x".repeat(LONGEST_LINE)).is_err());
        assert_eq!(said(&"x".repeat(LONGEST_LINE - 1)), Ok(None));
    }

    #[test]
    fn a_token_goes_through_text_and_knocks_alone() {
        let token = Token(*b"0123456789abcdef");
        assert_eq!(Token::of_text(&token.as_text()), Some(token));
        assert!(token.is_of(&token.knock()));
        assert!(!token.is_of(&Token([0; TOKEN]).knock()) && !token.is_of(b""));
        for wrong in ["", "0", &"g".repeat(32), &"é".repeat(16), &"+1".repeat(16)] {
            assert_eq!(Token::of_text(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_mark_is_read_as_it_was_written(token: [u8; TOKEN], stream: u32, number: u32, left: u64, padding in 0_usize..100) {
            let mark = Mark { token: Token(token), stream, number, left };
            let mut packet = vec![7; HEADER + padding];
            mark.write(&mut packet);
            prop_assert_eq!(Mark::read(&packet), Some(mark));
            prop_assert_eq!(Mark::read(&packet[..HEADER - 1]), None);
        }

        #[test]
        fn no_octets_are_too_odd(mut octets: Vec<u8>) {
            let _ = Mark::read(&octets);
            let _ = take::<Answer>(&mut octets.clone());
            let before = octets.len();
            if let Ok(None) = take::<Request>(&mut octets) {
                prop_assert_eq!(octets.len(), before);
            }
        }
    }
}
