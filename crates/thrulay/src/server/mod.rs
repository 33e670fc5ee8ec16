//! `thrulayd`: the server.
//!
//! - `judge`, `usage`: what is granted to whom. `lobby`: who is at the door. `times`: how long a test is waited for.
//!   Pure.
//! - `listen`: one thread for the door. `registry`: hands streams to their tests.
//! - `tcp`, `udp`: a test, in a thread of its own. `control`: its control connection.

mod control;
mod judge;
mod listen;
mod lobby;
mod registry;
mod tcp;
mod times;
mod udp;
mod usage;

use std::{
    fs::File,
    io::{self, Read},
    net::IpAddr,
    sync::Arc,
};

use clap::Parser;
use station::{
    app::{Exit, Failure},
    doors::{self, Options},
    news::News,
    world::signals::Stop,
};
use timed_udp::socket::PortRange;

use self::{judge::Limits, registry::Registry, usage::Usage};
use crate::protocol::{MOST_STREAMS, PORT, Token};

/// Serves throughput tests of thrulay
#[derive(Debug, Parser)]
#[command(name = "thrulayd", version)]
pub struct Args {
    /// TCP port
    #[arg(short, long, value_name = "PORT", default_value_t = PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Our address; may be given several times [default: all addresses of both families]
    #[arg(short = 'B', long = "bind", value_name = "ADDRESS")]
    bind: Vec<IpAddr>,
    /// The most octets of a receive buffer
    #[arg(short, long, value_name = "BYTES", default_value = "4194304", value_parser = size)]
    window: u32,
    /// UDP ports for tests, as 5004-5100 [default: any]
    #[arg(long, value_name = "FIRST-LAST", value_parser = ports)]
    udp_ports: Option<(u16, u16)>,
    /// Tests at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    tests: u16,
    /// Tests at once of one address, of IPv6 of one /64
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    per_address: u16,
    /// Streams of a test
    #[arg(long, value_name = "N", default_value_t = MOST_STREAMS, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_STREAMS)))]
    streams: u16,
    /// The longest test, s
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    duration: u32,
    /// Bits a second of all UDP tests together, as 500M; half of it for one address
    #[arg(long, value_name = "RATE", default_value = "1G", value_parser = crate::client::rate)]
    rate: u64,
    /// Memory of all tests together, megabytes; half of it for one address
    #[arg(long, value_name = "MB", default_value_t = 1_100, value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    memory: u32,
    /// Taken for the reference's sake: it stays in the foreground anyway
    #[arg(short, long)]
    debug: bool,
    /// Say more; twice: still more
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Octets of a buffer, 4096 to 1 GB, with `k` or `M` for 1024 of them.
pub(crate) fn size(text: &str) -> Result<u32, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        _ => return Err(format!("\"{text}\" is no number of bytes, as 4194304 or 4M")),
    };
    let octets = digits.parse::<u32>().ok().and_then(|it| it.checked_mul(factor));
    octets
        .filter(|it| (4_096..=1 << 30).contains(it))
        .ok_or_else(|| format!("\"{text}\" is not between 4096 and 1073741824 bytes"))
}

fn ports(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.parse().ok().zip(last.parse().ok());
    range
        .filter(|(first, last)| PortRange::new(*first, *last).is_some())
        .ok_or_else(|| format!("\"{text}\" is no range of ports, as 5004-5100"))
}

/// What the door and all tests share.
#[derive(Debug)]
struct Server {
    limits: Limits,
    usage: Arc<Usage>,
    registry: Arc<Registry>,
    ports: Option<PortRange>,
    news: News,
    random: File,
}

impl Server {
    fn of(args: &Args) -> Result<Self, Failure> {
        let random = File::open("/dev/urandom").map_err(|error| {
            Failure::new(Exit::NeedsPerson, "opening /dev/urandom").because(error)
        })?;
        let limits = args.limits();
        Ok(Self {
            limits,
            usage: Usage::of(limits),
            registry: Arc::default(),
            ports: args.udp_ports.and_then(|(first, last)| PortRange::new(first, last)),
            news: News::default(),
            random,
        })
    }

    fn token(&self) -> io::Result<Token> {
        let mut token = Token::default();
        (&self.random).read_exact(&mut token.0)?;
        Ok(token)
    }
}

impl Args {
    fn limits(&self) -> Limits {
        Limits {
            tests: self.tests.into(),
            per_address: self.per_address.into(),
            duration_s: self.duration,
            streams: self.streams,
            window: self.window,
            rate: self.rate,
            memory: u64::from(self.memory) << 20,
        }
    }
}

/// The program.
///
/// # Errors
/// The port cannot be bound.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    station::app::say_more(args.verbose);
    let listeners = doors::listen(&args.bind, args.port, Options { port: "-p", address: "-B" })?;
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::NeedsPerson, "listening to signals").because(error))?;
    Ok(listen::serve(&Arc::new(Server::of(args)?), &listeners, &stop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_documents_table_of_servers_is_understood_and_so_is_the_references() {
        let args = |line: &str| Args::try_parse_from(line.split(' '));
        let it = args("thrulayd").expect("understood");
        assert_eq!((it.port, it.window), (5_003, 4_194_304));
        let it = args("thrulayd -d -v -p 5010 -w 1M").expect("understood");
        assert_eq!((it.port, it.window, it.debug, it.verbose), (5_010, 1 << 20, true, 1));
        for wrong in ["-p 0", "-w 12", "-w 4T", "--udp-ports 9-1", "--rate 0", "--tests 0"] {
            assert!(args(&format!("thrulayd {wrong}")).is_err(), "{wrong}");
        }
    }
}
