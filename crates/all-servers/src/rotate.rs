//! Logs put aside: `pingd.log` becomes `pingd.log.1.gz`, that `pingd.log.2.gz`, and the oldest goes.
//!
//! This is done while everybody is stopped, so nobody goes on writing into a file that was renamed.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use station::world::files;

/// Puts the logs of a directory aside, and keeps `keep` old ones of each; says how many there were. An
/// empty log, and what is no `.log`, is left as it is.
///
/// # Errors
/// The first that stood in the way; the other logs are put aside all the same.
pub fn rotate(folder: &Path, keep: usize) -> io::Result<usize> {
    let mut first = None;
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_log = entry.path().extension().is_some_and(|extension| extension == "log");
        // A link leads to somebody else's file.
        if !is_log || !entry.file_type()?.is_file() || entry.metadata()?.len() == 0 {
            continue;
        }
        match put_aside(&entry.path(), keep) {
            Ok(()) => count += 1,
            Err(error) => {
                let path = entry.path();
                first.get_or_insert(io::Error::new(
                    error.kind(),
                    format!("{}: {error}", path.display()),
                ));
            }
        }
    }
    first.map_or(Ok(count), Err)
}

fn numbered(log: &Path, number: usize) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}.gz"));
    PathBuf::from(name)
}

fn put_aside(log: &Path, keep: usize) -> io::Result<()> {
    if keep == 0 {
        return fs::remove_file(log);
    }
    // First what may fail for want of room: then the old ones are where they were.
    let new = compress(log)?;
    remove_if_there(&numbered(log, keep))?;
    for number in (1..keep).rev() {
        match fs::rename(numbered(log, number), numbered(log, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(new, numbered(log, 1))?;
    fs::remove_file(log)
}

/// Writes a log, compressed, beside it; a full disk or a crash leaves the log as it was.
fn compress(log: &Path) -> io::Result<PathBuf> {
    let mut beside = log.as_os_str().to_owned();
    beside.push(".new.gz");
    let beside = PathBuf::from(beside);
    let written = (|| {
        let mut encoder = GzEncoder::new(files::create(&beside)?, Compression::default());
        io::copy(&mut File::open(log)?, &mut encoder)?;
        encoder.finish()?.sync_all()
    })();
    if let Err(error) = written {
        // Nothing more can be done about a file that cannot be removed; the first failure is what matters.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    Ok(beside)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn read(path: &Path) -> String {
        let mut text = String::new();
        let mut decoder = GzDecoder::new(File::open(path).expect("there"));
        decoder.read_to_string(&mut text).expect("gzip");
        text
    }

    #[test]
    fn each_night_the_logs_move_on_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("pingd.log");
        for night in 1..=4 {
            fs::write(&log, format!("night {night}\n")).expect("room");
            assert_eq!(rotate(folder.path(), 3).expect("rotated"), 1);
            assert!(!log.exists());
        }
        let kept = [1, 2, 3].map(|number| read(&numbered(&log, number)));
        assert_eq!(kept, ["night 4\n", "night 3\n", "night 2\n"]);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
    }

    #[test]
    fn what_is_empty_or_no_log_of_ours_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("empty.log"), "").expect("room");
        fs::write(folder.path().join("notes.txt"), "x").expect("room");
        fs::write(folder.path().join("elsewhere"), "x").expect("room");
        std::os::unix::fs::symlink("elsewhere", folder.path().join("link.log")).expect("made");
        assert_eq!(rotate(folder.path(), 3).expect("nothing to do"), 0);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 4);
    }

    #[test]
    fn one_log_that_cannot_be_put_aside_does_not_keep_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a", "b"] {
            fs::write(folder.path().join(format!("{name}.log")), name).expect("room");
        }
        fs::create_dir_all(folder.path().join("a.log.new.gz/full")).expect("made");
        let error = rotate(folder.path(), 1).expect_err("a is stuck").to_string();
        assert!(error.contains("a.log"), "{error}");
        assert!(folder.path().join("a.log").exists());
        assert_eq!(read(&folder.path().join("b.log.1.gz")), "b");
    }
}
