//! A station's home, and real processes that end with the test, each through its handle.

// Not every test uses all of it.
#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    fs::{self, File},
    io,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bw_cleanup::{
    Args,
    memory::Memory,
    sweep::{self, Told},
};
use clap::Parser;
use station::{
    app::{Exit, Failure},
    words::cleanup,
    world::{
        clock::{self, Clock, Moment, Monotonic, SystemClock},
        files::{self, Durable},
        keepalive::boot_id,
        processes,
    },
};
use tempfile::TempDir;

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// The machine's clocks, so much later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Later {
    pub(crate) running: Duration,
    pub(crate) suspended: Duration,
}

impl Clock for Later {
    fn moment(&self) -> Moment {
        let now = SystemClock.moment();
        let monotonic = Monotonic(now.monotonic.0 + self.running);
        Moment { monotonic, boot: now.boot + self.running + self.suspended, ..now }
    }
}

/// So much later on a machine that runs all the time.
pub(crate) fn later(running: Duration) -> Later {
    Later { running, suspended: Duration::ZERO }
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A home in a temporary directory, and a name that no other process of the machine has.
pub(crate) struct Home {
    pub(crate) name: String,
    folder: TempDir,
}

impl Home {
    /// With a list, in which `NAME` stands for the name.
    pub(crate) fn with(list: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hung{}x{number}", std::process::id());
        let folder = tempfile::tempdir().expect("a folder");
        let home = Self { name, folder };
        for below in ["bin", "config", "keepalives"] {
            files::make_directory(&home.path(below)).expect("made");
        }
        // Open to another user's programs, too.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(home.path(""), open.clone()).expect("mine");
        fs::set_permissions(home.path("bin"), open).expect("mine");
        home.write("iepm.toml", "");
        home.write("config/cleanup-list", &list.replace("NAME", &home.name));
        home
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn write(&self, below: &str, content: &str) {
        files::replace(&self.path(below), content.as_bytes(), Durable::WithinThisBoot)
            .expect("written");
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory::read(&self.path("keepalives"), &boot_id())
    }

    /// The program, as its users call it but for the time.
    pub(crate) fn run(&self, clock: &impl Clock, arguments: &[&str]) -> Result<Exit, Failure> {
        let home = self.folder.path().as_os_str().to_owned();
        let given = arguments.iter().map(Into::into);
        let all = ["bw-cleanup".into(), "--home".into(), home].into_iter().chain(given);
        bw_cleanup::run_by(&Args::parse_from(all), clock)
    }

    /// What it does in a run, by the station's list.
    pub(crate) fn sweep(&self, clock: &impl Clock) -> Vec<Told> {
        let text = fs::read_to_string(self.path("config/cleanup-list")).expect("a list");
        let (list, mistakes) = cleanup::parse(&text);
        assert_eq!(mistakes, []);
        sweep::sweep((&list, self.folder.path()), &mut self.memory(), true, clock).expect("a look")
    }

    /// A program that does nothing and is called so: a link to `sleep`.
    pub(crate) fn sleeper(&self, name: &str) -> Process {
        Process::start(command(self.link(name, "/bin/sleep"), &["600"]))
    }

    /// A link to a program, in a directory of the home.
    pub(crate) fn link(&self, name: &str, program: &str) -> PathBuf {
        let path = self.path("bin").join(name);
        if !path.exists() {
            symlink(program, &path).expect("a link");
        }
        path
    }

    /// A script, and what runs it.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path("bin").join(name);
        // A shell writes it: a program that is open for writing in this process, and so for a moment in
        // a child of another test, cannot be started.
        let write = [
            "-c",
            "mkdir -p \"${0%/*}\" && cat >\"$0\" && chmod 755 \"$0\"",
            path.to_str().expect("UTF-8"),
        ];
        let mut shell = command("/bin/sh", &write).stdin(Stdio::piped()).spawn().expect("sh");
        let mut stdin = shell.stdin.take().expect("a pipe");
        io::Write::write_all(&mut stdin, text.as_bytes()).expect("written");
        drop(stdin);
        assert!(shell.wait().expect("sh ends").success());
        path
    }
}

/// A command of a test.
pub(crate) fn command(program: impl AsRef<Path>, arguments: &[&str]) -> Command {
    station::world::process::command(program.as_ref(), arguments)
}

/// As [`command`], started by another name.
pub(crate) fn named(name: &str, program: &str, arguments: &[&str]) -> Command {
    let mut command = command(program, arguments);
    command.arg0(name);
    command
}

/// A process that ends with the test; until then it can read from a pipe that says nothing.
pub(crate) struct Process {
    child: Child,
    shown: String,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let shown = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let started = Self { child, shown };
        // It is this program until it has become its own, and for an instant has no arguments.
        let own = processes::of(std::process::id().cast_signed()).expect("a look").expect("there");
        while matches!(&started.held().arguments, seen if seen.is_empty() || *seen == own.arguments)
        {
            clock::pause(Duration::from_micros(200));
        }
        started
    }

    /// Waits until it has said something.
    pub(crate) fn that_is_ready(mut self) -> Self {
        let mut word = [0; 1];
        let stdout = self.child.stdout.as_mut().expect("a pipe");
        io::Read::read_exact(stdout, &mut word).expect("it says that it is ready");
        self
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    pub(crate) fn held(&self) -> processes::Process {
        processes::of(self.pid()).expect("a look").expect("there")
    }

    pub(crate) fn goes_on(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    #[track_caller]
    pub(crate) fn assert_goes_on(&mut self) {
        assert!(self.goes_on(), "ended: {}", self.shown);
    }

    /// Stops it and waits until it is stopped.
    pub(crate) fn stop(&self) {
        let held = self.held();
        held.signal(rustix::process::Signal::STOP).expect("a child");
        while held.state_now().expect("a look") != Some('T') {
            clock::pause(Duration::from_millis(1));
        }
    }

    pub(crate) fn kill(&mut self) {
        // Not reaped before this, its number is nobody else's.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Pids of those that were too old, sorted.
pub(crate) fn pids(told: &[Told]) -> Vec<i32> {
    let mut pids: Vec<i32> = told.iter().map(|told| told.pid).collect();
    pids.sort_unstable();
    pids
}

/// An empty file.
pub(crate) fn touch(path: &Path) {
    File::create(path).expect("a file");
}
