//! The fields of a body, one after the other.

use super::Wrong;

/// A body that is taken apart from its begin to its end.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    message: &'static str,
    left: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'static str, body: &'a [u8]) -> Self {
        Self { message, left: body }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let Some((taken, left)) = self.left.split_first_chunk::<N>() else {
            return Err(Wrong::new(self.message, "it ends within its fields"));
        };
        self.left = left;
        Ok(*taken)
    }

    pub(super) fn octet(&mut self) -> Result<u8, Wrong> {
        self.array::<1>().map(|[octet]| octet)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Wrong> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Wrong> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Wrong> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Wrong> {
        self.array().map(i64::from_be_bytes)
    }

    /// A value that may not be there: an octet 0, or an octet 1 before it. What stands for nothing is zeros.
    pub(super) fn maybe<T>(
        &mut self,
        value: impl FnOnce(&mut Self) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Wrong> {
        let (is_there, value) = (self.octet()?, value(self)?);
        match is_there {
            0 => Ok(None),
            1 => Ok(Some(value)),
            other => Err(Wrong::new(self.message, format!("{other} where 0 or 1 is wanted"))),
        }
    }

    /// What is left.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.left
    }

    /// Everything was taken.
    pub(super) fn end(&self) -> Result<(), Wrong> {
        match self.left.len() {
            0 => Ok(()),
            more => Err(Wrong::new(self.message, format!("{more} octets behind its fields"))),
        }
    }
}

/// The fields of a message that is made.
#[derive(Debug, Default)]
pub(super) struct Body(pub(super) Vec<u8>);

impl Body {
    pub(super) fn put(mut self, octets: &[u8]) -> Self {
        self.0.extend_from_slice(octets);
        self
    }

    pub(super) fn u16(self, number: u16) -> Self {
        self.put(&number.to_be_bytes())
    }

    pub(super) fn u32(self, number: u32) -> Self {
        self.put(&number.to_be_bytes())
    }

    pub(super) fn u64(self, number: u64) -> Self {
        self.put(&number.to_be_bytes())
    }

    pub(super) fn i64(self, number: i64) -> Self {
        self.put(&number.to_be_bytes())
    }

    pub(super) fn maybe(self, number: Option<i64>) -> Self {
        self.put(&[number.is_some().into()]).i64(number.unwrap_or(0))
    }
}
