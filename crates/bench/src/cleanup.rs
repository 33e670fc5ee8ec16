//! What a whole run of `bw-cleanup` costs among thousands of processes, against `killall`, which looks
//! for one name and an age as well.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::geteuid;
use station::world::{
    files::{self, Durable},
    process,
};

use crate::{
    bed::{Bed, Station},
    crowd::{Crowd, Whose},
    machine::{median, timed},
    table::{Line, Quantity, Reach},
};

/// So often each of the two is called, in turn.
const ROUNDS: usize = 21;
/// As many names as the original's list, of both kinds; nobody is called so.
const LIST: &str = "no-1,3 no-2,3 no-3,3 no-4,3 no-5,3 no-6,3 no-7,3 \
                    /bin/no-1,3 /bin/no-2,3 /bin/no-3,3 /bin/no-4,3 /bin/no-5,3 /bin/no-6,3\n";
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
