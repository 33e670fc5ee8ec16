//! How a control connection and its test packets are protected.

use std::fmt;

/// What protects a control connection and its sessions (RFC 4656 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing.
    Open = 1,
    /// Control is encrypted; of test packets the number is, and authenticated.
    Authenticated = 2,
    /// Test packets' times are encrypted, too.
    Encrypted = 4,
}

impl Mode {
    /// All, the strongest first.
    pub const ALL: [Self; 3] = [Self::Encrypted, Self::Authenticated, Self::Open];

    /// From a Set-Up-Response; none if it names no mode, or several.
    #[must_use]
    pub const fn of(bits: u32) -> Option<Self> {
        match bits {
            1 => Some(Self::Open),
            2 => Some(Self::Authenticated),
            4 => Some(Self::Encrypted),
            _ => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Authenticated => "authenticated",
            Self::Encrypted => "encrypted",
        })
    }
}

/// A set of modes, as a greeting offers it. None at all says that the server wants nothing to do with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modes(pub u32);

impl Modes {
    /// Whether `mode` is among them.
    #[must_use]
    pub const fn have(self, mode: Mode) -> bool {
        self.0 & mode as u32 != 0
    }
}

impl FromIterator<Mode> for Modes {
    fn from_iter<T: IntoIterator<Item = Mode>>(modes: T) -> Self {
        Self(modes.into_iter().fold(0, |bits, mode| bits | mode as u32))
    }
}

impl fmt::Display for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            Mode::ALL.iter().filter(|mode| self.have(**mode)).map(Mode::to_string).collect();
        if names.is_empty() { f.write_str("none") } else { f.write_str(&names.join(", ")) }
    }
}
