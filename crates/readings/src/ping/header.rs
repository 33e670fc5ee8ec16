//! The first line: `PING srv.example (192.0.2.2) 56(84) bytes of data.`

use std::net::IpAddr;

use crate::{
    Unreadable,
    text::{self, Line, integer},
};

#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) target: Option<String>,
    pub(super) address: Option<IpAddr>,
    pub(super) bytes: Option<u32>,
    /// The number of the first request: iputils counts from 1, the others from 0.
    pub(super) first_seq: u64,
}

/// Whether the line opens the output of a ping.
pub(super) fn is_header(said: &str) -> bool {
    said.starts_with("PING ")
}

impl Header {
    /// Reads the line. One that breaks off says nothing for certain.
    pub(super) fn of(line: &Line<'_>, said: &str) -> Result<Self, Unreadable> {
        match Self::parse(said) {
            Some(header) => Ok(header),
            None if line.finished => Err(line.wrong("\"PING name (address) ... bytes\"", said)),
            None => Ok(Self { first_seq: 1, ..Self::default() }),
        }
    }

    fn parse(said: &str) -> Option<Self> {
        let (head, tail) = said.strip_prefix("PING ")?.split_once(')')?;
        let (name, address) = head.rsplit_once('(')?;
        // An older iputils puts the canonical name in: "PING srv(srv.example (2001:db8::2)) 56 ..."
        let name = name.split('(').next().unwrap_or_default().trim();
        Some(Self {
            target: (!name.is_empty()).then(|| text::quote(name)),
            address: Some(text::address(address)?),
            bytes: tail.split_whitespace().find_map(|word| integer(word.split('(').next()?)),
            first_seq: u64::from(!tail.starts_with(':')),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(said: &str, target: &str, address: &str, bytes: u32, first_seq: u64) {
        let header = Header::parse(said).expect("a header");
        assert_eq!(header.target.as_deref(), Some(target));
        assert_eq!(header.address, Some(address.parse().expect("an address")));
        assert_eq!((header.bytes, header.first_seq), (Some(bytes), first_seq));
    }

    #[test]
    fn all_forms_of_the_header_are_understood() {
        expect("PING srv (192.0.2.2) 56(84) bytes of data.", "srv", "192.0.2.2", 56, 1);
        expect(
            "PING srv (192.0.2.2) from 10.0.0.1 eth0: 8(36) bytes of data.",
            "srv",
            "192.0.2.2",
            8,
            1,
        );
        expect("PING srv(srv.example (2001:db8::2)) 56 data bytes", "srv", "2001:db8::2", 56, 1);
        expect("PING srv(2001:db8::2) from ::1 lo: 56 data bytes", "srv", "2001:db8::2", 56, 1);
        expect("PING fe80::1%eth0(fe80::1%eth0) 56 data bytes", "fe80::1%eth0", "fe80::1", 56, 1);
        expect("PING srv (192.0.2.2): 100 data bytes", "srv", "192.0.2.2", 100, 0);
    }
}
