//! `pathchirp_snd`: sends chirps to whoever asks for them and shows that it is where it says.
//!
//! - `limits`, `table`: what is granted, and who gets a chirp next. Pure.
//! - `talk`: what is answered to a message. Pure.
//! - `serve`: the sockets, and the thread that sends. `chirp`: how it does. `tally`: what the log is told.

mod chirp;
mod limits;
mod serve;
mod table;
mod talk;
mod tally;

use std::{net::IpAddr, time::Duration};

use clap::Parser;
use station::{
    app::{Exit, Failure},
    world::signals::Stop,
};

use crate::{PORT, protocol::message::MOST_PAYLOAD};
use limits::Limits;

/// Sends chirps of packets to clients that measure the available bandwidth of the path from here to them
#[derive(Debug, Parser)]
#[command(name = "pathchirp_snd", version)]
pub struct Args {
    /// UDP port
    #[arg(short = 'U', long, value_name = "PORT", default_value_t = PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Our address; may be given several times [default: all addresses of both families]
    #[arg(short = 'B', long = "bind", value_name = "ADDRESS")]
    bind: Vec<IpAddr>,
    /// The highest rate of a chirp, Mbit/s
    #[arg(short = 'u', long, value_name = "MBITS", default_value = "10000", value_parser = mbits)]
    highest: u64,
    /// The average rate of a session, Mbit/s
    #[arg(short = 'a', long, value_name = "MBITS", default_value = "10", value_parser = mbits)]
    average: u64,
    /// The average rate of all sessions together, Mbit/s: each has its share
    #[arg(long, value_name = "MBITS", default_value = "20", value_parser = mbits)]
    total: u64,
    /// How long a session may be, s
    #[arg(short = 't', long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(1..=2_678_400))]
    duration: u32,
    /// Packets of a chirp
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(16..=100_000))]
    packets: u32,
    /// Octets of UDP's data in a packet
    #[arg(long, value_name = "OCTETS", default_value_t = 1_472, value_parser = clap::value_parser!(u16).range(74..=i64::from(MOST_PAYLOAD)))]
    largest: u16,
    /// Sessions at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    sessions: u16,
    /// Sessions at once of an address, of IPv6 of a /64
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    per_address: u16,
    /// Say more, as -v
    #[arg(short = 'd', long)]
    debug: bool,
    /// Say more
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// From a thousandth to a million Mbit/s, in bit/s.
pub(crate) fn mbits(text: &str) -> Result<u64, String> {
    let number: f64 = text.parse().map_err(|_| format!("\"{text}\" is no number of Mbit/s"))?;
    if (0.001..=1_000_000.0).contains(&number) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 10^12"
        )]
        Ok((number * 1e6).round() as u64)
    } else {
        Err(format!("{text} Mbit/s is not between 0.001 and 1000000"))
    }
}

/// The program.
///
/// # Errors
/// The port cannot be bound.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    station::app::say_more(args.verbose + u8::from(args.debug));
    let sockets = serve::open(&args.bind, args.port)?;
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::NeedsPerson, "listening to signals").because(error))?;
    serve::serve(&sockets, args.limits(), &stop)
}

impl Args {
    fn limits(&self) -> Limits {
        Limits {
            high: self.highest,
            average: self.average,
            total: self.total,
            duration: Duration::from_secs(self.duration.into()),
            packets: usize::try_from(self.packets).unwrap_or(usize::MAX),
            payload: self.largest,
            sessions: self.sessions.into(),
            per_address: self.per_address.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_in_mbits_and_the_limits_are_as_they_were_named() {
        let line = "pathchirp_snd -B ::1 -u 100 -a 0.5 --sessions 2 -t 9 -d -v";
        let args = Args::try_parse_from(line.split(' ')).expect("understood");
        let limits = args.limits();
        assert_eq!((limits.high, limits.average, limits.sessions), (100_000_000, 500_000, 2));
        assert_eq!(limits.duration, Duration::from_secs(9));
    }

    #[test]
    fn what_cannot_be_a_limit_is_not_understood() {
        for wrong in ["-u 0", "-u x", "-a -1", "-U 0", "-t 0", "--packets 1", "--largest 9000"] {
            let line = format!("pathchirp_snd {wrong}");
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{wrong}");
        }
    }
}
