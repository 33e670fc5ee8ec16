//! Ends processes: all are asked, then all are waited for, then those that are left are killed.
//!
//! Every signal goes through the handle that was held when the process was looked at: a process that
//! got its number meanwhile is never hit.

use std::{io, time::Duration};

use rustix::process::Signal;
use station::world::{
    clock::{self, Clock},
    processes::Process,
};

/// How long those that were asked to end may take, all together.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long the kernel may take to end those that were killed.
const DYING: Duration = Duration::from_secs(2);
/// How often it is looked whether they have ended.
const GLANCE: Duration = Duration::from_millis(10);

/// How it went with a process that was to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It had ended by itself.
    Gone,
    /// It ended when asked.
    Terminated,
    /// It was killed.
    Killed,
    /// It was killed and is still there: the kernel holds it, there if that is told.
    Stuck(String),
    /// It may not be ended.
    Refused(String),
}

/// Ends all of them; says for each how it went.
pub fn end(doomed: &[&Process], clock: &impl Clock) -> Vec<Outcome> {
    let mut outcomes: Vec<Option<Outcome>> = doomed.iter().map(|process| ask(process)).collect();
    wait(doomed, &mut outcomes, &Outcome::Terminated, GRACE, clock);
    for (process, outcome) in doomed.iter().zip(&mut outcomes).filter(|(_, it)| it.is_none()) {
        *outcome = kill(process);
    }
    wait(doomed, &mut outcomes, &Outcome::Killed, DYING, clock);
    let stuck = |process: &Process| Outcome::Stuck(process.waits_in());
    outcomes
        .into_iter()
        .zip(doomed)
        .map(|(it, process)| it.unwrap_or_else(|| stuck(process)))
        .collect()
}

/// Asks a process to end; its outcome if that is certain already.
fn ask(process: &Process) -> Option<Outcome> {
    let answer = process.signal(Signal::TERM);
    // One that was stopped takes the first signal when it goes on.
    let _ = process.signal(Signal::CONT);
    certain(answer, Outcome::Gone)
}

fn kill(process: &Process) -> Option<Outcome> {
    certain(process.signal(Signal::KILL), Outcome::Terminated)
}

fn certain(answer: io::Result<bool>, gone: Outcome) -> Option<Outcome> {
    match answer {
        Ok(true) => None,
        Ok(false) => Some(gone),
        Err(error) => Some(Outcome::Refused(error.to_string())),
    }
}

/// Waits until all have ended whose outcome is open, at most `limit`; theirs is `outcome` then.
fn wait(
    doomed: &[&Process],
    outcomes: &mut [Option<Outcome>],
    outcome: &Outcome,
    limit: Duration,
    clock: &impl Clock,
) {
    let until = clock.moment().monotonic + limit;
    loop {
        for (process, open) in doomed.iter().zip(&mut *outcomes).filter(|(_, it)| it.is_none()) {
            // One that cannot be looked at is still there.
            if matches!(process.state_now(), Ok(None)) {
                *open = Some(outcome.clone());
            }
        }
        if outcomes.iter().all(Option::is_some) || clock.moment().monotonic >= until {
            return;
        }
        clock::pause(GLANCE);
    }
}
