//! What a thousand runs that hang at once do to `pingd`: its memory, and how soon they are ended.

use std::time::Duration;

use anyhow::{Result, ensure};
use station::words::toolspec::TestType;
use station::world::clock::{Clock, SystemClock};

use crate::{
    bed::Bed,
    driver::Driver,
    machine::{peak_memory, settle},
    rows::{self, Runs, TARGET},
    table::{Line, Quantity},
};

/// What the station allows a run.
const LIMIT: Duration = Duration::from_secs(20);

/// Measures the daemon's most memory, and how long after their limit runs were ended.
///
/// # Errors
/// Something does not run, or some runs were not ended for their limit.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let count = bed.size(1_000, 200);
    let (memory, late) = hang(bed, count)?;
    let what = |figure| format!("pingd, {count} runs that hang at once, {figure}");
    Ok(vec![
        Line::limited(what("most memory"), Quantity::new(memory, "MB"), 50.0),
        Line::limited(what("last one ended after its limit"), Quantity::new(late, "s"), 3.0),
    ])
}

fn hang(bed: &Bed, count: u32) -> Result<(f64, f64)> {
    let station = bed.station(&format!("[probes]\nside-by-side = {count}\ndrain = \"1s\"\n"))?;
    station.tool("hang", "exec sleep 600")?;
    let runs = Runs {
        count,
        words: &["hang", TARGET],
        testtype: TestType::Background,
        first: SystemClock.now(),
        step: Duration::ZERO,
        window: Duration::from_secs(3_600),
        limit: LIMIT,
    };
    runs.put_into(&station)?;
    settle();
    let mut look = station.look()?;
    let mut pingd = bed.start(&station, "pingd", &[])?;
    bed.until("all runs to be ended", LIMIT * 6, || {
        pingd.goes_on()?;
        Ok(rows::all_over(&mut look)?.then_some(()))
    })?;
    let memory = peak_memory(pingd.pid())?;
    Ok((memory, last_after_limit(&mut look, count)?))
}

/// By how many seconds the run that was ended last outlived its limit.
fn last_after_limit(look: &mut Driver, count: u32) -> Result<f64> {
    let sql = "SELECT COUNT(*), MAX((end_us - start_us) / 1000000.0 - limit_s), \
               MIN((end_us - start_us) / 1000000.0 - limit_s) FROM SCHEDULE \
               WHERE state = 'finished' AND reason LIKE 'hung%'";
    let rows = look.numbers(sql)?;
    let (ended, last, first) = (rows[0][0], rows[0][1], rows[0][2]);
    ensure!(
        (ended - f64::from(count)).abs() < 0.5,
        "{ended} of {count} runs were ended for their limit"
    );
    ensure!(first >= 0.0, "a run was ended {} s before its limit", -first);
    Ok(last)
}
