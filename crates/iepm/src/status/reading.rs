//! The latest rows of each specification. Each is one look into an index, however many rows there are.

use std::collections::HashMap;

use serde::Serialize;
use station::{
    text::Timestamp,
    words::run::State,
    world::store::{self, Error, Row, Session},
};

/// What the tables say last of a specification.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Latest {
    /// Its last reading.
    pub(super) reading: Option<Reading>,
    /// Its last run that is over.
    pub(super) end: Option<End>,
}

/// A reading, and when its run was started.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// When the process was started.
    pub(super) start: Timestamp,
    /// What was found.
    pub(super) found: Found,
    /// What the tool's output said beside figures.
    pub(super) problem: String,
    /// Over which limits the machine was, for a run that must be alone.
    pub(super) unclean: Option<String>,
    /// The run that had the channel meanwhile.
    pub(super) overlapped: Option<i64>,
}

/// What a reading says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// By `ping`: milliseconds.
    Ping {
        received: i64,
        lossratio: Option<f64>,
        min: Option<f64>,
        avg: Option<f64>,
        max: Option<f64>,
    },
    /// By `traceroute`.
    Route { hops: i64, reached: bool, route: Option<i64>, rtt_us: Option<f64> },
    /// Of throughput or available bandwidth; towards the target first, and never empty.
    Bandwidth(Vec<Rate>),
    /// By `owping`; towards the target first.
    OneWay([Way; 2]),
}

impl Found {
    fn into_rates(self) -> Vec<Rate> {
        if let Self::Bandwidth(rates) = self { rates } else { Vec::new() }
    }
}

/// The bandwidth one way. What is not known is null in JSON.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Rate {
    /// `to` the target or `from` it.
    pub(super) direction: String,
    #[serde(rename = "thrumin_mbit_per_s")]
    pub(super) min: Option<f64>,
    #[serde(rename = "thruavg_mbit_per_s")]
    pub(super) avg: Option<f64>,
    #[serde(rename = "thrumax_mbit_per_s")]
    pub(super) max: Option<f64>,
    pub(super) lossratio: Option<f64>,
    /// Round-trip times within the streams, milliseconds.
    pub(super) rttmin_ms: Option<f64>,
    pub(super) rttavg_ms: Option<f64>,
    pub(super) rttmax_ms: Option<f64>,
    /// Medians of the ping beside the test, milliseconds: before it, and during it.
    pub(super) idle_rtt_ms: Option<f64>,
    pub(super) loaded_rtt_ms: Option<f64>,
}

impl Rate {
    /// The smallest, mean and largest round-trip time within the streams; none if none is known.
    pub(super) fn rtt_ms(&self) -> Option<[Option<f64>; 3]> {
        let rtt = [self.rttmin_ms, self.rttavg_ms, self.rttmax_ms];
        rtt.iter().any(Option::is_some).then_some(rtt)
    }

    /// Whether a rate is known.
    pub(super) fn is_known(&self) -> bool {
        [self.min, self.avg, self.max].iter().any(Option::is_some)
    }
}

/// One-way delays, milliseconds, and loss. What is not known is null in JSON.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Way {
    /// `to` the target or `from` it.
    pub(super) direction: &'static str,
    pub(super) min_ms: Option<f64>,
    pub(super) median_ms: Option<f64>,
    pub(super) max_ms: Option<f64>,
    pub(super) sent: Option<i64>,
    pub(super) lost: Option<i64>,
    /// Whether both clocks were held to be synchronised: if not, delays are off by what nobody knows.
    pub(super) synchronised: Option<bool>,
    /// What the figures are not to be taken for.
    pub(super) verdict: String,
}

impl Way {
    /// The share of packets that were lost, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "packets of one run")]
    pub(super) fn lossratio(&self) -> Option<f64> {
        let (sent, lost) = self.sent.zip(self.lost)?;
        (sent > 0).then(|| lost as f64 / sent as f64)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// When it, or the last slot of its gap, was due.
    pub(super) due: Timestamp,
    /// Its state.
    pub(super) state: String,
    /// Why.
    pub(super) reason: String,
}

impl End {
    /// Whether there is no reading where there should be one.
    pub(super) fn is_bad(&self) -> bool {
        let bad = [State::Failed, State::Rejected, State::Missed, State::Lost];
        bad.iter().any(|state| state.as_str() == self.state)
    }
}

/// The latest rows of all specifications of a station, by their keys.
pub(super) fn latest(
    session: &mut dyn Session,
    station: &str,
) -> Result<HashMap<i64, Latest>, Error> {
    let mut all: HashMap<i64, Latest> = HashMap::new();
    let station = [station.into()];
    let reads: [(&str, Read); 3] = [(PING, ping), (ROUTE, route), (ONE_WAY, one_way)];
    for (sql, read) in reads {
        for (spec, reading) in store::all(session, sql, &station, |row| of_spec(row, read))? {
            all.entry(spec).or_default().reading = Some(reading);
        }
    }
    for (spec, reading) in store::all(session, BANDWIDTH, &station, |row| of_spec(row, rate))? {
        add_direction(&mut all.entry(spec).or_default().reading, reading);
    }
    for (spec, end) in store::all(session, END, &station, |row| of_spec(row, end))? {
        all.entry(spec).or_default().end = Some(end);
    }
    Ok(all)
}

/// What makes a reading of a row.
type Read = fn(&Row<'_>) -> Result<Reading, Error>;

/// A row that begins with the key of its specification.
fn of_spec<T>(
    row: &Row<'_>,
    read: impl Fn(&Row<'_>) -> Result<T, Error>,
) -> Result<(i64, T), Error> {
    Ok((row.int(0)?, read(row)?))
}

/// The newest row of each specification that is of a tool. Each is found by one look into an index, and all of them
/// are one question to a server. What was retired has no line.
macro_rules! newest {
    ($columns:literal, $table:literal, $key:literal, $of:literal) => {
        concat!(
            "SELECT t.toolspecsID, d.start_us, d.problem, d.overlapped, ",
            $columns,
            " FROM TOOLSPECS t JOIN ",
            $table,
            " d ON d.",
            $key,
            " = (SELECT e.",
            $key,
            " FROM ",
            $table,
            " e WHERE e.toolspecsID = t.toolspecsID ORDER BY e.startepoch DESC LIMIT 1) \
             WHERE t.srcNodeID = ? AND t.retiredepoch IS NULL AND t.toolName ",
            $of
        )
    };
}

const PING: &str =
    newest!("d.received, d.lossratio, d.min, d.avg, d.max", "PINGDATA", "pingdataID", "= 'ping'");

fn ping(row: &Row<'_>) -> Result<Reading, Error> {
    let found = Found::Ping {
        received: row.int(4)?,
        lossratio: row.optional_real(5)?,
        min: row.optional_real(6)?,
        avg: row.optional_real(7)?,
        max: row.optional_real(8)?,
    };
    reading(row, found)
}

/// Of a row that begins with toolspecsID, `start_us`, problem, overlapped.
fn reading(row: &Row<'_>, found: Found) -> Result<Reading, Error> {
    let (start, overlapped) = (row.timestamp(1)?, row.optional_int(3)?);
    Ok(Reading { start, found, problem: row.text(2), unclean: None, overlapped })
}

const ROUTE: &str = newest!(
    "d.numhops, d.reached, d.routeno, d.rtt_us",
    "ROUTEDATA",
    "routedataID",
    "= 'traceroute'"
);

fn route(row: &Row<'_>) -> Result<Reading, Error> {
    let found = Found::Route {
        hops: row.int(4)?,
        reached: row.int(5)? != 0,
        route: row.optional_int(6)?,
        rtt_us: row.optional_real(7)?,
    };
    reading(row, found)
}

const ONE_WAY: &str = newest!(
    "d.tmin, d.tmed, d.tmax, d.to_sent, d.to_lost, d.to_synchronised, d.to_verdict, \
     d.fmin, d.fmed, d.fmax, d.from_sent, d.from_lost, d.from_synchronised, d.from_verdict",
    "OWAMPDATA",
    "owampdataID",
    "= 'owping'"
);

fn one_way(row: &Row<'_>) -> Result<Reading, Error> {
    let way = |direction, first: usize| {
        Ok::<Way, Error>(Way {
            direction,
            min_ms: row.optional_real(first)?,
            median_ms: row.optional_real(first + 1)?,
            max_ms: row.optional_real(first + 2)?,
            sent: row.optional_int(first + 3)?,
            lost: row.optional_int(first + 4)?,
            synchronised: row.optional_int(first + 5)?.map(|is| is != 0),
            verdict: row.text(first + 6),
        })
    };
    reading(row, Found::OneWay([way("to", 4)?, way("from", 11)?]))
}

/// Of the newest run, which has a row for each direction; tools without a table of their own are of bandwidth.
const BANDWIDTH: &str = newest!(
    "d.unclean, d.direction, d.thrumin, d.thruavg, d.thrumax, d.lossratio, d.rttmin, d.rttavg, d.rttmax, \
     d.idle_rtt_p50_us, d.loaded_rtt_p50_us",
    "BWDATA",
    "scheduleID",
    "NOT IN ('ping', 'traceroute', 'owping')"
);

/// A reading of one direction.
fn rate(row: &Row<'_>) -> Result<Reading, Error> {
    let millis = |column| Ok::<_, Error>(row.optional_real(column)?.map(|micros| micros / 1e3));
    let rate = Rate {
        direction: row.text(5),
        min: row.optional_real(6)?,
        avg: row.optional_real(7)?,
        max: row.optional_real(8)?,
        lossratio: row.optional_real(9)?,
        rttmin_ms: row.optional_real(10)?,
        rttavg_ms: row.optional_real(11)?,
        rttmax_ms: row.optional_real(12)?,
        idle_rtt_ms: millis(13)?,
        loaded_rtt_ms: millis(14)?,
    };
    let unclean = Some(row.text(4)).filter(|unclean| !unclean.is_empty());
    Ok(Reading { unclean, ..reading(row, Found::Bandwidth(vec![rate]))? })
}

/// Adds a direction to what is known of the same run.
fn add_direction(known: &mut Option<Reading>, other: Reading) {
    match known {
        Some(Reading { found: Found::Bandwidth(rates), .. }) => {
            rates.extend(other.found.into_rates());
            rates.sort_by_key(|rate| rate.direction != "to");
        }
        _ => *known = Some(other),
    }
}

const END: &str = "SELECT t.toolspecsID, COALESCE(s.lastdue_us, s.due_us), s.state, COALESCE(s.reason, '') \
     FROM TOOLSPECS t JOIN SCHEDULE s ON s.scheduleID = (SELECT e.scheduleID FROM SCHEDULE e \
     WHERE e.toolspecsID = t.toolspecsID AND e.state NOT IN ('pending', 'running', 'finished', 'cancelled') \
     ORDER BY e.due_us DESC LIMIT 1) WHERE t.srcNodeID = ? AND t.retiredepoch IS NULL";

fn end(row: &Row<'_>) -> Result<End, Error> {
    Ok(End { due: row.timestamp(1)?, state: row.text(2), reason: row.text(3) })
}
