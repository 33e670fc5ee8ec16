//! Programs that are run to their end: given a text, listened to, and not waited for for ever.
//!
//! What they read and write are files in memory, so that none of them can wait for us while we wait for
//! it. One that takes too long is ended with its process group; what one that has ended in time leaves
//! behind goes on (`mail` hands its letter to a process that it does not wait for).

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    path::Path,
    process::Child,
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};

use super::{
    clock::{Clock, SystemClock},
    process::{self, TAG},
    signals,
};

/// How long a program that was asked to end may take, before it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// More of what a program says is not listened to, bytes: far more than the status of the largest station.
const MOST: u64 = 64 << 20;

/// What to run.
#[derive(Debug)]
pub struct Errand<'a> {
    /// The program's file.
    pub program: &'a Path,
    /// Its arguments, without its own name.
    pub arguments: &'a [&'a str],
    /// Variables that it is given beyond ours.
    pub variables: &'a [(&'a str, &'a str)],
    /// What it reads.
    pub input: &'a [u8],
    /// How long it may take.
    pub limit: Duration,
}

/// What became of it.
#[derive(Debug)]
pub struct Done {
    /// Its exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to its standard output.
    pub output: Vec<u8>,
    /// What it wrote to its standard error, for people.
    pub complaint: String,
}

/// Runs a program to its end.
///
/// # Errors
/// As `execve(2)`; [`io::ErrorKind::TimedOut`] when it took too long and was ended.
pub fn run(errand: &Errand<'_>) -> io::Result<Done> {
    let (mut input, mut output, mut complaint) =
        (memory("input")?, memory("output")?, memory("complaint")?);
    input.write_all(errand.input)?;
    input.rewind()?;
    let mut command = process::command(errand.program, errand.arguments);
    command.envs(errand.variables.iter().copied()).env("LC_ALL", "C").env_remove(TAG);
    command.stdin(input).stdout(output.try_clone()?).stderr(complaint.try_clone()?);
    let mut child = command.process_group(0).spawn()?;
    let in_time = wait(&child, errand.limit);
    if !in_time.as_ref().is_ok_and(|ended| *ended) {
        end(&child);
    }
    let status = child.wait()?;
    if in_time? {
        let complaint = String::from_utf8_lossy(&read(&mut complaint)?).trim().to_owned();
        Ok(Done { status: status.code(), output: read(&mut output)?, complaint })
    } else {
        let limit = errand.limit.as_secs();
        let why = format!("it took more than {limit}s and was ended");
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    }
}

fn memory(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.rewind()?;
    file.take(MOST).read_to_end(&mut content)?;
    Ok(content)
}

/// Waits for its end, at most `length`; says whether it has ended. It is not reaped.
fn wait(child: &Child, length: Duration) -> io::Result<bool> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let until = SystemClock.moment().monotonic + length;
    loop {
        let left = SystemClock.moment().monotonic.until(until);
        if signals::wait_for(&[pidfd.as_fd()], left) == [true] {
            return Ok(true);
        }
        if left.is_zero() {
            return Ok(false);
        }
    }
}

/// Ends it with its group, which is its own as long as it is not reaped.
fn end(child: &Child) {
    let tell = |signal| match kill_process_group(Pid::from_child(child), signal) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => log::error!("cannot signal process {}: {error}", child.id()),
    };
    tell(Signal::TERM);
    tell(Signal::CONT);
    // Whether it heard or not: the rest of its group may not have.
    let _ = wait(child, GRACE);
    tell(Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: u64) -> io::Result<Done> {
        run(&Errand {
            program: Path::new("/bin/sh"),
            arguments: &["-c", script],
            variables: &[("WORD", "said")],
            input: b"given",
            limit: Duration::from_secs(limit),
        })
    }

    #[test]
    fn what_it_reads_and_says_is_passed_on() {
        let done = shell("cat; echo \" $WORD\"; echo '  oh ' >&2; exit 3", 20).expect("it ends");
        assert_eq!((done.status, done.complaint.as_str()), (Some(3), "oh"));
        assert_eq!(done.output, b"given said\n");
        assert_eq!(shell("kill -9 $$", 20).expect("it ends").status, None);
    }

    #[test]
    fn what_takes_too_long_is_ended_with_its_group() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = super::super::lock::try_lock(folder.path(), "held").expect("a try");
        drop(lock);
        let path = folder.path().join("held.lock");
        // The grandchild holds the lock, hears nothing but KILL, and would hold it for long.
        let script = format!(
            "trap '' TERM; flock {} sh -c \"trap '' TERM; while :; do sleep 1; done\"",
            path.display()
        );
        let error = shell(&script, 1).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let again = super::super::lock::try_lock(folder.path(), "held").expect("a try");
        assert!(again.is_some(), "nothing of it goes on");
    }

    #[test]
    fn what_it_leaves_behind_when_it_ends_in_time_goes_on() {
        let done = shell("sleep 600 >/dev/null 2>&1 & echo $!", 20).expect("it ends");
        let pid = String::from_utf8(done.output).expect("a pid");
        let process = super::super::processes::of(pid.trim().parse().expect("a pid"));
        let process = process.expect("a look").expect("it goes on");
        assert!(process.signal(Signal::KILL).expect("ours"));
    }
}
