//! How every program of this suite begins, fails and ends.
//!
//! Only this module turns a result into an exit status, and only `main` returns it. Whoever ends the
//! process elsewhere takes from the caller the chance to flush, unlock and wait.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::Parser;

use crate::{
    log::{self, Style},
    world::store::{self, Kind},
};

pub use crate::locate::Common;

/// How a program ends, as the shell, cron and the watchdogs see it.
///
/// These numbers are part of the interface: the page of each program lists those it can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Well = 0,
    /// Some of the work could not be done, or the answer is "no": a person should look.
    NeedsPerson = 1,
    /// The command line made no sense.
    Usage = 2,
    /// Not now: it runs already, or the database is locked or away; the same command may work later.
    TryLater = 75,
    /// A configuration file or the database's schema is not right; somebody must change it first.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a program ended early: what it was doing, and what stood in its way.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    doing: String,
    cause: Option<anyhow::Error>,
}

impl Failure {
    /// `doing` says what was being done to what: `reading /etc/iepm.toml`.
    pub fn new(exit: Exit, doing: impl Into<String>) -> Self {
        Self { exit, doing: doing.into(), cause: None }
    }

    /// Adds why it failed, and what to change.
    #[must_use]
    pub fn because(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// As [`Self::because`], with words.
    #[must_use]
    pub fn why(self, cause: impl fmt::Display) -> Self {
        self.because(anyhow::anyhow!("{cause}"))
    }

    /// A failure of the database: what can be done about it decides the exit status.
    #[must_use]
    pub fn store(doing: impl Into<String>, error: store::Error) -> Self {
        let exit = match error.kind() {
            Kind::Busy | Kind::Away | Kind::Full | Kind::ReadOnly => Exit::TryLater,
            Kind::Newer | Kind::Older | Kind::Closed => Exit::Config,
            Kind::Corrupt | Kind::Conflict | Kind::Other => Exit::NeedsPerson,
        };
        Self::new(exit, doing).because(error)
    }

    /// The exit status that it leads to.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{}: {cause:#}", self.doing),
            None => f.write_str(&self.doing),
        }
    }
}

/// Runs a command: reads its arguments, does `body`, and reports its end in the manner of the house.
pub fn run<A: Parser>(body: impl FnOnce(&A) -> Result<Exit, Failure>) -> ExitCode {
    enter(Style::Command, body)
}

/// Runs a daemon: as [`run`], but what it says goes to a log.
pub fn run_daemon<A: Parser>(body: impl FnOnce(&A) -> Result<Exit, Failure>) -> ExitCode {
    enter(Style::Daemon, body)
}

fn enter<A: Parser>(style: Style, body: impl FnOnce(&A) -> Result<Exit, Failure>) -> ExitCode {
    let name = A::command().get_name().to_owned();
    if let Some(exit) = crate::generate::asked::<A>(&name) {
        return exit.into();
    }
    log::init(&name, style);
    match body(&A::parse()) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // A closed stderr must not turn a reported failure into a panic.
            let _ = writeln!(io::stderr(), "{name}: {failure}");
            failure.exit.into()
        }
    }
}

/// Lets the log say more, for programs that have no [`Common`] arguments.
pub fn say_more(verbose: u8) {
    log::more(verbose);
}

/// Prints to the standard output. That nobody reads it any more (`| head`) is not a failure.
///
/// # Errors
/// The output cannot be written, a full disk for instance.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::NeedsPerson, "writing the standard output").because(error))
        }
        _ => Ok(()),
    }
}

/// Whether the standard output is a terminal: only there is colour shown.
#[must_use]
pub fn on_terminal() -> bool {
    io::stdout().is_terminal()
}
