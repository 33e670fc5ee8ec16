//! A station in a temporary directory, with the programs of this workspace in its `bin`.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rusqlite::{Connection, OpenFlags, types::FromSql};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::{
    Cluster, Host, Look, PATIENCE, Program, Server,
    program::{binaries, command, succeed},
    until,
};

/// The programs of the suite that a story may call.
const PROGRAMS: [&str; 18] = [
    "iepm",
    "keep-em-alive",
    "keep-servers-alive",
    "load-scheduled",
    "pingd",
    "traced",
    "owpingd",
    "pathchirpd",
    "bw-synchd",
    "load-test-data",
    "load-datad",
    "bw-cleanup",
    "show-probe-commands",
    "fetch-toolspecs",
    "kill-all-servers",
    "restart-all-servers",
    "bw-iperf3-server",
    "map-updated",
];

const SPEC_COLUMNS: &str =
    "#srcNodeID,testtype,destNodeID,toolName,toolPath,toolOpts1,time2run,runinterval,grace,phase";

/// Where a station keeps its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// In a file of its own.
    Sqlite,
    /// On a server of its own.
    Mariadb,
}

/// A station of a story.
#[derive(Debug)]
pub struct Station {
    home: PathBuf,
    host: Option<Host>,
    /// Whom the programs run as, if not as the story itself.
    user: Option<u32>,
    /// The URL of its database, and how to look into it, if that is on a server.
    server: Option<(String, mysql::Opts)>,
    /// What its programs find in their environment beside what the story has in its own.
    variable: Option<(&'static str, PathBuf)>,
    _folder: Option<TempDir>,
    /// A server of its own, which ends with it.
    _own: Option<Server>,
}

impl Station {
    /// A station that `iepm init` has just made.
    #[track_caller]
    pub fn new() -> Self {
        Self::on(None)
    }

    /// A station whose programs run on a host of a [`Lab`](crate::Lab).
    #[track_caller]
    pub fn on(host: Option<Host>) -> Self {
        let folder = tempfile::Builder::new().prefix("station-").tempdir().expect("a folder");
        let home = folder.path().join("home");
        let station = Self::at(&home, host);
        Self { _folder: Some(folder), ..station }
    }

    /// A station in a directory that the story made.
    #[track_caller]
    pub fn at(home: &Path, host: Option<Host>) -> Self {
        let station = Self {
            home: home.to_path_buf(),
            host,
            user: None,
            server: None,
            variable: None,
            _folder: None,
            _own: None,
        };
        succeed(command(binaries().join("iepm")).arg("init").arg(home));
        station.with_programs()
    }

    /// A station whose database is on a server.
    #[track_caller]
    pub fn of_server(server: &Server) -> Self {
        Self::of_url(server.url("iepm"), server.opts("iepm"))
    }

    /// A station whose database is on a cluster; it prefers one of the nodes.
    #[track_caller]
    pub fn of_cluster(cluster: &Cluster, node: usize) -> Self {
        Self::of_url(cluster.url(node, "iepm"), cluster.node(node).opts("iepm"))
    }

    #[track_caller]
    fn of_url(url: String, opts: mysql::Opts) -> Self {
        let folder = tempfile::Builder::new().prefix("station-").tempdir().expect("a folder");
        let home = folder.path().join("home");
        succeed(command(binaries().join("iepm")).arg("init").arg(&home).args(["--database", &url]));
        let server = Some((url, opts));
        let folder = Some(folder);
        Self { home, host: None, user: None, server, variable: None, _folder: folder, _own: None }
            .with_programs()
    }

    /// A station that keeps its tables there.
    #[track_caller]
    pub fn of(engine: Engine) -> Self {
        Self::of_on(engine, None)
    }

    /// As [`Self::of`], on a host of a [`Lab`](crate::Lab): a server is reached from there by its socket.
    #[track_caller]
    pub fn of_on(engine: Engine, host: Option<Host>) -> Self {
        match engine {
            Engine::Sqlite => Self::on(host),
            Engine::Mariadb => {
                let server = Server::up();
                let station = Self::of_server(&server);
                Self { host, _own: Some(server), ..station }
            }
        }
    }

    fn with_programs(self) -> Self {
        let (station, built) = (self, binaries());
        for program in PROGRAMS {
            let link = station.home.join("bin").join(program);
            if !link.exists() {
                symlink(built.join(program), link).expect("a link");
            }
        }
        station
    }

    /// A station of an ordinary user. Needs root, to become that user.
    #[track_caller]
    pub fn of_user(user: u32) -> Self {
        let station = Self { user: Some(user), ..Self::new() };
        for program in PROGRAMS {
            let path = station.path("bin").join(program);
            fs::remove_file(&path).expect("a link");
            // Where the programs were built may be closed to others.
            fs::copy(binaries().join(program), path).expect("a program");
        }
        let folder = station.home.parent().expect("a folder");
        succeed(command("chown").args(["-R", &format!("{user}:{user}")]).arg(folder));
        station
    }

    /// Has its programs, and what they start, find a path in their environment.
    #[must_use]
    pub fn with_variable(self, name: &'static str, path: &Path) -> Self {
        Self { variable: Some((name, path.to_path_buf())), ..self }
    }

    /// Its home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A path below its home.
    pub fn path(&self, below: &str) -> PathBuf {
        self.home.join(below)
    }

    /// The pid of the program that holds a lock of the station.
    pub fn holder_of(&self, name: &str) -> Option<i32> {
        let path = self.path(&format!("keepalives/{name}.lock"));
        let file = fs::File::open(&path).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => None,
            Err(_) => fs::read_to_string(path).ok()?.trim().parse().ok(),
        }
    }

    /// Writes the nodes and the specifications, as csv rows, and applies them.
    ///
    /// A node is `name,host[,version]`; a specification is
    /// `destNodeID,toolName,toolPath,toolOpts1,time2run,runinterval,grace[,phase]`.
    #[track_caller]
    pub fn measures(&self, nodes: &[&str], specs: &[&str]) -> &Self {
        self.writes_specifications(nodes, specs);
        succeed(self.command("iepm").arg("apply"));
        self
    }

    /// Writes the nodes as [`Self::measures`] does, and specifications with columns of the story's own; applies
    /// them.
    #[track_caller]
    pub fn measures_with(&self, nodes: &[&str], columns: &str, specs: &[&str]) -> &Self {
        self.writes_specifications(nodes, &[]);
        let specs = format!("TABLENAME=TOOLSPECS\n#{columns}\n{}\n", specs.join("\n"));
        fs::write(self.path("config/toolspecs.csv"), specs).expect("written");
        succeed(self.command("iepm").arg("apply"));
        self
    }

    /// As [`Self::measures`], and leaves it to the story to apply them.
    pub fn writes_specifications(&self, nodes: &[&str], specs: &[&str]) {
        let fill = |row: &&str, commas: usize| {
            format!("{row}{}", ",".repeat(commas - row.matches(',').count()))
        };
        let mut node_rows =
            vec!["TABLENAME=NODES".to_owned(), "#nodeID,hostName,ipVersion".to_owned()];
        node_rows.push("station,localhost,".to_owned());
        node_rows.extend(nodes.iter().map(|row| fill(row, 2)));
        let mut spec_rows = vec!["TABLENAME=TOOLSPECS".to_owned(), SPEC_COLUMNS.to_owned()];
        spec_rows.extend(specs.iter().map(|row| format!("station,background,{}", fill(row, 7))));
        let (nodes, specs) = (node_rows.join("\n"), spec_rows.join("\n"));
        fs::write(self.path("config/nodes.csv"), nodes).expect("written");
        fs::write(self.path("config/toolspecs.csv"), specs).expect("written");
    }

    /// Makes these lines its `iepm.toml`.
    pub fn configure(&self, lines: &str) -> &Self {
        let database = self.server.as_ref().map(|(url, _)| format!("database = \"{url}\"\n"));
        let lines = format!("{}{lines}\n", database.unwrap_or_default());
        fs::write(self.path("iepm.toml"), lines).expect("written");
        self
    }

    /// Has it know its server by another URL.
    pub fn is_at(&mut self, url: &str) {
        if let Some((known, _)) = &mut self.server {
            url.clone_into(known);
        }
        self.configure("");
    }

    /// Has it keep its tables on a server from now on, or in its own file; these lines are its `iepm.toml`.
    pub fn moves_to(&mut self, server: Option<&Server>, lines: &str) {
        self.server = server.map(|server| (server.url("iepm"), server.opts("iepm")));
        self.configure(lines);
    }

    /// Puts a script of the story's own into the station's `bin`.
    pub fn tool(&self, name: &str, script: &str) -> &Self {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
        self
    }

    /// A command of the suite for this station, not yet started.
    pub fn command(&self, program: &str) -> Command {
        let path = self.path("bin").join(program);
        let mut command = match (&self.host, self.user) {
            (Some(host), _) => host.command(&path),
            (None, None) => command(&path),
            (None, Some(user)) => self.as_user(user, &path),
        };
        command.env("IEPM_HOME", &self.home).env_remove("IEPM_CONFIG");
        command.envs(self.variable.as_ref().map(|(name, path)| (name, path)));
        command
    }

    /// A command that the station's user runs.
    pub fn as_user(&self, user: u32, program: &Path) -> Command {
        let mut command = command("setpriv");
        command
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={user}"))
            .arg("--clear-groups")
            .arg(program);
        command.current_dir(&self.home);
        command
    }

    /// Runs a program of the suite to its end.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().expect("the program starts")
    }

    /// Starts a daemon.
    pub fn start(&self, daemon: &str) -> Program {
        Program::start(self.command(daemon), &self.path("log").join(format!("{daemon}.log")))
    }

    /// Starts several daemons.
    pub fn start_all(&self, daemons: &[&str]) -> Vec<Program> {
        daemons.iter().map(|daemon| self.start(daemon)).collect()
    }

    /// Everything that was logged, for a story that fails.
    pub fn logs(&self) -> String {
        let Ok(entries) = fs::read_dir(self.path("log")) else { return String::new() };
        let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        texts.collect()
    }

    /// A connection to its database, to look with.
    pub fn database(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(self.path("db/iepm.db"), flags).expect("a database");
        connection.busy_timeout(PATIENCE).expect("a number");
        connection
    }

    /// A connection to its database, of whatever engine.
    #[track_caller]
    pub fn look(&self) -> Look {
        match &self.server {
            None => Look::Sqlite(self.database()),
            Some((_, opts)) => {
                let connect = || mysql::Conn::new(opts.clone()).ok();
                Look::Mysql(Box::new(until("the server answers", connect)))
            }
        }
    }

    /// The one value of a query; nothing when there is no row.
    #[track_caller]
    pub fn ask<T: FromSql>(&self, sql: &str) -> Option<T> {
        self.look().ask(sql)
    }

    /// A number that a query counts.
    #[track_caller]
    pub fn count(&self, sql: &str) -> i64 {
        self.look().count(sql)
    }

    /// How many rows of SCHEDULE are in each state.
    #[track_caller]
    pub fn states(&self) -> BTreeMap<String, i64> {
        let sql = "SELECT state, COUNT(*) FROM SCHEDULE GROUP BY state";
        self.look().pairs(sql).into_iter().collect()
    }

    /// Waits until SCHEDULE has a row of a state whose reason holds `reason`; gives the whole reason.
    #[track_caller]
    pub fn until_reason(&self, state: &str, reason: &str) -> String {
        let what = format!("a run is {state} because of \"{reason}\"");
        let sql = format!(
            "SELECT COALESCE(reason, '') FROM SCHEDULE WHERE state = '{state}' \
             AND COALESCE(reason, '') LIKE '%{reason}%' LIMIT 1"
        );
        until(&what, || self.ask(&sql))
    }

    /// Files in a directory of the station that are no directories.
    pub fn files(&self, below: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(below)) else { return Vec::new() };
        let files = entries.filter_map(Result::ok).filter(|entry| entry.path().is_file());
        files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// What must hold whatever happened: nothing is loaded twice, nothing is loaded without its reading.
    #[track_caller]
    pub fn accounts_are_right(&self) {
        let mut database = self.look();
        // One state of the database, whatever goes on meanwhile.
        database.execute("BEGIN");
        let mut count = |rows: &str| database.count(rows);
        for (table, tool, row) in [
            ("PINGDATA", "= 'ping'", "scheduleID"),
            ("ROUTEDATA", "= 'traceroute'", "scheduleID"),
            ("OWAMPDATA", "= 'owping'", "scheduleID"),
            // A row for each direction.
            ("BWDATA", "NOT IN ('ping', 'traceroute', 'owping')", "scheduleID, direction"),
        ] {
            let loaded = count(&format!("SCHEDULE WHERE toolName {tool} AND state = 'loaded'"));
            let read = count(&format!("(SELECT DISTINCT scheduleID FROM {table}) d"));
            assert_eq!(read, loaded, "runs in {table} and loaded runs");
            let doubles =
                format!("(SELECT {row} FROM {table} GROUP BY {row} HAVING COUNT(*) > 1) d");
            assert_eq!(count(&doubles), 0, "runs of {table} that were loaded twice");
            let strays = format!(
                "{table} WHERE scheduleID NOT IN (SELECT scheduleID FROM SCHEDULE WHERE state = 'loaded')"
            );
            assert_eq!(count(&strays), 0, "readings in {table} whose run is not loaded");
            let foreign = format!(
                "{table} d JOIN SCHEDULE s ON s.scheduleID = d.scheduleID \
                 WHERE s.toolspecsID <> d.toolspecsID OR s.destNodeID <> d.destNodeID OR s.start_us <> d.start_us"
            );
            assert_eq!(count(&foreign), 0, "readings in {table} that are of another run");
        }
        let sql = "(SELECT opentoolspecsID FROM SCHEDULE WHERE opentoolspecsID IS NOT NULL AND state NOT IN ('pending', 'running')) d";
        assert_eq!(count(sql), 0, "runs that are over and still open");
    }
}

impl Default for Station {
    fn default() -> Self {
        Self::new()
    }
}
