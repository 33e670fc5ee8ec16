//! What `iepm status --json` tells, as far as the map shows it. What it tells beyond that is passed over: the two may
//! be of different versions while a station is updated.

use serde::Deserialize;
use station::text::Timestamp;

/// A station at one time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Picture {
    /// The station's own name.
    pub(crate) station: String,
    /// When this was so, microseconds since the epoch.
    pub(crate) now_us: Timestamp,
    /// Each specification, in the order of nodes and tools.
    pub(crate) specifications: Vec<Line>,
    /// Rows of TOOLSPECS that are no specifications, and why.
    pub(crate) wrong: Vec<String>,
    /// The daemons.
    pub(crate) daemons: Vec<Daemon>,
    /// Result files that wait for the loader; none when they cannot be counted.
    pub(crate) waiting_files: Option<u64>,
    /// Result files that were not understood.
    pub(crate) rejected_files: Option<u64>,
}

/// A specification and its last reading, by the names of the columns (docs/tables.md). Times are milliseconds, rates Mbit/s, ratios 0 to 1.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Line {
    pub(crate) node: String,
    pub(crate) tool: String,
    pub(crate) variant: String,
    /// One word, such as `ok` or `stale`.
    pub(crate) health: String,
    pub(crate) age_seconds: Option<u64>,
    pub(crate) lossratio: Option<f64>,
    pub(crate) min_ms: Option<f64>,
    pub(crate) avg_ms: Option<f64>,
    pub(crate) max_ms: Option<f64>,
    pub(crate) hops: Option<i64>,
    pub(crate) rates: Vec<Rate>,
    pub(crate) one_way: Vec<Way>,
    pub(crate) remark: String,
}

/// A rate in one direction.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Rate {
    pub(crate) direction: String,
    pub(crate) thrumin_mbit_per_s: Option<f64>,
    pub(crate) thruavg_mbit_per_s: Option<f64>,
    pub(crate) thrumax_mbit_per_s: Option<f64>,
}

/// One-way delays in one direction.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Way {
    pub(crate) direction: String,
    pub(crate) min_ms: Option<f64>,
    pub(crate) median_ms: Option<f64>,
    pub(crate) max_ms: Option<f64>,
}

/// A daemon.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Daemon {
    /// Its name.
    pub(crate) name: String,
    /// Whether its lock is held; none when that cannot be told.
    pub(crate) running: Option<bool>,
    /// How long ago its last useful cycle ended, seconds.
    pub(crate) beat_seconds: Option<u64>,
}

impl Picture {
    /// Reads what the command printed.
    ///
    /// # Errors
    /// It is no such JSON; says where.
    pub(crate) fn read(output: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(output)
    }
}
