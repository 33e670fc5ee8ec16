//! A network device whose frames a story sends and receives itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{Mode, OFlags, open},
    io::{Errno, read, write},
    ioctl::{Opcode, Updater, ioctl},
};

/// `TUNSETIFF` and its flags, of Linux's `if_tun.h`.
const TUNSETIFF: Opcode = 0x4004_54ca;
/// Frames of Ethernet, with nothing in front of them. Without `IFF_VNET_HDR` the kernel leaves no checksum to the
/// device, and makes no frame longer than the device's limit.
const IFF_TAP_NO_PI: u16 = 0x0002 | 0x1000;
const NAME: usize = 16;

/// `struct ifreq` as `TUNSETIFF` has it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; NAME],
    flags: u16,
    rest: [u8; 22],
}

/// A tap; the device is there as long as this is.
#[derive(Debug)]
pub struct Tap(OwnedFd);

impl Tap {
    /// Makes a tap, in the network namespace of the thread that calls. Needs root.
    #[track_caller]
    pub fn new(device: &str) -> Self {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open("/dev/net/tun", flags, Mode::empty()).expect("root, and taps");
        let mut request = InterfaceRequest { name: [0; NAME], flags: IFF_TAP_NO_PI, rest: [0; 22] };
        assert!(device.len() < NAME, "{device} is too long for a device's name");
        request.name[..device.len()].copy_from_slice(device.as_bytes());
        name_device(&file, &mut request).expect("a tap");
        Self(file)
    }

    /// Takes a frame, and gives its length; nothing if there is none now.
    #[track_caller]
    pub fn read(&self, frame: &mut [u8]) -> Option<usize> {
        match read(&self.0, frame) {
            Ok(length) => Some(length),
            // EIO: the device is not up yet.
            Err(Errno::AGAIN | Errno::INTR | Errno::IO) => None,
            Err(error) => panic!("reading from a tap: {error}"),
        }
    }

    /// Sends a frame. A device that is not up loses it, as a wire would.
    pub fn write(&self, frame: &[u8]) {
        let _ = write(&self.0, frame);
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[expect(unsafe_code, reason = "no crate of ours knows this request")]
fn name_device(file: &OwnedFd, request: &mut InterfaceRequest) -> Result<(), Errno> {
    // SAFETY: it is the opcode of TUNSETIFF, which reads and writes one `struct ifreq`; `InterfaceRequest` has its
    // layout and its size, 40 octets.
    unsafe { ioctl(file, Updater::<TUNSETIFF, _>::new(request)) }
}
