//! One look at the machine, and what follows from it.

use std::{io, path::Path, time::Duration};

use station::{
    words::cleanup::Entry,
    world::{
        clock::Clock,
        processes::{self, Process},
    },
};

use crate::{
    decide::{self, Fate, Known, Seen, Sighting, Verdict},
    end::{self, Outcome},
    memory::Memory,
    names,
};

/// A process that is too old, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its number.
    pub pid: i32,
    /// What it is called, as the entry means it.
    pub name: String,
    /// The entry that names it.
    pub entry: Entry,
    /// How long ago it was started.
    pub age: Duration,
    /// Its command line.
    pub command: String,
    /// What was decided.
    pub fate: Fate,
    /// How it went; nothing when it was not to end, or nothing was to be done.
    pub outcome: Option<Outcome>,
    /// Whether an earlier run could not end it, and has told so.
    pub stayed: bool,
}

impl Told {
    /// Whether it was to end and could not be ended.
    #[must_use]
    pub fn stays(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Stuck(_) | Outcome::Refused(_)))
    }
}

/// Looks at the processes of our user and decides; ends those that are to end, if it is to `act`.
///
/// # Errors
/// The processes cannot be seen: nothing is concluded, nothing is ended.
pub fn sweep(
    (list, home): (&[Entry], &Path),
    memory: &mut Memory,
    act: bool,
    clock: &impl Clock,
) -> io::Result<Vec<Told>> {
    let found = processes::ours(|glimpse| {
        names::entry(list, glimpse.program, glimpse.arguments).is_some()
    })?;
    let table: Vec<Seen> = found.iter().map(seen).collect();
    let lineage = own_lineage()?;
    let (now, sightings) = (clock.moment(), std::mem::take(&mut memory.sightings));
    let known = Known { list, home, now: &now, lineage: &lineage, sightings: &sightings };
    let verdicts = decide::decide(&known, &table);
    let told = carry_out(&verdicts, &found, act, clock);
    let noted = |(verdict, told): (&Verdict<'_>, &Told)| Sighting {
        stays: told.stays(),
        ..verdict.sighting
    };
    memory.sightings = verdicts.iter().zip(&told).map(noted).collect();
    count(memory, &told);
    Ok(told)
}

fn carry_out(
    verdicts: &[Verdict<'_>],
    found: &[Process],
    act: bool,
    clock: &impl Clock,
) -> Vec<Told> {
    let is_doomed = |verdict: &&Verdict<'_>| act && verdict.fate == Fate::End;
    let doomed = verdicts.iter().filter(is_doomed).map(|verdict| &found[verdict.index]);
    let mut outcomes = end::end(&doomed.collect::<Vec<_>>(), clock).into_iter();
    let mut told = |verdict: &Verdict<'_>| Told {
        pid: found[verdict.index].identity.pid,
        name: verdict.name.clone(),
        entry: verdict.entry.clone(),
        age: verdict.age,
        command: found[verdict.index].command(),
        fate: verdict.fate,
        outcome: if is_doomed(&verdict) { outcomes.next() } else { None },
        stayed: verdict.sighting.stays,
    };
    verdicts.iter().map(&mut told).collect()
}

fn seen(process: &Process) -> Seen {
    Seen {
        identity: process.identity,
        started: process.started(),
        state: process.state,
        program: process.program.clone(),
        arguments: process.arguments.clone(),
        tag: process.tag(),
    }
}

/// This process and its ancestors, as far as they can be seen.
fn own_lineage() -> io::Result<Vec<i32>> {
    let own = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    let parent_of = |pid| processes::of(pid).ok().flatten().map(|process| process.parent);
    Ok(decide::lineage(own, parent_of))
}

fn count(memory: &mut Memory, told: &[Told]) {
    let ended = |told: &&Told| matches!(told.outcome, Some(Outcome::Terminated | Outcome::Killed));
    for told in told.iter().filter(ended) {
        *memory.ended.entry(told.entry.name.clone()).or_default() += 1;
    }
}
