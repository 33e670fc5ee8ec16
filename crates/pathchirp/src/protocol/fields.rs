//! Fields one after the other.

use super::{MAGIC, VERSION, Wrong};

/// Octets before the fields: four of ours, version, kind, two of zero.
pub(super) const HEAD: usize = 8;

/// Reads fields from the begin on.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The kind of a message, and its fields.
    pub(super) fn of(octets: &'a [u8]) -> Result<(u8, Self), Wrong> {
        if !octets.starts_with(&MAGIC) {
            return Err(Wrong::NotOurs);
        }
        let (head, rest) = octets.split_first_chunk::<HEAD>().ok_or(Wrong::Short)?;
        if head[4] != VERSION {
            return Err(Wrong::Version(head[4]));
        }
        Ok((head[5], Self(rest)))
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(Wrong::Short)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Wrong> {
        self.take().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Wrong> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Wrong> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Wrong> {
        self.take().map(u64::from_be_bytes)
    }
}

/// The head of a message of this kind.
pub(super) const fn head(kind: u8) -> [u8; HEAD] {
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, VERSION, kind, 0, 0]
}
