//! Names that came from outside, checked once and then believed.
//!
//! Every value here ends up in a file name, an argument of a program, or both. What is refused:
//! anything that could be taken for an option (`-`), for a path (`/`, `..`), or that does not print.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::Serialize;

/// The longest identifier: room for a long host name's first labels, short enough for a column.
const LONGEST_NAME: usize = 64;
/// RFC 1035 section 2.3.4, without the final dot.
const LONGEST_HOST: usize = 253;

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $fault:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let fault: Option<String> = $fault(text);
                fault.map_or_else(|| Ok(Self(text.to_owned())), Err)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

checked_text! {
    /// A node of NODES: 1 to 64 letters, digits, `.`, `_`, `-`, beginning with a letter or digit.
    NodeId, |text| name_fault("a node", text)
}
checked_text! {
    /// A tool as TOOLSPECS names it (`ping`, `miperf`); it is the suffix of result files.
    ToolName, |text| name_fault("a tool", text).or_else(|| dot_fault(text))
}
checked_text! {
    /// A program of the suite or of the station's `bin` (`pingd`, `load-test-data`).
    ProgramName, |text| name_fault("a program", text)
}
checked_text! {
    /// What a tool is told to measure to: a host name (RFC 1123) or an IP address.
    Host, host_fault
}
checked_text! {
    /// Where a tool is: an absolute path, or a bare name to look for in the station's `bin` and PATH.
    ToolPath, path_fault
}

impl Host {
    /// The address, when the host is named by one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

/// Which Internet protocol a node is measured over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Family {
    /// Whatever the tool and the resolver choose.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    /// The word of NODES: `any`, `4`, `6`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::V4 => "4",
            Self::V6 => "6",
        }
    }

    /// That of the options `-4` and `-6`, or else of the address that is to be our own.
    #[must_use]
    pub const fn of_options(ipv4: bool, ipv6: bool, own: Option<IpAddr>) -> Self {
        match (ipv4, ipv6, own) {
            (true, ..) | (_, false, Some(IpAddr::V4(_))) => Self::V4,
            (_, true, _) | (.., Some(IpAddr::V6(_))) => Self::V6,
            _ => Self::Any,
        }
    }

    /// Whether an address is of it.
    #[must_use]
    pub const fn has(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }

    /// Its name, for people.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Any => "IP",
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

impl FromStr for Family {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "4" => Ok(Self::V4),
            "6" => Ok(Self::V6),
            _ => Err(format!("expected 4, 6 or any, found \"{text}\"")),
        }
    }
}

fn name_fault(what: &str, text: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() {
        Some(format!("expected the name of {what}, found nothing"))
    } else if text.len() > LONGEST_NAME {
        Some(format!(
            "the name of {what} has at most {LONGEST_NAME} characters, this has {}",
            text.len()
        ))
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Some(format!("the name of {what} begins with a letter or a digit, found \"{text}\""))
    } else {
        let stray = text.chars().find(|c| !allowed(*c))?;
        Some(format!("the name of {what} holds letters, digits, '.', '_' and '-', not {stray:?}"))
    }
}

fn dot_fault(text: &str) -> Option<String> {
    text.contains('.')
        .then(|| format!("a tool's name is a file suffix and holds no '.': \"{text}\""))
}

fn host_fault(text: &str) -> Option<String> {
    if text.parse::<IpAddr>().is_ok() {
        return None;
    }
    let expected = "expected a host name or an IP address";
    if text.is_empty() {
        return Some(format!("{expected}, found nothing"));
    }
    if text.len() > LONGEST_HOST {
        return Some(format!(
            "{expected}, found {} characters (at most {LONGEST_HOST})",
            text.len()
        ));
    }
    if text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Some(format!(
            "{expected}, found \"{text}\", which looks like an address but is none"
        ));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    name.split('.')
        .find_map(label_fault)
        .map(|fault| format!("{expected}, found \"{text}\": {fault}"))
}

/// RFC 1123 section 2.1, with `_` allowed as it occurs in the wild.
fn label_fault(label: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if label.is_empty() || label.len() > 63 {
        Some("each part between dots has 1 to 63 characters".to_owned())
    } else if label.starts_with('-') || label.ends_with('-') {
        Some("no part may begin or end with '-'".to_owned())
    } else {
        let stray = label.chars().find(|c| !allowed(*c))?;
        Some(format!("{stray:?} is not allowed in a host name"))
    }
}

fn path_fault(text: &str) -> Option<String> {
    if let Some(fault) = word_fault(text) {
        Some(fault)
    } else if text.starts_with('/') {
        let climbs = text.split('/').any(|part| part == "..");
        climbs.then(|| format!("a tool's path holds no \"..\": \"{text}\""))
    } else if text.contains('/') {
        Some(format!("expected an absolute path or a bare name, found \"{text}\""))
    } else {
        name_fault("a tool", text)
    }
}

/// Why `word` cannot be an element of a command line, if it cannot.
///
/// Nothing goes through a shell, so a shell's characters would reach the tool as they are: whoever
/// wrote them expected something else.
#[must_use]
pub fn word_fault(word: &str) -> Option<String> {
    let control = word.chars().find(|c| c.is_control());
    let shell = word.chars().find(|c| "|;&<>$`\"'\\*?(){}!#~".contains(*c));
    if let Some(c) = control {
        Some(format!("the character {c:?} cannot be part of a command"))
    } else {
        let c = shell?;
        Some(format!("no shell reads this: {c:?} would be handed to the tool as it is"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: FromStr>(texts: &[&str]) {
        for text in texts {
            assert!(text.parse::<T>().is_err(), "{text:?} was taken");
        }
    }

    fn taken<T: FromStr<Err = String>>(texts: &[&str]) {
        for text in texts {
            assert!(text.parse::<T>().is_ok(), "{text:?}: {:?}", text.parse::<T>().err());
        }
    }

    #[test]
    fn a_node_is_never_an_option_nor_a_path() {
        taken::<NodeId>(&["node1", "n1.slac", "4th_floor-b"]);
        refused::<NodeId>(&["", "-c", ".hidden", "a/b", "a b", "ä", "a\n", &"x".repeat(65)]);
    }

    #[test]
    fn a_tool_is_a_file_suffix() {
        taken::<ToolName>(&["ping", "miperf", "iperf3"]);
        refused::<ToolName>(&["ping.x", "../ping", "-ping", ""]);
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        taken::<Host>(&[
            "localhost",
            "127.0.0.1",
            "::1",
            "fe80::1",
            "a-b.example.org.",
            "_x.example",
        ]);
        refused::<Host>(&[
            "",
            "-c",
            "a..b",
            "300.1.1.1",
            "1.2.3",
            "a b",
            "-a.example",
            "a;b",
            "::1::",
        ]);
        refused::<Host>(&[&"a.".repeat(200), &"x".repeat(64)]);
    }

    #[test]
    fn a_tool_is_found_by_absolute_path_or_bare_name() {
        taken::<ToolPath>(&["/bin/ping", "ping", "/usr/sbin/traceroute"]);
        refused::<ToolPath>(&[
            "",
            "bin/ping",
            "./ping",
            "/tmp/../bin/ping",
            "ping;rm",
            "/bin/ping\0",
        ]);
    }

    #[test]
    fn a_shells_characters_are_refused_by_name() {
        assert_eq!(word_fault("-c"), None);
        assert!(word_fault("a|b").is_some_and(|fault| fault.contains("'|'")));
        assert!(word_fault("a\u{7}").is_some());
    }
}
