//! How processes that are not our children are ended: asked first, then made to.
//!
//! All of them are asked at once, and waited for together: a hundred that hang take no longer than one.
//! CONT follows TERM, for a stopped process hears nothing else. One that leads its process group is
//! killed with it, so that nothing of it goes on.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::{
    clock::{Clock, Monotonic, SystemClock, pause},
    processes::Process,
};

/// How long a killed process may take to be gone; one that takes longer is held by the kernel.
const STUCK: Duration = Duration::from_secs(5);
/// How often it is looked whether processes are gone, at first; it becomes less often.
const GLANCE: Duration = Duration::from_millis(2);
const LONGEST_GLANCE: Duration = Duration::from_millis(100);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// When it was asked to, or by itself.
    Asked,
    /// It was killed.
    Killed,
    /// Not at all: the kernel holds it, or we may not signal it.
    Stuck,
}

/// Ends processes; those that are still there `grace` after they were asked are killed.
#[must_use]
pub fn end_all(processes: &[&Process], grace: Duration) -> Vec<End> {
    for process in processes {
        tell(process, Signal::TERM);
        tell(process, Signal::CONT);
    }
    let asked = wait(processes, grace);
    for (process, _) in processes.iter().zip(&asked).filter(|(_, gone)| !**gone) {
        kill(process);
    }
    let gone = wait(processes, STUCK);
    let end = |(asked, gone): (&bool, &bool)| match (asked, gone) {
        (true, _) => End::Asked,
        (false, true) => End::Killed,
        (false, false) => End::Stuck,
    };
    asked.iter().zip(&gone).map(end).collect()
}

fn tell(process: &Process, signal: Signal) {
    if let Err(error) = process.signal(signal) {
        log::error!("cannot signal process {}: {error}", process.identity.pid);
    }
}

/// Kills a process, with its group if it leads one: while it is there, the group can be nobody else's.
fn kill(process: &Process) {
    let pid = process.identity.pid;
    if process.group == pid
        && process.state_now().is_ok_and(|state| state.is_some())
        && let Some(group) = Pid::from_raw(pid)
    {
        // A group that may not be signalled as a whole has a leader that is signalled below.
        let _ = kill_process_group(group, Signal::KILL);
    }
    tell(process, Signal::KILL);
}

/// Waits until all are gone, at most `length`; says of each whether it is.
fn wait(processes: &[&Process], length: Duration) -> Vec<bool> {
    let until: Monotonic = SystemClock.moment().monotonic + length;
    let mut glance = GLANCE;
    loop {
        let gone: Vec<bool> = processes.iter().map(|process| is_gone(process)).collect();
        let left = SystemClock.moment().monotonic.until(until);
        if gone.iter().all(|gone| *gone) || left.is_zero() {
            return gone;
        }
        pause(glance.min(left));
        glance = (2 * glance).min(LONGEST_GLANCE);
    }
}

/// One that cannot be looked at is not known to be gone.
fn is_gone(process: &Process) -> bool {
    process.state_now().is_ok_and(|state| state.is_none())
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
        let ends = end_all(&[&all[0], &all[1], &all[2]], Duration::from_millis(300));
        assert_eq!(ends, [End::Asked, End::Killed, End::Asked]);
        let child: i32 = deaf.said().trim().parse().expect("a pid");
        // Its group went with it; it may be reaped already.
        let child = processes::of(child).expect("a look");
        assert!(child.is_none_or(|child| wait(&[&child], STUCK) == [true]));
        // The child of one that ends when asked is its own business.
        let left: i32 = stopped.said().trim().parse().expect("a pid");
        let left = processes::of(left).expect("a look");
        assert!(left.is_some());
    }

    #[test]
    fn nothing_to_end_takes_no_time() {
        assert_eq!(end_all(&[], Duration::from_secs(600)), []);
    }
}
