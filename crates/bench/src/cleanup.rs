//! What a whole run of `bw-cleanup` costs among thousands of processes, against `killall`, which looks
//! for one name and an age as well.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use station::world::{
    files::{self, Durable},
    process,
};

use crate::{
    bed::{Bed, Station},
    machine::{median, timed},
    table::{Line, Quantity, Reach},
};

/// So often each of the two is called, in turn.
const ROUNDS: usize = 21;
/// As many names as the original's list, of both kinds; nobody is called so.
const LIST: &str = "no-1,3 no-2,3 no-3,3 no-4,3 no-5,3 no-6,3 no-7,3 \
                    /bin/no-1,3 /bin/no-2,3 /bin/no-3,3 /bin/no-4,3 /bin/no-5,3 /bin/no-6,3\n";
/// Starts processes that do nothing, says so, and waits.
const CROWD: &str =
    "i=0; while [ $i -lt $0 ]; do sleep 600 & i=$((i + 1)); done; echo ready; read line";

/// Measures runs among processes of our own, and, for root, among another user's.
///
/// # Errors
/// Something does not run, or `killall` is not installed.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let station = bed.station("")?;
    let path = station.config.paths.config.join("cleanup-list");
    files::replace(&path, LIST.as_bytes(), Durable::WithinThisBoot)?;
    let mut lines = Vec::new();
    for count in [1_000, bed.size(5_000, 2_000)] {
        lines.push(among(bed, &station, count, Whose::Ours)?);
        if geteuid().is_root() {
            lines.push(among(bed, &station, count, Whose::Others)?);
        }
    }
    Ok(lines)
}

/// Whose the processes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Others,
}

fn among(bed: &Bed, station: &Station, count: u32, whose: Whose) -> Result<Line> {
    let crowd = Crowd::gather(bed, count, whose)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first of each warms up what both use.
    for round in 0..=ROUNDS {
        bed.rest(Duration::ZERO)?;
        let taken = [run_ours(bed, station, &crowd)?, run_killall(&crowd)?];
        if round > 0 {
            ours.push(taken[0].as_secs_f64() * 1e3);
            theirs.push(taken[1].as_secs_f64() * 1e3);
        }
    }
    let whose = if whose == Whose::Ours { "our own" } else { "another user's" };
    Ok(Line::measured(
        format!("bw-cleanup, a run among {count} processes, {whose}"),
        Quantity::new(median(&ours), "ms"),
        (Quantity::new(median(&theirs), "ms"), "killall -0 -o 10m nothere"),
        Reach::AtMost(1.0),
    ))
}

fn run_ours(bed: &Bed, station: &Station, crowd: &Crowd) -> Result<Duration> {
    let mut command = crowd.command(&bed.program("bw-cleanup"));
    command.arg("--home").arg(&station.config.paths.home).env_remove("IEPM_CONFIG");
    let (taken, status) = timed(|| Ok(command.status()?))?;
    ensure!(status.success(), "bw-cleanup ended with {status}");
    Ok(taken)
}

/// It finds nobody, which is a failure to it.
fn run_killall(crowd: &Crowd) -> Result<Duration> {
    let killall = process::find("killall", Path::new("/")).context("killall is not installed")?;
    let mut command = crowd.command(&killall);
    command.args(["-0", "-o", "10m", "nothere"]).stderr(Stdio::null());
    let (taken, _) = timed(|| Ok(command.status()?))?;
    Ok(taken)
}

/// Processes that do nothing. For root they are in a namespace of their own, where nobody else's are
/// looked at; both programs are then called through `nsenter`.
#[derive(Debug)]
struct Crowd {
    /// Their parent; for root, `unshare`, with which the namespace ends.
    keeper: Child,
    /// The first process of the namespace.
    first: Option<String>,
}

impl Crowd {
    fn gather(bed: &Bed, count: u32, whose: Whose) -> Result<Self> {
        let count = count.to_string();
        let mut words = Vec::new();
        if geteuid().is_root() {
            words.extend(["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]);
        }
        if whose == Whose::Others {
            words.extend(["setpriv", "--reuid=47111", "--regid=47111", "--clear-groups"]);
        }
        words.extend(["sh", "-c", CROWD, &count]);
        let program = process::find(words[0], Path::new("/")).context("there is no shell")?;
        let mut command = process::command(&program, &words[1..]);
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut crowd = Self { keeper: command.spawn()?, first: None };
        let stdout = crowd.keeper.stdout.take().context("a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "ready\n", "a crowd of {count} processes did not come together");
        bed.rest(Duration::from_millis(500))?;
        if geteuid().is_root() {
            let pid = crowd.keeper.id();
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
            crowd.first = Some(children.trim().to_owned());
        }
        Ok(crowd)
    }

    /// A command that sees them.
    fn command(&self, program: &Path) -> Command {
        let Some(first) = &self.first else {
            return process::command(program, [""; 0]);
        };
        let nsenter = Path::new("/usr/bin/nsenter");
        let mut command = process::command(nsenter, ["--target", first, "--pid", "--mount"]);
        command.arg(program);
        command
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // Not reaped yet, its group is nobody else's.
        let _ = kill_process_group(Pid::from_child(&self.keeper), Signal::KILL);
        let _ = self.keeper.wait();
    }
}
