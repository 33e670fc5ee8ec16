//! The loop's end of the daemon's ledger: the thread for disk and database, so that neither ever stops
//! the clock.
//!
//! The loop hands over what has ended and goes on; the [clerk](crate::clerk) at the other end does the
//! rest.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::event::{EventfdFlags, eventfd};
use station::{
    words::{config::Config, run::RunId},
    world::{
        clock::Monotonic,
        probe::{Ending, Order},
        spool::Spool,
        store::{self, Session, Store},
    },
};

use crate::{
    Kind,
    clerk::{Clerk, Ends},
};

/// How long one transaction may wait for others.
pub(crate) const PATIENCE: Duration = Duration::from_secs(6);

/// What became of a claimed run.
#[derive(Debug)]
pub enum Outcome {
    /// Its process has ended.
    Ended(Box<Ending>),
    /// It could not be started.
    Failed(RunId, String),
    /// Its window passed before it could be started.
    Missed(RunId, String),
    /// It was not started, or was ended with the daemon: somebody else may take it.
    PutBack(RunId),
}

/// What the loop asks of the clerk.
#[derive(Debug)]
pub(crate) enum Request {
    Outcome(Outcome),
    /// Claim nothing more.
    Drain,
}

/// How the ledger is, for the keep-alive file.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// When it last came round.
    pub turned: Monotonic,
    /// What stands in its way.
    pub outage: Option<String>,
}

/// The loop's end of the ledger.
#[derive(Debug)]
pub struct Ledger {
    requests: Option<Sender<Request>>,
    claims: Receiver<Vec<Order>>,
    wake: Arc<OwnedFd>,
    health: Arc<Mutex<Health>>,
    thread: Option<JoinHandle<()>>,
}

impl Ledger {
    /// Starts the thread.
    ///
    /// # Errors
    /// As `eventfd(2)` and `pthread_create(3)`.
    pub fn start(kind: Kind, config: &Config, spool: &Spool) -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let (outbox, claims) = mpsc::channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let health = Arc::new(Mutex::new(Health::default()));
        let ends = Ends { inbox, outbox, wake: Arc::clone(&wake), health: Arc::clone(&health) };
        let mut clerk = Clerk::new(kind, config, spool, ends);
        let thread =
            thread::Builder::new().name("ledger".to_owned()).spawn(move || clerk.work())?;
        Ok(Self { requests: Some(requests), claims, wake, health, thread: Some(thread) })
    }

    /// Readable when there are new claims.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// The runs that were claimed since the last call; nothing if the ledger has not looked yet.
    #[must_use]
    pub fn claimed(&self) -> Option<Vec<Order>> {
        let mut count = [0; 8];
        // Empty when nothing was added: then there is nothing to clear.
        let _ = rustix::io::read(&self.wake, &mut count);
        let mut all: Option<Vec<Order>> = None;
        while let Ok(orders) = self.claims.try_recv() {
            all.get_or_insert_default().extend(orders);
        }
        all
    }

    /// Hands over what became of a run.
    pub fn note(&self, outcome: Outcome) {
        self.send(Request::Outcome(outcome));
    }

    /// Has nothing more claimed.
    pub fn drain(&self) {
        self.send(Request::Drain);
    }

    fn send(&self, request: Request) {
        // The thread ends only when this end is closed.
        if self.requests.as_ref().is_some_and(|requests| requests.send(request).is_err()) {
            log::error!("the ledger is gone");
        }
    }

    /// How the ledger is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all that was handed over is written, or cannot be. What was claimed meanwhile,
    /// and nobody will carry out, is put back.
    pub fn close(mut self, config: &Config) {
        self.requests = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the ledger ended badly");
        }
        let Some(orders) = self.claimed().filter(|orders| !orders.is_empty()) else { return };
        let mut store = Store::of(&config.database, PATIENCE);
        let put_back = |session: &mut dyn Session| {
            orders.iter().try_for_each(|order| store::put_back(session, order.run).map(|_| ()))
        };
        if let Err(error) = store.transaction(put_back) {
            log::error!("putting {} claimed runs back: {error}", orders.len());
        }
    }
}
