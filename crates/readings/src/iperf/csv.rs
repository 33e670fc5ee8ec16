//! A line of `-y C`: `20261123011045,198.51.100.2,36290,192.0.2.2,5001,4,0.0-1.0,1310720,10485760`, and over
//! UDP then jitter, lost, sent, loss in per cent and how many were out of order.

use std::net::IpAddr;

use crate::{
    Direction, Unreadable,
    flows::Warnings,
    rates::{Figures, Printed},
    text::{self, Line, integer},
    throughput::{Interval, Protocol},
};

use super::streams::Streams;

/// Fields of a line over TCP, and over UDP.
const TCP_FIELDS: usize = 9;
const UDP_FIELDS: usize = 14;

/// What was learned from the lines before.
#[derive(Debug, Default)]
pub(super) struct Csv {
    pub(super) server: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) protocol: Option<Protocol>,
    /// The address that was the client's in the first line.
    client: Option<IpAddr>,
}

/// One end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    address: Option<IpAddr>,
    port: u16,
}

impl Point {
    fn of(line: &Line<'_>, address: &str, port: &str) -> Result<Self, Unreadable> {
        let port = integer(port).ok_or_else(|| line.wrong("a port", port))?;
        Ok(Self { address: text::address(address), port })
    }
}

/// A line, read.
struct Row {
    ends: [Point; 2],
    /// None for the sum of all streams.
    id: Option<u32>,
    is_udp: bool,
    interval: Interval,
}

impl Row {
    fn of(line: &Line<'_>, said: &str) -> Result<Self, Unreadable> {
        let mut fields = [""; UDP_FIELDS];
        fields.iter_mut().zip(said.split(',')).for_each(|(field, text)| *field = text);
        let [_, address, port, other_address, other_port, id, times, bytes, rate, datagrams @ ..] =
            fields;
        let ends = [Point::of(line, address, port)?, Point::of(line, other_address, other_port)?];
        let interval = interval(times, bytes, rate);
        let interval = interval.ok_or_else(|| line.wrong("a time, bytes and a rate", said))?;
        let number = || integer(id).ok_or_else(|| line.wrong("the number of a stream", id));
        let id = if id == "-1" { None } else { Some(number()?) };
        let is_udp = datagrams.iter().any(|field| !field.is_empty());
        Ok(Self { ends, id, is_udp, interval: with_datagrams(interval, &datagrams) })
    }
}

impl Csv {
    pub(super) fn is_line(said: &str) -> bool {
        let is_of_time = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        said.bytes().take_while(|byte| *byte != b',').all(is_of_time)
            && said.bytes().filter(|byte| *byte == b',').count() >= TCP_FIELDS - 1
    }

    pub(super) fn take(
        &mut self,
        line: &Line<'_>,
        said: &str,
        streams: &mut Streams,
        warnings: &mut Warnings,
    ) -> Result<(), Unreadable> {
        let row = Row::of(line, said)?;
        let Some(id) = row.id else {
            streams.take_sum(row.interval);
            return Ok(());
        };
        if row.is_udp {
            self.protocol = Some(Protocol::Udp);
        }
        self.protocol.get_or_insert(Protocol::Tcp);
        if row.ends.iter().any(|end| end.port == 0) {
            warnings.note("a line of csv does not tell which way it went");
            return Ok(());
        }
        self.place(id, row.ends, row.interval, streams);
        Ok(())
    }

    /// Finds whose stretch it is. The server is where the lower port is; of two who were a client, the
    /// first is ours.
    fn place(&mut self, id: u32, ends: [Point; 2], interval: Interval, streams: &mut Streams) {
        let [first, second] = ends;
        let client_first = second.port < first.port;
        let (client, server) = if client_first { (first, second) } else { (second, first) };
        self.client = self.client.or(client.address);
        let is_ours = self.client == client.address;
        if is_ours {
            (self.server, self.port) = (server.address, Some(server.port));
        }
        // Who counted comes first: the report of the server on what we sent, or the way back.
        let is_udp = self.protocol == Some(Protocol::Udp);
        let is_report = !client_first && is_ours && is_udp && streams.is_known(id);
        let outwards = client_first && is_ours || is_report;
        let direction = if outwards { Direction::To } else { Direction::From };
        if let Some(stream) = streams.of_direction(id, direction) {
            stream.report_is_next = is_report;
        }
        streams.take(id, false, interval);
    }
}

/// `0.0-1.0`, bytes, bits per second. A number with a minus is none.
fn interval(times: &str, bytes: &str, rate: &str) -> Option<Interval> {
    let (start, end) = times.split_once('-')?;
    let exact = |text: &str| integer::<u64>(text).map(crate::statistics::real).map(Printed::exact);
    let figures = Figures {
        start: Printed::of(start)?,
        end: Printed::of(end)?,
        bytes: exact(bytes),
        bits_per_s: exact(rate),
    };
    figures.interval()
}

/// Jitter in milliseconds, lost, sent, per cent, out of order. The sender's own total says 0 of -1.
fn with_datagrams(mut interval: Interval, fields: &[&str; 5]) -> Interval {
    let [jitter, lost, sent, _, reordered] = fields;
    let counts = integer(lost).zip(integer(sent)).filter(|(lost, sent): &(u64, u64)| lost <= sent);
    if let Some((lost, sent)) = counts {
        interval.jitter_us =
            Printed::of(jitter).filter(|_| sent > lost).map(|ms| ms.value * 1000.0);
        (interval.lost, interval.datagrams) = (Some(lost), Some(sent));
        interval.reordered = integer(reordered);
    }
    interval
}
