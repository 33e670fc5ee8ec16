//! Packets are to be on a wire as they are on a real one.

use std::{ffi::c_char, io, net::UdpSocket, os::fd::AsRawFd};

/// `linux/ethtool.h`: the sender computes checksums itself, or leaves them to its device.
const ETHTOOL_STXCSUM: u32 = 0x17;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Has the kernel compute checksums, and cut packets to their size, before they reach a device of the
/// calling thread's namespace; a pair of devices passes them on undone and says that they are good.
///
/// # Errors
/// As the ioctl SIOCETHTOOL (netdevice(7)).
#[expect(unsafe_code, reason = "SIOCETHTOOL has no safe wrapper among our libraries")]
pub(super) fn stop(device: &str) -> io::Result<()> {
    // Any socket will do.
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut value = Value { command: ETHTOOL_STXCSUM, data: 0 };
    let mut name: [c_char; libc::IFNAMSIZ] = [0; libc::IFNAMSIZ];
    // The last one stays 0.
    for (to, from) in name[..libc::IFNAMSIZ - 1].iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut value).cast() };
    let mut request = libc::ifreq { ifr_name: name, ifr_ifru };
    // SAFETY: the name ends with a 0, and `request` and the `value` it points to live until the call is
    // over; the kernel reads and writes no more than `struct ethtool_value` there.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
