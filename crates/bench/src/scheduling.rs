//! One cycle of `load-scheduled`, with a thousand specifications due among a million: against the bare
//! inserts of the same rows, and against itself among ten thousand.
//!
//! Time is an argument of a cycle, so none is waited for: each cycle is 5 seconds after the one before
//! it, and intervals are such that a thousand others are due each time. Which rows of TOOLSPECS those
//! are is scattered over the table, as the hash that spreads specifications does it.

use std::time::Duration;

use anyhow::{Result, ensure};
use station::{
    text::Timestamp,
    world::{
        clock::{Clock, Moment, SystemClock},
        store::{self, Claimant, Error, Session, Store, Value},
    },
};

use crate::{
    bed::{Bed, Engine, Station},
    driver::{Driver, How, Rows},
    machine::{median, settle, timed},
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
/// How long one statement of filling the database may take.
const FILLING: Duration = Duration::from_secs(120);
/// So many runs are claimed at a time.
const CLAIMS: usize = 64;
/// So many rows of the past are written in one transaction.
const MILLION: u32 = 1_000_000;
/// So many rows are prepared in memory when the database is filled.
const AT_ONCE: u32 = 10_000;

/// Measures cycles.
///
/// # Errors
/// What the database says, or that a cycle did not schedule what was due.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let mut lines = on(bed, Engine::Sqlite, bed.size(1_000_000, 100_000))?;
    // Filling a server takes longer, and how many there are makes no difference.
    lines.extend(on(bed, Engine::Mariadb, bed.size(200_000, 50_000))?);
    Ok(lines)
}

fn on(bed: &Bed, engine: Engine, many: u32) -> Result<Vec<Line>> {
    let (few, history) = (10_000, bed.size(200_000, 20_000));
    let mut large = Field::make(bed, engine, many, history)?;
    let mut bare = Bare::beside(bed, &large)?;
    let mut small = Field::make(bed, engine, few, history)?;
    settle();
    let (mut among_many, mut among_few) = (vec![], vec![]);
    let (mut batched, mut one_by_one) = (vec![], vec![]);
    for round in 0..=bed.size(15, 7) {
        bed.rest(Duration::ZERO)?;
        let (took, rows) = large.cycle(bed)?;
        let bare = [How::Batched, How::OneByOne].map(|how| bare.insert(&rows, how));
        let [together, singly] = bare;
        let (together, singly, small) = (together?, singly?, small.cycle(bed)?.0);
        // The first round fills caches.
        if round > 0 {
            among_many.push(took);
            batched.push(together);
            one_by_one.push(singly);
            among_few.push(small);
        }
    }
    let [cycle, batched, one_by_one, small] = [among_many, batched, one_by_one, among_few]
        .map(|times| Quantity::new(median(&times), "ms"));
    let what = format!("load-scheduled, a cycle, {DUE} due among {many}{}", engine.as_suffix());
    let against = |yardstick, most| Line::measured(&what, cycle, yardstick, Reach::AtMost(most));
    let mut lines = match engine {
        Engine::Sqlite => vec![against((batched, "bare inserts"), 3.0)],
        Engine::Mariadb => vec![
            against((batched, "bare inserts, many in a packet"), 2.0),
            against((one_by_one, "bare inserts, one by one"), 2.0),
        ],
    };
    lines.push(against((small, "among 10000"), 1.5));
    Ok(lines)
}

/// A station with many specifications, and the time on it.
pub(crate) struct Field {
    station: Station,
    store: Store,
    look: Driver,
    moment: Moment,
}

impl Field {
    /// A station with so many specifications, and so many runs of the past.
    pub(crate) fn make(bed: &Bed, engine: Engine, specs: u32, history: u32) -> Result<Self> {
        let station = bed.station_on(engine, "")?;
        let moment = SystemClock.moment();
        let mut store = Store::of(&station.config.database, FILLING);
        // The first cycle is a pause after `moment`.
        let first = (moment.wall + station.config.look_ahead).seconds() + 1;
        store.transaction(|session| fill(session, specs, first))?;
        let mut due = LONG_AGO;
        for first in (0..history).step_by(MILLION as usize) {
            let some = MILLION.min(history - first);
            due = store.transaction(|session| grow_old(session, due, some))?;
        }
        let mut look = station.look()?;
        if engine == Engine::Mariadb {
            look.rows("ANALYZE TABLE SCHEDULE, TOOLSPECS, NODES, AGENDA")?;
        }
        let store = Store::of(&station.config.database, PATIENCE);
        Ok(Self { station, store, look, moment })
    }

    /// Does a cycle, whose runs end at once; gives its milliseconds and the rows that it wrote.
    fn cycle(&mut self, bed: &Bed) -> Result<(f64, Rows)> {
        let last = self.look.last_key("SCHEDULE")?;
        let took = self.schedule(bed)?;
        let rows = self.look.rows_after("SCHEDULE", last)?;
        self.end()?;
        Ok((took, rows))
    }

    /// Does a cycle; gives its milliseconds.
    pub(crate) fn schedule(&mut self, bed: &Bed) -> Result<f64> {
        // In the seconds from one cycle to the next a server has long done that.
        bed.until("the server to clean up", FILLING, || {
            Ok(self.look.has_cleaned_up()?.then_some(()))
        })?;
        let before = self.moment;
        self.moment = later(&before);
        let (took, tally) = timed(|| {
            let config = &self.station.config;
            Ok(load_scheduled::cycle(&mut self.store, config, &self.moment, Some(&before))?)
        })?;
        ensure!(tally.scheduled == DUE, "a cycle scheduled {tally:?}, {DUE} were due");
        Ok(millis(took))
    }

    /// Claims some of the runs that a cycle has just scheduled; gives the milliseconds.
    pub(crate) fn claim(&mut self) -> Result<f64> {
        let who = Claimant { station: "station", program: "pingd", tool: "ping" };
        let now = self.moment.wall;
        let until = now + self.station.config.look_ahead + PAUSE + PAUSE;
        let (took, claimed) = timed(|| {
            let work = |session: &mut dyn Session| store::claim(session, &who, now, until, CLAIMS);
            Ok(self.store.transaction(work)?)
        })?;
        ensure!(claimed.len() == CLAIMS, "{} of {CLAIMS} runs were claimed", claimed.len());
        Ok(millis(took))
    }

    /// Has all open runs end.
    pub(crate) fn end(&mut self) -> Result<()> {
        end_all(&mut self.look)
    }
}

/// The yardstick: a database as old as that of the station, which gets the rows without the work.
struct Bare {
    driver: Driver,
    /// As beside the station: what another connection changes empties the cache of the first.
    other: Driver,
}

impl Bare {
    /// Before the station's first cycle.
    fn beside(bed: &Bed, field: &Field) -> Result<Self> {
        let copy = bed.copy_of(&field.station)?;
        Ok(Self { driver: Driver::of(&copy)?, other: Driver::of(&copy)? })
    }

    fn insert(&mut self, rows: &Rows, how: How) -> Result<f64> {
        let took = self.driver.insert(rows, rows.values.len(), how)?;
        end_all(&mut self.other)?;
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
fn end_all(driver: &mut Driver) -> Result<()> {
    let sql = "UPDATE SCHEDULE SET state = 'loaded', opentoolspecsID = NULL WHERE state IN ('pending', 'running')";
    driver.execute(sql).map(|_| ())
}

/// Writes nodes, and specifications of which [`PER_SECOND`] are due in each second from `first` on.
fn fill(session: &mut dyn Session, specs: u32, first: i64) -> Result<(), Error> {
    let node = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        vec![name(number).into(), format!("10.{a}.{b}.{c}").into()]
    };
    let spec = |number: u32| {
        let (node, tool) = (name(number / 4), TOOLS[(number % 4) as usize]);
        let interval = specs / PER_SECOND;
        let phase = due(number, specs, first).rem_euclid(i64::from(interval)).to_string();
        let id = Value::from(number + 1);
        vec![id, node.into(), tool.into(), tool.into(), interval.into(), phase.into()]
    };
    let place = |number: u32| {
        let due = Timestamp::from_seconds(due(number, specs, first));
        vec![due.into(), (number + 1).into()]
    };
    write(session, NODE, specs / 4, &node)?;
    write(session, SPEC, specs, &spec)?;
    write(session, AGENDA, specs, &place)
}

const NODE: &str = "INSERT INTO NODES (nodeID, hostName, ipVersion) VALUES (?, ?, '4')";
const SPEC: &str = "INSERT INTO TOOLSPECS (toolspecsID, srcNodeID, destNodeID, toolName, toolPath, testtype, toolOpts1, \
     time2run, runinterval, phase, agenda_us) VALUES (?, 'station', ?, ?, ?, 'background', '-s 1000 -c 10 -w 20', 15, \
     ?, ?, 1)";
const AGENDA: &str = "INSERT INTO AGENDA (srcNodeID, nextdue_us, toolspecsID, agenda_us) VALUES ('station', ?, ?, 1)";

/// When a specification is due first, in seconds since the epoch.
fn due(number: u32, specs: u32, first: i64) -> i64 {
    let rank = u64::from(number) * STRIDE % u64::from(specs);
    first + i64::try_from(rank / u64::from(PER_SECOND)).unwrap_or(0)
}

/// Writes rows by their numbers.
fn write(
    session: &mut dyn Session,
    sql: &'static str,
    count: u32,
    row: &dyn Fn(u32) -> Vec<Value<'static>>,
) -> Result<(), Error> {
    for first in (0..count).step_by(AT_ONCE as usize) {
        let rows: Vec<_> = (first..count.min(first + AT_ONCE)).map(row).collect();
        session.execute_many(sql, &rows)?;
    }
    Ok(())
}

fn name(number: u32) -> String {
    format!("node-{number}.example.org")
}

/// 2026-01-01, before every slot of the bench.
const LONG_AGO: i64 = 1_767_225_600;

/// Writes `count` runs of the past, that were due after `due`; says when the last of them was.
fn grow_old(session: &mut dyn Session, due: i64, count: u32) -> Result<i64, Error> {
    let sql = "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, target, command, \
         dueepoch, due_us, latest_us, limit_s, state, attempt, lastdue_us, claimedby, start_us, end_us) \
         SELECT toolspecsID, srcNodeID, destNodeID, toolName, testtype, '192.0.2.1', \
         '[\"ping\",\"-s\",\"1000\",\"-c\",\"10\",\"-w\",\"20\",\"192.0.2.1\"]', \
         ?, ?, ? + 60000000, 25, 'loaded', 1, NULL, 'pingd', ?, ? + 9000000 FROM TOOLSPECS LIMIT ?";
    let (mut written, mut due) = (0, due);
    while written < count {
        due += 600;
        let us = || Value::from(Timestamp::from_seconds(due));
        let values = [due.into(), us(), us(), us(), us(), (count - written).into()];
        written += u32::try_from(session.execute(sql, &values)?).unwrap_or(u32::MAX);
    }
    Ok(due)
}
