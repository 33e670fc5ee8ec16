//! The small values that messages are made of.

use std::{fmt, net::IpAddr, str::FromStr};

use timed_udp::ntp::NtpTime;

use super::Wrong;

/// A session's identifier: made by its receiver, and the seed of its schedule (RFC 4656 section 3.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sid(pub [u8; 16]);

impl Sid {
    /// The identifier of a session that the host `receiver` receives: its address (of one of IPv6 the last four
    /// octets), the time, and what is left of `random`, which nobody can guess.
    #[must_use]
    pub fn new(receiver: IpAddr, now: NtpTime, random: [u8; 16]) -> Self {
        let address = match receiver {
            IpAddr::V4(v4) => v4.octets(),
            IpAddr::V6(v6) => {
                let [.., a, b, c, d] = v6.octets();
                [a, b, c, d]
            }
        };
        let mut octets = random;
        octets[..4].copy_from_slice(&address);
        octets[4..12].copy_from_slice(&now.to_bytes());
        Self(octets)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({self})")
    }
}

impl FromStr for Sid {
    type Err = String;

    /// 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.len() == 32 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        u128::from_str_radix(text, 16)
            .ok()
            .filter(|_| is_hex)
            .map(|number| Self(number.to_be_bytes()))
            .ok_or_else(|| format!("\"{text}\" is no session: 32 hexadecimal digits are wanted"))
    }
}

/// What a server answers to a request (RFC 4656 section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accept {
    /// It does it.
    Yes,
    /// It does not, for a reason that it does not tell.
    Failure,
    /// Something in it broke.
    InternalError,
    /// It cannot do such a thing.
    NotSupported,
    /// It has not the means, and will not have them.
    PermanentLimit,
    /// It has not the means now.
    TemporaryLimit,
    /// A number without a meaning: a failure.
    Unknown(u8),
}

impl From<u8> for Accept {
    fn from(octet: u8) -> Self {
        match octet {
            0 => Self::Yes,
            1 => Self::Failure,
            2 => Self::InternalError,
            3 => Self::NotSupported,
            4 => Self::PermanentLimit,
            5 => Self::TemporaryLimit,
            other => Self::Unknown(other),
        }
    }
}

impl From<Accept> for u8 {
    fn from(accept: Accept) -> Self {
        match accept {
            Accept::Yes => 0,
            Accept::Failure => 1,
            Accept::InternalError => 2,
            Accept::NotSupported => 3,
            Accept::PermanentLimit => 4,
            Accept::TemporaryLimit => 5,
            Accept::Unknown(other) => other,
        }
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Yes => "accepted",
            Self::Failure => "refused, without a reason",
            Self::InternalError => "an internal error",
            Self::NotSupported => "something of it is not supported",
            Self::PermanentLimit => "a permanent limit",
            Self::TemporaryLimit => "a temporary limit",
            Self::Unknown(number) => return write!(f, "refused, with the unknown number {number}"),
        };
        f.write_str(words)
    }
}

/// How a control connection and its sessions are protected (RFC 4656 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Not at all.
    Open,
    /// Control is encrypted and authenticated; of test packets the numbers are, and not the time stamps.
    Authenticated,
    /// All is.
    Encrypted,
}

impl Mode {
    /// All modes, from the weakest on.
    pub const ALL: [Self; 3] = [Self::Open, Self::Authenticated, Self::Encrypted];

    /// Its bit on the wire.
    #[must_use]
    pub const fn bit(self) -> u32 {
        match self {
            Self::Open => 1,
            Self::Authenticated => 2,
            Self::Encrypted => 4,
        }
    }

    /// The letter by which the tools know it.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Open => 'O',
            Self::Authenticated => 'A',
            Self::Encrypted => 'E',
        }
    }

    pub(super) fn of_bit(bit: u32) -> Result<Self, Wrong> {
        Self::ALL.into_iter().find(|mode| mode.bit() == bit).ok_or_else(|| {
            let what = format!("{bit:#x} is none of 1 (open), 2 (authenticated), 4 (encrypted)");
            Wrong::new("Set-Up-Response", "Mode", what)
        })
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

/// A set of modes, as a server offers them; bits without a meaning here are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Modes(pub u32);

impl Modes {
    /// Whether `mode` is among them.
    #[must_use]
    pub const fn has(self, mode: Mode) -> bool {
        self.0 & mode.bit() != 0
    }

    /// These and `mode`.
    #[must_use]
    pub const fn with(self, mode: Mode) -> Self {
        Self(self.0 | mode.bit())
    }

    /// Those that are in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The strongest one; none if the server does not want to talk to us.
    #[must_use]
    pub fn strongest(self) -> Option<Mode> {
        Mode::ALL.into_iter().rev().find(|mode| self.has(*mode))
    }
}

impl fmt::Display for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            Mode::ALL.iter().filter(|mode| self.has(**mode)).map(Mode::to_string).collect();
        if names.is_empty() { f.write_str("none") } else { f.write_str(&names.join(", ")) }
    }
}

impl FromIterator<Mode> for Modes {
    fn from_iter<I: IntoIterator<Item = Mode>>(modes: I) -> Self {
        modes.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_written_in_hexadecimal_digits_and_read_again() {
        let sid: Sid = "0a00000100000000ff00000000000001".parse().expect("a session");
        assert_eq!(sid.to_string(), "0a00000100000000ff00000000000001");
        for bad in
            ["", "0a", "+a00000100000000ff00000000000001", "0a00000100000000ff0000000000000g"]
        {
            assert!(bad.parse::<Sid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_octet_is_an_answer_and_only_zero_a_yes() {
        for octet in 0..=255 {
            assert_eq!(u8::from(Accept::from(octet)), octet);
            assert_eq!(Accept::from(octet) == Accept::Yes, octet == 0);
        }
    }

    #[test]
    fn the_strongest_mode_of_a_set_is_taken() {
        assert_eq!(Modes(7).strongest(), Some(Mode::Encrypted));
        assert_eq!(Modes(0b1011).and(Modes(0b1001)).strongest(), Some(Mode::Open));
        assert_eq!(Modes(8).strongest(), None);
        assert_eq!(Mode::ALL.into_iter().collect::<Modes>(), Modes(7));
        assert!(Mode::of_bit(3).is_err());
    }
}
