//! How processes that are not our children are ended: all are asked, then all are waited for, then those
//! that are left are killed.
//!
//! A hundred that hang take no longer than one. CONT follows TERM, for a stopped process hears nothing
//! else. Every signal goes through the handle that was held when the process was looked at: one that got
//! its number meanwhile is never hit.

use std::{io, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{
    clock::{Clock, SystemClock, pause},
    processes::Process,
};

/// How long the kernel may take to end those that were killed.
const DYING: Duration = Duration::from_secs(5);
/// How often it is looked whether they have ended, at first; it becomes less often.
const GLANCE: Duration = Duration::from_millis(2);
const LONGEST_GLANCE: Duration = Duration::from_millis(50);

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

/// What is killed of a process that did not end when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// It alone.
    Alone,
    /// With it the process group that it leads, if it leads one: nothing of it goes on.
    WithItsGroup,
}

/// Ends all of them; those that have not ended `grace` after they were asked are killed. Says for each
/// how it went.
#[must_use]
pub fn end_all(doomed: &[&Process], grace: Duration, scope: Scope) -> Vec<Outcome> {
    let mut outcomes: Vec<Option<Outcome>> = doomed.iter().map(|process| ask(process)).collect();
    wait(doomed, &mut outcomes, &Outcome::Terminated, grace);
    for (process, outcome) in doomed.iter().zip(&mut outcomes).filter(|(_, it)| it.is_none()) {
        *outcome = kill(process, scope);
    }
    wait(doomed, &mut outcomes, &Outcome::Killed, DYING);
    let stuck = |process: &Process| Outcome::Stuck(process.waits_in());
    let all = outcomes.into_iter().zip(doomed);
    all.map(|(it, process)| it.unwrap_or_else(|| stuck(process))).collect()
}

/// Asks a process to end; its outcome if that is certain already.
fn ask(process: &Process) -> Option<Outcome> {
    let answer = process.signal(Signal::TERM);
    // One that was stopped takes the first signal when it goes on.
    let _ = process.signal(Signal::CONT);
    certain(answer, Outcome::Gone)
}

fn kill(process: &Process, scope: Scope) -> Option<Outcome> {
    let pid = process.identity.pid;
    // While it is there, the group that it leads can be nobody else's.
    if scope == Scope::WithItsGroup
        && process.group == pid
        && process.state_now().is_ok_and(|state| state.is_some())
        && let Some(group) = Pid::from_raw(pid)
    {
        // A group that may not be signalled as a whole has a leader that is signalled below.
        let _ = kill_process_group(group, Signal::KILL);
    }
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
fn wait(doomed: &[&Process], outcomes: &mut [Option<Outcome>], outcome: &Outcome, limit: Duration) {
    let until = SystemClock.moment().monotonic + limit;
    let mut glance = GLANCE;
    loop {
        for (process, open) in doomed.iter().zip(&mut *outcomes).filter(|(_, it)| it.is_none()) {
            // One that cannot be looked at is still there.
            if matches!(process.state_now(), Ok(None)) {
                *open = Some(outcome.clone());
            }
        }
        let left = SystemClock.moment().monotonic.until(until);
        if outcomes.iter().all(Option::is_some) || left.is_zero() {
            return;
        }
        pause(glance.min(left));
        glance = (2 * glance).min(LONGEST_GLANCE);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read, io::Seek, path::Path};

    use crate::world::{
        process::{self, Launch},
        processes,
    };

    use super::*;

    /// A shell that does `script`; it ends with the test.
    struct Shell {
        child: process::Process,
        stdout: File,
    }

    impl Shell {
        fn running(script: &str) -> Self {
            let argv = ["sh", "-c", script].map(str::to_owned);
            let stdout = tempfile::tempfile().expect("a file");
            let launch = Launch {
                argv: &argv,
                bin: Path::new("/nowhere"),
                tag: "/t:test:1",
                stdout: stdout.try_clone().expect("a descriptor"),
                stderr: tempfile::tempfile().expect("a file"),
            };
            let mut shell = Self { child: process::start(launch).expect("starts"), stdout };
            while shell.said().is_empty() {
                pause(GLANCE);
            }
            shell
        }

        fn said(&mut self) -> String {
            let mut text = String::new();
            self.stdout.rewind().expect("a file");
            self.stdout.read_to_string(&mut text).expect("UTF-8");
            text
        }

        fn seen(&self) -> Process {
            processes::of(self.child.pid()).expect("a look").expect("there")
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            self.child.signal(Signal::KILL);
            while self.child.reap().is_ok_and(|status| status.is_none()) {
                pause(GLANCE);
            }
        }
    }

    #[test]
    fn who_listens_is_asked_and_who_does_not_is_killed_with_its_group() {
        let good = Shell::running("echo x; sleep 600");
        let mut deaf =
            Shell::running("trap '' TERM; sleep 600 & echo $!; while :; do sleep 600; done");
        let mut stopped = Shell::running("sleep 600 & echo $!; kill -STOP $$; sleep 600");
        let all = [&good, &deaf, &stopped].map(Shell::seen);
        let grace = Duration::from_millis(300);
        let ends = end_all(&[&all[0], &all[1], &all[2]], grace, Scope::WithItsGroup);
        assert_eq!(ends, [Outcome::Terminated, Outcome::Killed, Outcome::Terminated]);
        let child: i32 = deaf.said().trim().parse().expect("a pid");
        // Its group went with it; it may be reaped already.
        let child = processes::of(child).expect("a look");
        assert!(child.is_none_or(|child| {
            let mut outcome = [None];
            wait(&[&child], &mut outcome, &Outcome::Gone, DYING);
            outcome == [Some(Outcome::Gone)]
        }));
        // The child of one that ends when asked is its own business.
        let left: i32 = stopped.said().trim().parse().expect("a pid");
        let left = processes::of(left).expect("a look");
        assert!(left.is_some());
    }

    #[test]
    fn nothing_to_end_takes_no_time() {
        assert_eq!(end_all(&[], Duration::from_secs(600), Scope::Alone), []);
    }
}
