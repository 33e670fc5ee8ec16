//! A place on a network as a command line names it.

use std::net::IpAddr;

/// A host, and a port if one was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A name or an address, without brackets.
    pub host: String,
    /// A port.
    pub port: Option<u16>,
}

impl Place {
    /// Out of `HOST`, `HOST:PORT`, `[HOST]:PORT` or an address of IPv6.
    ///
    /// # Errors
    /// What is behind the colon is no port, or there is no host.
    pub fn of(text: &str) -> Result<Self, String> {
        let (host, port) = if text.parse::<IpAddr>().is_ok() {
            (text, None)
        } else if let Some((host, rest)) = text.strip_prefix('[').and_then(|it| it.split_once(']'))
        {
            (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some(rest)))
        } else {
            text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
        };
        if host.is_empty() {
            return Err(format!("\"{text}\" names no host"));
        }
        let number =
            |port: &str| port.parse().map_err(|_| format!("\"{port}\" of \"{text}\" is no port"));
        Ok(Self { host: host.to_owned(), port: port.map(number).transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_with_and_without_ports_over_both_families() {
        let place = |host: &str, port| Ok(Place { host: host.to_owned(), port });
        assert_eq!(Place::of("srv.example"), place("srv.example", None));
        assert_eq!(Place::of("srv.example:8861"), place("srv.example", Some(8861)));
        assert_eq!(Place::of("192.0.2.2:862"), place("192.0.2.2", Some(862)));
        assert_eq!(Place::of("2001:db8::2"), place("2001:db8::2", None));
        assert_eq!(Place::of("[2001:db8::2]:861"), place("2001:db8::2", Some(861)));
        assert_eq!(Place::of("[2001:db8::2]"), place("2001:db8::2", None));
        for wrong in ["", ":861", "srv.example:port", "[::1]861:"] {
            assert!(Place::of(wrong).is_err(), "{wrong}");
        }
    }
}
