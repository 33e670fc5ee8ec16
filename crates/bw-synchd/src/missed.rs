//! Runs that wait no more: their windows have passed, or they cannot be carried out.

use station::{
    words::run::{RunId, State},
    world::store::{self, Error, Session, Waiting},
};

use crate::{PROGRAM, choose::Choice};

/// Ends what waited too long, and what cannot be carried out.
pub(crate) fn end_waiting(
    session: &mut dyn Session,
    station: &str,
    waiting: &[Waiting],
    choice: &Choice,
    blocked: Option<&str>,
) -> Result<(), Error> {
    for (place, held) in &choice.missed {
        let waiting = &waiting[*place];
        let held = held.as_deref().or(blocked);
        let why = why_missed(session, station, waiting, held)?;
        store::end_waiting(session, waiting.run, State::Missed, &why)?;
    }
    for (place, fault) in &choice.faulty {
        store::end_waiting(session, waiting[*place].run, State::Failed, fault)?;
    }
    Ok(())
}

/// Why a run had to wait until its window had passed: what held it back at last, else who had the channel.
fn why_missed(
    session: &mut dyn Session,
    station: &str,
    waiting: &Waiting,
    held: Option<&str>,
) -> Result<String, Error> {
    /// More than these are not counted.
    const MOST: usize = 1_000;
    let before =
        if waiting.reason.is_empty() { String::new() } else { format!("{}; ", waiting.reason) };
    if let Some(held) = held {
        return Ok(format!("{before}{held}"));
    }
    let mut others = store::tries_between(session, station, (waiting.due, waiting.latest), MOST)?;
    others.retain(|(run, _)| run.schedule_id != waiting.run.schedule_id);
    Ok(format!("{before}{}", who_held(&others)))
}

fn who_held(others: &[(RunId, String)]) -> String {
    match others {
        [] => format!("{PROGRAM} did not run, or the machine slept, until its window had passed"),
        [(run, node)] => format!("the channel was held by {}, to {node}", run.schedule_id),
        [(run, node), rest @ ..] => format!(
            "the channel was held by {}, to {node}, and before by {} more",
            run.schedule_id,
            rest.len()
        ),
    }
}
