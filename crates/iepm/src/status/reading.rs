//! The latest rows of a specification. Each is one look into an index, however many rows there are.

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

/// The latest rows of the specification `id`.
pub(super) fn latest(session: &mut dyn Session, id: i64, tool: &str) -> Result<Latest, Error> {
    let reading = match tool {
        "ping" => store::one(session, PING, &[id.into()], ping)?,
        "traceroute" => store::one(session, ROUTE, &[id.into()], route)?,
        _ => None,
    };
    Ok(Latest { reading, end: store::one(session, END, &[id.into()], end)? })
}

const PING: &str = "SELECT start_us, received, lossratio, min, avg, max, problem FROM PINGDATA \
     WHERE toolspecsID = ? ORDER BY startepoch DESC LIMIT 1";

fn ping(row: &Row<'_>) -> Result<Reading, Error> {
    let found = Found::Ping {
        received: row.int(1)?,
        lossratio: row.optional_real(2)?,
        min: row.optional_real(3)?,
        avg: row.optional_real(4)?,
        max: row.optional_real(5)?,
    };
    Ok(Reading { start: row.timestamp(0)?, found, problem: row.text(6) })
}

const ROUTE: &str = "SELECT start_us, numhops, reached, routeno, rtt_us, problem FROM ROUTEDATA \
     WHERE toolspecsID = ? ORDER BY startepoch DESC LIMIT 1";

fn route(row: &Row<'_>) -> Result<Reading, Error> {
    let found = Found::Route {
        hops: row.int(1)?,
        reached: row.int(2)? != 0,
        route: row.optional_int(3)?,
        rtt_us: row.optional_real(4)?,
    };
    Ok(Reading { start: row.timestamp(0)?, found, problem: row.text(5) })
}

const END: &str = "SELECT COALESCE(lastdue_us, due_us), state, COALESCE(reason, '') FROM SCHEDULE \
     WHERE toolspecsID = ? AND state NOT IN ('pending', 'running', 'finished', 'cancelled') \
     ORDER BY due_us DESC LIMIT 1";

fn end(row: &Row<'_>) -> Result<End, Error> {
    Ok(End { due: row.timestamp(0)?, state: row.text(1), reason: row.text(2) })
}
