//! How many files `load-test-data` loads in a second, against the bare work that no loader can do
//! without; and whether its memory grows with the number of files.
//!
//! That work is: each file is opened, read, closed and renamed into another directory, and its row is
//! inserted. The inserts alone are no yardstick for files where they are quick: on ext4 the rename of one
//! takes as long as four or five of those of the embedded engine, or two of those that a server gets many
//! in a packet.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use station::{
    text::Timestamp,
    words::database::Database,
    words::run::{self, Ended, HEADER_VERSION, Header, RunId},
    words::toolspec::TestType,
    world::{
        clock::{Clock, SystemClock},
        files,
        spool::Spool,
    },
};

use crate::{
    bed::{Bed, Engine, Station},
    driver::{self, Driver, How},
    machine::{median, settle, timed},
    rows::{Runs, TARGET},
    table::{Line, Quantity, Reach},
};

/// So often files are loaded, each time on a new station.
const ROUNDS: usize = 3;
/// Rows in one transaction of the yardstick.
const TOGETHER: usize = 1_000;
const COMMAND: [&str; 8] = ["ping", "-s", "1000", "-c", "10", "-w", "20", TARGET];
const PACKETS: i64 = 10;

/// Measures files per second and memory.
///
/// # Errors
/// Something does not run, or a file is not loaded.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let mut lines = of_files(bed)?;
    lines.extend(on_server(bed)?);
    Ok(lines)
}

/// Several rounds, and the figure in their middle.
struct Rounds {
    count: u32,
    loaded: Vec<Loaded>,
}

impl Rounds {
    fn of(bed: &Bed, engine: Engine) -> Result<Self> {
        let count = bed.size(20_000, 4_000);
        let loaded = (0..ROUNDS).map(|_| load(bed, engine, count)).collect::<Result<_>>()?;
        Ok(Self { count, loaded })
    }

    fn middle(&self, figure: fn(&Loaded) -> f64) -> f64 {
        median(&self.loaded.iter().map(figure).collect::<Vec<_>>())
    }

    fn per_second(&self, seconds: fn(&Loaded) -> f64) -> Quantity {
        Quantity::new(f64::from(self.count) / self.middle(seconds), "files/s")
    }
}

/// On a server there are three yardsticks: all that no loader can do without, and the inserts alone, in the
/// two ways that the driver has.
fn on_server(bed: &Bed) -> Result<Vec<Line>> {
    let rounds = Rounds::of(bed, Engine::Mariadb)?;
    let against = |seconds: fn(&Loaded) -> f64, yardstick| {
        Line::measured(
            format!("load-test-data, {} ping files, MariaDB", rounds.count),
            rounds.per_second(|loaded| loaded.loading),
            (rounds.per_second(seconds), yardstick),
            Reach::AtLeast(0.5),
        )
    };
    Ok(vec![
        against(
            |loaded| loaded.inserting + loaded.moving,
            "read, moved, and their rows inserted, bare",
        ),
        against(|loaded| loaded.inserting_one_by_one, "rows inserted one by one, bare"),
        against(|loaded| loaded.inserting, "rows inserted many in a packet, bare"),
        Line::told("reading and moving alone", rounds.per_second(|loaded| loaded.moving)),
    ])
}

/// On the embedded engine a file costs more than its row.
fn of_files(bed: &Bed) -> Result<Vec<Line>> {
    let rounds = Rounds::of(bed, Engine::Sqlite)?;
    let count = rounds.count;
    // Below some ten thousand, the engine's cache of pages is not full yet.
    let [many, more] = [3, 6].map(|times| load(bed, Engine::Sqlite, times * count));
    let (many, more) = (many?, more?);
    let memory = |peak| Quantity::new(peak, "MB");
    let bare = rounds.per_second(|loaded| loaded.inserting + loaded.moving);
    Ok(vec![
        Line::measured(
            format!("load-test-data, {count} ping files"),
            rounds.per_second(|loaded| loaded.loading),
            (bare, "read, moved, and their rows inserted, bare"),
            Reach::AtLeast(0.5),
        ),
        Line::told(
            "of that yardstick, the inserts alone",
            rounds.per_second(|loaded| loaded.inserting),
        ),
        Line::told("and reading and moving alone", rounds.per_second(|loaded| loaded.moving)),
        Line::measured(
            format!("load-test-data, most memory with {} files", 6 * count),
            memory(more.peak),
            (memory(many.peak), "with half of them"),
            Reach::AtMost(1.1),
        ),
    ])
}

/// What loading took, and what the same takes bare: seconds.
struct Loaded {
    loading: f64,
    /// The same rows, as many at once as the driver does.
    inserting: f64,
    /// The same rows, one after the other.
    inserting_one_by_one: f64,
    /// The same files, read and moved one by one.
    moving: f64,
    /// Most memory, MB.
    peak: f64,
}

fn load(bed: &Bed, engine: Engine, count: u32) -> Result<Loaded> {
    let station = bed.station_on(engine, "")?;
    put_finished_runs(&station, count)?;
    write_files(&station)?;
    let copies = [bed.copy_of(&station)?, bed.copy_of(&station)?];
    settle();
    let (took, peak) = timed(|| bed.start(&station, "load-test-data", &["ping"])?.to_its_end(bed))?;
    let rows = station.look()?.rows_after("PINGDATA", 0)?;
    let loaded = rows.values.len();
    ensure!(loaded == count as usize, "{loaded} of {count} files were loaded");
    let bare = |copy: &Database, how| {
        settle();
        Driver::of(copy)?.insert(&rows, TOGETHER, how)
    };
    let batched = bare(&copies[0], How::Batched)?;
    let one_by_one =
        if engine == Engine::Mariadb { bare(&copies[1], How::OneByOne)? } else { batched };
    let (moving, ()) = timed(|| read_and_move(&station))?;
    let [loading, inserting, inserting_one_by_one, moving] =
        [took, batched, one_by_one, moving].map(|took| took.as_secs_f64());
    Ok(Loaded { loading, inserting, inserting_one_by_one, moving, peak })
}

/// What no loader can do without: each loaded file is read, and moved into another directory.
fn read_and_move(station: &Station) -> Result<()> {
    let spool = Spool::open(&station.config.paths.data)?;
    let elsewhere = spool.data().join("elsewhere");
    files::make_directory(&elsewhere)?;
    for day in fs::read_dir(spool.loaded())? {
        for file in fs::read_dir(day?.path())? {
            let file = file?;
            fs::read(file.path())?;
            fs::rename(file.path(), elsewhere.join(file.file_name()))?;
        }
    }
    Ok(())
}

fn put_finished_runs(station: &Station, count: u32) -> Result<()> {
    let runs = Runs {
        count,
        testtype: TestType::Background,
        words: &COMMAND,
        first: SystemClock.now(),
        step: Duration::from_millis(100),
        window: Duration::from_secs(60),
        limit: Duration::from_secs(20),
    };
    runs.put_into(station)?;
    station.look()?.execute(
        "UPDATE SCHEDULE SET state = 'finished', opentoolspecsID = NULL, attempt = 1, claimedby = 'pingd', \
         start_us = due_us + 1500, end_us = due_us + 9012345",
    )?;
    Ok(())
}

fn write_files(station: &Station) -> Result<()> {
    let spool = Spool::open(&station.config.paths.data)?;
    let sql = "SELECT scheduleID, start_us, end_us, toolspecsID, due_us FROM SCHEDULE";
    for row in station.look()?.rows(sql)? {
        let row: Vec<i64> = row.iter().filter_map(driver::integer).collect();
        let run = RunId { schedule_id: row[0], attempt: 1 };
        let times = (Timestamp(row[1]), Timestamp(row[2]));
        let path = spool.data().join(run::file_name(run, "ping"));
        let header = header(run, (row[3], Timestamp(row[4])), times);
        fs::write(path, file(header)?)?;
    }
    Ok(())
}

/// The header of a run's result file.
pub(crate) fn header(
    run: RunId,
    (spec_id, due_us): (i64, Timestamp),
    (start_us, end_us): (Timestamp, Timestamp),
) -> Header {
    Header {
        version: HEADER_VERSION,
        schedule_id: run.schedule_id,
        attempt: run.attempt,
        probetype: "ping".to_owned(),
        spec_id,
        due_us,
        argv: COMMAND.map(str::to_owned).to_vec(),
        node: "target".to_owned(),
        start_us,
        end_us,
        ended: Ended::Exited { status: 0 },
        clock_synchronised: true,
        stdout_bytes: 0,
        stderr_bytes: 0,
        cut_bytes: 0,
        alone: None,
    }
}

/// The result file of a run.
pub(crate) fn file(header: Header) -> Result<Vec<u8>> {
    let output = output(header.schedule_id);
    let header = Header { stdout_bytes: output.len() as u64, ..header };
    let mut file = serde_json::to_vec(&header)?;
    file.push(b'\n');
    file.extend_from_slice(output.as_bytes());
    Ok(file)
}

/// What ping prints; round trips differ from packet to packet and from run to run.
fn output(seed: i64) -> String {
    let trips: Vec<i64> = (1..=PACKETS).map(|seq| 21_000 + (seed * 7 + seq * 131) % 997).collect();
    let ms = |us: i64| format!("{}.{:03}", us / 1_000, us % 1_000);
    let reply = |(seq, us): (usize, &i64)| {
        format!("1008 bytes from {TARGET}: icmp_seq={} ttl=61 time={} ms\n", seq + 1, ms(*us))
    };
    let replies: String = trips.iter().enumerate().map(reply).collect();
    let (min, max) = (trips.iter().min().copied(), trips.iter().max().copied());
    let average = trips.iter().sum::<i64>() / PACKETS;
    format!(
        "PING {TARGET} ({TARGET}) 1000(1028) bytes of data.\n{replies}\n--- {TARGET} ping statistics ---\n\
         {PACKETS} packets transmitted, {PACKETS} received, 0% packet loss, time 9012ms\n\
         rtt min/avg/max/mdev = {}/{}/{}/0.300 ms\n",
        ms(min.unwrap_or(0)),
        ms(average),
        ms(max.unwrap_or(0)),
    )
}
