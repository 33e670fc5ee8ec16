//! How many files `load-test-data` loads in a second, against the bare work that no loader can do
//! without; and whether its memory grows with the number of files.
//!
//! That work is: each file is opened, read, closed and renamed into another directory, and its row is
//! inserted. The inserts alone are no yardstick for files: on ext4 the rename of one takes as long as
//! four or five of them.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use station::{
    text::Timestamp,
    words::run::{self, Ended, HEADER_VERSION, Header, RunId},
    words::toolspec::TestType,
    world::{
        clock::{Clock, SystemClock},
        files,
        spool::Spool,
    },
};

use crate::{
    bed::{Bed, Station, connect},
    machine::{median, settle, timed},
    rows::{self, Runs, TARGET},
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
    let count = bed.size(20_000, 4_000);
    let rounds = (0..ROUNDS).map(|_| load(bed, count)).collect::<Result<Vec<Loaded>>>()?;
    let more = load(bed, 3 * count)?;
    let middle =
        |figure: fn(&Loaded) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
    let per_second = |seconds: f64| Quantity::new(f64::from(count) / seconds, "files/s");
    let memory = |peak| Quantity::new(peak, "MB");
    let bare = middle(|loaded| loaded.inserting + loaded.moving);
    Ok(vec![
        Line::measured(
            format!("load-test-data, {count} ping files"),
            per_second(middle(|loaded| loaded.loading)),
            (per_second(bare), "read, moved, and their rows inserted, bare"),
            Reach::AtLeast(0.5),
        ),
        Line::told(
            "of that yardstick, the inserts alone",
            per_second(middle(|loaded| loaded.inserting)),
        ),
        Line::told("and reading and moving alone", per_second(middle(|loaded| loaded.moving))),
        Line::measured(
            format!("load-test-data, most memory with {} files", 3 * count),
            memory(more.peak),
            (memory(middle(|loaded| loaded.peak)), "with a third of them"),
            Reach::AtMost(1.1),
        ),
    ])
}

/// What loading took, and what the same takes bare: seconds.
struct Loaded {
    loading: f64,
    /// The same rows, with a prepared INSERT.
    inserting: f64,
    /// The same files, read and moved one by one.
    moving: f64,
    /// Most memory, MB.
    peak: f64,
}

fn load(bed: &Bed, count: u32) -> Result<Loaded> {
    let station = bed.station("")?;
    put_finished_runs(&station, count)?;
    write_files(&station)?;
    let copy = station.copy_of_database()?;
    settle();
    let (took, peak) = timed(|| bed.start(&station, "load-test-data", &["ping"])?.to_its_end(bed))?;
    let (rows, insert) = rows::rows_after(&connect(station.database())?, "PINGDATA", 0)?;
    ensure!(rows.len() == count as usize, "{} of {count} files were loaded", rows.len());
    let mut copy = connect(&copy)?;
    settle();
    let bare = rows::insert_bare(&mut copy, &insert, &rows, TOGETHER)?;
    let (moving, ()) = timed(|| read_and_move(&station))?;
    let [loading, inserting, moving] = [took, bare, moving].map(|took| took.as_secs_f64());
    Ok(Loaded { loading, inserting, moving, peak })
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
    connect(station.database())?.execute(
        "UPDATE SCHEDULE SET state = 'finished', opentoolspecsID = NULL, attempt = 1, claimedby = 'pingd', \
         start_us = due_us + 1500, end_us = due_us + 9012345",
        [],
    )?;
    Ok(())
}

fn write_files(station: &Station) -> Result<()> {
    let spool = Spool::open(&station.config.paths.data)?;
    let connection = connect(station.database())?;
    let mut statement = connection
        .prepare("SELECT scheduleID, start_us, end_us, toolspecsID, due_us FROM SCHEDULE")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let run = RunId { schedule_id: row.get(0)?, attempt: 1 };
        let (start, end) = (Timestamp(row.get(1)?), Timestamp(row.get(2)?));
        let path = spool.data().join(run::file_name(run, "ping"));
        let header = header(run, (row.get(3)?, Timestamp(row.get(4)?)), (start, end));
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
