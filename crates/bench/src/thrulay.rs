//! What our own thrulay finds, against iperf3 over the same path in the same run: on links of a known rate, on veth
//! without one, within one host; and its round trip against ping's beside it, on a wire of a known delay.

use std::{path::Path, process::Output, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use station::world::process;
use stories::{Lab, Line as Way, Program, bottleneck::Bottleneck};

use crate::{
    bed::Bed,
    machine::{median, quantile},
    table::{Line, Quantity, Reach},
};

const SERVER: &str = "192.0.2.2";
/// The narrow link of a lab is on the way to its client: so there is the server of the rates.
const CLIENT: &str = "198.51.100.2";
const PATIENCE: Duration = Duration::from_secs(30);
/// How near iperf3's figure is to be come.
const NEAR: f64 = 0.95;
/// Of the wire, each way.
const DELAY: Duration = Duration::from_millis(5);

/// The paths, one after the other.
///
/// # Errors
/// One of the programs failed.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("bench: Thrulay is left out: it needs root for network namespaces");
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    if process::find("iperf3", Path::new("/usr/bin")).is_some() {
        for megabits in [100, 500] {
            let link = Bottleneck { bits: megabits * 1_000_000, queue: Duration::from_millis(50) };
            lines.push(path(bed, &format!("a link of {megabits} Mbit/s"), Some(link), "server")?);
        }
        lines.push(path(bed, "veth without a limit", None, "server")?);
        lines.push(path(bed, "loopback", None, "client")?);
    } else {
        eprintln!(
            "bench: thrulay's rates are left out: iperf3 is not installed (`apt-get install iperf3`)"
        );
    }
    lines.extend(round_trip(bed)?);
    Ok(lines)
}

/// Both tools in turn over one path.
fn path(bed: &Bed, name: &str, link: Option<Bottleneck>, from: &str) -> Result<Line> {
    let place = tempfile::tempdir().context("making a place for the servers")?;
    let lab = Lab::up();
    if let Some(link) = link {
        lab.narrows(link);
    }
    let _servers =
        (serve(bed, &lab, "client", place.path())?, serve_iperf3(bed, &lab, place.path())?);
    let seconds = bed.size(4, 1).to_string();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bed.size(7, 2) {
        let it = run(&lab, from, &bed.program("thrulay"), &["--json", "-t", &seconds, CLIENT])?;
        ours.push(mbps(&it, "/tcp/total/bits_per_s")?);
        let it = run(&lab, from, Path::new("iperf3"), &["-J", "-t", &seconds, "-c", CLIENT])?;
        theirs.push(mbps(&it, "/end/sum_received/bits_per_second")?);
    }
    let figure = |values: &[f64]| Quantity::new(median(values), "Mbit/s");
    Ok(Line::measured(
        format!("thrulay over {name}"),
        figure(&ours),
        (figure(&theirs), "of iperf3"),
        Reach::AtLeast(NEAR),
    ))
}

fn mbps(it: &Value, at: &str) -> Result<f64> {
    let rate = it.pointer(at).and_then(Value::as_f64);
    Ok(rate.with_context(|| format!("no {at} in {it}"))? / 1e6)
}

fn serve(bed: &Bed, lab: &Lab, host: &str, place: &Path) -> Result<Program> {
    let command = lab.host(host).command(&bed.program("thrulayd"));
    bed.serve("thrulayd", command, place, "serves [::]:")
}

fn serve_iperf3(bed: &Bed, lab: &Lab, place: &Path) -> Result<Program> {
    let mut command = lab.host("client").command(Path::new("iperf3"));
    command.args(["-s", "--forceflush"]);
    bed.serve("iperf3", command, place, "Server listening")
}

fn run(lab: &Lab, from: &str, program: &Path, args: &[&str]) -> Result<Value> {
    let output = lab.host(from).command(program).args(args).output();
    let output: Output = output.with_context(|| format!("starting {}", program.display()))?;
    if !output.status.success() {
        bail!("{}: {}", program.display(), stories::program::said(&output));
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("reading {}", program.display()))
}

/// The round trip in a stream that fills no queue, and ping's meanwhile.
fn round_trip(bed: &Bed) -> Result<Vec<Line>> {
    let place = tempfile::tempdir().context("making a place for thrulayd")?;
    let lab = Lab::with_wire();
    let _server = serve(bed, &lab, "server", place.path())?;
    lab.wire().set_both(&Way { delay: DELAY, ..Way::default() });
    let seconds = bed.size(10, 3);
    let mut command = lab.host("client").command(Path::new("ping"));
    command.args(["-n", "-i", "0.05", "-c", &(seconds * 20).to_string(), SERVER]);
    let mut ping = Program::start(command, &place.path().join("ping"));
    let length = seconds.to_string();
    let args = ["--json", "-w", "16384", "-l", "1448", "-t", &length, SERVER];
    let it = run(&lab, "client", &bed.program("thrulay"), &args)?;
    bed.until("ping to end", PATIENCE, || Ok(ping.ended()))?;
    let log = ping.log();
    let time = |line: &str| line.split_once("time=")?.1.split_once(' ')?.0.parse::<f64>().ok();
    let pings: Vec<f64> = log.lines().filter_map(time).collect();
    if pings.is_empty() {
        bail!("ping found nobody: {log}");
    }
    let against = |what: &str, key: &str, share, reach| -> Result<Line> {
        let stream = it.pointer(&format!("/tcp/total/rtt/{key}")).and_then(Value::as_f64);
        let stream = stream.with_context(|| format!("no {key} in {it}"))?;
        let milliseconds = |value| Quantity::new(value, "ms");
        let name = format!("thrulay's {what} round trip on a wire of 10 ms");
        let yardstick = (milliseconds(quantile(&pings, share)), "of ping beside it");
        Ok(Line::measured(name, milliseconds(stream), yardstick, Reach::AtMost(reach)))
    };
    // Four milliseconds may be in its own queue.
    Ok(vec![against("smallest", "min_ms", 0.0, 1.05)?, against("median", "median_ms", 0.5, 1.5)?])
}
