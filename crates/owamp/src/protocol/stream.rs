//! The two directions of a control connection: octets in, octets out, encrypted and authenticated by their mode.
//!
//! In the authenticated and the encrypted mode either direction is one stream of AES in CBC mode, over all messages,
//! and each HMAC is over what was sent since the one before (RFC 4656 sections 3.1 and 3.2). In open mode HMACs are
//! zero and not looked at.

use std::{fmt, io::Read};

use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use hmac::Mac;

use super::{
    Failed, Kind, SessionKeys, Wrong,
    keys::{BLOCK, Decryptor, Encryptor, HmacSha1, truncated},
};

/// An HMAC of what passed since the last one.
struct Running {
    keyed: HmacSha1,
    sum: HmacSha1,
}

impl Running {
    fn new(keys: &SessionKeys) -> Self {
        let keyed = keys.keyed_hmac();
        Self { sum: keyed.clone(), keyed }
    }

    /// Gives the sum, and begins anew.
    fn take(&mut self) -> HmacSha1 {
        std::mem::replace(&mut self.sum, self.keyed.clone())
    }
}

/// The direction that is read. It reads what it is asked for and no further, up to the end of a block.
pub struct Inbound<R> {
    from: R,
    sealed: Option<(Decryptor, Running)>,
    /// What was read of the last block and not yet given.
    rest: [u8; BLOCK],
    left: usize,
}

impl<R> fmt::Debug for Inbound<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").field("sealed", &self.sealed.is_some()).finish_non_exhaustive()
    }
}

impl<R: Read> Inbound<R> {
    /// In open mode.
    pub fn open(from: R) -> Self {
        Self { from, sealed: None, rest: [0; BLOCK], left: 0 }
    }

    /// In the other modes, with the initial vector of whoever sends.
    pub fn sealed(from: R, keys: &SessionKeys, iv: &[u8; BLOCK]) -> Self {
        let sealed = (Decryptor::new(&keys.aes.into(), iv.into()), Running::new(keys));
        Self { sealed: Some(sealed), ..Self::open(from) }
    }

    /// What it reads from.
    pub fn from(&mut self) -> &mut R {
        &mut self.from
    }

    /// Fills `into` with the next octets. Calls for less than whole blocks make blocks together.
    pub(super) fn take(&mut self, into: &mut [u8]) -> Result<(), Failed> {
        let have = self.left.min(into.len());
        let (first, into) = into.split_at_mut(have);
        first.copy_from_slice(&self.rest[BLOCK - self.left..][..have]);
        self.left -= have;
        let (blocks, last) = into.split_at_mut(into.len() / BLOCK * BLOCK);
        self.blocks(blocks)?;
        if !last.is_empty() {
            let mut block = [0; BLOCK];
            self.blocks(&mut block)?;
            last.copy_from_slice(&block[..last.len()]);
            (self.rest, self.left) = (block, BLOCK - last.len());
        }
        Ok(())
    }

    /// As [`Self::take`], a fixed number of octets.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Failed> {
        let mut array = [0; N];
        self.take(&mut array)?;
        Ok(array)
    }

    fn blocks(&mut self, blocks: &mut [u8]) -> Result<(), Failed> {
        self.from.read_exact(blocks)?;
        let Some((cipher, running)) = &mut self.sealed else { return Ok(()) };
        for block in blocks.chunks_exact_mut(BLOCK) {
            cipher.decrypt_block_mut(block.into());
        }
        running.sum.update(blocks);
        Ok(())
    }

    /// The first block of a message; none if the connection ended before it.
    pub(super) fn first_block(&mut self) -> Result<Option<[u8; BLOCK]>, Failed> {
        let mut block = [0; BLOCK];
        let begun = loop {
            match self.from.read(&mut block[..1]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if begun == 0 {
            return Ok(None);
        }
        self.from.read_exact(&mut block[1..])?;
        if let Some((cipher, running)) = &mut self.sealed {
            cipher.decrypt_block_mut((&mut block).into());
            running.sum.update(&block);
        }
        Ok(Some(block))
    }

    /// Passes over what fills the last block.
    pub(super) fn pad(&mut self) {
        self.left = 0;
    }

    /// Takes the HMAC that ends a part of `message`.
    pub(super) fn hmac(&mut self, message: &'static str) -> Result<(), Failed> {
        self.pad();
        let mut theirs = [0; BLOCK];
        self.from.read_exact(&mut theirs)?;
        let Some((cipher, running)) = &mut self.sealed else { return Ok(()) };
        cipher.decrypt_block_mut((&mut theirs).into());
        running.take().verify_truncated_left(&theirs).map_err(|_| {
            let what = "it does not fit what it is of: the message was changed on its way, or made with another key";
            Wrong::new(message, "HMAC", what).of_kind(Kind::NotAuthentic).into()
        })
    }
}

/// The direction that is written: messages are put into it, octets to be sent are taken from it.
pub struct Outbound {
    sealed: Option<(Encryptor, Running)>,
    octets: Vec<u8>,
    /// So many of the octets are whole blocks, ready to be sent.
    ready: usize,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("sealed", &self.sealed.is_some()).finish_non_exhaustive()
    }
}

impl Outbound {
    /// In open mode.
    #[must_use]
    pub fn open() -> Self {
        Self { sealed: None, octets: Vec::new(), ready: 0 }
    }

    /// In the other modes, with the initial vector that the other side was or is told.
    #[must_use]
    pub fn sealed(keys: &SessionKeys, iv: &[u8; BLOCK]) -> Self {
        let sealed = (Encryptor::new(&keys.aes.into(), iv.into()), Running::new(keys));
        Self { sealed: Some(sealed), ..Self::open() }
    }

    /// Takes the octets that are ready to be sent: whole blocks.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        let rest = self.octets.split_off(self.ready);
        self.ready = 0;
        std::mem::replace(&mut self.octets, rest)
    }

    pub(super) fn put(&mut self, plain: &[u8]) {
        self.octets.extend_from_slice(plain);
        let whole = (self.octets.len() - self.ready) / BLOCK * BLOCK;
        let blocks = &mut self.octets[self.ready..][..whole];
        self.ready += whole;
        let Some((cipher, running)) = &mut self.sealed else { return };
        running.sum.update(blocks);
        for block in blocks.chunks_exact_mut(BLOCK) {
            cipher.encrypt_block_mut(block.into());
        }
    }

    /// Fills up the last block with zeros.
    pub(super) fn pad(&mut self) {
        let over = (self.octets.len() - self.ready) % BLOCK;
        if over > 0 {
            self.put(&[0; BLOCK][over..]);
        }
    }

    /// Puts the HMAC that ends a part of a message.
    pub(super) fn hmac(&mut self) {
        self.pad();
        let mut sum = [0; BLOCK];
        if let Some((cipher, running)) = &mut self.sealed {
            sum = truncated(running.take());
            cipher.encrypt_block_mut((&mut sum).into());
        }
        self.octets.extend_from_slice(&sum);
        self.ready += BLOCK;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> SessionKeys {
        SessionKeys::new([5; 48])
    }

    fn sent(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Outbound::sealed(&keys(), &[1; BLOCK]);
        for part in parts {
            out.put(part);
        }
        out.hmac();
        out.take()
    }

    #[test]
    fn what_is_put_in_pieces_is_taken_in_other_pieces() {
        let octets = sent(&[&[1; 25], &[2; 25], &[3; 7]]);
        assert_eq!(octets.len(), 64 + BLOCK);
        let mut from = Inbound::sealed(&octets[..], &keys(), &[1; BLOCK]);
        let first: [u8; 1] = from.array().expect("there");
        let second: [u8; 40] = from.array().expect("there");
        let third: [u8; 16] = from.array().expect("there");
        assert_eq!((first[0], second[23], second[24], third[15]), (1, 1, 2, 3));
        from.hmac("test").expect("as sent");
    }

    #[test]
    fn a_changed_bit_anywhere_is_found() {
        let octets = sent(&[b"0123456789abcdef0123456789abcdef"]);
        for bit in 0..octets.len() * 8 {
            let mut changed = octets.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let mut from = Inbound::sealed(&changed[..], &keys(), &[1; BLOCK]);
            from.array::<32>().expect("there");
            assert!(from.hmac("test").is_err(), "bit {bit}");
        }
    }

    #[test]
    fn nothing_is_read_beyond_the_message() {
        let mut octets = vec![0; 48];
        octets.extend_from_slice(b"next");
        let mut from = Inbound::open(&octets[..]);
        from.array::<20>().expect("there");
        from.hmac("test").expect("open");
        assert_eq!(*from.from(), b"next");
    }
}
