//! How near `pathchirp_rcv` comes to what is free, on paths whose capacity and other traffic are known: three hosts with a
//! narrow link, a real `pathchirp_snd` and a real `pathchirp_rcv`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use stories::{Lab, Program};

use crate::{
    bed::Bed,
    narrow::Narrow,
    table::{Line, Quantity},
};

/// How far the median of a run's estimates may be from what is free, percent.
const LIMIT: f64 = 15.0;
const SERVER: &str = "192.0.2.2";
/// What the sender allows: more than is asked for.
const ALLOWED: [&str; 4] = ["-a", "50", "--total", "50"];

/// Every path, some times.
///
/// # Errors
/// One of the programs could not be started.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("bench: Pathchirp is left out: it needs root for network namespaces");
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    for path in Narrow::all() {
        for run in 1..=bed.size(3, 1) {
            if bed.is_stopped() {
                return Ok(lines);
            }
            lines.extend(run_on(path, bed, run)?);
        }
    }
    Ok(lines)
}

fn run_on(path: Narrow, bed: &Bed, run: u32) -> Result<Vec<Line>> {
    let place = tempfile::tempdir().context("making a place for pathchirp_snd")?;
    let lab = path.lab();
    let _sender = serve(bed, &lab, place.path())?;
    let (told, free) = path.beside_others(&lab, || receive(path, bed, &lab))?;
    lines(path, run, &told, free)
}

/// What of the average rate a chirp costs, and how fast it must be: on a fast path, larger groups of longer packets.
fn options(path: Narrow, seconds: u32) -> String {
    let sizes = if path.capacity < 200 { "-J 6 -a 2" } else { "-J 16 -p 1472 -a 10" };
    format!("-S {SERVER} --json -t {seconds} -l 1 -u 4000 {sizes}")
}

fn receive(path: Narrow, bed: &Bed, lab: &Lab) -> Result<Value> {
    let mut command = lab.host("client").command(&bed.program("pathchirp_rcv"));
    command.args(options(path, bed.size(15, 10)).split(' '));
    let output = command.output().context("starting pathchirp_rcv")?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("reading JSON of {}", stories::program::said(&output)))
}

fn lines(path: Narrow, run: u32, told: &Value, free: f64) -> Result<Vec<Line>> {
    let name = |what| path.name(run, what);
    let mut lines = vec![
        Line::told(name("free"), Quantity::new(free, "Mbit/s")),
        Line::limited(
            name("probe traffic"),
            Quantity::new(rate(told)?, "Mbit/s"),
            number(&told["asked"]["average_bps"])? / 1e6,
        ),
    ];
    for warning in told["warnings"].as_array().into_iter().flatten() {
        eprintln!("bench: {}: {warning}", name("warned"));
    }
    let Some(median) = told["median_bps"].as_f64() else {
        eprintln!("bench: {}: {}", name("no estimate"), told["problem"]);
        return Ok(lines);
    };
    let median = median / 1e6;
    let error = (median / free - 1.0).abs() * 100.0;
    lines.push(Line::told(name("median"), Quantity::new(median, "Mbit/s")));
    lines.push(Line::limited(name("error of the median"), Quantity::new(error, "%"), LIMIT));
    Ok(lines)
}

fn serve(bed: &Bed, lab: &Lab, place: &Path) -> Result<Program> {
    let mut command = lab.host("server").command(&bed.program("pathchirp_snd"));
    command.args(ALLOWED);
    bed.serve("pathchirp_snd", command, place, "serves on [::]")
}

/// All that was sent, over the time that was asked for, Mbit/s.
fn rate(told: &Value) -> Result<f64> {
    let bits = number(&told["overhead_bytes"])? * 8.0;
    Ok(bits / number(&told["asked"]["duration_ms"])? / 1e3)
}

fn number(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| format!("pathchirp_rcv told {value} for a number"))
}
