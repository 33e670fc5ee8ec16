//! A message's octets, field by field.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Takes the fields of a message one after the other. The message's length is its type's, so there is always a
/// field to take; beyond the end all is zero.
#[derive(Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_at(N.min(self.0.len()));
        self.0 = rest;
        let mut array = [0; N];
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    pub(super) fn octet(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// Passes over what must be zero and is not looked at.
    pub(super) fn skip<const N: usize>(&mut self) -> &mut Self {
        self.array::<N>();
        self
    }

    /// An address in sixteen octets; one of IPv4 is in the first four.
    pub(super) fn address(&mut self, is_v6: bool) -> IpAddr {
        let octets: [u8; 16] = self.array();
        if is_v6 {
            return Ipv6Addr::from(octets).into();
        }
        let [a, b, c, d, ..] = octets;
        Ipv4Addr::new(a, b, c, d).into()
    }
}

/// An address as [`Fields::address`] takes it.
pub(super) fn address_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(v4) => join(&[&v4.octets()]),
    }
}

/// The parts one after the other, and zero to the end. What does not fit is cut: a message's parts always do.
pub(super) fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut whole = [0; N];
    let octets = parts.iter().copied().flatten();
    whole.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
    whole
}
