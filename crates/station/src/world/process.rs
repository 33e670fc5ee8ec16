//! Processes that are started here, and how they are ended.
//!
//! Each is the leader of a process group of its own, so that whatever it starts is ended with it, and
//! is watched through a pidfd, which becomes readable when it has ended. It stays a zombie until
//! [`Process::reap`], so neither its pid nor its group can be anybody else's before that.

use std::{
    env,
    ffi::OsStr,
    fmt,
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, WaitId, WaitIdOptions, WaitIdStatus, getrlimit,
    kill_process_group, pidfd_open, pidfd_send_signal, prlimit, setrlimit, waitid,
};

pub use rustix::process::Signal;

/// The environment variable that every process of the suite's daemons carries, and their children with
/// them: the home of the station, the program that started it, and the run.
pub const TAG: &str = "IEPM_RUN";

/// The environment variable of what is started to outlive us: the number of the user who started it. A server that
/// gives up root's rights is root's all the same.
pub const STARTED_BY: &str = "IEPM_STARTED_BY";

/// Where tools are looked for beyond the station's `bin` and PATH: cron's PATH leaves out `sbin`.
const MORE_PATH: [&str; 6] =
    ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];

/// What to start, and where its output goes.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The program and its arguments.
    pub argv: &'a [String],
    /// The station's own programs, looked through first.
    pub bin: &'a Path,
    /// The value of [`TAG`].
    pub tag: &'a str,
    /// Its standard output.
    pub stdout: File,
    /// Its standard error.
    pub stderr: File,
}

/// A process that was started here and has not been reaped.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
}

/// Finds the program that `name` means: an absolute path as it is, a bare name in `bin`, PATH and the
/// machine's usual places.
#[must_use]
pub fn find(name: &str, bin: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let named = env::split_paths(&path).filter(|folder| folder.is_absolute());
    let all =
        std::iter::once(bin.to_path_buf()).chain(named).chain(MORE_PATH.iter().map(PathBuf::from));
    all.map(|folder| folder.join(name)).find(|path| is_executable(path))
}

/// The number of the user that we act for.
#[must_use]
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether we may execute the file.
#[must_use]
pub fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Starts a process in a group of its own, with the C locale, UTC and no standard input.
///
/// # Errors
/// As `execve(2)`; `NotFound` when there is no such program.
pub fn start(launch: Launch<'_>) -> io::Result<Process> {
    let name = launch.argv.first().map_or("", String::as_str);
    let program = find(name, launch.bin).ok_or_else(|| not_installed(name))?;
    let mut command = command(&program, launch.argv.iter().skip(1));
    command.env(TAG, launch.tag).env("LC_ALL", "C").env("TZ", "UTC").process_group(0);
    let child = command.stdin(Stdio::null()).stdout(launch.stdout).stderr(launch.stderr).spawn()?;
    let pid = Pid::from_child(&child);
    // The child is not reaped before `reap`, so this is its pid and nobody else's.
    Ok(Process { pid, pidfd: pidfd_open(pid, PidfdFlags::empty())? })
}

fn not_installed(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} is not installed"))
}

/// A command that is to be run and waited for at once.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that starts processes")]
pub fn command(program: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::Signalled(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl Process {
    /// Its process id, which is also that of its group.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Readable when it has ended.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Has it, and what it starts, ended by `SIGXFSZ` when a file of theirs grows beyond `bytes`.
    ///
    /// Of a program with capabilities or of another user the kernel may not allow it to be asked: its
    /// output is looked at from time to time besides.
    pub fn limit_files(&self, bytes: u64) {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        // Refused for the programs named above; a process that has ended already needs no limit.
        let _ = prlimit(Some(self.pid), Resource::Fsize, limit);
    }

    /// Sends `signal` to it and to all of its group.
    ///
    /// A group that is not there any more is not an error: all of it has ended.
    pub fn signal(&self, signal: Signal) {
        // Without a pidfd's cover the group could not be signalled safely; the unreaped leader gives it.
        if let Err(error) = kill_process_group(self.pid, signal)
            && error != rustix::io::Errno::SRCH
        {
            log::warn!("cannot signal the process group {}: {error}", self.pid());
            // A set-user-ID program refuses the group; the leader itself may still take it.
            let _ = pidfd_send_signal(&self.pidfd, signal);
        }
    }

    /// How it ended, if it has; what it left behind in its group is killed.
    ///
    /// # Errors
    /// As `waitid(2)`.
    pub fn reap(&self) -> io::Result<Option<Status>> {
        let pidfd = WaitId::PidFd(self.pidfd.as_fd());
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if waitid(pidfd, look)?.is_none() {
            return Ok(None);
        }
        self.signal(Signal::KILL);
        let pidfd = WaitId::PidFd(self.pidfd.as_fd());
        Ok(waitid(pidfd, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)?
            .map(|status| Status::of(&status)))
    }
}

impl Status {
    pub(super) fn of(status: &WaitIdStatus) -> Self {
        match status.terminating_signal() {
            Some(signal) => Self::Signalled(signal),
            None => Self::Exited(status.exit_status().unwrap_or(-1)),
        }
    }
}

/// Lets this process, and what it starts, hold as many descriptors as the system allows it.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        log::warn!("cannot raise the number of open files: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use crate::world::signals;

    use super::*;

    fn launched(script: &str, stdout: &File) -> Process {
        let argv = ["sh", "-c", script].map(str::to_owned);
        start(Launch {
            argv: &argv,
            bin: Path::new("/nowhere"),
            tag: "/test:process:1",
            stdout: stdout.try_clone().expect("a descriptor"),
            stderr: tempfile::tempfile().expect("a file"),
        })
        .expect("sh starts")
    }

    fn ended(process: &Process) -> Status {
        loop {
            signals::wait_for(&[process.fd()], std::time::Duration::from_secs(10));
            if let Some(status) = process.reap().expect("ours to wait for") {
                return status;
            }
        }
    }

    fn text(mut file: &File) -> String {
        let mut text = String::new();
        file.rewind().expect("a file");
        file.read_to_string(&mut text).expect("UTF-8");
        text
    }

    #[test]
    fn a_process_writes_straight_into_its_file() {
        let stdout = tempfile::tempfile().expect("a file");
        assert_eq!(ended(&launched("echo $IEPM_RUN $LC_ALL; exit 3", &stdout)), Status::Exited(3));
        assert_eq!(text(&stdout), "/test:process:1 C\n");
    }

    #[test]
    fn a_group_ends_with_its_leader() {
        let stdout = tempfile::tempfile().expect("a file");
        // The grandchild says its pid and outlives the leader, which ends at once.
        ended(&launched("sleep 600 & echo $!", &stdout));
        let pid: i32 = text(&stdout).trim().parse().expect("a pid");
        let pid = Pid::from_raw(pid).expect("positive");
        let gone = || match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => {
                signals::wait_for(&[fd.as_fd()], std::time::Duration::from_secs(10)) == [true]
            }
            Err(_) => true,
        };
        assert!(gone());
    }

    #[test]
    fn a_stopped_process_that_ignores_term_is_killed() {
        let stdout = tempfile::tempfile().expect("a file");
        let process = launched("trap '' TERM; echo ready; kill -STOP $$; sleep 600", &stdout);
        while text(&stdout).is_empty() {
            super::super::clock::pause(std::time::Duration::from_millis(2));
        }
        process.signal(Signal::TERM);
        process.signal(Signal::KILL);
        assert_eq!(ended(&process), Status::Signalled(9));
    }

    #[test]
    fn a_tool_that_is_not_there_is_named() {
        let argv = ["no-such-tool".to_owned()];
        let file = || tempfile::tempfile().expect("a file");
        let launch =
            Launch { argv: &argv, bin: Path::new("/"), tag: "", stdout: file(), stderr: file() };
        let error = start(launch).expect_err("nothing to start");
        assert_eq!(error.to_string(), "no-such-tool is not installed");
    }
}
