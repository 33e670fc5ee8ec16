//! A daemon's thread for disk and database, so that neither ever stops the clock of its loop.
//!
//! The loop hands over what has happened and goes on; the [`Clerk`] on the other thread writes it down
//! and answers. When the disk is full or the database away the clerk keeps what it has and tries again.

mod doubts;

pub use doubts::Doubts;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::event::{EventfdFlags, eventfd};

use crate::{
    daemon::Outage,
    world::clock::{self, Clock, Moment, Monotonic, SystemClock},
};

/// How often the clerk comes round when nothing is asked of it.
const ROUND: Duration = Duration::from_secs(2);
/// A clerk that has not come round for so long hangs, and so does the daemon: it beats no more.
const HANGS: Duration = Duration::from_secs(120);

/// What works on the ledger's thread.
pub trait Clerk: Send + 'static {
    /// What the loop hands over.
    type Request: Send + 'static;
    /// What it gets back.
    type Answer: Send + 'static;

    /// Takes what was handed over; it is worked on in the next round.
    fn take(&mut self, request: Self::Request);

    /// Begins nothing that the loop would have to carry out, from now on.
    fn drain(&mut self);

    /// Writes down what there is, and looks for what is new; all of it is tried again if it fails.
    ///
    /// # Errors
    /// What stood in its way. There may be an answer all the same.
    fn round(&mut self) -> (Option<Self::Answer>, Result<(), String>);

    /// Says what could not be written when the daemon ends.
    fn tell_unwritten(&self);
}

/// How the ledger is, for the keep-alive file.
#[derive(Debug, Clone, Default)]
pub struct Health {
    turned: Monotonic,
    /// What stands in its way.
    pub outage: Option<String>,
}

impl Health {
    /// Whether the thread has stopped coming round.
    #[must_use]
    pub fn hangs(&self, moment: &Moment) -> bool {
        self.turned != Monotonic::default() && self.turned.until(moment.monotonic) > HANGS
    }
}

/// What goes to the clerk.
enum Message<R> {
    Request(R),
    Drain,
}

/// The loop's end of the ledger.
#[derive(Debug)]
pub struct Ledger<C: Clerk> {
    requests: Option<Sender<Message<C::Request>>>,
    answers: Receiver<C::Answer>,
    wake: Arc<OwnedFd>,
    health: Arc<Mutex<Health>>,
    thread: Option<JoinHandle<()>>,
}

impl<C: Clerk> Ledger<C> {
    /// Starts the thread.
    ///
    /// # Errors
    /// As `eventfd(2)` and `pthread_create(3)`.
    pub fn start(clerk: C) -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let (outbox, answers) = mpsc::channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let health = Arc::new(Mutex::new(Health::default()));
        let mut desk = Desk {
            clerk,
            inbox,
            outbox,
            wake: Arc::clone(&wake),
            health: Arc::clone(&health),
            outage: Outage::default(),
        };
        let thread = thread::Builder::new().name("ledger".to_owned()).spawn(move || desk.work())?;
        Ok(Self { requests: Some(requests), answers, wake, health, thread: Some(thread) })
    }

    /// Readable when there is an answer, or when something stands in the clerk's way.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// The answers since the last call.
    pub fn answers(&self) -> impl Iterator<Item = C::Answer> {
        let mut count = [0; 8];
        // Empty when nothing was added: then there is nothing to clear.
        let _ = rustix::io::read(&self.wake, &mut count);
        self.answers.try_iter()
    }

    /// Hands something over.
    pub fn note(&self, request: C::Request) {
        self.send(Message::Request(request));
    }

    /// Has nothing more begun.
    pub fn drain(&self) {
        self.send(Message::Drain);
    }

    fn send(&self, message: Message<C::Request>) {
        // The thread ends only when this end is closed.
        if self.requests.as_ref().is_some_and(|requests| requests.send(message).is_err()) {
            log::error!("the ledger is gone");
        }
    }

    /// How the ledger is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all that was handed over is written, or cannot be; gives the answers that nobody took.
    #[must_use]
    pub fn close(mut self) -> Vec<C::Answer> {
        self.requests = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the ledger ended badly");
        }
        self.answers().collect()
    }
}

/// The thread's end.
struct Desk<C: Clerk> {
    clerk: C,
    inbox: Receiver<Message<C::Request>>,
    outbox: Sender<C::Answer>,
    wake: Arc<OwnedFd>,
    health: Arc<Mutex<Health>>,
    outage: Outage,
}

impl<C: Clerk> Desk<C> {
    /// Works until the loop closes its end, and all that was handed over is written or cannot be.
    fn work(&mut self) {
        let mut open = true;
        let mut rest = Duration::ZERO;
        while open {
            open = self.gather(rest);
            if !open {
                // Nobody would carry out what the last round begins.
                self.clerk.drain();
            }
            let well = self.round();
            rest = ROUND;
            if !well && open {
                // What is handed over meanwhile waits in the channel; the loop goes on.
                clock::pause(ROUND / 2);
            }
        }
        self.clerk.tell_unwritten();
    }

    /// Does a round; says whether all of it could be done.
    fn round(&mut self) -> bool {
        let (answer, done) = self.clerk.round();
        let moment = SystemClock.moment();
        let well = self.outage.note(moment.wall, done).is_some();
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) =
            Health { turned: moment.monotonic, outage: self.outage.shown() };
        let answered = answer.is_some_and(|answer| self.outbox.send(answer).is_ok());
        // The loop wants to know also that nothing can be known.
        if answered || !well {
            // A counter that is full is readable as well: the loop wakes in any case.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
        well
    }

    /// Waits for a request, at most `rest`, and takes all that are there; says whether more may come.
    fn gather(&mut self, rest: Duration) -> bool {
        let mut message = match self.inbox.recv_timeout(rest) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        while let Some(taken) = message {
            match taken {
                Message::Request(request) => self.clerk.take(request),
                Message::Drain => self.clerk.drain(),
            }
            message = self.inbox.try_recv().ok();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::world::signals;

    use super::*;

    /// Adds up what it is given; odd sums it cannot write.
    struct Adder {
        sum: u64,
        told: u64,
        draining: bool,
    }

    impl Clerk for Adder {
        type Request = u64;
        type Answer = u64;

        fn take(&mut self, request: u64) {
            self.sum += request;
        }

        fn drain(&mut self) {
            self.draining = true;
        }

        fn round(&mut self) -> (Option<u64>, Result<(), String>) {
            let new = self.sum != self.told && !self.draining;
            self.told = self.sum;
            let done = if self.sum.is_multiple_of(2) { Ok(()) } else { Err("odd".to_owned()) };
            (new.then_some(self.sum), done)
        }

        fn tell_unwritten(&self) {}
    }

    fn ledger() -> Ledger<Adder> {
        Ledger::start(Adder { sum: 0, told: 0, draining: false }).expect("a thread")
    }

    #[test]
    fn what_is_handed_over_is_answered_and_the_loop_woken() {
        let ledger = ledger();
        ledger.note(2);
        let ready = signals::wait_for(&[ledger.fd()], Duration::from_secs(60));
        assert_eq!((ready, ledger.answers().collect::<Vec<_>>()), (vec![true], vec![2]));
        assert_eq!(ledger.health().outage, None);
        assert!(!ledger.health().hangs(&SystemClock.moment()));
    }

    #[test]
    fn what_stands_in_its_way_is_told_until_it_is_over() {
        let ledger = ledger();
        ledger.note(1);
        while ledger.health().outage.is_none() {
            signals::wait_for(&[ledger.fd()], Duration::from_secs(60));
            let _ = ledger.answers().count();
        }
        assert!(ledger.health().outage.is_some_and(|outage| outage.ends_with("odd")));
        ledger.note(1);
        while ledger.health().outage.is_some() {
            clock::pause(Duration::from_millis(10));
        }
    }

    #[test]
    fn nothing_is_begun_any_more_when_it_is_closed() {
        let ledger = ledger();
        ledger.drain();
        ledger.note(4);
        assert_eq!(ledger.close(), [] as [u64; 0]);
    }
}
