//! A small file system of a story's own. Needs root.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::{command, succeed};

/// A small file system of its own.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// One of so many megabytes, in memory.
    #[track_caller]
    pub fn of(megabytes: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let size = format!("size={megabytes}m");
        succeed(command("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()));
        Self(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it to the last block; gives the file that does.
    #[track_caller]
    pub fn fill(&self) -> PathBuf {
        let filler = self.path().join("filler");
        let of = format!("of={}", filler.display());
        let full = command("dd").args(["if=/dev/zero", "bs=4096"]).arg(of).output();
        assert!(!full.expect("dd starts").status.success(), "the disk is full");
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = command("umount").arg("-l").arg(self.path()).output();
    }
}
