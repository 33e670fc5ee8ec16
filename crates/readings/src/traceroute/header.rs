//! The first line: `traceroute to srv.example (192.0.2.2), 30 hops max, 60 byte packets`

use std::net::IpAddr;

use crate::{
    Unreadable,
    text::{self, Line, bare, integer},
};

#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) target: Option<String>,
    pub(super) address: Option<IpAddr>,
    pub(super) max_hops: Option<u32>,
    pub(super) packet_bytes: Option<u32>,
}

impl Header {
    /// Reads the line. One that breaks off gives what stands whole in it.
    pub(super) fn of(line: &Line<'_>) -> Result<Self, Unreadable> {
        let said = bare(&line.text);
        let wrong = || line.wrong("\"traceroute to name (address)\"", said);
        let rest = said.strip_prefix("traceroute to ").ok_or_else(wrong)?;
        match Self::parse(rest) {
            Some(header) => Ok(header),
            None if line.finished => Err(wrong()),
            None => Ok(Self::default()),
        }
    }

    fn parse(rest: &str) -> Option<Self> {
        let (head, tail) = rest.split_once(')')?;
        let (name, address) = head.rsplit_once('(')?;
        Some(Self {
            target: Some(text::quote(name.trim())).filter(|name| !name.is_empty()),
            address: Some(text::address(address)?),
            max_hops: number_before(tail, " hops max"),
            packet_bytes: number_before(tail, " byte packets"),
        })
    }
}

fn number_before(text: &str, words: &str) -> Option<u32> {
    let part = text.split(", ").find_map(|part| part.strip_suffix(words))?;
    integer(part)
}
