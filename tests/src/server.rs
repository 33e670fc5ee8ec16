//! A MariaDB server of a story's own: in a temporary directory, on a port of the loopback.

use std::{
    env, fs,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    Look,
    program::{command, succeed},
    until,
};

/// The server; it is ended, by its pid, when this is dropped.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    port: u16,
    /// What each start of it is told besides.
    options: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// A new server that answers.
    #[track_caller]
    pub fn up() -> Self {
        let mut server = Self::made();
        server.start();
        server
    }

    /// A new server that answers, whose files are in a directory of the story's own.
    #[track_caller]
    pub fn up_in(parent: &Path) -> Self {
        Self::up_in_with(parent, &[])
    }

    /// As [`Self::up_in`], started with options.
    #[track_caller]
    pub fn up_in_with(parent: &Path, options: &[&str]) -> Self {
        let mut server = Self::made_in(parent);
        server.start_with(options);
        server
    }

    /// A new server that was not started yet.
    #[track_caller]
    pub(crate) fn made() -> Self {
        Self::made_in(&env::temp_dir())
    }

    #[track_caller]
    fn made_in(parent: &Path) -> Self {
        let server = Self::empty_in(parent);
        let (data, tmp) = (server.path("data"), server.path("tmp"));
        fs::create_dir(&data).expect("made");
        Self::belongs_to_its_user(&[&data]);
        succeed(
            command("mariadb-install-db")
                .args([
                    "--no-defaults",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                ])
                .args(Self::user())
                .arg(format!("--datadir={}", data.display()))
                .arg(format!("--tmpdir={}", tmp.display())),
        );
        server
    }

    /// A server that was not started yet, with the files of another that does not run.
    #[track_caller]
    pub(crate) fn copy_of(other: &Self) -> Self {
        let server = Self::empty_in(&env::temp_dir());
        succeed(command("cp").arg("-a").arg(other.path("data")).arg(server.path("data")));
        server
    }

    /// A place for a server: a folder that its user may write to, and a port.
    fn empty_in(parent: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("server-").tempdir_in(parent);
        let folder = folder.expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        let tmp = folder.path().join("tmp");
        fs::create_dir(&tmp).expect("made");
        Self::belongs_to_its_user(&[folder.path(), &tmp]);
        Self { folder, port: free_port(), options: Vec::new(), child: None }
    }

    fn belongs_to_its_user(paths: &[&Path]) {
        if rustix::process::geteuid().is_root() {
            // The server refuses to run as root.
            succeed(command("chown").arg("nobody").args(paths));
        }
    }

    /// Gives it options for each start.
    pub(crate) fn with_options(mut self, options: Vec<String>) -> Self {
        self.options = options;
        self
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn user() -> Option<&'static str> {
        rustix::process::geteuid().is_root().then_some("--user=nobody")
    }

    /// Starts it, and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// As [`Self::start`], with options of the story's own.
    #[track_caller]
    pub fn start_with(&mut self, options: &[&str]) {
        self.begin(options);
        until("the server answers", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            let log = || fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(ended.is_none(), "the server ended: {}", log());
            self.connect("").ok()
        });
    }

    /// Starts it, and does not wait for it.
    #[track_caller]
    pub(crate) fn begin(&mut self, options: &[&str]) {
        let log = fs::File::options().create(true).append(true).open(self.path("log"));
        let mut server = self.mariadbd();
        server.args(options).stderr(log.expect("a log"));
        self.child = Some(server.spawn().expect("the server starts"));
    }

    /// The command that starts it.
    pub(crate) fn mariadbd(&self) -> Command {
        let mut server = command("mariadbd");
        server
            .arg("--no-defaults")
            .args(Self::user())
            .arg(format!("--datadir={}", self.path("data").display()))
            .arg(format!("--tmpdir={}", self.path("tmp").display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.path("pid").display()))
            .arg(format!("--port={}", self.port))
            .args([
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--innodb-buffer-pool-size=64M",
            ])
            .args(&self.options);
        server
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// Kills it, as a power failure would, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    /// Asks it to end, and waits until it has.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        if let Some(mut child) = self.child.take() {
            until("the server ends when asked to", || child.try_wait().expect("a child"));
        }
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.path("socket")
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of one of its databases, for its account root.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@/{database}?socket={}", self.socket().display())
    }

    /// As [`Self::url`], by TCP over the loopback.
    pub fn url_by_tcp(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    /// A connection of its account root.
    #[track_caller]
    pub fn look(&self, database: &str) -> Look {
        // The story may just have killed it.
        Look::Mysql(Box::new(until("the server answers", || self.connect(database).ok())))
    }

    /// A connection of its account root, if it gives one.
    pub(crate) fn connect(&self, database: &str) -> mysql::Result<mysql::Conn> {
        mysql::Conn::new(self.opts(database))
    }

    /// How its account root connects.
    pub fn opts(&self, database: &str) -> mysql::Opts {
        mysql::OptsBuilder::new()
            .socket(Some(self.socket().display().to_string()))
            .user(Some("root"))
            .db_name((!database.is_empty()).then_some(database))
            .init(vec!["SET SESSION sql_mode = 'PIPES_AS_CONCAT,ANSI_QUOTES'"])
            .into()
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of the loopback that nobody listens on, no client is given by chance, and no other story is given while this
/// one's process lives: a server that is down for a while finds its port free again.
pub(crate) fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    static TAKEN: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    // Stories run side by side, each in a process: each tries ports of its own first.
    let own = u16::try_from(std::process::id() % 160).unwrap_or(0) * 64;
    let ports = std::iter::repeat_with(|| {
        20_000 + (own + TRIED.fetch_add(1, Ordering::Relaxed)) % (160 * 64)
    });
    let take = |port: &u16| {
        // A name that one process has, and that goes with it (unix(7), "abstract").
        let name = SocketAddr::from_abstract_name(format!("iepm-stories-port-{port}"));
        let taken = UnixListener::bind_addr(&name.expect("a short name")).ok()?;
        TcpListener::bind(("127.0.0.1", *port)).ok()?;
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
        Some(*port)
    };
    ports.take(160 * 64).find_map(|port| take(&port)).expect("a free port")
}
