//! How long the channel lies idle between two runs that must be alone and are both due.

use std::time::Duration;

use anyhow::{Result, ensure};
use station::{
    words::toolspec::TestType,
    world::clock::{Clock, SystemClock},
};

use crate::{
    bed::Bed,
    driver::Driver,
    machine::{quantile, settle},
    rows::{self, Runs},
    runs::COMMAND,
    table::{Line, Quantity},
};

/// Measures from the times in TRIES how long it took from the end of each run to the start of the next.
///
/// # Errors
/// Something does not run.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let idle = idle_times(bed, bed.size(300, 60))?;
    let at = |part| Quantity::new(quantile(&idle, part), "ms");
    let what = |part| format!("channel idle between two runs that are due, {part}");
    Ok(vec![
        Line::told(what("p50"), at(0.5)),
        Line::limited(what("p99"), at(0.99), 50.0),
        Line::told(what("longest"), at(1.0)),
    ])
}

fn idle_times(bed: &Bed, count: u32) -> Result<Vec<f64>> {
    let station = bed.station("[exclusive]\nbusy-wait = \"0s\"\n")?;
    let mut look = station.look()?;
    look.execute("INSERT INTO NODES (nodeID, hostName) VALUES ('target', '127.0.0.1')")?;
    let runs = Runs {
        count,
        words: &COMMAND,
        testtype: TestType::BackgroundSyn,
        first: SystemClock.now(),
        step: Duration::ZERO,
        window: Duration::from_secs(600),
        limit: Duration::from_secs(60),
    };
    runs.put_into(&station)?;
    settle();
    let mut daemon = bed.start(&station, "bw-synchd", &[])?;
    bed.until("all runs to be finished", Duration::from_secs(120), || {
        daemon.goes_on()?;
        Ok(rows::all_over(&mut look)?.then_some(()))
    })?;
    let idle = between(&mut look)?;
    ensure!(idle.len() + 1 == count as usize, "{} of {count} runs had the channel", idle.len() + 1);
    ensure!(idle.iter().all(|gap| *gap >= 0.0), "two runs had the channel at once");
    Ok(idle)
}

/// The milliseconds between each run's end and the next one's start.
fn between(look: &mut Driver) -> Result<Vec<f64>> {
    let tries = look.numbers("SELECT start_us, end_us FROM TRIES ORDER BY start_us")?;
    let gap = |pair: &[Vec<f64>]| (pair[1][0] - pair[0][1]) / 1_000.0;
    Ok(tries.windows(2).map(gap).collect())
}
