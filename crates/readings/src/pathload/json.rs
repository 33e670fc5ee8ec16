//! The JSON of our own `pathload_rcv` (`--json`): one document. `docs/pathload_rcv.md` tells every key.

use serde::Deserialize;

use crate::{
    Output, Unreadable,
    available::Available,
    document::{self, Document},
    kept::Kept,
    problem,
    text::{self, bare, quote},
};

const MOST_WORDS: usize = 16;
/// No path carries more, bit/s.
const FASTEST: f64 = 1e15;

#[derive(Deserialize)]
struct Run {
    pathload: u32,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    min_bit_per_s: Option<f64>,
    #[serde(default)]
    max_bit_per_s: Option<f64>,
    #[serde(default)]
    overhead_bytes: Option<u64>,
    #[serde(default)]
    warnings: Kept<String, MOST_WORDS>,
    #[serde(default)]
    problem: Option<String>,
}

pub(super) fn read(output: &Output<'_>) -> Result<Available, Unreadable> {
    let Some(run) = document::read::<Run>(output)? else {
        let problem = problem::from_outside(output.end);
        return Ok(Available { problem, ..Available::default() });
    };
    run.reading(output)
}

impl Document for Run {
    const TOOL: &'static str = "pathload";

    fn version(&self) -> u32 {
        self.pathload
    }
}

impl Run {
    fn reading(self, output: &Output<'_>) -> Result<Available, Unreadable> {
        let is_rate = |rate: &f64| (0.0..=FASTEST).contains(rate);
        let (min_bps, max_bps) =
            (self.min_bit_per_s.filter(is_rate), self.max_bit_per_s.filter(is_rate));
        if min_bps.zip(max_bps).is_some_and(|(min, max)| min > max) {
            let reason = "expected min_bit_per_s not to be above max_bit_per_s".to_owned();
            return Err(Unreadable { reason, line: None });
        }
        let complete = self.problem.is_none()
            && (min_bps.is_some() || max_bps.is_some())
            && problem::from_outside(output.end).is_none();
        let said = self.problem.as_deref().map(|it| quote(bare(it)));
        let mut found = Available {
            address: self.address.as_deref().and_then(text::address),
            min_bps,
            max_bps,
            overhead_bytes: self.overhead_bytes,
            problem: problem::of_told(output, complete, said.as_deref()),
            complete,
            ..Available::default()
        };
        self.warnings.0.iter().for_each(|it| problem::warn(&mut found.warnings, bare(it)));
        Ok(found)
    }
}
