//! `[  3] local 198.51.100.2 port 47856 connected with 192.0.2.2 port 5001 (reverse) (ct=21.32 ms)`

use std::net::IpAddr;

use crate::text::{self, find, integer, split};

/// What such a line says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection<'a> {
    /// The local port; 0 stands where nothing came of it.
    pub(super) local_port: u16,
    pub(super) peer: Option<IpAddr>,
    pub(super) peer_port: u16,
    remarks: &'a str,
}

impl<'a> Connection<'a> {
    /// Reads what follows the label.
    pub(super) fn of(said: &'a str) -> Option<Self> {
        let (local, peer) = split(said.strip_prefix("local ")?, " connected with ")?;
        let (_, local_port) = split(local, " port ")?;
        let (peer, rest) = split(peer, " port ")?;
        let (peer_port, remarks) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(Self {
            local_port: integer(local_port)?,
            peer: text::address(peer),
            peer_port: integer(peer_port)?,
            remarks,
        })
    }

    pub(super) fn has(&self, remark: &str) -> bool {
        find(self.remarks, remark).is_some()
    }

    /// `(icwnd/mss/irtt=14/1448/21790)`: round-trip time of the handshake, microseconds.
    pub(super) fn handshake_us(&self) -> Option<u64> {
        let (_, rest) = split(self.remarks, "(icwnd/mss/irtt=")?;
        let (values, _) = rest.split_once(')')?;
        integer(values.rsplit('/').next()?)
    }
}
