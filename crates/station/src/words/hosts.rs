//! A list of servers, as the URL of a database and an option file write it: `db1,db2:3307,[::1]:3306`.

use std::fmt;

/// The port of a server that names none.
pub const PORT: u16 = 3306;

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name or address.
    pub name: String,
    /// Its port; nothing: that of the other options, or 3306.
    pub port: Option<u16>,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.unwrap_or(PORT);
        if self.name.contains(':') {
            write!(f, "[{}]:{port}", self.name)
        } else {
            write!(f, "{}:{port}", self.name)
        }
    }
}

/// Reads a list of servers; an empty text is an empty list.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Host>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(host).collect()
}

/// `host`, `host:port`, `[::1]`, `[::1]:port`, or `::1` alone.
fn host(text: &str) -> Result<Host, String> {
    let text = text.trim();
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']').ok_or("expected ']' behind the address")?;
            (name, port.strip_prefix(':'))
        }
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    if name.is_empty() {
        return Err("expected a host before and behind each ','".to_owned());
    }
    let number = |port: &str| port.parse().map_err(|_| format!("expected a port, found {port}"));
    Ok(Host { name: name.to_owned(), port: port.map(number).transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_its_order_with_ports_and_addresses() {
        let hosts = parse("db1, db2:3307,[::1]:3308,[::2],::3").expect("right");
        let told: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["db1:3306", "db2:3307", "[::1]:3308", "[::2]:3306", "[::3]:3306"]);
        assert_eq!(parse("").expect("none"), []);
    }

    #[test]
    fn what_is_wrong_with_a_list_is_told() {
        for (text, told) in [
            ("a,", "a host"),
            (",a", "a host"),
            ("a:x", "a port"),
            ("[::1", "']'"),
            (":3306", "a host"),
        ] {
            let fault = parse(text).expect_err(text);
            assert!(fault.contains(told), "{text}: {fault}");
        }
    }
}
