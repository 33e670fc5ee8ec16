//! What runs of the past cost those of now: a claim and a cycle of the scheduler among ten million rows of
//! SCHEDULE, against the same on an empty one.

use std::time::Duration;

use anyhow::Result;

use crate::{
    bed::{Bed, Engine},
    machine::{median, settle},
    scheduling::Field,
    table::{Line, Quantity, Reach},
};

/// Specifications; a thousand are due in each cycle.
const SPECS: u32 = 10_000;

/// Measures on one engine.
///
/// # Errors
/// What the database says, or that something was not scheduled, or not claimed.
pub(crate) fn measure(bed: &Bed, engine: Engine) -> Result<Vec<Line>> {
    let rows = bed.size(10_000_000, 1_000_000);
    let mut grown = Field::make(bed, engine, SPECS, rows)?;
    eprintln!("bench: SCHEDULE has {rows} rows{}", engine.as_suffix());
    let mut empty = Field::make(bed, engine, SPECS, 0)?;
    settle();
    let (mut cycles, mut claims) = ([vec![], vec![]], [vec![], vec![]]);
    for round in 0..=bed.size(11, 5) {
        for (place, field) in [&mut grown, &mut empty].into_iter().enumerate() {
            bed.rest(Duration::ZERO)?;
            let (cycle, claim) = (field.schedule(bed)?, field.claim()?);
            field.end()?;
            // The first round fills caches.
            if round > 0 {
                cycles[place].push(cycle);
                claims[place].push(claim);
            }
        }
    }
    let line = |what: &str, times: &[Vec<f64>; 2]| {
        let [grown, empty] = [0, 1].map(|place| Quantity::new(median(&times[place]), "ms"));
        let what = format!("{what} among {rows} rows of SCHEDULE{}", engine.as_suffix());
        Line::measured(what, grown, (empty, "on an empty one"), Reach::AtMost(1.5))
    };
    Ok(vec![line("a cycle of load-scheduled", &cycles), line("a claim of 64 runs", &claims)])
}
