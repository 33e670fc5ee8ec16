//! The control connection of a test that goes on.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
};

use crate::{
    protocol::{Answer, Incoming, Request},
    socket::would_wait,
};

/// A connection that never waits.
#[derive(Debug)]
pub(super) struct Control {
    stream: TcpStream,
    incoming: Incoming,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing whole yet.
    Nothing,
    /// This.
    This(Request),
    /// It is gone.
    Gone,
}

impl Control {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, incoming: Incoming::default() }
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Our address, where the client has found us.
    pub(super) fn local(&self) -> io::Result<std::net::SocketAddr> {
        self.stream.local_addr()
    }

    /// Reads what is there, up to the end of a message.
    ///
    /// # Errors
    /// It makes no sense, or the connection broke; in words.
    pub(super) fn hear(&mut self) -> Result<Said, String> {
        let mut buffer = [0; 256];
        loop {
            if let Some((kind, body)) = self.incoming.take().map_err(|it| it.to_string())? {
                let request = Request::read(kind, &body).map_err(|it| it.to_string())?;
                return Ok(Said::This(request));
            }
            let wanted = self.incoming.wanted().map_err(|it| it.to_string())?;
            let most = wanted.min(buffer.len());
            match self.stream.read(&mut buffer[..most]) {
                Ok(0) => return Ok(Said::Gone),
                Ok(length) => self.incoming.add(&buffer[..length]),
                Err(error) if would_wait(&error) => return Ok(Said::Nothing),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Says something, which is always small enough for the room that a connection has.
    pub(super) fn say(&mut self, answer: &Answer) -> io::Result<()> {
        self.stream.write_all(&answer.to_bytes())
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
