//! `iepm status --wait`: until every specification has a reading, or has shown that it gets none.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use station::{
    app::Failure,
    words::config::Config,
    world::{
        clock::{Clock, SystemClock},
        signals::Stop,
        store::Store,
    },
};

use super::{
    Args,
    health::{Health, Line},
    lines,
};

/// How often the tables are looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// How far the specifications are that are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    /// Those that have a reading.
    pub(super) answered: usize,
    /// Those that only have a run that left none.
    pub(super) failing: usize,
    pub(super) all: usize,
}

/// Waits; says on the standard error how far it is, in one line. Tells whether all have readings.
pub(super) fn until_all_have_readings(
    store: &mut Store,
    config: &Config,
    args: &Args,
    stop: &Stop,
    seconds: u64,
) -> Result<bool, Failure> {
    let until = SystemClock.moment().monotonic + Duration::from_secs(seconds);
    let mut shown = None;
    loop {
        let tally = look(store, config, args)?;
        if shown != Some(tally) {
            progress(tally);
            shown = Some(tally);
        }
        let over = SystemClock.moment().monotonic >= until || stop.asked();
        if over || tally.answered + tally.failing == tally.all {
            // A progress line that was drawn over and over has no end of its own.
            let _ = if io::stderr().is_terminal() { writeln!(io::stderr()) } else { Ok(()) };
            return Ok(tally.answered == tally.all);
        }
        stop.wait(PAUSE);
    }
}

fn look(store: &mut Store, config: &Config, args: &Args) -> Result<Tally, Failure> {
    let now = SystemClock.now();
    let (lines, _) = store
        .read(|session| lines(session, config, &args.filter, now))
        .map_err(|error| Failure::store("reading the status", error))?;
    Ok(tally(&lines))
}

pub(super) fn tally(lines: &[Line]) -> Tally {
    let on = lines.iter().filter(|line| line.health != Health::Off);
    let failing = |line: &&Line| line.last_us.is_none() && line.health == Health::Failing;
    Tally {
        answered: on.clone().filter(|line| line.last_us.is_some()).count(),
        failing: on.clone().filter(failing).count(),
        all: on.count(),
    }
}

fn progress(tally: Tally) {
    let Tally { answered, failing, all } = tally;
    let failing = if failing == 0 { String::new() } else { format!(", {failing} without one") };
    let line = format!("waiting for first readings: {answered} of {all}{failing}");
    // Nobody to tell that it cannot be told.
    let _ = if io::stderr().is_terminal() {
        write!(io::stderr(), "\r{line} ")
    } else {
        writeln!(io::stderr(), "{line}")
    };
}
