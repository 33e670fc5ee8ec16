//! Files that are whole or not there.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
    process::geteuid,
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

/// Opens `path` for appending, 0640, and makes it if it is not there; with `empty`, what it held is gone.
///
/// Each write goes to the end, also after somebody has cut the file short: a log that is rotated by
/// copying has no hole. For directories in which others may write: a link, a file of another user and what
/// is no file at all are refused, `/dev/null` excepted; a link on the way to the file is refused if `links`
/// says so.
///
/// # Errors
/// As `open(2)`, or what is refused.
pub fn append(path: &Path, empty: bool, links: Links) -> io::Result<File> {
    // A pipe that nobody reads is refused by NONBLOCK, and not waited for.
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW;
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mode = Mode::from_raw_mode(FILE_MODE);
    let resolve = match links {
        Links::OnTheWay => ResolveFlags::empty(),
        Links::Nowhere => ResolveFlags::NO_SYMLINKS,
    };
    let file = match openat2(CWD, path, flags, mode, resolve) {
        // A kernel before 5.6.
        Err(Errno::NOSYS) => openat(CWD, path, flags, mode),
        Err(Errno::LOOP) => return Err(io::Error::other("it is a link, or a link leads to it")),
        file => file,
    };
    let file = File::from(file?);
    if path == Path::new("/dev/null") {
        return Ok(file);
    }
    let about = file.metadata()?;
    if !about.is_file() || about.nlink() != 1 || about.uid() != geteuid().as_raw() {
        return Err(io::Error::other("it is no plain file of this user"));
    }
    if empty {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Where links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// On the way to a file, but the file is none.
    OnTheWay,
    /// Nowhere.
    Nowhere,
}

/// How much a replaced file must outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// The machine may lose power the moment after.
    AgainstPowerLoss,
    /// Only this program may die: what a boot makes worthless anyway.
    WithinThisBoot,
}

/// Replaces `path` by `content`: readers see the old file or the new one, never a part; but on a full disk
/// what is only of this boot is overwritten in its place.
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
    match written {
        Err(error)
            if error.kind() == io::ErrorKind::StorageFull && durable == Durable::WithinThisBoot =>
        {
            return overwrite(path, content);
        }
        written => written?,
    }
    match (durable, path.parent()) {
        (Durable::AgainstPowerLoss, Some(parent)) => sync_directory(parent),
        _ => Ok(()),
    }
}

/// On a full disk the blocks that a file has can still be written: a daemon that comes round must be able
/// to say so. Who reads in this instant may see a part of each, and does without.
fn overwrite(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)
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
    fn a_log_grows_and_begins_anew_when_it_is_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let write = |empty, text: &[u8]| {
            let mut file = append(&path, empty, Links::Nowhere).expect("opened");
            file.write_all(text).expect("room");
            file
        };
        write(false, b"one");
        let mut file = write(false, b"two");
        assert_eq!(fs::read(&path).expect("there"), b"onetwo");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o640);
        write(true, b"three");
        file.write_all(b"four").expect("room");
        assert_eq!(fs::read(&path).expect("there"), b"threefour");
    }

    #[test]
    fn a_log_is_never_a_link_nor_a_pipe_nor_somebody_elses() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("target"), "precious").expect("room");
        std::os::unix::fs::symlink(at("target"), at("link")).expect("a link");
        fs::hard_link(at("target"), at("hard")).expect("a link");
        std::os::unix::fs::symlink(folder.path(), at("folder")).expect("a link");
        assert!(append(&at("folder/log"), true, Links::OnTheWay).is_ok());
        assert!(append(&at("folder/log"), true, Links::Nowhere).is_err());
        for name in ["link", "hard", "missing/log", "."] {
            assert!(append(&at(name), true, Links::OnTheWay).is_err(), "{name}");
        }
        rustix::fs::mknodat(CWD, at("pipe"), rustix::fs::FileType::Fifo, Mode::RWXU, 0)
            .expect("a pipe");
        assert!(append(&at("pipe"), true, Links::Nowhere).is_err());
        assert_eq!(fs::read(at("target")).expect("there"), b"precious");
        assert!(append(Path::new("/dev/null"), true, Links::Nowhere).is_ok());
        assert!(append(Path::new("/dev/zero"), true, Links::Nowhere).is_err());
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
