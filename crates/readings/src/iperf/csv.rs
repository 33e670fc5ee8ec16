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

impl Csv {
    pub(super) fn is_line(said: &str) -> bool {
        said.bytes()
            .take_while(|byte| *byte != b',')
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
            && said.bytes().filter(|byte| *byte == b',').count() >= TCP_FIELDS - 1
    }

    pub(super) fn take(
        &mut self,
        line: &Line<'_>,
        said: &str,
        streams: &mut Streams,
        warnings: &mut Warnings,
    ) -> Result<(), Unreadable> {
        let mut fields = [""; UDP_FIELDS];
        fields.iter_mut().zip(said.split(',')).for_each(|(field, text)| *field = text);
        let [_, first, first_port, second, second_port, id, times, bytes, rate, ..] = fields;
        let point = |address, port: &str| {
            let port = integer(port).ok_or_else(|| line.wrong("a port", port))?;
            Ok(Point { address: text::address(address), port })
        };
        let (first, second) = (point(first, first_port)?, point(second, second_port)?);
        let interval = interval(times, bytes, rate)
            .ok_or_else(|| line.wrong("a time, bytes and a rate", said))?;
        if id == "-1" {
            streams.take_sum(interval);
            return Ok(());
        }
        let id = integer(id).ok_or_else(|| line.wrong("the number of a stream", id))?;
        let datagrams =
            fields.get(TCP_FIELDS..).filter(|rest| rest.iter().any(|field| !field.is_empty()));
        self.protocol = Some(if datagrams.is_some() {
            Protocol::Udp
        } else {
            self.protocol.unwrap_or(Protocol::Tcp)
        });
        let interval =
            datagrams.map_or(interval.clone(), |fields| with_datagrams(interval, fields));
        self.place(id, [first, second], interval, streams, warnings);
        Ok(())
    }

    /// Finds whose stretch it is. The server is where the lower port is; of two who were a client, the
    /// first is ours.
    fn place(
        &mut self,
        id: u32,
        ends: [Point; 2],
        interval: Interval,
        streams: &mut Streams,
        warnings: &mut Warnings,
    ) {
        let [first, second] = ends;
        if first.port == 0 || second.port == 0 {
            warnings.note("a line of csv does not tell which way it went");
            return;
        }
        let client_first = second.port < first.port;
        let (client, server) = if client_first { (first, second) } else { (second, first) };
        let ours = *self.client.get_or_insert(client.address.unwrap_or(IpAddr::from([0, 0, 0, 0])));
        let is_ours = client.address == Some(ours);
        if is_ours {
            (self.server, self.port) = (server.address, Some(server.port));
        }
        // Who counted comes first: the report of the server on what we sent, or the way back.
        let is_report = !client_first
            && is_ours
            && streams.is_known(id)
            && self.protocol == Some(Protocol::Udp);
        let direction =
            if client_first && is_ours || is_report { Direction::To } else { Direction::From };
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
fn with_datagrams(mut interval: Interval, fields: &[&str]) -> Interval {
    let [jitter, lost, sent, _, reordered] = fields else { return interval };
    let counts = integer(lost).zip(integer(sent)).filter(|(lost, sent): &(u64, u64)| lost <= sent);
    if let Some((lost, sent)) = counts {
        interval.jitter_us =
            Printed::of(jitter).filter(|_| sent > lost).map(|ms| ms.value * 1000.0);
        (interval.lost, interval.datagrams) = (Some(lost), Some(sent));
        interval.reordered = integer(reordered);
    }
    interval
}
