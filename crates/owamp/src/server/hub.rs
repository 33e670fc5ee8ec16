//! The way between conversations and the engine that carries their sessions.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use crate::session::{EngineSettings, Event, Handle, start_with};

/// Where the events of a session go.
#[derive(Debug)]
struct Address {
    events: Sender<Event>,
    wake: UnixStream,
}

type Addresses = Mutex<HashMap<u64, Address>>;

/// The engine, and who waits for what it tells.
#[derive(Debug)]
pub(super) struct Hub {
    handle: Handle,
    addresses: Arc<Addresses>,
    next: AtomicU64,
}

fn lock(addresses: &Addresses) -> MutexGuard<'_, HashMap<u64, Address>> {
    addresses.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(super) fn start(settings: &EngineSettings) -> io::Result<Self> {
        let addresses = Arc::new(Addresses::default());
        let known = Arc::clone(&addresses);
        let handle = start_with(settings, move |event| deliver(&known, event))?;
        Ok(Self { handle, addresses, next: AtomicU64::new(1) })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A number for a session.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// Who left before the end of a session does not want to know of it.
fn deliver(addresses: &Addresses, event: Event) {
    let Some(mut address) = lock(addresses).remove(&event.id()) else { return };
    if address.events.send(event).is_ok() {
        let _ = address.wake.write(&[0]);
    }
}

/// What the engine tells of the sessions of one conversation. Dropped, they are all stopped.
#[derive(Debug)]
pub(super) struct Mailbox<'a> {
    hub: &'a Hub,
    events: Receiver<Event>,
    sender: Sender<Event>,
    wakes: UnixStream,
    bell: UnixStream,
    open: Vec<u64>,
}

impl<'a> Mailbox<'a> {
    pub(super) fn new(hub: &'a Hub) -> io::Result<Self> {
        let ((sender, events), (wakes, bell)) = (channel(), UnixStream::pair()?);
        wakes.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        Ok(Self { hub, events, sender, wakes, bell, open: Vec::new() })
    }

    /// Wants to know of this session, which begins after this.
    pub(super) fn expect(&mut self, id: u64) -> io::Result<()> {
        let address = Address { events: self.sender.clone(), wake: self.bell.try_clone()? };
        lock(&self.hub.addresses).insert(id, address);
        self.open.push(id);
        Ok(())
    }

    /// Becomes readable when there is something.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.wakes.as_fd()
    }

    /// What there is.
    pub(super) fn take(&mut self) -> Vec<Event> {
        while matches!(self.wakes.read(&mut [0; 64]), Ok(1..)) {}
        let events: Vec<Event> = self.events.try_iter().collect();
        self.open.retain(|id| events.iter().all(|event| event.id() != *id));
        events
    }
}

impl Drop for Mailbox<'_> {
    fn drop(&mut self) {
        for id in &self.open {
            lock(&self.hub.addresses).remove(id);
            let _ = self.hub.handle.stop(*id, std::time::Duration::ZERO, None);
        }
    }
}
