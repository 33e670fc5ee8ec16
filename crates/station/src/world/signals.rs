//! Signals raise a flag and wake the loop; nobody but `main` ends the process.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    low_level::pipe,
};

/// The wish of somebody outside that the program end.
#[derive(Debug)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    wakes: UnixStream,
}

impl Stop {
    /// Asked for by TERM, INT and HUP.
    ///
    /// # Errors
    /// As `socketpair(2)` and `sigaction(2)`.
    pub fn on_signals() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let (wakes, raised) = UnixStream::pair()?;
        wakes.set_nonblocking(true)?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
            pipe::register(signal, raised.try_clone()?)?;
        }
        Ok(Self { asked, wakes })
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Becomes readable when it is asked for.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wakes.as_fd()
    }

    /// Waits until a stop is asked for, at most `length`.
    pub fn wait(&self, length: Duration) {
        if !self.asked() {
            wait_for(&[self.fd()], length);
        }
    }
}

/// Waits until one of `fds` is readable, at most `length`; says which are.
///
/// A signal ends the wait early, with none.
#[expect(clippy::must_use_candidate, reason = "waiting is the effect")]
pub fn wait_for(fds: &[BorrowedFd<'_>], length: Duration) -> Vec<bool> {
    let mut polled: Vec<PollFd<'_>> =
        fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let timeout = Timespec {
        tv_sec: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(length.subsec_nanos()),
    };
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) => polled.iter().map(|fd| !fd.revents().is_empty()).collect(),
        Err(Errno::INTR) => vec![false; fds.len()],
        Err(error) => {
            // Only a bug or no memory: the loop must not spin because of it.
            log::error!("cannot wait: poll: {error}");
            super::clock::pause(length.min(Duration::from_secs(1)));
            vec![false; fds.len()]
        }
    }
}
