//! A test over TCP, in a thread of its own: what comes is counted, and each block is answered when its head is there.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::fd::AsFd,
    time::Duration,
};

use socket2::SockRef;
use timed_udp::clock::Mono;

use super::{
    control::{Control, Said},
    judge::TcpPlan,
    registry::Door,
    times::Times,
};
use crate::{
    protocol::{Answer, Heads, TcpProposal},
    socket::{Buffer, Ready, set_window, wait, would_wait},
};

/// How long a client may take to hear the report.
const HEARING: Duration = Duration::from_secs(10);
/// Octets that are read at once.
pub(super) const PIECE: usize = 256 << 10;

/// A test.
pub(super) struct TcpTest {
    pub(super) control: Control,
    pub(super) door: Door,
    pub(super) wanted: TcpProposal,
    pub(super) plan: TcpPlan,
}

/// What came of a test, for the log.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Done {
    pub(super) seconds: f64,
    pub(super) octets: u64,
}

struct Stream {
    socket: TcpStream,
    heads: Heads,
    /// Records that the client has not taken yet. While there are any, nothing is read.
    records: Vec<u8>,
    has_ended: bool,
}

struct Run {
    test: TcpTest,
    streams: Vec<Option<Stream>>,
    piece: Vec<u8>,
    times: Times,
    begun: Option<Mono>,
}

/// Carries out a test.
///
/// # Errors
/// Why it ended before its end.
pub(super) fn carry_out(test: TcpTest) -> Result<Done, String> {
    let streams = (0..test.wanted.streams).map(|_| None).collect();
    let times = Times::granted(Mono::now());
    let mut run = Run { test, streams, piece: vec![0; PIECE], times, begun: None };
    loop {
        let left = run.times.left(Mono::now(), "not all of its streams came")?;
        let ready = wait(&run.wanted(), left);
        if ready.first().is_some_and(|it| it.read) && run.hear()? {
            return run.report();
        }
        if ready.get(1).is_some_and(|it| it.read) {
            run.join()?;
        }
        run.serve(&ready[2.min(ready.len())..])?;
    }
}

impl Run {
    /// The control connection, the door, and then each stream that is there.
    fn wanted(&self) -> Vec<(std::os::fd::BorrowedFd<'_>, Ready)> {
        let read = Ready { read: true, write: false };
        let mut all = vec![(self.test.control.as_fd(), read), (self.test.door.fd(), read)];
        all.extend(self.going().map(|stream| {
            let has_records = !stream.records.is_empty();
            (stream.socket.as_fd(), Ready { read: !has_records, write: has_records })
        }));
        all
    }

    fn going(&self) -> impl Iterator<Item = &Stream> {
        self.streams.iter().flatten().filter(|stream| !stream.has_ended)
    }

    /// Whether the client says that the test is over.
    fn hear(&mut self) -> Result<bool, String> {
        match self.test.control.hear()? {
            Said::Nothing => Ok(false),
            Said::This(crate::protocol::Request::Finished) => Ok(true),
            Said::This(_) => Err("it says what has no place in a TCP test".to_owned()),
            Said::Gone => Err("it went before the test's end".to_owned()),
        }
    }

    fn join(&mut self) -> Result<(), String> {
        for (number, socket) in self.test.door.take() {
            let Some(place) = self.streams.get_mut(usize::from(number)) else {
                return Err(format!("stream {number} is none of this test's"));
            };
            if place.is_some() {
                return Err(format!("stream {number} is there already"));
            }
            *place = Some(self.test.welcome(socket)?);
            self.times.came(Mono::now());
        }
        if self.begun.is_none() && self.streams.iter().all(Option::is_some) {
            let now = Mono::now();
            let length = Duration::from_secs(self.test.plan.duration_s.into());
            self.times.begin(now, length, Duration::ZERO);
            self.begun = Some(now);
        }
        Ok(())
    }

    /// Takes what has come of each stream, in turn.
    fn serve(&mut self, ready: &[Ready]) -> Result<(), String> {
        let mut came = false;
        let going = self.streams.iter_mut().flatten().filter(|stream| !stream.has_ended);
        for (stream, ready) in going.zip(ready) {
            if ready.read && stream.records.is_empty() {
                came |= stream.take(&mut self.piece)?;
            }
            if ready.write {
                stream.answer();
            }
        }
        // Who sends before all have joined does not get more time for that.
        if came && self.begun.is_some() {
            self.times.came(Mono::now());
        }
        Ok(())
    }

    fn report(mut self) -> Result<Done, String> {
        let octets: Vec<u64> =
            self.streams.iter().map(|it| it.as_ref().map_or(0, |it| it.heads.received())).collect();
        let done = Done {
            seconds: self.begun.map_or(0.0, |begun| Mono::now().since(begun).as_secs_f64()),
            octets: octets.iter().sum(),
        };
        self.test.control.say(&Answer::TcpReport(octets)).map_err(|it| it.to_string())?;
        // What the client has not read when we close, a reset would take away.
        let until = Mono::now() + HEARING;
        let read = Ready { read: true, write: false };
        while !matches!(self.test.control.hear(), Ok(Said::Gone) | Err(_)) {
            let left = until.since(Mono::now());
            if left.is_zero() {
                break;
            }
            wait(&[(self.test.control.as_fd(), read)], left);
        }
        Ok(done)
    }
}

impl TcpTest {
    fn welcome(&self, mut socket: TcpStream) -> Result<Stream, String> {
        let failed = |error: std::io::Error| error.to_string();
        let window = set_window(&SockRef::from(&socket), Buffer::Receive, self.plan.window);
        let window = window.map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        socket.write_all(&Answer::Joined(window).to_bytes()).map_err(failed)?;
        let heads = Heads::of(self.wanted.block);
        Ok(Stream { socket, heads, records: Vec::new(), has_ended: false })
    }
}

impl Stream {
    /// Takes a piece; says whether anything came.
    fn take(&mut self, piece: &mut [u8]) -> Result<bool, String> {
        match self.socket.read(piece) {
            Ok(0) => self.has_ended = true,
            Ok(length) => {
                self.heads
                    .take(&piece[..length], &mut self.records)
                    .map_err(|wrong| wrong.to_string())?;
                self.answer();
                return Ok(true);
            }
            Err(error) if would_wait(&error) => {}
            // The control connection tells whether that is the test's end.
            Err(_) => self.has_ended = true,
        }
        Ok(false)
    }

    /// Sends the records that the client takes now.
    fn answer(&mut self) {
        while !self.records.is_empty() && !self.has_ended {
            match self.socket.write(&self.records) {
                Ok(length) => {
                    self.records.drain(..length);
                }
                Err(error) if would_wait(&error) => break,
                Err(_) => self.has_ended = true,
            }
        }
    }
}
