//! Readings as rows of the data tables.

use readings::{Problem, Reading, ping::Ping, traceroute::Traceroute};
use serde_json::{Value as Json, json};
use station::{
    words::run::Header,
    world::store::{self, Error, Session, Value},
};

use crate::routes;

/// What SCHEDULE knows of the run that a reading is of.
#[derive(Debug)]
pub struct Origin {
    /// The specification.
    pub spec_id: i64,
    /// The station.
    pub src: String,
    /// The node that was measured to.
    pub dest: String,
}

/// Why a reading has fewer figures than it might, in one line.
#[must_use]
pub fn problem(reading: &Reading) -> Option<String> {
    let problem = match reading {
        Reading::Ping(ping) => &ping.problem,
        Reading::Traceroute(traceroute) => &traceroute.problem,
    };
    problem.as_ref().map(told)
}

fn told(problem: &Problem) -> String {
    if problem.text.is_empty() {
        problem.kind.to_string()
    } else {
        format!("{}: {}", problem.kind, problem.text)
    }
}

/// Inserts a reading.
///
/// # Errors
/// What the engine says.
pub fn insert(
    session: &mut dyn Session,
    origin: &Origin,
    header: &Header,
    reading: &Reading,
) -> Result<(), Error> {
    match reading {
        Reading::Ping(ping) => insert_ping(session, origin, header, ping),
        Reading::Traceroute(traceroute) => insert_route(session, origin, header, traceroute),
    }
}

/// The columns that all data tables begin with.
fn common<'a>(origin: &'a Origin, header: &Header) -> [Value<'a>; 8] {
    [
        header.run.schedule_id.into(),
        origin.spec_id.into(),
        origin.src.as_str().into(),
        origin.dest.as_str().into(),
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
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

fn insert_ping(
    session: &mut dyn Session,
    origin: &Origin,
    header: &Header,
    ping: &Ping,
) -> Result<(), Error> {
    let mut values = Vec::with_capacity(31);
    values.extend(common(origin, header));
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
    ]);
    session.insert(INSERT_PING, &values).map(|_| ())
}

/// The replies in the order in which they came: `[[sequence number, round-trip time in us, TTL], ...]`,
/// with the tool's remark as a fourth where it made one. A number that comes again is a duplicate.
fn packets(ping: &Ping) -> Option<String> {
    let packet = |reply: &readings::ping::Reply| {
        let mut packet = vec![json!(reply.seq), json!(reply.rtt_us), json!(reply.ttl)];
        packet.extend(reply.remark.as_ref().map(|remark| json!(remark)));
        Json::Array(packet)
    };
    let packets: Vec<Json> = ping.packets.iter().map(packet).collect();
    (!packets.is_empty()).then(|| Json::Array(packets).to_string())
}

const INSERT_ROUTE: &str = "INSERT INTO ROUTEDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, \
     start_us, end_us, clock_synchronised, address, numhops, reached, routeno, rtt_us, hops, problem) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

fn insert_route(
    session: &mut dyn Session,
    origin: &Origin,
    header: &Header,
    traceroute: &Traceroute,
) -> Result<(), Error> {
    let route = routes::text(&traceroute.route());
    let number = if route.is_empty() {
        None
    } else {
        Some(route_number(session, origin, &route, header.start_us.seconds())?)
    };
    let mut values = Vec::with_capacity(15);
    values.extend(common(origin, header));
    values.extend([
        traceroute.address.map(|address| address.to_string()).into(),
        traceroute.numhops.into(),
        traceroute.reached.into(),
        number.into(),
        round_trip(traceroute).into(),
        (!traceroute.hops.is_empty()).then(|| json!(traceroute.hops).to_string()).into(),
        traceroute.problem.as_ref().map(told).into(),
    ]);
    session.insert(INSERT_ROUTE, &values).map(|_| ())
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

fn route_number(
    session: &mut dyn Session,
    origin: &Origin,
    route: &str,
    epoch: i64,
) -> Result<i64, Error> {
    let pair = [Value::from(origin.src.as_str()), origin.dest.as_str().into()];
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
