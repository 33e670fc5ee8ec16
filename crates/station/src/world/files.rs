//! Files that are whole or not there.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Owner and group read, only the owner writes.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

/// Makes `path` and what is missing above it, 0750.
///
/// # Errors
/// As `mkdir(2)`.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

/// Opens `path` for writing, new and empty, 0640.
///
/// # Errors
/// As `open(2)`.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)
}

/// How much a replaced file must outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// The machine may lose power the moment after.
    AgainstPowerLoss,
    /// Only this program may die: what a boot makes worthless anyway.
    WithinThisBoot,
}

/// Replaces `path` by `content`: readers see the old file or the new one, never a part.
///
/// # Errors
/// As the system calls; then `path` is as it was.
pub fn replace(path: &Path, content: &[u8], durable: Durable) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let written =
        write_beside(Path::new(&beside), content, durable).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Nothing more can be done about a file that cannot be removed; the first failure is what matters.
        let _ = fs::remove_file(&beside);
    }
    written?;
    match (durable, path.parent()) {
        (Durable::AgainstPowerLoss, Some(parent)) => sync_directory(parent),
        _ => Ok(()),
    }
}

fn write_beside(path: &Path, content: &[u8], durable: Durable) -> io::Result<()> {
    let mut file = create(path)?;
    file.write_all(content)?;
    if durable == Durable::AgainstPowerLoss { file.sync_all() } else { Ok(()) }
}

/// Makes the names in a directory outlive a power loss.
///
/// # Errors
/// As `fsync(2)`.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Whether others than the owner may write to `path`: such a configuration is refused.
///
/// # Errors
/// As `stat(2)`.
pub fn writable_by_others(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o022 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        replace(&path, b"one", Durable::AgainstPowerLoss).expect("written");
        replace(&path, b"two", Durable::WithinThisBoot).expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"two");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a-directory");
        make_directory(&path.join("full")).expect("made");
        assert!(replace(&path, b"x", Durable::WithinThisBoot).is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
