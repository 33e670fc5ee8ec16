//! What a run says: to cron, to people, to programs.

use std::collections::BTreeMap;

use log::Level;
use serde::Serialize;
use station::text::{Align, Columns, human_duration};

use crate::{decide::Fate, end::Outcome, sweep::Told};

/// A longer command line is cut where it stands in a log.
const MOST_SHOWN: usize = 200;

/// Logs what was ended, and what could not be: that only once, for cron mails what is said, each minute.
/// Says whether a person should look.
pub(crate) fn log(told: &[Told]) -> bool {
    for told in told {
        let Told { pid, entry, .. } = told;
        let grave = if told.stayed { Level::Info } else { Level::Error };
        let (age, command) = (human_duration(told.age), short(&told.command));
        let what = format!("{pid}, {age} old, by {entry}: {command}");
        match &told.outcome {
            Some(Outcome::Terminated) => log::warn!("ended {what}"),
            Some(Outcome::Killed) => log::warn!("killed, as it did not end when asked, {what}"),
            Some(Outcome::Gone) => log::info!("had ended by itself: {what}"),
            Some(Outcome::Stuck(place)) => {
                log::log!(grave, "killed and still there{}: {what}", at(place));
            }
            Some(Outcome::Refused(why)) => log::log!(grave, "may not be ended ({why}): {what}"),
            None if told.fate == Fate::Wait => {
                log::info!("too old, and ended if it still is in the next run: {what}");
            }
            None => {}
        }
    }
    told.iter().any(|told| told.stays() && !told.stayed)
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(", in the kernel's {place}") }
}

fn short(command: &str) -> String {
    match command.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}...", &command[..end]),
        None => command.to_owned(),
    }
}

/// How many were ended so far, for people.
pub(crate) fn totals(ended: &BTreeMap<String, u64>) -> String {
    let counts: Vec<String> = ended.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

/// The processes in columns.
pub(crate) fn text(told: &[Told]) -> String {
    if told.is_empty() {
        return String::new();
    }
    let mut columns = Columns::new(&[
        ("PID", Align::Right),
        ("AGE", Align::Right),
        ("NAME", Align::Left),
        ("ENTRY", Align::Left),
        ("WHAT", Align::Left),
        ("COMMAND", Align::Left),
    ]);
    for told in told {
        columns.push([
            told.pid.to_string(),
            human_duration(told.age),
            told.name.clone(),
            told.entry.to_string(),
            what(told).to_owned(),
            told.command.clone(),
        ]);
    }
    columns.plain()
}

fn what(told: &Told) -> &'static str {
    match (&told.outcome, told.fate) {
        (None, Fate::End) => "to be ended",
        (None, Fate::Wait) => "too old for the first time",
        (Some(Outcome::Gone), _) => "had ended",
        (Some(Outcome::Terminated), _) => "ended",
        (Some(Outcome::Killed), _) => "killed",
        (Some(Outcome::Stuck(_)), _) => "killed and still there",
        (Some(Outcome::Refused(_)), _) => "may not be ended",
    }
}

/// A process, for programs.
#[derive(Serialize)]
struct Row<'a> {
    pid: i32,
    age_s: u64,
    name: &'a str,
    entry: &'a str,
    minutes: u64,
    what: &'static str,
    /// What the kernel says of one that could not be ended.
    why: Option<&'a str>,
    command: &'a str,
    /// How many of that entry were ended so far.
    ended_so_far: u64,
}

/// The processes as JSON, an array.
pub(crate) fn json(told: &[Told], ended: &BTreeMap<String, u64>) -> String {
    let row = |told| row(told, ended);
    // Texts and numbers have nothing that JSON cannot hold.
    serde_json::to_string_pretty(&told.iter().map(row).collect::<Vec<_>>()).unwrap_or_default()
        + "\n"
}

fn row<'a>(told: &'a Told, ended: &BTreeMap<String, u64>) -> Row<'a> {
    let why = match &told.outcome {
        Some(Outcome::Stuck(why) | Outcome::Refused(why)) => Some(why.as_str()),
        _ => None,
    };
    Row {
        pid: told.pid,
        age_s: told.age.as_secs(),
        name: &told.name,
        entry: &told.entry.name,
        minutes: told.entry.age.as_secs() / 60,
        what: what(told),
        why,
        command: &told.command,
        ended_so_far: ended.get(&told.entry.name).copied().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use station::words::cleanup::Entry;

    use super::*;

    fn told(outcome: Option<Outcome>, stayed: bool) -> Told {
        Told {
            pid: 70,
            name: "/usr/bin/gnuplot".into(),
            entry: Entry { name: "gnuplot".into(), age: Duration::from_secs(300) },
            age: Duration::from_secs(421),
            command: format!("gnuplot {}", "é".repeat(300)),
            fate: Fate::End,
            outcome,
            stayed,
        }
    }

    #[test]
    fn what_cannot_be_ended_needs_a_person_once() {
        let stuck = || Some(Outcome::Stuck("nfs_wait".into()));
        assert!(log(&[told(stuck(), false), told(stuck(), true)]));
        assert!(!log(&[
            told(stuck(), true),
            told(Some(Outcome::Killed), false),
            told(None, false)
        ]));
    }

    #[test]
    fn a_process_is_shown_whole_to_programs_and_in_columns_to_people() {
        let refused = told(Some(Outcome::Refused("Operation not permitted".into())), false);
        let ended = BTreeMap::from([("gnuplot".to_owned(), 3)]);
        let json: serde_json::Value =
            serde_json::from_str(&json(std::slice::from_ref(&refused), &ended)).expect("JSON");
        assert_eq!((&json[0]["age_s"], &json[0]["minutes"]), (&421.into(), &5.into()));
        assert_eq!((&json[0]["entry"], &json[0]["ended_so_far"]), (&"gnuplot".into(), &3.into()));
        assert_eq!(json[0]["why"], "Operation not permitted");
        assert_eq!(json[0]["command"].as_str(), Some(refused.command.as_str()));
        let shown = text(&[told(None, false)]);
        assert!(shown.contains(" 70  7m1s  /usr/bin/gnuplot  gnuplot,5  to be ended  "), "{shown}");
        assert_eq!((text(&[]), totals(&ended)), (String::new(), "gnuplot 3".to_owned()));
        assert!(short(&refused.command).chars().count() == MOST_SHOWN + 3);
    }
}
