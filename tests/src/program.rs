//! Programs of the suite, and tools, as a story runs them.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{pause, until};

/// Where cargo puts the programs of this workspace.
pub fn binaries() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own place");
    // target/<profile>/deps/<test>
    let folder = test.parent().and_then(Path::parent).expect("cargo's layout").to_path_buf();
    assert!(
        folder.join("pingd").exists(),
        "there is no pingd in {}: run `cargo build --workspace --bins` first, as scripts/test does",
        folder.display()
    );
    folder
}

/// A command that a story runs.
#[expect(clippy::disallowed_methods, reason = "stories start the real programs")]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end; what it says when it fails is told.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All that a command said.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// A program that runs; it is ended when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts a command whose output goes to `log`.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file =
            File::options().create(true).append(true).open(log).expect("a log can be opened");
        command.stdout(file.try_clone().expect("a descriptor")).stderr(file);
        let child = command.spawn().expect("the program starts");
        Self { child, log: log.to_path_buf() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn raw(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // It may have ended by itself.
        let _ = kill_process(self.raw(), signal);
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().expect("a child").map(|status| status.code())
    }

    /// Asks it to end, and gives its exit status.
    #[track_caller]
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        until("the program ends when asked to", || self.ended())
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::TERM);
            for _ in 0..100 {
                if self.ended().is_some() {
                    return;
                }
                pause(std::time::Duration::from_millis(20));
            }
            self.kill();
        }
    }
}
