//! A test over TCP: all streams in one thread, which writes blocks where there is room and takes records as they come.

use std::{
    io::{self, IoSlice, Read, Write},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use socket2::SockRef;
use station::world::signals::Stop;
use timed_udp::clock::{Mono, nanos};

use super::{Args, kernel, line::Line, screen::Screen, trouble::Trouble};
use crate::{
    protocol::{AcceptedTcp, Answer, HEAD, Head, Join, RECORD, Records, Request, TcpProposal},
    report::{KernelView, Outcome, Run, TcpOutcome, TcpSetup, Told},
    socket::{Ready, wait, would_wait},
    statistics::{Meter, Row},
};

const USUAL_BLOCK: u32 = 64 << 10;
/// Calls by which a stream may send before the others have their turn.
const AT_ONCE: usize = 4;
/// Blocks that are written by one call, where the rate is such that this is a short time.
const TOGETHER: usize = 4;
/// Records that are read at once.
const PIECE: usize = RECORD * 256;
/// How often a stream's room for what waits is set anew, nanoseconds.
const TUNING: u64 = 50_000_000;
/// Octets that may wait in our own queue while nothing is known of the rate.
const FIRST_UNSENT: u32 = 256 << 10;

/// Carries out a test. What came of it is in `run` then, also where it did not come to its end.
pub(super) fn measure(
    args: &Args,
    stop: &Stop,
    screen: &mut Screen,
    run: &mut Run,
) -> Result<(), Trouble> {
    let mut line = Line::to(&args.addresses()?, args, stop)?;
    run.server = Some(line.server);
    run.from = line.stream.local_addr().ok();
    let accepted = propose(args, &mut line)?;
    if accepted.duration_s < args.duration {
        let (granted, wanted) = (accepted.duration_s, args.duration);
        run.warnings.push(format!("the server lets a test last {granted} s, and not {wanted}"));
    }
    let (streams, remote_window) = join(args, &accepted, &line, stop)?;
    let setup = setup(args, &accepted, &streams, remote_window)?;
    screen.begin(&setup)?;
    let mut test = Test::of(setup, streams);
    let ended = test.carry_out(&mut line, stop, screen);
    let mut outcome = test.conclude(screen)?;
    let reported = ended.and_then(|()| report(&mut line));
    outcome.server_octets = reported.as_ref().ok().copied();
    run.outcome = Some(Outcome::Tcp(outcome));
    reported.map(drop)
}

fn propose(args: &Args, line: &mut Line<'_>) -> Result<AcceptedTcp, Trouble> {
    line.say(&Request::Tcp(TcpProposal {
        streams: args.streams,
        duration_s: args.duration,
        block: args.length.unwrap_or(USUAL_BLOCK),
        window: args.window,
    }))?;
    match line.hear("proposing a test")? {
        Answer::Tcp(accepted) if (1..=args.duration).contains(&accepted.duration_s) => Ok(accepted),
        Answer::Refused(cause, why) => Err(Trouble::Refused(cause, why)),
        _ => Err(senseless("answering a proposal")),
    }
}

fn senseless(doing: &str) -> Trouble {
    Trouble::Broken(format!("{doing}: the server says what has no place there"))
}

/// Connects the streams; gives the first one's receive buffer at the server as well.
fn join(
    args: &Args,
    accepted: &AcceptedTcp,
    control: &Line<'_>,
    stop: &Stop,
) -> Result<(Vec<Stream>, u32), Trouble> {
    let (mut streams, mut window) = (Vec::new(), 0);
    for number in 0..args.streams {
        let mut line = Line::to(&[control.server], args, stop)?;
        line.say(&Request::Join(Join { token: accepted.token, stream: number }))?;
        let Answer::Joined(theirs) = line.hear("joining a stream")? else {
            return Err(senseless("joining a stream"));
        };
        window = if number == 0 { theirs } else { window };
        streams.push(Stream::of(line.stream));
    }
    Ok((streams, window))
}

fn setup(
    args: &Args,
    accepted: &AcceptedTcp,
    streams: &[Stream],
    remote_window: u32,
) -> Result<TcpSetup, Trouble> {
    let ours = Trouble::ours("asking for a stream's properties");
    let first = &streams.first().ok_or_else(|| senseless("joining streams"))?.socket;
    let window = SockRef::from(first).send_buffer_size().map_err(ours)?;
    let view = kernel::look(first).unwrap_or_default();
    Ok(TcpSetup {
        local_window: u32::try_from(window).unwrap_or(u32::MAX),
        remote_window,
        block: args.length.unwrap_or(USUAL_BLOCK),
        mtu: view.mtu,
        mss: view.mss,
        duration_s: accepted.duration_s,
        interval_s: args.interval,
        streams: args.streams,
    })
}

/// The end of a test as the server knows it: octets that it has received.
fn report(line: &mut Line<'_>) -> Result<u64, Trouble> {
    line.say(&Request::Finished)?;
    match line.hear("waiting for the server's word at the test's end")? {
        Answer::TcpReport(octets) => Ok(octets.iter().fold(0, |sum, it| sum.saturating_add(*it))),
        _ => Err(senseless("ending the test")),
    }
}

struct Stream {
    socket: TcpStream,
    records: Records,
    /// What of its block is still to be written: its head, and how much of all.
    head: [u8; HEAD],
    written: usize,
    next: u64,
    /// Retransmissions up to the last row.
    told: u32,
    /// Octets that may wait unsent.
    unsent: u32,
    /// What the server had when that was looked at last.
    tuned: u64,
}

/// Octets that may wait in our own queue at a rate of so many octets in so many nanoseconds: four milliseconds of it.
/// What waits there is no round trip of the network; but for less a thread has to wake more promptly than it may.
fn unsent(octets: u64, nanos: u64) -> u32 {
    const LENGTH: u128 = 4_000_000;
    let octets = u128::from(octets) * LENGTH / u128::from(nanos.max(1));
    u32::try_from(octets).unwrap_or(u32::MAX).clamp(4 << 10, 8 << 20)
}

impl Stream {
    fn of(socket: TcpStream) -> Self {
        let (records, head) = (Records::default(), [0; HEAD]);
        let mut stream =
            Self { socket, records, head, written: 0, next: 0, told: 0, unsent: 0, tuned: 0 };
        stream.let_wait(FIRST_UNSENT);
        stream
    }

    /// What may wait unsent follows the rate of the time since the last look.
    fn tune(&mut self, received: u64, nanos: u64) {
        let octets = received - std::mem::replace(&mut self.tuned, received);
        let unsent = unsent(octets, nanos);
        if unsent.abs_diff(self.unsent) > self.unsent / 4 {
            self.let_wait(unsent);
        }
    }

    /// A kernel that does not know it lets more wait, and the round trip is longer by that.
    fn let_wait(&mut self, octets: u32) {
        self.unsent = octets;
        let _ = SockRef::from(&self.socket).set_tcp_notsent_lowat(octets);
    }

    /// Writes what there is room for, of a few blocks at the most; says whether there was room for all of them. The head
    /// of a block has the time when its first octet was written.
    fn write(&mut self, payload: &[u8], begin: Mono) -> io::Result<bool> {
        let block = HEAD + payload.len();
        let mut heads = [self.head; TOGETHER];
        let sent = nanos(Mono::now().since(begin));
        let first = usize::from(self.written > 0);
        for (number, head) in (self.next..).zip(&mut heads).skip(first) {
            *head = Head { number, sent }.to_bytes();
        }
        let count = (self.unsent as usize / block).clamp(1, TOGETHER);
        let from_head = self.written.min(HEAD);
        let mut parts = [IoSlice::new(&[]); 2 * TOGETHER];
        for (place, head) in heads.iter().take(count).enumerate() {
            parts[2 * place] = IoSlice::new(head);
            parts[2 * place + 1] = IoSlice::new(payload);
        }
        parts[0] = IoSlice::new(&heads[0][from_head..]);
        parts[1] = IoSlice::new(&payload[self.written - from_head..]);
        let wanted = count * block - self.written;
        let length = match self.socket.write_vectored(&parts[..2 * count]) {
            Ok(length) => length,
            Err(error) if would_wait(&error) => 0,
            Err(error) => return Err(error),
        };
        self.written += length;
        let whole = self.written / block;
        (self.written, self.next) = (self.written % block, self.next + whole as u64);
        self.head = heads.get(whole).copied().unwrap_or_default();
        Ok(length == wanted)
    }

    /// What the kernel says, of the time since the last row.
    fn look(&mut self) -> Option<KernelView> {
        let view = kernel::look(&self.socket)?;
        let before = std::mem::replace(&mut self.told, view.retransmits);
        Some(KernelView { retransmits: view.retransmits.saturating_sub(before), ..view })
    }
}

struct Test {
    setup: TcpSetup,
    streams: Vec<Stream>,
    meter: Meter,
    payload: Vec<u8>,
    begin: Mono,
    end: Mono,
    /// When the next row is due, nanoseconds after the begin.
    due: Option<u64>,
    intervals: Vec<Told>,
    piece: Vec<u8>,
    /// When the streams' room was set last, nanoseconds after the begin.
    tuned: u64,
}

/// Rows that a test keeps: a day of seconds. More go to the screen only.
const MOST_ROWS: usize = 100_000;
/// What is shorter is no interval, nanoseconds.
const LEAST_INTERVAL: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

impl Test {
    fn of(setup: TcpSetup, streams: Vec<Stream>) -> Self {
        let begin = Mono::now();
        Self {
            meter: Meter::of(setup.streams),
            payload: noise(setup.block as usize - HEAD),
            begin,
            end: begin + Duration::from_secs(setup.duration_s.into()),
            due: (setup.interval_s > 0).then_some(u64::from(setup.interval_s) * SECOND),
            intervals: Vec::new(),
            piece: vec![0; PIECE],
            tuned: 0,
            setup,
            streams,
        }
    }

    fn carry_out(
        &mut self,
        line: &mut Line<'_>,
        stop: &Stop,
        screen: &mut Screen,
    ) -> Result<(), Trouble> {
        loop {
            let now = Mono::now();
            if now >= self.end {
                return Ok(());
            }
            let age = nanos(now.since(self.begin));
            if self.due.is_some_and(|due| age >= due) {
                self.row(age, screen)?;
            }
            if age >= self.tuned + TUNING {
                self.tune(age);
            }
            let until = self
                .due
                .map_or(self.end, |due| self.end.min(self.begin + Duration::from_nanos(due)));
            let ready = self.wait(line, stop, until);
            if stop.asked() {
                return Err(Trouble::Interrupted);
            }
            if ready.first().is_some_and(|it| it.read) && line.heard()?.is_some() {
                return Err(senseless("measuring"));
            }
            self.serve(&ready[2.min(ready.len())..])?;
        }
    }

    fn tune(&mut self, age: u64) {
        let length = age - std::mem::replace(&mut self.tuned, age);
        for (place, stream) in self.streams.iter_mut().enumerate() {
            stream.tune(self.meter.received_of(place), length);
        }
    }

    fn wait(&self, line: &Line<'_>, stop: &Stop, until: Mono) -> Vec<Ready> {
        let read = Ready { read: true, write: false };
        let mut wanted: Vec<(BorrowedFd<'_>, Ready)> =
            vec![(line.as_fd(), read), (stop.fd(), read)];
        let both = Ready { read: true, write: true };
        wanted.extend(self.streams.iter().map(|stream| (stream.socket.as_fd(), both)));
        wait(&wanted, until.since(Mono::now()))
    }

    fn serve(&mut self, ready: &[Ready]) -> Result<(), Trouble> {
        for (place, ready) in ready.iter().enumerate() {
            if ready.read {
                self.take(place)?;
            }
            for _ in 0..AT_ONCE {
                if !ready.write || !self.write(place)? {
                    break;
                }
                self.take(place)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, place: usize) -> Result<bool, Trouble> {
        let wrote = self.streams[place].write(&self.payload, self.begin);
        wrote.map_err(|error| Trouble::Broken(format!("sending on stream {place}: {error}")))
    }

    /// Takes the records that have come.
    fn take(&mut self, place: usize) -> Result<(), Trouble> {
        let broken = |why: String| Trouble::Broken(format!("stream {place}: {why}"));
        let stream = &mut self.streams[place];
        let length = match stream.socket.read(&mut self.piece) {
            Ok(0) => return Err(broken("the server closed its connection".to_owned())),
            Ok(length) => length,
            Err(error) if would_wait(&error) => return Ok(()),
            Err(error) => return Err(broken(error.to_string())),
        };
        let (now, meter) = (nanos(Mono::now().since(self.begin)), &mut self.meter);
        stream.records.take(&self.piece[..length], |record| {
            meter.note(place, now.saturating_sub(record.head.sent), record.received);
        })?;
        Ok(())
    }

    /// Ends an interval.
    fn row(&mut self, age: u64, screen: &mut Screen) -> Result<(), Trouble> {
        let every = u64::from(self.setup.interval_s) * SECOND;
        self.due = Some((age / every + 1) * every);
        let rows = self.meter.rows(age);
        if self.intervals.len() < MOST_ROWS {
            let told =
                |(row, stream): (&Row, &mut Stream)| Told { row: *row, kernel: stream.look() };
            self.intervals.extend(rows.iter().zip(&mut self.streams).map(told));
        }
        Ok(screen.rows(&rows)?)
    }

    /// What there is at the end, which may be before its time.
    fn conclude(mut self, screen: &mut Screen) -> Result<TcpOutcome, Trouble> {
        let age = nanos(Mono::now().since(self.begin));
        let last = self.intervals.last().map_or(0, |told| told.row.end);
        if self.due.is_some() && age.saturating_sub(last) >= LEAST_INTERVAL {
            self.row(age, screen)?;
        }
        let (streams, total) = self.meter.totals(age);
        let whole =
            |(row, stream): (Row, &Stream)| Told { row, kernel: kernel::look(&stream.socket) };
        Ok(TcpOutcome {
            streams: streams.into_iter().zip(&self.streams).map(whole).collect(),
            setup: self.setup,
            intervals: self.intervals,
            total,
            server_octets: None,
        })
    }
}

/// Octets that nothing on the way makes shorter (xorshift, Marsaglia 2003).
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}
