//! One end of a wire: a socket on a device of the wire's own namespace, at whose other end is a host.

use std::{
    io::IoSliceMut,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use nix::{
    cmsg_space,
    ifaddrs::getifaddrs,
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType,
            SockaddrStorage, bind, recvmsg, setsockopt, socket, sockopt,
        },
        time::TimeSpec,
    },
};
use rustix::net::{SendFlags, send};

/// Octets that may wait for the wire; it is behind by so much only when the machine stands still.
const ROOM: usize = 64 << 20;
/// More than the longest frame; devices of a wire carry 1500 octets.
const LONGEST: usize = 2048;

/// The socket. What it receives comes with the kernel's time of it, so that a wire which was late to look
/// is not late to hand on.
#[derive(Debug)]
pub(super) struct Port {
    socket: OwnedFd,
    buffer: Vec<u8>,
    control: Vec<u8>,
    missed: u32,
}

/// A frame, and when it arrived (`CLOCK_REALTIME`).
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) arrived: Duration,
    pub(super) octets: Vec<u8>,
}

impl Port {
    /// On a device of the calling thread's namespace, which is still down: until it is bound, the socket
    /// would hear all devices.
    pub(super) fn on(device: &str) -> nix::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket =
            socket(AddressFamily::Packet, SockType::Raw, flags, Some(SockProtocol::EthAll))?;
        setsockopt(&socket, sockopt::RcvBufForce, &ROOM)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        let mut addresses = getifaddrs()?.filter(|found| found.interface_name == device);
        let is_link = |address: &SockaddrStorage| address.as_link_addr().is_some();
        let link = addresses.find_map(|found| found.address.filter(is_link));
        bind(socket.as_raw_fd(), &link.ok_or(nix::errno::Errno::ENODEV)?)?;
        let control = cmsg_space!(TimeSpec, u32);
        Ok(Self { socket, buffer: vec![0; LONGEST], control, missed: 0 })
    }

    /// The next frame, if there is one.
    pub(super) fn receive(&mut self) -> Option<Frame> {
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        let (descriptor, control) = (self.socket.as_raw_fd(), Some(&mut *self.control));
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(descriptor, &mut parts, control, flags).ok()?;
        let (length, mut arrived) = (message.bytes, None);
        for part in message.cmsgs().ok()? {
            match part {
                ControlMessageOwned::ScmTimestampns(time) => arrived = Some(since_epoch(time)),
                ControlMessageOwned::RxqOvfl(missed) => self.missed = missed,
                _ => {}
            }
        }
        let octets = self.buffer[..length].to_vec();
        Some(Frame { arrived: arrived.unwrap_or_else(super::realtime), octets })
    }

    /// Sends a frame; whether that was possible.
    pub(super) fn send(&self, octets: &[u8]) -> bool {
        send(&self.socket, octets, SendFlags::DONTWAIT).is_ok()
    }

    /// How many frames came while there was no room.
    pub(super) fn missed(&self) -> u32 {
        self.missed
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn since_epoch(time: TimeSpec) -> Duration {
    let nanoseconds = u32::try_from(time.tv_nsec()).unwrap_or(0);
    Duration::new(time.tv_sec().unsigned_abs(), nanoseconds)
}
