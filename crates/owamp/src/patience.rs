//! A connection on which a message as a whole has to come, or to go, by a certain time: octet by octet is too slow.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use station::world::clock::{Clock, Monotonic, SystemClock};

/// A connection with a deadline.
#[derive(Debug)]
pub(crate) struct Patient {
    stream: TcpStream,
    since: Monotonic,
    length: Duration,
}

impl Patient {
    pub(crate) fn new(stream: TcpStream, length: Duration) -> Self {
        Self { stream, since: now(), length }
    }

    /// From now on, what is to come or to go has so long.
    pub(crate) fn wait_for(&mut self, length: Duration) {
        (self.since, self.length) = (now(), length);
    }

    /// What is to come or to go has no longer than this, counted from when it was begun.
    pub(crate) fn wait_at_most(&mut self, length: Duration) {
        self.length = self.length.min(length);
    }

    /// So much of what was waited does not count.
    pub(crate) fn forget(&mut self, waited: Duration) {
        self.since = (self.since + waited).min(now());
    }

    /// Another handle of the same connection, with a deadline of its own.
    pub(crate) fn other(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, since: self.since, length: self.length })
    }

    /// The time that is left.
    ///
    /// # Errors
    /// `TimedOut`: there is none.
    pub(crate) fn left(&self) -> io::Result<Duration> {
        let left = self.length.saturating_sub(self.since.until(now()));
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"));
        }
        Ok(left)
    }
}

pub(crate) fn now() -> Monotonic {
    SystemClock.moment().monotonic
}

impl AsFd for Patient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// A time-out of a socket shows as this.
fn named(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
        _ => error,
    }
}

impl Read for Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(into).map_err(named)
    }
}

impl Write for Patient {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(from).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
