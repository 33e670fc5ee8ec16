//! `stamp-reflector`: answers test packets of STAMP (RFC 8762) and TWAMP-Light (RFC 5357 appendix I).
//!
//! - `judge`: which packets are answered, by `bucket` (how many a second) and `generations` (who is known). Pure.
//! - `serve`: the sockets, and what the log is told.

mod bucket;
mod generations;
mod judge;
mod serve;

use std::net::IpAddr;

use clap::Parser;
use station::{
    app::{Exit, Failure},
    world::signals::Stop,
};

use crate::server::{
    classes::Net,
    privilege::{NOBODY, become_one, is_root, look_up},
};
use judge::Rules;

/// Answers test packets of STAMP (RFC 8762) and TWAMP-Light (RFC 5357 appendix I)
#[derive(Debug, Parser)]
#[command(name = "stamp-reflector", version)]
pub struct Args {
    /// UDP port
    #[arg(short, long, value_name = "PORT", default_value_t = super::PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Our address; may be given several times [default: all addresses of both families]
    #[arg(short = 'S', long, value_name = "ADDRESS")]
    source: Vec<IpAddr>,
    /// Whom to answer, as 192.0.2.0/24; may be given several times [default: loopback, link-local and private nets]
    #[arg(short, long, value_name = "NET")]
    allow: Vec<Net>,
    /// Answers a second to each address, of IPv6 to each /64
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    per_source: u32,
    /// Answers a second to everybody together
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: u32,
    /// Keep no state: answers have the numbers of their packets
    #[arg(long)]
    stateless: bool,
    /// How answers are marked, 0 to 63
    #[arg(short = 'D', long, value_name = "DSCP", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..64))]
    dscp: u8,
    /// Who to be when the port is bound, if we were started by root
    #[arg(short = 'U', long, value_name = "USER", default_value = NOBODY)]
    user: String,
    /// The group to be of [default: that user's]
    #[arg(short = 'G', long, value_name = "GROUP")]
    group: Option<String>,
    /// To stay root is all right
    #[arg(short = 'f', long)]
    root_folly: bool,
    /// Say more
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Whom to answer if nothing is said: those who cannot be somebody out in the world.
const NEAR: [&str; 8] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1",
    "fe80::/10",
    "fc00::/7",
];

/// The program.
///
/// # Errors
/// The port cannot be bound, or root's rights cannot be dropped.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    station::app::say_more(args.verbose);
    let sockets = serve::open(args)?;
    drop_rights(args)?;
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::NeedsPerson, "listening to signals").because(error))?;
    Ok(serve::serve(&sockets, args.rules(), &stop))
}

impl Args {
    fn rules(&self) -> Rules {
        let near = || NEAR.iter().filter_map(|net| net.parse().ok()).collect();
        Rules {
            nets: if self.allow.is_empty() { near() } else { self.allow.clone() },
            per_source: self.per_source,
            all: self.rate,
            stateless: self.stateless,
        }
    }
}

fn drop_rights(args: &Args) -> Result<(), Failure> {
    if !is_root() {
        return Ok(());
    }
    if args.root_folly {
        log::warn!("stays root, as it was told to");
        return Ok(());
    }
    let doing = |exit| Failure::new(exit, format!("becoming the user {}", args.user));
    let identity = look_up(&args.user, args.group.as_deref())
        .map_err(|why| doing(Exit::Config).why(format_args!("{why}; name another by -U")))?;
    if identity.user == 0 {
        let why = "that is root: name another by -U; if root it must be, say -f";
        return Err(doing(Exit::Config).why(why));
    }
    become_one(identity).map_err(|error| doing(Exit::NeedsPerson).because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unless_told_otherwise_only_those_who_are_near_are_answered() {
        let args = Args::try_parse_from(["stamp-reflector"]).expect("understood");
        let nets = args.rules().nets;
        assert_eq!(nets.len(), NEAR.len(), "all are nets");
        let near = |address: &str| nets.iter().any(|net| net.has(address.parse().expect("one")));
        for address in ["127.0.0.1", "::1", "10.9.8.7", "172.31.0.1", "192.168.1.1", "fd00::1"] {
            assert!(near(address), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "2001:db8::1", "100.64.0.1"] {
            assert!(!near(address), "{address}");
        }
    }
}
