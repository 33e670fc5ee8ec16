//! How many runs `pingd` carries out in a second, against a loop that only starts and waits.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::process::{WaitOptions, wait};
use station::world::process;

use crate::{
    bed::{Bed, Engine, nowhere},
    machine::{median, settle, timed},
    rows::{self, Runs, TARGET},
    table::{Line, Quantity, Reach},
};

/// So many run at once, on both sides.
const AT_ONCE: u32 = 64;
/// Both sides are measured in turn, so often.
const ROUNDS: u32 = 3;
/// What is run.
pub const COMMAND: [&str; 4] = ["ping", "-c", "1", TARGET];

/// Measures runs per second.
///
/// # Errors
/// Something does not run.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let lines = Engine::BOTH.map(|engine| line(bed, engine));
    lines.into_iter().collect()
}

fn line(bed: &Bed, engine: Engine) -> Result<Line> {
    let count = bed.size(4_000, 1_000);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(rate(count, daemon(bed, engine, count)?));
        bare.push(rate(count, spawn_and_wait(bed, count)?));
    }
    let per_second = |rates: &[f64]| Quantity::new(median(rates), "runs/s");
    Ok(Line::measured(
        format!("pingd, {count} runs of ping -c1, {AT_ONCE} at once{}", engine.as_suffix()),
        per_second(&ours),
        (per_second(&bare), "spawn and wait"),
        Reach::AtLeast(0.85),
    ))
}

fn rate(count: u32, took: Duration) -> f64 {
    f64::from(count) / took.as_secs_f64()
}

/// From the daemon's start until the last row is finished.
fn daemon(bed: &Bed, engine: Engine, count: u32) -> Result<Duration> {
    let settings = format!("[probes]\nside-by-side = {AT_ONCE}\ndrain = \"1s\"\n");
    let station = bed.station_on(engine, &settings)?;
    Runs::due_now(count, &COMMAND).put_into(&station)?;
    let mut look = station.look()?;
    settle();
    let (took, _pingd) = timed(|| {
        let mut pingd = bed.start(&station, "pingd", &[])?;
        bed.until("all runs to be finished", Duration::from_secs(120), || {
            pingd.goes_on()?;
            Ok(rows::all_over(&mut look)?.then_some(()))
        })?;
        Ok(pingd)
    })?;
    rows::all_finished(&mut look, count)?;
    Ok(took)
}

/// The yardstick: as many processes at once, nothing written down.
fn spawn_and_wait(bed: &Bed, count: u32) -> Result<Duration> {
    let (took, ()) = timed(|| {
        let mut running = 0;
        for _ in 0..count {
            if running == AT_ONCE {
                wait_for_any()?;
                running -= 1;
            }
            spawn()?;
            running += 1;
        }
        (0..running).try_for_each(|_| wait_for_any())
    })?;
    bed.rest(Duration::ZERO)?;
    Ok(took)
}

fn spawn() -> Result<()> {
    let mut command = process::command(COMMAND[0].as_ref(), &COMMAND[1..]);
    command.stdin(Stdio::null()).stdout(nowhere()?).stderr(nowhere()?);
    // It is waited for below, whichever ends first.
    command.spawn().with_context(|| format!("starting {}", COMMAND[0]))?;
    Ok(())
}

fn wait_for_any() -> Result<()> {
    match wait(WaitOptions::empty())? {
        Some((_, status)) if status.exit_status() == Some(0) => Ok(()),
        ended => bail!("{} failed: {ended:?}", COMMAND.join(" ")),
    }
}
