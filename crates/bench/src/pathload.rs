//! Whether what is free lies within the range of `pathload_rcv`, and how wide that is, on paths whose capacity and other
//! traffic are known: a real `pathload_snd` and a real `pathload_rcv`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use stories::{Lab, Program};

use crate::{
    bed::Bed,
    narrow::Narrow,
    table::{Line, Quantity, Reach},
};

/// How wide a range may be, per cent of what is free.
const WIDTH: f64 = 30.0;
/// How many runs may have what is free outside, per cent.
const OUTSIDE: f64 = 10.0;
/// How many are to have both ends, per cent: on the fastest paths the links themselves take the sender's processor.
const RANGES: f64 = 70.0;
const SERVER: &str = "192.0.2.2";

/// Every path, some times.
///
/// # Errors
/// One of the programs could not be started.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("bench: Pathload is left out: it needs root for network namespaces");
        return Ok(Vec::new());
    }
    let (mut lines, mut runs, mut ranges, mut outside) = (Vec::new(), 0.0, 0.0, 0.0);
    for path in Narrow::all() {
        for run in 1..=bed.size(3, 1) {
            if bed.is_stopped() {
                return Ok(lines);
            }
            let (told, free) = measured(bed, path)?;
            let found = Found { free, low: rate(&told, "min"), high: rate(&told, "max") };
            if found.low.is_none() || found.high.is_none() {
                let (problem, warnings) = (&told["problem"], &told["warnings"]);
                eprintln!("bench: {}: {problem} {warnings}", path.name(run, "no range"));
            }
            lines.extend(found.lines(path, run));
            runs += 1.0;
            ranges += f64::from(u8::from(found.low.is_some() && found.high.is_some()));
            outside += f64::from(u8::from(found.is_outside()));
        }
    }
    let part = |some: f64| Quantity::new(100.0 * some / f64::max(runs, 1.0), "%");
    let wanted = (Quantity::new(RANGES, "%"), "the goal");
    lines.extend([
        Line::measured("runs with a range", part(ranges), wanted, Reach::AtLeast(1.0)),
        Line::limited("runs that have what is free outside their range", part(outside), OUTSIDE),
    ]);
    Ok(lines)
}

/// What a run found, Mbit/s: a range, or one end of it.
struct Found {
    free: f64,
    low: Option<f64>,
    high: Option<f64>,
}

impl Found {
    fn is_outside(&self) -> bool {
        self.low.is_some_and(|low| low > self.free)
            || self.high.is_some_and(|high| high < self.free)
    }

    fn lines(&self, path: Narrow, run: u32) -> Vec<Line> {
        let rates = [("free", Some(self.free)), ("from", self.low), ("to", self.high)];
        let rates = rates.into_iter().filter_map(|(name, rate)| {
            Some(Line::told(path.name(run, name), Quantity::new(rate?, "Mbit/s")))
        });
        let width = self.low.zip(self.high).map(|(low, high)| {
            let width = Quantity::new((high - low) / self.free * 100.0, "%");
            Line::limited(path.name(run, "width of the range"), width, WIDTH)
        });
        rates.chain(width).collect()
    }
}

/// An end of the range, `min` or `max`, Mbit/s.
fn rate(told: &Value, end: &str) -> Option<f64> {
    told[format!("{end}_bit_per_s")].as_f64().map(|rate| rate / 1e6)
}

fn measured(bed: &Bed, path: Narrow) -> Result<(Value, f64)> {
    let place = tempfile::tempdir().context("making a place for pathload_snd")?;
    let lab = path.lab();
    let _sender = serve(bed, &lab, place.path())?;
    path.beside_others(&lab, || {
        let mut command = lab.host("client").command(&bed.program("pathload_rcv"));
        let output = command.args(["-s", SERVER, "--json"]).output();
        let output = output.context("starting pathload_rcv")?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("reading JSON of {}", stories::program::said(&output)))
    })
}

fn serve(bed: &Bed, lab: &Lab, place: &Path) -> Result<Program> {
    let command = lab.host("server").command(&bed.program("pathload_snd"));
    bed.serve("pathload_snd", command, place, "serves [::]")
}
