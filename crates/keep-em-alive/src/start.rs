//! Daemons are started all at once, and watched until they run, or have ended again.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use station::{
    app::Exit,
    words::{config::Config, suite},
    world::{
        clock::{Clock, SystemClock, pause},
        detached::{self, Detached, Start},
        files, keepalive,
        process::{self, Status},
    },
};

/// How long a daemon may take to run, until it is left to the next look.
const PATIENCE: Duration = Duration::from_secs(3);
const GLANCE: Duration = Duration::from_millis(2);
/// So much of the end of a log is looked through for its last line.
const END_OF_LOG: i64 = 2_000;

/// How a start went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It runs.
    Up,
    /// It has not ended, and has not come round either.
    Unsure,
    /// It could not be started.
    Failed(String),
    /// Not now: it runs already, or what it needs is away.
    NotNow(String),
    /// Its configuration, or the schema, is wrong.
    Wrong(String),
    /// It ended at once.
    Ended(String),
}

/// A daemon that was just started.
struct Started<'a> {
    name: &'a str,
    process: Detached,
}

/// Starts daemons and says how each start went.
pub fn start_all(names: &[&str], config: &Config) -> Vec<Outcome> {
    let started: Vec<Result<Started<'_>, String>> =
        names.iter().map(|name| start(name, config)).collect();
    let until = SystemClock.moment().monotonic + PATIENCE;
    let mut outcomes: Vec<Option<Outcome>> = started.iter().map(|_| None).collect();
    while outcomes.iter().any(Option::is_none) {
        let late = SystemClock.moment().monotonic >= until;
        for (outcome, started) in outcomes.iter_mut().zip(&started).filter(|(o, _)| o.is_none()) {
            *outcome = look(started, config).or(late.then_some(Outcome::Unsure));
        }
        pause(GLANCE);
    }
    outcomes.into_iter().flatten().collect()
}

/// Where a daemon's log is.
#[must_use]
pub fn log_of(name: &str, config: &Config) -> PathBuf {
    config.paths.log.join(format!("{name}.log"))
}

fn start<'a>(name: &'a str, config: &Config) -> Result<Started<'a>, String> {
    let program = process::find(name, &config.paths.bin).ok_or_else(|| {
        format!("it is not installed: neither in {} nor in PATH", config.paths.bin.display())
    })?;
    let path = log_of(name, config);
    let log = open_log(&path).map_err(|error| format!("its log {}: {error}", path.display()))?;
    let again = log.try_clone().map_err(|error| error.to_string())?;
    let process = detached::start(Start {
        program: &program,
        arguments: &arguments(name, config),
        argv0: None,
        folder: &config.paths.home,
        stdout: again,
        stderr: log,
    });
    let process = process.map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(Started { name, process })
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        files::make_directory(folder)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// Daemons of the suite are told which station they are of; what others want is not known here.
fn arguments(name: &str, config: &Config) -> Vec<String> {
    if !suite::DAEMONS.contains(&name) {
        return Vec::new();
    }
    let (file, home) = (config.paths.file.display(), config.paths.home.display());
    vec!["--config".to_owned(), file.to_string(), "--home".to_owned(), home.to_string()]
}

/// How the start went, if that can be said already.
fn look(started: &Result<Started<'_>, String>, config: &Config) -> Option<Outcome> {
    let Started { name, process } = match started {
        Ok(started) => started,
        Err(why) => return Some(Outcome::Failed(why.clone())),
    };
    match process.ended() {
        Ok(Some(status)) => Some(ended(name, status, config)),
        Ok(None) if suite::DAEMONS.contains(name) => {
            // One that has come round once has all that it needs.
            let alive = keepalive::look(&config.paths.keepalives, name).ok().flatten();
            let pid = alive.and_then(|alive| i32::try_from(alive.pid).ok());
            (pid == Some(process.pid())).then_some(Outcome::Up)
        }
        // Of others nothing more is known than that they have not ended.
        Ok(None) => None,
        Err(error) => Some(Outcome::Failed(error.to_string())),
    }
}

fn ended(name: &str, status: Status, config: &Config) -> Outcome {
    let said = last_line(&log_of(name, config)).unwrap_or_default();
    let status_is = |exit: Exit| status == Status::Exited(exit as i32);
    if status_is(Exit::TryLater) {
        Outcome::NotNow(said)
    } else if status_is(Exit::Config) {
        Outcome::Wrong(said)
    } else {
        let how = match status {
            Status::Exited(status) => format!("with status {status}"),
            Status::Signalled(signal) => format!("by signal {signal}"),
        };
        let said = if said.is_empty() { said } else { format!(": {said}") };
        Outcome::Ended(format!("it ended at once, {how}{said}"))
    }
}

/// The last line of a log.
fn last_line(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
    file.seek(SeekFrom::End(-length.min(END_OF_LOG)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end).into_owned();
    Ok(end.trim_end().lines().next_back().unwrap_or_default().to_owned())
}
