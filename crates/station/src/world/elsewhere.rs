//! The mark that another machine goes by this station's name: while it is there nothing is claimed.
//!
//! `load-scheduled` sets and clears it, `<keepalives>/elsewhere`; the daemons look before they claim.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::files::{self, Durable};

fn path(folder: &Path) -> PathBuf {
    folder.join("elsewhere")
}

/// Sets it; `why` is for people.
///
/// # Errors
/// As the system calls.
pub fn set(folder: &Path, why: &str) -> io::Result<()> {
    if is_set(folder) {
        return Ok(());
    }
    files::replace(&path(folder), format!("{why}\n").as_bytes(), Durable::WithinThisBoot)
}

/// Clears it.
///
/// # Errors
/// As `unlink(2)`.
pub fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_file(path(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What is said of it, if it is set.
#[must_use]
pub fn why(folder: &Path) -> Option<String> {
    let why = fs::read_to_string(path(folder)).ok()?;
    Some(why.trim().to_owned())
}

/// Whether it is set.
#[must_use]
pub fn is_set(folder: &Path) -> bool {
    path(folder).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_set_and_cleared_as_often_as_one_likes() {
        let folder = tempfile::tempdir().expect("a folder");
        for _ in 0..2 {
            set(folder.path(), "because").expect("set");
            assert!(is_set(folder.path()));
            assert_eq!(why(folder.path()).as_deref(), Some("because"));
        }
        for _ in 0..2 {
            clear(folder.path()).expect("cleared");
            assert!(!is_set(folder.path()) && why(folder.path()).is_none());
        }
    }
}
