//! The latest rows of a specification. Each is one look into an index, however many rows there are.

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

/// The latest rows of the specification `id`. Tools without a table of their own are of bandwidth.
pub(super) fn latest(session: &mut dyn Session, id: i64, tool: &str) -> Result<Latest, Error> {
    let reading = match tool {
        "ping" => store::one(session, PING, &[id.into()], ping)?,
        "traceroute" => store::one(session, ROUTE, &[id.into()], route)?,
        "owping" => store::one(session, ONE_WAY, &[id.into()], one_way)?,
        _ => bandwidth(store::all(session, BANDWIDTH, &[id.into()], rate)?),
    };
    Ok(Latest { reading, end: store::one(session, END, &[id.into()], end)? })
}

const PING: &str = "SELECT start_us, problem, overlapped, received, lossratio, min, avg, max FROM PINGDATA \
     WHERE toolspecsID = ? ORDER BY startepoch DESC LIMIT 1";

fn ping(row: &Row<'_>) -> Result<Reading, Error> {
    let found = Found::Ping {
        received: row.int(3)?,
        lossratio: row.optional_real(4)?,
        min: row.optional_real(5)?,
        avg: row.optional_real(6)?,
        max: row.optional_real(7)?,
    };
    reading(row, found)
}

/// Of a row that begins with `start_us`, problem, overlapped.
fn reading(row: &Row<'_>, found: Found) -> Result<Reading, Error> {
    let (start, overlapped) = (row.timestamp(0)?, row.optional_int(2)?);
    Ok(Reading { start, found, problem: row.text(1), unclean: None, overlapped })
}

const ROUTE: &str = "SELECT start_us, problem, overlapped, numhops, reached, routeno, rtt_us FROM ROUTEDATA \
     WHERE toolspecsID = ? ORDER BY startepoch DESC LIMIT 1";

fn route(row: &Row<'_>) -> Result<Reading, Error> {
    let found = Found::Route {
        hops: row.int(3)?,
        reached: row.int(4)? != 0,
        route: row.optional_int(5)?,
        rtt_us: row.optional_real(6)?,
    };
    reading(row, found)
}

const ONE_WAY: &str = "SELECT start_us, problem, overlapped, tmin, tmed, tmax, to_sent, to_lost, fmin, fmed, fmax, \
     from_sent, from_lost FROM OWAMPDATA WHERE toolspecsID = ? ORDER BY startepoch DESC LIMIT 1";

fn one_way(row: &Row<'_>) -> Result<Reading, Error> {
    let way = |direction, first: usize| {
        Ok::<Way, Error>(Way {
            direction,
            min_ms: row.optional_real(first)?,
            median_ms: row.optional_real(first + 1)?,
            max_ms: row.optional_real(first + 2)?,
            sent: row.optional_int(first + 3)?,
            lost: row.optional_int(first + 4)?,
        })
    };
    reading(row, Found::OneWay([way("to", 3)?, way("from", 8)?]))
}

/// A run has at most two rows, and they have the same start.
const BANDWIDTH: &str = "SELECT start_us, problem, overlapped, unclean, scheduleID, direction, thrumin, thruavg, \
     thrumax, lossratio, rttmin, rttavg, rttmax, idle_rtt_p50_us, loaded_rtt_p50_us FROM BWDATA \
     WHERE toolspecsID = ? ORDER BY startepoch DESC LIMIT 2";

/// A row: the run, and a reading of one direction.
fn rate(row: &Row<'_>) -> Result<(i64, Reading), Error> {
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
    let unclean = Some(row.text(3)).filter(|unclean| !unclean.is_empty());
    let found = Found::Bandwidth(vec![rate]);
    Ok((row.int(4)?, Reading { unclean, ..reading(row, found)? }))
}

/// The directions of the newest run together; its row comes first.
fn bandwidth(rows: Vec<(i64, Reading)>) -> Option<Reading> {
    let mut rows = rows.into_iter();
    let (run, mut newest) = rows.next()?;
    if let Found::Bandwidth(rates) = &mut newest.found {
        for (_, other) in rows.filter(|(of, _)| *of == run) {
            rates.extend(other.found.into_rates());
        }
        rates.sort_by_key(|rate| rate.direction != "to");
    }
    Some(newest)
}

const END: &str = "SELECT COALESCE(lastdue_us, due_us), state, COALESCE(reason, '') FROM SCHEDULE \
     WHERE toolspecsID = ? AND state NOT IN ('pending', 'running', 'finished', 'cancelled') \
     ORDER BY due_us DESC LIMIT 1";

fn end(row: &Row<'_>) -> Result<End, Error> {
    Ok(End { due: row.timestamp(0)?, state: row.text(1), reason: row.text(2) })
}
