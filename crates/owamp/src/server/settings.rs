//! `owamp-server.conf`: lines of a name and a value, as the reference's server has them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use station::text::Mistake;

use super::lines::{Parts, Word, lines};
use crate::protocol::{FEWEST_ROUNDS, MOST_ROUNDS, Mode, Modes};

/// The port of OWAMP-Control (RFC 4656 section 3).
pub(super) const PORT: u16 = 861;

/// What the file says; what the command line says goes before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Where to listen: an address of ours, and a port, or either.
    pub(super) source: Source,
    /// Ports of test packets; none: whatever the system gives.
    pub(super) ports: Option<Ports>,
    /// Which modes are offered.
    pub(super) modes: Modes,
    /// Who to be when everything is bound.
    pub(super) user: Option<String>,
    /// The group to be of; else the user's.
    pub(super) group: Option<String>,
    /// Where records lie.
    pub(super) data: Option<PathBuf>,
    /// How long a connection may say nothing between messages.
    pub(super) idle: Duration,
    /// How long sessions are held that were asked for and not started.
    pub(super) unstarted: Duration,
    /// How long after its end a session can be fetched.
    pub(super) keep: Duration,
    /// Control connections at once.
    pub(super) connections: usize,
    /// And of one address.
    pub(super) per_address: usize,
    /// Rounds of the derivation of keys.
    pub(super) rounds: u32,
    /// To run as root is all right.
    pub(super) root_is_right: bool,
}

/// An address, a port, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Source {
    pub(super) address: Option<std::net::IpAddr>,
    pub(super) port: Option<u16>,
}

/// Ports, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) first: u16,
    pub(super) last: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            source: Source::default(),
            ports: Some(Ports { first: 8760, last: 9960 }),
            modes: Mode::ALL.into_iter().collect(),
            user: None,
            group: None,
            data: None,
            idle: Duration::from_secs(1800),
            unstarted: Duration::from_secs(60),
            keep: Duration::from_secs(600),
            connections: 1000,
            per_address: 250,
            rounds: 2048,
            root_is_right: false,
        }
    }
}

impl std::str::FromStr for Source {
    type Err = String;

    /// `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]:PORT` or `:PORT`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self { address: Some(address), port: None });
        }
        if let Ok(both) = text.parse::<SocketAddr>() {
            return Ok(Self { address: Some(both.ip()), port: Some(both.port()) });
        }
        let port = text.strip_prefix(':').and_then(|port| port.parse().ok());
        port.map(|port| Self { address: None, port: Some(port) }).ok_or_else(|| {
            format!("\"{text}\" is no ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT or :PORT")
        })
    }
}

impl std::str::FromStr for Ports {
    type Err = String;

    /// `FIRST-LAST`, or one port.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
            (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(Self { first, last }),
            _ => Err(format!("\"{text}\" is no range of ports such as 8760-9960")),
        }
    }
}

/// Settings of the reference's server that mean nothing here.
const WITHOUT_MEANING: [&str; 10] = [
    "vardir",
    "facility",
    "priority",
    "loglocation",
    "verbose",
    "diskfudge",
    "enddelay",
    "dieby",
    "allowunsync",
    "pidfile",
];

/// Reads the file: all that is right in it, all mistakes, and settings that mean nothing here.
pub(super) fn parse(text: &str) -> (Settings, Vec<Mistake>, Vec<String>) {
    let (mut settings, mut mistakes, mut unused) = (Settings::default(), Vec::new(), Vec::new());
    for line in lines(text, Parts::Blanks) {
        let (name, values) = (line[0], &line[1..]);
        if WITHOUT_MEANING.contains(&name.text) {
            unused.push(name.text.to_owned());
            continue;
        }
        if let Err(mistake) = set(&mut settings, name, values) {
            mistakes.push(mistake);
        }
    }
    (settings, mistakes, unused)
}

fn set(settings: &mut Settings, name: Word<'_>, values: &[Word<'_>]) -> Result<(), Mistake> {
    if name.text == "rootfolly" {
        settings.root_is_right = true;
        return nothing_more(values);
    }
    let Some((value, more)) = values.split_first() else {
        return Err(name.mistake(format!("expected a value after \"{}\"", name.text)));
    };
    // The only one whose values may be apart from each other.
    if name.text != "authmode" {
        nothing_more(more)?;
    }
    match name.text {
        "srcnode" => settings.source = value.read()?,
        "port" => settings.source.port = Some(value.within(1..=65_535)?),
        "testports" => settings.ports = ports(value)?,
        "authmode" => settings.modes = modes(values)?,
        "user" => settings.user = Some(value.text.to_owned()),
        "group" => settings.group = Some(value.text.to_owned()),
        "datadir" => settings.data = Some(value.text.into()),
        "controltimeout" => settings.idle = Duration::from_secs(value.within(1..=86_400)?),
        "starttimeout" => settings.unstarted = Duration::from_secs(value.within(1..=86_400)?),
        "keep" => settings.keep = Duration::from_secs(value.within(1..=604_800)?),
        "maxcontrolsessions" => settings.connections = value.within(1..=10_000)?,
        "maxperaddress" => settings.per_address = value.within(1..=10_000)?,
        "pbkdf2_count" => settings.rounds = rounds(value)?,
        other => return Err(name.mistake(format!("there is no setting \"{other}\""))),
    }
    Ok(())
}

fn nothing_more(words: &[Word<'_>]) -> Result<(), Mistake> {
    words.first().map_or(Ok(()), |word| Err(word.mistake("expected nothing more on this line")))
}

impl Word<'_> {
    fn read<T: std::str::FromStr<Err = String>>(&self) -> Result<T, Mistake> {
        self.text.parse().map_err(|why: String| self.mistake(why))
    }

    pub(super) fn within<T>(&self, range: std::ops::RangeInclusive<T>) -> Result<T, Mistake>
    where
        T: std::str::FromStr + PartialOrd + std::fmt::Display,
    {
        let number = self.text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            self.mistake(format!("expected a number of {least} to {most}, found \"{}\"", self.text))
        })
    }
}

fn ports(value: &Word<'_>) -> Result<Option<Ports>, Mistake> {
    if value.text == "0" { Ok(None) } else { value.read().map(Some) }
}

fn rounds(value: &Word<'_>) -> Result<u32, Mistake> {
    let rounds: u32 = value.within(FEWEST_ROUNDS..=MOST_ROUNDS)?;
    if rounds.is_power_of_two() {
        return Ok(rounds);
    }
    Err(value.mistake("RFC 4656 wants a power of two"))
}

/// `O,A,E`, `AEO`, `A E`.
fn modes(values: &[Word<'_>]) -> Result<Modes, Mistake> {
    let mut modes = Modes::default();
    for word in values {
        for letter in word.text.chars().filter(|letter| *letter != ',') {
            let upper = letter.to_ascii_uppercase();
            let mode =
                Mode::ALL.into_iter().find(|mode| mode.letter() == upper).ok_or_else(|| {
                    let known = "O (open), A (authenticated), E (encrypted)";
                    word.mistake(format!("'{letter}' is no mode: {known}"))
                })?;
            modes = modes.with(mode);
        }
    }
    Ok(modes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_reference_is_read() {
        let text = "# owamp-server.conf\nuser owamp\ngroup owamp\nverbose\nvardir /var/run\ndatadir /var/lib/owamp\n\
                    testports 8760-9960\nauthmode O,A,E\nsrcnode 192.0.2.1:8861\ndieby 5\ncontroltimeout 60\n\
                    starttimeout 9\npbkdf2_count 4096\n";
        let (settings, mistakes, unused) = parse(text);
        assert_eq!(mistakes, []);
        assert_eq!(unused, ["verbose", "vardir", "dieby"]);
        assert_eq!(settings.source, "192.0.2.1:8861".parse().expect("a place"));
        assert_eq!(settings.modes, Modes(7));
        assert_eq!((settings.user.as_deref(), settings.rounds), (Some("owamp"), 4096));
        assert_eq!((settings.idle.as_secs(), settings.unstarted.as_secs()), (60, 9));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = "testports 9-8\nauthmode X\nport 0\nnosuch 1\nuser\nport 1 2\npbkdf2_count 1500\nsrcnode x:y\n";
        let (settings, mistakes, _) = parse(text);
        let places: Vec<(usize, usize)> =
            mistakes.iter().map(|it| (it.span.line, it.span.column)).collect();
        assert_eq!(places, [(1, 11), (2, 10), (3, 6), (4, 1), (5, 1), (6, 8), (7, 14), (8, 9)]);
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn a_place_is_an_address_a_port_or_both() {
        let place = |text: &str| text.parse::<Source>().map(|it| (it.address, it.port));
        let v6 = Some("::1".parse().expect("an address"));
        assert_eq!(place("::1"), Ok((v6, None)));
        assert_eq!(place("[::1]"), Ok((v6, None)));
        assert_eq!(place("[::1]:8861"), Ok((v6, Some(8861))));
        assert_eq!(place(":8861"), Ok((None, Some(8861))));
        assert!(place("host:x").is_err());
    }
}
