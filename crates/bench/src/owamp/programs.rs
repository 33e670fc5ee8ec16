//! The programs themselves over the loopback: one `owampd` and one `owping`, with a core each.

use std::{fs, net::TcpListener, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::Value;
use station::world::process;
use stories::Program;

use crate::{
    bed::Bed,
    table::{Line, Quantity, Reach},
};

/// What is to be carried without a loss of our own making, packets/s.
const GOAL: f64 = 50_000.0;
/// Whoever comes may use what he likes.
const LIMITS: &str = "limit all with allow_open_mode=on\nassign default all\n";
const CORES: usize = 2;

/// A packet every so many microseconds: what holds against the goal, and twice that.
pub(super) fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let cores = sched_getaffinity(None).context("asking for the cores")?;
    let cores: Vec<usize> =
        (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)).take(CORES).collect();
    let [ours, theirs] = cores[..] else {
        eprintln!("bench: owping to owampd is left out: it needs {CORES} cores");
        return Ok(Vec::new());
    };
    let place = tempfile::tempdir().context("making a place for owampd")?;
    fs::write(place.path().join("owamp-server.limits"), LIMITS)?;
    let port = free_port()?;
    let _server = on_core(theirs, || serve(bed, place.path(), port))?;
    let fast = on_core(ours, || ping(bed, port, 18))?;
    let faster = on_core(ours, || ping(bed, port, 9))?;
    let name =
        |gap, what| format!("owping to owampd, a core each, a packet every {gap} us: {what}");
    let (packets, a_second) = ("packets", "packets/s");
    let goal = (Quantity::new(GOAL, a_second), "the goal");
    let first = (Quantity::new(1.0, "packet"), "the first of them");
    let received = Quantity::new(fast.rate, a_second);
    let lost = Quantity::new(fast.lost, packets);
    Ok(vec![
        Line::measured(name(18, "received"), received, goal, Reach::AtLeast(1.0)),
        Line::measured(name(18, "lost or skipped"), lost, first, Reach::AtMost(0.0)),
        Line::told(name(18, "sent late, p99"), Quantity::new(fast.late, "us")),
        Line::told(name(9, "received"), Quantity::new(faster.rate, a_second)),
        Line::told(name(9, "lost or skipped"), Quantity::new(faster.lost, packets)),
    ])
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a port")?;
    Ok(listener.local_addr()?.port())
}

/// Does it on one core; what it starts stays there.
fn on_core<T>(core: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let all = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(None, &one).with_context(|| format!("staying on core {core}"))?;
    let done = work();
    sched_setaffinity(None, &all).context("going back to all cores")?;
    done
}

fn serve(bed: &Bed, place: &Path, port: u16) -> Result<Program> {
    let mut command = process::command(&bed.program("owampd"), ["-Z", "-c"]);
    command.arg(place).args(["-S", &format!("127.0.0.1:{port}")]).stdin(Stdio::null());
    bed.serve("owampd", command, place, "serves ")
}

/// What owping told.
struct Told {
    /// Packets that came, a second.
    rate: f64,
    /// Packets that did not, or were not even sent.
    lost: f64,
    /// The 99th percentile, us.
    late: f64,
}

fn ping(bed: &Bed, port: u16, gap: u32) -> Result<Told> {
    let packets = (bed.size(5, 2) * 1_000_000 / gap).to_string();
    let interval = format!("{:.6}f", Duration::from_micros(gap.into()).as_secs_f64());
    let mut command = process::command(&bed.program("owping"), ["--json", "-t", "-L", "2"]);
    command.args(["-c", &packets, "-i", &interval, "-p", &port.to_string(), "127.0.0.1"]);
    let output = command.stdin(Stdio::null()).output().context("starting owping")?;
    if !output.status.success() {
        bail!("owping: {}", stories::program::said(&output));
    }
    let it: Value = serde_json::from_slice(&output.stdout).context("reading owping's JSON")?;
    told(&it["sessions"][0])
}

fn told(session: &Value) -> Result<Told> {
    let figure = |at: &str| {
        let figure = session.pointer(at).and_then(Value::as_f64);
        figure.with_context(|| format!("owping told no {at} in {session}"))
    };
    let (sent, lost) = (figure("/sent")?, figure("/lost")?);
    // The last one may have left late.
    let length = figure("/last_us")? - figure("/first_us")? + figure("/sending/late_max_ns")? / 1e3;
    Ok(Told {
        rate: (sent - lost) / length * 1e6,
        lost: lost + figure("/skipped")?,
        late: figure("/sending/late_p99_ns")? / 1e3,
    })
}
