//! `stamp-sender`: measures the delay to a reflector and back.
//!
//! - `book`: which packets went, and which answers came. `losses`: on which way packets were lost. `figures`: what it
//!   all comes to. Pure.
//! - `measure`: the socket. `measured`: what there is then, and what to do if it is nothing. `tell`, `form`: what is printed.

mod book;
mod figures;
mod form;
mod losses;
mod measure;
mod measured;
mod tell;

use std::{net::IpAddr, time::Duration};

use clap::Parser;
use station::{
    app::{Exit, Failure},
    text::Family,
    world::signals::Stop,
};

use figures::Figures;
use measured::Measured;

/// Measures the delay to a reflector of STAMP (RFC 8762) or TWAMP-Light (RFC 5357 appendix I) and back
#[derive(Debug, Clone, Parser)]
#[command(name = "stamp-sender", version)]
pub struct Args {
    /// The reflector; its port is 862, unless another is named: an address of IPv6 is then in brackets
    #[arg(value_name = "HOST[:PORT]")]
    target: String,
    /// Packets
    #[arg(short, long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// Time from one packet to the next, s
    #[arg(short = 'i', long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// Octets of padding behind the 44 of each packet
    #[arg(short = 's', long, value_name = "OCTETS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=65_000))]
    size: u16,
    /// A packet whose answer has not come after so long is lost, s
    #[arg(short = 'L', long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    timeout: Duration,
    /// How packets are marked, 0 to 63
    #[arg(short = 'D', long, value_name = "DSCP", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..64))]
    dscp: u8,
    /// Our address
    #[arg(short = 'S', long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
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

/// From 10 microseconds to an hour.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("\"{text}\" is no number of seconds"))?;
    if (0.000_01..=3_600.0).contains(&number) {
        Ok(Duration::from_secs_f64(number))
    } else {
        Err(format!("{text} s is not between 0.00001 and 3600"))
    }
}

impl Args {
    fn family(&self) -> Family {
        Family::of_options(self.ipv4, self.ipv6, self.source)
    }

    /// How long it takes, if packets are lost.
    fn length(&self) -> Duration {
        self.interval * (self.count - 1) + self.timeout
    }
}

/// The program. The exit status is 1 if no answer came.
///
/// # Errors
/// Why there are no figures.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::NeedsPerson, "listening for signals").because(error))?;
    if !args.json {
        let seconds = args.length().as_secs_f64();
        station::app::print(&format!(
            "Approximately {seconds:.1} seconds until results available\n"
        ))?;
    }
    let measured = measure::measure(args, &stop);
    let (measured, problem) = match measured {
        Ok(measured) => {
            let problem = measured.problem();
            (Some(measured), problem)
        }
        Err(trouble) => (None, Some(trouble)),
    };
    let figures = measured.as_ref().map(|it| Figures::of(&it.book, &it.circumstances));
    let both = measured.as_ref().zip(figures.as_ref());
    if args.json {
        station::app::print(&form::json(args, both, problem.as_deref()))?;
    } else if let Some((measured, figures)) = both {
        station::app::print(&tell::human(args, measured, figures))?;
    }
    for warning in measured.iter().flat_map(|it: &Measured| &it.warnings) {
        log::warn!("{warning}");
    }
    match problem {
        Some(problem) => Err(Failure::new(Exit::NeedsPerson, problem)),
        None => Ok(Exit::Well),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_as_asked_for_or_that_of_our_address() {
        let family =
            |line: &str| Args::try_parse_from(line.split(' ')).expect("understood").family();
        assert_eq!(family("stamp-sender host"), Family::Any);
        assert_eq!(family("stamp-sender -4 host"), Family::V4);
        assert_eq!(family("stamp-sender -S ::1 host"), Family::V6);
        assert_eq!(family("stamp-sender -S 127.0.0.1 host"), Family::V4);
    }

    #[test]
    fn what_cannot_be_measured_is_not_understood() {
        for wrong in ["-i 0", "-i -1", "-i x", "-L 0", "-c 0", "-D 64", "-s 65001", "-4 -6"] {
            let line = format!("stamp-sender {wrong} host");
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{wrong}");
        }
    }
}
