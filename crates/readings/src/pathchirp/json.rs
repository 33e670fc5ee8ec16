//! The JSON of our own `pathchirp_rcv` (`--json`): one document. `docs/pathchirp_rcv.md` tells every key.

use serde::Deserialize;

use crate::{
    Output, Unreadable,
    available::{Available, Estimate},
    document::{self, Document},
    kept::Kept,
    problem,
    text::{self, bare, quote},
};

use super::{MOST_ESTIMATES, Tally, sender};

const MOST_WORDS: usize = 16;
/// No path carries more, bit/s.
const FASTEST_BPS: f64 = 1e15;
/// Times are between 1970 and the year 5138, microseconds.
const LATEST: i64 = 100_000_000_000_000_000;

#[derive(Deserialize)]
struct Run {
    pathchirp: u32,
    #[serde(default)]
    problem: Option<String>,
    #[serde(default)]
    warnings: Kept<String, MOST_WORDS>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    estimates: Kept<(i64, f64, String), MOST_ESTIMATES>,
    #[serde(default)]
    min_bps: Option<f64>,
    #[serde(default)]
    avg_bps: Option<f64>,
    #[serde(default)]
    max_bps: Option<f64>,
    #[serde(default)]
    at_least_bps: Option<f64>,
    #[serde(default)]
    overhead_bytes: Option<u64>,
}

pub(super) fn read(output: &Output<'_>) -> Result<Available, Unreadable> {
    let Some(run) = document::read::<Run>(output)? else {
        let problem = problem::from_outside(output.end);
        return Ok(Available { problem, ..Available::default() });
    };
    Ok(run.reading(output))
}

impl Document for Run {
    const TOOL: &'static str = "pathchirp";

    fn version(&self) -> u32 {
        self.pathchirp
    }
}

impl Run {
    fn reading(self, output: &Output<'_>) -> Available {
        let mut found = Available {
            address: self
                .address
                .as_deref()
                .and_then(text::address)
                .or_else(|| sender(output.stderr)),
            overhead_bytes: self.overhead_bytes,
            ..Available::default()
        };
        self.warnings.0.iter().for_each(|it| problem::warn(&mut found.warnings, bare(it)));
        // The same stand on standard error, behind the program's name.
        for said in problem::warnings(output.stderr) {
            if !found.warnings.iter().any(|it| said.ends_with(it.as_str())) {
                problem::warn(&mut found.warnings, &said);
            }
        }
        self.rates(&mut found);
        found.complete = self.problem.is_none()
            && found.min_bps.is_some()
            && problem::from_outside(output.end).is_none();
        let said = self.problem.as_deref().map(|it| quote(bare(it)));
        found.problem = problem::of_told(output, found.complete, said.as_deref());
        found
    }

    /// Where the document's own sums are not of its estimates, they are not believed.
    fn rates(&self, found: &mut Available) {
        let mut tally = Tally::default();
        for (micros, rate, _) in &self.estimates.0 {
            if (0..LATEST).contains(micros) && is_rate(*rate) {
                #[expect(clippy::cast_precision_loss, reason = "below 2^57: a microsecond or few")]
                let time_s = *micros as f64 / 1e6;
                tally.take(Estimate { time_s, bits_per_s: *rate });
            }
        }
        if tally.number == 0 {
            found.min_bps = self.at_least_bps.filter(|rate| is_rate(*rate));
            return;
        }
        let told = [self.min_bps, self.avg_bps, self.max_bps];
        let is_whole = self.estimates.0.len() < MOST_ESTIMATES;
        let [min, avg, max] = match told {
            [Some(min), Some(avg), Some(max)]
                if !is_whole && is_rate(min) && min <= avg && avg <= max && is_rate(max) =>
            {
                [min, avg, max]
            }
            _ => tally.rates(),
        };
        (found.min_bps, found.avg_bps, found.max_bps) = (Some(min), Some(avg), Some(max));
        found.estimates = tally.kept;
    }
}

fn is_rate(rate: f64) -> bool {
    (0.0..=FASTEST_BPS).contains(&rate)
}
