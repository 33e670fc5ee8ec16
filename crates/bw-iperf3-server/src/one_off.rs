//! One server of iperf3, for one test: from its start to its end.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    time::Duration,
};

use station::{
    words::servers::{Port, Protocol},
    world::{
        clock::{Clock, SystemClock},
        process::{self, Launch, Process, Signal, Status},
        processes, signals,
        signals::Stop,
        sockets,
    },
};

use crate::pace::Test;

/// How often it is looked whether a test goes on.
const LOOK: Duration = Duration::from_secs(5);
/// How long a server that is asked to end may take.
const GRACE: Duration = Duration::from_secs(2);

/// How a server ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, mostly after its test.
    Ended(Status),
    /// It was ended: its test took so long.
    Stuck(Duration),
    /// It was ended because we are to end.
    Asked,
    /// There was none, for this reason.
    NotStarted(String),
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct OneOff {
    process: Process,
    port: Port,
}

impl OneOff {
    /// Starts one; what it says goes where we say something.
    pub(crate) fn start(words: &[String], port: u16, bin: &Path, tag: &str) -> io::Result<Self> {
        let process = process::start(Launch {
            argv: words,
            bin,
            tag,
            stdout: same(io::stdout().as_fd())?,
            stderr: same(io::stderr().as_fd())?,
        })?;
        Ok(Self { process, port: Port { protocol: Protocol::Tcp, number: port } })
    }

    /// Waits for its end; brings it about when its test takes longer than `limit`, or `stop` is asked for.
    pub(crate) fn watch(&self, limit: Duration, stop: &Stop) -> io::Result<End> {
        let (mut test, look) = (Test::default(), LOOK.min(limit / 2));
        loop {
            if let Some(status) = self.process.reap()? {
                return Ok(End::Ended(status));
            }
            if stop.asked() {
                return self.end().map(|()| End::Asked);
            }
            let now = SystemClock.moment().monotonic;
            if let Some(length) = test.seen(self.is_busy(), now, limit) {
                return self.end().map(|()| End::Stuck(length));
            }
            signals::wait_for(&[self.process.fd(), stop.fd()], look);
        }
    }

    /// Whether a client is there: then it has more sockets than those that it listens on.
    fn is_busy(&self) -> bool {
        // What cannot be seen is no test that takes too long.
        let own = || sockets::of(&processes::of(self.process.pid()).ok()??).ok();
        let Some(own) = own() else { return false };
        sockets::listeners(self.port)
            .is_ok_and(|listeners| own.iter().any(|socket| !listeners.contains(socket)))
    }

    /// Ends it with all of its group.
    fn end(&self) -> io::Result<()> {
        for signal in [Signal::TERM, Signal::CONT] {
            self.process.signal(signal);
        }
        signals::wait_for(&[self.process.fd()], GRACE);
        self.process.signal(Signal::KILL);
        while self.process.reap()?.is_none() {
            signals::wait_for(&[self.process.fd()], GRACE);
        }
        Ok(())
    }
}

/// Another descriptor of the same file.
fn same(output: BorrowedFd<'_>) -> io::Result<File> {
    output.try_clone_to_owned().map(File::from)
}
