//! Thousands of processes that do nothing, for programs that look through them.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use station::world::process;

use crate::bed::Bed;

/// Starts processes that do nothing, says so, and waits.
const CROWD: &str =
    "i=0; while [ $i -lt $0 ]; do sleep 600 & i=$((i + 1)); done; echo ready; read line";

/// Whose the processes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of the user that measures.
    Ours,
    /// Of another user; needs root.
    Others,
}

/// Processes that do nothing. For root they are in a namespace of their own, where nobody else's are
/// looked at; both programs are then called through `nsenter`.
#[derive(Debug)]
pub struct Crowd {
    /// Their parent; for root, `unshare`, with which the namespace ends.
    keeper: Child,
    /// The first process of the namespace.
    first: Option<String>,
}

impl Crowd {
    /// Starts `count` of them.
    ///
    /// # Errors
    /// There is no shell, or they do not come together.
    pub fn gather(bed: &Bed, count: u32, whose: Whose) -> Result<Self> {
        let count = count.to_string();
        let mut words = Vec::new();
        if geteuid().is_root() {
            words.extend(["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]);
        }
        if whose == Whose::Others {
            words.extend(["setpriv", "--reuid=47111", "--regid=47111", "--clear-groups"]);
        }
        words.extend(["sh", "-c", CROWD, &count]);
        let program = process::find(words[0], Path::new("/")).context("there is no shell")?;
        let mut command = process::command(&program, &words[1..]);
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut crowd = Self { keeper: command.spawn()?, first: None };
        let stdout = crowd.keeper.stdout.take().context("a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "ready\n", "a crowd of {count} processes did not come together");
        bed.rest(Duration::from_millis(500))?;
        if geteuid().is_root() {
            let pid = crowd.keeper.id();
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
            crowd.first = Some(children.trim().to_owned());
        }
        Ok(crowd)
    }

    /// A command that sees them.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let Some(first) = &self.first else {
            return process::command(program, [""; 0]);
        };
        let nsenter = Path::new("/usr/bin/nsenter");
        let mut command = process::command(nsenter, ["--target", first, "--pid", "--mount"]);
        command.arg(program);
        command
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // Not reaped yet, its group is nobody else's.
        let _ = kill_process_group(Pid::from_child(&self.keeper), Signal::KILL);
        let _ = self.keeper.wait();
    }
}
