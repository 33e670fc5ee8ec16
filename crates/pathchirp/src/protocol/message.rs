//! What both ends say to each other.
//!
//! | kind | from | fields, octets |
//! |---|---|---|
//! | 1 hello | client | nonce 8, zeros up to 64 in all |
//! | 2 cookie | server | nonce 8, cookie 16 |
//! | 3 request | client | nonce 8, cookie 16, wish 36, zeros up to 96 in all |
//! | 4 accepted | server | nonce 8, session 8, what was made of the wish 36 |
//! | 5 refused | server | nonce 8, reason 1, seconds to wait 4, limit 8 |
//! | 7 feedback | client | session 8, chirp 4, lowest 8 and highest rate 8 of the next one |
//! | 8 end | both | session 8, reason 1 |
//!
//! A wish: lowest rate 8, highest rate 8, average rate 8 (bit/s), spread 4 (millionths), duration 4 (ms), octets of UDP's
//! data in a packet 2, packets of a group 2. Kind 6 is a [`packet`] of a chirp.

use super::{
    Wrong,
    cookie::{self, Cookie},
    fields::{Fields, HEAD, head},
    packet,
};
use crate::shape::Shape;

/// The shortest hello and the shortest request: no answer of the server is longer than what it answers.
pub const HELLO: usize = 64;
/// See [`HELLO`].
pub const REQUEST: usize = 96;
/// The longest message of either end that is no packet of a chirp.
pub const LONGEST: usize = REQUEST;

/// What a client wants, and what a server makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The lowest rate of the first chirp, bit/s of IP.
    pub low: u64,
    /// The highest rate of all chirps, bit/s of IP.
    pub high: u64,
    /// The average rate of all of it, bit/s of IP.
    pub average: u64,
    /// The spread factor, millionths.
    pub spread: u32,
    /// How long chirps are to be sent, ms.
    pub duration: u32,
    /// Octets of UDP's data in each packet.
    pub payload: u16,
    /// Packets of a group.
    pub group: u16,
}

/// The largest spread, millionths: 8.
pub const MOST_SPREAD: u32 = 8_000_000;
/// The smallest, millionths: 1.01.
pub const LEAST_SPREAD: u32 = 1_010_000;
/// The lowest rate, bit/s.
pub const LEAST_RATE: u64 = 1_000;
/// The highest, bit/s: 1 Tbit/s.
pub const MOST_RATE: u64 = 1_000_000_000_000;
/// Octets of UDP's data that a packet can have at the most: what fits into a frame of 9,000 octets, of either version
/// of IP.
pub const MOST_PAYLOAD: u16 = 8_952;
/// Packets of a group at the most.
pub const MOST_GROUP: u16 = 256;

impl Wish {
    /// The shape of a chirp between these rates, with packets whose headers have so many octets.
    #[must_use]
    pub fn shape(&self, low: u64, high: u64, headers: u32) -> Shape {
        Shape {
            low: rate(low),
            high: rate(high),
            spread: f64::from(self.spread) / 1e6,
            octets: u32::from(self.payload) + headers,
            group: self.group,
        }
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, Wrong> {
        let wish = Self {
            low: fields.u64()?,
            high: fields.u64()?,
            average: fields.u64()?,
            spread: fields.u32()?,
            duration: fields.u32()?,
            payload: fields.u16()?,
            group: fields.u16()?,
        };
        let rates = LEAST_RATE..=MOST_RATE;
        let is_within = |rate| rates.contains(&rate);
        let smallest = u16::try_from(packet::LEAST).unwrap_or(u16::MAX);
        match wish {
            _ if !is_within(wish.low) || !is_within(wish.high) || wish.low > wish.high => {
                Err(Wrong::Value("range of rates"))
            }
            _ if !is_within(wish.average) => Err(Wrong::Value("average rate")),
            _ if !(LEAST_SPREAD..=MOST_SPREAD).contains(&wish.spread) => {
                Err(Wrong::Value("spread"))
            }
            _ if wish.duration == 0 => Err(Wrong::Value("duration")),
            _ if !(smallest..=MOST_PAYLOAD).contains(&wish.payload) => {
                Err(Wrong::Value("size of packets"))
            }
            _ if !(1..=MOST_GROUP).contains(&wish.group) => Err(Wrong::Value("size of groups")),
            _ => Ok(wish),
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        for rate in [self.low, self.high, self.average] {
            to.extend(rate.to_be_bytes());
        }
        to.extend(self.spread.to_be_bytes());
        to.extend(self.duration.to_be_bytes());
        to.extend(self.payload.to_be_bytes());
        to.extend(self.group.to_be_bytes());
    }
}

/// A rate as a number that can be divided.
#[expect(clippy::cast_precision_loss, reason = "rates are below 2^53")]
pub(crate) const fn rate(bits_per_s: u64) -> f64 {
    bits_per_s as f64
}

/// Why a server refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// It has as many sessions as it may; the limit is how many.
    Busy = 1,
    /// This address has as many sessions as one may; the limit is how many.
    BusyForAddress = 2,
    /// More packets in a chirp than it sends; the limit is theirs.
    Packets = 3,
    /// Longer packets than it sends; the limit is theirs.
    Octets = 4,
    /// It speaks another version of the protocol; the limit is that.
    Version = 5,
    /// Chirps that would take longer than it sends one; the limit is the least that the highest rate is to be, bit/s.
    Slow = 6,
}

impl Reason {
    fn read(octet: u8) -> Result<Self, Wrong> {
        let busy = [Self::Busy, Self::BusyForAddress];
        let beyond = [Self::Packets, Self::Octets, Self::Version, Self::Slow];
        let mut all = busy.into_iter().chain(beyond);
        all.find(|it| *it as u8 == octet).ok_or(Wrong::Value("reason"))
    }
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// Its time is over.
    Over = 1,
    /// Who says it was told to stop.
    Stopped = 2,
    /// The server heard nothing of the client.
    Silence = 3,
}

impl End {
    fn read(octet: u8) -> Result<Self, Wrong> {
        let all = [Self::Over, Self::Stopped, Self::Silence];
        all.into_iter().find(|it| *it as u8 == octet).ok_or(Wrong::Value("reason"))
    }
}

/// What a client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It is there.
    Hello {
        /// Comes back in the answer.
        nonce: u64,
    },
    /// It wants chirps.
    Request {
        /// Comes back in the answer; the same again is the same request.
        nonce: u64,
        /// What it was given.
        cookie: Cookie,
        /// What it wants.
        wish: Wish,
    },
    /// It has heard a chirp, or still waits for one.
    Feedback {
        /// Its session.
        session: u64,
        /// The last chirp that it has heard.
        chirp: u32,
        /// The lowest rate that the next one is to have, bit/s.
        low: u64,
        /// The highest.
        high: u64,
    },
    /// It wants no more.
    End {
        /// Its session.
        session: u64,
        /// Why.
        why: End,
    },
}

impl Asked {
    /// Reads what came.
    ///
    /// # Errors
    /// It is none of a client's messages.
    pub fn read(octets: &[u8]) -> Result<Self, Wrong> {
        let (kind, mut fields) = Fields::of(octets)?;
        let is_long = |least| if octets.len() < least { Err(Wrong::Short) } else { Ok(()) };
        match kind {
            1 => {
                is_long(HELLO)?;
                Ok(Self::Hello { nonce: fields.u64()? })
            }
            3 => {
                is_long(REQUEST)?;
                let (nonce, cookie) = (fields.u64()?, fields.take::<{ cookie::LENGTH }>()?);
                Ok(Self::Request { nonce, cookie, wish: Wish::read(&mut fields)? })
            }
            7 => Self::read_feedback(&mut fields),
            8 => Ok(Self::End { session: fields.u64()?, why: End::read(fields.u8()?)? }),
            other => Err(Wrong::Kind(other)),
        }
    }

    fn read_feedback(fields: &mut Fields<'_>) -> Result<Self, Wrong> {
        let (session, chirp) = (fields.u64()?, fields.u32()?);
        let (low, high) = (fields.u64()?, fields.u64()?);
        if low > high || low < LEAST_RATE || high > MOST_RATE {
            return Err(Wrong::Value("range of rates"));
        }
        Ok(Self::Feedback { session, chirp, low, high })
    }

    /// As it is sent.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(LONGEST);
        match self {
            Self::Hello { nonce } => {
                octets.extend(head(1));
                octets.extend(nonce.to_be_bytes());
                octets.resize(HELLO, 0);
            }
            Self::Request { nonce, cookie, wish } => {
                octets.extend(head(3));
                octets.extend(nonce.to_be_bytes());
                octets.extend(cookie);
                wish.write(&mut octets);
                octets.resize(REQUEST, 0);
            }
            Self::Feedback { session, chirp, low, high } => {
                octets.extend(head(7));
                octets.extend(session.to_be_bytes());
                octets.extend(chirp.to_be_bytes());
                octets.extend(low.to_be_bytes());
                octets.extend(high.to_be_bytes());
            }
            Self::End { session, why } => octets.extend(end(*session, *why)),
        }
        octets
    }
}

/// The nonce of a message of another version: what [`Reason::Version`] is answered to. Hellos of all versions begin
/// alike, and are as long.
#[must_use]
pub fn nonce_of_other_version(octets: &[u8]) -> Option<u64> {
    let nonce = octets.get(HEAD..HEAD + 8)?.first_chunk()?;
    let is_hello = octets.get(5) == Some(&1) && octets.len() >= HELLO;
    is_hello.then(|| u64::from_be_bytes(*nonce))
}

fn end(session: u64, why: End) -> Vec<u8> {
    [&head(8)[..], &session.to_be_bytes(), &[why as u8]].concat()
}

/// What a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Whoever wants chirps is to give this back.
    Cookie {
        /// Of the hello.
        nonce: u64,
        /// The cookie.
        cookie: Cookie,
    },
    /// Chirps will come.
    Accepted {
        /// Of the request.
        nonce: u64,
        /// By what both know the session.
        session: u64,
        /// What was made of the wish.
        granted: Wish,
    },
    /// None will.
    Refused {
        /// Of the request.
        nonce: u64,
        /// Why.
        reason: Reason,
        /// When to come again, seconds; zero if that would be no use.
        wait: u32,
        /// The limit that was met.
        limit: u64,
    },
    /// No more will.
    End {
        /// The session.
        session: u64,
        /// Why.
        why: End,
    },
}

impl Answer {
    /// Reads what came.
    ///
    /// # Errors
    /// It is none of a server's messages.
    pub fn read(octets: &[u8]) -> Result<Self, Wrong> {
        let (kind, mut fields) = Fields::of(octets)?;
        match kind {
            2 => Ok(Self::Cookie { nonce: fields.u64()?, cookie: fields.take()? }),
            4 => {
                let (nonce, session) = (fields.u64()?, fields.u64()?);
                Ok(Self::Accepted { nonce, session, granted: Wish::read(&mut fields)? })
            }
            5 => Ok(Self::Refused {
                nonce: fields.u64()?,
                reason: Reason::read(fields.u8()?)?,
                wait: fields.u32()?,
                limit: fields.u64()?,
            }),
            8 => Ok(Self::End { session: fields.u64()?, why: End::read(fields.u8()?)? }),
            other => Err(Wrong::Kind(other)),
        }
    }

    /// As it is sent.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        match self {
            Self::Cookie { nonce, cookie } => [&head(2)[..], &nonce.to_be_bytes(), cookie].concat(),
            Self::Accepted { nonce, session, granted } => {
                let mut octets =
                    [&head(4)[..], &nonce.to_be_bytes(), &session.to_be_bytes()].concat();
                granted.write(&mut octets);
                octets
            }
            Self::Refused { nonce, reason, wait, limit } => {
                let (wait, limit) = (wait.to_be_bytes(), limit.to_be_bytes());
                [&head(5)[..], &nonce.to_be_bytes(), &[*reason as u8], &wait, &limit].concat()
            }
            Self::End { session, why } => end(*session, *why),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const WISH: Wish = Wish {
        low: 10_000_000,
        high: 200_000_000,
        average: 300_000,
        spread: 1_200_000,
        duration: 600_000,
        payload: 1_000,
        group: 1,
    };

    fn asked() -> [Asked; 4] {
        [
            Asked::Hello { nonce: 7 },
            Asked::Request { nonce: 7, cookie: [3; 16], wish: WISH },
            Asked::Feedback { session: 9, chirp: 4, low: 1_000_000, high: 5_000_000 },
            Asked::End { session: 9, why: End::Stopped },
        ]
    }

    fn answers() -> [Answer; 4] {
        [
            Answer::Cookie { nonce: 7, cookie: [3; 16] },
            Answer::Accepted { nonce: 7, session: 9, granted: WISH },
            Answer::Refused { nonce: 7, reason: Reason::Busy, wait: 60, limit: 8 },
            Answer::End { session: 9, why: End::Over },
        ]
    }

    #[test]
    fn what_is_said_is_heard() {
        for message in asked() {
            assert_eq!(Asked::read(&message.octets()), Ok(message));
        }
        for message in answers() {
            assert_eq!(Answer::read(&message.octets()), Ok(message));
        }
    }

    #[test]
    fn no_answer_is_longer_than_what_it_answers() {
        let [hello, request, ..] = asked();
        let [cookie, accepted, refused, _] = answers().map(|it| it.octets().len());
        assert!(cookie <= hello.octets().len() && refused <= hello.octets().len());
        assert!(accepted <= request.octets().len() && refused <= request.octets().len());
        for length in 0..HELLO {
            assert!(Asked::read(&hello.octets()[..length]).is_err(), "{length}");
        }
        for length in 0..REQUEST {
            assert!(Asked::read(&request.octets()[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn what_breaks_off_is_no_message() {
        for message in answers() {
            let octets = message.octets();
            for length in 0..octets.len() {
                assert!(Answer::read(&octets[..length]).is_err(), "{message:?} to {length}");
            }
        }
    }

    #[test]
    fn a_wish_that_cannot_be_is_none() {
        let read = |wish| {
            Asked::read(&Asked::Request { nonce: 1, cookie: [0; 16], wish }.octets()).map(drop)
        };
        assert_eq!(read(WISH), Ok(()));
        for (wish, field) in [
            (Wish { low: 0, ..WISH }, "range of rates"),
            (Wish { low: 300_000_000, ..WISH }, "range of rates"),
            (Wish { high: u64::MAX, ..WISH }, "range of rates"),
            (Wish { average: 0, ..WISH }, "average rate"),
            (Wish { spread: 1_000_000, ..WISH }, "spread"),
            (Wish { spread: u32::MAX, ..WISH }, "spread"),
            (Wish { duration: 0, ..WISH }, "duration"),
            (Wish { payload: 10, ..WISH }, "size of packets"),
            (Wish { payload: 65_000, ..WISH }, "size of packets"),
            (Wish { group: 0, ..WISH }, "size of groups"),
            (Wish { group: 257, ..WISH }, "size of groups"),
        ] {
            assert_eq!(read(wish), Err(Wrong::Value(field)));
        }
    }

    #[test]
    fn one_of_another_version_is_told_which_is_ours_if_it_says_hello() {
        let mut octets = asked()[0].octets();
        octets[4] = 9;
        assert_eq!(Asked::read(&octets), Err(Wrong::Version(9)));
        assert_eq!(nonce_of_other_version(&octets), Some(7));
        assert_eq!(nonce_of_other_version(&octets[..HELLO - 1]), None);
        octets[5] = 3;
        assert_eq!(nonce_of_other_version(&octets), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_message_or_has_a_reason(octets in vec(any::<u8>(), 0..200)) {
            let _ = (Asked::read(&octets), Answer::read(&octets));
        }

        #[test]
        fn what_is_read_is_written_the_same(kind in 0..9_u8, rest in vec(any::<u8>(), 56..120)) {
            let octets = [&head(kind)[..], &rest].concat();
            if let Ok(message) = Asked::read(&octets) {
                prop_assert_eq!(Asked::read(&message.octets()), Ok(message));
            }
            if let Ok(message) = Answer::read(&octets) {
                prop_assert_eq!(Answer::read(&message.octets()), Ok(message));
            }
        }
    }
}
