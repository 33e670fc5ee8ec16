//! The text that people read.

use std::net::IpAddr;

use crate::{
    Direction, End, Output, Unreadable, contact,
    flows::{self, MOST_INTERVALS, MOST_STREAMS, Track, Warnings},
    problem::{self, Kind},
    rates::Printed,
    stretch::{Label, Labelled, Stretch, lost_of_sent, word},
    text::{self, Line, bare, integer},
    throughput::{Flow, Interval, Protocol, Throughput},
};

use super::{as_sent, have_rates, judge, without_exchange};

/// Lines that may come before the header. `-V` prints a few.
const PREAMBLE: usize = 100;
/// Characters a time before each line may have (`--timestamps`).
const LONGEST_STAMP: usize = 64;

pub(super) fn read(output: &Output<'_>) -> Result<Throughput, Unreadable> {
    let mut said = Transcript::default();
    for line in text::lines(output.stdout).filter(|line| line.finished) {
        said.take(&line)?;
    }
    if !said.understood {
        let problem = contact::instead_of_test(output, said.stranger)?;
        return Ok(Throughput { problem: Some(problem), ..Throughput::default() });
    }
    contact::remarks(output.stderr, |remark| said.warnings.note(remark));
    let mut flows = said.flows();
    let protocol = said.protocol;
    judge(&mut flows, protocol);
    let complete = said.done && matches!(output.end, End::Exited(_)) && have_rates(&flows);
    let problem = (!complete).then(|| contact::of_test(output, None));
    if problem.as_ref().is_some_and(|problem| problem.kind == Kind::Broken) {
        flows.iter_mut().for_each(Flow::distrust_sender);
    }
    Ok(Throughput {
        protocol,
        address: said.address,
        port: said.port,
        flows,
        warnings: said.warnings.into_vec(),
        problem,
        complete,
    })
}

/// One stream, or all of one direction together.
#[derive(Debug)]
struct Told {
    /// Its number; none for the sum.
    number: Option<u32>,
    direction: Direction,
    track: Track,
}

#[derive(Debug)]
struct Transcript {
    /// Whether a header of a client was there.
    understood: bool,
    address: Option<IpAddr>,
    port: Option<u16>,
    protocol: Option<Protocol>,
    /// Which way a line goes that does not tell.
    direction: Direction,
    told: Vec<Told>,
    /// Intervals that may still be kept.
    room: usize,
    /// Whether what follows is the server's.
    of_server: bool,
    done: bool,
    warnings: Warnings,
    stranger: Option<Unreadable>,
}

impl Default for Transcript {
    fn default() -> Self {
        Self {
            understood: false,
            address: None,
            port: None,
            protocol: None,
            direction: Direction::To,
            told: Vec::new(),
            room: MOST_INTERVALS,
            of_server: false,
            done: false,
            warnings: Warnings::default(),
            stranger: None,
        }
    }
}

impl Transcript {
    fn take(&mut self, line: &Line<'_>) -> Result<(), Unreadable> {
        let said = bare(&line.text);
        if said.starts_with('[') {
            return self.take_labelled(line, said);
        }
        match said.find('[').filter(|place| *place <= LONGEST_STAMP) {
            Some(place) => self.take_labelled(line, said.get(place..).unwrap_or_default()),
            None => self.take_words(line, said),
        }
    }

    fn take_words(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        if let Some((_, target)) = said.split_once("Connecting to host ") {
            self.understood = true;
            let (host, port) = target.rsplit_once(", port ").unwrap_or((target, ""));
            (self.address, self.port) = (text::address(host), integer(port));
        } else if said.contains("Reverse mode, remote host ") {
            self.direction = Direction::From;
        } else if said.ends_with("Server output:") {
            self.of_server = true;
        } else if said.ends_with("iperf Done.") {
            self.done = true;
        } else if problem::is_warning(said) {
            self.warnings.note(said);
        } else if !self.understood && !said.is_empty() {
            self.stranger.get_or_insert_with(|| line.wrong("\"Connecting to host\"", said));
            if let Some(stranger) = self.stranger.take_if(|_| line.number > PREAMBLE) {
                return Err(stranger);
            }
        }
        Ok(())
    }

    fn take_labelled(&mut self, line: &Line<'_>, said: &str) -> Result<(), Unreadable> {
        let Some(labelled) = Labelled::of(said).filter(|_| !self.of_server) else { return Ok(()) };
        if !self.understood {
            return Err(line.wrong("a client's header, not a server's output", said));
        }
        let number = match labelled.label {
            Label::Stream { number, .. } => Some(number),
            Label::Sum => None,
            Label::Other => {
                self.take_columns(labelled.rest);
                return Ok(());
            }
        };
        let direction = match labelled.role {
            Some("TX-C") => Direction::To,
            Some("RX-C") => Direction::From,
            _ => self.direction,
        };
        if let Some(peer) = labelled.rest.strip_prefix("local ") {
            self.connect(peer);
        } else if let Some(stretch) = Stretch::of(labelled.rest) {
            self.take_stretch(number, direction, stretch);
        }
        Ok(())
    }

    /// The heads of the columns tell the protocol.
    fn take_columns(&mut self, heads: &str) {
        if heads.starts_with("Interval") {
            let udp = heads.contains("Datagrams");
            self.protocol = Some(if udp { Protocol::Udp } else { Protocol::Tcp });
        }
    }

    fn connect(&mut self, said: &str) {
        let peer =
            said.split_once(" connected to ").and_then(|(_, peer)| peer.split_once(" port "));
        if let Some((address, port)) = peer {
            (self.address, self.port) =
                (text::address(address).or(self.address), integer(port).or(self.port));
        }
    }

    fn take_stretch(
        &mut self,
        number: Option<u32>,
        direction: Direction,
        mut stretch: Stretch<'_>,
    ) {
        let said = stretch.rest;
        let Some(mut interval) = stretch.figures().interval() else { return };
        let rest = stretch.rest.trim_ascii_end();
        if rest.ends_with("(omitted)") {
            return;
        }
        if interval.bytes.is_none() {
            self.warnings.note(&format!("no measurement: {said}"));
        }
        add_fields(&mut interval, self.protocol, rest);
        let index = self.find(number, direction);
        let Some(told) = index.and_then(|index| self.told.get_mut(index)) else { return };
        if rest.ends_with("sender") {
            told.track.sent = Some(as_sent(interval));
        } else if rest.ends_with("receiver") {
            told.track.received = Some(interval);
        } else {
            told.track.take(interval, direction, &mut self.room);
        }
    }

    fn find(&mut self, number: Option<u32>, direction: Direction) -> Option<usize> {
        let same = |told: &Told| told.number == number && told.direction == direction;
        let index = self.told.len();
        self.told.iter().position(same).or_else(|| {
            (index < MOST_STREAMS).then(|| {
                self.told.push(Told { number, direction, track: Track::default() });
                index
            })
        })
    }

    /// What went either way, towards the target first.
    fn flows(&mut self) -> Vec<Flow> {
        let mut told = std::mem::take(&mut self.told);
        if !self.done {
            told.iter_mut().for_each(Told::forget_exchange);
        }
        let mut flows = Vec::new();
        for direction in [Direction::To, Direction::From] {
            let ours = told.extract_if(.., |told| told.direction == direction);
            let (mut sums, streams): (Vec<Told>, Vec<Told>) =
                ours.partition(|told| told.number.is_none());
            let mut tracks: Vec<Track> = streams.into_iter().map(|told| told.track).collect();
            if !tracks.is_empty() {
                let sum = sums.first_mut().map(|told| &mut told.track);
                flows.push(flows::assemble(direction, &mut tracks, sum, &mut self.warnings));
            }
        }
        flows
    }
}

impl Told {
    fn forget_exchange(&mut self) {
        let others = match self.direction {
            Direction::To => &mut self.track.received,
            Direction::From => &mut self.track.sent,
        };
        *others = without_exchange(others.take());
    }
}

/// Retransmits over TCP; over UDP jitter, lost and sent, or only how many were sent.
fn add_fields(interval: &mut Interval, protocol: Option<Protocol>, mut rest: &str) {
    let Some(first) = word(&mut rest) else { return };
    let mut after = rest;
    if word(&mut after) == Some("ms") {
        let counts = lost_of_sent(&mut after).filter(|(lost, sent)| lost <= sent);
        let arrived = counts.is_some_and(|(lost, sent)| sent > lost);
        let jitter = Printed::of(first).filter(|_| arrived);
        interval.jitter_us = jitter.map(|jitter| jitter.value * 1000.0);
        (interval.lost, interval.datagrams) = counts.unzip();
    } else if protocol == Some(Protocol::Udp) {
        interval.datagrams = integer(first);
    } else {
        interval.retransmits = integer(first);
    }
}
