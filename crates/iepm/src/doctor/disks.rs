//! The file systems of the station: room for bytes, and for files.

use std::path::{Path, PathBuf};

use station::{
    words::config::Config,
    world::room::{self, Room},
};

use super::finding::{Finding, Severity};

/// Less than this part of a file system free is critical; less than twice as much, worth a warning.
const SCARCE: u64 = 20;
/// Whatever part it is of a large disk: so many bytes last for a while.
const PLENTY: u64 = 10 << 30;

/// A file system, and the directory of the station that lies on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    path: PathBuf,
    room: Room,
}

/// Looks at each file system once; a directory that is not there yet lies where the one above it does.
pub(super) fn look(config: &Config) -> Vec<Disk> {
    let database = config.database.file().and_then(Path::parent);
    let paths = [&config.paths.data, &config.paths.log, &config.paths.keepalives];
    let mut disks: Vec<Disk> = Vec::new();
    for path in paths.into_iter().map(PathBuf::as_path).chain(database) {
        let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let Ok(room) = room::of(there) else { continue };
        if disks.iter().all(|disk| disk.room.device != room.device) {
            disks.push(Disk { path: path.to_path_buf(), room });
        }
    }
    disks
}

/// What is wrong with them.
pub(super) fn judge(disks: &[Disk]) -> Vec<Finding> {
    let findings = |disk: &Disk| {
        let Disk { path, room } = disk;
        let shown = path.display();
        let bytes = scarcity(room.free, room.bytes).filter(|_| room.free < PLENTY);
        let bytes = bytes.map(|(severity, percent)| {
            let left = room.free >> 20;
            let what = format!("{percent} % free ({left} MiB) on the file system of {shown}");
            let todo = "make room: `iepm prune` deletes what [retention] does not keep; results wait meanwhile";
            Finding::new(severity, format!("disk {shown}"), what, todo)
        });
        let files = scarcity(room.free_files, room.files).map(|(severity, percent)| {
            let what = format!("{percent} % of the files left on the file system of {shown}");
            let todo = "delete many small files: `iepm prune` deletes loaded ones; `df -i` shows the count";
            Finding::new(severity, format!("files {shown}"), what, todo)
        });
        [bytes, files].into_iter().flatten()
    };
    disks.iter().flat_map(findings).collect()
}

/// How grave it is that so much is free, and how many percent that is.
fn scarcity(free: u64, all: u64) -> Option<(Severity, u64)> {
    // A file system that does not count its files has none of them.
    let percent = free.saturating_mul(100).checked_div(all)?;
    let severity = match free.saturating_mul(SCARCE) {
        scarce if scarce < all => Severity::Critical,
        scarce if scarce < all.saturating_mul(2) => Severity::Warning,
        _ => return None,
    };
    Some((severity, percent))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity::{Critical, Warning};
    use super::*;

    const GIB: u64 = 1 << 30;

    fn judged(free: u64, bytes: u64, free_files: u64, files: u64) -> Vec<(Severity, String)> {
        let room = Room { device: 1, free, bytes, free_files, files };
        let findings = judge(&[Disk { path: "/d".into(), room }]);
        findings.into_iter().map(|finding| (finding.severity, finding.what)).collect()
    }

    #[test]
    fn a_file_system_grows_full_in_two_steps() {
        let told =
            |severity, what: &str| vec![(severity, format!("{what} on the file system of /d"))];
        for (free, bytes, free_files, files, expected) in [
            (10 * GIB, 100 * GIB, 50, 100, vec![]),
            (9 * GIB, 100 * GIB, 50, 100, told(Warning, "9 % free (9216 MiB)")),
            (4 * GIB, 100 * GIB, 50, 100, told(Critical, "4 % free (4096 MiB)")),
            (0, GIB, 0, 0, told(Critical, "0 % free (0 MiB)")),
            // Two percent of a large disk are plenty.
            (20 * GIB, 1_000 * GIB, 0, 0, vec![]),
            (50 * GIB, 100 * GIB, 9, 100, told(Warning, "9 % of the files left")),
            (50 * GIB, 100 * GIB, 4, 100, told(Critical, "4 % of the files left")),
        ] {
            assert_eq!(judged(free, bytes, free_files, files), expected, "{free} of {bytes}");
        }
    }

    #[test]
    fn directories_on_one_file_system_are_told_once() {
        let home = tempfile::tempdir().expect("a folder");
        assert_eq!(look(&Config::default_at(home.path())).len(), 1);
    }
}
