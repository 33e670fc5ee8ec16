//! Readings as rows of the data tables; `docs/tables.md` tells every column and its unit.

mod bandwidth;
mod oneway;
mod ping;
mod route;

use readings::{Problem, Reading};
use station::{
    words::run::Header,
    world::store::{Error, Session, Value},
};

use crate::{file::Measured, waiting::Row};

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

/// Rows of the data tables that are to be inserted, those of a table together.
#[derive(Debug, Default)]
pub struct Sheets<'a>(Vec<(&'static str, Vec<Vec<Value<'a>>>)>);

impl<'a> Sheets<'a> {
    /// Adds a row of the table that `sql` inserts into.
    fn add(&mut self, sql: &'static str, values: Vec<Value<'a>>) {
        match self.0.iter_mut().find(|(of, _)| *of == sql) {
            Some((_, rows)) => rows.push(values),
            None => self.0.push((sql, vec![values])),
        }
    }

    /// Inserts them all.
    ///
    /// # Errors
    /// [`Kind::Conflict`](station::world::store::Kind::Conflict) when one is there already, or what the
    /// engine says.
    pub fn write(&self, session: &mut dyn Session) -> Result<(), Error> {
        self.0.iter().try_for_each(|(sql, rows)| session.execute_many(sql, rows).map(|_| ()))
    }
}

/// Adds the rows of what a run measured; what is known of it in SCHEDULE is taken from there.
///
/// `overlapped` is the scheduleID of a run that had the channel meanwhile. The database is asked for the
/// number of a route.
///
/// # Errors
/// What the engine says.
pub fn add<'a>(
    session: &mut dyn Session,
    sheets: &mut Sheets<'a>,
    row: &'a Row,
    measured: &'a Measured,
    overlapped: Option<i64>,
) -> Result<(), Error> {
    let run = Run { row, header: &measured.header, overlapped };
    match &measured.reading {
        Reading::Ping(ping) => ping::add(sheets, &run, ping),
        Reading::Traceroute(traceroute) => route::add(session, sheets, &run, traceroute)?,
        Reading::Throughput(throughput) => {
            bandwidth::add(sheets, &run, throughput, measured.beside.as_ref());
        }
        Reading::Available(available) => {
            bandwidth::add_available(sheets, &run, available, measured.beside.as_ref());
        }
        Reading::OneWay(oneway) => oneway::add(sheets, &run, oneway),
    }
    Ok(())
}

/// What every row of a run holds beside what the tool measured.
struct Run<'a> {
    row: &'a Row,
    header: &'a Header,
    overlapped: Option<i64>,
}

impl<'a> Run<'a> {
    /// The values of [`COMMON`].
    fn common(&self) -> [Value<'a>; 9] {
        let Row { schedule_id, spec_id, src, dest, .. } = self.row;
        [
            (*schedule_id).into(),
            (*spec_id).into(),
            src.as_str().into(),
            dest.as_str().into(),
            self.header.start_us.seconds().into(),
            self.header.start_us.into(),
            self.header.end_us.into(),
            self.header.clock_synchronised.into(),
            self.overlapped.into(),
        ]
    }
}

/// The columns that every data table has.
const COMMON: [&str; 9] = [
    "scheduleID",
    "toolspecsID",
    "srcNodeID",
    "destNodeID",
    "startepoch",
    "start_us",
    "end_us",
    "clock_synchronised",
    "overlapped",
];

/// An INSERT of the columns in [`COMMON`] and of these.
fn statement(table: &str, columns: &[&str]) -> String {
    let columns = [&COMMON, columns].concat();
    let marks = vec!["?"; columns.len()].join(", ");
    format!("INSERT INTO {table} ({}) VALUES ({marks})", columns.join(", "))
}

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}
