//! Readings as rows of the data tables.

use std::fmt::Write;

use readings::{Problem, Reading, ping::Ping, traceroute::Traceroute};
use serde_json::json;
use station::{
    words::run::Header,
    world::store::{self, Error, Kind, Session, Value},
};

use crate::routes;

/// Why a reading has fewer figures than it might, in one line.
#[must_use]
pub fn problem(reading: &Reading) -> Option<String> {
    reading.problem().map(told)
}

fn told(problem: &Problem) -> String {
    if problem.text.is_empty() {
        problem.kind.to_string()
    } else {
        format!("{}: {}", problem.kind, problem.text)
    }
}

/// Inserts a reading of a run that has its row in SCHEDULE: what is known there is taken from there.
///
/// # Errors
/// What the engine says.
pub fn insert(session: &mut dyn Session, header: &Header, reading: &Reading) -> Result<(), Error> {
    match reading {
        Reading::Ping(ping) => insert_ping(session, header, ping),
        Reading::Traceroute(traceroute) => insert_route(session, header, traceroute),
        Reading::Throughput(_) | Reading::Available(_) | Reading::OneWay(_) => todo!(),
    }
}

/// The columns of every data table that the header of a result file fills.
fn common(header: &Header) -> [Value<'static>; 4] {
    [
        header.start_us.seconds().into(),
        header.start_us.into(),
        header.end_us.into(),
        header.clock_synchronised.into(),
    ]
}

const INSERT_PING: &str = "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, \
     end_us, clock_synchronised, address, payload_bytes, transmitted, received, lost, lossratio, min, avg, max, mdev, \
     rtt_p25_us, rtt_p50_us, rtt_p75_us, rtt_p95_us, rtt_p99_us, ipdv_abs_mean_us, pdv_p95_us, loss_period_max, \
     duplicates, reordered, errors, packets, problem) \
     SELECT scheduleID, toolspecsID, srcNodeID, destNodeID, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
     ?, ?, ?, ?, ?, ?, ? FROM SCHEDULE WHERE scheduleID = ?";

fn insert_ping(session: &mut dyn Session, header: &Header, ping: &Ping) -> Result<(), Error> {
    let mut values = Vec::with_capacity(28);
    values.extend(common(header));
    values.extend([
        ping.address.map(|address| address.to_string()).into(),
        ping.bytes.into(),
        ping.transmitted.into(),
        ping.received.into(),
        ping.lost.into(),
        ping.loss_ratio.into(),
        ping.min_ms.into(),
        ping.avg_ms.into(),
        ping.max_ms.into(),
        ping.mdev_ms.into(),
    ]);
    let delay = &ping.delay;
    values.extend(
        [delay.p25_us, delay.p50_us, delay.p75_us, delay.p95_us, delay.p99_us].map(Value::from),
    );
    values.extend([
        delay.ipdv_abs_mean_us.into(),
        delay.pdv_p95_us.into(),
        delay.loss_period_max.into(),
        ping.duplicates.into(),
        ping.reordered.into(),
        (!ping.errors.is_empty()).then(|| json!(ping.errors).to_string()).into(),
        packets(ping).into(),
        ping.problem.as_ref().map(told).into(),
        header.schedule_id.into(),
    ]);
    inserted(session, header, INSERT_PING, &values)
}

/// Runs an INSERT that takes a part of its row from SCHEDULE.
fn inserted(
    session: &mut dyn Session,
    header: &Header,
    sql: &'static str,
    values: &[Value<'_>],
) -> Result<(), Error> {
    if session.execute(sql, values)? == 1 {
        return Ok(());
    }
    let gone = format!("the row {} of SCHEDULE is gone", header.schedule_id);
    Err(Error::new(Kind::Other, gone))
}

/// The replies in the order in which they came: `[[sequence number, round-trip time in us, TTL], ...]`,
/// with the tool's remark as a fourth where it made one. A number that comes again is a duplicate.
fn packets(ping: &Ping) -> Option<String> {
    let mut packets = String::with_capacity(32 * ping.packets.len());
    for reply in &ping.packets {
        packets.push(if packets.is_empty() { '[' } else { ',' });
        // A String takes everything.
        let _ = write!(packets, "[{},{},{}", reply.seq, or_null(reply.rtt_us), or_null(reply.ttl));
        if let Some(remark) = &reply.remark {
            let _ = write!(packets, ",{}", json!(remark));
        }
        packets.push(']');
    }
    (!packets.is_empty()).then(|| packets + "]")
}

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

const INSERT_ROUTE: &str = "INSERT INTO ROUTEDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, \
     start_us, end_us, clock_synchronised, address, numhops, reached, routeno, rtt_us, hops, problem) \
     SELECT scheduleID, toolspecsID, srcNodeID, destNodeID, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? \
     FROM SCHEDULE WHERE scheduleID = ?";

fn insert_route(
    session: &mut dyn Session,
    header: &Header,
    traceroute: &Traceroute,
) -> Result<(), Error> {
    let route = routes::text(&traceroute.route());
    let number = if route.is_empty() { None } else { Some(route_number(session, header, &route)?) };
    let mut values = Vec::with_capacity(12);
    values.extend(common(header));
    values.extend([
        traceroute.address.map(|address| address.to_string()).into(),
        traceroute.numhops.into(),
        traceroute.reached.into(),
        number.into(),
        round_trip(traceroute).into(),
        (!traceroute.hops.is_empty()).then(|| json!(traceroute.hops).to_string()).into(),
        traceroute.problem.as_ref().map(told).into(),
        header.schedule_id.into(),
    ]);
    inserted(session, header, INSERT_ROUTE, &values)
}

/// The shortest round trip to the target itself, where it answered.
fn round_trip(traceroute: &Traceroute) -> Option<u64> {
    let last = traceroute
        .hops
        .iter()
        .rev()
        .find(|hop| hop.answers.iter().any(|answer| !answer.is_silent()))?;
    let own = last.answers.iter().filter(|answer| answer.address == traceroute.address);
    own.filter_map(|answer| answer.rtt_us).min().filter(|_| traceroute.reached)
}

fn route_number(session: &mut dyn Session, header: &Header, route: &str) -> Result<i64, Error> {
    let epoch = header.start_us.seconds();
    let sql = "SELECT srcNodeID, destNodeID FROM SCHEDULE WHERE scheduleID = ?";
    let pair = store::one(session, sql, &[header.schedule_id.into()], |row| {
        Ok([row.text(0), row.text(1)])
    })?;
    let [src, dest] = pair.unwrap_or_default();
    let pair = [Value::from(src.as_str()), dest.as_str().into()];
    let sql = "SELECT routeno, route FROM ROUTENO WHERE srcNodeID = ? AND destNodeID = ? ORDER BY lastepoch DESC, routeno";
    let known = store::all(session, sql, &pair, |row| Ok((row.int(0)?, row.text(1))))?;
    let found = routes::number(route, &known);
    let number =
        found.unwrap_or_else(|| known.iter().map(|(number, _)| number + 1).max().unwrap_or(1));
    let [src, dest] = pair;
    if found.is_some() {
        let sql = "UPDATE ROUTENO SET lastepoch = ? WHERE srcNodeID = ? AND destNodeID = ? AND routeno = ? \
             AND lastepoch < ?";
        session.execute(sql, &[epoch.into(), src, dest, number.into(), epoch.into()])?;
    } else {
        let sql = "INSERT INTO ROUTENO (srcNodeID, destNodeID, routeno, route, firstepoch, lastepoch) \
             VALUES (?, ?, ?, ?, ?, ?)";
        session
            .insert(sql, &[src, dest, number.into(), route.into(), epoch.into(), epoch.into()])?;
    }
    Ok(number)
}
