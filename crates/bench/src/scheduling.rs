//! One cycle of `load-scheduled`, with a thousand specifications due among a million: against the bare
//! inserts of the same rows, and against itself among ten thousand.
//!
//! Time is an argument of a cycle, so none is waited for: each cycle is 5 seconds after the one before
//! it, and intervals are such that a thousand others are due each time. Which rows of TOOLSPECS those
//! are is scattered over the table, as the hash that spreads specifications does it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use rusqlite::{Connection, Transaction, types::Value};
use station::{
    text::Timestamp,
    world::{
        clock::{Clock, Moment, SystemClock},
        store::Store,
    },
};

use crate::{
    bed::{Bed, Station, connect},
    machine::{median, settle, timed},
    rows,
    table::{Line, Quantity, Reach},
};

/// Specifications that are due in each cycle.
const DUE: u64 = 1_000;
/// The time from one cycle to the next.
const PAUSE: Duration = Duration::from_secs(5);
const PER_SECOND: u32 = 200;
/// Shares no factor with powers of ten, so its multiples scatter specifications over time.
const STRIDE: u64 = 7_919;
const TOOLS: [&str; 4] = ["ping", "traceroute", "owping", "pathchirp"];
const PATIENCE: Duration = Duration::from_secs(6);

/// Measures cycles.
///
/// # Errors
/// What the database says, or that a cycle did not schedule what was due.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let (many, few) = (bed.size(1_000_000, 100_000), 10_000);
    let history = bed.size(200_000, 20_000);
    let mut large = Field::make(bed, many, history)?;
    let mut small = Field::make(bed, few, history)?;
    let mut bare = Bare::beside(&large)?;
    settle();
    let (mut among_many, mut among_few, mut inserts) = (vec![], vec![], vec![]);
    for round in 0..=bed.size(15, 7) {
        bed.rest(Duration::ZERO)?;
        let (took, rows, insert) = large.cycle()?;
        let times = (took, bare.insert(&rows, &insert)?, small.cycle()?.0);
        // The first round fills caches.
        if round > 0 {
            among_many.push(times.0);
            inserts.push(times.1);
            among_few.push(times.2);
        }
    }
    let [cycle, bare, small] =
        [among_many, inserts, among_few].map(|times| Quantity::new(median(&times), "ms"));
    let what = format!("load-scheduled, a cycle, {DUE} due among {many}");
    Ok(vec![
        Line::measured(&what, cycle, (bare, "bare inserts"), Reach::AtMost(3.0)),
        Line::measured(&what, cycle, (small, "among 10000"), Reach::AtMost(1.5)),
    ])
}

/// A station with many specifications, and the time on it.
struct Field {
    station: Station,
    store: Store,
    connection: Connection,
    moment: Moment,
    /// The database before the first cycle.
    copy: PathBuf,
}

impl Field {
    fn make(bed: &Bed, specs: u32, history: u32) -> Result<Self> {
        let station = bed.station("")?;
        let moment = SystemClock.moment();
        let mut connection = connect(station.database())?;
        let transaction = connection.transaction()?;
        // The first cycle is a pause after `moment`.
        let first = (moment.wall + station.config.look_ahead).seconds() + 1;
        fill(&transaction, specs, first)?;
        grow_old(&transaction, history)?;
        transaction.commit()?;
        drop(connection);
        let copy = station.copy_of_database()?;
        let store = Store::of(&station.config.database, PATIENCE);
        let connection = connect(station.database())?;
        Ok(Self { station, store, connection, moment, copy })
    }

    /// Does a cycle; gives its milliseconds, the rows that it wrote, and the INSERT for them.
    fn cycle(&mut self) -> Result<(f64, Vec<Vec<Value>>, String)> {
        let before = self.moment;
        self.moment = later(&before);
        let last = rows::last_key(&self.connection, "SCHEDULE")?;
        let (took, tally) = timed(|| {
            let config = &self.station.config;
            Ok(load_scheduled::cycle(&mut self.store, config, &self.moment, Some(&before))?)
        })?;
        ensure!(tally.scheduled == DUE, "a cycle scheduled {tally:?}, {DUE} were due");
        let (rows, insert) = rows::rows_after(&self.connection, "SCHEDULE", last)?;
        end_all(&self.connection)?;
        Ok((millis(took), rows, insert))
    }
}

/// The yardstick: a database as old as that of the station, which gets the rows without the work.
struct Bare {
    connection: Connection,
    /// As beside the station: what another connection changes empties the cache of the first.
    other: Connection,
}

impl Bare {
    fn beside(field: &Field) -> Result<Self> {
        Ok(Self { connection: connect(&field.copy)?, other: connect(&field.copy)? })
    }

    fn insert(&mut self, rows: &[Vec<Value>], insert: &str) -> Result<f64> {
        let took = rows::insert_bare(&mut self.connection, insert, rows, rows.len())?;
        end_all(&self.other)?;
        Ok(millis(took))
    }
}

fn later(moment: &Moment) -> Moment {
    Moment {
        wall: moment.wall + PAUSE,
        monotonic: moment.monotonic + PAUSE,
        boot: moment.boot + PAUSE,
    }
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

/// All runs end before the next cycle, on both sides.
fn end_all(connection: &Connection) -> Result<()> {
    let sql =
        "UPDATE SCHEDULE SET state = 'loaded', opentoolspecsID = NULL WHERE state = 'pending'";
    connection.execute(sql, [])?;
    Ok(())
}

/// Writes nodes, and specifications of which [`PER_SECOND`] are due in each second from `first` on.
fn fill(transaction: &Transaction<'_>, specs: u32, first: i64) -> Result<()> {
    let node = "INSERT INTO NODES (nodeID, hostName, ipVersion) VALUES (?, ?, '4')";
    let mut node = transaction.prepare(node)?;
    for number in 0..specs / 4 {
        let [_, a, b, c] = number.to_be_bytes();
        node.execute((name(number), format!("10.{a}.{b}.{c}")))?;
    }
    let spec = "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, testtype, toolOpts1, time2run, \
         runinterval, phase, agenda_us) VALUES ('station', ?1, ?2, ?2, 'background', '-s 1000 -c 10 -w 20', 15, \
         ?3, ?4, 1)";
    let mut spec = transaction.prepare(spec)?;
    let agenda = "INSERT INTO AGENDA (srcNodeID, nextdue_us, toolspecsID, agenda_us) VALUES ('station', ?, ?, 1)";
    let mut agenda = transaction.prepare(agenda)?;
    let interval = i64::from(specs / PER_SECOND);
    for number in 0..specs {
        let rank = u64::from(number) * STRIDE % u64::from(specs);
        let due = first + i64::try_from(rank)? / i64::from(PER_SECOND);
        let (node, tool) = (name(number / 4), TOOLS[(number % 4) as usize]);
        let phase = due.rem_euclid(interval).to_string();
        spec.execute((node, tool, interval, phase))?;
        agenda.execute((Timestamp::from_seconds(due).0, transaction.last_insert_rowid()))?;
    }
    Ok(())
}

fn name(number: u32) -> String {
    format!("node-{number}.example.org")
}

/// 2026-01-01, before every slot of the bench.
const LONG_AGO: i64 = 1_767_225_600;

/// Writes `count` runs of the past.
fn grow_old(transaction: &Transaction<'_>, count: u32) -> Result<()> {
    let sql = "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, target, command, \
         dueepoch, due_us, latest_us, limit_s, state, attempt, lastdue_us, claimedby, start_us, end_us) \
         SELECT toolspecsID, srcNodeID, destNodeID, toolName, testtype, '192.0.2.1', \
         '[\"ping\",\"-s\",\"1000\",\"-c\",\"10\",\"-w\",\"20\",\"192.0.2.1\"]', \
         ?1, ?1 * 1000000, ?1 * 1000000 + 60000000, 25, \
         'loaded', 1, NULL, 'pingd', ?1 * 1000000, ?1 * 1000000 + 9000000 FROM TOOLSPECS LIMIT ?2";
    let mut statement = transaction.prepare(sql)?;
    let (mut written, mut due) = (0, LONG_AGO);
    while written < count {
        due += 600;
        written += u32::try_from(statement.execute((due, count - written))?)?;
    }
    Ok(())
}
