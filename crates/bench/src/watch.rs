//! What a run of `keep-em-alive` costs that finds twenty daemons well, among thousands of processes.

use std::{fs, process::Stdio, time::Duration};

use anyhow::{Result, ensure};
use station::{
    words::suite,
    world::{
        clock::{Clock, SystemClock},
        keepalive::KeepAlive,
        lock::{self, Lock},
        process,
    },
};

use crate::{
    bed::{Bed, Station},
    machine::{median, timed},
    table::{Line, Quantity},
};

/// Daemons that are looked after.
const DAEMONS: usize = 20;
/// What it may take beyond starting a process, ms.
const LIMIT: f64 = 10.0;

/// Measures runs in which nothing is to be done.
///
/// # Errors
/// Something does not run, or a daemon was not found to be well.
pub fn measure(bed: &Bed) -> Result<Vec<Line>> {
    let names = names();
    let list: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let station = bed.station(&format!("[watch]\ndaemons = [{}]\n", list.join(", ")))?;
    let _daemons = stand_in(&station, &names)?;
    let (mut looks, mut starts) = (vec![], vec![]);
    for round in 0..=bed.size(31, 11) {
        bed.rest(Duration::ZERO)?;
        let (look, peak) = timed(|| bed.start(&station, "keep-em-alive", &[])?.to_its_end(bed))?;
        ensure!(peak >= 0.0);
        let (start, ()) = timed(|| {
            let mut command = process::command("/bin/true".as_ref(), [""; 0]);
            ensure!(command.stdin(Stdio::null()).status()?.success(), "true failed");
            Ok(())
        })?;
        // The first round fills caches.
        if round > 0 {
            looks.push(look.as_secs_f64() * 1e3);
            starts.push(start.as_secs_f64() * 1e3);
        }
    }
    let beyond = (median(&looks) - median(&starts)).max(0.0);
    let what = format!("keep-em-alive, {DAEMONS} daemons well, beyond starting a process");
    Ok(vec![Line::limited(what, Quantity::new(beyond, "ms"), LIMIT)])
}

fn names() -> Vec<String> {
    let own = (suite::DAEMONS.len()..DAEMONS).map(|number| format!("own-daemon-{number}"));
    suite::DAEMONS.iter().map(|name| (*name).to_owned()).chain(own).collect()
}

/// Daemons as they are seen from outside: their locks are held and their files are fresh.
fn stand_in(station: &Station, names: &[String]) -> Result<Vec<(Lock, KeepAlive)>> {
    let folder = &station.config.paths.keepalives;
    let daemon = |name: &String| {
        let lock = lock::try_lock(folder, name)?;
        let lock = lock.ok_or_else(|| anyhow::anyhow!("{name} is locked"))?;
        let mut keepalive = KeepAlive::of(name, folder, &SystemClock);
        keepalive.beat(&SystemClock.moment(), "idle".to_owned());
        ensure!(fs::exists(folder.join(format!("{name}.alive")))?, "{name} has no file");
        Ok((lock, keepalive))
    };
    names.iter().map(daemon).collect()
}
