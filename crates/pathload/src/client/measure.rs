//! Streams, fleets of them, and the search.

use std::{collections::BTreeMap, os::fd::AsFd, time::Duration};

use station::world::signals::Stop;
use timed_udp::{clock::Mono, inbox::Inbox, ntp::NtpTime};

use super::{
    Args,
    agree::{Agreed, PATIENCE, agree},
    report::{FleetTold, Run},
    trouble::Trouble,
};
use crate::{
    control::Ended,
    line::{Stretch, fit},
    protocol::{Answer, HEADER, Mark, Request},
    search::{FLEET, Fleet, Next, Outcome, Search, Verdict},
    server::payload,
    shape::{Bounds, LONGEST, Shape},
    trend::{Packet, Sending, Trend, growth, judge},
};

/// Packets of the train that begins.
const TRAIN: u32 = 100;
/// What is still on its way when the server says that a stream is sent, is waited for as long as nothing comes.
const QUIET: Duration = Duration::from_millis(150);
/// The slowest stream, bit/s: one of a hundred of the shortest packets is then as long as a server grants, two seconds.
const FLOOR: f64 = 100_000.0;
/// Packets that any path carries whole, if it does not carry the longest.
const SMALLER: [u32; 2] = [1_280, 576];
/// Streams one after the other of which nothing came at all: no queue is so full, but a way may be closed.
const MOST_DARK: u32 = 3;

/// What is said of a range that was not narrowed to the end.
const WIDER: &str = "the range is wider than it could be";
/// The most packets of a stream, whatever a server grants: what is to come is remembered.
const MOST_PACKETS: u32 = 20_000;

/// What was found.
pub(super) struct Measured {
    pub(super) outcome: Outcome,
}

/// Measures; what was seen until something goes wrong stands in `run`.
pub(super) fn measure(args: &Args, stop: &Stop, run: &mut Run) -> Result<Measured, Trouble> {
    let began = Mono::now();
    let end = began + Duration::from_secs(args.timeout.into());
    let agreed = agree(args, stop, end)?;
    let end = end.min(agreed.until);
    run.server = Some(agreed.server.ip().to_canonical());
    run.say(args, super::report::begin)?;
    let bounds = Bounds {
        packets: agreed.limits.packets.min(MOST_PACKETS),
        rate: real(agreed.limits.rate),
        octets: agreed.limits.octets.min(LONGEST),
    };
    let mut meter =
        Meter { agreed, inbox: Inbox::new(HEADER), next: 0, dark: 0, loses: false, end, bounds };
    let measured = meter.search(args, run);
    run.seconds = Mono::now().since(began).as_secs_f64();
    if measured.is_ok() {
        // Whether the server hears it or not: it is over.
        let _ = meter.agreed.control.say(&Request::Bye);
    }
    measured
}

fn real(number: u64) -> f64 {
    // A rate in bit/s is far below 2^52.
    f64::from(u32::try_from(number / 1_000).unwrap_or(u32::MAX)) * 1e3
}

/// A stream as it came.
struct Came {
    packets: Vec<Packet>,
    sending: Sending,
    dropped: u32,
}

struct Meter<'a> {
    agreed: Agreed<'a>,
    inbox: Inbox,
    next: u32,
    /// Streams since the last one of which something came.
    dark: u32,
    /// Whether a queue on the way was too short for streams that were too fast.
    loses: bool,
    end: Mono,
    bounds: Bounds,
}

impl Meter<'_> {
    fn search(&mut self, args: &Args, run: &mut Run) -> Result<Measured, Trouble> {
        let first = self.train(run)?;
        // A train comes faster than what is left, but for what a token bucket lets through at once.
        let ceiling = self.bounds.rate.min(first * 2.0);
        let width = args.resolution.unwrap_or(0.0);
        let mut search = Search::new(first, (FLOOR.min(ceiling), ceiling), width);
        let mut too_fast = Vec::new();
        let found = self.bisect(&mut search, args, run, &mut too_fast)?;
        // When the time is over: what is known by now.
        let outcome = found.unwrap_or_else(|| search.best());
        if found.is_none() {
            run.warn("the time was over before the range was as small as it should be");
        } else {
            self.narrow(&search, outcome, args, run, &mut too_fast);
        }
        if let Some(failed) = search.gave_up().filter(|_| matches!(outcome, Outcome::Range(..))) {
            run.warn(&format!("{WIDER}: {failed} fleets said nothing"));
        }
        let outcome = outcome.narrowed(fit(&too_fast));
        run.outcome = Some(outcome);
        Ok(Measured { outcome })
    }

    /// One fleet after the other, until it is found; none: the time was over before.
    fn bisect(
        &mut self,
        search: &mut Search,
        args: &Args,
        run: &mut Run,
        too_fast: &mut Vec<Stretch>,
    ) -> Result<Option<Outcome>, Trouble> {
        let mut rate = search.rate();
        while let Some((verdict, stretches)) = self.fleet(rate, args, run)? {
            if verdict == Verdict::Above {
                self.loses |= stretches.is_empty();
                too_fast.extend(stretches);
            }
            match search.take(verdict) {
                Next::Fleet(next) => rate = next,
                Next::Over(outcome) => return Ok(Some(outcome)),
            }
        }
        Ok(None)
    }

    /// The rate at which a train of packets comes that was sent as fast as can be: more than what is left, and not much
    /// more than the path's tightest link has (the asymptotic dispersion rate; PAM 2002 section 2.1).
    fn train(&mut self, run: &mut Run) -> Result<f64, Trouble> {
        let mut longest = self.bounds.octets;
        for smaller in SMALLER.into_iter().chain([0]) {
            self.bounds.octets = longest;
            let shape = Shape::train(TRAIN, &self.bounds);
            let came = self.stream(&shape, run)?;
            if let [first, .., last] = came.packets.as_slice() {
                let span = last.came.saturating_sub(first.came).max(1);
                let octets = shape.octets * (u32::try_from(came.packets.len()).unwrap_or(1) - 1);
                return Ok((f64::from(octets) * 8e9 / real_time(span)).min(self.bounds.rate));
            }
            longest = smaller;
        }
        Err(Trouble::Dark("no packet of a stream came: is a filter on the way?".to_owned()))
    }

    /// Has a rate judged, and tells of it; gives how much the streams were stretched, too. None if there is no time for it.
    fn fleet(
        &mut self,
        rate: f64,
        args: &Args,
        run: &mut Run,
    ) -> Result<Option<(Verdict, Vec<Stretch>)>, Trouble> {
        let shape = Shape::of(rate, &self.bounds);
        let number = run.fleets.len();
        run.say(args, |_| {
            format!("Receiving Fleet {number}, Rate {:.2}Mbps\n", shape.rate() / 1e6)
        })?;
        let Some((told, mut stretches)) = self.streams(&shape, run)? else { return Ok(None) };
        let verdict = told.verdict;
        // Of a fleet that lost much, what came whole met less of others' traffic than the rest.
        let counted = told.trends.iter().filter(|it| !matches!(it, Trend::Void(_))).count();
        if stretches.len() * 4 < counted * 3 {
            stretches.clear();
        }
        if args.verbose {
            run.say(args, |_| told.text())?;
        }
        run.fleets.push(told);
        Ok(Some((verdict, stretches)))
    }

    /// Fleets of which only the line is to be had, while the range is wide, if there is time for them and their streams are
    /// not lost in a short queue. What goes wrong in them takes nothing away from what is known.
    fn narrow(
        &mut self,
        search: &Search,
        outcome: Outcome,
        args: &Args,
        run: &mut Run,
        too_fast: &mut Vec<Stretch>,
    ) {
        for sent in 0.. {
            let Some(rate) = search.extra(outcome, fit(too_fast), sent) else { return };
            let shape = Shape::of(rate, &self.bounds);
            let length = (shape.length() + shape.pause() + QUIET) * FLEET;
            if self.loses || Mono::now() + length > self.end {
                return;
            }
            match self.fleet(rate, args, run) {
                Ok(Some((verdict, stretches))) => {
                    let is_empty = stretches.is_empty() || matches!(verdict, Verdict::Failed(_));
                    // The first is much faster than the others; what it cannot show, they perhaps can.
                    if is_empty && sent > 0 {
                        return;
                    }
                    // Whatever its verdict is: to take only what was above would move the line.
                    too_fast.extend(stretches);
                }
                Ok(None) => return,
                Err(trouble) => {
                    run.warn(&format!("{WIDER}: {trouble}"));
                    return;
                }
            }
        }
    }

    /// The streams of a fleet, until they have a verdict; and how much each was stretched.
    fn streams(
        &mut self,
        shape: &Shape,
        run: &mut Run,
    ) -> Result<Option<(FleetTold, Vec<Stretch>)>, Trouble> {
        let rate = shape.rate();
        let (mut fleet, mut stretches, mut trends) = (Fleet::default(), Vec::new(), Vec::new());
        loop {
            if Mono::now() + (shape.length() + shape.pause()) > self.end {
                return Ok(None);
            }
            let came = self.stream(shape, run)?;
            self.is_light(&came)?;
            let trend = judge(&came.sending, &came.packets, came.dropped);
            fleet.take(trend);
            trends.push(trend);
            // What a full queue loses would have waited the longest: without it, a stream looks stretched by less than it
            // was. A packet in a hundred may go for other reasons.
            let lost = shape.packets - u32::try_from(came.packets.len()).unwrap_or(0);
            if !matches!(trend, Trend::Void(_)) && lost <= shape.packets / 100 {
                stretches.push(Stretch { rate, growth: growth(&came.packets) });
            }
            self.agreed.control.pause(Mono::now() + shape.pause())?;
            if let Some(verdict) = fleet.verdict() {
                return Ok(Some((FleetTold { rate, verdict, trends }, stretches)));
            }
        }
    }

    /// A path that drops all is not one that has too little left.
    fn is_light(&mut self, came: &Came) -> Result<(), Trouble> {
        let is_dark = came.packets.is_empty() && came.sending.unsent == 0 && came.dropped == 0;
        self.dark = if is_dark { self.dark + 1 } else { 0 };
        if self.dark < MOST_DARK {
            return Ok(());
        }
        Err(Trouble::Dark(format!(
            "nothing came of {MOST_DARK} streams, of which the first came: did a filter on the way close?"
        )))
    }

    fn stream(&mut self, shape: &Shape, run: &mut Run) -> Result<Came, Trouble> {
        self.next += 1;
        let stream = self.next;
        let before = self.agreed.socket.dropped();
        // Whoever translates addresses on the way may forget the way back if nothing goes out for a while.
        let _ = self.agreed.socket.send(&self.agreed.token.knock());
        self.agreed.control.say(&Request::Stream {
            stream,
            packets: shape.packets,
            octets: shape.octets,
            gap: shape.gap,
        })?;
        run.octets += u64::from(shape.octets) * u64::from(shape.packets);
        let (packets, (late, unsent)) = self.receive(stream, shape)?;
        let length = u64::try_from(shape.length().as_nanos()).unwrap_or(u64::MAX);
        let sending = Sending { packets: shape.packets, length, late, unsent };
        Ok(Came { packets, sending, dropped: self.agreed.socket.dropped().wrapping_sub(before) })
    }

    /// Receives until the server has said what it sent, and nothing comes any more.
    fn receive(
        &mut self,
        stream: u32,
        shape: &Shape,
    ) -> Result<(Vec<Packet>, (u64, u32)), Trouble> {
        let mut came = BTreeMap::new();
        let mut origin = None;
        let (mut sent, mut until) = (None, Mono::now() + shape.length() + PATIENCE);
        loop {
            let before = came.len();
            self.take_packets(stream, shape, &mut origin, &mut came);
            let was_sent = sent.is_some();
            if !was_sent {
                sent = self.hear_sent(stream)?;
            }
            // Copies hold nobody up.
            if sent.is_some() && (!was_sent || came.len() > before) {
                until = Mono::now() + QUIET;
            }
            let is_whole = u32::try_from(came.len()).is_ok_and(|count| count == shape.packets);
            let look = || self.agreed.control.look(&[self.agreed.socket.as_fd()], until);
            match sent {
                Some(sent) if is_whole || look()?.is_none() => {
                    return Ok((came.into_values().collect(), sent));
                }
                None if look()?.is_none() => {
                    return Err(Ended::Silent("the server sent no stream").into());
                }
                _ => {}
            }
        }
    }

    fn hear_sent(&mut self, stream: u32) -> Result<Option<(u64, u32)>, Trouble> {
        match self.agreed.control.hear()? {
            None => Ok(None),
            Some(Answer::Sent { stream: told, late, unsent }) if told == stream => {
                Ok(Some((late, unsent)))
            }
            Some(Answer::Refused { later, why }) => Err(Trouble::Refused(later, why)),
            Some(other) => Err(Ended::Senseless(format!("{other:?}")).into()),
        }
    }

    /// Takes what is there of this stream.
    fn take_packets(
        &mut self,
        stream: u32,
        shape: &Shape,
        origin: &mut Option<NtpTime>,
        came: &mut BTreeMap<u32, Packet>,
    ) {
        let wanted = payload(shape.octets, self.agreed.server.ip());
        // What the network reports is found in what does not come.
        while self.inbox.receive(&self.agreed.socket).is_ok_and(|count| count > 0) {
            for (arrival, packet) in self.inbox.batch() {
                let Some(mark) = Mark::read(packet) else { continue };
                let is_ours = mark.token == self.agreed.token && mark.stream == stream;
                if !is_ours || arrival.length != wanted || mark.number >= shape.packets {
                    continue;
                }
                let first = *origin.get_or_insert(arrival.received);
                // A second apart, so that what overtook the first one is not before the begin.
                let since = arrival.received.nanos_since(first) + 1_000_000_000;
                let packet = Packet {
                    number: mark.number,
                    left: mark.left,
                    came: since.max(0).unsigned_abs(),
                };
                came.entry(mark.number).or_insert(packet);
            }
        }
    }
}

/// Nanoseconds of a stream.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn real_time(span: u64) -> f64 {
    span as f64
}
