//! How many files `load-test-data` loads in a second, against bare inserts of the same rows; and
//! whether its memory grows with the number of files.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use station::{
    text::Timestamp,
    words::run::{self, Ended, HEADER_VERSION, Header, RunId},
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
    let (many, few) = (bed.size(20_000, 4_000), bed.size(2_000, 400));
    let rounds = (0..ROUNDS).map(|_| load(bed, many)).collect::<Result<Vec<Loaded>>>()?;
    let small = load(bed, few)?;
    let middle =
        |figure: fn(&Loaded) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
    let per_second = |rate| Quantity::new(rate, "rows/s");
    let memory = |peak| Quantity::new(peak, "MB");
    let moved = Quantity::new(middle(|loaded| loaded.moved), "files/s");
    Ok(vec![
        Line::measured(
            format!("load-test-data, {many} ping files"),
            per_second(middle(|loaded| loaded.rate)),
            (per_second(middle(|loaded| loaded.bare)), "bare inserts"),
            Reach::AtLeast(0.5),
        ),
        Line::told(format!("the same {many} files read and moved one by one, no database"), moved),
        Line::measured(
            format!("load-test-data, most memory with {many} files"),
            memory(middle(|loaded| loaded.peak)),
            (memory(small.peak), "with a tenth of them"),
            Reach::AtMost(1.3),
        ),
    ])
}

struct Loaded {
    /// Files per second.
    rate: f64,
    /// Rows per second that the yardstick inserts.
    bare: f64,
    /// Files per second that are only read and moved.
    moved: f64,
    /// MB.
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
    let rate = |took: Duration| f64::from(count) / took.as_secs_f64();
    Ok(Loaded { rate: rate(took), bare: rate(bare), moved: rate(moving), peak })
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

fn header(
    run: RunId,
    (spec_id, due_us): (i64, Timestamp),
    (start_us, end_us): (Timestamp, Timestamp),
) -> Header {
    Header {
        version: HEADER_VERSION,
        run,
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
    }
}

/// The result file of a run.
fn file(header: Header) -> Result<Vec<u8>> {
    let output = output(header.run.schedule_id);
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
