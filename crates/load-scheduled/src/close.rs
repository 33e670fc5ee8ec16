//! Rows of SCHEDULE that are open and should not be: nobody started them in time, their specification was
//! switched off, the clock was set back, or who carried them out is gone.

use std::{fs, time::Duration};

use station::{
    text::Timestamp,
    words::{config::Config, run, suite, toolspec::TestType},
    world::{
        lock,
        store::{self, Error, Session, Try},
    },
};

use crate::plan::{self, Circumstances};

/// A result that was not loaded for so long, and whose file is not there, is lost.
const RESULT_GONE: Duration = Duration::from_secs(86_400);
/// The foreground program whose abandoned runs are closed here.
const BY_HAND: &str = "iepm";

/// The daemon of the runs that must be alone: it knows best why one had to wait too long, and has so long
/// to say so.
const ALONE: &str = "bw-synchd";
const OWN_REASON: Duration = Duration::from_secs(6);

/// Closes rows that are open and should not be; says how many slots were missed.
pub(crate) fn close(
    session: &mut dyn Session,
    config: &Config,
    at: &Circumstances,
) -> Result<u64, Error> {
    let station = config.node.as_str();
    store::cancel_switched_off(session, station)?;
    // Also long after the clock was set back: a daemon may have held them until now.
    store::cancel_too_far_ahead(session, station, at.horizon() + plan::TOLERANCE)?;
    close_abandoned(session, config, at)?;
    close_without_result(session, config, at)?;
    let reason = |tool: &str, testtype: &str, latest: Timestamp| {
        let waits = testtype == TestType::BackgroundSyn.as_str() && at.now < latest + OWN_REASON;
        if waits && lock::is_held(&config.paths.keepalives, ALONE).unwrap_or(false) {
            return None;
        }
        Some(at.away.clone().unwrap_or_else(|| nobody(config, tool, testtype)))
    };
    store::expire(session, station, at.now, &reason)
}

/// Closes runs by hand that died, unless their result waits to be loaded.
fn close_abandoned(
    session: &mut dyn Session,
    config: &Config,
    at: &Circumstances,
) -> Result<(), Error> {
    let before = at.now - Duration::from_secs(60);
    for (run, tool, end) in store::abandoned(session, config.node.as_str(), BY_HAND, before)? {
        if config.paths.data.join(run::file_name(run, &tool)).exists() {
            continue;
        }
        store::lose(session, run, &format!("{BY_HAND} run died before its result was written"))?;
        let outcome = format!("{BY_HAND} run died");
        store::end_try(session, run, &Try { end, outcome, ..Try::default() })?;
    }
    Ok(())
}

/// Closes runs whose result files are gone: somebody removed them, or put a copy of the database back
/// that is older than they are. A day is time enough for a disk that is away to come back.
fn close_without_result(
    session: &mut dyn Session,
    config: &Config,
    at: &Circumstances,
) -> Result<(), Error> {
    let data = &config.paths.data;
    let station = config.node.as_str();
    let waiting = store::finished_long_ago(session, station, at.now - RESULT_GONE)?;
    // A data directory that is away says nothing about what is in it: in its place daemons make an empty one.
    let is_used = fs::read_dir(data.join("loaded")).is_ok_and(|mut days| days.next().is_some());
    if waiting.is_empty() || !is_used {
        return Ok(());
    }
    for (run, tool) in waiting {
        let name = run::file_name(run, &tool);
        if !data.join(&name).exists() {
            let reason = format!("its result file {name} is gone from {}", data.display());
            store::lose_result(session, run, &reason)?;
        }
    }
    Ok(())
}

/// Why nobody started a run within its window.
fn nobody(config: &Config, tool: &str, testtype: &str) -> String {
    let Some(daemon) = testtype.parse().ok().and_then(|testtype| suite::daemon_of(tool, testtype))
    else {
        return format!("no program of this station runs {tool} as {testtype}");
    };
    match lock::is_held(&config.paths.keepalives, daemon) {
        Ok(false) => format!("{daemon} was not running"),
        Ok(true) => format!("{daemon} was running but did not start it within its window"),
        Err(error) => format!("{daemon} did not start it within its window ({error})"),
    }
}
