//! Test packets (RFC 4656 section 4.1.2).
//!
//! | octets | open | authenticated | encrypted |
//! |---|---|---|---|
//! | number | 0-3 | 0-3, in a block that is encrypted | 0-3, in the first of two blocks that are encrypted |
//! | time, error | 4-13 | 16-25, clear | 16-25, in the second block |
//! | HMAC | | 32-47, of the first block | 32-47, of both |
//! | padding | from 14 | from 48 | from 48 |

use std::fmt;

use aes::{
    Aes128,
    cipher::{BlockDecrypt, BlockEncrypt},
};
use hmac::Mac;
use timed_udp::ntp::{ErrorEstimate, NtpTime};

use super::{
    Mode, SessionKeys, Sid,
    keys::{BLOCK, HmacSha1, truncated},
};

/// The keys of a session's packets, ready for use.
#[derive(Clone)]
pub struct TestKeys {
    cipher: Aes128,
    hmac: HmacSha1,
}

impl fmt::Debug for TestKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestKeys(..)")
    }
}

impl TestKeys {
    pub(super) fn new(cipher: Aes128, hmac: HmacSha1) -> Self {
        Self { cipher, hmac }
    }

    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        self.cipher.encrypt_block(block.into());
    }

    fn decrypt(&self, block: &mut [u8; BLOCK]) {
        self.cipher.decrypt_block(block.into());
    }

    fn sum(&self, plain: &[u8]) -> HmacSha1 {
        let mut hmac = self.hmac.clone();
        hmac.update(plain);
        hmac
    }
}

/// How the packets of a session are protected.
#[derive(Debug, Clone)]
pub enum PacketKey {
    /// Not at all.
    Open,
    /// Their numbers are encrypted and authenticated.
    Authenticated(Box<TestKeys>),
    /// Their numbers and times are.
    Encrypted(Box<TestKeys>),
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestPacket {
    /// Its number in the session, from 0.
    pub seq: u32,
    /// When it was sent.
    pub sent: NtpTime,
    /// How far that may be wrong.
    pub error: ErrorEstimate,
}

/// Why something is no packet of a session, or cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Shorter than the shortest packet.
    TooShort,
    /// Its HMAC is not right: it is not of this session's sender, or was changed.
    NotAuthentic,
    /// Its error estimate is zero, which RFC 4656 forbids.
    NoEstimate,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "it is shorter than a packet of its mode can be",
            Self::NotAuthentic => "its HMAC is wrong",
            Self::NoEstimate => "its error estimate is zero",
        })
    }
}

impl std::error::Error for Fault {}

/// Octets of a sealed packet up to its padding.
const SEALED: usize = 3 * BLOCK;

impl PacketKey {
    /// For the packets of the session `sid` of a control connection in `mode`. None if the mode wants keys and there
    /// are none.
    #[must_use]
    pub fn of_session(mode: Mode, keys: Option<&SessionKeys>, sid: &Sid) -> Option<Self> {
        let keys = || keys.map(|keys| Box::new(keys.of_session(sid)));
        match mode {
            Mode::Open => Some(Self::Open),
            Mode::Authenticated => keys().map(Self::Authenticated),
            Mode::Encrypted => keys().map(Self::Encrypted),
        }
    }

    /// The mode that it belongs to.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self {
            Self::Open => Mode::Open,
            Self::Authenticated(_) => Mode::Authenticated,
            Self::Encrypted(_) => Mode::Encrypted,
        }
    }

    /// Octets of a packet without padding.
    #[must_use]
    pub const fn shortest(mode: Mode) -> usize {
        match mode {
            Mode::Open => 14,
            Mode::Authenticated | Mode::Encrypted => SEALED,
        }
    }

    /// Makes a packet of number `seq` in `buffer`; what follows the packet's fields there is its padding. It is
    /// [`Self::prepare`] and [`Self::stamp`].
    ///
    /// # Errors
    /// The buffer is too short.
    pub fn seal(
        &self,
        seq: u32,
        sent: NtpTime,
        error: ErrorEstimate,
        buffer: &mut [u8],
    ) -> Result<(), Fault> {
        self.prepare(seq, buffer)?;
        self.stamp(seq, sent, error, buffer)
    }

    /// Does what can be done before the time of sending is known: in authenticated mode that is all the cryptography,
    /// in encrypted mode half of the encryption.
    ///
    /// # Errors
    /// The buffer is too short.
    pub fn prepare(&self, seq: u32, buffer: &mut [u8]) -> Result<(), Fault> {
        match self {
            Self::Open => {
                let packet = buffer.first_chunk_mut::<14>().ok_or(Fault::TooShort)?;
                packet[..4].copy_from_slice(&seq.to_be_bytes());
            }
            Self::Authenticated(keys) => {
                let packet = buffer.first_chunk_mut::<SEALED>().ok_or(Fault::TooShort)?;
                let ([first, times, sum], _) = packet.as_chunks_mut::<BLOCK>() else {
                    return Err(Fault::TooShort);
                };
                *first = numbered(seq);
                *times = [0; BLOCK];
                *sum = truncated(keys.sum(first));
                keys.encrypt(first);
            }
            Self::Encrypted(keys) => {
                let first = buffer.first_chunk_mut::<SEALED>().ok_or(Fault::TooShort)?;
                let first = first.first_chunk_mut::<BLOCK>().ok_or(Fault::TooShort)?;
                *first = numbered(seq);
                keys.encrypt(first);
            }
        }
        Ok(())
    }

    /// Puts the time of sending into a packet that was prepared with the same number: the last thing before it goes.
    ///
    /// # Errors
    /// The buffer is too short.
    pub fn stamp(
        &self,
        seq: u32,
        sent: NtpTime,
        error: ErrorEstimate,
        buffer: &mut [u8],
    ) -> Result<(), Fault> {
        let at = if matches!(self, Self::Open) { 4 } else { BLOCK };
        if buffer.len() < Self::shortest(self.mode()) {
            return Err(Fault::TooShort);
        }
        let Self::Encrypted(keys) = self else {
            buffer[at..at + 8].copy_from_slice(&sent.to_bytes());
            buffer[at + 8..at + 10].copy_from_slice(&error.to_bytes());
            return Ok(());
        };
        let packet = buffer.first_chunk_mut::<SEALED>().ok_or(Fault::TooShort)?;
        let ([first, times, sum], _) = packet.as_chunks_mut::<BLOCK>() else {
            return Err(Fault::TooShort);
        };
        *times = [0; BLOCK];
        times[..8].copy_from_slice(&sent.to_bytes());
        times[8..10].copy_from_slice(&error.to_bytes());
        let mut hmac = keys.sum(&numbered(seq));
        hmac.update(times);
        *sum = truncated(hmac);
        chain(times, first);
        keys.encrypt(times);
        Ok(())
    }

    /// What a packet carries.
    ///
    /// # Errors
    /// It is no packet of this session.
    pub fn open(&self, packet: &[u8]) -> Result<TestPacket, Fault> {
        let Some(keys) = self.keys() else {
            let packet = packet.first_chunk::<14>().ok_or(Fault::TooShort)?;
            return carried(&packet[..4], &packet[4..]);
        };
        let packet = packet.first_chunk::<SEALED>().ok_or(Fault::TooShort)?;
        let ([first, times, sum], _) = packet.as_chunks::<BLOCK>() else {
            return Err(Fault::TooShort);
        };
        let (mut number, mut times) = (*first, *times);
        keys.decrypt(&mut number);
        let mut hmac = keys.sum(&number);
        if matches!(self, Self::Encrypted(_)) {
            keys.decrypt(&mut times);
            chain(&mut times, first);
            hmac.update(&times);
        }
        hmac.verify_truncated_left(sum).map_err(|_| Fault::NotAuthentic)?;
        carried(&number[..4], &times)
    }

    fn keys(&self) -> Option<&TestKeys> {
        match self {
            Self::Open => None,
            Self::Authenticated(keys) | Self::Encrypted(keys) => Some(keys),
        }
    }
}

/// The first block of a packet.
fn numbered(seq: u32) -> [u8; BLOCK] {
    super::fields::join(&[&seq.to_be_bytes()])
}

/// The chaining of CBC mode.
fn chain(block: &mut [u8; BLOCK], before: &[u8; BLOCK]) {
    block.iter_mut().zip(before).for_each(|(octet, other)| *octet ^= other);
}

fn carried(number: &[u8], times: &[u8]) -> Result<TestPacket, Fault> {
    let seq = number.first_chunk().ok_or(Fault::TooShort)?;
    let sent = times.first_chunk().ok_or(Fault::TooShort)?;
    let error = times[8..].first_chunk().ok_or(Fault::TooShort)?;
    Ok(TestPacket {
        seq: u32::from_be_bytes(*seq),
        sent: NtpTime::from_bytes(*sent),
        error: ErrorEstimate::from_bytes(*error).ok_or(Fault::NoEstimate)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{SessionKeys, Sid};

    fn all(sid: u8) -> [PacketKey; 3] {
        let keys = SessionKeys::new([17; 48]).of_session(&Sid([sid; 16]));
        [
            PacketKey::Open,
            PacketKey::Authenticated(Box::new(keys.clone())),
            PacketKey::Encrypted(Box::new(keys)),
        ]
    }

    const ERROR: ErrorEstimate =
        ErrorEstimate { synchronised: true, z: false, scale: 5, multiplier: 9 };

    #[test]
    fn a_packet_of_another_session_is_not_authentic() {
        let mut buffer = [0; 60];
        for (key, other) in all(1).iter().zip(&all(2)).skip(1) {
            key.seal(8, NtpTime(77), ERROR, &mut buffer).expect("room");
            assert_eq!(other.open(&buffer), Err(Fault::NotAuthentic));
        }
    }

    #[test]
    fn a_changed_number_is_found_and_in_encrypted_mode_a_changed_time_too() {
        let [_, authenticated, encrypted] = all(1);
        for (key, ends) in [(authenticated, [0..16, 32..48]), (encrypted, [0..32, 32..48])] {
            let mut buffer = [0; 48];
            key.seal(8, NtpTime(77), ERROR, &mut buffer).expect("room");
            for at in ends.into_iter().flatten() {
                let mut changed = buffer;
                changed[at] ^= 4;
                assert_eq!(key.open(&changed), Err(Fault::NotAuthentic), "octet {at}");
            }
        }
    }

    #[test]
    fn an_estimate_of_zero_is_no_packet() {
        assert_eq!(PacketKey::Open.open(&[0; 14]), Err(Fault::NoEstimate));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_padding_stays(
            seq: u32, sent: u64, multiplier in 1_u8.., scale in 0_u8..64, padding in 0_usize..100,
        ) {
            let error = ErrorEstimate { scale, multiplier, ..ERROR };
            for key in all(3) {
                let shortest = PacketKey::shortest(key.mode());
                let mut buffer = vec![0xa5; shortest + padding];
                key.seal(seq, NtpTime(sent), error, &mut buffer).expect("room");
                prop_assert!(buffer[shortest..].iter().all(|octet| *octet == 0xa5));
                let packet = TestPacket { seq, sent: NtpTime(sent), error };
                prop_assert_eq!(key.open(&buffer), Ok(packet));
                prop_assert_eq!(key.open(&buffer[..shortest - 1]), Err(Fault::TooShort));
                let mut short = vec![0; shortest - 1];
                prop_assert_eq!(key.seal(seq, NtpTime(sent), error, &mut short), Err(Fault::TooShort));
            }
        }

        #[test]
        fn whatever_comes_is_a_packet_or_a_fault(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            for key in all(3) {
                let _ = key.open(&octets);
            }
        }
    }
}
