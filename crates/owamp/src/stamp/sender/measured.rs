//! A test that was carried out, and, if nothing came of it, what to do about that.

use std::{io, net::SocketAddr};

use rustix::io::Errno;

use super::{book::Book, figures::Circumstances};

/// A test, and how it went.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) book: Book,
    pub(super) circumstances: Circumstances,
    pub(super) warnings: Vec<String>,
    /// What the network said last: no packet, or an answer by ICMP.
    pub(super) error: Option<io::Error>,
}

impl Measured {
    /// Why there is nothing to be told.
    pub(super) fn problem(&self) -> Option<String> {
        if !self.book.came.is_empty() {
            return None;
        }
        let (to, port) = (self.to, self.to.port());
        let sent = self.book.sent.iter().flatten().count();
        Some(match &self.error {
            Some(error) => {
                format!("sending test packets to {to}: {error}; {}", advice(error, port))
            }
            None if sent == 0 => {
                format!("sending test packets to {to}: broken off before the first was answered")
            }
            None if self.book.wrong > 0 => format!(
                "measuring to {to}: {} packets came, and none is an answer to one of ours: something else than a \
                 reflector of STAMP or TWAMP-Light has this port; name another by {}:PORT",
                self.book.wrong,
                to.ip()
            ),
            None => format!(
                "measuring to {to}: nobody answered {sent} packets: no reflector is there, or it does not answer this \
                 address, or a firewall drops UDP port {port}; start a stamp-reflector there, or have its --allow or \
                 its router's configuration name {}",
                self.from.ip()
            ),
        })
    }
}

pub(super) fn advice(error: &io::Error, port: u16) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "no reflector listens on UDP port {port} there: start a stamp-reflector, or name its port behind the host"
        ),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "no way leads there: look at the address, the routes, and firewalls that answer for it"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "a firewall of this machine forbids it, or it is a broadcast address".to_owned()
        }
        _ if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
            "packets are too long for the way: a smaller padding (-s) would do".to_owned()
        }
        _ => "look at the address and the interface".to_owned(),
    }
}
