//! The data tables and their roll-ups, and the statements on them.
//!
//! Every statement names a specification and a stretch of time, and finds it by index.

use std::{ops::Range, sync::LazyLock};

use station::world::store::{self, Error, Session, Value};

use super::{
    columns::{BANDWIDTH, Column, ONE_WAY, PING, ROUTE},
    sample::{Delays, Sample},
};

/// A data table with its roll-ups.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) columns: &'static [Column],
    pub(super) sql: Statements,
    samples: &'static [&'static str],
}

/// The statements; each takes toolspecsID first, and of the roll-ups the period then.
#[derive(Debug)]
pub(super) struct Statements {
    /// When the first reading was started.
    pub(super) first: String,
    /// How many readings there are of each hour between two times.
    pub(super) counts: String,
    /// Of how many runs each roll-up between two times is, and whether its readings are gone.
    pub(super) rolled: String,
    /// The readings between two times.
    pub(super) readings: String,
    /// The roll-ups between two times.
    pub(super) stored: String,
    /// Deletes a roll-up that can be computed anew.
    pub(super) clear: String,
    /// Deletes a roll-up.
    pub(super) forget: String,
    pub(super) insert: String,
    /// Notes that what a roll-up is of will be gone.
    pub(super) gone: String,
    /// Deletes the readings between two times.
    pub(super) delete: String,
    /// The specification's roll-ups before a time: the first.
    pub(super) oldest: String,
    /// Deletes the roll-ups between two times.
    pub(super) expire: String,
    /// How many readings there are between two times.
    count: String,
    /// How many roll-ups.
    count_rollups: String,
}

/// What a reading may have measured: the station's own test beside it.
const BESIDE: &str = "overlapped IS NOT NULL";

static KINDS: LazyLock<[Kind; 4]> = LazyLock::new(|| {
    [
        kind(
            ("PINGDATA", "PINGROLLUP"),
            PING,
            ("''", BESIDE),
            &["packets", "transmitted", "received"],
        ),
        kind(("ROUTEDATA", "ROUTEROLLUP"), ROUTE, ("''", BESIDE), &["routeno"]),
        kind(
            ("BWDATA", "BWROLLUP"),
            BANDWIDTH,
            ("direction", "overlapped IS NOT NULL OR unclean IS NOT NULL"),
            &[],
        ),
        kind(
            ("OWAMPDATA", "OWAMPROLLUP"),
            ONE_WAY,
            ("''", BESIDE),
            &["to_packets", "from_packets"],
        ),
    ]
});

/// All of them.
pub(crate) fn kinds() -> &'static [Kind; 4] {
    &KINDS
}

impl Kind {
    /// The one that a tool's readings are of; tools without a table of their own are of bandwidth.
    pub(crate) fn of(tool: &str) -> &'static Self {
        let place = match tool {
            "ping" => 0,
            "traceroute" => 1,
            "owping" => 3,
            _ => 2,
        };
        &kinds()[place]
    }

    pub(super) fn sample(&self) -> Sample {
        match self.samples {
            [] => Sample::None,
            ["routeno"] => Sample::Routes(Vec::new()),
            [_, _] => Sample::Ways([Delays::default(), Delays::default()]),
            _ => Sample::Trips(Delays::default()),
        }
    }

    pub(super) fn samples(&self) -> usize {
        self.samples.len()
    }

    /// When the first reading of a specification was started.
    pub(crate) fn first_reading(
        &self,
        session: &mut dyn Session,
        spec: i64,
    ) -> Result<Option<i64>, Error> {
        let first =
            store::one(session, &self.sql.first, &[spec.into()], |row| row.optional_int(0))?;
        Ok(first.flatten())
    }

    /// The statement that finds when the oldest roll-up of a specification and a period begins.
    pub(crate) fn oldest(&self) -> &str {
        &self.sql.oldest
    }

    /// Deletes the roll-ups of one period between two times; says how many went.
    pub(crate) fn expire(
        &'static self,
        session: &mut dyn Session,
        spec: i64,
        period: i64,
        stretch: &Range<i64>,
    ) -> Result<u64, Error> {
        let values = [spec.into(), period.into(), stretch.start.into(), stretch.end.into()];
        session.execute(&self.sql.expire, &values)
    }

    /// How many roll-ups of a period, or readings where none is named, there are between two times.
    pub(crate) fn count(
        &self,
        session: &mut dyn Session,
        spec: i64,
        period: Option<i64>,
        stretch: &Range<i64>,
    ) -> Result<u64, Error> {
        let mut values: Vec<Value<'_>> = vec![spec.into()];
        values.extend(period.map(Value::from));
        values.extend([stretch.start.into(), stretch.end.into()]);
        let sql = if period.is_some() { &self.sql.count_rollups } else { &self.sql.count };
        Ok(store::one(session, sql, &values, |row| row.int(0))?.map_or(0, i64::unsigned_abs))
    }
}

fn kind(
    (raw, rollup): (&'static str, &'static str),
    columns: &'static [Column],
    (direction, flagged): (&str, &str),
    samples: &'static [&'static str],
) -> Kind {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let of_one: Vec<&str> =
        columns.iter().map(|column| column.raw).chain(samples.iter().copied()).collect();
    let (names, of_one) = (names.join(", "), of_one.join(", "));
    let marks = ", ?".repeat(columns.len());
    let (key, mark) = if direction == "direction" { ("direction, ", "?, ") } else { ("", "") };
    let one = "toolspecsID = ? AND period = ? AND startepoch = ?";
    let some = "toolspecsID = ? AND period = ? AND startepoch >= ? AND startepoch < ?";
    let between =
        format!("FROM {raw} WHERE toolspecsID = ? AND startepoch >= ? AND startepoch < ?");
    let hour = "startepoch - startepoch % 3600";
    let sql = Statements {
        first: format!("SELECT MIN(startepoch) FROM {raw} WHERE toolspecsID = ?"),
        counts: format!("SELECT {hour}, COUNT(*) {between} GROUP BY {hour}"),
        rolled: format!(
            "SELECT startepoch, SUM(runs), MAX(rawgone) FROM {rollup} WHERE {some} GROUP BY startepoch"
        ),
        readings: format!(
            "SELECT startepoch, CASE WHEN {flagged} THEN 1 ELSE 0 END, {direction}, {of_one} {between} ORDER BY startepoch"
        ),
        stored: format!(
            "SELECT startepoch, flagged, {direction}, {names} FROM {rollup} WHERE {some} ORDER BY startepoch"
        ),
        clear: format!("DELETE FROM {rollup} WHERE {one} AND rawgone = 0"),
        forget: format!("DELETE FROM {rollup} WHERE {one}"),
        insert: format!(
            "INSERT INTO {rollup} ({key}toolspecsID, period, startepoch, rawgone, flagged, {names}) \
             VALUES ({mark}?, ?, ?, ?, ?{marks})"
        ),
        gone: format!("UPDATE {rollup} SET rawgone = 1 WHERE {one}"),
        delete: format!("DELETE {between}"),
        oldest: format!(
            "SELECT MIN(startepoch) FROM {rollup} WHERE toolspecsID = ? AND period = ?"
        ),
        expire: format!("DELETE FROM {rollup} WHERE {some}"),
        count: format!("SELECT COUNT(*) {between}"),
        count_rollups: format!("SELECT COUNT(*) FROM {rollup} WHERE {some}"),
    };
    Kind { columns, sql, samples }
}
