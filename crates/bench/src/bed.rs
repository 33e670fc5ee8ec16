//! What the measurements stand on: stations in a temporary directory, a server for those of them that
//! have their tables there, and the suite's programs.
//!
//! Programs end and the directory goes when they are dropped, also when a measurement fails or somebody
//! ends it with a signal.

use std::{
    cell::{Cell, OnceCell},
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use station::{
    words::{
        config::{self, Config},
        database::Database,
    },
    world::{
        clock::{self, Clock, SystemClock},
        files, process,
        signals::Stop,
        store::{self, Store},
    },
};
use stories::Server;
use tempfile::TempDir;

use crate::{
    driver::Driver,
    machine::{self, Stopwatch},
};

/// How often a wait looks again.
const GLANCE: Duration = Duration::from_millis(20);
/// How long a program that is asked to end may take; far more than it needs.
const LEAVE: Duration = Duration::from_secs(30);
/// How long a server may take until it serves; far more than it needs.
const SERVES: Duration = Duration::from_secs(30);

/// The place of all measurements.
#[derive(Debug)]
pub struct Bed {
    quick: bool,
    programs: PathBuf,
    place: TempDir,
    server: OnceCell<Server>,
    databases: Cell<u32>,
    stop: Stop,
}

/// Where a station has its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// In a file.
    Sqlite,
    /// On a server of the bench's own, by TCP over the loopback.
    Mariadb,
}

impl Engine {
    /// Both, the embedded one first.
    pub const BOTH: [Self; 2] = [Self::Sqlite, Self::Mariadb];

    /// What a line of the table ends with.
    #[must_use]
    pub fn as_suffix(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Mariadb => ", MariaDB",
        }
    }
}

/// As an operator's server: each commit is on disk when it is answered. Its log has room for the whole of a
/// measurement, and its memory for the tables.
const SERVER: [&str; 3] = [
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=512M",
    "--innodb-log-file-size=512M",
];

impl Bed {
    /// Makes a place in `folder`; the programs are those beside this one.
    ///
    /// # Errors
    /// There is no room, or this program stands alone.
    pub fn make(folder: &Path, quick: bool) -> Result<Self> {
        let own = std::env::current_exe().context("looking for the suite's programs")?;
        let programs = own.parent().unwrap_or(Path::new("/")).to_path_buf();
        if !programs.join("pingd").exists() {
            bail!("there is no pingd in {}; scripts/bench builds all", programs.display());
        }
        let place = tempfile::Builder::new().prefix("iepm-bench-").tempdir_in(folder);
        let place = place.with_context(|| format!("making a place in {}", folder.display()))?;
        let (server, databases) = (OnceCell::new(), Cell::new(0));
        Ok(Self { quick, programs, place, server, databases, stop: Stop::on_signals()? })
    }

    /// Where a program of the suite is.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// How much of something is to be done.
    #[must_use]
    pub fn size(&self, full: u32, quick: u32) -> u32 {
        if self.quick { quick } else { full }
    }

    /// Whether somebody asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.asked()
    }

    /// Does nothing for `length`.
    ///
    /// # Errors
    /// Somebody asked to end.
    pub fn rest(&self, length: Duration) -> Result<()> {
        self.stop.wait(length);
        if self.is_stopped() { Err(anyhow::anyhow!("asked to end")) } else { Ok(()) }
    }

    /// Waits until `look` finds something, at most `limit`.
    ///
    /// # Errors
    /// It did not, what `look` says, or somebody asked to end.
    pub fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let watch = Stopwatch::start();
        while watch.elapsed() < limit {
            if let Some(found) = look()? {
                return Ok(found);
            }
            self.rest(GLANCE)?;
        }
        bail!("waited {limit:?} in vain for {what}")
    }

    /// Starts a server and waits until it says `ready` in its log, a file in `place`.
    ///
    /// # Errors
    /// It ended before, with what it said, or did not say so.
    pub fn serve(
        &self,
        name: &str,
        command: Command,
        place: &Path,
        ready: &str,
    ) -> Result<stories::Program> {
        let mut server = stories::Program::start(command, &place.join(format!("{name}.log")));
        self.until(&format!("{name} to serve"), SERVES, || match server.ended() {
            Some(_) => bail!("{name} ended: {}", server.log()),
            None => Ok(server.log().contains(ready).then_some(())),
        })?;
        Ok(server)
    }

    /// A new station, with these lines of `iepm.toml`; its tables are in a file.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn station(&self, settings: &str) -> Result<Station> {
        self.station_on(Engine::Sqlite, settings)
    }

    /// A new station whose tables are on an engine.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn station_on(&self, engine: Engine, settings: &str) -> Result<Station> {
        match engine {
            Engine::Sqlite => self.station_at(None, settings),
            Engine::Mariadb => self.station_at(Some(&self.new_database()), settings),
        }
    }

    /// The URL of a database on the server that is not there yet.
    fn new_database(&self) -> String {
        // Beside the place, not in it: the server's account has to come there.
        let folder = self.place.path().parent().unwrap_or(Path::new("/"));
        let server = self.server.get_or_init(|| Server::up_in_with(folder, &SERVER));
        self.databases.set(self.databases.get() + 1);
        server.url_by_tcp(&format!("bench_{}", self.databases.get()))
    }

    /// A new station whose tables are at this URL; without one, in a file.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn station_at(&self, url: Option<&str>, settings: &str) -> Result<Station> {
        let database = url.map_or_else(String::new, |url| format!("database = \"{url}\"\n"));
        let settings = &format!("{database}{settings}");
        let folder = tempfile::Builder::new().prefix("station-").tempdir_in(self.place.path())?;
        // It goes with all others at the end: removing thousands of files in between would fall on the
        // measurement that follows.
        let home = folder.keep();
        let home = home.as_path();
        for name in ["bin", "config", "data", "db", "keepalives", "log"] {
            files::make_directory(&home.join(name))?;
        }
        files::replace(
            &home.join("iepm.toml"),
            settings.as_bytes(),
            files::Durable::WithinThisBoot,
        )?;
        let (config, mistakes) = config::parse(settings, home);
        if let Some(mistake) = mistakes.first() {
            bail!("a station's settings: {}", mistake.cite("iepm.toml", settings));
        }
        make_schema(&config.database)?;
        Ok(Station { config })
    }

    /// A copy of a station's database, of its SCHEDULE at least, as it is now; nobody may be using it.
    ///
    /// # Errors
    /// What the engine says.
    pub fn copy_of(&self, station: &Station) -> Result<Database> {
        match &station.config.database {
            Database::Sqlite(path) => {
                let copy = path.with_extension("copy");
                fs::copy(path, &copy)?;
                Ok(Database::Sqlite(copy))
            }
            Database::Mysql(address) => {
                let copy = Database::parse(&self.new_database()).map_err(anyhow::Error::msg)?;
                make_schema(&copy)?;
                let from = &address.name;
                let sql = format!("INSERT INTO SCHEDULE SELECT * FROM {from}.SCHEDULE");
                Driver::of(&copy)?.execute(&sql)?;
                Ok(copy)
            }
        }
    }

    /// Starts a program of the suite on a station.
    ///
    /// # Errors
    /// As `execve(2)`.
    pub fn start(&self, station: &Station, name: &str, arguments: &[&str]) -> Result<Program> {
        let log = station.config.paths.log.join(format!("{name}.log"));
        let file = files::create(&log)?;
        let home = station.config.paths.home.as_os_str();
        let mut command = process::command(&self.program(name), ["--home".as_ref(), home]);
        command.args(arguments).env_remove("IEPM_CONFIG").stdin(Stdio::null());
        command.stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Program { name: name.to_owned(), child, log })
    }
}

fn make_schema(database: &Database) -> Result<()> {
    let mut store = Store::of(database, Duration::from_secs(6));
    store.create()?;
    store.unchecked(|session| store::migrate(session, SystemClock.now()))?;
    Ok(())
}

/// A station for one measurement.
#[derive(Debug)]
pub struct Station {
    /// Its configuration.
    pub config: Config,
}

impl Station {
    /// A look into its tables.
    ///
    /// # Errors
    /// What the engine says.
    pub fn look(&self) -> Result<Driver> {
        Driver::of(&self.config.database)
    }

    /// Adds lines to its `iepm.toml`; gives the file, and what it held before.
    ///
    /// # Errors
    /// As the system calls.
    pub(crate) fn add_settings(&self, lines: &str) -> Result<(PathBuf, String)> {
        let file = self.config.paths.home.join("iepm.toml");
        let before = fs::read_to_string(&file)?;
        fs::write(&file, format!("{before}{lines}"))?;
        Ok((file, before))
    }

    /// Puts a script into its `bin`.
    ///
    /// # Errors
    /// As the system calls.
    pub fn tool(&self, name: &str, script: &str) -> Result<()> {
        let path = self.config.paths.bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?)
    }
}

/// Connects to a database as the suite does.
///
/// # Errors
/// What the engine says.
pub fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LEAVE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// A program of the suite that runs; it is ended when this is dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// As `waitpid(2)`.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Makes sure that it has not ended.
    ///
    /// # Errors
    /// It has; with the end of what it said.
    pub fn goes_on(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}: {}", self.name, self.last_words()),
        }
    }

    /// The end of what it said.
    #[must_use]
    pub fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }

    /// Waits for its end; gives the most memory that it held, MB.
    ///
    /// # Errors
    /// It failed, or somebody asked to end.
    pub fn to_its_end(&mut self, bed: &Bed) -> Result<f64> {
        let mut peak = 0.0;
        loop {
            // A process that has ended has no memory; it is not reaped yet.
            peak = machine::peak_memory(self.pid()).unwrap_or(peak);
            match self.ended()? {
                Some(status) if status.success() => return Ok(peak),
                Some(status) => bail!("{} ended with {status}: {}", self.name, self.last_words()),
                None => bed.rest(Duration::from_millis(5))?,
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    fn has_ended(&mut self) -> bool {
        // One that cannot be waited for is none of ours any more.
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let watch = Stopwatch::start();
        if !self.has_ended() {
            self.signal(Signal::TERM);
        }
        while !self.has_ended() {
            if watch.elapsed() > LEAVE {
                self.signal(Signal::KILL);
            }
            clock::pause(GLANCE);
        }
    }
}

/// A place where output goes that nobody reads.
///
/// # Errors
/// As `open(2)`.
pub fn nowhere() -> Result<File> {
    Ok(File::options().write(true).open("/dev/null")?)
}
