//! From the document of `-J` to a reading.

use crate::{
    Direction, End, Output, Problem, Unreadable, contact,
    flows::{Warnings, mean},
    problem::Kind,
    rates::{Figures, Printed, whole},
    text,
    throughput::{Flow, Interval, Protocol, RoundTrip, Throughput},
};

use super::{
    as_sent,
    document::{Document, Ends, Part, Sum, Test},
    have_rates, judge, without_exchange,
};

pub(super) fn read(output: &Output<'_>) -> Result<Throughput, Unreadable> {
    let document: Document = match serde_json::from_slice(output.stdout) {
        Ok(document) => document,
        Err(broken) => return broken_off(output, &broken),
    };
    if document.start.accepted_connection.is_some() {
        let reason = "expected a client's document, found a server's".to_owned();
        return Err(Unreadable { reason, line: None });
    }
    Ok(document.reading(output))
}

/// A client that was ended while it wrote leaves half a document; anything else is not its own.
fn broken_off(output: &Output<'_>, broken: &serde_json::Error) -> Result<Throughput, Unreadable> {
    if broken.is_eof() && !matches!(output.end, End::Exited(_)) {
        let problem = Some(contact::of_test(output, None));
        return Ok(Throughput { problem, ..Throughput::default() });
    }
    let reason = text::quote(&format!("this is no whole document of JSON: {broken}"));
    Err(Unreadable { reason, line: Some(broken.line()) })
}

impl Document {
    fn reading(self, output: &Output<'_>) -> Throughput {
        let connected = self.start.connected.0.first();
        let target = self.start.connecting_to.as_ref();
        let host = connected.and_then(|peer| peer.remote_host.as_deref());
        let host = host.or_else(|| target?.host.as_deref());
        let port = connected.and_then(|peer| peer.remote_port).or_else(|| target?.port);
        let mut flows = if connected.is_some() { self.flows() } else { Vec::new() };
        let protocol = self.start.test.protocol();
        judge(&mut flows, protocol);
        let complete = self.error.is_none() && have_rates(&flows);
        let problem = (!complete).then(|| self.problem(output));
        if problem.as_ref().is_some_and(|problem| problem.kind == Kind::Broken) {
            flows.iter_mut().for_each(Flow::distrust_sender);
        }
        let mut warnings = Warnings::default();
        contact::remarks(output.stderr, |remark| warnings.note(remark));
        Throughput {
            protocol,
            address: host.and_then(text::address),
            port,
            problem,
            flows,
            warnings: warnings.into_vec(),
            complete,
        }
    }

    fn problem(&self, output: &Output<'_>) -> Problem {
        match (&self.error, output.end) {
            (Some(error), End::Exited(_)) => contact::said(error),
            _ => contact::of_test(output, None),
        }
    }

    fn flows(&self) -> Vec<Flow> {
        let test = &self.start.test;
        let (one, other) = (Direction::To, Direction::From);
        let is_set = |option: Option<u32>| option.is_some_and(|option| option > 0);
        // 3.12 does not say that it went both ways, but has the totals.
        let both = is_set(test.bidir) || self.end.sum_sent_bidir_reverse.is_some();
        match (both, is_set(test.reverse)) {
            (true, _) => vec![self.flow(one, Some(true)), self.flow(other, Some(false))],
            (false, true) => vec![self.flow(other, None)],
            (false, false) => vec![self.flow(one, None)],
        }
    }

    /// One direction; in a test of both, `sends` tells which streams are ours.
    fn flow(&self, direction: Direction, sends: Option<bool>) -> Flow {
        let back = sends == Some(false);
        let totals = &self.end;
        let (sent, received) = if back {
            (totals.sum_sent_bidir_reverse, totals.sum_received_bidir_reverse)
        } else {
            (totals.sum_sent.or(totals.sum), totals.sum_received)
        };
        let mut flow = Flow::new(direction);
        flow.streams = self.start.test.num_streams.unwrap_or(1);
        flow.sent = sent.and_then(|sum| sum.interval()).map(as_sent);
        flow.received = received.and_then(|sum| sum.interval());
        if self.error.is_some() {
            let others =
                if direction == Direction::To { &mut flow.received } else { &mut flow.sent };
            *others = without_exchange(others.take());
        }
        let part = |part: &Part| if back { part.sum_bidir_reverse } else { part.sum };
        let parts = self.intervals.0.iter().filter_map(part).filter(|sum| !sum.omitted);
        flow.intervals = parts.filter_map(|sum| sum.interval()).collect();
        self.add_streams(&mut flow, sends);
        flow.conclude();
        flow
    }

    fn add_streams(&self, flow: &mut Flow, sends: Option<bool>) {
        let ours: Vec<&Ends> = self.end.streams.0.iter().filter(|ends| ends.is_of(sends)).collect();
        if flow.streams > 1 {
            let side = |ends: &&Ends| match flow.received {
                Some(_) => ends.receiver.or(ends.udp)?.interval(),
                None => ends.sender?.interval(),
            };
            flow.by_stream = ours.iter().filter_map(side).collect();
        }
        flow.rtt = round_trip(&ours);
        if let Some(received) = &mut flow.received {
            received.reordered = ours.iter().try_fold(0, |sum: u64, ends| {
                sum.checked_add(ends.udp?.out_of_order.and_then(whole)?)
            });
        }
    }
}

impl Test {
    fn protocol(&self) -> Option<Protocol> {
        match self.protocol.as_deref() {
            Some("TCP") => Some(Protocol::Tcp),
            Some("UDP") => Some(Protocol::Udp),
            _ => None,
        }
    }
}

impl Ends {
    fn is_of(&self, sends: Option<bool>) -> bool {
        sends.is_none() || self.sender.or(self.udp).and_then(|sum| sum.sender) == sends
    }
}

impl Sum {
    /// What is counted; nothing if that cannot be.
    fn interval(&self) -> Option<Interval> {
        let exact = |number: f64| (number >= 0.0).then(|| Printed::exact(number));
        let figures = Figures {
            start: exact(self.start)?,
            end: exact(self.end)?,
            bytes: self.bytes.and_then(exact),
            bits_per_s: self.bits_per_second.and_then(exact),
        };
        let counts = self.lost_packets.and_then(whole).zip(self.packets.and_then(whole));
        let counts = counts.filter(|(lost, sent)| lost <= sent);
        let arrived = counts.is_some_and(|(lost, sent)| sent > lost);
        Some(Interval {
            retransmits: self.retransmits.and_then(whole),
            jitter_us: self.jitter_ms.filter(|ms| arrived && *ms >= 0.0).map(|ms| ms * 1000.0),
            lost: counts.map(|(lost, _)| lost),
            datagrams: counts.map_or(self.packets.and_then(whole), |(_, sent)| Some(sent)),
            ..figures.interval()?
        })
    }
}

/// Over all streams; 0 is what a system that does not tell leaves there.
fn round_trip(streams: &[&Ends]) -> Option<RoundTrip> {
    let us = |of: fn(&Sum) -> Option<f64>| {
        let told = streams.iter().filter_map(move |ends| of(&ends.sender?).and_then(whole));
        told.filter(|us| *us > 0)
    };
    let rtt = RoundTrip {
        min_us: us(|sum| sum.min_rtt).min(),
        avg_us: mean(us(|sum| sum.mean_rtt)),
        max_us: us(|sum| sum.max_rtt).max(),
    };
    (rtt != RoundTrip::default()).then_some(rtt)
}
