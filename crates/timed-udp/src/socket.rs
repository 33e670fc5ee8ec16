//! Sockets for measuring: bound where they are wanted, with stamps, hop limits and counts of what their own queue
//! dropped.

use std::{
    ffi::OsString,
    fmt, io,
    net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::atomic::{AtomicU32, Ordering},
};

use nix::sys::socket::{
    self as net, AddressFamily, SockFlag, SockType, SockaddrStorage, TimestampingFlag, setsockopt,
    sockopt,
};

/// Ports of which a free one is taken, each time beginning after the one that was taken last: so a port is not
/// used again as long as can be, and what is late for a session that has ended does not meet the next one.
#[derive(Debug)]
pub struct PortRange {
    first: u16,
    last: u16,
    next: AtomicU32,
}

impl PortRange {
    /// From `first` to `last`; none if there is no port in it, or zero is.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || last < first {
            return None;
        }
        Some(Self { first, last, next: AtomicU32::new(0) })
    }

    /// How many ports there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.last as u32 - self.first as u32 + 1
    }

    fn take(&self) -> u16 {
        let offset = self.next.fetch_add(1, Ordering::Relaxed) % self.count();
        self.first + u16::try_from(offset).unwrap_or(0)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Which port a socket gets.
#[derive(Debug, Clone, Copy)]
pub enum Port<'a> {
    /// Any that is free.
    Any,
    /// This one.
    One(u16),
    /// A free one of these.
    Of(&'a PortRange),
}

/// What a socket is to be like.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// The address it is bound to; an unspecified one for all.
    pub address: IpAddr,
    /// Of a link-local address of IPv6, the number of its interface; else zero.
    pub scope: u32,
    /// Its port.
    pub port: Port<'a>,
    /// Octets that its receive queue is to hold; zero for the system's default. What is given is
    /// [`TimedSocket::receive_buffer`].
    pub receive_buffer: usize,
    /// Octets that its send queue is to hold; zero for the system's default.
    pub send_buffer: usize,
    /// The DSCP of its packets (RFC 2474), 0 to 63.
    pub dscp: u8,
    /// TTL or hop limit of its packets. Measuring packets begin at 255, so that a receiver can count the hops.
    pub hop_limit: u8,
    /// The interface that it is bound to. Needs `CAP_NET_RAW` on kernels before 5.7.
    pub device: Option<OsString>,
}

impl Opening<'_> {
    /// A socket of this address and any port, all else as is usual for measuring.
    #[must_use]
    pub const fn at(address: IpAddr) -> Self {
        Self {
            address,
            scope: 0,
            port: Port::Any,
            receive_buffer: 0,
            send_buffer: 0,
            dscp: 0,
            hop_limit: 255,
            device: None,
        }
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`OpenError`] tells what could not be done.
    pub fn open(&self) -> Result<TimedSocket, OpenError> {
        let family =
            if self.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = net::socket(family, SockType::Datagram, flags, None)
            .map_err(|errno| OpenError::Create(errno.into()))?;
        let socket = UdpSocket::from(socket);
        let stamps = self.set_options(&socket)?;
        self.bind(&socket)?;
        let local = socket.local_addr().map_err(|error| OpenError::Bind(self.place(0), error))?;
        Ok(TimedSocket { socket, local, stamps })
    }

    fn set_options(&self, socket: &UdpSocket) -> Result<Stamps, OpenError> {
        let failed = |what: &'static str| {
            move |errno: nix::Error| OpenError::Option(what, io::Error::from(errno))
        };
        if let Some(device) = &self.device {
            setsockopt(socket, sockopt::BindToDevice, device).map_err(failed("SO_BINDTODEVICE"))?;
        }
        if self.receive_buffer > 0 {
            // Beyond the system's limit only for root; else as much as there is.
            setsockopt(socket, sockopt::RcvBufForce, &self.receive_buffer)
                .or_else(|_| setsockopt(socket, sockopt::RcvBuf, &self.receive_buffer))
                .map_err(failed("SO_RCVBUF"))?;
        }
        if self.send_buffer > 0 {
            setsockopt(socket, sockopt::SndBufForce, &self.send_buffer)
                .or_else(|_| setsockopt(socket, sockopt::SndBuf, &self.send_buffer))
                .map_err(failed("SO_SNDBUF"))?;
        }
        let class = i32::from(self.dscp & 0x3f) << 2;
        let hops = i32::from(self.hop_limit);
        if self.address.is_ipv4() {
            setsockopt(socket, sockopt::Ipv4Tos, &class).map_err(failed("IP_TOS"))?;
            setsockopt(socket, sockopt::Ipv4Ttl, &hops).map_err(failed("IP_TTL"))?;
            setsockopt(socket, sockopt::Ipv4RecvTtl, &true).map_err(failed("IP_RECVTTL"))?;
            setsockopt(socket, sockopt::Ipv4PacketInfo, &true).map_err(failed("IP_PKTINFO"))?;
        } else {
            // A socket of IPv6 is of nothing else: an address then is of one family, and a test too.
            setsockopt(socket, sockopt::Ipv6V6Only, &true).map_err(failed("IPV6_V6ONLY"))?;
            setsockopt(socket, sockopt::Ipv6TClass, &class).map_err(failed("IPV6_TCLASS"))?;
            setsockopt(socket, sockopt::Ipv6Ttl, &hops).map_err(failed("IPV6_UNICAST_HOPS"))?;
            setsockopt(socket, sockopt::Ipv6RecvHopLimit, &true)
                .map_err(failed("IPV6_RECVHOPLIMIT"))?;
            setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)
                .map_err(failed("IPV6_RECVPKTINFO"))?;
        }
        Ok(Stamps::ask(socket))
    }

    fn bind(&self, socket: &UdpSocket) -> Result<(), OpenError> {
        let bind = |port| {
            let place = self.place(port);
            net::bind(socket.as_raw_fd(), &SockaddrStorage::from(place))
                .map_err(|errno| OpenError::Bind(place, errno.into()))
        };
        match self.port {
            Port::Any => bind(0),
            Port::One(port) => bind(port),
            Port::Of(range) => bind_one_of(range, self.address, bind),
        }
    }

    fn place(&self, port: u16) -> SocketAddr {
        match self.address {
            IpAddr::V4(_) => SocketAddr::new(self.address, port),
            IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, self.scope).into(),
        }
    }
}

fn bind_one_of(
    range: &PortRange,
    address: IpAddr,
    mut bind: impl FnMut(u16) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    for _ in 0..range.count() {
        match bind(range.take()) {
            Err(OpenError::Bind(_, error)) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    Err(OpenError::Exhausted { address, ports: range.to_string() })
}

/// Why there is no socket.
#[derive(Debug)]
pub enum OpenError {
    /// There can be none at all.
    Create(io::Error),
    /// It cannot have this property.
    Option(&'static str, io::Error),
    /// It cannot be bound to this.
    Bind(SocketAddr, io::Error),
    /// All ports of the range are taken.
    Exhausted {
        /// Of this address.
        address: IpAddr,
        /// The range.
        ports: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(error) => write!(f, "opening a UDP socket: {error}"),
            Self::Option(what, error) => {
                write!(f, "opening a UDP socket: setting its option {what}: {error}")
            }
            Self::Bind(place, error) => write!(f, "binding a UDP socket to {place}: {error}"),
            Self::Exhausted { address, ports } => write!(
                f,
                "binding a UDP socket to {address}: all ports of {ports} are in use; a wider range would do"
            ),
        }
    }
}

impl std::error::Error for OpenError {}

impl OpenError {
    /// The system's error; none if all ports are taken.
    #[must_use]
    pub fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Create(error) | Self::Option(_, error) | Self::Bind(_, error) => Some(error),
            Self::Exhausted { .. } => None,
        }
    }
}

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
    fn ask(socket: &UdpSocket) -> Self {
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
