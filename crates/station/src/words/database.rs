//! Where the database is: the setting `database` of `iepm.toml`.
//!
//! ```text
//! sqlite:///home/iepm/db/iepm.db
//! mysql://iepm@db.example:3306/iepm?option-file=/home/iepm/.iepm.cnf&ssl-ca=/etc/ssl/db-ca.pem
//! mysql://db1,db2:3307,[::1]/iepm?option-file=/home/iepm/.iepm.cnf
//! mysql:///iepm?socket=/run/mysqld/mysqld.sock
//! ```
//!
//! A password never stands here: a server's is in an option file, which only its owner can read.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    hosts,
    option_file::{Options, SslMode},
};

/// The database of a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// The embedded one, in this file.
    Sqlite(PathBuf),
    /// A MySQL or MariaDB server, or several that hold the same database.
    Mysql(Address),
}

/// Where a server is and which of its databases is meant. What it leaves out is taken from an option file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The name of the database.
    pub name: String,
    /// The option file that is named; nothing: `~/.my.cnf`, if there is one.
    pub option_file: Option<PathBuf>,
    /// Hosts, socket, user and TLS, as far as the URL tells them.
    pub options: Options,
    url: String,
}

const WITH_PASSWORD: &str = "a password in it would be read by all who read this file: put `password = ...` below `[client]` \
     in a file of mode 0600, and its path here, as ?option-file=/PATH";

impl Database {
    /// The file of the embedded engine.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Mysql(_) => None,
        }
    }

    /// Reads the URL of a database.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return absolute(path).map(Self::Sqlite);
        }
        match url.strip_prefix("mysql://") {
            Some(rest) => Address::parse(url, rest).map(Self::Mysql),
            None => {
                Err("expected sqlite:///PATH or mysql://[USER@]HOST[:PORT][,HOST[:PORT]...]/NAME"
                    .to_owned())
            }
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Mysql(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Address {
    fn parse(url: &str, rest: &str) -> Result<Self, String> {
        if rest.split('@').next().is_some_and(|user| rest.contains('@') && user.contains(':')) {
            return Err(WITH_PASSWORD.to_owned());
        }
        if rest.contains('%') {
            return Err("'%' is not read here: an option file takes every character".to_owned());
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (place, name) =
            rest.split_once('/').ok_or("expected /NAME, the database, at its end")?;
        let (user, host) = place.rsplit_once('@').map_or((None, place), |(u, h)| (Some(u), h));
        let hosts = hosts::parse(host)?;
        let options = Options { user: user.map(str::to_owned), hosts, ..Options::default() };
        let (name, option_file) = (database_name(name)?, None);
        let mut address = Self { name, option_file, options, url: url.to_owned() };
        query.split('&').filter(|pair| !pair.is_empty()).try_for_each(|pair| address.set(pair))?;
        Ok(address)
    }

    fn set(&mut self, pair: &str) -> Result<(), String> {
        let (key, value) = pair.split_once('=').ok_or(format!("expected {pair}=VALUE"))?;
        match key {
            "option-file" => self.option_file = Some(absolute(value)?),
            "socket" => self.options.socket = Some(absolute(value)?),
            "ssl-ca" => self.options.ssl_ca = Some(absolute(value)?),
            "ssl-mode" => self.options.ssl_mode = Some(SslMode::parse(value)?),
            "password" => return Err(WITH_PASSWORD.to_owned()),
            _ => {
                return Err(format!(
                    "there is no {key}; there are option-file, socket, ssl-ca, ssl-mode"
                ));
            }
        }
        Ok(())
    }
}

/// A name that needs no quoting to be told to people, and none that would end the quotes of SQL.
fn database_name(name: &str) -> Result<String, String> {
    let right = |c: char| c.is_ascii_alphanumeric() || "_-$".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(right) {
        Ok(name.to_owned())
    } else {
        Err(format!("expected the name of a database: letters, digits, '_', '-'; found \"{name}\""))
    }
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(format!("expected an absolute path, found \"{text}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        match Database::parse(url) {
            Ok(Database::Mysql(address)) => address,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn a_server_may_be_told_by_host_or_by_socket() {
        let full = address("mysql://me@db.example:3307/iepm_1?option-file=/x/my.cnf&ssl-ca=/ca");
        assert_eq!(full.name, "iepm_1");
        assert_eq!(full.option_file, Some("/x/my.cnf".into()));
        assert_eq!(full.options.user.as_deref(), Some("me"));
        assert_eq!(hosts(&full), ["db.example:3307"]);
        assert_eq!(full.options.ssl_ca, Some("/ca".into()));
        let socket = address("mysql:///iepm?socket=/run/x.sock");
        assert_eq!((hosts(&socket).len(), socket.options.socket), (0, Some("/run/x.sock".into())));
        let several = address("mysql://me@db1,db2:3307,[::1]:3308/iepm");
        assert_eq!(hosts(&several), ["db1:3306", "db2:3307", "[::1]:3308"]);
    }

    fn hosts(address: &Address) -> Vec<String> {
        address.options.hosts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_password_in_the_url_is_refused_with_what_to_do() {
        for url in ["mysql://me:canary@db/iepm", "mysql://db/iepm?password=canary"] {
            let fault = Database::parse(url).expect_err("a password");
            assert!(fault.contains("option-file") && !fault.contains("canary"), "{fault}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told() {
        for (url, told) in [
            ("postgres://x/y", "expected sqlite:///PATH or mysql://"),
            ("mysql://host", "expected /NAME"),
            ("mysql://host/", "expected the name of a database"),
            ("mysql://host/a`b", "expected the name of a database"),
            ("mysql://host:x/iepm", "expected a port"),
            ("mysql://one,,two/iepm", "expected a host"),
            ("mysql://host/iepm?nodes=3", "there is no nodes"),
            ("mysql://host/iepm?socket=x", "expected an absolute path"),
            ("mysql://host/iepm?ssl-mode=maybe", "ssl-mode"),
            ("mysql://ho%73t/iepm", "'%'"),
        ] {
            let fault = Database::parse(url).expect_err(url);
            assert!(fault.contains(told), "{url}: {fault}");
        }
    }
}
