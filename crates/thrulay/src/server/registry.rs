//! Tests whose streams are still to come: a connection that shows a test's token is handed to that test's thread.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, TcpStream},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
};

use subtle::ConstantTimeEq;

use crate::protocol::{Join, Token};

/// A connection that has joined, and as which stream.
pub(super) type Joined = (u16, TcpStream);

#[derive(Debug)]
struct Entry {
    token: Token,
    address: IpAddr,
    joins: Sender<Joined>,
    bell: UnixStream,
}

/// All tests over TCP that go on.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Vec<Entry>>);

impl Registry {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a test's door to connections from this address that have the token.
    pub(super) fn open(self: &Arc<Self>, token: Token, address: IpAddr) -> io::Result<Door> {
        let ((joins, comes), (wakes, bell)) = (channel(), UnixStream::pair()?);
        wakes.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        self.entries().push(Entry { token, address, joins, bell });
        Ok(Door { registry: Arc::clone(self), token, comes, wakes })
    }

    /// Hands a connection over; says whether there is such a test.
    pub(super) fn hand_over(&self, join: &Join, address: IpAddr, stream: TcpStream) -> bool {
        let entries = self.entries();
        let is_it = |entry: &&Entry| {
            bool::from(entry.token.0.ct_eq(&join.token.0)) && entry.address == address
        };
        let Some(entry) = entries.iter().find(is_it) else { return false };
        let taken = entry.joins.send((join.stream, stream)).is_ok();
        // A bell that is full has been rung.
        let _ = (&entry.bell).write(&[0]);
        taken
    }
}

/// Where a test's connections come in. Dropped, no more do.
#[derive(Debug)]
pub(super) struct Door {
    registry: Arc<Registry>,
    token: Token,
    comes: Receiver<Joined>,
    wakes: UnixStream,
}

impl Door {
    /// Becomes readable when somebody has come.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.wakes.as_fd()
    }

    /// Who has come.
    pub(super) fn take(&self) -> Vec<Joined> {
        while matches!((&self.wakes).read(&mut [0; 64]), Ok(1..)) {}
        self.comes.try_iter().collect()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.registry.entries().retain(|entry| entry.token != self.token);
    }
}
