//! How a control connection begins (RFC 4656 section 3.1).

use timed_udp::ntp::NtpTime;

use super::{Accept, Malformed, Mode, Modes, field, keys::TOKEN};

/// Server-Greeting: what the server offers, and its challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting {
    /// What may be chosen from; nothing, if the server wants nothing to do with us.
    pub modes: Modes,
    /// To be answered with a Token.
    pub challenge: [u8; 16],
    /// Of the key of the Token.
    pub salt: [u8; 16],
    /// How often the key is derived from itself, at least 1,024 and a power of two.
    pub count: u32,
}

impl Greeting {
    /// Octets on the wire.
    pub const LENGTH: usize = 64;
    /// A server that asks for more would keep its clients at work for minutes.
    const MOST_COUNT: u32 = 1 << 24;

    /// As on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[12..16].copy_from_slice(&self.modes.0.to_be_bytes());
        bytes[16..32].copy_from_slice(&self.challenge);
        bytes[32..48].copy_from_slice(&self.salt);
        bytes[48..52].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    /// From the wire.
    ///
    /// # Errors
    /// If the count, where one is needed, is no power of two from 1,024 to 2^24.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Result<Self, Malformed> {
        let (modes, count) = (Modes(field::u32(bytes, 12)), field::u32(bytes, 48));
        let sealed = modes.have(Mode::Authenticated) || modes.have(Mode::Encrypted);
        if sealed && !(count.is_power_of_two() && (1_024..=Self::MOST_COUNT).contains(&count)) {
            let why = format!(
                "Count is {count}; it is to be a power of two from 1024 to {}",
                Self::MOST_COUNT
            );
            return Err(Malformed::new("Server-Greeting", why));
        }
        Ok(Self { modes, challenge: field::array(bytes, 16), salt: field::array(bytes, 32), count })
    }
}

/// Set-Up-Response: what the client chose, and its proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetUp {
    /// What it chose; none if it wants nothing that the server offered.
    pub mode: Option<Mode>,
    /// Whose passphrase it is, UTF-8, padded with zeros.
    pub key_id: [u8; 80],
    /// The challenge and the keys, sealed with the passphrase.
    pub token: [u8; TOKEN],
    /// Where the client's stream begins.
    pub client_iv: [u8; 16],
}

impl SetUp {
    /// Octets on the wire.
    pub const LENGTH: usize = 164;

    /// As on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..4].copy_from_slice(&self.mode.map_or(0, |mode| mode as u32).to_be_bytes());
        bytes[4..84].copy_from_slice(&self.key_id);
        bytes[84..148].copy_from_slice(&self.token);
        bytes[148..].copy_from_slice(&self.client_iv);
        bytes
    }

    /// From the wire.
    ///
    /// # Errors
    /// If it names several modes, or one that is none.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Result<Self, Malformed> {
        let bits = field::u32(bytes, 0);
        let mode = Mode::of(bits);
        if mode.is_none() && bits != 0 {
            let why = format!("Mode is {bits:#x}; it is to be one of 1, 2 and 4");
            return Err(Malformed::new("Set-Up-Response", why));
        }
        Ok(Self {
            mode,
            key_id: field::array(bytes, 4),
            token: field::array(bytes, 84),
            client_iv: field::array(bytes, 148),
        })
    }

    /// The name in the key's field; none if it is no UTF-8.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        let length = self.key_id.iter().position(|byte| *byte == 0).unwrap_or(self.key_id.len());
        std::str::from_utf8(&self.key_id[..length]).ok()
    }

    /// The field for a name.
    ///
    /// # Errors
    /// If it is longer than 80 octets, or holds a zero.
    pub fn key_id(user: &str) -> Result<[u8; 80], Malformed> {
        let mut field = [0; 80];
        if user.len() > field.len() || user.contains('\0') {
            let why = format!(
                "the user's name has {} octets; at most 80 and no zero are allowed",
                user.len()
            );
            return Err(Malformed::new("Set-Up-Response", why));
        }
        field[..user.len()].copy_from_slice(user.as_bytes());
        Ok(field)
    }
}

/// Server-Start: whether the server goes on. Its first half is clear in every mode; the second belongs to the
/// server's stream already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerStart {
    /// Whether it goes on.
    pub accept: Accept,
    /// Where the server's stream begins.
    pub server_iv: [u8; 16],
    /// When the server began to listen.
    pub started: NtpTime,
}

impl ServerStart {
    /// Octets of the half that is clear.
    pub const CLEAR: usize = 32;

    /// The clear half as on the wire.
    #[must_use]
    pub fn clear(&self) -> [u8; Self::CLEAR] {
        let mut bytes = [0; Self::CLEAR];
        bytes[15] = self.accept as u8;
        bytes[16..].copy_from_slice(&self.server_iv);
        bytes
    }

    /// The block that opens the server's stream.
    #[must_use]
    pub fn block(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.started.to_bytes());
        bytes
    }

    /// What the clear half tells: whether the server goes on, and where its stream begins.
    ///
    /// # Errors
    /// If its Accept has no meaning.
    pub fn read_clear(bytes: &[u8; Self::CLEAR]) -> Result<(Accept, [u8; 16]), Malformed> {
        Ok((Accept::of("Server-Start", bytes[15])?, field::array(bytes, 16)))
    }
}
