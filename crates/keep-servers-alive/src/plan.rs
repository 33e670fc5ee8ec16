//! What is to be done about a server, and what a person is told of it: values only.
//!
//! A server that does not answer is ended only when it did not in two runs in a row: one that has just
//! been started, and a machine that was just resumed, get their time.

use std::time::Duration;

use station::{
    text::human_duration,
    words::restarts::{LOOP, Verdict, WELL},
};

use crate::{
    act::{Started, Trouble},
    look::Seen,
    state::Record,
};

/// So many runs in a row without an answer, and it is ended.
const FAILURES: u32 = 2;

/// Two failures that are closer together count as one: somebody called the program by hand, or the
/// machine has just woken up.
const APART: Duration = Duration::from_secs(20);

/// The time since the machine's start, also without the time in which it slept, and the boot.
#[derive(Debug, Clone)]
pub(crate) struct Now {
    pub(crate) boot: Duration,
    pub(crate) monotonic: Duration,
    pub(crate) boot_id: String,
}

/// What is to be done about one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: it runs and answers.
    Leave,
    /// Nothing yet: it runs and does not answer, for this reason.
    Suspect(String),
    /// It is ended, for this reason, and started again.
    Replace(String),
    /// It is started.
    Start,
    /// It is started after so long: so many starts in a row did not stay up.
    Wait(Duration, u32),
    /// It is not started before its line or its program changes.
    Wrong,
    /// There is nothing to start, for this reason.
    Missing(String),
}

impl Record {
    /// Whether a failure now is another than the last one.
    fn is_apart(&self, now: &Now) -> bool {
        let last = Duration::from_micros(self.failed_us);
        // A last one that lies in the future is of another boot.
        self.failures == 0 || now.monotonic.checked_sub(last).is_none_or(|since| since >= APART)
    }
}

/// What is to be done about a server that looks so, with this history.
pub(crate) fn step(seen: &Seen, record: &Record, now: &Now) -> Step {
    let verdict = || record.restarts.verdict(now.boot, &now.boot_id, &seen.configuration);
    match (&seen.pids[..], &seen.silent, &seen.program) {
        ([_, ..], None, _) => Step::Leave,
        // What cannot be started again is not ended.
        ([_, ..], Some(why), Ok(_))
            if record.failures + 1 >= FAILURES
                && record.is_apart(now)
                && verdict() == Verdict::Now =>
        {
            Step::Replace(why.clone())
        }
        ([_, ..], Some(why), _) => Step::Suspect(why.clone()),
        ([], _, Err(missing)) => Step::Missing(missing.clone()),
        ([], _, Ok(_)) => match verdict() {
            Verdict::Now => Step::Start,
            Verdict::Wait(left, starts) => Step::Wait(left, starts),
            Verdict::Wrong => Step::Wrong,
        },
    }
}

/// What was done about a server, and what came of it.
#[derive(Debug)]
pub(crate) struct Happened<'a> {
    pub(crate) step: &'a Step,
    /// Of a start.
    pub(crate) result: Option<&'a Started>,
    /// Whether the start made a crash loop.
    pub(crate) looped: bool,
}

/// Notes it in the server's record; gives what a person is told.
pub(crate) fn note(
    record: &mut Record,
    happened: &Happened<'_>,
    seen: &Seen,
    now: &Now,
) -> Vec<String> {
    let told = match (happened.step, happened.result) {
        (Step::Leave, _) => left(record, seen, now),
        (Step::Suspect(_), _) => {
            if record.is_apart(now) {
                record.failures += 1;
                record.failed_us = u64::try_from(now.monotonic.as_micros()).unwrap_or(u64::MAX);
            }
            None
        }
        (Step::Missing(why), _) => new_fault(record, why.clone()),
        (Step::Wait(..) | Step::Wrong, _) => is_down(record),
        (step, Some(result)) => return started(record, step, result, happened.looped, seen),
        (Step::Start | Step::Replace(_), None) => None,
    };
    told.into_iter().collect()
}

/// It runs and answers, or may be asked no more than whether it runs.
fn left(record: &mut Record, seen: &Seen, now: &Now) -> Option<String> {
    (record.was_up, record.failures) = (true, 0);
    let stays_up = record.restarts.up(now.boot, &now.boot_id);
    if let Some(untested) = &seen.untested {
        return new_fault(record, untested.clone());
    }
    record.fault = None;
    stays_up.then(|| "stays up again".to_owned())
}

/// It does not run, and is not started now. That is told if nothing else was told before.
fn is_down(record: &mut Record) -> Option<String> {
    record.was_up = false;
    if record.fault.is_some() {
        return None;
    }
    new_fault(record, "has ended again, and is started again after a while".to_owned())
}

fn started(
    record: &mut Record,
    step: &Step,
    result: &Started,
    looped: bool,
    seen: &Seen,
) -> Vec<String> {
    let was_up = std::mem::replace(&mut record.was_up, result.is_ok());
    let starts = record.restarts.in_a_row();
    match result {
        Ok(pid) => {
            (record.fault, record.failures) = (None, 0);
            let looping = looped.then(|| new_fault(record, in_a_loop(starts))).flatten();
            news(step, was_up, *pid).into_iter().chain(looping).collect()
        }
        // In a loop it was told already, and each attempt ends a little differently.
        Err(Trouble::Ended(..)) if starts > LOOP && record.fault.is_some() => Vec::new(),
        Err(trouble) => {
            if matches!(trouble, Trouble::Wrong(_)) {
                record.restarts.wrong(&seen.configuration);
            }
            let looping = if looped { in_a_loop(starts) + ": it " } else { String::new() };
            new_fault(record, format!("{looping}{trouble}")).into_iter().collect()
        }
    }
}

fn news(step: &Step, was_up: bool, pid: i32) -> Option<String> {
    match step {
        Step::Replace(why) => Some(format!("{why}; it was ended and started again, pid {pid}")),
        _ => was_up.then(|| format!("had ended; it was started again, pid {pid}")),
    }
}

fn in_a_loop(starts: u32) -> String {
    let well = human_duration(WELL);
    format!(
        "was started {starts} times and never ran for {well}; it is started more and more seldom"
    )
}

/// Notes what is wrong; gives it if it is new.
fn new_fault(record: &mut Record, fault: String) -> Option<String> {
    let is_new = record.fault.as_ref() != Some(&fault);
    record.fault = Some(fault.clone());
    is_new.then_some(fault)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn now(minute: u64) -> Now {
        let boot = Duration::from_secs(60 * minute);
        Now { boot, monotonic: boot, boot_id: "boot".to_owned() }
    }

    fn seen(pids: &[i32], silent: Option<&str>) -> Seen {
        Seen {
            program: Ok(PathBuf::from("/bin/x")),
            configuration: "v1".to_owned(),
            pids: pids.to_vec(),
            silent: silent.map(str::to_owned),
            untested: None,
        }
    }

    fn missing(pids: &[i32], silent: Option<&str>) -> Seen {
        Seen { program: Err("is not installed".to_owned()), ..seen(pids, silent) }
    }

    fn record(failures: u32, starts: &[u64]) -> Record {
        let mut record = Record { failures, ..Record::default() };
        for minute in starts {
            let _ = record.restarts.started(now(*minute).boot, "boot");
        }
        record
    }

    #[test]
    fn each_server_gets_what_it_needs() {
        let wait = |minutes: u64, starts| Step::Wait(Duration::from_secs(60 * minutes), starts);
        let why = || "is deaf".to_owned();
        for (seen, record, minute, expected) in [
            (seen(&[7], None), record(0, &[]), 0, Step::Leave),
            (seen(&[7, 8], None), record(5, &[1, 2, 3]), 4, Step::Leave),
            (missing(&[7], None), record(0, &[]), 0, Step::Leave),
            (seen(&[], None), record(0, &[]), 0, Step::Start),
            (seen(&[], None), record(0, &[1]), 1, Step::Start),
            (seen(&[], None), record(0, &[1, 2]), 2, wait(1, 2)),
            (seen(&[], None), record(0, &[1, 2, 7]), 8, wait(4, 3)),
            (seen(&[], None), record(0, &[1, 2, 7]), 12, Step::Start),
            (missing(&[], None), record(0, &[]), 0, Step::Missing("is not installed".to_owned())),
            (seen(&[7], Some("is deaf")), record(0, &[]), 0, Step::Suspect(why())),
            (seen(&[7], Some("is deaf")), record(1, &[]), 0, Step::Suspect(why())),
            (seen(&[7], Some("is deaf")), record(1, &[]), 1, Step::Replace(why())),
            (seen(&[7], Some("is deaf")), record(1, &[1, 2]), 2, Step::Suspect(why())),
            (missing(&[7], Some("is deaf")), record(1, &[]), 0, Step::Suspect(why())),
        ] {
            assert_eq!(
                step(&seen, &record, &now(minute)),
                expected,
                "{seen:?} {record:?} {minute}"
            );
        }
    }

    #[test]
    fn a_wrong_configuration_waits_for_another() {
        let mut kept = record(0, &[1]);
        let happened = Happened {
            step: &Step::Start,
            result: Some(&Err(Trouble::Wrong("x.log".into()))),
            looped: false,
        };
        assert_eq!(note(&mut kept, &happened, &seen(&[], None), &now(1)).len(), 1);
        assert_eq!(step(&seen(&[], None), &kept, &now(600)), Step::Wrong);
        let changed = Seen { configuration: "v2".to_owned(), ..seen(&[], None) };
        assert_eq!(step(&changed, &kept, &now(2)), Step::Start);
    }

    /// A server and its watchdog, minute by minute; what is told, and when.
    fn life(
        minutes: u64,
        mut world: impl FnMut(u64, bool) -> (Seen, Started),
    ) -> (Vec<u64>, Vec<(u64, String)>) {
        let (mut kept, mut starts, mut told) = (Record::default(), vec![], vec![]);
        for minute in 0..minutes {
            let (seen, result) = world(minute, starts.contains(&(minute.max(1) - 1)));
            let step = step(&seen, &kept, &now(minute));
            let begins = matches!(step, Step::Start | Step::Replace(_));
            let looped = begins && kept.restarts.started(now(minute).boot, "boot");
            if begins {
                starts.push(minute);
            }
            let happened = Happened { step: &step, result: begins.then_some(&result), looped };
            told.extend(
                note(&mut kept, &happened, &seen, &now(minute)).into_iter().map(|t| (minute, t)),
            );
        }
        (starts, told)
    }

    #[test]
    fn one_that_dies_at_once_is_told_of_once_and_again_in_a_loop() {
        let (starts, told) = life(200, |_, _| {
            (seen(&[], None), Err(Trouble::Ended("exit status 3".to_owned(), "x.log".into())))
        });
        assert_eq!(starts, [0, 1, 2, 7, 22, 52, 112, 172]);
        let minutes: Vec<u64> = told.iter().map(|(minute, _)| *minute).collect();
        assert_eq!(minutes, [0, 2], "{told:#?}");
        assert!(told[1].1.starts_with("was started 3 times and never ran for 1m30s"), "{told:#?}");
    }

    #[test]
    fn one_that_dies_now_and_then_is_told_of_each_time() {
        let (starts, told) = life(100, |minute, _| {
            let up = minute % 50 != 0;
            (seen(if up { &[7][..] } else { &[] }, None), Ok(7))
        });
        assert_eq!(starts, [0, 50]);
        assert_eq!(told, [(50, "had ended; it was started again, pid 7".to_owned())]);
    }

    #[test]
    fn one_that_is_not_there_is_told_of_once() {
        let (starts, told) = life(100, |_, _| (missing(&[], None), Ok(7)));
        assert_eq!(starts, Vec::<u64>::new());
        assert_eq!(told, [(0, "is not installed".to_owned())]);
    }

    #[test]
    fn one_that_is_deaf_is_replaced_in_the_second_run_and_ever_more_seldom() {
        let (starts, told) = life(60, |_, _| (seen(&[7], Some("is deaf")), Ok(8)));
        assert_eq!(starts, [1, 3, 5, 10, 25, 55]);
        assert!(told[0].1.starts_with("is deaf; it was ended and started again"), "{told:?}");
    }
}
