//! How exactly one-way delays are told on a path whose delay is known: three hosts with a wire between two of
//! them, a real `owampd` and a real `owping`.

use std::{path::Path, process::Output, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use stories::{
    Lab, Line as Way, Program,
    wire::{Direction, Passage, UDP},
};

use crate::{
    bed::Bed,
    table::{Line, Quantity},
};

/// What the wire is set to, and how far from it delays may be told, us.
const DELAY: Duration = Duration::from_millis(10);
const LIMIT: f64 = 50.0;
const SERVER: &str = "192.0.2.2";

/// Both directions at once, as a station measures them.
///
/// # Errors
/// One of the programs failed, or something was lost.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("bench: Path is left out: it needs root for network namespaces");
        return Ok(Vec::new());
    }
    let place = tempfile::tempdir().context("making a place for owampd")?;
    let lab = Lab::with_wire();
    let _server = serve(bed, &lab, place.path())?;
    lab.wire().set_both(&Way { delay: DELAY, ..Way::default() });
    let output = ping(bed, &lab)?;
    let told: Value = serde_json::from_slice(&output.stdout).context("reading owping's JSON")?;
    let passages = lab.wire().passages();
    let ways = [("to", Direction::Out), ("from", Direction::Back)];
    let lines = ways.map(|(name, to)| lines(&told, name, passages.iter().filter(|it| it.to == to)));
    Ok(lines.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

fn serve(bed: &Bed, lab: &Lab, place: &Path) -> Result<Program> {
    let mut command = lab.host("server").command(&bed.program("owampd"));
    command.arg("-Z").arg("-c").arg(place);
    bed.serve("owampd", command, place, "serves ")
}

fn ping(bed: &Bed, lab: &Lab) -> Result<Output> {
    let packets = bed.size(1_000, 200).to_string();
    let mut command = lab.host("client").command(&bed.program("owping"));
    command.args(["--json", "--packets", "-c", &packets, "-i", "0.01", "-L", "2", SERVER]);
    let output = command.output().context("starting owping")?;
    if !output.status.success() {
        bail!("owping: {}", stories::program::said(&output));
    }
    Ok(output)
}

fn lines<'a>(
    told: &Value,
    name: &str,
    passages: impl Iterator<Item = &'a Passage>,
) -> Result<Vec<Line>> {
    let sessions = told["sessions"].as_array().context("owping told no sessions")?;
    let session = sessions.iter().find(|session| session["direction"] == name);
    let packets = session.and_then(|session| session["packets"].as_array());
    let known = micros(DELAY);
    let delays = packets.context("owping told no packets")?.iter();
    let errors = delays.map(|packet| packet[2].as_f64().map(|delay| (delay / 1e3 - known).abs()));
    let errors: Option<Vec<f64>> = errors.collect();
    let late = passages.filter(|passage| passage.seen.protocol == UDP).filter_map(Passage::delay);
    let late = late.map(|delay| micros(delay) - known).collect();
    let (name, us) = (|what| format!("a path of 10 ms, {name}: {what}"), "us");
    Ok(vec![
        Line::limited(
            name("error of the delay, median"),
            Quantity::new(median(errors.context("a packet was lost")?)?, us),
            LIMIT,
        ),
        Line::told(name("of that the wire's own, median"), Quantity::new(median(late)?, us)),
    ])
}

fn median(mut figures: Vec<f64>) -> Result<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().context("nothing came")
}

fn micros(length: Duration) -> f64 {
    length.as_secs_f64() * 1e6
}
