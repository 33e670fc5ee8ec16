//! A MariaDB server of a story's own: in a temporary directory, on a port of the loopback.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Child,
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
    child: Option<Child>,
}

impl Server {
    /// A new server that answers.
    #[track_caller]
    pub fn up() -> Self {
        let folder = tempfile::Builder::new().prefix("server-").tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        let mut server = Self { folder, port, child: None };
        let (data, tmp) = (server.path("data"), server.path("tmp"));
        for folder in [&data, &tmp] {
            fs::create_dir(folder).expect("made");
        }
        if rustix::process::geteuid().is_root() {
            // The server refuses to run as root.
            succeed(command("chown").arg("nobody").arg(server.folder.path()).args([&data, &tmp]));
        }
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
        drop(free);
        server.start();
        server
    }

    fn path(&self, name: &str) -> PathBuf {
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
        let log = fs::File::options().create(true).append(true).open(self.path("log"));
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
            .args(options)
            .stderr(log.expect("a log"));
        self.child = Some(server.spawn().expect("the server starts"));
        until("the server answers", || self.connect("").ok());
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

    /// A connection of its account root.
    #[track_caller]
    pub fn look(&self, database: &str) -> Look {
        // The story may just have killed it.
        Look::Mysql(Box::new(until("the server answers", || self.connect(database).ok())))
    }

    fn connect(&self, database: &str) -> mysql::Result<mysql::Conn> {
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
