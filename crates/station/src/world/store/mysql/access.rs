//! How a server is reached: the URL, and what it leaves out from an option file.

use std::{
    env,
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Once,
    time::Duration,
};

use ::mysql::{Opts, OptsBuilder, SslOpts, consts::CapabilityFlags};

use crate::words::{
    database::Address,
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

impl Limits {
    /// Within the patience of one transaction.
    pub(super) fn within(patience: Duration) -> Self {
        let lock = Duration::from_secs((patience / 3).as_secs().max(1));
        Self { answer: patience.max(2 * lock), lock }
    }
}

/// What the driver needs for a connection. It holds the password: it is made for one connection, and shown
/// nowhere.
///
/// # Errors
/// An option file that cannot be read, that others can read, or that is none.
pub(super) fn opts(address: &Address, limits: Limits) -> Result<OptsBuilder, Error> {
    let options = options(address)?;
    let host = options.host.clone().unwrap_or_else(|| "localhost".to_owned());
    let ssl = ssl(&options)?;
    if ssl.is_none() && !is_local(&options, &host) {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            log::warn!("the connection to the database {address} is not encrypted: name a CA (ssl-ca) of its certificate");
        });
    }
    let builder = OptsBuilder::from_opts(Opts::default())
        .ip_or_hostname(Some(host))
        .tcp_port(options.port.unwrap_or(3306))
        .socket(options.socket.as_ref().map(|path| path.to_string_lossy().into_owned()))
        // The way that was named, and no other.
        .prefer_socket(false)
        .user(Some(options.user.unwrap_or_else(|| "iepm".to_owned())))
        .pass(options.password.as_ref().map(Password::reveal))
        .db_name(Some(address.name.as_str()))
        .ssl_opts(ssl);
    Ok(limited(builder, limits))
}

fn limited(builder: OptsBuilder, limits: Limits) -> OptsBuilder {
    let mode = format!(
        "SET SESSION sql_mode = '{SQL_MODE}', innodb_lock_wait_timeout = {}",
        limits.lock.as_secs()
    );
    let isolation = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned();
    builder
        .tcp_connect_timeout(Some(limits.answer / 2))
        .read_timeout(Some(limits.answer))
        .write_timeout(Some(limits.answer))
        // As the embedded engine counts: rows that were found, whether or not they changed.
        .additional_capabilities(CapabilityFlags::CLIENT_FOUND_ROWS)
        .stmt_cache_size(64)
        .init(vec![mode, isolation])
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

    fn ways(url: &str) -> Result<OptsBuilder, Error> {
        opts(&address(url), Limits::within(Duration::from_secs(6)))
    }

    #[test]
    fn an_option_file_gives_what_the_url_leaves_out_if_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("my.cnf");
        fs::write(&path, "[client]\nuser=me\npassword=canary\nport=3307\n").expect("written");
        let url = format!("mysql://127.0.0.1/iepm?option-file={}", path.display());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("open");
        let fault = ways(&url).expect_err("open").to_string();
        assert!(fault.contains("chmod 600") && !fault.contains("canary"), "{fault}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("private");
        let opts = Opts::from(ways(&url).expect("private"));
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
        assert!(ways(&url).expect_err("missing").to_string().contains("cannot read the CA"));
        fs::write(&path, "").expect("written");
        assert!(ways(&url).expect_err("empty").to_string().contains("no certificate in"));
        fs::write(&path, BEGIN).expect("written");
        assert!(Opts::from(ways(&url).expect("a CA")).get_ssl_opts().is_some());
    }

    #[test]
    fn only_this_machine_is_local() {
        let local = |url: &str| {
            let options = address(url).options;
            is_local(&options, options.host.as_deref().unwrap_or("localhost"))
        };
        assert!(local("mysql:///x") && local("mysql://127.0.0.2/x") && local("mysql://[::1]/x"));
        assert!(
            local("mysql:///x?socket=/s") && !local("mysql://db/x") && !local("mysql://10.0.0.1/x")
        );
    }
}
