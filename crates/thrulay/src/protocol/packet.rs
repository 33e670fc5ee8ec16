//! Packets of a UDP test.

use timed_udp::ntp::NtpTime;

use super::Token;

/// Octets of a packet without padding, headers not counted.
pub const PACKET: usize = 32;
/// The number of a packet that only shows that there is a way: it is of no test.
pub const HELLO: u32 = u32::MAX;

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestPacket {
    /// The test's.
    pub token: Token,
    /// Its number, from 0, or [`HELLO`].
    pub number: u32,
    /// When it was sent, by the client's clock.
    pub sent: NtpTime,
}

impl TestPacket {
    /// Writes it to the begin of `octets`, of which there are [`PACKET`] at least; else nothing.
    pub fn write(&self, octets: &mut [u8]) {
        let Some(base) = octets.first_chunk_mut::<PACKET>() else { return };
        *base = [0; PACKET];
        base[..16].copy_from_slice(&self.token.0);
        base[16..20].copy_from_slice(&self.number.to_be_bytes());
        base[24..].copy_from_slice(&self.sent.to_bytes());
    }

    /// Reads it; none if it is too short, or not of the test that has this token. How long that takes tells nothing of
    /// the token.
    #[must_use]
    pub fn read(octets: &[u8], token: &Token) -> Option<Self> {
        use subtle::ConstantTimeEq;

        let base = octets.first_chunk::<PACKET>()?;
        let theirs = Token(*base.first_chunk()?);
        if !bool::from(theirs.0.ct_eq(&token.0)) {
            return None;
        }
        let number = u32::from_be_bytes(*base[16..].first_chunk()?);
        let sent = NtpTime::from_bytes(*base[24..].first_chunk()?);
        Some(Self { token: theirs, number, sent })
    }
}
