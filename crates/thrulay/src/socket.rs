//! What both ends want of their sockets.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

/// Which buffer of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buffer {
    /// `SO_SNDBUF`
    Send,
    /// `SO_RCVBUF`
    Receive,
}

/// Has a TCP socket's buffer hold so many octets, if the system gives all of them. If it does not, the kernel goes on
/// choosing, which goes further than a part would: a size that was set is never changed again. 0 leaves it to the
/// kernel. What there is then, as the kernel counts.
pub(crate) fn set_window(socket: &Socket, which: Buffer, octets: u32) -> io::Result<u32> {
    if octets > 0 && gives(which, octets) {
        set(socket, which, octets);
    }
    let size = match which {
        Buffer::Send => socket.send_buffer_size(),
        Buffer::Receive => socket.recv_buffer_size(),
    };
    Ok(u32::try_from(size?).unwrap_or(u32::MAX))
}

/// Whether the system gives so much: tried with a socket that is of no other use.
fn gives(which: Buffer, octets: u32) -> bool {
    let Ok(trial) = Socket::new(Domain::IPV4, Type::STREAM, None) else { return false };
    set(&trial, which, octets);
    let size = match which {
        Buffer::Send => trial.send_buffer_size(),
        Buffer::Receive => trial.recv_buffer_size(),
    };
    size.is_ok_and(|size| size >= octets as usize)
}

/// Beyond the system's limit only for root.
fn set(socket: &Socket, which: Buffer, octets: u32) {
    let octets = octets as usize;
    let _ = match which {
        Buffer::Send => setsockopt(socket, sockopt::SndBufForce, &octets)
            .or_else(|_| setsockopt(socket, sockopt::SndBuf, &octets)),
        Buffer::Receive => setsockopt(socket, sockopt::RcvBufForce, &octets)
            .or_else(|_| setsockopt(socket, sockopt::RcvBuf, &octets)),
    };
}

/// What is waited for, and then what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ready {
    /// There is something to be read, or an end or an error to be found by reading.
    pub(crate) read: bool,
    /// There is room to write.
    pub(crate) write: bool,
}

/// Waits until a socket is as it is wanted, at most `length`; says how each one is. A signal ends it early.
pub(crate) fn wait(wanted: &[(BorrowedFd<'_>, Ready)], length: Duration) -> Vec<Ready> {
    let flags = |ready: &Ready| {
        let read = if ready.read { PollFlags::IN } else { PollFlags::empty() };
        read | if ready.write { PollFlags::OUT } else { PollFlags::empty() }
    };
    let mut polled: Vec<PollFd<'_>> = wanted
        .iter()
        .map(|(fd, ready)| PollFd::from_borrowed_fd(fd.as_fd(), flags(ready)))
        .collect();
    let timeout = Timespec {
        tv_sec: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(length.subsec_nanos()),
    };
    if poll(&mut polled, Some(&timeout)).is_err() {
        return vec![Ready::default(); wanted.len()];
    }
    let ready = |(it, (_, wanted)): (&PollFd<'_>, &(BorrowedFd<'_>, Ready))| {
        let broken = it.revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
        Ready {
            read: it.revents().contains(PollFlags::IN) || broken,
            write: wanted.write && (it.revents().contains(PollFlags::OUT) || broken),
        }
    };
    polled.iter().zip(wanted).map(ready).collect()
}

/// Whether a call would have had to wait.
pub(crate) fn would_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
