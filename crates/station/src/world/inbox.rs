//! The loader's side of the spool: what waits is listed, read, and moved on.
//!
//! Directories are held open, so that thousands of files are each found by their names alone.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat},
    io::Errno,
};

use crate::{text::Timestamp, words::run};

use super::{files, spool::Spool};

/// The data directory, held open, and where its files go.
#[derive(Debug)]
pub struct Inbox {
    data: PathBuf,
    directory: OwnedFd,
    loaded: PathBuf,
    rejected: PathBuf,
    /// The directory of the last move: mostly the next one goes there too.
    last: Option<(PathBuf, OwnedFd)>,
}

impl Inbox {
    /// Opens the inbox of a spool.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn open(spool: &Spool) -> io::Result<Self> {
        let (data, loaded, rejected) =
            (spool.data().to_path_buf(), spool.loaded(), spool.rejected());
        Ok(Self { directory: open_directory(&data)?, data, loaded, rejected, last: None })
    }

    /// Where a file is, for people.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// Reads the file `name` into `content`, in place of what that held.
    ///
    /// # Errors
    /// As `open(2)` and `read(2)`; a link is none of ours.
    pub fn read(&self, name: &str, content: &mut Vec<u8>) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.directory, name, flags, Mode::empty())?);
        content.resize(content.capacity().max(16 * 1024), 0);
        let mut length = 0;
        loop {
            if length == content.len() {
                content.resize(2 * length, 0);
            }
            match file.read(&mut content[length..])? {
                0 => break,
                more => length += more,
            }
        }
        content.truncate(length);
        Ok(())
    }

    /// Moves a loaded file to the folder of the day.
    ///
    /// # Errors
    /// As `mkdir(2)` and `rename(2)`, or, to another file system, as those that copy.
    pub fn archive(&mut self, name: &str, now: Timestamp) -> io::Result<()> {
        let day: String = now.to_string().chars().take(10).collect();
        self.move_into(&self.loaded.join(day), name)
    }

    /// Moves a file that was not understood away from the loader.
    ///
    /// # Errors
    /// As [`Self::archive`].
    pub fn reject(&mut self, name: &str) -> io::Result<()> {
        self.move_into(&self.rejected.clone(), name)
    }

    /// Moves a file, and never onto another: one of the same name is kept beside it.
    fn move_into(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != folder) {
            files::make_directory(folder)?;
            self.last = Some((folder.to_path_buf(), open_directory(folder)?));
        }
        let Some((_, target)) = &self.last else { return Ok(()) };
        let mut new_name = name.to_owned();
        for copy in 2.. {
            let (from, to) = (&self.directory, target);
            match renameat_with(from, name, to, &new_name, RenameFlags::NOREPLACE) {
                Ok(()) => break,
                Err(Errno::EXIST) => new_name = format!("{name}.{copy}"),
                Err(Errno::XDEV) => return self.copy_into(folder, name),
                Err(error) => {
                    // The directory may have been removed behind our back: the next move makes it anew.
                    self.last = None;
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Moves a file to another file system: it is whole there before it goes here.
    fn copy_into(&self, folder: &Path, name: &str) -> io::Result<()> {
        let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
        let copied = fs::copy(self.data.join(name), &beside)
            .and_then(|_| File::open(&beside)?.sync_all())
            .and_then(|()| rename_beside_others(&beside, folder, name));
        if let Err(error) = copied {
            // Nothing more can be done about a copy that cannot be removed; the first failure is what matters.
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        files::sync_directory(folder)?;
        Ok(unlinkat(&self.directory, name, rustix::fs::AtFlags::empty())?)
    }
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

/// Gives a file in `folder` the name `name`, or, where that is taken, one with a number.
fn rename_beside_others(file: &Path, folder: &Path, name: &str) -> io::Result<()> {
    let mut new_name = name.to_owned();
    for copy in 2.. {
        match renameat_with(CWD, file, CWD, folder.join(&new_name), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => new_name = format!("{name}.{copy}"),
            result => return Ok(result?),
        }
    }
    Ok(())
}

/// The names of files that wait, in no order, read from the directory as they are asked for.
#[derive(Debug)]
pub struct Waiting {
    entries: fs::ReadDir,
    tool: Option<String>,
}

impl Waiting {
    pub(super) fn new(data: &Path, tool: Option<&str>) -> io::Result<Self> {
        Ok(Self { entries: fs::read_dir(data)?, tool: tool.map(str::to_owned) })
    }

    /// Takes at most `most` names, in the order of their runs: rows that lie together are loaded together.
    ///
    /// # Errors
    /// As `readdir(3)`.
    pub fn take_sorted(&mut self, most: usize) -> io::Result<Vec<String>> {
        let mut names = self.by_ref().take(most).collect::<io::Result<Vec<String>>>()?;
        names.sort_by_cached_key(|name| run::parse_file_name(name).map(|(id, _)| id));
        Ok(names)
    }

    /// The name of an entry, if it is a result file of the tool that is asked for. A link or a directory
    /// of such a name is nobody's result.
    fn name(&self, entry: &fs::DirEntry) -> io::Result<Option<String>> {
        let Ok(name) = entry.file_name().into_string() else { return Ok(None) };
        let Some((_, suffix)) = run::parse_file_name(&name) else { return Ok(None) };
        let wanted = self.tool.as_ref().is_none_or(|tool| tool == suffix.as_str());
        Ok((wanted && entry.file_type()?.is_file()).then_some(name))
    }
}

impl Iterator for Waiting {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        loop {
            let name = self.entries.next()?.and_then(|entry| self.name(&entry));
            if let Some(found) = name.transpose() {
                return Some(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Desk {
        folder: tempfile::TempDir,
        spool: Spool,
        inbox: Inbox,
    }

    impl Desk {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let spool = Spool::open(folder.path()).expect("made");
            let inbox = Inbox::open(&spool).expect("there");
            Self { folder, spool, inbox }
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.folder.path().join(name), content).expect("room");
        }
    }

    #[test]
    fn only_result_files_wait_and_they_come_in_the_order_of_their_runs() {
        let desk = Desk::new();
        for name in ["10.ping", "9.ping", "8.traceroute", "notes", "07.ping"] {
            desk.write(name, "x");
        }
        std::os::unix::fs::symlink("/etc/passwd", desk.folder.path().join("1.ping")).expect("made");
        let names = |tool| desk.spool.waiting(tool).expect("a folder").take_sorted(9);
        assert_eq!(names(None).expect("read"), ["8.traceroute", "9.ping", "10.ping"]);
        assert_eq!(names(Some("ping")).expect("read"), ["9.ping", "10.ping"]);
    }

    #[test]
    fn a_file_is_read_whole_however_long_and_a_link_is_not_followed() {
        let desk = Desk::new();
        let mut content = b"of the file before".to_vec();
        for length in [0, 1, 16 * 1024, 100_000] {
            desk.write("1.ping", &"x".repeat(length));
            desk.inbox.read("1.ping", &mut content).expect("there");
            assert_eq!(content.len(), length);
        }
        std::os::unix::fs::symlink("1.ping", desk.folder.path().join("2.ping")).expect("made");
        assert!(desk.inbox.read("2.ping", &mut content).is_err());
    }

    #[test]
    fn loaded_files_go_to_the_folder_of_the_day() {
        let mut desk = Desk::new();
        desk.write("1.ping", "x");
        desk.write("2.ping", "y");
        desk.inbox.archive("1.ping", Timestamp(1_790_000_000_000_000)).expect("moved");
        desk.inbox.reject("2.ping").expect("moved");
        assert!(desk.spool.loaded().join("2026-09-21/1.ping").is_file());
        assert!(desk.spool.rejected().join("2.ping").is_file());
        assert_eq!(desk.spool.waiting(None).expect("a folder").count(), 0);
    }

    #[test]
    fn a_file_never_takes_the_place_of_another() {
        let mut desk = Desk::new();
        for content in ["one", "two", "three"] {
            desk.write("1.ping", content);
            desk.inbox.reject("1.ping").expect("moved");
        }
        let kept = ["1.ping", "1.ping.2", "1.ping.3"]
            .map(|name| fs::read_to_string(desk.spool.rejected().join(name)).expect(name));
        assert_eq!(kept, ["one", "two", "three"]);
    }

    #[test]
    fn a_folder_that_was_removed_is_made_again() {
        let mut desk = Desk::new();
        desk.write("1.ping", "x");
        desk.inbox.archive("1.ping", Timestamp(0)).expect("moved");
        fs::remove_dir_all(desk.spool.loaded()).expect("removed");
        desk.write("2.ping", "x");
        assert!(desk.inbox.archive("2.ping", Timestamp(0)).is_err());
        desk.inbox.archive("2.ping", Timestamp(0)).expect("moved");
        assert!(desk.spool.loaded().join("1970-01-01/2.ping").is_file());
    }

    #[test]
    fn an_archive_on_another_file_system_gets_a_whole_copy() {
        let elsewhere = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
        let mut desk = Desk::new();
        fs::remove_dir(desk.spool.loaded()).expect("empty");
        std::os::unix::fs::symlink(elsewhere.path(), desk.spool.loaded()).expect("made");
        for content in ["one", "two"] {
            desk.write("1.ping", content);
            desk.inbox.archive("1.ping", Timestamp(0)).expect("copied");
        }
        let day = elsewhere.path().join("1970-01-01");
        let kept =
            ["1.ping", "1.ping.2"].map(|name| fs::read_to_string(day.join(name)).expect(name));
        assert_eq!(kept, ["one", "two"]);
        assert_eq!(fs::read_dir(day).expect("a folder").count(), 2);
        assert_eq!(desk.spool.waiting(None).expect("a folder").count(), 0);
    }
}
