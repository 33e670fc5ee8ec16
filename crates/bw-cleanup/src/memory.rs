//! What one run leaves for the next: `<keepalives>/bw-cleanup.state`.
//!
//! Not fsynced: a file that a power loss broke is one that is not there, and costs one period of cron
//! and the count.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use station::world::files::{self, Durable};

use crate::decide::Sighting;

/// What the file holds, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The boot that the sightings are of.
    pub boot_id: String,
    /// The processes that the last run found too old.
    pub sightings: Vec<Sighting>,
    /// The station's list when it last was without mistakes.
    pub list: Option<String>,
    /// How many processes were ended so far, by the names of the list.
    pub ended: BTreeMap<String, u64>,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("bw-cleanup.state")
}

impl Memory {
    /// What the last run left, as far as it is of use in this boot. A file that cannot be read, or is
    /// none, is told; it is as good as none.
    #[must_use]
    pub fn read(folder: &Path, boot_id: &str) -> Self {
        let memory = match fs::read(path(folder)) {
            Ok(content) => serde_json::from_slice(&content).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        };
        let mut memory: Self = memory.unwrap_or_else(|error| {
            log::warn!("{} is of no use, and made anew: {error}", path(folder).display());
            Self::default()
        });
        if memory.boot_id != boot_id {
            memory.sightings.clear();
            boot_id.clone_into(&mut memory.boot_id);
        }
        memory
    }

    /// Keeps it for the next run.
    ///
    /// # Errors
    /// As the system calls.
    pub fn keep(&self, folder: &Path) -> io::Result<()> {
        files::replace(&path(folder), &serde_json::to_vec(self)?, Durable::WithinThisBoot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sightings_are_of_one_boot_the_rest_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory {
            boot_id: "one".into(),
            sightings: vec![Sighting { pid: 7, start_ticks: 8, first_us: 9, stays: false }],
            list: Some("gnuplot,5".into()),
            ended: BTreeMap::from([("gnuplot".into(), 3)]),
        };
        memory.keep(folder.path()).expect("kept");
        assert_eq!(Memory::read(folder.path(), "one"), memory);
        let next = Memory { boot_id: "two".into(), sightings: Vec::new(), ..memory };
        assert_eq!(Memory::read(folder.path(), "two"), next);
    }

    #[test]
    fn a_broken_file_is_no_history() {
        let folder = tempfile::tempdir().expect("a folder");
        let none = Memory { boot_id: "one".into(), ..Memory::default() };
        assert_eq!(Memory::read(folder.path(), "one"), none);
        let broken: [&[u8]; 5] =
            [b"", b"{\"boot_id\":", b"[1]", b"\xff\0", b"{\"sightings\":[{\"pid\":-99999999999}]}"];
        for content in broken {
            fs::write(path(folder.path()), content).expect("written");
            assert_eq!(Memory::read(folder.path(), "one"), none);
        }
        fs::write(path(folder.path()), "{\"later\":1}").expect("written");
        assert_eq!(Memory::read(folder.path(), "one"), none);
    }
}
