//! The processes of our user, as `/proc` shows them.
//!
//! A process is held by its directory in `/proc`: what is read through it, and what is signalled
//! through it, is that process or nothing, also when its number has long been given to another
//! (`pidfd_send_signal(2)` takes such a directory for a pidfd).
//!
//! Whose a process is comes first: on a machine of 5,000 processes a look at the owner takes a tenth of
//! reading what each of them is. A set-user-ID program (`ping`, on some machines) belongs to root in
//! `/proc`, whoever runs it; its real user is asked for only when it is of interest by its arguments,
//! which everybody may read.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, readlinkat, statat},
    io::Errno,
    process::{Signal, pidfd_send_signal},
};

use super::process::{STARTED_BY, TAG};
use crate::words::names;

pub use crate::words::names::words;

/// The name of a process that no other ever has: its number, and when it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its number.
    pub pid: i32,
    /// Clock ticks from the machine's start to its own (`proc_pid_stat(5)`, field 22).
    pub start_ticks: u64,
}

/// What a process looks like before it is decided whether more of it is to be read.
#[derive(Debug)]
pub struct Glimpse<'a> {
    /// Its number.
    pub pid: i32,
    /// Its arguments, each ended by a NUL, as it shows them.
    pub arguments: &'a [u8],
    /// Its program, if we may know it.
    pub program: Option<&'a Path>,
}

/// A process of our user that was looked at.
#[derive(Debug)]
pub struct Process {
    /// Its name.
    pub identity: Identity,
    /// Who started it, or took it over.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// `R`, `S`, `D`, `T`, `Z` ... (`proc_pid_stat(5)`, field 3).
    pub state: char,
    /// Its arguments, each ended by a NUL.
    pub arguments: Vec<u8>,
    /// Its program, if we may know it.
    pub program: Option<PathBuf>,
    directory: OwnedFd,
}

/// The processes of our user for which `wanted` is true. Threads of the kernel and processes that have
/// ended and were not reaped have no arguments and are left out, and so is, for an instant, a process
/// that is becoming another program.
///
/// # Errors
/// `/proc` cannot be read, there are no descriptors left to hold the processes by, or it shows not even
/// this process (`hidepid`, another namespace): then nothing may be concluded from what is not seen.
pub fn ours(wanted: impl Fn(&Glimpse<'_>) -> bool) -> io::Result<Vec<Process>> {
    let proc = openat(CWD, "/proc", DIRECTORY, Mode::empty())?;
    let (own, user) = (std::process::id(), rustix::process::geteuid().as_raw());
    let (mut found, mut arguments, mut seen) = (Vec::new(), Vec::new(), false);
    for entry in Dir::read_from(&proc)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        seen |= i64::from(pid) == i64::from(own);
        let Ok(owner) = statat(&proc, name, AtFlags::empty()) else { continue };
        // Whoever is not root cannot have started what is another user's.
        if owner.st_uid != user && owner.st_uid != 0 && user != 0 {
            continue;
        }
        let owners = Owners { shown: owner.st_uid, user };
        let process = openat(&proc, name, DIRECTORY, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|directory| look(directory, pid, owners, &mut arguments, &wanted));
        match process {
            Ok(process) => found.extend(process),
            Err(error) if is_want(&error) => return Err(error),
            // What ends meanwhile is not there any more: that is no fault.
            Err(_) => {}
        }
    }
    if seen {
        Ok(found)
    } else {
        Err(io::Error::other("/proc does not show this process: it cannot be relied on"))
    }
}

/// The process `pid`, whoever's it is; `None` when there is none.
///
/// # Errors
/// As `open(2)`.
pub fn of(pid: i32) -> io::Result<Option<Process>> {
    let directory = match openat(CWD, format!("/proc/{pid}"), DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        directory => directory?,
    };
    let mut arguments = Vec::new();
    match read_at(&directory, "cmdline", &mut arguments) {
        Err(error) if is_gone(&error) => return Ok(None),
        read => read?,
    }
    let program = program_of(&directory);
    whole(directory, pid, arguments, program)
}

/// Whether some process, whoever's, has one of these names (`proc_pid_comm(5)`); `None` when the processes
/// of others are not to be seen (`hidepid`).
///
/// # Errors
/// `/proc` cannot be read.
pub fn is_there(names: &[&str]) -> io::Result<Option<bool>> {
    let mut first_seen = false;
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        // What ends meanwhile is not there any more: that is no fault.
        let Ok(comm) = std::fs::read_to_string(entry.path().join("comm")) else { continue };
        first_seen |= pid == Some(1);
        if pid.is_some() && names.contains(&comm.trim_end()) {
            return Ok(Some(true));
        }
    }
    Ok(first_seen.then_some(false))
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Whose a process is by its directory, and who we are.
#[derive(Clone, Copy)]
struct Owners {
    shown: u32,
    user: u32,
}

fn look(
    directory: OwnedFd,
    pid: i32,
    owners: Owners,
    arguments: &mut Vec<u8>,
    wanted: &impl Fn(&Glimpse<'_>) -> bool,
) -> io::Result<Option<Process>> {
    read_at(&directory, "cmdline", arguments)?;
    if arguments.is_empty() {
        return Ok(None);
    }
    let may_know = owners.shown == owners.user || owners.user == 0;
    let program = if may_know { program_of(&directory) } else { None };
    if !wanted(&Glimpse { pid, arguments, program: program.as_deref() }) {
        return Ok(None);
    }
    // Also when we are root, to whom a set-user-ID program of somebody else seems to belong.
    if owners.shown == 0 && real_user(&directory)? != Some(owners.user) {
        return Ok(None);
    }
    if owners.shown != 0 && owners.shown != owners.user {
        // One that root started and that gave up root's rights says so. Who lies about it is ended as ours.
        let starter = environment(&directory, STARTED_BY);
        if starter != Some(owners.user.to_string()) {
            return Ok(None);
        }
    }
    whole(directory, pid, arguments.clone(), program)
}

/// The value of a variable in the environment that a process was started with, if we may read that.
fn environment(directory: &OwnedFd, name: &str) -> Option<String> {
    let mut environment = Vec::new();
    read_at(directory, "environ", &mut environment).ok()?;
    let mut entries = environment.split(|byte| *byte == 0);
    let value = entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    value.map(|value| String::from_utf8_lossy(value).into_owned())
}

fn whole(
    directory: OwnedFd,
    pid: i32,
    arguments: Vec<u8>,
    program: Option<PathBuf>,
) -> io::Result<Option<Process>> {
    let Some(stat) = stat(&directory)? else { return Ok(None) };
    Ok(Some(Process {
        identity: Identity { pid, start_ticks: stat.start_ticks },
        parent: stat.parent,
        group: stat.group,
        session: stat.session,
        state: stat.state,
        arguments,
        program,
        directory,
    }))
}

fn read_at(directory: &OwnedFd, name: &str, content: &mut Vec<u8>) -> io::Result<()> {
    content.clear();
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut file = File::from(openat(directory, name, flags, Mode::empty())?);
    // Not `read_to_end`: it asks first how long the file is, and files in /proc do not say.
    let mut part = [0; 2_048];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(()),
            length => content.extend_from_slice(&part[..length]),
        }
    }
}

/// Whether it is this program that lacks something, and not the process that is not there.
fn is_want(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::SRCH | Errno::NOENT))
}

/// The program's file, also one that was replaced since: the kernel marks that, and it is no part of
/// the name.
fn program_of(directory: &OwnedFd) -> Option<PathBuf> {
    let link = readlinkat(directory, "exe", Vec::with_capacity(256)).ok()?;
    let bytes = link.to_bytes();
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}

/// The first number after `Uid:` in `status`.
fn real_user(directory: &OwnedFd) -> io::Result<Option<u32>> {
    let mut status = Vec::new();
    read_at(directory, "status", &mut status)?;
    let status = String::from_utf8_lossy(&status);
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    Ok(line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()))
}

/// For how long the first process has been there, at `boot` of the boot clock: a container has that clock from its host,
/// and a first process of its own.
#[must_use]
pub fn up(boot: Duration) -> Duration {
    let first = std::fs::read("/proc/1/stat").ok().and_then(|content| parse_stat(&content));
    boot.saturating_sub(first.map_or(Duration::ZERO, |stat| since_boot(stat.start_ticks)))
}

fn since_boot(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks.saturating_mul(1_000) / per_second)
}

struct Stat {
    state: char,
    parent: i32,
    group: i32,
    session: i32,
    start_ticks: u64,
}

/// `proc_pid_stat(5)`; nothing when the process has been reaped.
fn stat(directory: &OwnedFd) -> io::Result<Option<Stat>> {
    let mut content = Vec::new();
    match read_at(directory, "stat", &mut content) {
        Err(error) if is_gone(&error) => return Ok(None),
        read => read?,
    }
    parse_stat(&content).map(Some).ok_or_else(|| io::Error::other("a /proc/PID/stat that is none"))
}

/// The name stands in parentheses and may hold anything, more of them too: fields begin after the last.
fn parse_stat(content: &[u8]) -> Option<Stat> {
    let end = content.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(content.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<i32>().ok();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: number(4)?,
        group: number(5)?,
        session: number(6)?,
        start_ticks: fields.get(22 - 3)?.parse().ok()?,
    })
}

impl Glimpse<'_> {
    /// Whether it is called `name`, by [`names`].
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        names::is_called(self.program, self.arguments, name)
    }
}

impl Process {
    /// What it is known by.
    #[must_use]
    pub fn glimpse(&self) -> Glimpse<'_> {
        Glimpse {
            pid: self.identity.pid,
            arguments: &self.arguments,
            program: self.program.as_deref(),
        }
    }

    /// Whether it is on the network that we are on: in another network namespace, of a container for instance, ports of
    /// the same number are other ports. What cannot be known is taken for the usual, that it is.
    #[must_use]
    pub fn shares_our_network(&self) -> bool {
        let its = readlinkat(&self.directory, "ns/net", Vec::new());
        let ours = readlinkat(CWD, "/proc/self/ns/net", Vec::new());
        its.ok().zip(ours.ok()).is_none_or(|(its, ours)| its == ours)
    }

    /// Its arguments, the name it was started by first.
    pub fn words(&self) -> impl Iterator<Item = &[u8]> {
        words(&self.arguments)
    }

    /// Its command line, for people.
    #[must_use]
    pub fn command(&self) -> String {
        let words: Vec<_> = self.words().map(String::from_utf8_lossy).collect();
        words.join(" ").chars().map(|c| if c.is_control() { '?' } else { c }).collect()
    }

    /// How long after the machine's start it was started (`CLOCK_BOOTTIME`).
    #[must_use]
    pub fn started(&self) -> Duration {
        since_boot(self.identity.start_ticks)
    }

    /// The value of [`TAG`] in the environment that it was started with, if we may read that.
    #[must_use]
    pub fn tag(&self) -> Option<String> {
        environment(&self.directory, TAG)
    }

    /// The directory of its descriptors.
    pub(super) fn descriptors(&self) -> io::Result<OwnedFd> {
        Ok(openat(&self.directory, "fd", DIRECTORY, Mode::empty())?)
    }

    /// Where in the kernel it waits, for people; empty when it runs, or when that is not told.
    #[must_use]
    pub fn waits_in(&self) -> String {
        let mut name = Vec::new();
        // A kernel that does not tell is no fault.
        let _ = read_at(&self.directory, "wchan", &mut name);
        let name = String::from_utf8_lossy(&name).trim().to_owned();
        if name == "0" { String::new() } else { name }
    }

    /// Its state now; `None` when it has ended, reaped or not.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn state_now(&self) -> io::Result<Option<char>> {
        Ok(stat(&self.directory)?
            .map(|stat| stat.state)
            .filter(|state| !matches!(state, 'Z' | 'X')))
    }

    /// Whether it has the file open.
    ///
    /// # Errors
    /// Its descriptors may not be looked at, or the file is not there.
    pub fn has_open(&self, file: &Path) -> io::Result<bool> {
        let file = file.canonicalize()?;
        let folder = openat(&self.directory, "fd", DIRECTORY, Mode::empty())?;
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            // One that is closed meanwhile, and the two that are no descriptors, are no links.
            let link = readlinkat(&folder, entry.file_name(), Vec::new());
            if link.is_ok_and(|link| link.to_bytes() == file.as_os_str().as_bytes()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends it `signal`; says whether it was there to get it.
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)`.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        match pidfd_send_signal(&self.directory, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, path::Path};

    use crate::world::{
        clock::{self, Clock, SystemClock},
        process::{self, Launch},
    };

    use super::*;

    /// A process that ends with the test, also with one that fails.
    struct Child(process::Process);

    impl Drop for Child {
        fn drop(&mut self) {
            end(&self.0);
        }
    }

    fn launched(argv: &[&str]) -> Child {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let file = || tempfile::tempfile().expect("a file");
        let (stdout, stderr): (File, File) = (file(), file());
        let launch = Launch { argv: &argv, bin: Path::new("/"), tag: "/t:test:7", stdout, stderr };
        let child = Child(process::start(launch).expect("starts"));
        // While it becomes its program it has, for an instant, no arguments.
        let shown = argv.join("\0") + "\0";
        let is_there = |seen: Process| seen.arguments.ends_with(&shown.as_bytes()[argv[0].len()..]);
        while !of(child.0.pid()).expect("a look").is_some_and(is_there) {
            clock::pause(Duration::from_millis(1));
        }
        child
    }

    fn end(process: &process::Process) {
        process.signal(Signal::KILL);
        while process.reap().expect("ours").is_none() {
            clock::pause(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_process_is_seen_with_all_that_tells_it() {
        let Child(child) = &launched(&["sleep", "654321"]);
        let found = ours(|glimpse| glimpse.arguments.ends_with(b"\x00654321\0")).expect("a look");
        let [sleep] = &found[..] else { panic!("{found:#?}") };
        assert_eq!(sleep.identity.pid, child.pid());
        assert_eq!(i64::from(sleep.parent), i64::from(std::process::id()));
        assert_eq!(sleep.group, child.pid());
        assert!(sleep.program.as_ref().is_some_and(|path| path.ends_with("sleep")));
        assert_eq!(sleep.tag().as_deref(), Some("/t:test:7"));
        assert!(sleep.command().ends_with("sleep 654321"));
        let age = SystemClock.moment().boot.saturating_sub(sleep.started());
        assert!(age < Duration::from_secs(60), "{age:?}");
        assert_eq!(of(child.pid()).expect("a look").expect("there").identity, sleep.identity);
    }

    #[test]
    fn what_gave_up_the_rights_of_root_is_roots_if_root_started_it() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let seen_of = |seconds: &str, is_marked: bool| {
            let setpriv = process::find("setpriv", Path::new("/")).expect("a machine with setpriv");
            let arguments = ["--reuid=65534", "--clear-groups", "sleep", seconds];
            let mut command = process::command(&setpriv, arguments);
            if is_marked {
                command.env(STARTED_BY, "0");
            }
            let mut child = command.spawn().expect("started");
            let ending = format!("\0{seconds}\0");
            let is_it = |arguments: &[u8]| {
                arguments.starts_with(b"sleep") && arguments.ends_with(ending.as_bytes())
            };
            let pid = i32::try_from(child.id()).expect("a pid");
            while !of(pid).expect("a look").is_some_and(|it| is_it(&it.arguments)) {
                clock::pause(Duration::from_millis(1));
            }
            let seen = ours(|glimpse| is_it(glimpse.arguments)).expect("a look").len();
            child.kill().expect("ours");
            child.wait().expect("ended");
            seen
        };
        assert_eq!(seen_of("654341", true), 1);
        assert_eq!(seen_of("654342", false), 0, "it is somebody else's");
    }

    #[test]
    fn a_name_is_there_or_is_not() {
        let child = launched(&["sleep", "654323"]);
        // Not before it is what it was started as.
        while is_there(&["sleep"]).expect("a look") != Some(true) {
            clock::pause(Duration::from_millis(1));
        }
        assert_ne!(is_there(&["no-such-name"]).expect("a look"), Some(true));
        drop(child);
    }

    #[test]
    fn what_has_ended_gets_no_signal_and_has_no_state() {
        let child = launched(&["sleep", "654322"]);
        let pid = child.0.pid();
        let sleep = of(pid).expect("a look").expect("there");
        assert!(sleep.state_now().expect("a look").is_some());
        drop(child);
        assert_eq!(sleep.state_now().expect("a look"), None);
        assert!(!sleep.signal(Signal::TERM).expect("nobody"));
        assert!(of(pid).expect("a look").is_none_or(|other| other.identity != sleep.identity));
    }

    #[test]
    fn the_machine_has_been_up_since_its_first_process() {
        let boot = Duration::from_secs(1_000_000_000);
        assert!(up(boot) <= boot && up(boot) > boot / 2);
        assert_eq!(up(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = b"12 (x) R 1 () S 3 4 5 0 -1 4194560 0 0 0 0 1 2 0 0 20 0 1 0 777 0 0\n";
        let stat = parse_stat(stat).expect("a stat");
        assert_eq!((stat.state, stat.parent, stat.group, stat.session), ('S', 3, 4, 5));
        assert_eq!(stat.start_ticks, 777);
        assert!(parse_stat(b"12 (x").is_none() && parse_stat(b"").is_none());
    }
}
