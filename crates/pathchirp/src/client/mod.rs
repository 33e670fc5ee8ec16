//! `pathchirp_rcv`: has a sender send chirps, and measures by them the available bandwidth of the path from there to here.
//!
//! - `book`: packets put together to chirps. `course`: what they say, and what is probed next. Pure.
//! - `agree`: finding the sender and agreeing with it. `measure`: the socket.
//! - `trouble`: why there is nothing. `tell`: what is printed.

mod agree;
mod book;
mod course;
mod measure;
mod tell;
mod trouble;

use std::time::Duration;

use clap::Parser;
use station::{
    app::{Exit, Failure},
    world::signals::Stop,
};

use crate::{
    PORT,
    estimate::{excursion::Rules, range::Range},
    protocol::message::{self, MOST_GROUP, MOST_PAYLOAD, Wish},
    server::mbits,
};
use course::Plan;

/// Measures the available bandwidth of the path from a sender to here, by chirps of packets
#[derive(Debug, Clone, Parser)]
#[command(name = "pathchirp_rcv", version)]
#[expect(clippy::struct_excessive_bools, reason = "they are letters of the command line")]
pub struct Args {
    /// The sender: a name or an address
    #[arg(short = 'S', long, value_name = "HOST")]
    sender: String,
    /// How long to measure, s
    #[arg(short = 't', long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=2_678_400))]
    duration: u32,
    /// The lowest rate of the first chirp, Mbit/s: where later ones begin, the estimates say
    #[arg(short, long, value_name = "MBITS", default_value = "10", value_parser = mbits)]
    low: u64,
    /// The highest rate of all chirps, Mbit/s
    #[arg(short = 'u', long, value_name = "MBITS", default_value = "200", value_parser = mbits)]
    high: u64,
    /// Octets of UDP's data in a packet
    #[arg(short, long, value_name = "OCTETS", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(74..=i64::from(MOST_PAYLOAD)))]
    packet: u16,
    /// The spread factor: by what each rate of a chirp is larger than the one before
    #[arg(short, long, value_name = "FACTOR", default_value = "1.2", value_parser = spread)]
    spread: u32,
    /// The average rate of all that is sent, Mbit/s, with the headers of UDP and IP
    #[arg(short, long, value_name = "MBITS", default_value = "0.3", value_parser = mbits)]
    average: u64,
    /// The decrease factor: an excursion of the delay is over when it has fallen to this part of its height
    #[arg(short, long, value_name = "FACTOR", default_value = "1.5", value_parser = decrease)]
    decrease: f64,
    /// The busy period length: an excursion of fewer packets is none
    #[arg(short, long, value_name = "PACKETS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    busy: u16,
    /// Chirps to smooth over
    #[arg(short = 'n', long, value_name = "CHIRPS", default_value_t = 11, value_parser = clap::value_parser!(u16).range(1..=200))]
    smooth: u16,
    /// Packets of a group, which are sent at once in place of one: against network cards that collect what comes
    #[arg(short = 'J', long, value_name = "PACKETS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_GROUP)))]
    group: u16,
    /// The sender's UDP port
    #[arg(short = 'U', long, value_name = "PORT", default_value_t = PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Say more, as -vv
    #[arg(short = 'D', long)]
    debug: bool,
    /// Say more
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    ipv6: bool,
    /// Print one JSON object with all figures, at the end
    #[arg(long)]
    json: bool,
}

/// In millionths.
fn spread(text: &str) -> Result<u32, String> {
    let number: f64 = text.parse().map_err(|_| format!("\"{text}\" is no factor"))?;
    if (1.01..=8.0).contains(&number) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1.01 to 8")]
        Ok((number * 1e6).round() as u32)
    } else {
        Err(format!("{text} is not between 1.01 and 8"))
    }
}

fn decrease(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("\"{text}\" is no factor"))?;
    if number > 1.0 && number <= 100.0 {
        Ok(number)
    } else {
        Err(format!("{text} is not above 1 and at most 100"))
    }
}

/// The least that makes a measurement: so many chirps must be within the average.
const LEAST_CHIRPS: f64 = 3.0;

impl Args {
    /// What the sender is asked for.
    fn wish(&self) -> Wish {
        let spread = f64::from(self.spread) / 1e6;
        let range = Range { low: message::rate(self.low), high: message::rate(self.high) };
        Wish {
            low: measure::whole(range.of_enough(spread).low),
            high: self.high,
            average: self.average,
            spread: self.spread,
            duration: Duration::from_secs(self.duration.into())
                .as_millis()
                .try_into()
                .unwrap_or(u32::MAX),
            payload: self.packet,
            group: self.group,
        }
    }

    /// What is wrong with it, if it cannot be.
    fn mistake(&self) -> Option<String> {
        if self.low > self.high {
            return Some(format!(
                "the lowest rate (-l) of {} Mbit/s is above the highest (-u) of {} Mbit/s",
                message::rate(self.low) / 1e6,
                message::rate(self.high) / 1e6
            ));
        }
        let wish = self.wish();
        let bits = wish.shape(wish.low, wish.high, crate::shape::HEADERS_V6).bits();
        let earned = message::rate(self.average) * f64::from(self.duration);
        (bits * LEAST_CHIRPS > earned).then(|| {
            format!(
                "a chirp from -l to -u has {:.2} Mbit, and {:.2} Mbit are all that -a allows in {} s (-t): less than three \
                 chirps are no measurement; raise -a or -t, or lower -J or -u",
                bits / 1e6,
                earned / 1e6,
                self.duration
            )
        })
    }

    fn plan(&self, granted: &Wish, headers: u32) -> Plan {
        Plan {
            smooth: self.smooth.into(),
            rules: Rules { decrease: self.decrease, length: self.busy.into() },
            range: Range { low: message::rate(granted.low), high: message::rate(granted.high) },
            limit: message::rate(granted.high),
            spread: f64::from(granted.spread) / 1e6,
            octets: u32::from(granted.payload) + headers,
        }
    }
}

/// The program. The exit status is 1 if there is no estimate.
///
/// # Errors
/// Why there is none, or why it broke off.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    station::app::say_more(args.verbose + if args.debug { 2 } else { 0 });
    if let Some(mistake) = args.mistake() {
        return Err(Failure::new(Exit::Usage, mistake));
    }
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::NeedsPerson, "listening for signals").because(error))?;
    let (measured, trouble) = measure::measure(args, &stop);
    let course = measured.as_ref().map(|it| &it.course);
    let problem = trouble.map(|it| (it.exit(), it.to_string()));
    let problem = problem
        .or_else(|| course.and_then(course::Course::problem).map(|text| (Exit::NeedsPerson, text)));
    let warnings = measured.as_ref().map(measure::Measured::warnings).unwrap_or_default();
    if args.json {
        let text = problem.as_ref().map(|(_, text)| text.as_str());
        station::app::print(&tell::json(args, measured.as_ref(), &warnings, text))?;
    }
    for warning in &warnings {
        log::warn!("{warning}");
    }
    if let Some(measured) = &measured {
        log::info!("{}", tell::summary(measured));
    }
    match problem {
        Some((exit, text)) => Err(Failure::new(exit, text)),
        None => Ok(Exit::Well),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(format!("pathchirp_rcv {line}").split(' '))
    }

    #[test]
    fn the_documents_row_is_understood() {
        let args = args("-S host -t 10 -J 6 -a 2 -l 100 -u 10000").expect("understood");
        let wish = args.wish();
        assert_eq!((wish.low, wish.high), (100_000_000, 10_000_000_000));
        assert_eq!((wish.average, wish.duration, wish.group), (2_000_000, 10_000, 6));
        assert_eq!((wish.payload, wish.spread), (1_000, 1_200_000));
        assert_eq!(args.mistake(), None);
    }

    #[test]
    fn what_is_not_said_is_as_with_the_original() {
        let args = args("-S host").expect("understood");
        assert_eq!((args.duration, args.low, args.high), (600, 10_000_000, 200_000_000));
        assert_eq!((args.average, args.busy, args.smooth), (300_000, 5, 11));
        assert_eq!((args.group, args.port), (1, 8365));
        assert!((args.decrease - 1.5).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_measured_is_said_before_anybody_is_asked() {
        let mistake = |line| args(line).expect("understood").mistake().unwrap_or_default();
        assert!(mistake("-S host -l 300").contains("above the highest"));
        let short = mistake("-S host -t 1 -J 100 -a 0.1");
        assert!(short.contains("raise -a or -t"), "{short}");
        for wrong in ["-S h -s 1", "-S h -d 1", "-S h -p 20", "-S h -J 0", "-S h -4 -6", "-t 5"] {
            assert!(args(wrong).is_err(), "{wrong}");
        }
    }
}
