//! `thrulay`: the client.
//!
//! - `line`: a connection to the server. `trouble`: why there are no figures, or fewer.
//! - `tcp`, with `run`, `stream` and `room`: a test over TCP; `udp`: one over UDP. `kernel`: what the kernel says of a
//!   stream. `screen`: what is printed, and when.

mod kernel;
mod line;
mod room;
mod run;
mod screen;
mod stream;
mod tcp;
mod trouble;
mod udp;

use std::{fmt, net::SocketAddr};

use clap::{Parser, builder::RangedU64ValueParser};
use station::{
    app::{Exit, Failure},
    text::Family,
    world::{peers, signals::Stop},
};

use self::{screen::Screen, trouble::Trouble};
use crate::{
    protocol::{LONGEST_BLOCK, MOST_STREAMS, PORT, SHORTEST_BLOCK},
    report::Run,
    server::size,
};

/// Measures throughput over TCP, with the round trip in the stream, or what becomes of UDP packets
#[derive(Debug, Clone, Parser)]
#[command(name = "thrulay", version)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Args {
    /// The server
    #[arg(value_name = "HOST")]
    host: String,
    /// Print the smallest, mean and largest round trip too
    #[arg(short, long)]
    verbose: bool,
    /// Wait for each UDP packet's time with open eyes: a whole processor, and the best times
    #[arg(short, long)]
    busy: bool,
    /// How packets are marked, 0 to 63
    #[arg(short = 'D', long, value_name = "DSCP", default_value = "0", value_parser = dscp)]
    dscp: u8,
    /// Streams side by side
    #[arg(short = 'm', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_STREAMS)))]
    streams: u16,
    /// How long, s
    #[arg(short = 't', long = "time", value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    duration: u32,
    /// Time from one row to the next, s; 0 for none
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=86_400))]
    interval: u32,
    /// Bytes of the buffers at both ends; where the system gives less, its kernel chooses
    #[arg(short, long, value_name = "BYTES", default_value = "4194304", value_parser = size)]
    window: u32,
    /// Bytes of a block [default: 64k]; of a UDP packet with its headers [default: 1500]
    #[arg(short = 'l', long, value_name = "BYTES", value_parser = block)]
    length: Option<u32>,
    /// The server's port
    #[arg(short, long, value_name = "PORT", default_value_t = PORT, value_parser = RangedU64ValueParser::<u16>::new().range(1..=65_535))]
    port: u16,
    /// Measure UDP at this rate, bits a second with headers; k, M, G and T are thousands of it
    #[arg(short, long, value_name = "RATE", value_parser = rate)]
    udp: Option<u64>,
    /// Of multicast, which is not measured here
    #[arg(short = 'T', value_name = "TTL")]
    ttl: Option<String>,
    /// Of multicast, which is not measured here
    #[arg(short = 'g', value_name = "GROUP")]
    group: Option<String>,
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    ipv6: bool,
    /// Print one JSON object with all figures
    #[arg(long)]
    json: bool,
}

fn dscp(text: &str) -> Result<u8, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let number = number.ok().filter(|it| *it < 64);
    number.ok_or_else(|| format!("\"{text}\" is no DSCP, which is 0 to 63"))
}

fn block(text: &str) -> Result<u32, String> {
    let factor = if text.ends_with(['k', 'K']) { 1_024 } else { 1 };
    let number = text.trim_end_matches(['k', 'K']).parse::<u32>().ok();
    number
        .and_then(|it| it.checked_mul(factor))
        .filter(|it| (SHORTEST_BLOCK..=LONGEST_BLOCK).contains(it))
        .ok_or_else(|| format!("\"{text}\" is not between {SHORTEST_BLOCK} and {LONGEST_BLOCK}"))
}

/// Bits a second, with `k`, `M`, `G` or `T` for thousands of them.
///
/// # Errors
/// It is no such number, or zero.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => Some(1.0),
        "k" | "K" => Some(1e3),
        "m" | "M" => Some(1e6),
        "g" | "G" => Some(1e9),
        "t" | "T" => Some(1e12),
        _ => None,
    };
    let number = factor.zip(digits.parse::<f64>().ok()).map(|(factor, number)| factor * number);
    let number = number.filter(|it| (1.0..=1e13).contains(it));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1e13")]
    number
        .map(|it| it.round() as u64)
        .ok_or_else(|| format!("\"{text}\" is no rate in bits a second, as 500k or 10M"))
}

impl Args {
    /// The server's addresses, of the wanted family.
    fn addresses(&self) -> Result<Vec<SocketAddr>, Trouble> {
        let family = Family::of_options(self.ipv4, self.ipv6, None);
        peers::addresses(&self.host, self.port, family)
            .map_err(|why| Trouble::Place(self.host.clone(), why))
    }

    fn check(&self) -> Result<(), Failure> {
        let usage = |why: fmt::Arguments<'_>| {
            Err(Failure::new(Exit::Usage, "reading the command line").why(why))
        };
        if self.ttl.is_some() || self.group.is_some() {
            return usage(format_args!(
                "-T and -g are of multicast, which is not measured here: leave them out"
            ));
        }
        if self.udp.is_some() && !(80..=65_535).contains(&self.length.unwrap_or(1_500)) {
            return usage(format_args!(
                "a UDP packet (-l) has 80 to 65535 bytes, headers among them"
            ));
        }
        if self.udp.is_some() && self.streams > 1 {
            return usage(format_args!("a UDP test has one stream: leave out -m, or -u"));
        }
        Ok(())
    }
}

/// The program. The exit status is 0 if the whole test was measured.
///
/// # Errors
/// Why there are no figures, or fewer.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    args.check()?;
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::NeedsPerson, "listening for signals").because(error))?;
    let mut screen = Screen::of(args);
    let mut run = Run { host: args.host.clone(), dscp: args.dscp, ..Run::default() };
    let trouble = match args.udp {
        Some(rate) => udp::measure(args, rate, &stop, &mut run),
        None => tcp::measure(args, &stop, &mut screen, &mut run),
    };
    let trouble = trouble.err();
    run.problem = trouble.as_ref().map(ToString::to_string);
    screen.end(&run)?;
    run.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    match trouble {
        None => Ok(Exit::Well),
        Some(Trouble::Output(failure)) => Err(failure),
        Some(trouble) => Err(Failure::new(trouble.exit(), trouble.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_reference_tools_command_lines_are_understood() {
        let it = args("thrulay -t 5 192.0.2.2").expect("understood");
        assert_eq!((it.duration, it.interval, it.streams, it.port), (5, 1, 1, 5_003));
        let it = args("thrulay -v -b -D 46 -m3 -t10 -i0 -w262144 -l 8192 -p 5010 h");
        let it = it.expect("understood");
        assert_eq!((it.streams, it.duration, it.interval), (3, 10, 0));
        assert_eq!((it.window, it.length, it.dscp), (262_144, Some(8_192), 46));
        let it = args("thrulay -u 5M -t 4 192.0.2.2").expect("understood");
        assert_eq!(it.udp, Some(5_000_000));
        assert_eq!(args("thrulay -l 64k h").expect("understood").length, Some(65_536));
        for wrong in [
            "-m 0 h", "-m 65 h", "-t 0 h", "-l 63 h", "-u 0 h", "-u 5X h", "-4 -6 h", "-D 64 h", "",
        ] {
            assert!(args(format!("thrulay {wrong}").trim_end()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn multicast_is_refused_with_a_clear_word() {
        for line in ["thrulay -T 3 h", "thrulay -g 224.0.0.1 h"] {
            let failure = args(line).expect("understood").check().expect_err("refused");
            assert_eq!(failure.exit(), Exit::Usage);
            assert!(failure.to_string().contains("multicast"), "{failure}");
        }
    }

    #[test]
    fn rates_have_the_suffixes_of_si() {
        let rates = ["7", "500k", "1.5M", "2G", "1T"].map(rate);
        let expected = [7, 500_000, 1_500_000, 2_000_000_000, 1_000_000_000_000].map(Ok);
        assert_eq!(rates, expected);
        assert!(["", "M", "-1", "1x", "0", "nan", "inf", "99T"].iter().all(|it| rate(it).is_err()));
    }
}
