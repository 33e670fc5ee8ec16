//! A test over TCP while it goes on: all streams in one thread, which writes blocks where there is room and takes records
//! as they come.

use std::{
    io::Read,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use station::world::signals::Stop;
use timed_udp::clock::{Mono, nanos};

use super::{
    kernel,
    line::Line,
    screen::Screen,
    stream::{Stream, noise},
    tcp::senseless,
    trouble::Trouble,
};
use crate::{
    protocol::{HEAD, RECORD},
    report::{TcpOutcome, TcpSetup, Told},
    socket::{Ready, wait, would_wait},
    statistics::{Meter, Row},
};

/// Calls by which a stream may send before the others have their turn.
const AT_ONCE: usize = 4;
/// Octets of records that are read at once.
const PIECE: usize = RECORD * 256;
/// How often a stream's room for what waits is set anew, nanoseconds.
const TUNING: u64 = 50_000_000;

/// A test that goes on.
pub(super) struct Test {
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
    pub(super) fn of(setup: TcpSetup, streams: Vec<Stream>) -> Self {
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

    /// Up to its end, or to what is in its way.
    pub(super) fn carry_out(
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
        stream.records.take(&self.piece[..length], stream.sent, |record| {
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

    /// Octets of each stream that went.
    pub(super) fn sent(&self) -> Vec<u64> {
        self.streams.iter().map(|stream| stream.sent).collect()
    }

    /// What there is at the end, which may be before its time.
    pub(super) fn conclude(mut self, screen: &mut Screen) -> Result<TcpOutcome, Trouble> {
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
