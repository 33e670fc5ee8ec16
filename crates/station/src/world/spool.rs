//! Result files on their way from the daemons to the loaders.
//!
//! ```text
//! data/tmp/17.ping       being written
//! data/17.ping           whole, on disk, waits for the loader
//! data/loaded/2026-11-24/17.ping    its readings are in the tables
//! data/rejected/17.ping  not understood; SCHEDULE says why
//! ```

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::words::run::{self, Alone, Beside, HEADER_VERSION, Header};

use super::{
    clock, files,
    inbox::{Inbox, Waiting},
    probe::{Ending, Order, Printed},
};

/// So many files are cheaper to make durable by one `syncfs(2)` than each by itself.
const MANY: usize = 8;

/// The directories of the result files.
#[derive(Debug, Clone)]
pub struct Spool {
    data: PathBuf,
}

impl Spool {
    /// The spool in `data`; its directories are made if they are missing.
    ///
    /// # Errors
    /// As `mkdir(2)`.
    pub fn open(data: &Path) -> io::Result<Self> {
        let spool = Self { data: data.to_path_buf() };
        for folder in [spool.tmp(), spool.loaded(), spool.rejected()] {
            files::make_directory(&folder)?;
        }
        Ok(spool)
    }

    /// Where files wait.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Where files are written.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.data.join("tmp")
    }

    /// Where files go whose readings are in the tables.
    #[must_use]
    pub fn loaded(&self) -> PathBuf {
        self.data.join("loaded")
    }

    /// Where files go that were not understood.
    #[must_use]
    pub fn rejected(&self) -> PathBuf {
        self.data.join("rejected")
    }

    /// Makes result files of `endings`; when it returns they would outlive a power loss.
    ///
    /// # Errors
    /// As the system calls: then some may be there and some not, and all may be published again.
    pub fn publish(&self, endings: &mut [Ending], most_output: u64) -> io::Result<()> {
        let mut written = Vec::with_capacity(endings.len());
        for ending in endings.iter_mut() {
            let name = run::file_name(ending.order.run, &ending.order.tool);
            let path = self.tmp().join(&name);
            let file = write(&path, ending, most_output).inspect_err(|_| {
                // What could not be written whole must not take the room that is short.
                let _ = fs::remove_file(&path);
            })?;
            written.push((file, path, self.data.join(name)));
        }
        self.sync(&written)?;
        for ((_, from, to), ending) in written.iter().zip(endings.iter_mut()) {
            if to.exists() && self.published(&ending.order).is_none() {
                // The file of a row of the same number in a database that is no longer there.
                Inbox::open(self)?.reject(&run::file_name(ending.order.run, &ending.order.tool))?;
            }
            put(from, to, ending, most_output)?;
        }
        files::sync_directory(&self.data)
    }

    fn sync(&self, written: &[(File, PathBuf, PathBuf)]) -> io::Result<()> {
        if written.len() >= MANY {
            return Ok(rustix::fs::syncfs(File::open(&self.data)?)?);
        }
        written.iter().try_for_each(|(file, ..)| file.sync_all())
    }

    /// Removes what a dead daemon was writing: half files of its probe type.
    ///
    /// # Errors
    /// As `readdir(3)` and `unlink(2)`.
    pub fn clear_tmp(&self, tool: &str) -> io::Result<()> {
        for entry in fs::read_dir(self.tmp())? {
            let entry = entry?;
            let name = entry.file_name();
            let parsed = name.to_str().and_then(run::parse_file_name);
            if parsed.is_some_and(|(_, suffix)| suffix.as_str() == tool) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The files that wait, of one probe type or of all.
    ///
    /// # Errors
    /// As `opendir(3)`.
    pub fn waiting(&self, tool: Option<&str>) -> io::Result<Waiting> {
        Waiting::new(&self.data, tool)
    }

    /// The header of a run's result file, if it waits.
    #[must_use]
    pub fn published(&self, order: &Order) -> Option<Header> {
        let file = fs::read(self.data.join(run::file_name(order.run, &order.tool))).ok()?;
        let header = run::take_apart(&file).ok()?.header;
        let same =
            (header.run(), header.spec_id, header.due_us) == (order.run, order.spec_id, order.due);
        same.then_some(header)
    }
}

/// Has a written file wait for the loader.
fn put(from: &Path, to: &Path, ending: &mut Ending, most_output: u64) -> io::Result<()> {
    match fs::rename(from, to) {
        // A daemon that began meanwhile took it for what a dead one had left (`clear_tmp`); it does so once.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write(from, ending, most_output)?.sync_all()?;
            fs::rename(from, to)
        }
        renamed => renamed,
    }
}

fn write(path: &Path, ending: &mut Ending, most_output: u64) -> io::Result<File> {
    let ([stdout, stderr], beside) = outputs(ending, most_output)?;
    let header = Header {
        version: HEADER_VERSION,
        schedule_id: ending.order.run.schedule_id,
        attempt: ending.order.run.attempt,
        probetype: ending.order.tool.clone(),
        spec_id: ending.order.spec_id,
        due_us: ending.order.due,
        argv: ending.order.argv.clone(),
        node: ending.order.node.clone(),
        start_us: ending.started,
        end_us: ending.ended_at,
        ended: ending.ended.clone(),
        clock_synchronised: clock::is_synchronised(),
        stdout_bytes: stdout.0.len() as u64,
        stderr_bytes: stderr.0.len() as u64,
        cut_bytes: stdout.1 + stderr.1,
        alone: alone(ending, &beside),
    };
    let mut content = serde_json::to_vec(&header)?;
    content.push(b'\n');
    content.extend_from_slice(&stdout.0);
    content.extend_from_slice(&stderr.0);
    for (output, _) in &beside {
        content.extend_from_slice(output);
    }
    let mut file = files::create(path)?;
    file.write_all(&content)?;
    Ok(file)
}

/// Standard output and standard error of a run, and of the ping beside it: at most `most` bytes each.
fn outputs(ending: &mut Ending, most: u64) -> io::Result<([Printed; 2], [Printed; 2])> {
    let beside = ending.alone.as_mut().and_then(|company| company.beside.as_mut());
    let beside = beside.map_or_else(|| Ok(Default::default()), |beside| beside.printed(most))?;
    Ok((ending.printed(most)?, beside))
}

/// What the header tells of a run that had the channel for itself.
fn alone(ending: &Ending, [stdout, stderr]: &[Printed; 2]) -> Option<Alone> {
    let company = ending.alone.as_ref()?;
    let beside = company.beside.as_ref().map(|beside| Beside {
        argv: beside.order.argv.clone(),
        start_us: beside.started,
        ended: beside.ended.clone(),
        stdout_bytes: stdout.0.len() as u64,
        stderr_bytes: stderr.0.len() as u64,
    });
    Some(Alone { machine: company.machine.clone(), unclean: company.unclean.clone(), beside })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        text::Timestamp,
        words::run::{Ended, RunId, take_apart},
    };

    use super::*;

    fn ending(schedule_id: i64, output: &str) -> Ending {
        let order = Order {
            run: RunId { schedule_id, attempt: 1 },
            spec_id: 1,
            tool: "ping".to_owned(),
            node: "n".to_owned(),
            argv: vec!["ping".to_owned()],
            due: Timestamp(0),
            latest: Timestamp(0),
            limit: Duration::from_secs(1),
        };
        let mut stdout = tempfile::tempfile().expect("a file");
        stdout.write_all(output.as_bytes()).expect("room");
        let stderr = tempfile::tempfile().expect("a file");
        let ended = Ended::Exited { status: 0 };
        let (started, ended_at) = (Timestamp(1), Timestamp(2));
        Ending { order, started, ended_at, ended, stdout, stderr, alone: None }
    }

    #[test]
    fn a_published_file_is_whole_and_waits() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(folder.path()).expect("made");
        let mut endings: Vec<Ending> = (0..10).map(|id| ending(id, "hello")).collect();
        spool.publish(&mut endings, 1_000).expect("room");
        assert_eq!(spool.waiting(Some("ping")).expect("a folder").count(), 10);
        assert_eq!(spool.waiting(Some("traceroute")).expect("a folder").count(), 0);
        let file = fs::read(folder.path().join("3.ping")).expect("there");
        let parts = take_apart(&file).expect("whole");
        assert_eq!((parts.header.schedule_id, parts.stdout), (3, &b"hello"[..]));
        assert_eq!(fs::read_dir(spool.tmp()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_file_of_the_same_number_from_another_database_is_set_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(folder.path()).expect("made");
        let mut old = ending(1, "old");
        old.order.due = Timestamp(99);
        spool.publish(&mut [old], 100).expect("room");
        spool.publish(&mut [ending(1, "new")], 100).expect("room");
        // The same run once more, as after a failure half-way: it takes its own place.
        spool.publish(&mut [ending(1, "new")], 100).expect("room");
        assert!(fs::read_to_string(folder.path().join("1.ping")).expect("there").ends_with("new"));
        assert!(
            fs::read_to_string(spool.rejected().join("1.ping")).expect("there").ends_with("old")
        );
        assert_eq!(fs::read_dir(spool.rejected()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_file_that_a_beginning_daemon_takes_for_left_over_is_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(folder.path()).expect("made");
        let (from, to) = (spool.tmp().join("1.ping"), folder.path().join("1.ping"));
        let mut one = ending(1, "hello");
        write(&from, &mut one, 100).expect("room");
        spool.clear_tmp("ping").expect("cleared");
        put(&from, &to, &mut one, 100).expect("written again");
        assert!(fs::read_to_string(to).expect("there").ends_with("hello"));
    }

    #[test]
    fn output_is_cut_at_the_limit_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(folder.path()).expect("made");
        spool.publish(&mut [ending(1, &"x".repeat(500))], 100).expect("room");
        let file = fs::read(folder.path().join("1.ping")).expect("there");
        let parts = take_apart(&file).expect("whole");
        assert_eq!((parts.stdout.len(), parts.header.cut_bytes), (100, 400));
    }

    #[test]
    fn half_files_of_a_dead_daemon_are_removed_others_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(folder.path()).expect("made");
        for name in ["1.ping", "2.traceroute", "notes"] {
            fs::write(spool.tmp().join(name), "half").expect("room");
        }
        spool.clear_tmp("ping").expect("cleared");
        assert_eq!(fs::read_dir(spool.tmp()).expect("a folder").count(), 2);
    }
}
