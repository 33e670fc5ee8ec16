//! The streams of a test, by the numbers in the brackets.

use crate::{
    Direction,
    flows::{MOST_INTERVALS, MOST_STREAMS, Track},
    throughput::Interval,
};

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    number: u32,
    star: bool,
    pub(super) direction: Direction,
    /// The port it goes to, if it carries data that way; that makes it ours if it is the server's.
    pub(super) outwards_to: Option<u16>,
    /// Whether the line of its connection was there.
    connected: bool,
    /// Whether the next stretch is the server's report.
    pub(super) report_is_next: bool,
    pub(super) track: Track,
}

/// All streams, in the order in which they were met.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) list: Vec<Stream>,
    pub(super) sum: Track,
    /// Intervals that may still be kept.
    room: usize,
}

impl Default for Streams {
    fn default() -> Self {
        Self { list: Vec::new(), sum: Track::default(), room: MOST_INTERVALS }
    }
}

impl Streams {
    /// A connection was made. A number that was met before may have been given anew; one that was met
    /// without its connection is the same.
    pub(super) fn connect(
        &mut self,
        number: u32,
        star: bool,
        direction: Direction,
    ) -> Option<&mut Stream> {
        let known = self
            .list
            .iter()
            .position(|stream| stream.number == number && stream.star == star && !stream.connected);
        let index = known.or_else(|| self.add(number, star, direction))?;
        let stream = self.list.get_mut(index)?;
        stream.connected = true;
        Some(stream)
    }

    /// The stream of a line; a starred line may be of a stream that is known without its star.
    pub(super) fn find(&mut self, number: u32, star: bool) -> Option<&mut Stream> {
        let exact =
            self.list.iter().rposition(|stream| stream.number == number && stream.star == star);
        let alike = || self.list.iter().rposition(|stream| stream.number == number);
        let direction = if star { Direction::From } else { Direction::To };
        let index = exact.or_else(alike).or_else(|| self.add(number, star, direction))?;
        self.list.get_mut(index)
    }

    pub(super) fn is_known(&self, number: u32) -> bool {
        self.list.iter().any(|stream| stream.number == number)
    }

    /// The stream of a line of csv, where nothing is told of connections.
    pub(super) fn of_direction(
        &mut self,
        number: u32,
        direction: Direction,
    ) -> Option<&mut Stream> {
        let known = self.list.iter().rposition(|stream| stream.number == number);
        let index = known.or_else(|| self.add(number, false, direction))?;
        self.list.get_mut(index)
    }

    fn add(&mut self, number: u32, star: bool, direction: Direction) -> Option<usize> {
        let index = self.list.len();
        let track = Track::default();
        (index < MOST_STREAMS).then(|| {
            let stream = Stream {
                number,
                star,
                direction,
                outwards_to: None,
                connected: false,
                report_is_next: false,
                track,
            };
            self.list.push(stream);
            index
        })
    }

    /// A stretch of a stream; the one after "Server Report:" is the server's.
    pub(super) fn take(&mut self, number: u32, star: bool, interval: Interval) {
        let mut room = self.room;
        if let Some(stream) = self.find(number, star) {
            if std::mem::take(&mut stream.report_is_next) {
                stream.track.received = Some(interval).filter(|report| report.bytes.is_some());
            } else {
                stream.track.take(interval, stream.direction, &mut room);
            }
        }
        self.room = room;
    }

    pub(super) fn take_sum(&mut self, interval: Interval) {
        // Which way it goes is found out at the end.
        self.sum.take(interval, Direction::To, &mut self.room);
    }
}

impl Stream {
    /// Finds out which way it goes, given the server's port.
    pub(super) fn settle(&mut self, server: Option<u16>) {
        if self.connected {
            let outwards = self.outwards_to.is_some() && self.outwards_to == server;
            self.direction = if outwards { Direction::To } else { Direction::From };
        }
    }

    /// The stretch that was told last.
    pub(super) fn last(&mut self) -> Option<&mut Interval> {
        let Track { parts, sent, received, .. } = &mut self.track;
        received.as_mut().or(sent.as_mut()).or_else(|| parts.last_mut())
    }

    /// The sender's own count, which may not be known as such yet.
    pub(super) fn sent(&mut self) -> Option<&mut Interval> {
        let Track { parts, sent, .. } = &mut self.track;
        sent.as_mut().or_else(|| parts.last_mut())
    }
}
