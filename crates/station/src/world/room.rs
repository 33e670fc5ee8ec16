//! How much room a file system has left.

use std::{io, path::Path};

use rustix::fs::{stat, statvfs};

/// The room of a file system, as its ordinary users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Which file system it is, as long as it is mounted.
    pub device: u64,
    /// Bytes that we may still write.
    pub free: u64,
    /// Bytes that we may write in all.
    pub bytes: u64,
    /// Files that we may still make.
    pub free_files: u64,
    /// Files that there may be; 0 where nobody counts them.
    pub files: u64,
}

/// The room where `path` is.
///
/// # Errors
/// As `statvfs(2)` and `stat(2)`.
pub fn of(path: &Path) -> io::Result<Room> {
    let (system, place) = (statvfs(path)?, stat(path)?);
    // What is kept for root is neither free for us nor taken by anybody.
    let kept = system.f_bfree.saturating_sub(system.f_bavail);
    Ok(Room {
        device: place.st_dev,
        free: system.f_bavail.saturating_mul(system.f_frsize),
        bytes: system.f_blocks.saturating_sub(kept).saturating_mul(system.f_frsize),
        free_files: system.f_favail,
        files: system.f_files,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_free_than_there_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let room = of(folder.path()).expect("a look");
        assert!(room.free <= room.bytes && room.bytes > 0, "{room:?}");
        assert!(room.files == 0 || room.free_files <= room.files, "{room:?}");
        assert!(of(Path::new("/no/such/place")).is_err());
    }
}
