//! `pathload_rcv`: measures the available bandwidth from a `pathload_snd` to here.
//!
//! - `agree`: finds the server, waits for our turn, knocks. `measure`: streams, fleets, the search.
//! - `report`: what is printed. Pure. `trouble`: why there are no figures.

mod agree;
mod measure;
mod report;
mod trouble;

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Parser;
use station::{
    app::{self, Exit, Failure},
    world::signals::Stop,
};

use self::{measure::Measured, report::Run, trouble::Trouble};
use crate::{CONTROL_PORT, search::Outcome};

/// Measures the available bandwidth of the path from a server (pathload_snd) to here
#[derive(Debug, Clone, Parser)]
#[command(name = "pathload_rcv", version, disable_help_flag = true)]
#[expect(
    clippy::doc_markdown,
    clippy::struct_excessive_bools,
    reason = "these comments are the help texts; each is a switch of the command line"
)]
pub struct Args {
    /// The server
    #[arg(short = 's', long = "sender", value_name = "HOST")]
    sender: String,
    /// Print the result only
    #[arg(short, long)]
    quiet: bool,
    /// Print what each stream showed
    #[arg(short, long)]
    verbose: bool,
    /// Add the result to this file, too
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Add a line in the form of NetLogger to this file
    #[arg(short = 'N', long, value_name = "FILE")]
    netlogger: Option<PathBuf>,
    /// How wide the range may be, Mbit/s, if that is more than a tenth of its middle [default: a tenth]
    #[arg(short = 'w', long, value_name = "MBITS", value_parser = mbits)]
    resolution: Option<f64>,
    /// How long it may take, s: then what is known by then is the result
    #[arg(short, long, value_name = "SECONDS", default_value_t = 150, value_parser = clap::value_parser!(u32).range(5..=3_600))]
    timeout: u32,
    /// The server's TCP port
    #[arg(short, long, value_name = "PORT", default_value_t = CONTROL_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    ipv6: bool,
    /// Print one JSON object with all figures
    #[arg(long)]
    json: bool,
    /// Print this help
    #[arg(short, long, short_alias = 'H', action = clap::ArgAction::Help)]
    help: Option<bool>,
}

fn mbits(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|it| (0.001..=100_000.0).contains(it));
    number
        .map(|it: f64| it * 1e6)
        .ok_or_else(|| format!("\"{text}\" is not between 0.001 and 100000 Mbit/s"))
}

/// The program. The exit status is 0 if something is known of the available bandwidth.
///
/// # Errors
/// Why nothing is.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let stop = Stop::on_signals()
        .map_err(|error| Failure::new(Exit::NeedsPerson, "listening to signals").because(error))?;
    let mut run = Run::begin(&args.sender);
    let trouble = match measure::measure(args, &stop, &mut run) {
        Ok(Measured { outcome: Outcome::Nothing(Some(flaw)), .. }) => Some(Trouble::Flawed(flaw)),
        Ok(Measured { outcome: Outcome::Nothing(None), .. }) => Some(Trouble::Hasty),
        Ok(_) => None,
        Err(trouble) => Some(trouble),
    };
    run.problem = trouble.as_ref().map(ToString::to_string);
    let text = if args.json { report::json(&run) } else { report::result(&run) };
    app::print(&text)?;
    keep(args, &run)?;
    match trouble {
        None => Ok(Exit::Well),
        Some(trouble) => Err(Failure::new(trouble.exit(), trouble.to_string())),
    }
}

/// Adds the result to the files that were named.
fn keep(args: &Args, run: &Run) -> Result<(), Failure> {
    let add = |path: &Path, text: &str| {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| {
            Failure::new(Exit::NeedsPerson, format!("adding the result to {}", path.display()))
                .because(error)
        })
    };
    if let Some(path) = &args.output {
        add(path, &format!("{}{}", report::begin(run), report::result(run)))?;
    }
    if let Some(path) = &args.netlogger {
        add(path, &report::netlogger(run))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_references_command_lines_are_understood() {
        for line in [
            "-s 192.0.2.2",
            "-t 30 -s host",
            "-v -s ::1 -o run.log -N netlogger.log",
            "-q -w 1.5 -s h -6",
        ] {
            let line = format!("pathload_rcv {line}");
            assert!(Args::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for wrong in ["", "-s h -w 0", "-s h -w x", "-s h -4 -6", "-s h -t 1", "-s h -p 0"] {
            let line = format!("pathload_rcv {wrong}");
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
