//! A control connection, of either side: lines that come whole or are waited for, never longer than they should.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use station::world::signals::{Stop, wait_for};
use timed_udp::clock::Mono;

use crate::protocol::{self, LONGEST_LINE};

/// Why a conversation ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The other side went away.
    Gone(String),
    /// It says nothing.
    Silent(&'static str),
    /// It says what makes no sense.
    Senseless(String),
    /// Somebody asked us to end.
    Stopped,
    /// Something of ours failed.
    Ours(String),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Gone(error.to_string())
    }
}

/// A connection; it never blocks.
pub(crate) struct Control<'a> {
    stream: TcpStream,
    came: Vec<u8>,
    stop: &'a Stop,
}

impl AsFd for Control<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl<'a> Control<'a> {
    pub(crate) fn new(stream: TcpStream, stop: &'a Stop) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, came: Vec::new(), stop })
    }

    /// Says something. What the kernel has no room for at once goes to nobody who listens.
    pub(crate) fn say<T: Serialize>(&mut self, message: &T) -> Result<(), Ended> {
        self.stream.write_all(&protocol::line(message)).map_err(Ended::from)
    }

    /// What was said, if a whole message is there.
    pub(crate) fn hear<T: for<'b> Deserialize<'b>>(&mut self) -> Result<Option<T>, Ended> {
        if let Some(message) = protocol::take(&mut self.came).map_err(Ended::Senseless)? {
            return Ok(Some(message));
        }
        let mut buffer = [0; LONGEST_LINE];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(Ended::Gone("it closed the connection".to_owned())),
            Ok(count) => {
                self.came.extend_from_slice(&buffer[..count]);
                protocol::take(&mut self.came).map_err(Ended::Senseless)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for a message, at most until then.
    pub(crate) fn wait<T: for<'b> Deserialize<'b>>(
        &mut self,
        until: Mono,
        what: &'static str,
    ) -> Result<T, Ended> {
        loop {
            if let Some(message) = self.hear()? {
                return Ok(message);
            }
            if self.look(&[], until)?.is_none() {
                return Err(Ended::Silent(what));
            }
        }
    }

    /// Waits until there is something to hear here or on `others`, at most until then; none: it is then.
    pub(crate) fn look(&self, others: &[BorrowedFd<'_>], until: Mono) -> Result<Option<()>, Ended> {
        let left = until.since(Mono::now());
        if self.stop.asked() {
            return Err(Ended::Stopped);
        }
        if left.is_zero() {
            return Ok(None);
        }
        let mut fds = vec![self.stop.fd(), self.as_fd()];
        fds.extend_from_slice(others);
        wait_for(&fds, left.min(Duration::from_secs(1)));
        if self.stop.asked() { Err(Ended::Stopped) } else { Ok(Some(())) }
    }

    /// Does nothing until then, or until somebody asks us to end.
    pub(crate) fn pause(&self, until: Mono) -> Result<(), Ended> {
        self.stop.wait(until.since(Mono::now()));
        if self.stop.asked() { Err(Ended::Stopped) } else { Ok(()) }
    }

    /// Whether the other side is still there, as far as is known; what it said meanwhile is kept.
    pub(crate) fn is_there(&self) -> bool {
        let mut octet = [0];
        match self.stream.peek(&mut octet) {
            Ok(count) => count > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}
