//! What is printed of a test.

use std::io::{self, BufWriter, Write};

use chrono::{Local, Offset, TimeZone};
use station::words::place::Place;
use timed_udp::{clock::wall, ntp::NtpTime};

use super::{
    measure::{Measured, Plan, Way},
    remarks::remarks,
    trouble::Trouble,
    wanted::Args,
};
use crate::{
    protocol::{Record, Schedule},
    report::{Document, End, Style, Told, approximately, human, json, machine, raw},
    statistics::{Known, Part, Parts, Summary},
};

/// Prints in the form that was asked for.
pub(super) struct Teller<'a> {
    args: &'a Args,
    style: Style,
}

impl<'a> Teller<'a> {
    pub(super) fn new(args: &'a Args) -> Self {
        let style = Style {
            unit: args.unit,
            percentiles: args.percentiles.clone(),
            bucket_width: u64::try_from(args.bucket.as_nanos()).unwrap_or(u64::MAX).max(1),
            lines: args.verbose.map_or(0, |lines| usize::try_from(lines).unwrap_or(usize::MAX)),
            unix_times: args.unix,
            utc_offset: utc_offset(wall()),
        };
        Self { args, style }
    }

    /// Says how long it will take, where somebody reads along.
    pub(super) fn announce(&self, plan: &Plan) -> Result<(), Trouble> {
        if self.args.raw || self.args.json || self.args.quiet {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        closed(approximately(&mut out, plan.takes.as_secs_f64()).and_then(|()| out.flush()))
            .map_err(Trouble::Output)
    }

    /// Prints what came out; what is to be said besides, in the forms that have no room for it.
    pub(super) fn tell(&self, measured: &Measured) -> io::Result<Vec<String>> {
        if self.args.quiet {
            return Ok(Vec::new());
        }
        let parts = measured.ways.iter().flat_map(|way| self.parts(way)).collect::<Vec<_>>();
        let mut out = BufWriter::new(io::stdout().lock());
        closed(self.write(&mut out, measured, &parts).and_then(|()| out.flush()))?;
        if self.args.json {
            return Ok(Vec::new());
        }
        let summaries: Vec<_> =
            parts.iter().map(|part| (part.way.direction, &part.summary)).collect();
        Ok(remarks(&summaries))
    }

    fn write(
        &self,
        out: &mut impl Write,
        measured: &Measured,
        parts: &[Piece<'_>],
    ) -> io::Result<()> {
        let told: Vec<_> = parts.iter().map(|part| self.told(part)).collect();
        if self.args.json {
            let problem = measured.trouble.as_ref().map(Trouble::to_string);
            let document = Document {
                target: &self.args.target,
                problem: problem.as_deref(),
                warnings: &measured.warnings,
                packets: self.args.packets || self.args.verbose.is_some(),
            };
            return json(out, &document, &told, &self.style);
        }
        for told in &told {
            if self.args.raw {
                raw(out, told.records)?;
            } else if self.args.machine {
                machine(out, told, &self.style)?;
            } else {
                human(out, told, &self.style)?;
            }
        }
        Ok(())
    }

    /// A direction, or what it is divided into (`-N`).
    fn parts<'w>(&self, way: &'w Way) -> Vec<Piece<'w>> {
        let parts = if self.args.part == 0 {
            vec![Part { known: way.known.clone(), records: way.records.clone() }]
        } else {
            let mut parts = Parts::new(way.known.clone(), self.args.part);
            way.records.iter().for_each(|record| parts.take(*record));
            parts.finish()
        };
        let mut schedule = Schedule::new(&way.sid, &way.request.slots);
        let piece = |part: Part| {
            let summary = Summary::of(&part.known, &mut schedule, &part.records);
            Piece { way, known: part.known, records: part.records, summary }
        };
        parts.into_iter().map(piece).collect()
    }

    fn told<'p>(&self, piece: &'p Piece<'_>) -> Told<'p> {
        let way = piece.way;
        let target = Place::of(&self.args.target).map_or(self.args.target.clone(), |it| it.host);
        let is_to = way.direction == readings::Direction::To;
        let end = |address: std::net::SocketAddr, is_target: bool| End {
            host: if is_target { target.clone() } else { address.ip().to_string() },
            address,
        };
        Told {
            direction: way.direction,
            from: end(way.from, !is_to),
            to: end(way.to, is_to),
            sid: way.sid,
            dscp: Some(self.args.dscp),
            padding: way.request.padding,
            session_packets: way.request.packets,
            finished: way.finished,
            known: &piece.known,
            records: &piece.records,
            summary: &piece.summary,
        }
    }
}

/// A part of a direction, and what it came to.
struct Piece<'a> {
    way: &'a Way,
    known: Known,
    records: Vec<Record>,
    summary: Summary,
}

/// That nobody reads any more (`| head`) is no failure.
fn closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// How far the time of this place is ahead of UTC, seconds (`TZ`, else the machine's).
fn utc_offset(now: NtpTime) -> i32 {
    let seconds = i64::try_from(now.unix_nanos().div_euclid(1_000_000_000)).unwrap_or(0);
    Local.timestamp_opt(seconds, 0).single().map_or(0, |time| time.offset().fix().local_minus_utc())
}
