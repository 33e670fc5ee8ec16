//! Keys: from a passphrase to those of a control connection (RFC 4656 section 3.1) and of a session (4.1).

use std::fmt;

use aes::{
    Aes128,
    cipher::{BlockDecryptMut, BlockEncrypt, BlockEncryptMut, KeyInit, KeyIvInit},
};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::{Kind, Sid, Wrong, packet::TestKeys};

pub(super) type HmacSha1 = Hmac<Sha1>;
pub(super) type Decryptor = cbc::Decryptor<Aes128>;
pub(super) type Encryptor = cbc::Encryptor<Aes128>;

/// Octets that AES and the HMACs of OWAMP are made of.
pub const BLOCK: usize = 16;
/// The least number of rounds that a server may ask for (RFC 4656 section 3.1).
pub const FEWEST_ROUNDS: u32 = 1024;
/// The greatest number of rounds that is computed for a server: some 100 ms; a hostile one would ask for 2^31.
pub const MOST_ROUNDS: u32 = 1 << 17;

/// A shared secret.
#[derive(Clone, PartialEq, Eq)]
pub struct PassPhrase(pub Vec<u8>);

impl fmt::Debug for PassPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassPhrase(..)")
    }
}

/// What turns a passphrase into the key of a Token: a server tells it in its greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Derivation {
    salt: [u8; BLOCK],
    rounds: u32,
}

impl Derivation {
    /// # Errors
    /// The number of rounds is no power of two, or not in [`FEWEST_ROUNDS`]..=[`MOST_ROUNDS`].
    pub fn new(salt: [u8; BLOCK], rounds: u32) -> Result<Self, Wrong> {
        let wrong = |what| Wrong::new("Server-Greeting", "Count", what);
        if !rounds.is_power_of_two() || rounds < FEWEST_ROUNDS {
            let what = format!("{rounds} is no power of two of at least {FEWEST_ROUNDS}");
            return Err(wrong(what));
        }
        if rounds > MOST_ROUNDS {
            let what = format!("{rounds} rounds are more than the {MOST_ROUNDS} that are computed");
            return Err(wrong(what).of_kind(Kind::TooMuch));
        }
        Ok(Self { salt, rounds })
    }

    /// PBKDF2 with HMAC-SHA1 (RFC 2898).
    fn token_key(&self, secret: &PassPhrase) -> [u8; BLOCK] {
        pbkdf2::pbkdf2_hmac_array::<Sha1, BLOCK>(&secret.0, &self.salt, self.rounds)
    }
}

/// The keys of a control connection, which its client makes.
#[derive(Clone)]
pub struct SessionKeys {
    pub(super) aes: [u8; BLOCK],
    pub(super) hmac: [u8; 2 * BLOCK],
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}

impl SessionKeys {
    /// Keys of random octets: those of AES, then those of HMAC.
    #[must_use]
    pub fn new(random: [u8; 3 * BLOCK]) -> Self {
        let mut keys = Self { aes: [0; BLOCK], hmac: [0; 2 * BLOCK] };
        keys.aes.copy_from_slice(&random[..BLOCK]);
        keys.hmac.copy_from_slice(&random[BLOCK..]);
        keys
    }

    /// The Token by which a client hands its keys, and shows that it has the secret: challenge and keys, encrypted.
    #[must_use]
    pub fn to_token(
        &self,
        challenge: &[u8; BLOCK],
        secret: &PassPhrase,
        how: &Derivation,
    ) -> [u8; 4 * BLOCK] {
        let mut token = [0; 4 * BLOCK];
        token[..BLOCK].copy_from_slice(challenge);
        token[BLOCK..2 * BLOCK].copy_from_slice(&self.aes);
        token[2 * BLOCK..].copy_from_slice(&self.hmac);
        let mut cipher = Encryptor::new(&how.token_key(secret).into(), &[0; BLOCK].into());
        for block in token.chunks_exact_mut(BLOCK) {
            cipher.encrypt_block_mut(block.into());
        }
        token
    }

    /// The keys in a Token.
    ///
    /// # Errors
    /// It does not hold the challenge: whoever made it has another secret.
    pub fn from_token(
        token: &[u8; 4 * BLOCK],
        challenge: &[u8; BLOCK],
        secret: &PassPhrase,
        how: &Derivation,
    ) -> Result<Self, Wrong> {
        let mut plain = *token;
        let mut cipher = Decryptor::new(&how.token_key(secret).into(), &[0; BLOCK].into());
        for block in plain.chunks_exact_mut(BLOCK) {
            cipher.decrypt_block_mut(block.into());
        }
        let (theirs, keys) = plain.split_at(BLOCK);
        if !bool::from(theirs.ct_eq(challenge)) {
            let what = "it does not hold the challenge: it was made with another passphrase";
            return Err(Wrong::new("Set-Up-Response", "Token", what).of_kind(Kind::NotAuthentic));
        }
        let mut random = [0; 3 * BLOCK];
        random.copy_from_slice(keys);
        Ok(Self::new(random))
    }

    pub(super) fn keyed_hmac(&self) -> HmacSha1 {
        keyed(&self.hmac)
    }

    /// The keys of a session's test packets: these keys, encrypted with the session's identifier as the key (RFC
    /// 4656 section 4.1.2).
    #[must_use]
    pub fn of_session(&self, sid: &Sid) -> TestKeys {
        let mut aes = self.aes.into();
        Aes128::new(&sid.0.into()).encrypt_block(&mut aes);
        let mut hmac = self.hmac;
        let mut cipher = Encryptor::new(&sid.0.into(), &[0; BLOCK].into());
        for block in hmac.chunks_exact_mut(BLOCK) {
            cipher.encrypt_block_mut(block.into());
        }
        TestKeys::new(Aes128::new(&aes), keyed(&hmac))
    }
}

fn keyed(key: &[u8; 2 * BLOCK]) -> HmacSha1 {
    // A key that is shorter than a block of SHA-1 is filled up with zeros (RFC 2104).
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    <HmacSha1 as KeyInit>::new(&block.into())
}

/// The first half of an HMAC of SHA-1, which is what OWAMP sends.
pub(super) fn truncated(hmac: HmacSha1) -> [u8; BLOCK] {
    let whole = hmac.finalize().into_bytes();
    let mut first = [0; BLOCK];
    first.copy_from_slice(&whole[..BLOCK]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_through_a_token_to_whoever_has_the_secret() {
        let how = Derivation::new([7; BLOCK], FEWEST_ROUNDS).expect("enough");
        let (secret, challenge) = (PassPhrase(b"secret".to_vec()), [9; BLOCK]);
        let keys = SessionKeys::new([3; 3 * BLOCK]);
        let token = keys.to_token(&challenge, &secret, &how);
        let got = SessionKeys::from_token(&token, &challenge, &secret, &how).expect("the same");
        assert_eq!((got.aes, got.hmac), (keys.aes, keys.hmac));
        for (token, challenge, secret) in [
            (token, challenge, PassPhrase(b"Secret".to_vec())),
            (token, [8; BLOCK], secret.clone()),
            ([0; 4 * BLOCK], challenge, secret.clone()),
        ] {
            let wrong = SessionKeys::from_token(&token, &challenge, &secret, &how);
            assert_eq!(wrong.expect_err("another").kind, Kind::NotAuthentic);
        }
    }

    #[test]
    fn a_server_that_asks_for_too_little_or_too_much_work_is_not_obeyed() {
        for rounds in [0, 1, 512, 1_500, 1 << 18, 1 << 31, u32::MAX] {
            assert!(Derivation::new([0; BLOCK], rounds).is_err(), "{rounds}");
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let shown = format!("{:?} {:?}", PassPhrase(b"AAAA".to_vec()), SessionKeys::new([65; 48]));
        assert!(!shown.contains("65") && !shown.contains("AAAA"), "{shown}");
    }
}
