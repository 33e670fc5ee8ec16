//! `config/servers.alive`: the servers that answer other stations' probes, and how each is started.
//!
//! A line is `name,directory,parameters`; only the first two commas divide. A line that begins with `#` is
//! off. Without a directory a server is looked for as tools are, in the station's `bin` and then in
//! PATH; a relative directory lies below the station's home. The parameters are those of [`super::shell`].

use std::{
    fmt,
    path::{Component, Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use crate::text::{Mistake, ProgramName, Span, word_fault};

use super::shell;

pub use super::shell::{Output, Parameters};

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name, that of its program.
    pub name: ProgramName,
    /// Where its program is; empty: in the station's `bin`, or in PATH.
    pub directory: PathBuf,
    /// Its arguments, and where its output goes.
    pub parameters: Parameters,
    /// Its line as it was written: when that changes, it is started in another way.
    pub line: String,
    /// Where its name stands.
    pub span: Span,
}

/// What `iepm.toml` demands of a server beyond that it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The server's name.
    pub name: ProgramName,
    /// The ports that it must listen on.
    pub listens: Vec<Port>,
    /// The words of a command that ends well if the server answers; empty: none.
    pub test: Vec<String>,
    /// How long that command may take.
    pub test_limit: Duration,
    /// Where the name stands.
    pub span: Span,
}

/// How a port is listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP: a socket listens.
    Tcp,
    /// UDP: a socket is bound.
    Udp,
}

/// A port of this machine, as it is written: `tcp:5000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Of which protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

impl FromStr for Port {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected tcp:PORT or udp:PORT, found \"{text}\"");
        let (protocol, number) = text.split_once(':').ok_or_else(wrong)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(wrong()),
        };
        let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
        Ok(Self { protocol, number })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{protocol}:{}", self.number)
    }
}

/// The program of another package that a server of ours calls, if it does: it is of no use alone.
#[must_use]
pub fn needs(server: &str) -> Option<&'static str> {
    (server == "bw-iperf3-server").then_some("iperf3")
}

/// What a person is to do about a server, or what it needs, that is not installed.
#[must_use]
pub fn remedy(missing: &str) -> &'static str {
    match missing {
        "bw-iperf-server" => {
            "as root `apt-get install iperf`, then `iepm init`, or switch its line in servers.alive off by a '#'"
        }
        "iperf3" => {
            "as root `apt-get install iperf3`, or switch its line in servers.alive off by a '#'"
        }
        _ => "install it, or switch its line in servers.alive off by a '#'",
    }
}

/// The words of a demand's test.
///
/// # Errors
/// What a shell would act on, or a program that is named by a relative path.
pub(super) fn test(text: &str) -> Result<Vec<String>, String> {
    let words = shell::command(text)?;
    let program = words.first().map_or("", String::as_str);
    if program.contains('/') && !program.starts_with('/') {
        return Err(format!("expected an absolute path or a bare name, found \"{program}\""));
    }
    Ok(words)
}

/// Reads the file: all right lines, all mistakes.
#[must_use]
pub fn parse(text: &str) -> (Vec<Server>, Vec<Mistake>) {
    let (mut servers, mut mistakes) = (Vec::<Server>::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match server(line, index + 1) {
            Ok(server) => match servers.iter().find(|other| other.name == server.name) {
                Some(first) => mistakes.push(twice(&server, first)),
                None => servers.push(server),
            },
            Err(mut faults) => mistakes.append(&mut faults),
        }
    }
    (servers, mistakes)
}

fn twice(server: &Server, first: &Server) -> Mistake {
    let message = format!("{} is in line {} already", server.name, first.span.line);
    Mistake::new(server.span, message)
}

fn server(line: &str, number: usize) -> Result<Server, Vec<Mistake>> {
    let Some((name, rest)) = line.split_once(',') else {
        return Err(vec![no_fields(line, number)]);
    };
    let Some((directory, _)) = rest.split_once(',') else {
        return Err(vec![no_fields(line, number)]);
    };
    let (place, chars) = (Place { line, number }, line.chars().collect::<Vec<_>>());
    let start = name.chars().count() + directory.chars().count() + 2;
    let (parameters, mut mistakes) = shell::split(&chars, start, number);
    let span = place.of(name);
    let name: Result<ProgramName, String> = name.trim().parse();
    mistakes.extend(name.as_ref().err().map(|fault| Mistake::new(span, fault.as_str())));
    let fault = directory_fault(directory.trim());
    mistakes.extend(fault.map(|fault| Mistake::new(place.of(directory), fault)));
    match name {
        Ok(name) if mistakes.is_empty() => {
            let (directory, line) = (PathBuf::from(directory.trim()), line.trim().to_owned());
            Ok(Server { name, directory, parameters, line, span })
        }
        _ => Err(mistakes),
    }
}

fn no_fields(line: &str, number: usize) -> Mistake {
    let message = "expected name,directory,parameters, such as thrulayd,bin, or map-updated,,";
    Mistake::new(Place { line, number }.of(line), message)
}

fn directory_fault(directory: &str) -> Option<String> {
    let climbs = Path::new(directory).components().any(|part| part == Component::ParentDir);
    let climb = || climbs.then(|| format!("a server's directory holds no \"..\": \"{directory}\""));
    word_fault(directory).or_else(climb)
}

/// A line, of which fields are parts.
struct Place<'a> {
    line: &'a str,
    number: usize,
}

impl Place<'_> {
    /// Where a field stands, without the blanks around it.
    fn of(&self, field: &str) -> Span {
        let trimmed = field.trim();
        // The field is a part of the line, so its distance from the line's start is its place.
        let start = trimmed.as_ptr() as usize - self.line.as_ptr() as usize;
        let column = self.line[..start].chars().count() + 1;
        Span { line: self.number, column, width: trimmed.chars().count() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORIGINAL: &str = "\
bw-iperf-server,bin,-s -p 5000 -w 20M
thrulayd,bin,
pathload_snd,bin, -q -i
map-updated,,
pathchirp_snd,bin,
owampd,bin, -c /afs/slac/package/netmon/bandwidth-tests/v3src/config -Z >& /tmp/owampd.log &
";

    #[test]
    fn the_originals_file_is_read() {
        let (servers, mistakes) = parse(ORIGINAL);
        assert_eq!(mistakes, []);
        let told: Vec<_> = servers
            .iter()
            .map(|s| {
                (s.name.as_str(), s.directory.to_str().expect("text"), s.parameters.words.join("|"))
            })
            .collect();
        let expected = [
            ("bw-iperf-server", "bin", "-s|-p|5000|-w|20M"),
            ("thrulayd", "bin", ""),
            ("pathload_snd", "bin", "-q|-i"),
            ("map-updated", "", ""),
            ("pathchirp_snd", "bin", ""),
            ("owampd", "bin", "-c|/afs/slac/package/netmon/bandwidth-tests/v3src/config|-Z"),
        ];
        assert_eq!(told, expected.map(|(name, folder, words)| (name, folder, words.to_owned())));
        let log = Output::File { path: "/tmp/owampd.log".into(), append: false };
        assert_eq!(servers[5].parameters.stdout, log);
        assert_eq!(servers[5].parameters.stderr, log);
        assert_eq!(servers[0].parameters.stdout, Output::Log);
    }

    #[test]
    fn parameters_may_hold_commas_and_lines_may_be_off() {
        let (servers, mistakes) = parse("#a,,\n\n  # b,,\n c , bin/x ,-x 1,2,3\r\n");
        assert_eq!(mistakes, []);
        assert_eq!(servers.len(), 1);
        assert_eq!(servers[0].parameters.words, ["-x", "1,2,3"]);
        assert_eq!((servers[0].name.as_str(), servers[0].directory.to_str()), ("c", Some("bin/x")));
        assert_eq!(servers[0].span, Span { line: 4, column: 2, width: 1 });
    }

    #[test]
    fn every_mistake_is_told_and_right_lines_stay() {
        let text = "a,bin,-x | y\nb,bin\n-c,../x,$y\nd,,\nd,bin,\nnonsense\n";
        let (servers, mistakes) = parse(text);
        assert_eq!(servers.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["d"]);
        let mut places: Vec<_> = mistakes.iter().map(|m| (m.span.line, m.span.column)).collect();
        places.sort_unstable();
        assert_eq!(places, [(1, 10), (2, 1), (3, 1), (3, 4), (3, 9), (5, 1), (6, 1)]);
        let cited = mistakes[0].cite("servers.alive", text);
        assert!(cited.ends_with("\n  a,bin,-x | y\n           ^"), "{cited}");
        assert!(mistakes.iter().any(|m| m.message == "d is in line 4 already"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_right_lines_are_never_hidden(junk in any::<String>()) {
            let (servers, _) = parse(&format!("{junk}\nowampd,bin,-Z\n"));
            prop_assert!(servers.iter().any(|server| server.name.as_str() == "owampd"));
        }
    }
}
