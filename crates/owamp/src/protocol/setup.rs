//! How a control connection begins (RFC 4656 section 3.1).

use std::{fmt, io::Read};

use timed_udp::ntp::NtpTime;

use super::{
    Accept, Derivation, Failed, Inbound, Mode, Modes, Outbound, Wrong,
    fields::{Fields, join},
    keys::BLOCK,
};

/// The server's first word: which modes it offers, and what a client needs for a Token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerGreeting {
    /// None: it does not want to talk.
    pub modes: Modes,
    /// Random octets that the Token is to hold.
    pub challenge: [u8; BLOCK],
    /// Random octets for the passphrase's derivation.
    pub salt: [u8; BLOCK],
    /// Rounds of the passphrase's derivation.
    pub count: u32,
}

impl ServerGreeting {
    /// Octets on the wire.
    pub const LENGTH: usize = 64;

    /// As on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let (modes, count) = (self.modes.0.to_be_bytes(), self.count.to_be_bytes());
        join(&[&[0; 12], &modes, &self.challenge, &self.salt, &count])
    }

    /// From the wire: all octets mean something.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        let mut fields = Fields::of(bytes);
        Self {
            modes: Modes(fields.skip::<12>().u32()),
            challenge: fields.array(),
            salt: fields.array(),
            count: fields.u32(),
        }
    }

    /// How a passphrase becomes the key of a Token; only the modes with keys need it.
    ///
    /// # Errors
    /// As [`Derivation::new`].
    pub fn derivation(&self) -> Result<Derivation, Wrong> {
        Derivation::new(self.salt, self.count)
    }
}

/// The name by which a server knows a client's passphrase: UTF-8, filled up with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; Self::LENGTH]);

impl KeyId {
    /// Octets on the wire.
    pub const LENGTH: usize = 80;

    /// None if the name is longer than [`Self::LENGTH`] octets or has a zero octet.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        (name.len() <= Self::LENGTH && !name.contains('\0')).then(|| Self(join(&[name.as_bytes()])))
    }

    /// The name; none if it is not UTF-8 filled up with zeros.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let end = self.0.iter().position(|octet| *octet == 0).unwrap_or(Self::LENGTH);
        let (name, rest) = self.0.split_at(end);
        rest.iter().all(|octet| *octet == 0).then(|| str::from_utf8(name).ok())?
    }
}

impl Default for KeyId {
    fn default() -> Self {
        Self([0; Self::LENGTH])
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({:?})", self.name())
    }
}

/// The client's answer: which mode it takes, who it is, and its keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SetUpResponse {
    /// One of those offered.
    pub mode: Mode,
    /// Whose passphrase; empty in open mode.
    pub key_id: KeyId,
    /// The keys, for who has the passphrase; zero in open mode.
    pub token: [u8; 4 * BLOCK],
    /// Where the client's stream begins; zero in open mode.
    pub client_iv: [u8; BLOCK],
}

impl fmt::Debug for SetUpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetUpResponse({}, {:?})", self.mode, self.key_id)
    }
}

impl SetUpResponse {
    /// Octets on the wire.
    pub const LENGTH: usize = 164;

    /// That of a client in open mode.
    #[must_use]
    pub fn open() -> Self {
        let (token, client_iv) = ([0; 4 * BLOCK], [0; BLOCK]);
        Self { mode: Mode::Open, key_id: KeyId::default(), token, client_iv }
    }

    /// As on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        join(&[&self.mode.bit().to_be_bytes(), &self.key_id.0, &self.token, &self.client_iv])
    }

    /// From the wire.
    ///
    /// # Errors
    /// The mode is none of the three, or several (or none: the client does not want to go on).
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Result<Self, Wrong> {
        let mut fields = Fields::of(bytes);
        Ok(Self {
            mode: Mode::of_bit(fields.u32())?,
            key_id: KeyId(fields.array()),
            token: fields.array(),
            client_iv: fields.array(),
        })
    }
}

/// The server's answer to that. Its start time is the first part of the server's stream, and read from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerStart {
    /// Whether it goes on.
    pub accept: Accept,
    /// Where the server's stream begins; zero in open mode.
    pub server_iv: [u8; BLOCK],
}

impl ServerStart {
    /// Octets of the part before the stream.
    pub const LENGTH: usize = 32;

    /// The part before the stream, as on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        join(&[&[0; 15], &[self.accept.into()], &self.server_iv])
    }

    /// From the wire.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        let mut fields = Fields::of(bytes);
        let accept = Accept::from(fields.skip::<15>().octet());
        Self { accept, server_iv: fields.array() }
    }

    /// Puts the other part: since when this server runs. The server's first HMAC is also over it.
    pub fn put_start_time(to: &mut Outbound, since: NtpTime) {
        to.put(&join::<BLOCK>(&[&since.to_bytes()]));
    }

    /// Reads the other part; zero of a server that refused.
    ///
    /// # Errors
    /// It does not come.
    pub fn read_start_time<R: Read>(from: &mut Inbound<R>) -> Result<NtpTime, Failed> {
        Ok(NtpTime::from_bytes(Fields::of(&from.array::<BLOCK>()?).array()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_filled_up_with_zeros() {
        for name in ["", "iepm", "J\u{e9}r\u{f4}me", &"x".repeat(80)] {
            assert_eq!(KeyId::new(name).expect("short").name(), Some(name));
        }
        assert_eq!(KeyId::new(&"x".repeat(81)), None);
        assert_eq!(KeyId::new("a\0b"), None);
        for bad in [&[0xff_u8][..], b"a\0b"] {
            assert_eq!(KeyId(join(&[bad])).name(), None);
        }
    }

    #[test]
    fn a_client_takes_one_mode() {
        let mut bytes = SetUpResponse::open().to_bytes();
        assert_eq!(SetUpResponse::from_bytes(&bytes), Ok(SetUpResponse::open()));
        for modes in [0, 3, 7, 8] {
            bytes[3] = modes;
            let wrong = SetUpResponse::from_bytes(&bytes).expect_err("several or none").to_string();
            assert!(wrong.starts_with("Set-Up-Response: Mode: "), "{wrong}");
        }
    }
}
