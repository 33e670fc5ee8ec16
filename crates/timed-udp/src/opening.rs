//! Opening a socket where it is wanted, and as it is wanted.

use std::{
    ffi::OsString,
    fmt, io,
    net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd,
};

use nix::sys::socket::{
    self as net, AddressFamily, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt,
};

use crate::{
    ports::{Port, PortRange},
    socket::{Stamps, TimedSocket},
    stamping,
};

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
        stamping::have_begun();
        self.open_at_once()
    }

    pub(crate) fn open_at_once(&self) -> Result<TimedSocket, OpenError> {
        let family =
            if self.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = net::socket(family, SockType::Datagram, flags, None)
            .map_err(|errno| OpenError::Create(errno.into()))?;
        let socket = UdpSocket::from(socket);
        let stamps = self.set_options(&socket)?;
        self.bind(&socket)?;
        let local = socket.local_addr().map_err(|error| OpenError::Bind(self.place(0), error))?;
        Ok(TimedSocket::new(socket, local, stamps))
    }

    fn set_options(&self, socket: &UdpSocket) -> Result<Stamps, OpenError> {
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
        if self.address.is_ipv4() { self.set_v4(socket) } else { self.set_v6(socket) }?;
        Ok(Stamps::ask(socket))
    }

    fn set_v4(&self, socket: &UdpSocket) -> Result<(), OpenError> {
        let (class, hops) = (self.class(), self.hop_limit.into());
        setsockopt(socket, sockopt::Ipv4Tos, &class).map_err(failed("IP_TOS"))?;
        setsockopt(socket, sockopt::Ipv4Ttl, &hops).map_err(failed("IP_TTL"))?;
        setsockopt(socket, sockopt::Ipv4RecvTtl, &true).map_err(failed("IP_RECVTTL"))?;
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true).map_err(failed("IP_PKTINFO"))
    }

    fn set_v6(&self, socket: &UdpSocket) -> Result<(), OpenError> {
        let (class, hops) = (self.class(), self.hop_limit.into());
        // A socket of IPv6 is of nothing else: an address then is of one family, and a test too.
        setsockopt(socket, sockopt::Ipv6V6Only, &true).map_err(failed("IPV6_V6ONLY"))?;
        setsockopt(socket, sockopt::Ipv6TClass, &class).map_err(failed("IPV6_TCLASS"))?;
        setsockopt(socket, sockopt::Ipv6Ttl, &hops).map_err(failed("IPV6_UNICAST_HOPS"))?;
        setsockopt(socket, sockopt::Ipv6RecvHopLimit, &true)
            .map_err(failed("IPV6_RECVHOPLIMIT"))?;
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true).map_err(failed("IPV6_RECVPKTINFO"))
    }

    /// The DSCP as the octet of the header has it (RFC 2474).
    fn class(&self) -> i32 {
        i32::from(self.dscp & 0x3f) << 2
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

fn failed(what: &'static str) -> impl FnOnce(nix::Error) -> OpenError {
    move |errno| OpenError::Option(what, errno.into())
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
