//! A whole run of `keep-servers-alive` that finds all servers up, among a thousand and among five thousand
//! processes of the same user, against `pgrep -f` over the same processes.
//!
//! As root this happens in a process namespace of its own, whose `/proc` shows nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use station::world::{
    files::{self, Durable},
    process, processes,
};

use crate::{
    bed::{Bed, Station, nowhere},
    crowd::{Crowd, Whose},
    machine::{median, timed},
    table::{Line, Quantity, Reach},
};

/// Both sides are measured in turn, so often.
const ROUNDS: u32 = 15;
/// As many servers as the original has.
const SERVERS: [&str; 6] =
    ["bench-iperf", "bench-thrulayd", "bench-pathload", "bench-map", "bench-chirp", "bench-owampd"];
/// What no process of a machine is called.
const NOBODY: &str = "nothere-at-all";
/// How long a process lives that nobody ends.
const LIFE: &str = "1000";

/// Measures runs.
///
/// # Errors
/// Something does not run, or a server is not found up.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    [1_000, bed.size(5_000, 2_000)].into_iter().map(|count| among(bed, count)).collect()
}

fn among(bed: &Bed, count: u32) -> Result<Line> {
    let crowd = Crowd::gather(bed, count, Whose::Ours)?;
    let station = station(bed)?;
    let home = station.config.paths.home.display().to_string();
    let _servers = Servers(station.config.paths.bin.canonicalize()?);
    let (program, pgrep) = (bed.program("keep-servers-alive"), Path::new("/usr/bin/pgrep"));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        bed.rest(Duration::ZERO)?;
        let (took, status) = timed(|| to_its_end(&crowd, &program, &["--home", &home]))?;
        ensure!(status.success(), "keep-servers-alive ended with {status}");
        let (pgrep_took, status) = timed(|| to_its_end(&crowd, pgrep, &["-f", NOBODY]))?;
        ensure!(status.code() == Some(1), "pgrep ended with {status}");
        // The first round starts the servers, and fills caches.
        if round > 0 {
            ours.push(took.as_secs_f64() * 1e3);
            theirs.push(pgrep_took.as_secs_f64() * 1e3);
        }
    }
    let [ours, theirs] = [ours, theirs].map(|times| Quantity::new(median(&times), "ms"));
    let what = format!("keep-servers-alive, all up among {count} processes");
    Ok(Line::measured(what, ours, (theirs, "pgrep -f nothere"), Reach::AtMost(1.0)))
}

/// A station whose servers are named copies of `sleep`.
fn station(bed: &Bed) -> Result<Station> {
    let station = bed.station("")?;
    let paths = &station.config.paths;
    for name in SERVERS {
        fs::copy("/bin/sleep", paths.bin.join(name))?;
    }
    let list = SERVERS.map(|name| format!("{name},bin,{LIFE}\n")).concat();
    let path = paths.config.join("servers.alive");
    files::replace(&path, list.as_bytes(), Durable::WithinThisBoot)?;
    Ok(station)
}

/// A command that is run to its end among a crowd.
fn to_its_end(crowd: &Crowd, program: &Path, arguments: &[&str]) -> Result<ExitStatus> {
    let mut command = crowd.command(program);
    command.args(arguments).env_remove("IEPM_CONFIG").stdin(Stdio::null());
    command.stdout(nowhere()?).stderr(nowhere()?);
    command.status().with_context(|| format!("running {}", program.display()))
}

/// The servers, which are nobody's children: their programs lie in this directory.
struct Servers(PathBuf);

impl Drop for Servers {
    fn drop(&mut self) {
        let is_ours =
            |program: Option<&Path>| program.is_some_and(|path| path.starts_with(&self.0));
        // In a namespace of their own this process does not see them, and they end with the first there.
        let found = processes::ours(|glimpse| is_ours(glimpse.program)).unwrap_or_default();
        for server in found {
            // It may have ended by itself.
            let _ = server.signal(process::Signal::KILL);
        }
    }
}
