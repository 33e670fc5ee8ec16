//! The command line, and what is wanted by it.

use std::{
    env,
    ffi::{OsStr, OsString},
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use clap::{Command, CommandFactory, FromArgMatches, Parser};
use station::text::Family;
use timed_udp::socket::PortRange;

use crate::{
    protocol::{Mode, Modes, Slot},
    report::Unit,
    session::units_of,
    statistics::Percent,
};

/// Where OWAMP servers listen (RFC 4656 section 3.1).
const OWAMP_PORT: u16 = 861;
/// What `-v` stands for without a number: the delays of all packets.
const EVERY: &str = "4294967295";

/// Measures one-way delay, loss and reordering to a host with an owampd, and back (OWAMP, RFC 4656).
#[derive(Debug, Clone, clap::Args)]
#[command(version)]
#[expect(clippy::struct_excessive_bools, reason = "they are the reference tool's letters")]
pub struct Args {
    /// Where test packets go to and come from: HOST or HOST:PORT; an address of IPv6 with a port in brackets
    pub target: String,
    /// Where the OWAMP server is, if it is another address
    pub server: Option<String>,
    /// The OWAMP server's port, where none is named behind it
    #[arg(short, long, value_name = "PORT", default_value_t = OWAMP_PORT)]
    pub port: u16,
    /// Packets in each direction; 0 goes on until it is interrupted
    #[arg(short, long, value_name = "N", default_value_t = 100)]
    pub count: u32,
    /// Time between packets, s: the mean of an exponential distribution; with an f behind it always the same; several
    /// with commas between take turns
    #[arg(short = 'i', long, value_name = "SECONDS", default_value = "0.1", value_parser = interval)]
    pub interval: Interval,
    /// A packet that has not come after so long is lost, s
    #[arg(short = 'L', long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub timeout: Duration,
    /// Octets of padding behind the fields of each packet
    #[arg(short, long, value_name = "OCTETS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=65_000))]
    pub size: u32,
    /// Only towards the target
    #[arg(short = 't', long, conflicts_with = "from")]
    pub to: bool,
    /// Only from the target
    #[arg(short = 'f', long)]
    pub from: bool,
    /// UDP ports on our side
    #[arg(short = 'P', long, value_name = "FIRST-LAST", value_parser = ports)]
    pub ports: Option<(u16, u16)>,
    /// Our address for all of it
    #[arg(short = 'S', long, value_name = "ADDRESS")]
    pub source: Option<IpAddr>,
    /// The network interface for all of it
    #[arg(short = 'B', long, value_name = "INTERFACE")]
    pub device: Option<String>,
    /// How packets are marked, 0 to 63
    #[arg(short = 'D', long, value_name = "DSCP", default_value = "0", value_parser = dscp)]
    pub dscp: u8,
    /// Wait so long before the first packet, s
    #[arg(short = 'z', long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub delay: Duration,
    /// What protection is agreed to: letters of A (authenticated), E (encrypted), O (open); the strongest that the
    /// server offers is taken
    #[arg(short = 'A', long, value_name = "MODES", default_value = "AEO", value_parser = modes)]
    pub modes: Modes,
    /// A file of names and passphrases: NAME and HEXADECIMAL DIGITS in each line
    #[arg(short = 'k', long, value_name = "FILE")]
    pub passphrases: Option<PathBuf>,
    /// Our name on the server, for the modes A and E
    #[arg(short, long, value_name = "NAME")]
    pub user: Option<String>,
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    pub ipv6: bool,
    /// One more percentile of the delay; may be given several times
    #[arg(short = 'a', long = "percentile", value_name = "PERCENT")]
    pub percentiles: Vec<Percent>,
    /// Width of a class of the histogram, s
    #[arg(short, long, value_name = "SECONDS", default_value = "0.0001", value_parser = seconds)]
    pub bucket: Duration,
    /// Print for machines: the reference tool's lines
    #[arg(short = 'M', long, group = "form")]
    pub machine: bool,
    /// Unit of delays: n, u, m or s
    #[arg(short = 'n', long, value_name = "UNIT", default_value = "m", value_parser = unit)]
    pub unit: Unit,
    /// A summary of every so many packets
    #[arg(short = 'N', long, value_name = "N", default_value_t = 0)]
    pub part: u32,
    /// Run the test and print nothing
    #[arg(short = 'Q', long, group = "form")]
    pub quiet: bool,
    /// Print every record: number, sent, synchronised, error, received, synchronised, error, TTL
    #[arg(short = 'R', long, group = "form")]
    pub raw: bool,
    /// Print one JSON object with all figures
    #[arg(long, group = "form")]
    pub json: bool,
    /// With --json: every packet, too
    #[arg(long, requires = "json")]
    pub packets: bool,
    /// Print single delays: all, or of the first N packets
    #[arg(short, long, value_name = "N", num_args = 0..=1, default_missing_value = EVERY)]
    pub verbose: Option<u32>,
    /// With -v: the times of sending and arrival, too
    #[arg(short = 'U', long)]
    pub unix: bool,
}

impl CommandFactory for Args {
    fn command() -> Command {
        <Self as clap::Args>::augment_args(Command::new("owping"))
    }

    fn command_for_update() -> Command {
        <Self as clap::Args>::augment_args_for_update(Command::new("owping"))
    }
}

/// By hand, since clap would take the host in `-v HOST` for the number.
impl Parser for Args {
    fn parse() -> Self {
        match Self::try_parse_from(env::args_os()) {
            Ok(args) => args,
            Err(error) => error.exit(),
        }
    }

    fn try_parse_from<I, T>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let words = numbered(words.into_iter().map(Into::into));
        let mut matches = Self::command().try_get_matches_from(words)?;
        Self::from_arg_matches_mut(&mut matches)
    }
}

/// The words of a command line, where each `-v` that no number follows has got its own.
fn numbered(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words = words.peekable();
    let (mut all, mut is_over) = (Vec::new(), false);
    while let Some(mut word) = words.next() {
        // Behind that are no options any more.
        is_over |= word == "--";
        let has_number = words.peek().is_some_and(|next| is_number(next));
        if !is_over && !has_number && is_verbose(&word) {
            word.push("=");
            word.push(EVERY);
        }
        all.push(word);
    }
    all
}

fn is_number(word: &OsStr) -> bool {
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|octet| octet.is_ascii_digit());
    word.to_str().is_some_and(digits)
}

/// Whether a word ends with the option and has no number in it: `-v`, `--verbose`, and `-tv`, but not `-uv`, which is
/// a user's name.
fn is_verbose(word: &OsStr) -> bool {
    let Some(word) = word.to_str() else { return false };
    let letters = word.strip_prefix('-').and_then(|it| it.strip_suffix('v'));
    word == "--verbose" || letters.is_some_and(|it| it.chars().all(is_flag))
}

/// Whether a letter is an option without a value.
fn is_flag(letter: char) -> bool {
    let command = Args::command();
    let mut flags = command.get_arguments().filter(|it| !it.get_action().takes_values());
    flags.any(|it| it.get_short() == Some(letter))
}

/// The time between packets: what takes turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval(pub Vec<Slot>);

impl Interval {
    /// The mean time from one packet to the next, seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.0.iter().map(|slot| slot.mean() as f64).sum();
        sum / self.0.len() as f64 / 2f64.powi(32)
    }
}

fn interval(text: &str) -> Result<Interval, String> {
    let slot = |part: &str| {
        let (number, is_fixed) = match part.strip_suffix('f') {
            Some(number) => (number, true),
            None => (part.strip_suffix('e').unwrap_or(part), false),
        };
        let length = units_of(seconds(number)?);
        Ok(if is_fixed {
            Slot::Fixed { offset: length }
        } else {
            Slot::Exponential { mean: length }
        })
    };
    text.split(',').map(slot).collect::<Result<_, String>>().map(Interval)
}

/// At most a day: what takes longer is not one test.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("\"{text}\" is no number of seconds"))?;
    if (0.0..=86_400.0).contains(&number) {
        Ok(Duration::from_secs_f64(number))
    } else {
        Err(format!("{text} s is not between 0 and 86400"))
    }
}

fn ports(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.parse::<u16>().ok();
    let range = port(first).zip(port(last));
    range
        .filter(|(first, last)| PortRange::new(*first, *last).is_some())
        .ok_or_else(|| format!("\"{text}\" is no range of ports, as 9000-9100"))
}

fn dscp(text: &str) -> Result<u8, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number
        .ok()
        .filter(|it| *it < 64)
        .ok_or_else(|| format!("\"{text}\" is no DSCP, which is 0 to 63"))
}

fn modes(text: &str) -> Result<Modes, String> {
    let mode = |letter: char| {
        let known = Mode::ALL.into_iter().find(|mode| mode.letter() == letter.to_ascii_uppercase());
        known.ok_or_else(|| format!("'{letter}' is none of A, E and O"))
    };
    text.chars().map(mode).collect()
}

fn unit(text: &str) -> Result<Unit, String> {
    let mut letters = text.chars();
    let unit = letters.next().and_then(Unit::of_letter).filter(|_| letters.next().is_none());
    unit.ok_or_else(|| format!("\"{text}\" is none of n, u, m and s"))
}

impl Args {
    /// Which version of IP is wanted: also by the address that we are to have.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of_options(self.ipv4, self.ipv6, self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_exponential_unless_said_otherwise_and_take_turns() {
        let second = 1 << 32;
        assert_eq!(interval("1"), Ok(Interval(vec![Slot::Exponential { mean: second }])));
        let both = vec![Slot::Fixed { offset: second / 2 }, Slot::Exponential { mean: second }];
        assert_eq!(interval("0.5f,1e"), Ok(Interval(both)));
        for wrong in ["", "-1", "x", "1,", "1g", "1e9"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_reference_tools_command_lines_are_understood() {
        let args = |line: &str| Args::try_parse_from(line.split(' '));
        let it = args("owping -M -c 20 -i 0.05 192.0.2.2").expect("understood");
        assert!(it.machine && it.count == 20);
        let it = args(
            "owping -a 99 -a 50 -b 0.0002 -v3 -U -n u -N 20 -t -L 1 -A AE -u iepm -k keys 192.0.2.2:8861 192.0.2.3",
        );
        let it = it.expect("understood");
        assert_eq!((it.verbose, it.percentiles.len(), it.part), (Some(3), 2, 20));
        assert!(!it.modes.has(Mode::Open));
        let it = args("owping -v -t -c 10 -i 0.02 192.0.2.2").expect("understood");
        assert_eq!((it.verbose, it.target.as_str()), (Some(u32::MAX), "192.0.2.2"));
        for wrong in [
            "owping",
            "owping -t -f h",
            "owping -M -R h",
            "owping -A X h",
            "owping -D 64 h",
            "owping -P 9-1 h",
        ] {
            assert!(args(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_host_behind_a_lone_v_is_not_taken_for_its_number() {
        let every = Some(u32::MAX);
        for (line, verbose) in [
            ("owping -v host", every),
            ("owping -v3 host", Some(3)),
            ("owping -v 3 host", Some(3)),
            ("owping --verbose host", every),
            ("owping --verbose 3 host", Some(3)),
            ("owping --verbose=3 host", Some(3)),
            ("owping host -v", every),
            ("owping -v -U host", every),
            ("owping -v -- host", every),
            ("owping -tv host", every),
            ("owping -tv 3 host", Some(3)),
            ("owping -uv host", None),
            ("owping -u v host", None),
            ("owping host", None),
        ] {
            let args = Args::try_parse_from(line.split(' ')).expect(line);
            assert_eq!((args.verbose, args.target.as_str()), (verbose, "host"), "{line}");
        }
        for wrong in ["owping -v", "owping -v 3", "owping -v 4294967296 host", "owping -vx host"] {
            assert!(Args::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
        let args = Args::try_parse_from(["owping", "--", "-v"]).expect("behind the options");
        assert_eq!((args.verbose, args.target.as_str()), (None, "-v"));
    }
}
