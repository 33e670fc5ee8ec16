//! The life of one run: started, watched, ended if it hangs, and its result handed over.

use std::{
    fs::File,
    io::{self, Read, Seek},
    os::fd::BorrowedFd,
    path::Path,
    time::Duration,
};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::{
    text::Timestamp,
    words::{
        config::Config,
        run::{Ended, Machine, RunId},
    },
};

use super::{
    clock::{Moment, Monotonic},
    process::{self, Launch, Process, Signal, Status},
    signals,
};

/// How long a process that was asked to end may take, before it is asked harder.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// After this a killed process is stuck in the kernel; the run is given up, not the process.
const STUCK: Duration = Duration::from_secs(10);

/// A run that was claimed: all that is needed to carry it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which run.
    pub run: RunId,
    /// The specification it is a run of.
    pub spec_id: i64,
    /// The tool, which is the result file's suffix.
    pub tool: String,
    /// The node that is measured to.
    pub node: String,
    /// The command, word by word.
    pub argv: Vec<String>,
    /// When it is to start.
    pub due: Timestamp,
    /// When it may no longer start.
    pub latest: Timestamp,
    /// After how long it is ended.
    pub limit: Duration,
}

/// A run that is going on.
#[derive(Debug)]
pub struct Running {
    order: Order,
    process: Process,
    started: Timestamp,
    stage: Stage,
    next_stage: Monotonic,
    asked: bool,
    too_much: bool,
    stdout: File,
    stderr: File,
}

/// How far the station has gone in ending a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Within its limit.
    Free,
    /// INT: some tools print what they have.
    Interrupted,
    /// TERM, then CONT for one that was stopped.
    Terminated,
    /// KILL.
    Killed,
    /// The kernel holds it.
    Stuck,
}

/// A run whose process has ended: its result, not yet a file of the spool.
#[derive(Debug)]
pub struct Ending {
    /// What was ordered.
    pub order: Order,
    /// When its process was started.
    pub started: Timestamp,
    /// When it had ended.
    pub ended_at: Timestamp,
    /// How.
    pub ended: Ended,
    /// Its standard output; a file in memory.
    pub stdout: File,
    /// Its standard error; a file in memory.
    pub stderr: File,
    /// What is known of it if it had the channel for itself.
    pub alone: Option<Box<Company>>,
}

/// How a run that had the channel for itself was not quite alone.
#[derive(Debug)]
pub struct Company {
    /// How the machine was right before its start.
    pub machine: Machine,
    /// Which limits the machine was over.
    pub unclean: Option<String>,
    /// The ping beside it.
    pub beside: Option<Ending>,
}

impl Order {
    /// Starts the run for `program`. Its output goes to files in memory: a crash leaves nothing of
    /// them, a full disk cannot cut them, and making them costs next to nothing.
    ///
    /// # Errors
    /// Says what could not be made or started.
    pub fn start(
        &self,
        program: &str,
        config: &Config,
        moment: &Moment,
    ) -> Result<Running, String> {
        let tool = self.argv.first().map_or("", String::as_str);
        let (process, stdout, stderr) = self
            .launch(program, config)
            .map_err(|error| format!("cannot start {tool}: {error}"))?;
        Ok(Running {
            next_stage: moment.monotonic + self.limit,
            order: self.clone(),
            process,
            started: moment.wall,
            stage: Stage::Free,
            asked: false,
            too_much: false,
            stdout,
            stderr,
        })
    }

    /// The tag of its processes.
    #[must_use]
    pub fn tag(&self, program: &str, config: &Config) -> String {
        format!("{}{}", tag(&config.paths.home, program), self.run.schedule_id)
    }

    fn launch(&self, program: &str, config: &Config) -> io::Result<(Process, File, File)> {
        let (stdout, stderr) = (memory("stdout")?, memory("stderr")?);
        let process = process::start(Launch {
            argv: &self.argv,
            bin: &config.paths.bin,
            tag: &self.tag(program, config),
            stdout: stdout.try_clone()?,
            stderr: stderr.try_clone()?,
        })?;
        process.limit_files(config.most_output);
        Ok((process, stdout, stderr))
    }
}

/// Bytes that are kept of what a process wrote, and how many more there were.
pub type Printed = (Vec<u8>, u64);

impl Ending {
    /// What the process wrote to its standard output and to its standard error, `most` bytes together.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn printed(&mut self, most: u64) -> io::Result<[Printed; 2]> {
        let stdout = kept(&mut self.stdout, most)?;
        let stderr = kept(&mut self.stderr, most.saturating_sub(stdout.0.len() as u64))?;
        Ok([stdout, stderr])
    }
}

/// The first `most` bytes of a file, and how many more it has.
fn kept(file: &mut File, most: u64) -> io::Result<Printed> {
    let size = file.metadata()?.len();
    let mut content = Vec::with_capacity(usize::try_from(size.min(most)).unwrap_or(0));
    file.rewind()?;
    file.take(most).read_to_end(&mut content)?;
    let cut = size.saturating_sub(content.len() as u64);
    Ok((content, cut))
}

/// An empty file in memory.
fn memory(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// What the tags of all runs that `program` starts on this station begin with.
#[must_use]
pub fn tag(home: &Path, program: &str) -> String {
    format!("{}:{program}:", home.display())
}

impl Running {
    /// What was ordered.
    #[must_use]
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Its process, which leads its group.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Readable when its process has ended.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.process.fd()
    }

    /// When [`Self::insist`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Monotonic {
        self.next_stage
    }

    /// Whether the kernel will not let the process end; it is to be given up.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stage == Stage::Stuck
    }

    /// Has the run ended from `now` on: one that has no end of its own, and did what it was there for.
    pub fn ask_to_end(&mut self, now: Monotonic) {
        if self.stage == Stage::Free {
            self.asked = true;
            self.next_stage = now;
        }
    }

    /// Goes one stage further in ending the run, if it is time.
    pub fn insist(&mut self, now: Monotonic) {
        // One that has ended by itself is only to be reaped: whoever should have was stopped meanwhile.
        if now < self.next_stage || (self.stage < Stage::Killed && self.has_ended()) {
            return;
        }
        self.stage = match self.stage {
            // ping(8) prints its summary when interrupted, and nothing when terminated.
            Stage::Free if self.order.tool == "ping" => {
                self.process.signal(Signal::INT);
                Stage::Interrupted
            }
            Stage::Free | Stage::Interrupted => {
                self.process.signal(Signal::TERM);
                self.process.signal(Signal::CONT);
                Stage::Terminated
            }
            Stage::Terminated => {
                self.process.signal(Signal::KILL);
                Stage::Killed
            }
            Stage::Killed | Stage::Stuck => Stage::Stuck,
        };
        self.next_stage = now + if self.stage == Stage::Killed { STUCK } else { PATIENCE };
    }

    /// Whether its process has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        signals::wait_for(&[self.fd()], Duration::ZERO) == [true]
    }

    /// Ends the run before its limit, if it wrote more than `most` bytes.
    pub fn check_output(&mut self, most: u64, now: Monotonic) {
        let size = |file: &File| file.metadata().map_or(0, |metadata| metadata.len());
        if !self.too_much && size(&self.stdout) + size(&self.stderr) > most {
            self.too_much = true;
            self.process.signal(Signal::KILL);
            self.stage = Stage::Killed;
            self.next_stage = now + STUCK;
        }
    }

    /// The signals that end a run whatever it does: for a daemon that ends itself.
    pub fn kill(&self) {
        self.process.signal(Signal::KILL);
    }

    /// The result, if the process has ended or is given up; else the run itself.
    ///
    /// # Errors
    /// The run again, which is still going on.
    pub fn end(self, moment: &Moment) -> Result<Ending, Box<Self>> {
        let status = match self.process.reap() {
            Ok(Some(status)) => status,
            Ok(None) if self.is_stuck() => Status::Signalled(9),
            Ok(None) => return Err(Box::new(self)),
            Err(error) => {
                log::error!("run {}: cannot wait for its process: {error}", self.order.run);
                Status::Exited(-1)
            }
        };
        Ok(Ending {
            started: self.started,
            ended_at: moment.wall,
            ended: self.judge(status),
            order: self.order,
            stdout: self.stdout,
            stderr: self.stderr,
            alone: None,
        })
    }

    fn judge(&self, status: Status) -> Ended {
        match (self.too_much, self.stage, status) {
            (true, ..) => Ended::TooMuchOutput,
            (_, Stage::Free, Status::Exited(status)) => Ended::Exited { status },
            (_, Stage::Interrupted, Status::Exited(status)) if self.asked => {
                Ended::Exited { status }
            }
            (_, _, Status::Signalled(signal)) if signal == Signal::XFSZ.as_raw() => {
                Ended::TooMuchOutput
            }
            (_, Stage::Free, Status::Signalled(signal)) => Ended::Signalled { signal },
            (.., Status::Exited(_)) => Ended::TimedOut { signal: None },
            (.., Status::Signalled(signal)) => Ended::TimedOut { signal: Some(signal) },
        }
    }
}
