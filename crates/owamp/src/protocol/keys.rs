//! Keys: of a control connection, from a shared passphrase, and of a test session, from those.

use std::fmt;

use aes::{
    Aes128, Block,
    cipher::{BlockDecryptMut, BlockEncrypt, BlockEncryptMut, KeyInit, KeyIvInit},
};
use sha1::Sha1;

use super::Sid;

/// A cipher block's octets: all control messages are made of such.
pub const BLOCK: usize = 16;
/// Octets of a Token.
pub const TOKEN: usize = 64;

/// The keys of a control connection or of a test session (RFC 4656 sections 3.1 and 4.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Encrypts.
    pub(super) aes: [u8; 16],
    /// Authenticates.
    pub(super) hmac: [u8; 32],
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// The keys of a connection, which whoever opens it makes up: 48 octets that nobody can guess.
    #[must_use]
    pub fn from_random(random: &[u8; 48]) -> Self {
        let (mut aes, mut hmac) = ([0; 16], [0; 32]);
        aes.copy_from_slice(&random[..16]);
        hmac.copy_from_slice(&random[16..]);
        Self { aes, hmac }
    }

    /// The keys of the test session `sid` of this control connection: its own, enciphered with the session's
    /// identifier as the key (RFC 4656 section 4.1).
    #[must_use]
    pub fn of_session(&self, sid: Sid) -> Self {
        let mut aes = Block::from(self.aes);
        Aes128::new(&sid.0.into()).encrypt_block(&mut aes);
        let mut chain = cbc::Encryptor::<Aes128>::new(&sid.0.into(), &Block::default());
        let mut hmac = self.hmac;
        for block in hmac.chunks_exact_mut(BLOCK) {
            chain.encrypt_block_mut(Block::from_mut_slice(block));
        }
        Self { aes: aes.into(), hmac }
    }
}

/// What a passphrase makes of a greeting's challenge: it proves that both sides know it, and carries the
/// connection's keys (RFC 4656 section 3.1).
#[derive(Clone)]
pub struct Passphrase(Vec<u8>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// A secret that both sides know.
    #[must_use]
    pub const fn new(secret: Vec<u8>) -> Self {
        Self(secret)
    }

    fn key(&self, salt: &[u8; 16], count: u32) -> [u8; 16] {
        pbkdf2::pbkdf2_hmac_array::<Sha1, 16>(&self.0, salt, count)
    }

    /// The Token of a Set-Up-Response. Takes as long as `count` says: about a microsecond for each two.
    #[must_use]
    pub fn token(
        &self,
        challenge: &[u8; 16],
        salt: &[u8; 16],
        count: u32,
        keys: &Keys,
    ) -> [u8; TOKEN] {
        let mut token = [0; TOKEN];
        token[..16].copy_from_slice(challenge);
        token[16..32].copy_from_slice(&keys.aes);
        token[32..].copy_from_slice(&keys.hmac);
        let key = self.key(salt, count);
        let mut chain = cbc::Encryptor::<Aes128>::new(&key.into(), &Block::default());
        for block in token.chunks_exact_mut(BLOCK) {
            chain.encrypt_block_mut(Block::from_mut_slice(block));
        }
        token
    }

    /// The keys in a Token; none if it answers another challenge, or was made with another passphrase.
    #[must_use]
    pub fn open(
        &self,
        token: &[u8; TOKEN],
        challenge: &[u8; 16],
        salt: &[u8; 16],
        count: u32,
    ) -> Option<Keys> {
        let mut plain = *token;
        let key = self.key(salt, count);
        let mut chain = cbc::Decryptor::<Aes128>::new(&key.into(), &Block::default());
        for block in plain.chunks_exact_mut(BLOCK) {
            chain.decrypt_block_mut(Block::from_mut_slice(block));
        }
        let (answer, keys) = plain.split_first_chunk::<16>()?;
        (answer == challenge).then(|| keys.first_chunk().map(Keys::from_random)).flatten()
    }
}
