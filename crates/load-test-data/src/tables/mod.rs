//! Readings as rows of the data tables; `docs/tables.md` tells every column and its unit.

mod bandwidth;
mod oneway;
mod ping;
mod route;

use readings::{Problem, Reading};
use station::{
    words::run::Header,
    world::store::{Error, Kind, Session, Value},
};

use crate::file::Measured;

pub(crate) use ping::packets;

/// Why a reading has fewer figures than it might, in one line.
#[must_use]
pub fn problem(reading: &Reading) -> Option<String> {
    reading.problem().map(told)
}

/// A problem in one line: `refused: connect failed: Connection refused`.
#[must_use]
pub fn told(problem: &Problem) -> String {
    if problem.text.is_empty() {
        problem.kind.to_string()
    } else {
        format!("{}: {}", problem.kind, problem.text)
    }
}

/// Inserts what a run measured that has its row in SCHEDULE: what is known there is taken from there.
///
/// `overlapped` is the scheduleID of a run that had the channel meanwhile.
///
/// # Errors
/// What the engine says.
pub fn insert(
    session: &mut dyn Session,
    measured: &Measured,
    overlapped: Option<i64>,
) -> Result<(), Error> {
    let run = Run { header: &measured.header, overlapped };
    match &measured.reading {
        Reading::Ping(ping) => ping::insert(session, &run, ping),
        Reading::Traceroute(traceroute) => route::insert(session, &run, traceroute),
        Reading::Throughput(throughput) => {
            bandwidth::insert(session, &run, throughput, measured.beside.as_ref())
        }
        Reading::Available(available) => bandwidth::insert_available(session, &run, available),
        Reading::OneWay(oneway) => oneway::insert(session, &run, oneway),
    }
}

/// What every row of a run holds beside what the tool measured.
struct Run<'a> {
    header: &'a Header,
    overlapped: Option<i64>,
}

impl Run<'_> {
    /// The columns that every data table has: startepoch, `start_us`, `end_us`, `clock_synchronised`,
    /// overlapped.
    fn common(&self) -> [Value<'static>; 5] {
        [
            self.header.start_us.seconds().into(),
            self.header.start_us.into(),
            self.header.end_us.into(),
            self.header.clock_synchronised.into(),
            self.overlapped.into(),
        ]
    }

    /// Runs an INSERT that takes a part of its row from SCHEDULE.
    fn insert(
        &self,
        session: &mut dyn Session,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<(), Error> {
        if session.execute(sql, values)? == 1 {
            return Ok(());
        }
        let gone = format!("the row {} of SCHEDULE is gone", self.header.schedule_id);
        Err(Error::new(Kind::Other, gone))
    }
}

/// An INSERT of these columns, of which those in `known` are taken from the run's row in SCHEDULE. Its
/// values are those of [`Run::common`], of `columns`, and the scheduleID.
fn statement(table: &str, known: &str, columns: &[&str]) -> String {
    let marks = vec!["?"; 5 + columns.len()].join(", ");
    format!(
        "INSERT INTO {table} ({known}, startepoch, start_us, end_us, clock_synchronised, overlapped, {}) \
         SELECT {known}, {marks} FROM SCHEDULE WHERE scheduleID = ?",
        columns.join(", ")
    )
}

/// The columns of SCHEDULE that every data table repeats.
const KNOWN: &str = "scheduleID, toolspecsID, srcNodeID, destNodeID";

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}
