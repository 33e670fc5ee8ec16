//! Processes that outlive us: servers and daemons that a watchdog starts from cron.
//!
//! Such a process has a session of its own, and nothing of ours: no terminal, no descriptor but its
//! three (cron waits until nobody holds the pipe that it reads our output from, and a lock that a server
//! took over would keep the next watchdog out), no signal that cron or `nohup` had ignored, no
//! [`TAG`] that would make it one of a daemon's runs.
//!
//! It is our child while we live, so that we can see whether it stays up and how it ended; after us it is
//! nobody's.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::Stdio,
    time::Duration,
};

use rustix::{
    fs::Mode,
    process::{
        Pid, PidfdFlags, Resource, Rlimit, WaitId, WaitIdOptions, getrlimit, pidfd_open, setrlimit,
        setsid, umask, waitid,
    },
};

use super::{
    clock::{Clock, SystemClock},
    process::{self, STARTED_BY, Status, TAG},
    signals,
};

/// What to start, and where its output goes.
#[derive(Debug)]
pub struct Start<'a> {
    /// The program's file, an absolute path.
    pub program: &'a Path,
    /// Its arguments, without its own name.
    pub arguments: &'a [String],
    /// The name that it is given, if that is not its path.
    pub argv0: Option<&'a str>,
    /// Its working directory.
    pub folder: &'a Path,
    /// Its standard output; opened for appending, so that a log that is cut short has no hole.
    pub stdout: File,
    /// Its standard error.
    pub stderr: File,
}

/// A process that was started here and goes on without us.
#[derive(Debug)]
pub struct Detached {
    pid: Pid,
    pidfd: OwnedFd,
}

/// What a started process may do to its files' rights: nothing for others, no writing by the group.
const UMASK: Mode = Mode::WGRP.union(Mode::RWXO);
/// What `select(2)` can watch.
const USUAL_DESCRIPTORS: u64 = 1_024;
/// The highest descriptor that is looked for where the kernel cannot close all of them at once.
const MOST_DESCRIPTORS: u64 = 65_536;

/// Starts a process that goes on when we end.
///
/// # Errors
/// As `execve(2)`, and as `chdir(2)` of its working directory.
pub fn start(start: Start<'_>) -> io::Result<Detached> {
    let mut command = process::command(start.program, start.arguments);
    if let Some(name) = start.argv0 {
        command.arg0(name);
    }
    command.current_dir(start.folder).env_remove(TAG);
    command.env(STARTED_BY, rustix::process::getuid().as_raw().to_string());
    command.stdin(Stdio::null()).stdout(start.stdout).stderr(start.stderr);
    let descriptors = descriptors();
    #[expect(unsafe_code, reason = "a session is made between fork and exec, or not at all")]
    // SAFETY: `detach` makes system calls only, all of them safe after `fork(2)`; it allocates nothing.
    unsafe {
        command.pre_exec(move || detach(descriptors));
    }
    let child = command.spawn()?;
    let pid = Pid::from_child(&child);
    // Nobody but `Detached` reaps it, so this is its pid and nobody else's.
    Ok(Detached { pid, pidfd: pidfd_open(pid, PidfdFlags::empty())? })
}

/// How many descriptors we may have open.
fn descriptors() -> i32 {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(MOST_DESCRIPTORS);
    i32::try_from(limit.min(MOST_DESCRIPTORS)).unwrap_or(i32::MAX)
}

/// Between `fork(2)` and `execve(2)`.
fn detach(descriptors: i32) -> io::Result<()> {
    setsid()?;
    umask(UMASK);
    usual_descriptor_limit();
    child::default_signals();
    child::close_others_at_exec(descriptors);
    Ok(())
}

/// So many open files as a program is used to, whatever we needed ourselves: some have room for no more.
fn usual_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let usual = limit.maximum.map_or(USUAL_DESCRIPTORS, |most| most.min(USUAL_DESCRIPTORS));
    // Lowering one's own limit is not refused; if it were, more would do no harm here.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(usual), ..limit });
}

#[expect(unsafe_code, reason = "these system calls have no safe wrapper")]
mod child {
    /// The first descriptor beyond standard input, output and error.
    const FIRST: i32 = 3;
    /// The last signal of Linux.
    const LAST_SIGNAL: i32 = 64;

    /// What was ignored stays so over an `execve(2)`; the mask is emptied by the standard library.
    pub(super) fn default_signals() {
        for signal in 1..=LAST_SIGNAL {
            // SAFETY: no handler is set. KILL, STOP and the C library's own signals are refused: harmless.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }

    /// Not closed at once: by one of them `spawn` is told that `execve(2)` failed.
    pub(super) fn close_others_at_exec(descriptors: i32) {
        let (first, last) = (FIRST.unsigned_abs(), libc::c_uint::MAX);
        // SAFETY: it takes numbers only, and a range without descriptors is none of its faults.
        let all =
            unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
        // A kernel before 5.11 does not know how.
        if all != 0 {
            close_each_at_exec(descriptors);
        }
    }

    pub(super) fn close_each_at_exec(descriptors: i32) {
        for descriptor in FIRST..descriptors {
            // SAFETY: numbers only; one that is not open is refused.
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

impl Detached {
    /// Its process id, which is also that of its group and of its session.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Readable when it has ended.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// How it ended, if it has. It stays a zombie, and its pid its own, as long as this lives.
    ///
    /// # Errors
    /// As `waitid(2)`.
    pub fn ended(&self) -> io::Result<Option<Status>> {
        self.wait(WaitIdOptions::NOWAIT)
    }

    /// Waits for its end, at most `length`; says how it ended, if it did.
    ///
    /// # Errors
    /// As `waitid(2)`.
    pub fn watch(&self, length: Duration) -> io::Result<Option<Status>> {
        let until = SystemClock.moment().monotonic + length;
        loop {
            let left = SystemClock.moment().monotonic.until(until);
            match self.ended()? {
                None if !left.is_zero() => signals::wait_for(&[self.fd()], left),
                ended => return Ok(ended),
            };
        }
    }

    fn wait(&self, more: WaitIdOptions) -> io::Result<Option<Status>> {
        let pidfd = WaitId::PidFd(self.pidfd.as_fd());
        let status = waitid(pidfd, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | more)?;
        Ok(status.map(|status| Status::of(&status)))
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        // One that has ended is reaped; one that goes on is left alone. There is nothing to say of either.
        let _ = self.wait(WaitIdOptions::empty());
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, os::unix::fs::PermissionsExt};

    use rustix::process::{Signal, kill_process};

    use super::*;
    use crate::world::processes;

    fn output() -> File {
        tempfile::tempfile().expect("a file")
    }

    fn started(argv: &[&str], folder: &Path) -> Detached {
        let [program, arguments @ ..] = argv else { panic!("no program") };
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        start(Start {
            program: Path::new(program),
            arguments: &arguments,
            argv0: None,
            folder,
            stdout: output(),
            stderr: output(),
        })
        .expect("it starts")
    }

    /// Ends a process, also when the test fails.
    struct Ended(i32);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = kill_process(Pid::from_raw(self.0).expect("a pid"), Signal::KILL);
        }
    }

    fn descriptors_of(pid: i32) -> Vec<String> {
        let names = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = names.map(|entry| name(entry.expect("a name"))).collect();
        names.sort();
        names
    }

    #[test]
    fn it_has_a_session_of_its_own_and_three_descriptors() {
        // A careless descriptor: `dup(2)` does not close it at exec.
        let careless = rustix::io::dup(output()).expect("a descriptor");
        let detached = started(&["/bin/sleep", "600"], Path::new("/"));
        let _end = Ended(detached.pid());
        let seen = processes::of(detached.pid()).expect("a look").expect("it runs");
        assert_eq!((seen.session, seen.group), (detached.pid(), detached.pid()));
        // The loader of the program opens libraries, and closes them; what it inherited would stay.
        while descriptors_of(detached.pid()) != ["0", "1", "2"] {
            assert!(seen.started() + Duration::from_secs(60) > SystemClock.moment().boot);
            crate::world::clock::pause(Duration::from_millis(2));
        }
        let stdin = fs::read_link(format!("/proc/{}/fd/0", detached.pid())).expect("it runs");
        assert_eq!(stdin, Path::new("/dev/null"));
        assert_eq!(detached.ended().expect("ours"), None);
        drop(careless);
    }

    #[test]
    fn a_kernel_that_cannot_close_a_range_is_done_without() {
        let careless = rustix::io::dup(output()).expect("a descriptor");
        // What the child does on such a kernel, done to ourselves: nothing is closed before an exec.
        child::close_each_at_exec(descriptors());
        let flags = rustix::io::fcntl_getfd(&careless).expect("it is open");
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn it_works_in_its_folder_with_rights_for_nobody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = "echo $0 ${IEPM_RUN-none} >file; pwd >&2";
        let arguments = ["-c", script].map(str::to_owned);
        let mut stderr = output();
        let detached = start(Start {
            program: Path::new("/bin/sh"),
            arguments: &arguments,
            argv0: Some("bw-iperf-server"),
            folder: folder.path(),
            stdout: output(),
            stderr: stderr.try_clone().expect("a descriptor"),
        });
        let ended = detached.expect("it starts").watch(Duration::from_secs(60)).expect("ours");
        assert_eq!(ended, Some(Status::Exited(0)));
        let file = folder.path().join("file");
        assert_eq!(fs::read_to_string(&file).expect("made"), "bw-iperf-server none\n");
        assert_eq!(fs::metadata(&file).expect("made").permissions().mode() & 0o777, 0o640);
        let mut said = String::new();
        io::Seek::rewind(&mut stderr).expect("a file");
        io::Read::read_to_string(&mut stderr, &mut said).expect("text");
        assert_eq!(Path::new(said.trim()), folder.path().canonicalize().expect("a folder"));
    }

    #[test]
    fn how_it_ended_is_seen_as_often_as_it_is_asked() {
        let detached = started(&["/bin/sh", "-c", "exit 78"], Path::new("/"));
        assert_eq!(
            detached.watch(Duration::from_secs(60)).expect("ours"),
            Some(Status::Exited(78))
        );
        assert_eq!(detached.ended().expect("ours"), Some(Status::Exited(78)));
        let killed = started(&["/bin/sleep", "600"], Path::new("/"));
        assert_eq!(killed.watch(Duration::from_millis(20)).expect("ours"), None);
        drop(Ended(killed.pid()));
        assert_eq!(
            killed.watch(Duration::from_secs(60)).expect("ours"),
            Some(Status::Signalled(9))
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_told() {
        let missing = Start {
            program: Path::new("/no/such/program"),
            arguments: &[],
            argv0: None,
            folder: Path::new("/"),
            stdout: output(),
            stderr: output(),
        };
        let error = start(missing).expect_err("nothing to start");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    /// The test calls itself for a watchdog that ends: this variable tells it which of them it is.
    const WATCHDOG: &str = "IEPM_TEST_WATCHDOG";

    #[test]
    fn it_outlives_who_started_it_and_ignores_nothing() {
        if env::var_os(WATCHDOG).is_some() {
            let detached = started(&["/bin/sleep", "600"], Path::new("/"));
            println!("started {}", detached.pid());
            return;
        }
        let own = env::current_exe().expect("a test knows its place");
        let name = "world::detached::tests::it_outlives_who_started_it_and_ignores_nothing";
        // As cron and nohup do it.
        let script = "trap '' HUP INT USR1; exec \"$@\"";
        let mut watchdog = process::command(Path::new("/bin/sh"), ["-c", script, "sh"]);
        watchdog.arg(own).args(["--exact", name, "--nocapture"]).env(WATCHDOG, "1");
        let said = watchdog.output().expect("it starts");
        assert!(said.status.success(), "{said:?}");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let pid = said.split("started ").nth(1).and_then(|rest| rest.lines().next());
        let pid: i32 = pid.and_then(|pid| pid.trim().parse().ok()).expect(&said);
        let _end = Ended(pid);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it goes on");
        // The C library keeps signals 32 and 33 for itself, and leaves them as it got them.
        let none = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field)).expect(field);
            u64::from_str_radix(line.trim(), 16).expect(field) & !(0b11 << 31) == 0
        };
        assert!(none("SigIgn:") && none("SigBlk:"), "{status}");
        assert!(!status.contains("State:\tZ"), "{status}");
    }
}
