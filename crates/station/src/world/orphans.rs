//! Processes that a program which died left behind: how they are found, and ended.

use std::{ffi::OsStr, io, os::fd::OwnedFd, path::PathBuf, time::Duration};

use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use super::{
    clock,
    probe::Order,
    process::{self, Signal, TAG},
};
use crate::{
    text::Timestamp,
    words::{config::Config, suite},
};

/// How often, and how long apart, it is looked whether they are gone.
const LOOKS: (u32, Duration) = (50, Duration::from_millis(20));

/// A process that a dead daemon left behind.
#[derive(Debug)]
struct Orphan {
    pid: i32,
    command: String,
    pidfd: OwnedFd,
}

impl Orphan {
    /// Kills it; the handle makes sure that it is the one that was found.
    fn kill(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Ends what the program `who` left running, by its tag and by what its runs look like; waits until it
/// is gone.
///
/// # Errors
/// What cannot be ended.
pub fn end(who: &str, tag: &str, runs: &[Appearance]) -> io::Result<()> {
    let (looks, pause) = LOOKS;
    let mut left = find(tag, runs);
    for _ in 0..looks {
        for orphan in &left {
            log::warn!("ending process {} that {who} left running: {}", orphan.pid, orphan.command);
            orphan.kill()?;
        }
        if left.is_empty() {
            return Ok(());
        }
        clock::pause(pause);
        left = find(tag, runs);
    }
    let pids: Vec<String> = left.iter().map(|orphan| orphan.pid.to_string()).collect();
    Err(io::Error::other(format!("{who} left running what cannot be ended: {}", pids.join(", "))))
}

/// What a run's process looks like from outside, when the kernel lets nobody see its environment.
#[derive(Debug, Clone)]
pub struct Appearance {
    /// The whole path of its program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// It was not started before.
    pub since: Timestamp,
}

/// Processes of our user whose [`TAG`] begins with `tag`; and those that the kernel lets nobody look
/// into (a `ping` with file capabilities), if they look like one of `runs`, lead a process group as all
/// runs do, and have lost the daemon that started them.
fn find(tag: &str, runs: &[Appearance]) -> Vec<Orphan> {
    let all = sysinfo::ProcessRefreshKind::nothing()
        .with_cmd(sysinfo::UpdateKind::Always)
        .with_environ(sysinfo::UpdateKind::Always)
        .with_user(sysinfo::UpdateKind::Always);
    let Ok(mut system) = sysinfo::System::new().inspect_err(|error| {
        log::error!("cannot look for processes that were left behind: {error}");
    }) else {
        return Vec::new();
    };
    system.refresh_processes_specifics(sysinfo::ProcessesToUpdate::All, true, all);
    let own = sysinfo::Pid::from_u32(std::process::id());
    let user = system.process(own).and_then(|process| process.user_id()).cloned();
    let ours = system.processes().values().filter(|process| process.pid() != own);
    // A thread is listed beside its process; signals go to processes.
    let ours = ours
        .filter(|process| process.thread_kind().is_none() && process.user_id() == user.as_ref());
    let left = |process: &&sysinfo::Process| {
        let hidden = process.environ().is_empty() && !has_keeper(&system, process);
        has_tag(process, tag) || (hidden && runs.iter().any(|run| run.is_of(process)))
    };
    ours.filter(left).filter_map(orphan).collect()
}

/// Whether a program of the suite still looks after the process.
fn has_keeper(system: &sysinfo::System, process: &sysinfo::Process) -> bool {
    let parent = process.parent().and_then(|parent| system.process(parent));
    parent
        .is_some_and(|parent| suite::PROGRAMS.iter().any(|name| parent.name() == OsStr::new(name)))
}

impl Appearance {
    /// What the process of a run looks like; nothing if its program is not installed.
    #[must_use]
    pub fn of(order: &Order, config: &Config) -> Option<Self> {
        let (program, arguments) = order.argv.split_first()?;
        let program = process::find(program, &config.paths.bin)?;
        Some(Self { program, arguments: arguments.to_vec(), since: order.due })
    }

    fn is_of(&self, process: &sysinfo::Process) -> bool {
        let Some((program, arguments)) = process.cmd().split_first() else { return false };
        let begun = i64::try_from(process.start_time()).unwrap_or(0);
        self.program.as_os_str() == program
            && self.arguments.iter().map(OsStr::new).eq(arguments.iter())
            && begun + 2 >= self.since.seconds()
            && leads_its_group(process)
    }
}

fn leads_its_group(process: &sysinfo::Process) -> bool {
    let pid = i32::try_from(process.pid().as_u32()).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::getpgid(Some(pid)) == Ok(pid))
}

fn orphan(process: &sysinfo::Process) -> Option<Orphan> {
    let pid = i32::try_from(process.pid().as_u32()).ok()?;
    let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    let command = process.cmd().join(OsStr::new(" ")).to_string_lossy().into_owned();
    Some(Orphan { pid, command, pidfd })
}

fn has_tag(process: &sysinfo::Process, tag: &str) -> bool {
    let wanted = format!("{TAG}={tag}");
    process.environ().iter().any(|entry| entry.as_encoded_bytes().starts_with(wanted.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::world::{
        process::{Launch, Status, start},
        signals,
    };

    use super::*;

    #[test]
    fn what_a_dead_daemon_left_is_found_by_its_tag() {
        let argv = ["sleep", "600"].map(str::to_owned);
        let file = || tempfile::tempfile().expect("a file");
        let tag = format!("/test/{}:pingd:", std::process::id());
        let launch = Launch {
            argv: &argv,
            bin: Path::new("/"),
            tag: &format!("{tag}5"),
            stdout: file(),
            stderr: file(),
        };
        let process = start(launch).expect("sleep starts");
        let found = find(&tag, &[]);
        assert_eq!(found.iter().map(|orphan| orphan.pid).collect::<Vec<_>>(), [process.pid()]);
        // Its parent, who is here, reaps it; so that it is gone for `end` as well.
        let reaped = std::thread::spawn(move || {
            signals::wait_for(&[process.fd()], Duration::from_secs(60));
            process.reap().expect("ours to wait for")
        });
        end("pingd", &tag, &[]).expect("ours to kill");
        assert_eq!(reaped.join().expect("a status"), Some(Status::Signalled(9)));
    }
}
