//! What daemons take that have nothing to do: wake-ups and memory.

use std::time::Duration;

use anyhow::Result;

use crate::{
    bed::{Bed, Program},
    machine::{memory_now, switches},
    table::{Line, Quantity},
};

const DAEMONS: [&str; 6] =
    ["pingd", "traced", "owpingd", "pathchirpd", "load-scheduled", "load-datad"];
/// What a start does is over by then.
const SETTLE: Duration = Duration::from_secs(6);

/// Measures each daemon, all on one station that has no specifications.
///
/// # Errors
/// One of them ends.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let length = Duration::from_secs(bed.size(20, 10).into());
    let station = bed.station("")?;
    let start = |name: &&str| bed.start(&station, name, &[]);
    let mut daemons = DAEMONS.iter().map(start).collect::<Result<Vec<Program>>>()?;
    bed.rest(SETTLE)?;
    let pids: Vec<u32> = daemons.iter().map(Program::pid).collect();
    let before = pids.iter().map(|pid| switches(*pid)).collect::<Result<Vec<f64>>>()?;
    bed.rest(length)?;
    let after = pids.iter().map(|pid| switches(*pid)).collect::<Result<Vec<f64>>>()?;
    let memory = pids.iter().map(|pid| memory_now(*pid)).collect::<Result<Vec<f64>>>()?;
    daemons.iter_mut().try_for_each(Program::goes_on)?;
    let rates = before.iter().zip(&after).map(|(before, after)| {
        Quantity::new((after - before) / length.as_secs_f64(), "wake-ups/s")
    });
    let sizes = memory.iter().map(|size| Quantity::new(*size, "MB"));
    Ok(lines("wake-ups", rates, 1.0).chain(lines("memory", sizes, 20.0)).collect())
}

fn lines(
    what: &str,
    figures: impl Iterator<Item = Quantity>,
    limit: f64,
) -> impl Iterator<Item = Line> {
    let line = move |(name, figure)| Line::limited(format!("{name} idle, {what}"), figure, limit);
    DAEMONS.into_iter().zip(figures).map(line)
}
