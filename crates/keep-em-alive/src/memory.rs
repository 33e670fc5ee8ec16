//! What is kept between two runs: one file for all daemons.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};
use station::world::files::{self, Durable};

use crate::judge::Memory;

/// The memory of all daemons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memories {
    /// By their names.
    pub daemons: BTreeMap<String, Memory>,
    /// What was told of the station's configuration last; empty when it is good.
    pub told: String,
}

const FILE: &str = "keep-em-alive.state";

impl Memories {
    /// What the last run has kept. A file that is not there, or is none of ours, is no memory: then
    /// everything is seen for the first time.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let content = fs::read(folder.join(FILE)).unwrap_or_default();
        serde_json::from_slice(&content).unwrap_or_default()
    }

    /// Keeps it for the next run.
    ///
    /// # Errors
    /// As the system calls.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        // After a power loss there is another boot, in which most of it means nothing.
        files::replace(&folder.join(FILE), &serde_json::to_vec(self)?, Durable::WithinThisBoot)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_kept_is_remembered() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Memories::read(folder.path()), Memories::default());
        let mut memories = Memories::default();
        memories.daemons.insert("pingd".to_owned(), Memory::default());
        memories.told = "broken".to_owned();
        memories.write(folder.path()).expect("room");
        assert_eq!(Memories::read(folder.path()), memories);
    }

    proptest! {
        #[test]
        fn a_file_of_anybody_is_no_memory(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join(FILE), content).expect("room");
            let _ = Memories::read(folder.path());
        }
    }
}
