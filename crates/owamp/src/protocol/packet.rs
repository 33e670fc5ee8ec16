//! Test packets (RFC 4656 section 4.1.2).

use std::fmt;

use aes::{
    Aes128, Block,
    cipher::{BlockDecrypt, BlockDecryptMut, BlockEncrypt, BlockEncryptMut, KeyInit, KeyIvInit},
};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use timed_udp::ntp::{ErrorEstimate, NtpTime};

use super::{
    Mode, field,
    keys::{BLOCK, Keys},
    seal::authenticator,
};

/// What a test packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestPacket {
    /// Its number in the session, from 0.
    pub seq: u32,
    /// When it was sent.
    pub sent: NtpTime,
    /// How far that may be wrong.
    pub error: ErrorEstimate,
}

/// How a session's packets are made and read.
#[derive(Clone)]
pub enum PacketKey {
    /// Anybody can read and forge them.
    Open,
    /// The number is encrypted and authenticated; the time is clear, so that it can be taken last.
    Authenticated(Box<Ciphers>),
    /// Number and time are.
    Encrypted(Box<Ciphers>),
}

/// A session's keys, made ready.
#[derive(Clone)]
pub struct Ciphers {
    block: Aes128,
    key: [u8; 16],
    mac: Hmac<Sha1>,
}

impl fmt::Debug for PacketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketKey({})", self.mode())
    }
}

/// Where the fields of a sealed packet are.
const SEALED_TIME: usize = 16;
const SEALED_HMAC: usize = 32;

impl PacketKey {
    /// For packets of a session with these keys (its own: [`Keys::of_session`]).
    #[must_use]
    pub fn new(mode: Mode, session: &Keys) -> Self {
        let ciphers = || {
            let (block, mac) = (Aes128::new(&session.aes.into()), authenticator(session));
            Box::new(Ciphers { block, key: session.aes, mac })
        };
        match mode {
            Mode::Open => Self::Open,
            Mode::Authenticated => Self::Authenticated(ciphers()),
            Mode::Encrypted => Self::Encrypted(ciphers()),
        }
    }

    const fn mode(&self) -> Mode {
        match self {
            Self::Open => Mode::Open,
            Self::Authenticated(_) => Mode::Authenticated,
            Self::Encrypted(_) => Mode::Encrypted,
        }
    }

    /// Octets of a packet without padding.
    #[must_use]
    pub const fn smallest(&self) -> usize {
        match self {
            Self::Open => 14,
            Self::Authenticated(_) | Self::Encrypted(_) => 48,
        }
    }

    /// Makes a packet ready in `buffer`, which is as long as the packet and holds its padding; [`Self::stamp`] adds the
    /// time.
    pub fn prepare(&self, seq: u32, buffer: &mut [u8]) {
        buffer[..4].copy_from_slice(&seq.to_be_bytes());
        match self {
            Self::Open => {}
            Self::Authenticated(ciphers) => {
                buffer[4..BLOCK].fill(0);
                let hmac = ciphers.hmac(&buffer[..BLOCK]);
                ciphers.block.encrypt_block(Block::from_mut_slice(&mut buffer[..BLOCK]));
                buffer[26..SEALED_HMAC].fill(0);
                buffer[SEALED_HMAC..SEALED_HMAC + BLOCK].copy_from_slice(&hmac);
            }
            Self::Encrypted(_) => {
                buffer[4..BLOCK].fill(0);
                buffer[26..SEALED_HMAC].fill(0);
            }
        }
    }

    /// Adds the time to a packet that was made ready: the last that happens before it is sent.
    pub fn stamp(&self, sent: NtpTime, error: ErrorEstimate, buffer: &mut [u8]) {
        let at = if matches!(self, Self::Open) { 4 } else { SEALED_TIME };
        buffer[at..at + 8].copy_from_slice(&sent.to_bytes());
        buffer[at + 8..at + 10].copy_from_slice(&error.to_bytes());
        if let Self::Encrypted(ciphers) = self {
            let hmac = ciphers.hmac(&buffer[..SEALED_HMAC]);
            let mut chain = cbc::Encryptor::<Aes128>::new(&ciphers.key.into(), &Block::default());
            for block in buffer[..SEALED_HMAC].chunks_exact_mut(BLOCK) {
                chain.encrypt_block_mut(Block::from_mut_slice(block));
            }
            buffer[SEALED_HMAC..SEALED_HMAC + BLOCK].copy_from_slice(&hmac);
        }
    }

    /// Reads a packet. None if it is too short, is not authentic, or says that it knows nothing of its time.
    #[must_use]
    pub fn read(&self, bytes: &[u8]) -> Option<TestPacket> {
        if bytes.len() < self.smallest() {
            return None;
        }
        match self {
            Self::Open => fields(bytes, 4),
            Self::Authenticated(ciphers) => {
                let mut clear: [u8; SEALED_HMAC] = field::array(bytes, 0);
                ciphers.block.decrypt_block(Block::from_mut_slice(&mut clear[..BLOCK]));
                ciphers.check(&clear[..BLOCK], bytes)?;
                fields(&clear, SEALED_TIME)
            }
            Self::Encrypted(ciphers) => {
                let mut clear: [u8; SEALED_HMAC] = field::array(bytes, 0);
                let mut chain =
                    cbc::Decryptor::<Aes128>::new(&ciphers.key.into(), &Block::default());
                for block in clear.chunks_exact_mut(BLOCK) {
                    chain.decrypt_block_mut(Block::from_mut_slice(block));
                }
                ciphers.check(&clear, bytes)?;
                fields(&clear, SEALED_TIME)
            }
        }
    }
}

fn fields(bytes: &[u8], time: usize) -> Option<TestPacket> {
    let sent = NtpTime(field::u64(bytes, time));
    let error = ErrorEstimate::from_bytes(field::array(bytes, time + 8))?;
    Some(TestPacket { seq: field::u32(bytes, 0), sent, error })
}

impl Ciphers {
    fn hmac(&self, clear: &[u8]) -> [u8; BLOCK] {
        let mut mac = self.mac.clone();
        mac.update(clear);
        field::array(&mac.finalize().into_bytes(), 0)
    }

    /// Whether the packet's HMAC is that of what it says, in constant time.
    fn check(&self, clear: &[u8], packet: &[u8]) -> Option<()> {
        let mut mac = self.mac.clone();
        mac.update(clear);
        mac.verify_truncated_left(&packet[SEALED_HMAC..SEALED_HMAC + BLOCK]).ok()
    }
}
