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

use super::{Args, health::Health, lines};

/// How often the tables are looked at.
const PAUSE: Duration = Duration::from_secs(1);

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
        let (answered, failing, all) = count(store, config, args)?;
        if shown != Some((answered, failing)) {
            progress(answered, failing, all);
            shown = Some((answered, failing));
        }
        let over = SystemClock.moment().monotonic >= until || stop.asked();
        if over || answered + failing == all {
            // A progress line that was drawn over and over has no end of its own.
            let _ = if io::stderr().is_terminal() { writeln!(io::stderr()) } else { Ok(()) };
            return Ok(answered == all);
        }
        stop.wait(PAUSE);
    }
}

/// How many specifications have a reading, how many only a failure, and how many there are.
fn count(
    store: &mut Store,
    config: &Config,
    args: &Args,
) -> Result<(usize, usize, usize), Failure> {
    let now = SystemClock.now();
    let (lines, _) = store
        .read(|session| lines(session, config, &args.filter, now))
        .map_err(|error| Failure::store("reading the status", error))?;
    let on = lines.iter().filter(|line| line.health != Health::Off);
    let answered = on.clone().filter(|line| line.last_us.is_some()).count();
    let failing =
        on.clone().filter(|line| line.last_us.is_none() && line.health == Health::Failing).count();
    Ok((answered, failing, on.count()))
}

fn progress(answered: usize, failing: usize, all: usize) {
    let failing = if failing == 0 { String::new() } else { format!(", {failing} without one") };
    let line = format!("waiting for first readings: {answered} of {all}{failing}");
    // Nobody to tell that it cannot be told.
    let _ = if io::stderr().is_terminal() {
        write!(io::stderr(), "\r{line} ")
    } else {
        writeln!(io::stderr(), "{line}")
    };
}
