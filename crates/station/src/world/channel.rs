//! The channel: who has it runs alone on the station.
//!
//! It is a lock (`<folder>/channel.lock`) that no child inherits, and beside it a note of who took it
//! (`<folder>/channel.run`), which is struck out when the channel is given back. A note that stands there
//! without the lock being held was left by a program that died: what that program's run left running is
//! ended before anybody else has the channel. The file keeps its length, so that a full disk has room for
//! the next note.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    lock::{self, Lock},
    orphans::{self, Appearance},
    probe::{self, Order},
    process,
    sockets::{self, Unsent},
};
use crate::{text::Timestamp, words::config::Config};

const NAME: &str = "channel";
/// The length of the note in bytes, and what it holds while nobody has the channel.
const LENGTH: usize = 4_096;
const STRUCK_OUT: &[u8] = b"-";

/// Who has the channel, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The program.
    pub program: String,
    /// The home of its station.
    pub home: PathBuf,
    /// The run.
    #[serde(rename = "scheduleID")]
    pub schedule_id: i64,
    /// The target.
    pub node: String,
    /// What was started, word by word, the program by its whole path.
    pub commands: Vec<Vec<String>>,
    /// Since when.
    pub since_us: Timestamp,
}

/// The channel, as long as this lives.
#[derive(Debug)]
pub struct Channel {
    note: PathBuf,
    _lock: Lock,
}

impl Holder {
    /// Who takes the channel for a run, and for the command beside it if there is one.
    #[must_use]
    pub fn of(
        program: &str,
        config: &Config,
        order: &Order,
        beside: &[String],
        now: Timestamp,
    ) -> Self {
        let commands = [&order.argv[..], beside];
        Self {
            program: program.to_owned(),
            home: config.paths.home.clone(),
            schedule_id: order.run.schedule_id,
            node: order.node.clone(),
            commands: commands
                .into_iter()
                .filter_map(|argv| whole(argv, &config.paths.bin))
                .collect(),
            since_us: now,
        }
    }

    /// What its processes look like: some do not show whose they are.
    fn appearances(&self) -> Vec<Appearance> {
        let appearance = |argv: &Vec<String>| {
            let (program, arguments) = argv.split_first()?;
            let (program, arguments) = (PathBuf::from(program), arguments.to_vec());
            Some(Appearance { program, arguments, since: self.since_us })
        };
        self.commands.iter().filter_map(appearance).collect()
    }

    fn tag(&self) -> String {
        format!("{}{}", probe::tag(&self.home, &self.program), self.schedule_id)
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { program, schedule_id, node, since_us, .. } = self;
        write!(f, "{program} has had the channel since {since_us}, for run {schedule_id} to {node}")
    }
}

fn whole(argv: &[String], bin: &Path) -> Option<Vec<String>> {
    let (program, arguments) = argv.split_first()?;
    let program = process::find(program, bin)?.to_str()?.to_owned();
    Some([&[program], arguments].concat())
}

/// Takes the channel in `folder`; or says who has it, as far as that is known.
///
/// # Errors
/// As `open(2)` and `flock(2)`; also when what a dead holder left cannot be ended.
pub fn take(folder: &Path, holder: &Holder) -> io::Result<Result<Channel, String>> {
    let note = folder.join(format!("{NAME}.run"));
    let Some(lock) = lock::try_lock(folder, NAME)? else {
        let held = read(&note)?.map(|holder| holder.to_string());
        return Ok(Err(held.unwrap_or_else(|| "somebody else has the channel".to_owned())));
    };
    if let Some(dead) = read(&note)? {
        end_left(&dead)?;
    }
    write(&note, &serde_json::to_vec(holder)?)?;
    Ok(Ok(Channel { note, _lock: lock }))
}

/// Ends what a dead holder left running, before this program's own first run: so that nothing of it is
/// on the network while nobody runs.
///
/// # Errors
/// As [`take`].
pub fn clear(folder: &Path) -> io::Result<()> {
    let note = folder.join(format!("{NAME}.run"));
    let Some(_lock) = lock::try_lock(folder, NAME)? else { return Ok(()) };
    let Some(dead) = read(&note)? else { return Ok(()) };
    end_left(&dead)?;
    write(&note, STRUCK_OUT)
}

/// Writes a note over the one before. A power loss ends every process: it need not outlive one.
fn write(note: &Path, text: &[u8]) -> io::Result<()> {
    let mut file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o640).open(note)?;
    let before = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let mut text = text.to_vec();
    text.resize(text.len().max(before).max(LENGTH), b' ');
    file.write_all(&text)
}

/// The note of who has, or had, the channel; one that nobody can read says nothing.
fn read(note: &Path) -> io::Result<Option<Holder>> {
    match fs::read(note) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn end_left(dead: &Holder) -> io::Result<()> {
    orphans::end(&dead.program, &dead.tag(), &dead.appearances())?;
    sockets::wait_until_sent(&Unsent::new());
    Ok(())
}

impl Channel {
    /// Notes for what the channel is had, if that was not known when it was taken.
    ///
    /// # Errors
    /// As `open(2)` and `write(2)`.
    pub fn note(&self, holder: &Holder) -> io::Result<()> {
        write(&self.note, &serde_json::to_vec(holder)?)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // One that stays only makes the next holder look for processes.
        let _ = write(&self.note, STRUCK_OUT);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;
    use crate::world::process::{TAG, command};

    fn holder(home: &Path, schedule_id: i64) -> Holder {
        Holder {
            program: "bw-synchd".to_owned(),
            home: home.to_path_buf(),
            schedule_id,
            node: "far".to_owned(),
            commands: vec![],
            since_us: Timestamp(0),
        }
    }

    #[test]
    fn the_channel_is_had_by_one_and_given_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = take(folder.path(), &holder(folder.path(), 1)).expect("a lock");
        let channel = taken.expect("free");
        let why =
            take(folder.path(), &holder(folder.path(), 2)).expect("a lock").expect_err("taken");
        assert_eq!(
            why,
            "bw-synchd has had the channel since 1970-01-01T00:00:00Z, for run 1 to far"
        );
        drop(channel);
        assert!(take(folder.path(), &holder(folder.path(), 2)).expect("a lock").is_ok());
    }

    #[test]
    fn what_a_dead_holder_left_is_ended_before_anybody_has_the_channel() {
        let folder = tempfile::tempdir().expect("a folder");
        let dead = holder(folder.path(), 7);
        let note = serde_json::to_vec(&dead).expect("JSON");
        fs::write(folder.path().join("channel.run"), note).expect("room");
        let sleep = process::find("sleep", Path::new("/")).expect("a machine with sleep");
        let mut left = command(&sleep, ["600"]);
        let mut left = left.env(TAG, dead.tag()).process_group(0).spawn().expect("a process");
        // A zombie of ours would count as one that cannot be ended.
        let reaper = std::thread::spawn(move || left.wait().expect("a child"));
        let channel = take(folder.path(), &holder(folder.path(), 8)).expect("ended");
        assert!(channel.is_ok());
        assert!(!reaper.join().expect("an end").success());
    }
}
