//! Packets of chirps.
//!
//! | octets | what |
//! |---|---|
//! | 0-7 | head, kind 6 |
//! | 8-15 | session |
//! | 16-19 | number of the chirp, from 0 |
//! | 20-21 | number of the group in the chirp, from 0 |
//! | 22-23 | number of the packet in the group, from 0 |
//! | 24-25 | groups of the chirp |
//! | 26-33 | when the chirp began by the sender's clock, ns since whenever |
//! | 34-41 | when this packet was to be sent, ns after that |
//! | 42-49 | how much later it was sent, ns |
//! | 50-57 | the lowest rate of the chirp, bit/s |
//! | 58-65 | the highest, bit/s |
//! | 66-73 | how long the sending of the group before took, up to its first packet, ns: what is long was held up on the sender's machine |
//!
//! Zeros follow.

use super::{
    Wrong,
    fields::{Fields, head},
};

/// Octets of UDP's data that a packet has at least.
pub const LEAST: usize = 74;
const KIND: u8 = 6;

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Its session.
    pub session: u64,
    /// Its chirp.
    pub chirp: u32,
    /// Its group in that.
    pub group: u16,
    /// Its place in that.
    pub index: u16,
    /// How many groups there are.
    pub groups: u16,
    /// When the chirp began by the sender's clock, nanoseconds.
    pub start: u64,
    /// When it was to be sent, nanoseconds after that.
    pub offset: u64,
    /// How much later it was, nanoseconds.
    pub late: u64,
    /// The lowest rate of the chirp, bit/s.
    pub low: u64,
    /// The highest.
    pub high: u64,
    /// How long the sending of the group before took, up to its first packet, nanoseconds.
    pub took: u64,
}

impl Packet {
    /// Whether octets are to be one: what else comes to a client is an answer.
    #[must_use]
    pub fn is_one(octets: &[u8]) -> bool {
        octets.starts_with(&head(KIND)[..6])
    }

    /// Reads what came.
    ///
    /// # Errors
    /// It is no packet of a chirp.
    pub fn read(octets: &[u8]) -> Result<Self, Wrong> {
        let (kind, mut fields) = Fields::of(octets)?;
        if kind != KIND {
            return Err(Wrong::Kind(kind));
        }
        let packet = Self {
            session: fields.u64()?,
            chirp: fields.u32()?,
            group: fields.u16()?,
            index: fields.u16()?,
            groups: fields.u16()?,
            start: fields.u64()?,
            offset: fields.u64()?,
            late: fields.u64()?,
            low: fields.u64()?,
            high: fields.u64()?,
            took: fields.u64()?,
        };
        if packet.group >= packet.groups {
            return Err(Wrong::Value("group"));
        }
        Ok(packet)
    }

    /// Writes it into the begin of `octets`, which are [`LEAST`] or more; what is behind stays as it is.
    pub fn write(&self, octets: &mut [u8]) {
        let fields = [
            &head(KIND)[..],
            &self.session.to_be_bytes(),
            &self.chirp.to_be_bytes(),
            &self.group.to_be_bytes(),
            &self.index.to_be_bytes(),
            &self.groups.to_be_bytes(),
            &self.start.to_be_bytes(),
            &self.offset.to_be_bytes(),
            &self.late.to_be_bytes(),
            &self.low.to_be_bytes(),
            &self.high.to_be_bytes(),
            &self.took.to_be_bytes(),
        ];
        for (to, from) in octets.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn what_is_sent_is_heard(
            session: u64, chirp: u32, group in 0..50_u16, index: u16, start: u64, offset: u64, late: u64, low: u64,
        ) {
            let packet = Packet {
                session, chirp, group, index, groups: 50, start, offset, late, low, high: !low, took: late / 2,
            };
            let mut octets = [1; 100];
            packet.write(&mut octets);
            prop_assert_eq!(Packet::read(&octets), Ok(packet));
            prop_assert!(Packet::is_one(&octets) && octets[LEAST..] == [1; 26]);
            prop_assert_eq!(Packet::read(&octets[..LEAST]), Ok(packet));
            prop_assert_eq!(Packet::read(&octets[..LEAST - 1]), Err(Wrong::Short));
        }

        #[test]
        fn whatever_comes_is_a_packet_or_has_a_reason(octets in vec(any::<u8>(), 0..100)) {
            let _ = Packet::read(&[&head(KIND)[..], &octets].concat());
            let _ = Packet::read(&octets);
        }
    }
}
