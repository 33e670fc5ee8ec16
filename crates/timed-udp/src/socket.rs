//! Sockets for measuring: with stamps, and counts of what their own queue dropped.

use std::{
    io::{self, IoSlice},
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use nix::sys::socket::{
    self as net, ControlMessage, MsgFlags, SockaddrStorage, TimestampingFlag, setsockopt, sockopt,
};

pub use crate::{
    opening::{OpenError, Opening},
    ports::{Port, PortRange},
};

/// How a socket's packets are stamped when they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamps {
    /// By the kernel, and by the network card where that is switched on (`SO_TIMESTAMPING`).
    Timestamping,
    /// By the kernel (`SO_TIMESTAMPNS`).
    Kernel,
    /// By us, when we read them: all the time that they wait in the queue is in it.
    Reader,
}

impl Stamps {
    pub(crate) fn ask(socket: &UdpSocket) -> Self {
        if setsockopt(socket, sockopt::Timestamping, &received_stamps()).is_ok() {
            Self::Timestamping
        } else if setsockopt(socket, sockopt::ReceiveTimestampns, &true).is_ok() {
            Self::Kernel
        } else {
            Self::Reader
        }
    }
}

fn received_stamps() -> TimestampingFlag {
    TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_RX_HARDWARE
        | TimestampingFlag::SOF_TIMESTAMPING_RAW_HARDWARE
        | TimestampingFlag::SOF_TIMESTAMPING_OPT_ID
        | TimestampingFlag::SOF_TIMESTAMPING_OPT_TSONLY
}

/// A socket whose packets are stamped. It never waits.
#[derive(Debug)]
pub struct TimedSocket {
    socket: UdpSocket,
    local: SocketAddr,
    stamps: Stamps,
}

impl TimedSocket {
    pub(crate) const fn new(socket: UdpSocket, local: SocketAddr, stamps: Stamps) -> Self {
        Self { socket, local, stamps }
    }

    /// The address and port it is bound to.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// How its packets are stamped.
    #[must_use]
    pub const fn stamps(&self) -> Stamps {
        self.stamps
    }

    /// Has it send to `peer` and nobody else, and take packets from nobody else; errors that the network reports
    /// (ICMP) then come with the next packet that is sent.
    ///
    /// # Errors
    /// There is no way there.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(peer)
    }

    /// Has it report whatever routers say of its packets (`IP_RECVERR`), and not only that a port is not there. Each
    /// report also waits in the error queue, and keeps the socket readable until [`crate::inbox::Inbox::send_stamp`]
    /// has emptied that.
    ///
    /// # Errors
    /// The kernel does not.
    pub fn report_all(&self) -> io::Result<()> {
        if self.local.is_ipv4() {
            setsockopt(&self.socket, sockopt::Ipv4RecvErr, &true)?;
        } else {
            setsockopt(&self.socket, sockopt::Ipv6RecvErr, &true)?;
        }
        Ok(())
    }

    /// Sends a packet to where it is connected.
    ///
    /// # Errors
    /// `WouldBlock` if its queue is full; what the network reported of an earlier packet, and then this one was not
    /// sent either.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.socket.send(packet).map(drop)
    }

    /// Sends a packet to `peer`.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_to(&self, packet: &[u8], peer: SocketAddr) -> io::Result<()> {
        self.socket.send_to(packet, peer).map(drop)
    }

    /// Sends a packet to `peer` from `own`, which is one of this machine's addresses and of the same family; a socket
    /// that is bound to all of them would choose one by the way there, and who asked another knows no answer of it.
    ///
    /// # Errors
    /// As [`Self::send`]; or it is not an address of ours.
    pub fn send_from(&self, packet: &[u8], peer: SocketAddr, own: IpAddr) -> io::Result<()> {
        self.send_with(packet, peer, own, None)
    }

    /// Sends `octets` to `peer` from `own`, as [`Self::send_from`], cut into packets of `size` octets each, by one call
    /// (`UDP_SEGMENT`, Linux 4.18): they leave as close together as can be, and cost little more than one. There may be 64
    /// of them, and 65,000 octets.
    ///
    /// # Errors
    /// As [`Self::send_from`]; also if the kernel or the way there does not do it, or one packet is too long for the way:
    /// then each may be sent by itself.
    pub fn send_cut_from(
        &self,
        octets: &[u8],
        size: u16,
        peer: SocketAddr,
        own: IpAddr,
    ) -> io::Result<()> {
        self.send_with(octets, peer, own, Some(size))
    }

    fn send_with(
        &self,
        octets: &[u8],
        peer: SocketAddr,
        own: IpAddr,
        size: Option<u16>,
    ) -> io::Result<()> {
        let (four, six);
        let from = match own {
            IpAddr::V4(own) => {
                four = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from(own).to_be() },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                ControlMessage::Ipv4PacketInfo(&four)
            }
            IpAddr::V6(own) => {
                let ipi6_addr = libc::in6_addr { s6_addr: own.octets() };
                six = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
                ControlMessage::Ipv6PacketInfo(&six)
            }
        };
        let fd = self.socket.as_raw_fd();
        let (octets, peer) = ([IoSlice::new(octets)], SockaddrStorage::from(peer));
        let flags = MsgFlags::empty();
        match &size {
            Some(size) => {
                let control = [from, ControlMessage::UdpGsoSegments(size)];
                net::sendmsg(fd, &octets, &control, flags, Some(&peer))
            }
            None => net::sendmsg(fd, &octets, &[from], flags, Some(&peer)),
        }?;
        Ok(())
    }

    /// Octets that its receive queue holds, as the kernel counts: twice what was asked for, its own books included.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        net::getsockopt(&self.socket, sockopt::RcvBuf).unwrap_or(0)
    }

    /// How many packets its own receive queue has dropped so far, as there was no room or a checksum was wrong:
    /// loss of our making, and not the network's.
    #[must_use]
    pub fn dropped(&self) -> u32 {
        meminfo::dropped(&self.socket)
    }

    /// What the network reported (ICMP) and no call has told yet.
    ///
    /// # Errors
    /// The socket cannot be asked.
    pub fn pending_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Whether the kernel stamps packets that are sent from now on, too; [`crate::inbox::Inbox::send_stamp`] reads
    /// it. Costs as much as sending: meant for one packet in many.
    ///
    /// # Errors
    /// The kernel does not.
    pub fn stamp_sending(&self, on: bool) -> io::Result<()> {
        let mut flags = received_stamps();
        flags.set(TimestampingFlag::SOF_TIMESTAMPING_TX_SOFTWARE, on);
        setsockopt(&self.socket, sockopt::Timestamping, &flags).map_err(io::Error::from)
    }
}

impl AsFd for TimedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The kernel's books of a socket. Asked there, and not by a control message (`SO_RXQ_OVFL`), because that comes only
/// with a later packet that was not dropped.
mod meminfo {
    use std::net::UdpSocket;

    use nix::{getsockopt_impl, sockopt_impl, sys::socket::getsockopt};

    /// `SO_MEMINFO`, Linux 4.12, of `asm-generic/socket.h`; not in libc.
    const SO_MEMINFO: libc::c_int = 55;
    /// `SK_MEMINFO_DROPS` of `linux/sock_diag.h`.
    const DROPS: usize = 8;

    sockopt_impl!(
        /// What a socket's queues hold.
        MemInfo,
        GetOnly,
        libc::SOL_SOCKET,
        SO_MEMINFO,
        [u32; 9]
    );

    pub(super) fn dropped(socket: &UdpSocket) -> u32 {
        getsockopt(socket, MemInfo).map_or(0, |books| books[DROPS])
    }
}
