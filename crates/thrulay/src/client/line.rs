//! A connection to the server: it never waits longer than it should, and a signal ends each wait.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use station::world::signals::Stop;
use timed_udp::clock::Mono;

use super::{Args, trouble::Trouble};
use crate::{
    protocol::{Answer, GREETING, Incoming, OTHERS, Request},
    socket::{Buffer, Ready, set_window, wait, would_wait},
};

/// How long a server may take to answer, unless more is said.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A connection.
pub(super) struct Line<'a> {
    pub(super) stream: TcpStream,
    pub(super) server: SocketAddr,
    /// None if it is of no more use to end early.
    stop: Option<&'a Stop>,
    incoming: Incoming,
}

impl<'a> Line<'a> {
    /// Connects to the first of the addresses that takes it, and hears the greeting.
    pub(super) fn to(
        addresses: &[SocketAddr],
        args: &Args,
        stop: &'a Stop,
    ) -> Result<Self, Trouble> {
        let mut trouble = Trouble::Place(args.host.clone(), "it has no address".to_owned());
        for server in addresses {
            match Self::begin(*server, args, stop).and_then(Self::connected) {
                Ok(mut line) => {
                    line.greeting()?;
                    return Ok(line);
                }
                Err(Trouble::Interrupted) => return Err(Trouble::Interrupted),
                Err(other) => trouble = other,
            }
        }
        Err(trouble)
    }

    /// Begins to connect, and does not wait for it.
    pub(super) fn begin(server: SocketAddr, args: &Args, stop: &'a Stop) -> Result<Self, Trouble> {
        let failed = |error| Trouble::Connect(server, error);
        let socket = socket(server, args).map_err(failed)?;
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            other => other.map_err(failed)?,
        }
        let (stream, incoming) = (socket.into(), Incoming::default());
        Ok(Self { stream, server, stop: Some(stop), incoming })
    }

    /// Waits until what was begun is connected.
    fn connected(self) -> Result<Self, Trouble> {
        let failed = |error| Trouble::Connect(self.server, error);
        let write = Ready { read: false, write: true };
        let until = Mono::now() + PATIENCE;
        if !self.wait(write, until)?.write {
            return Err(failed(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("timed out after {} s", PATIENCE.as_secs()),
            )));
        }
        match self.stream.take_error() {
            Ok(None) => Ok(self),
            Ok(Some(error)) | Err(error) => Err(failed(error)),
        }
    }

    /// Waits until what was begun is connected, and hears the greeting.
    pub(super) fn greeted(self) -> Result<Self, Trouble> {
        let mut line = self.connected()?;
        line.greeting()?;
        Ok(line)
    }

    /// Waits for the connection to be as it is wanted, until then at the latest.
    fn wait(&self, wanted: Ready, until: Mono) -> Result<Ready, Trouble> {
        let read = Ready { read: true, write: false };
        loop {
            let left = until.since(Mono::now());
            let mut both = vec![(self.stream.as_fd(), wanted)];
            both.extend(self.stop.map(|stop| (stop.fd(), read)));
            let ready = wait(&both, left);
            if self.stop.is_some_and(Stop::asked) {
                return Err(Trouble::Interrupted);
            }
            if ready[0] != Ready::default() || left.is_zero() {
                return Ok(ready[0]);
            }
        }
    }

    /// From now on no signal ends a wait.
    pub(super) fn finish(&mut self) {
        self.stop = None;
    }

    fn greeting(&mut self) -> Result<(), Trouble> {
        let (mut greeting, mut length) = ([0; GREETING.len()], 0);
        let until = Mono::now() + PATIENCE;
        while length < greeting.len() {
            let more =
                self.read(&mut greeting[length..], "waiting for the server's greeting", until)?;
            length += more;
            if !GREETING.starts_with(&greeting[..length]) || more == 0 {
                return Err(Trouble::Stranger(self.server, stranger(&greeting[..length])));
            }
        }
        Ok(())
    }

    /// Reads something; 0 octets at its end.
    fn read(&self, into: &mut [u8], doing: &'static str, until: Mono) -> Result<usize, Trouble> {
        let read = Ready { read: true, write: false };
        loop {
            match (&self.stream).read(into) {
                Ok(length) => return Ok(length),
                Err(error) if would_wait(&error) => {
                    if !self.wait(read, until)?.read {
                        return Err(Trouble::Silent(doing, PATIENCE.as_secs()));
                    }
                }
                Err(error) => return Err(Trouble::Broken(format!("{doing}: {error}"))),
            }
        }
    }

    /// Says something, which is always small.
    pub(super) fn say(&mut self, request: &Request) -> Result<(), Trouble> {
        let broken = |error: io::Error| Trouble::Broken(format!("talking to the server: {error}"));
        self.stream.write_all(&request.to_bytes()).map_err(broken)
    }

    /// Hears an answer.
    pub(super) fn hear(&mut self, doing: &'static str) -> Result<Answer, Trouble> {
        let until = Mono::now() + PATIENCE;
        loop {
            if let Some(answer) = self.whole()? {
                return Ok(answer);
            }
            self.read_more(doing, until)?;
        }
    }

    /// An answer, if there is one already.
    pub(super) fn heard(&mut self) -> Result<Option<Answer>, Trouble> {
        let doing = "measuring";
        loop {
            if let Some(answer) = self.whole()? {
                return Ok(Some(answer));
            }
            match self.read_more(doing, Mono(0)) {
                Ok(()) => {}
                Err(Trouble::Silent(..)) => return Ok(None),
                Err(other) => return Err(other),
            }
        }
    }

    fn whole(&mut self) -> Result<Option<Answer>, Trouble> {
        match self.incoming.take()? {
            Some((kind, body)) => Ok(Some(Answer::read(kind, &body)?)),
            None => Ok(None),
        }
    }

    fn read_more(&mut self, doing: &'static str, until: Mono) -> Result<(), Trouble> {
        let mut buffer = [0; 512];
        let most = self.incoming.wanted()?.min(buffer.len());
        let length = self.read(&mut buffer[..most], doing, until)?;
        if length == 0 {
            return Err(Trouble::Broken(format!("{doing}: the server closed its connection")));
        }
        self.incoming.add(&buffer[..length]);
        Ok(())
    }
}

impl AsFd for Line<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn socket(server: SocketAddr, args: &Args) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Before it connects: the handshake tells how far windows go.
    set_window(&socket, Buffer::Send, args.window)?;
    socket.set_tcp_nodelay(true)?;
    let class = u32::from(args.dscp) << 2;
    if server.is_ipv4() {
        socket.set_tos_v4(class)?;
    } else {
        socket.set_tclass_v6(class)?;
    }
    Ok(socket)
}

/// What stands at the place of a greeting.
fn stranger(said: &[u8]) -> String {
    if said.is_empty() {
        return "the server closed its connection without a word; it may have too many".to_owned();
    }
    if said.starts_with(&GREETING[..13]) {
        return "the server has another version of the protocol: bring both ends to one version"
            .to_owned();
    }
    if said.starts_with(OTHERS) {
        let why = "that is the thrulayd of the reference (thrulay 0.9), whose protocol is another: \
                   start this suite's thrulayd there";
        return why.to_owned();
    }
    format!("what answers is no thrulayd: it says {:?}", String::from_utf8_lossy(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_answers_instead_is_told_by_what_it_says() {
        assert!(stranger(b"thrulay/2+").contains("reference"));
        assert!(stranger(b"iepm-thrulay/2\r\n").contains("another version"));
        assert!(stranger(b"SSH-2.0-Open").contains("SSH-2.0-Open"));
        assert!(stranger(b"").contains("without a word"));
    }
}
