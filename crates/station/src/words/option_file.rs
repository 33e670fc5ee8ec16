//! Option files, in the form that MySQL's own clients read.
//!
//! Of `[client]` and `[iepm]`, in the order of the file, those options are taken that tell how to reach
//! a server; what else stands there is somebody else's.

use std::{fmt, path::PathBuf};

use super::hosts::{self, Host};

/// A password. It is shown to nobody: `{:?}` gives stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The password itself, for the server only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How much TLS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// None.
    Disabled,
    /// What the other options ask for: TLS if a CA is named.
    Preferred,
    /// TLS, with a certificate that is verified; more than MySQL's clients do for this word.
    Required,
    /// TLS, with a certificate that the CA signed, whatever host it names.
    VerifyCa,
    /// TLS, with a certificate that the CA signed for this host.
    VerifyIdentity,
}

impl SslMode {
    /// Reads the word, in any case, as MySQL's clients write it.
    ///
    /// # Errors
    /// It is none of them.
    pub fn parse(word: &str) -> Result<Self, String> {
        match word.to_ascii_uppercase().replace('-', "_").as_str() {
            "DISABLED" => Ok(Self::Disabled),
            "PREFERRED" => Ok(Self::Preferred),
            "REQUIRED" => Ok(Self::Required),
            "VERIFY_CA" => Ok(Self::VerifyCa),
            "VERIFY_IDENTITY" => Ok(Self::VerifyIdentity),
            _ => Err(format!(
                "ssl-mode: expected DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY, found \"{word}\""
            )),
        }
    }
}

/// How a server is reached, as far as it is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The account.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Password>,
    /// The servers, the one that is to be tried first first.
    pub hosts: Vec<Host>,
    /// The port of those that name none.
    pub port: Option<u16>,
    /// Its socket on this machine.
    pub socket: Option<PathBuf>,
    /// The CA whose certificates are trusted, PEM.
    pub ssl_ca: Option<PathBuf>,
    /// How much TLS is asked for.
    pub ssl_mode: Option<SslMode>,
}

impl Options {
    /// These, and what they leave out from `others`.
    ///
    /// Hosts that are told here keep a socket of `others` out: it is the way to another server.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        let has_hosts = !self.hosts.is_empty();
        let socket = if has_hosts { None } else { others.socket };
        Self {
            user: self.user.or(others.user),
            password: self.password.or(others.password),
            hosts: if has_hosts { self.hosts } else { others.hosts },
            port: self.port.or(others.port),
            socket: self.socket.or(socket),
            ssl_ca: self.ssl_ca.or(others.ssl_ca),
            ssl_mode: self.ssl_mode.or(others.ssl_mode),
        }
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), String> {
        match key.replace('_', "-").as_str() {
            "user" => self.user = Some(value),
            "password" => self.password = Some(Password(value)),
            // A value is not repeated.
            "host" => {
                self.hosts = hosts::parse(&value).map_err(|_| "host: expected HOST[:PORT],...")?;
            }
            "socket" => self.socket = Some(value.into()),
            "ssl-ca" => self.ssl_ca = Some(value.into()),
            "ssl-mode" => self.ssl_mode = Some(SslMode::parse(&value)?),
            "port" => {
                self.port = Some(value.parse().map_err(|_| "port: expected a number".to_owned())?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads an option file.
///
/// # Errors
/// The number of a line and what is wrong with it; a value is never repeated, for it may be a password.
pub fn parse(text: &str) -> Result<Options, String> {
    let mut options = Options::default();
    let mut ours = false;
    for (number, line) in (1..).zip(text.lines()) {
        take(&mut options, &mut ours, line.trim())
            .map_err(|fault| format!("line {number}: {fault}"))?;
    }
    Ok(options)
}

fn take(options: &mut Options, ours: &mut bool, line: &str) -> Result<(), String> {
    if line.is_empty() || line.starts_with(['#', ';']) {
        return Ok(());
    }
    if line.starts_with("!include") {
        return Err("!include is not followed: name the file itself".to_owned());
    }
    if let Some(group) = line.strip_prefix('[') {
        let (group, _) = group.split_once(']').ok_or("expected ']' behind the group")?;
        *ours = matches!(group.trim(), "client" | "iepm");
        return Ok(());
    }
    match line.split_once('=') {
        Some((key, value)) if *ours => options.set(key.trim(), unquoted(value.trim())),
        _ => Ok(()),
    }
}

/// A value without its quotes, its escapes read; outside of quotes '#' begins a comment.
fn unquoted(value: &str) -> String {
    let quote = value.chars().next().filter(|c| "'\"".contains(*c));
    let mut chars = value.chars().skip(usize::from(quote.is_some()));
    let mut read = String::new();
    while let Some(c) = chars.next() {
        match c {
            _ if Some(c) == quote => return read,
            '#' if quote.is_none() => break,
            '\\' => escaped(chars.next(), &mut read),
            _ => read.push(c),
        }
    }
    read.truncate(read.trim_end().len());
    read
}

fn escaped(c: Option<char>, read: &mut String) {
    match c {
        Some('b') => read.push('\u{8}'),
        Some('t') => read.push('\t'),
        Some('n') => read.push('\n'),
        Some('r') => read.push('\r'),
        Some('s') => read.push(' '),
        Some(c @ ('\\' | '\'' | '"')) => read.push(c),
        Some(other) => read.extend(['\\', other]),
        None => read.push('\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(line: &str) -> String {
        let options = parse(&format!("[client]\n{line}\n")).expect("right");
        options.password.map(|it| it.reveal().to_owned()).unwrap_or_default()
    }

    #[test]
    fn groups_are_read_in_the_order_of_the_file() {
        let text = "user = nobody\n[client]\nuser=me\nport= 3307\nssl_ca=/ca\n[mysqld]\nuser=mysql\n\
             [iepm]\nuser = iepm # ours\n;x\n#y\nsocket=\"/a b\"\nskip-ssl\nssl-mode=verify_ca";
        let options = parse(text).expect("right");
        assert_eq!((options.user.as_deref(), options.port), (Some("iepm"), Some(3307)));
        assert_eq!((options.socket, options.ssl_ca), (Some("/a b".into()), Some("/ca".into())));
        assert_eq!(options.ssl_mode, Some(SslMode::VerifyCa));
    }

    #[test]
    fn quotes_comments_and_escapes_are_those_of_mysqls_clients() {
        assert_eq!(password("password=a b # c"), "a b");
        assert_eq!(password("password = 'a # b ' # c"), "a # b ");
        assert_eq!(password("password=\"it's\""), "it's");
        assert_eq!(password(r"password=a\sb\\c\d"), r"a b\c\d");
        assert_eq!(password("password="), "");
        assert_eq!(password("password=x=y;z"), "x=y;z");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_values() {
        for (text, told) in [
            ("!include /x", "line 1: !include"),
            ("[client]\nport=canary", "line 2: port"),
            ("[client]\nhost=a:canary", "line 2: host"),
            ("\n[client", "line 2: expected ']'"),
        ] {
            let fault = parse(text).expect_err(text);
            assert!(fault.starts_with(told) && !fault.contains("canary"), "{fault}");
        }
    }

    #[test]
    fn a_password_is_shown_to_nobody() {
        let options = parse("[client]\npassword=canary").expect("right");
        assert!(!format!("{options:?} {options:#?}").contains("canary"));
    }

    #[test]
    fn a_host_of_ones_own_keeps_anothers_socket_out() {
        let file = parse("[client]\nsocket=/s\nuser=me\nhost=h").expect("right");
        let url = Options { hosts: hosts::parse("db").expect("right"), ..Options::default() };
        let both = url.or(file.clone());
        assert_eq!((both.hosts[0].name.as_str(), both.hosts.len(), both.socket), ("db", 1, None));
        assert_eq!(both.user.as_deref(), Some("me"));
        assert_eq!(Options::default().or(file.clone()), file);
    }
}
