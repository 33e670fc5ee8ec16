//! Whether a station of a thousand nodes stays as quick as it was when its tables have grown: `iepm status`, and
//! how many files are loaded in a second, on ten million readings, against tables that are empty. And what
//! loaders are left while the same tables are rolled up and pruned.
//!
//! On both engines: the server is one of the measurement's own, with what Debian's has as its defaults, and
//! beside it the embedded one.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use station::{
    text::Timestamp,
    words::run::{self, RunId},
    world::{
        clock::{Clock, SystemClock},
        process,
        spool::Spool,
        store::{self, Session, Store},
    },
};
use stories::Server;

use crate::{
    bed::{Bed, Engine, Station, nowhere},
    loading, longest,
    machine::{median, settle, timed},
    past,
    table::{Line, Quantity, Reach},
};

const NODES: i64 = 1_000;
/// Seconds between two runs of a specification.
const INTERVAL: i64 = 600;
/// 2026-01-01: the first readings.
const BEGIN: i64 = 1_767_225_600;
/// Readings of which the longest transactions are measured, on a station of their own: all of them are rolled up.
const MILLION: i64 = 1_000_000;
/// Rows of SCHEDULE of each specification, beside those that are loaded.
const PAST: i64 = 100;
/// So often each figure is measured.
const ROUNDS: usize = 3;
/// Filling, and copying, may take long.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Measures on both engines.
///
/// # Errors
/// Something does not run, or a file is not loaded.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let readings = i64::from(bed.size(10_000_000, 1_000_000));
    let mut lines = on_engine(bed, "SQLite", readings, &|_| String::new())?;
    lines.extend(past::measure(bed, Engine::Sqlite)?);
    // One engine after the other: there may not be room for both.
    let mut server = Server::up();
    // As Debian's, where the tests' own has less.
    server.kill();
    server.start_with(&["--innodb-buffer-pool-size=128M"]);
    let url = |name: &str| format!("database = \"{}\"\n", server.url(name));
    lines.extend(on_engine(bed, "MariaDB", readings, &url)?);
    drop(server);
    lines.extend(past::measure(bed, Engine::Mariadb)?);
    Ok(lines)
}

fn on_engine(
    bed: &Bed,
    engine: &str,
    readings: i64,
    settings: &dyn Fn(&str) -> String,
) -> Result<Vec<Line>> {
    let files = bed.size(16_000, 8_000);
    let station = bed.station(&settings("full"))?;
    let grown = Field::of(&station, readings)?;
    eprintln!("bench: {engine} is filled with {readings} readings");
    let mut status = Vec::new();
    for _ in 0..ROUNDS {
        status.push(millis(timed(|| grown.status(bed))?.0));
    }
    let (mut on_empty, mut on_full) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let empty = bed.station(&settings(&format!("empty{round}")))?;
        on_empty.push(Field::of(&empty, 0)?.load(bed, files)?);
        on_full.push(grown.load(bed, files)?);
    }
    let beside = grown.load_beside_prune(bed, files)?;
    if let Some(file) = station.config.database.file() {
        std::fs::remove_file(file)?;
    }
    let of = format!("{readings} PINGDATA rows, {engine}");
    let mut lines = lines(&of, median(&status), [median(&on_full), median(&on_empty)], &beside);
    let million = bed.station(&settings("million"))?;
    Field::of(&million, MILLION)?;
    lines.extend(longest::measure(bed, &million, &format!("{MILLION} PINGDATA rows, {engine}"))?);
    Ok(lines)
}

fn lines(of: &str, status: f64, [full, empty]: [f64; 2], beside: &Beside) -> Vec<Line> {
    let per_second = |rate| Quantity::new(rate, "files/s");
    let what = |what: &str| format!("{what}, {of}");
    vec![
        Line::limited(what("iepm status of 1000 nodes"), Quantity::new(status, "ms"), 200.0),
        Line::measured(
            what("load-test-data"),
            per_second(full),
            (per_second(empty), "on an empty table"),
            Reach::AtLeast(0.8),
        ),
        Line::measured(
            what("load-test-data beside iepm prune"),
            per_second(beside.rate),
            (per_second(full), "alone"),
            Reach::AtLeast(0.5),
        ),
        Line::told(what("pruned meanwhile"), Quantity::new(beside.pruned, "rows/s")),
    ]
}

/// A station of a thousand nodes, each pinged every ten minutes.
struct Field<'a> {
    station: &'a Station,
}

/// What went on beside each other.
struct Beside {
    /// Files loaded in a second.
    rate: f64,
    /// Readings deleted in a second.
    pruned: f64,
}

impl<'a> Field<'a> {
    fn of(station: &'a Station, readings: i64) -> Result<Self> {
        let mut store = Store::of(&station.config.database, PATIENCE);
        store.transaction(|session| specs(session))?;
        let rounds = readings / NODES;
        for thousand in 0..rounds / NODES {
            store.transaction(|session| million(session, thousand))?;
        }
        if rounds > 0 {
            store.transaction(|session| past(session, BEGIN + rounds * INTERVAL))?;
        }
        settle();
        Ok(Self { station })
    }

    fn store(&self) -> Store {
        Store::of(&self.station.config.database, PATIENCE)
    }

    fn status(&self, bed: &Bed) -> Result<()> {
        let home = self.station.config.paths.home.as_os_str();
        let mut command = process::command(&bed.program("iepm"), ["--home".as_ref(), home]);
        let command = command.arg("status").env_remove("IEPM_CONFIG").stdin(Stdio::null());
        let status = command.stdout(nowhere()?).status().context("starting iepm")?;
        ensure!(status.success(), "iepm status ended with {status}");
        Ok(())
    }

    /// Loads files of runs that have just been over; says how many in a second.
    fn load(&self, bed: &Bed, files: u32) -> Result<f64> {
        self.put_files(files)?;
        settle();
        self.load_waiting(bed, files)
    }

    fn load_waiting(&self, bed: &Bed, files: u32) -> Result<f64> {
        let (took, _) =
            timed(|| bed.start(self.station, "load-test-data", &["ping"])?.to_its_end(bed))?;
        let sql = "SELECT COUNT(*) FROM SCHEDULE WHERE state = 'finished'";
        let left = self.store().read(|session| store::one(session, sql, &[], |row| row.int(0)))?;
        ensure!(left == Some(0), "{left:?} of {files} files were not loaded");
        Ok(f64::from(files) / took.as_secs_f64())
    }

    fn put_files(&self, files: u32) -> Result<()> {
        let spool = Spool::open(&self.station.config.paths.data)?;
        let now = SystemClock.now();
        let runs = self.store().transaction(|session| {
            (0..i64::from(files))
                .map(|number| finished(session, number % NODES + 1, now))
                .collect::<Result<Vec<_>, _>>()
        })?;
        for (schedule_id, spec) in runs {
            let run = RunId { schedule_id, attempt: 1 };
            let times = (now, Timestamp(now.0 + 9_012_345));
            let header = loading::header(run, (spec, now), times);
            let path = spool.data().join(run::file_name(run, "ping"));
            std::fs::write(path, loading::file(header)?)?;
        }
        Ok(())
    }

    /// Loads files while readings are rolled up and go.
    fn load_beside_prune(&self, bed: &Bed, files: u32) -> Result<Beside> {
        self.put_files(files)?;
        let (file, before) = self.station.add_settings("[retention]\nreadings = '1d'\n")?;
        let count = self.count_all()?;
        let mut prune = bed.start(self.station, "iepm", &["prune"])?;
        bed.until("the first readings go", PATIENCE, || {
            Ok((self.count_all()? < count).then_some(()))
        })?;
        let count = self.count_all()?;
        let (took, rate) = timed(|| self.load_waiting(bed, files))?;
        prune.goes_on()?;
        let pruned = count + i64::from(files) - self.count_all()?;
        drop(prune);
        std::fs::write(&file, before)?;
        #[expect(clippy::cast_precision_loss, reason = "millions")]
        Ok(Beside { rate, pruned: pruned as f64 / took.as_secs_f64() })
    }

    /// How many readings there are of the specifications that are pruned first.
    fn count_all(&self) -> Result<i64> {
        let sql = "SELECT COUNT(*) FROM PINGDATA WHERE toolspecsID BETWEEN 1 AND 1000";
        let found = self.store().read(|session| store::one(session, sql, &[], |row| row.int(0)))?;
        Ok(found.unwrap_or(0))
    }
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

/// The numbers 0 to 999.
macro_rules! thousand {
    ($rest:literal) => {
        concat!(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999) ",
            $rest
        )
    };
}

fn specs(session: &mut dyn Session) -> Result<(), store::Error> {
    let nodes = concat!(
        "INSERT INTO NODES (nodeID, hostName, ipVersion) ",
        thousand!("SELECT 'node-' || (i + 1), '127.0.0.1', '4' FROM n")
    );
    session.execute(nodes, &[])?;
    let specs = concat!(
        "INSERT INTO TOOLSPECS (toolspecsID, srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, runinterval) ",
        thousand!(
            "SELECT i + 1, 'station', 'node-' || (i + 1), 'ping', 'ping', 'background', 20, 600 FROM n"
        )
    );
    session.execute(specs, &[]).map(|_| ())
}

/// Writes a million readings, as wide as real ones, in the order of time.
fn million(session: &mut dyn Session, thousand: i64) -> Result<(), store::Error> {
    let sql = concat!(
        "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, address, \
         payload_bytes, transmitted, received, lost, lossratio, min, avg, max, mdev, rtt_p25_us, rtt_p50_us, rtt_p75_us, \
         rtt_p95_us, rtt_p99_us, ipdv_abs_mean_us, pdv_p95_us, loss_period_max, duplicates, reordered, packets, \
         clock_synchronised) ",
        thousand!(
            "SELECT (? + a.i) * 1000 + b.i + 1, b.i + 1, 'station', 'node-' || (b.i + 1), ? + a.i * 600, \
             (? + a.i * 600) * 1000000, (? + a.i * 600 + 9) * 1000000, '192.0.2.1', 1000, 10, 10, 0, 0.0, 21.0, \
             21.5 + b.i / 1000.0, 23.0, 0.3, 21200, 21500, 21800, 22900, 22900, 310.5, 1900, 0, 0, 0, \
             '[[1,21' || (100 + b.i % 800) || ',61],[2,21302,61],[3,21433,61],[4,21564,61],[5,21695,61],[6,21826,61],\
             [7,21957,61],[8,22088,61],[9,22219,61],[10,22350,61]]', 1 FROM n a CROSS JOIN n b ORDER BY a.i, b.i"
        )
    );
    let begin = BEGIN + thousand * 1_000 * INTERVAL;
    session
        .execute(sql, &[(thousand * 1_000).into(), begin.into(), begin.into(), begin.into()])
        .map(|_| ())
}

/// Writes rows of SCHEDULE of each specification, the last of which were over before `end`.
fn past(session: &mut dyn Session, end: i64) -> Result<(), store::Error> {
    let sql = "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, target, command, dueepoch, \
         due_us, latest_us, limit_s, state, attempt, claimedby, start_us, end_us) SELECT toolspecsID, srcNodeID, \
         destNodeID, toolName, testtype, '192.0.2.1', '[\"ping\",\"-s\",\"1000\",\"-c\",\"10\",\"192.0.2.1\"]', ?, ?, ?, \
         20, 'loaded', 1, 'pingd', ?, ? FROM TOOLSPECS";
    // Their keys come after those that readings name.
    let first = "INSERT INTO SCHEDULE (scheduleID, toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
         latest_us, state) VALUES (1000000000, 1, 'station', 'node-1', 'ping', 'background', 0, 0, 0, 'loaded')";
    session.execute(first, &[])?;
    for round in (1..=PAST).rev() {
        let due = Timestamp::from_seconds(end - round * INTERVAL);
        let values = [due.seconds().into(), due.into(), due.into(), due.into(), due.into()];
        session.execute(sql, &values)?;
    }
    Ok(())
}

/// Writes a run that is over, whose result waits; says its key, and its specification.
fn finished(
    session: &mut dyn Session,
    spec: i64,
    now: Timestamp,
) -> Result<(i64, i64), store::Error> {
    let sql = "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, target, command, dueepoch, \
         due_us, latest_us, limit_s, state, attempt, claimedby, start_us, end_us) VALUES (?, 'station', ?, 'ping', \
         'background', '192.0.2.1', '[\"ping\",\"192.0.2.1\"]', ?, ?, ?, 20, 'finished', 1, 'pingd', ?, ?)";
    let node = format!("node-{spec}");
    let values = [
        spec.into(),
        node.into(),
        now.seconds().into(),
        now.into(),
        now.into(),
        now.into(),
        now.into(),
    ];
    Ok((session.insert(sql, &values)?, spec))
}
