//! The connection to a server: what it answers has to come as a whole, by its time, and whoever wants us to end
//! meanwhile is heard.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SendFlags, send},
};
use socket2::{Domain, Socket, Type};
use station::world::signals::Stop;

use crate::patience::Patient;

/// How long any answer of a server is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// And if somebody wants an end while sessions go on, beside the time that a server waits for what is on its way.
const PARTING: Duration = Duration::from_secs(3);
/// By how much an octet of records lets us wait longer: they have to come with 1,000 octets a second.
const FOR_AN_OCTET: Duration = Duration::from_millis(1);

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Line {
    patient: Patient,
    for_an_octet: Duration,
    /// Readable when somebody wants an end.
    stop: OwnedFd,
    is_asked: bool,
    /// There are sessions, which are to be ended in order.
    under_way: Option<Duration>,
}

/// That somebody wants an end, as an [`io::Error`] has it.
#[derive(Debug)]
struct Asked;

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("asked to end")
    }
}

impl std::error::Error for Asked {}

/// Whether it failed since somebody wants an end.
pub(super) fn is_asked(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(why) if why.is::<Asked>())
}

impl Line {
    fn new(stream: TcpStream, stop: &Stop) -> io::Result<Self> {
        Ok(Self {
            patient: Patient::new(stream, PATIENCE),
            for_an_octet: Duration::ZERO,
            stop: stop.fd().try_clone_to_owned()?,
            is_asked: false,
            under_way: None,
        })
    }

    /// The connection itself.
    pub(super) fn stream(&self) -> io::Result<TcpStream> {
        Ok(self.patient.as_fd().try_clone_to_owned()?.into())
    }

    /// What is said now, and answered, has its time from now on.
    pub(super) fn begin(&mut self) {
        self.patient.wait_for(PATIENCE);
        self.for_an_octet = Duration::ZERO;
    }

    /// As [`Self::begin`], where the answer may be long.
    pub(super) fn begin_long(&mut self) {
        self.begin();
        self.for_an_octet = FOR_AN_OCTET;
    }

    /// From now on there are sessions: who wants an end gets it in order.
    ///
    /// When they are stopped, what is on its way may be waited for so long.
    pub(super) const fn go_under_way(&mut self, lingers: Duration) {
        self.under_way = Some(lingers);
    }

    /// The time that is left for what was begun.
    fn left(&mut self) -> io::Result<Duration> {
        if !self.is_asked {
            return self.patient.left();
        }
        let Some(lingers) = self.under_way else { return Err(io::Error::other(Asked)) };
        self.patient.wait_at_most(PARTING + lingers);
        self.patient.left().map_err(|_| io::Error::other(Asked))
    }

    /// Waits until it can be read or written.
    fn wait(&mut self, wanted: PollFlags) -> io::Result<()> {
        loop {
            let left = self.left()?;
            let time = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut both =
                [PollFd::new(&self.patient, wanted), PollFd::new(&self.stop, PollFlags::IN)];
            // It stays readable: once is enough.
            let watched = if self.is_asked { &mut both[..1] } else { &mut both[..] };
            match poll(watched, Some(&time)) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let [is_ready, is_asked] = both.map(|one| !one.revents().is_empty());
            if is_asked {
                self.is_asked = true;
            } else if is_ready {
                return Ok(());
            }
        }
    }
}

impl Read for Line {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.wait(PollFlags::IN)?;
        let count = self.patient.read(into)?;
        if !self.is_asked {
            let octets = u32::try_from(count).unwrap_or(u32::MAX);
            self.patient.forget(self.for_an_octet.saturating_mul(octets));
        }
        Ok(count)
    }
}

impl Write for Line {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        loop {
            self.wait(PollFlags::OUT)?;
            match send(&self.patient, from, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects from `local`, where it is named, to the first of `servers` that answers.
pub(super) fn connect(
    servers: &[SocketAddr],
    local: Option<IpAddr>,
    device: Option<&str>,
    stop: &Stop,
) -> Result<Line, (SocketAddr, io::Error)> {
    let mut failed = None;
    for server in servers {
        match dial(*server, local, device, stop) {
            Ok(line) => return Ok(line),
            Err(error) if is_asked(&error) => return Err((*server, error)),
            Err(error) => failed = failed.or(Some((*server, error))),
        }
    }
    // There is one at least: a name without an address is a mistake of its own.
    let nothing = || (SocketAddr::from(([0; 4], 0)), io::ErrorKind::AddrNotAvailable.into());
    Err(failed.unwrap_or_else(nothing))
}

fn dial(
    server: SocketAddr,
    local: Option<IpAddr>,
    device: Option<&str>,
    stop: &Stop,
) -> io::Result<Line> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    socket.bind_device(device.map(str::as_bytes))?;
    if let Some(local) = local {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    socket.set_nonblocking(true)?;
    let begun = socket.connect(&server.into());
    let stream = TcpStream::from(socket);
    let mut line = Line::new(stream.try_clone()?, stop)?;
    match begun {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
            return Err(error);
        }
        _ => line.wait(PollFlags::OUT).map_err(named)?,
    }
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    Ok(line)
}

/// As the kernel calls it when nobody answers.
fn named(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => Errno::TIMEDOUT.into(),
        _ => error,
    }
}
