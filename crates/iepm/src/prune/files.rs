//! Result files that were loaded or rejected long ago.

use std::{fs, io, path::Path};

use station::{
    app::{Exit, Failure},
    text::Timestamp,
};
use walkdir::{DirEntry, WalkDir};

/// Deletes the files of each day whose end was before `before`; says how many.
pub(super) fn prune_days(folder: &Path, before: Timestamp, dry_run: bool) -> Result<u64, Failure> {
    let cut: String = before.to_string().chars().take(10).collect();
    let days = WalkDir::new(folder).min_depth(1).max_depth(1).sort_by_file_name();
    let mut files = 0;
    for day in days {
        let Some(day) = there(day).map_err(|error| failed(folder, error))? else { continue };
        let name = day.file_name().to_string_lossy();
        if is_day(&name) && *name < *cut {
            files += remove_day(day.path(), dry_run).map_err(|error| failed(day.path(), error))?;
        }
    }
    Ok(files)
}

/// `2026-11-24`.
fn is_day(name: &str) -> bool {
    let place = |(index, c): (usize, char)| match index {
        4 | 7 => c == '-',
        _ => c.is_ascii_digit(),
    };
    name.len() == 10 && name.chars().enumerate().all(place)
}

fn remove_day(day: &Path, dry_run: bool) -> io::Result<u64> {
    let mut files = 0;
    for entry in WalkDir::new(day).contents_first(true) {
        let Some(entry) = there(entry)? else { continue };
        files += u64::from(!entry.file_type().is_dir());
        if !dry_run {
            remove(&entry)?;
        }
    }
    Ok(files)
}

/// Deletes the files that were written before `before`; says how many.
pub(super) fn prune_files(folder: &Path, before: Timestamp, dry_run: bool) -> Result<u64, Failure> {
    let mut files = 0;
    for entry in WalkDir::new(folder).min_depth(1) {
        let Some(entry) = there(entry).map_err(|error| failed(folder, error))? else { continue };
        if entry.file_type().is_file() && written(&entry).is_some_and(|time| time < before) {
            files += 1;
            if !dry_run {
                remove(&entry).map_err(|error| failed(entry.path(), error))?;
            }
        }
    }
    Ok(files)
}

fn written(entry: &DirEntry) -> Option<Timestamp> {
    let modified = entry.metadata().ok()?.modified().ok()?;
    Some(Timestamp::of(modified))
}

/// An entry; nothing for one that somebody else has removed meanwhile.
fn there(entry: walkdir::Result<DirEntry>) -> io::Result<Option<DirEntry>> {
    unless_gone(entry.map_err(io::Error::from))
}

fn remove(entry: &DirEntry) -> io::Result<()> {
    let path = entry.path();
    let removed =
        if entry.file_type().is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
    unless_gone(removed).map(|_| ())
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::new(Exit::NeedsPerson, format!("pruning {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        time::{Duration, SystemTime},
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000); // 2026-09-21

    #[test]
    fn whole_days_go_when_their_end_is_too_long_ago() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["2026-09-20/1.ping", "2026-09-20/2.ping", "2026-09-21/3.ping", "notes/4.ping"]
        {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "x").expect("written");
        }
        assert_eq!(prune_days(folder.path(), NOW, true).expect("counted"), 2);
        assert!(folder.path().join("2026-09-20/1.ping").exists());
        assert_eq!(prune_days(folder.path(), NOW, false).expect("pruned"), 2);
        assert!(!folder.path().join("2026-09-20").exists());
        assert!(folder.path().join("2026-09-21/3.ping").exists());
        assert!(folder.path().join("notes/4.ping").exists());
    }

    #[test]
    fn files_go_by_the_time_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, seconds) in [("old.ping", 1_789_999_999), ("new.ping", 1_790_000_001)] {
            let file = File::create(folder.path().join(name)).expect("made");
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            file.set_modified(time).expect("mine");
        }
        assert_eq!(prune_files(folder.path(), NOW, true).expect("counted"), 1);
        assert_eq!(prune_files(folder.path(), NOW, false).expect("pruned"), 1);
        assert!(folder.path().join("new.ping").exists());
        assert!(!folder.path().join("old.ping").exists());
    }

    #[test]
    fn a_folder_that_is_not_there_holds_nothing() {
        let none = Path::new("/no/such/folder");
        assert_eq!(prune_days(none, NOW, false).expect("nothing"), 0);
        assert_eq!(prune_files(none, NOW, false).expect("nothing"), 0);
    }

    #[test]
    fn a_day_is_ten_characters_of_a_date() {
        assert!(is_day("2026-09-21"));
        for wrong in ["2026-9-21", "20260921", "2026-09-2x", "tmp"] {
            assert!(!is_day(wrong), "{wrong}");
        }
    }
}
