//! Where a station's configuration is, and what all programs' command lines share.

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    app::{Exit, Failure},
    text::cite_all,
    words::config::{self, Config},
    world::{files, process},
};

/// Where a production station lives.
const USUAL_HOME: &str = "/home/iepm";
const SYSTEM_WIDE: &str = "/etc/iepm.toml";

/// Arguments of every program.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "these comments are the help texts, which know no backticks"
)]
pub struct Common {
    /// The configuration file [default: $IEPM_CONFIG, then HOME/iepm.toml, then /etc/iepm.toml]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The station's home [default: $IEPM_HOME, then where this program's bin directory is, then /home/iepm]
    #[arg(long, value_name = "DIR", global = true)]
    pub home: Option<PathBuf>,
    /// Say more; twice: still more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

impl Common {
    /// Finds, reads and checks the configuration.
    ///
    /// # Errors
    /// [`Exit::Config`] with every mistake and its place, or where it was looked for.
    pub fn load(&self) -> Result<Config, Failure> {
        crate::log::more(self.verbose);
        let (path, home) = self.place()?;
        read(&path, &home)
    }

    /// As [`Self::load`], for watchdogs, which must go on when somebody has broken the configuration:
    /// then it is the last good one, and what is wrong now.
    ///
    /// # Errors
    /// As [`Self::load`], when there never was a good one.
    pub fn load_or_last_good(&self) -> Result<(Config, Option<Failure>), Failure> {
        let failure = match self.load() {
            Ok(config) => {
                if let Err(error) = remember(&config) {
                    log::warn!("cannot keep a copy of the configuration: {error}");
                }
                return Ok((config, None));
            }
            Err(failure) => failure,
        };
        match self.last_good() {
            Some(config) => Ok((config, Some(failure))),
            None => Err(failure),
        }
    }

    /// The copy of the last good configuration, from where the broken one, or none, says that it is.
    fn last_good(&self) -> Option<Config> {
        let (path, home) = self.place().unwrap_or_else(|_| {
            let home = self.home();
            (home.join("iepm.toml"), home)
        });
        let broken = fs::read_to_string(&path).unwrap_or_default();
        let keepalives = config::parse(&broken, &home).0.paths.keepalives;
        let text = fs::read_to_string(keepalives.join(LAST_GOOD)).ok()?;
        let (config, mistakes) = config::parse(&text, &home);
        if mistakes.is_empty() { complete(config, &path).ok() } else { None }
    }

    /// The station's home, if no file names it.
    fn home(&self) -> PathBuf {
        let home = self.home.clone().or_else(|| from_env("IEPM_HOME"));
        home.or_else(home_of_program).unwrap_or_else(|| PathBuf::from(USUAL_HOME))
    }

    /// Refuses to do for another user what leaves files, processes or lines for cron in the name of who
    /// does it.
    ///
    /// # Errors
    /// [`Exit::NeedsPerson`], with how to do it as the user whose station it is.
    pub fn is_ours(config: &Config) -> Result<(), Failure> {
        let home = &config.paths.home;
        let looking = || Failure::new(Exit::NeedsPerson, format!("looking at {}", home.display()));
        let owner = fs::metadata(home).map_err(|error| looking().because(error))?.uid();
        if owner == process::user() {
            return Ok(());
        }
        let why = format!(
            "it belongs to the user {owner}; do it as that user: `setpriv --reuid={owner} --regid={owner} \
             --init-groups {}/iepm ...`",
            config.paths.bin.display()
        );
        Err(looking().why(why))
    }

    /// Where the configuration is, unread, and the station's home if the file does not name one.
    ///
    /// # Errors
    /// [`Exit::Config`] with where it was looked for.
    pub fn place(&self) -> Result<(PathBuf, PathBuf), Failure> {
        let (path, home) = self.find()?;
        let home = home.unwrap_or_else(|| directory_of(&path));
        Ok((path, home))
    }

    /// The file, and the home if it is not simply where the file is.
    fn find(&self) -> Result<(PathBuf, Option<PathBuf>), Failure> {
        if let Some(path) = self.config.clone().or_else(|| from_env("IEPM_CONFIG")) {
            return Ok((path, self.home.clone()));
        }
        let home = self.home();
        let (own, shared) = (home.join("iepm.toml"), PathBuf::from(SYSTEM_WIDE));
        if own.try_exists().unwrap_or(true) {
            Ok((own, Some(home)))
        } else if shared.try_exists().unwrap_or(true) {
            Ok((shared, Some(home)))
        } else {
            let tried = format!("there is neither {} nor {SYSTEM_WIDE}", own.display());
            let hint = "name the station by --home or --config, or make one by `iepm init DIR`";
            Err(Failure::new(Exit::Config, "looking for the configuration")
                .why(format!("{tried}; {hint}")))
        }
    }
}

/// The copy of the last good configuration, in the directory of the keep-alive files.
const LAST_GOOD: &str = "iepm.toml.good";

/// Keeps a copy of a good configuration, if there is none of it yet.
fn remember(config: &Config) -> std::io::Result<()> {
    let (text, copy) = (fs::read(&config.paths.file)?, config.paths.keepalives.join(LAST_GOOD));
    if fs::read(&copy).is_ok_and(|old| old == text) {
        return Ok(());
    }
    files::make_directory(&config.paths.keepalives)?;
    files::replace(&copy, &text, files::Durable::AgainstPowerLoss)
}

fn from_env(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The station whose `bin` holds the program that runs.
fn home_of_program() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let home = program.parent()?.parent()?;
    // A station whose configuration was removed is still the one that is meant.
    let is_station = ["iepm.toml", "keepalives"].iter().any(|name| home.join(name).exists());
    is_station.then(|| home.to_path_buf())
}

fn directory_of(path: &Path) -> PathBuf {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

/// Reads and checks the configuration at `path`.
///
/// # Errors
/// [`Exit::Config`] with every mistake and its place.
pub(crate) fn read(path: &Path, home: &Path) -> Result<Config, Failure> {
    let shown = path.display();
    let reading = || Failure::new(Exit::Config, format!("reading the configuration {shown}"));
    if files::writable_by_others(path).map_err(|error| reading().because(error))? {
        return Err(reading().why(format!("others may write to it; `chmod go-w {shown}`")));
    }
    let text = fs::read_to_string(path).map_err(|error| reading().because(error))?;
    let home = std::path::absolute(home).map_err(|error| reading().because(error))?;
    let (config, mistakes) = config::parse(&text, &home);
    if mistakes.is_empty() {
        return complete(config, path).map_err(|error| reading().because(error));
    }
    let cited = cite_all(&shown.to_string(), &text, &mistakes);
    let count = if mistakes.len() == 1 {
        "a mistake".to_owned()
    } else {
        format!("{} mistakes", mistakes.len())
    };
    Err(Failure::new(Exit::Config, format!("the configuration has {count}\n{cited}")))
}

/// Adds to a configuration where it was read from.
fn complete(mut config: Config, path: &Path) -> std::io::Result<Config> {
    // One way to write it: processes are known by it.
    config.paths.home = config.paths.home.canonicalize().unwrap_or(config.paths.home);
    config.paths.file = std::path::absolute(path)?;
    Ok(config)
}
