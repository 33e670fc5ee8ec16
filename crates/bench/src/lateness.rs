//! How late `pingd` starts runs that are due a hundred a second.

use std::time::Duration;

use anyhow::{Result, ensure};
use station::words::toolspec::TestType;
use station::world::clock::{Clock, SystemClock};

use crate::{
    bed::{Bed, Engine},
    driver::Driver,
    machine::{quantile, settle},
    rows::{self, Runs},
    runs::COMMAND,
    table::{Line, Quantity},
};

/// The time between two starts.
const STEP: Duration = Duration::from_millis(10);
/// The daemon has come to rest when the first run is due.
const LEAD: Duration = Duration::from_secs(4);

/// Measures from the times in SCHEDULE how late runs were started.
///
/// # Errors
/// Something does not run.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let lines = Engine::BOTH.map(|engine| lines(bed, engine));
    Ok(lines.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

fn lines(bed: &Bed, engine: Engine) -> Result<Vec<Line>> {
    let late = lateness(bed, engine, bed.size(2_000, 500))?;
    let at = |part| Quantity::new(quantile(&late, part), "ms");
    let what = |part| format!("lateness of starts at 100 starts/s{}, {part}", engine.as_suffix());
    Ok(vec![
        Line::told(what("p50"), at(0.5)),
        Line::limited(what("p99"), at(0.99), 50.0),
        Line::told(what("longest"), at(1.0)),
    ])
}

fn lateness(bed: &Bed, engine: Engine, count: u32) -> Result<Vec<f64>> {
    let settings = "[probes]\nside-by-side = 64\ndrain = \"1s\"\n";
    let station = bed.station_on(engine, settings)?;
    let runs = Runs {
        count,
        words: &COMMAND,
        testtype: TestType::Background,
        first: SystemClock.now() + LEAD,
        step: STEP,
        window: Duration::from_secs(60),
        limit: Duration::from_secs(60),
    };
    runs.put_into(&station)?;
    settle();
    let mut look = station.look()?;
    let mut pingd = bed.start(&station, "pingd", &[])?;
    // No look at the database before the end: nothing but the daemon is to be busy.
    bed.rest(LEAD + STEP * count)?;
    bed.until("all runs to be finished", Duration::from_secs(60), || {
        pingd.goes_on()?;
        Ok(rows::all_over(&mut look)?.then_some(()))
    })?;
    let late = late_starts(&mut look)?;
    ensure!(late.len() == count as usize, "{} of {count} runs are finished", late.len());
    Ok(late)
}

/// By how many milliseconds each run was started late.
fn late_starts(look: &mut Driver) -> Result<Vec<f64>> {
    let sql = "SELECT (start_us - due_us) / 1000.0 FROM SCHEDULE WHERE state = 'finished'";
    Ok(look.numbers(sql)?.concat())
}
