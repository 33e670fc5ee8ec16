//! The two directions of a control connection: encrypted and authenticated, or, in open mode, as they are.

use std::fmt;

use aes::{
    Aes128, Block,
    cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit},
};
use hmac::{Hmac, Mac};
use sha1::Sha1;

use super::{
    Malformed,
    keys::{BLOCK, Keys},
};

type Authenticator = Hmac<Sha1>;

pub(super) fn authenticator(keys: &Keys) -> Authenticator {
    // An HMAC takes keys of any length.
    <Authenticator as Mac>::new_from_slice(&keys.hmac).expect("any length")
}

/// What we send. Every octet of a connection is authenticated by the HMAC that comes after it, and by one only (RFC
/// 4656 section 3.2); the HMAC is encrypted with the rest.
pub struct Outgoing(Option<(cbc::Encryptor<Aes128>, Authenticator)>);

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Outgoing(sealed)" } else { "Outgoing(open)" })
    }
}

impl Outgoing {
    /// In open mode.
    #[must_use]
    pub const fn open() -> Self {
        Self(None)
    }

    /// With the connection's keys and the initialization vector that we have told.
    #[must_use]
    pub fn sealed(keys: &Keys, iv: [u8; 16]) -> Self {
        Self(Some((cbc::Encryptor::new(&keys.aes.into(), &iv.into()), authenticator(keys))))
    }

    /// Adds `plain`, whole blocks, to what goes out.
    pub fn add(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        debug_assert_eq!(plain.len() % BLOCK, 0, "whole blocks");
        let start = out.len();
        out.extend_from_slice(plain);
        if let Some((chain, mac)) = &mut self.0 {
            mac.update(plain);
            encrypt(chain, &mut out[start..]);
        }
    }

    /// Adds the HMAC of what was added since the last one; zeros in open mode.
    pub fn add_hmac(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; BLOCK]);
        if let Some((chain, mac)) = &mut self.0 {
            let digest = mac.finalize_reset().into_bytes();
            out[start..].copy_from_slice(&digest[..BLOCK]);
            encrypt(chain, &mut out[start..]);
        }
    }
}

fn encrypt(chain: &mut cbc::Encryptor<Aes128>, blocks: &mut [u8]) {
    for block in blocks.chunks_exact_mut(BLOCK) {
        chain.encrypt_block_mut(Block::from_mut_slice(block));
    }
}

/// What we receive.
pub struct Incoming(Option<(cbc::Decryptor<Aes128>, Authenticator)>);

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Incoming(sealed)" } else { "Incoming(open)" })
    }
}

impl Incoming {
    /// In open mode.
    #[must_use]
    pub const fn open() -> Self {
        Self(None)
    }

    /// With the connection's keys and the initialization vector that the other side told.
    #[must_use]
    pub fn sealed(keys: &Keys, iv: [u8; 16]) -> Self {
        Self(Some((cbc::Decryptor::new(&keys.aes.into(), &iv.into()), authenticator(keys))))
    }

    /// Makes what came, whole blocks, readable in its place. It is not to be believed before its HMAC was checked.
    pub fn take(&mut self, bytes: &mut [u8]) {
        debug_assert_eq!(bytes.len() % BLOCK, 0, "whole blocks");
        if let Some((chain, mac)) = &mut self.0 {
            decrypt(chain, bytes);
            mac.update(bytes);
        }
    }

    /// Checks the HMAC of all that was taken since the last one. In open mode it is not looked at.
    ///
    /// # Errors
    /// If it is another one: somebody changed what was sent, or has other keys.
    pub fn check(&mut self, message: &'static str, mut hmac: [u8; BLOCK]) -> Result<(), Malformed> {
        let Some((chain, mac)) = &mut self.0 else { return Ok(()) };
        decrypt(chain, &mut hmac);
        let whole = mac.clone();
        mac.reset();
        // In constant time.
        let told = whole.verify_truncated_left(&hmac);
        told.map_err(|_| Malformed::new(message, "its HMAC is not that of what came"))
    }
}

fn decrypt(chain: &mut cbc::Decryptor<Aes128>, blocks: &mut [u8]) {
    for block in blocks.chunks_exact_mut(BLOCK) {
        chain.decrypt_block_mut(Block::from_mut_slice(block));
    }
}
