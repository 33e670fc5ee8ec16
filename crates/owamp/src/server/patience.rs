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
pub(super) struct Patient {
    stream: TcpStream,
    until: Monotonic,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, length: Duration) -> Self {
        let mut patient = Self { stream, until: Monotonic::default() };
        patient.wait_for(length);
        patient
    }

    /// From now on, what is to come or to go has so long.
    pub(super) fn wait_for(&mut self, length: Duration) {
        self.until = now() + length;
    }

    /// Another handle of the same connection, with a deadline of its own.
    pub(super) fn other(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, until: self.until })
    }

    fn left(&self) -> io::Result<Duration> {
        let left = now().until(self.until);
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"));
        }
        Ok(left)
    }
}

pub(super) fn now() -> Monotonic {
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
