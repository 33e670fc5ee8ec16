//! How a server is reached: the URL, and what it leaves out from an option file.

use std::{
    env,
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use ::mysql::{Conn, Opts, OptsBuilder, SslOpts, consts::CapabilityFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::words::{
    database::Address,
    hosts::{Host, PORT},
    option_file::{self, Options, Password, SslMode},
};

use super::{
    super::error::{Error, Kind},
    dialect::SQL_MODE,
};

/// How long a server may let us wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Until it has answered to a statement.
    pub(super) answer: Duration,
    /// Until others give a row free; whole seconds.
    pub(super) lock: Duration,
}

/// The longest that the way to one of several servers may take: a long way around the world, with TLS.
const LONGEST_WAY: Duration = Duration::from_secs(2);

impl Limits {
    /// Within the patience of one transaction.
    pub(super) fn within(patience: Duration) -> Self {
        let lock = Duration::from_secs((patience / 3).as_secs().max(1));
        Self { answer: patience.max(2 * lock), lock }
    }

    /// How long one of `nodes` servers may take until there is a connection to it, so that with all but one
    /// of them silent there is time left to work on that one.
    fn connecting(self, nodes: usize) -> Duration {
        let share = self.answer / u32::try_from(nodes + 1).unwrap_or(u32::MAX);
        if nodes > 1 { share.min(LONGEST_WAY) } else { share }
    }
}

/// The way to one server. It holds the password: it is made for one connection, and shown nowhere.
pub(super) struct Way {
    /// The server, for people.
    pub(super) node: String,
    /// What the driver needs.
    pub(super) opts: OptsBuilder,
    /// A remark that a person should read.
    pub(super) remark: Option<String>,
}

/// The ways to the servers that hold a database, in the order in which they were written.
///
/// # Errors
/// An option file that cannot be read, that others can read, or that is none.
pub(super) fn ways(address: &Address, limits: Limits) -> Result<Vec<Way>, Error> {
    let options = options(address)?;
    let ssl = ssl(&options)?;
    let hosts = hosts(&options);
    let connecting = limits.connecting(hosts.len());
    let way = |host: &Host| {
        let builder = OptsBuilder::from_opts(Opts::default())
            .ip_or_hostname(Some(host.name.clone()))
            .tcp_port(host.port.or(options.port).unwrap_or(PORT))
            .socket(options.socket.as_ref().map(|path| path.to_string_lossy().into_owned()))
            // The way that was named, and no other.
            .prefer_socket(false)
            .user(Some(options.user.clone().unwrap_or_else(|| "iepm".to_owned())))
            .pass(options.password.as_ref().map(Password::reveal))
            .db_name(Some(address.name.as_str()))
            .tcp_connect_timeout(Some(connecting))
            // With several, the way to each is short; `let_answer` gives back what an answer may take.
            .read_timeout(Some(if hosts.len() > 1 { connecting } else { limits.answer }))
            .write_timeout(Some(limits.answer))
            .ssl_opts(ssl.clone());
        let node = match hosts.len() {
            1 => address.to_string(),
            _ => Host { port: host.port.or(options.port), ..host.clone() }.to_string(),
        };
        let open = ssl.is_none() && !is_local(&options, &host.name);
        let remark = open.then(|| not_encrypted(&node));
        Way { node, opts: prepared(builder, limits), remark }
    };
    Ok(hosts.iter().map(way).collect())
}

fn hosts(options: &Options) -> Vec<Host> {
    if options.socket.is_some() || options.hosts.is_empty() {
        let local = options.hosts.first().cloned();
        return vec![local.unwrap_or(Host { name: "localhost".to_owned(), port: None })];
    }
    options.hosts.clone()
}

fn not_encrypted(node: &str) -> String {
    format!(
        "the connection to the database {node} is not encrypted: name a CA (ssl-ca) of its certificate"
    )
}

/// How sessions are to be.
fn prepared(builder: OptsBuilder, limits: Limits) -> OptsBuilder {
    let mode = format!(
        "SET SESSION sql_mode = '{SQL_MODE}', innodb_lock_wait_timeout = {}",
        limits.lock.as_secs()
    );
    let isolation = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned();
    builder
        // As the embedded engine counts: rows that were found, whether or not they changed.
        .additional_capabilities(CapabilityFlags::CLIENT_FOUND_ROWS)
        .stmt_cache_size(64)
        .init(vec![mode, isolation])
}

/// Lets the server of a new connection take as long for an answer as a transaction has patience.
///
/// # Errors
/// What the kernel says.
#[expect(unsafe_code, reason = "the driver lends its socket as a number only")]
pub(super) fn let_answer(connection: &Conn, limits: Limits) -> io::Result<()> {
    // SAFETY: the connection, and with it the socket, outlives this loan.
    let socket = unsafe { BorrowedFd::borrow_raw(connection.as_raw_fd()) };
    Ok(set_socket_timeout(socket, Timeout::Recv, Some(limits.answer))?)
}

fn is_local(options: &Options, host: &str) -> bool {
    options.socket.is_some()
        || host == "localhost"
        || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Nothing: a connection that is not encrypted.
fn ssl(options: &Options) -> Result<Option<SslOpts>, Error> {
    let mode = options.ssl_mode.unwrap_or(SslMode::Preferred);
    let wanted = match mode {
        SslMode::Disabled => false,
        SslMode::Preferred => options.ssl_ca.is_some(),
        SslMode::Required | SslMode::VerifyCa | SslMode::VerifyIdentity => true,
    };
    if !wanted {
        return Ok(None);
    }
    options.ssl_ca.as_deref().map_or(Ok(()), holds_a_certificate)?;
    let ssl = SslOpts::default()
        .with_root_cert_path(options.ssl_ca.clone())
        .with_danger_skip_domain_validation(mode == SslMode::VerifyCa);
    Ok(Some(ssl))
}

/// A CA that is none would leave the public ones.
fn holds_a_certificate(path: &Path) -> Result<(), Error> {
    let shown = path.display();
    let content = fs::read(path)
        .map_err(|error| refused(format!("cannot read the CA's certificate {shown}: {error}")))?;
    if content.windows(BEGIN.len()).any(|part| part == BEGIN) {
        Ok(())
    } else {
        Err(refused(format!("there is no certificate in {shown}, which is to be the CA's, in PEM")))
    }
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What the URL and the option file tell together. The file is read for each connection: a password that
/// was changed is the new one at once.
fn options(address: &Address) -> Result<Options, Error> {
    let of_url = address.options.clone();
    let Some((path, content)) = option_file(address)? else { return Ok(of_url) };
    let of_file = option_file::parse(&content)
        .map_err(|fault| refused(format!("the option file {}, {fault}", path.display())))?;
    Ok(of_url.or(of_file))
}

/// The file that is named, or the user's own if there is one.
fn option_file(address: &Address) -> Result<Option<(PathBuf, String)>, Error> {
    if let Some(path) = &address.option_file {
        return secret(path).map(|content| Some((path.clone(), content)));
    }
    let Some(home) = env::var_os("HOME") else { return Ok(None) };
    let path = Path::new(&home).join(".my.cnf");
    if path.exists() { secret(&path).map(|content| Some((path, content))) } else { Ok(None) }
}

/// Reads a file that nobody else may read.
fn secret(path: &Path) -> Result<String, Error> {
    let shown = path.display();
    let failed = |error| refused(format!("cannot read the option file {shown}: {error}"));
    let mut file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(refused(format!(
            "the option file {shown} is not private: it may hold a password; `chmod 600 {shown}`"
        )));
    }
    let mut content = String::new();
    file.read_to_string(&mut content).map_err(failed)?;
    Ok(content)
}

fn refused(what: String) -> Error {
    Error::new(Kind::Away, what)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use crate::words::config::Database;

    use super::*;

    fn address(url: &str) -> Address {
        match Database::parse(url) {
            Ok(Database::Mysql(address)) => address,
            other => panic!("{other:?}"),
        }
    }

    fn ways(url: &str) -> Result<Vec<Way>, Error> {
        super::ways(&address(url), Limits::within(Duration::from_secs(6)))
    }

    /// What the driver is told of the one way, or why there is none.
    fn way(url: &str) -> Result<Opts, String> {
        let way = ways(url).map_err(|error| error.to_string())?.remove(0);
        Ok(way.opts.into())
    }

    #[test]
    fn an_option_file_gives_what_the_url_leaves_out_if_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("my.cnf");
        fs::write(&path, "[client]\nuser=me\npassword=canary\nport=3307\n").expect("written");
        let url = format!("mysql://127.0.0.1/iepm?option-file={}", path.display());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("open");
        let fault = way(&url).expect_err("open");
        assert!(fault.contains("chmod 600") && !fault.contains("canary"), "{fault}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("private");
        let opts = way(&url).expect("private");
        assert_eq!((opts.get_user(), opts.get_pass()), (Some("me"), Some("canary")));
        assert_eq!((opts.get_tcp_port(), opts.get_prefer_socket()), (3307, false));
        let store = super::super::Mysql::new(&address(&url), Duration::from_secs(6));
        assert!(!format!("{store:?} {store:#?}").contains("canary"));
    }

    #[test]
    fn a_ca_that_is_none_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        let url = format!("mysql://db/iepm?ssl-ca={}", path.display());
        assert!(way(&url).expect_err("missing").contains("cannot read the CA"));
        fs::write(&path, "").expect("written");
        assert!(way(&url).expect_err("empty").contains("no certificate in"));
        fs::write(&path, BEGIN).expect("written");
        assert!(way(&url).expect("a CA").get_ssl_opts().is_some());
    }

    #[test]
    fn a_connection_to_another_machine_that_is_not_encrypted_is_remarked_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, BEGIN).expect("written");
        let remarks = |url: &str| -> Vec<String> {
            ways(url).expect("ways").into_iter().filter_map(|way| way.remark).collect()
        };
        for local in
            ["mysql:///x", "mysql://127.0.0.2/x", "mysql://[::1]/x", "mysql:///x?socket=/s"]
        {
            assert_eq!(remarks(local), [""; 0], "{local}");
        }
        for url in ["mysql://db/x", "mysql://10.0.0.1:1/x?ssl-mode=DISABLED"] {
            let told = format!(
                "the connection to the database {url} is not encrypted: name a CA (ssl-ca) of its certificate"
            );
            assert_eq!(remarks(url), [told]);
        }
        assert_eq!(remarks("mysql://localhost,db1,db2/x").len(), 2);
        assert_eq!(remarks(&format!("mysql://db1,db2/x?ssl-ca={}", ca.display())), [""; 0]);
    }

    #[test]
    fn each_of_several_servers_has_a_share_of_the_patience() {
        let ways = ways("mysql://db1,db2:3307,[::1]/x").expect("ways");
        let told = ways.iter().map(|way| way.node.as_str()).collect::<Vec<_>>();
        assert_eq!(told, ["db1:3306", "db2:3307", "[::1]:3306"]);
        for way in ways {
            let opts = Opts::from(way.opts);
            let share = Some(Duration::from_millis(1_500));
            assert_eq!(
                (opts.get_tcp_connect_timeout(), opts.get_read_timeout()),
                (share, share.as_ref())
            );
        }
    }
}
