//! The user's crontab, through the program `crontab`: the one that knows where it lies.

use std::{path::PathBuf, time::Duration};

use station::{
    app::{Exit, Failure},
    words::config::Config,
    world::{
        errand::{self, Done, Errand},
        process,
    },
};

/// `crontab` waits for nobody; one that takes longer is none.
const LIMIT: Duration = Duration::from_secs(20);

/// The program `crontab`.
#[derive(Debug)]
pub(crate) struct Table {
    program: PathBuf,
}

impl Table {
    /// Nothing when there is no cron on this machine.
    pub(crate) fn find(config: &Config) -> Option<Self> {
        let program = process::find("crontab", &config.paths.bin)?;
        Some(Self { program })
    }

    /// The whole crontab of the user; empty when there is none.
    ///
    /// # Errors
    /// What `crontab` says.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Failure> {
        let done = self.call("reading the crontab", &["-l"], b"")?;
        match done.status {
            Some(0) => Ok(done.output),
            // All crons say it so, and with the status of any other failure.
            _ if done.complaint.contains("no crontab for") => Ok(Vec::new()),
            _ => Err(refused("reading the crontab", &done)),
        }
    }

    /// Puts another in its place.
    ///
    /// # Errors
    /// What `crontab` says, or that it did not keep what it was given.
    pub(super) fn write(&self, crontab: &[u8]) -> Result<(), Failure> {
        let writing = "writing the crontab";
        let done = self.call(writing, &["-"], crontab)?;
        if done.status != Some(0) {
            return Err(refused(writing, &done));
        }
        if self.read()? == crontab {
            Ok(())
        } else {
            let why = "`crontab -l` does not give back what it was given";
            Err(Failure::new(Exit::NeedsPerson, writing).why(why))
        }
    }

    fn call(&self, doing: &str, arguments: &[&str], input: &[u8]) -> Result<Done, Failure> {
        // Debian's can be told to show three lines of its own, which would come back to it each time.
        let variables = [("CRONTAB_NOHEADER", "Y")];
        let (program, variables) = (self.program.as_path(), variables.as_slice());
        let errand = Errand { program, arguments, variables, input, limit: LIMIT };
        errand::run(&errand).map_err(|error| {
            let doing = format!("{doing}: running {}", self.program.display());
            Failure::new(Exit::NeedsPerson, doing).because(error)
        })
    }
}

fn refused(doing: &str, done: &Done) -> Failure {
    let why =
        if done.complaint.is_empty() { "it failed and did not say why" } else { &done.complaint };
    Failure::new(Exit::NeedsPerson, doing).why(why)
}
