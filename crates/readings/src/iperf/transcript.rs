//! What the lines of standard output say.

use std::net::IpAddr;

use crate::{
    Direction, Problem, Unreadable,
    flows::Warnings,
    problem::{self, Kind},
    stretch::{Label, Labelled, Stretch},
    text::{self, Line, bare, integer, quote},
    throughput::Protocol,
};

use super::{connection::Connection, csv::Csv, fields, streams::Streams};

/// Lines that may come before the header.
const PREAMBLE: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Transcript {
    /// The server's port that the header names.
    pub(super) port: Option<u16>,
    pub(super) address: Option<IpAddr>,
    pub(super) protocol: Option<Protocol>,
    /// Whether a header of a client was there, or csv.
    understood: bool,
    pub(super) connect_only: bool,
    pub(super) streams: Streams,
    /// Connections that came to nothing.
    pub(super) failed: u32,
    /// Why the server's report is missing.
    pub(super) without_report: Option<Problem>,
    pub(super) warnings: Warnings,
    csv: Csv,
    /// The first line that is not understood.
    pub(super) stranger: Option<Unreadable>,
}

impl Transcript {
    pub(super) fn of(stdout: &[u8]) -> Result<Self, Unreadable> {
        let mut transcript = Self::default();
        for line in text::lines(stdout).filter(|line| line.finished) {
            transcript.take(&line)?;
        }
        Ok(transcript)
    }

    pub(super) fn is_of_a_client(&self) -> bool {
        self.understood
    }

    fn take(&mut self, line: &Line<'_>) -> Result<(), Unreadable> {
        let said = bare(&line.text);
        match said.bytes().next() {
            None => Ok(()),
            Some(b'[') => self.take_labelled(line, said),
            Some(b'-') if said.bytes().all(|byte| byte == b'-') => Ok(()),
            Some(b'0'..=b'9') if Csv::is_line(said) => self.take_csv(line, said),
            Some(_) => self.take_words(line, said),
        }
    }

    fn take_csv(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        self.understood = true;
        self.csv.take(line, said, &mut self.streams, &mut self.warnings)?;
        (self.address, self.port) = (self.csv.server, self.csv.port);
        self.protocol = self.csv.protocol;
        Ok(())
    }

    fn take_words(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        if let Some(rest) = said.strip_prefix("Client connecting to ") {
            self.begin(line, rest)?;
        } else if said.starts_with("TCP three-way-handshake") {
            self.connect_only = true;
        } else if problem::is_warning(said) {
            self.warn(said);
        } else if !self.understood {
            self.note_stranger(line, "\"Client connecting to\"", said)?;
        }
        Ok(())
    }

    /// `192.0.2.2, TCP port 5001 with pid 10640 (1 flows)`
    fn begin(&mut self, line: &Line<'_>, rest: &str) -> Result<(), Unreadable> {
        let wrong = || line.wrong("\"name, TCP port number\"", rest);
        let (target, rest) = rest.rsplit_once(", ").ok_or_else(wrong)?;
        let mut words = rest.split_ascii_whitespace();
        self.protocol = match words.next() {
            Some("TCP") => Some(Protocol::Tcp),
            Some("UDP") => Some(Protocol::Udp),
            _ => return Err(wrong()),
        };
        let port = words.nth(1).and_then(integer);
        self.port = Some(port.ok_or_else(wrong)?);
        self.address = text::address(target).or(self.address);
        self.understood = true;
        self.streams.list.iter_mut().for_each(|stream| stream.settle(port));
        Ok(())
    }

    fn take_labelled(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        let Some(labelled) = Labelled::of(said) else { return Ok(()) };
        let rest = labelled.rest;
        if rest.starts_with("local ") {
            return self.connect(line, labelled);
        }
        if !self.understood && rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(line.wrong("a client's header before any figures", said));
        }
        match labelled.label {
            Label::Stream { number, star } => self.take_of_stream(number, star, rest),
            Label::Sum => self.take_sum(rest),
            Label::Other => {}
        }
        Ok(())
    }

    /// A stream of a dual test that the server opened comes from a port of its own. The first of several
    /// streams can be faster than the header.
    fn connect(&mut self, line: &Line<'_>, labelled: Labelled<'_>) -> Result<(), Unreadable> {
        let connection = Connection::of(labelled.rest);
        let connection = connection.ok_or_else(|| line.wrong("a connection", labelled.rest))?;
        let Label::Stream { number, star } = labelled.label else { return Ok(()) };
        if connection.local_port == 0 {
            self.failed = self.failed.saturating_add(1);
            return Ok(());
        }
        let (reverse, both) = (connection.has("(reverse)"), connection.has("(full-duplex)"));
        self.address = connection.peer.or(self.address);
        if let Some(stream) = self.streams.connect(number, star || reverse, Direction::From) {
            stream.track.handshake_us = connection.handshake_us();
            stream.outwards_to = (!reverse).then_some(connection.peer_port);
            stream.settle(self.port);
        }
        if both {
            self.streams.connect(number, true, Direction::From);
        }
        Ok(())
    }

    fn take_of_stream(&mut self, number: u32, star: bool, rest: &str) {
        if let Some(stretch) = Stretch::of(rest) {
            self.take_stretch(number, star, stretch);
        } else if rest.starts_with("Server Report:") {
            if let Some(stream) = self.streams.find(number, star) {
                stream.report_is_next = true;
            }
        } else if let Some(count) = rest.strip_prefix("Sent ") {
            let count = count.split(' ').next().and_then(integer);
            let sent = self.streams.find(number, star).and_then(|stream| stream.sent());
            // A sender does not know what was lost: beside such a figure this one is of another test.
            if let Some(sent) = sent.filter(|sent| sent.lost.is_none()) {
                sent.datagrams = count;
            }
        } else if problem::is_warning(rest) {
            self.warn(rest);
        }
    }

    fn take_stretch(&mut self, number: u32, star: bool, mut stretch: Stretch<'_>) {
        if let Some(count) = fields::reordered(stretch.rest) {
            if let Some(last) = self.streams.find(number, star).and_then(|stream| stream.last()) {
                last.reordered = Some(count);
            }
            return;
        }
        let said = stretch.rest;
        let mut interval = stretch.figures().interval();
        if let Some(interval) = &mut interval
            && !fields::add(interval, stretch.rest)
        {
            (interval.bytes, interval.bits_per_s) = (None, None);
        }
        if interval.as_ref().is_none_or(|interval| interval.bytes.is_none()) {
            self.warnings.note(&format!("no measurement: {}", quote(said)));
        }
        if let Some(interval) = interval {
            self.streams.take(number, star, interval);
        }
    }

    fn take_sum(&mut self, rest: &str) {
        if let Some(mut stretch) = Stretch::of(rest)
            && let Some(mut interval) = stretch.figures().interval()
        {
            fields::add(&mut interval, stretch.rest);
            self.streams.take_sum(interval);
        }
    }

    pub(super) fn warn(&mut self, said: &str) {
        if said.contains("did not receive ack") {
            self.without_report = Some(Problem { kind: Kind::NoAnswer, text: quote(said) });
        }
        self.warnings.note(said);
    }

    fn note_stranger(
        &mut self,
        line: &Line<'_>,
        expected: &str,
        said: &str,
    ) -> Result<(), Unreadable> {
        self.stranger.get_or_insert_with(|| line.wrong(expected, said));
        match self.stranger.take_if(|_| line.number > PREAMBLE) {
            Some(stranger) => Err(stranger),
            None => Ok(()),
        }
    }
}
