//! "Is it running?" asks a held lock, never a pid.
//!
//! The lock is `flock(2)` on `<keepalives>/<name>.lock`. The kernel lets go of it when its holder
//! ends, however it ends; no child inherits it, for the descriptor is closed at `exec`. The file
//! holds the pid for people, and stays when the lock is gone.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::processes::{self, Process};

/// How often, and how long apart, a lock is tried: [`is_held`] holds it for an instant.
const TRIES: (u32, Duration) = (5, Duration::from_millis(20));

/// A lock that is held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.lock"))
}

/// Takes the lock, or says by `None` that somebody else holds it.
///
/// # Errors
/// As `open(2)` and `flock(2)`.
pub fn try_lock(folder: &Path, name: &str) -> io::Result<Option<Lock>> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o640)
        .open(path(folder, name))?;
    let (tries, pause) = TRIES;
    for attempt in 1..=tries {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                // The pid is for people: a full disk must not keep a daemon from starting.
                let _ = writeln!(file, "{}", std::process::id());
                return Ok(Some(Lock { _file: file }));
            }
            Err(Errno::WOULDBLOCK) if attempt < tries => super::clock::pause(pause),
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Whether somebody holds the lock.
///
/// # Errors
/// As `open(2)` and `flock(2)`.
pub fn is_held(folder: &Path, name: &str) -> io::Result<bool> {
    let file = match File::open(path(folder, name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The process that holds a lock; `None` while nobody holds it. The number in the lock alone is not
/// believed: it may be one of another process namespace, or still that of the holder before.
///
/// # Errors
/// As [`holder`]; and somebody holds it who is not to be seen.
pub fn holding_process(folder: &Path, name: &str) -> io::Result<Option<Process>> {
    let Some(pid) = holder(folder, name)? else { return Ok(None) };
    match processes::of(pid)? {
        Some(process) if process.has_open(&path(folder, name))? => Ok(Some(process)),
        // It may have ended just now.
        _ if !is_held(folder, name)? => Ok(None),
        _ => Err(io::Error::other(format!(
            "its lock is held, and not by process {pid}, whose number stands in it"
        ))),
    }
}

/// The pid that the holder of a lock wrote into it; `None` while nobody holds it.
///
/// # Errors
/// As [`is_held`], and as `read(2)`.
pub fn holder(folder: &Path, name: &str) -> io::Result<Option<i32>> {
    if !is_held(folder, name)? {
        return Ok(None);
    }
    let written = std::fs::read_to_string(path(folder, name))?;
    let pid = written.trim().parse().map_err(|_| {
        io::Error::other(format!("{} is held and names no pid", path(folder, name).display()))
    })?;
    Ok(Some(pid))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_lock_is_held_once_and_given_back() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!is_held(folder.path(), "pingd").expect("a look"));
        let lock = try_lock(folder.path(), "pingd").expect("a folder to write in");
        assert!(lock.is_some() && is_held(folder.path(), "pingd").expect("a look"));
        assert!(try_lock(folder.path(), "pingd").expect("a try").is_none());
        assert!(try_lock(folder.path(), "traced").expect("a try").is_some());
        let own = i32::try_from(std::process::id()).expect("small");
        assert_eq!(holder(folder.path(), "pingd").expect("a look"), Some(own));
        let process = holding_process(folder.path(), "pingd").expect("a look");
        assert_eq!(process.map(|process| process.identity.pid), Some(own));
        fs::write(path(folder.path(), "pingd"), "1\n").expect("room");
        assert!(
            holding_process(folder.path(), "pingd").is_err(),
            "process 1 holds nothing of ours"
        );
        drop(lock);
        assert_eq!(holder(folder.path(), "pingd").expect("a look"), None);
        assert!(try_lock(folder.path(), "pingd").expect("a try").is_some());
    }
}
