//! `bw-iperf3-server` runs `iperf3 -s -1`, a server for one test, again and again.
//!
//! A server of iperf3 carries out one test at a time, and one whose client has vanished in the midst of
//! a test may wait for it for ever and turn all others away. So each test has a server of its own, and one
//! that has been in its test for too long is ended.
//!
//! - [`pace`]: whether a test takes too long, and how soon the next server comes. Pure.
//! - [`one_off`]: one server, from its start to its end.

mod one_off;
mod pace;

use std::{net::IpAddr, time::Duration};

use clap::Parser;
use station::{
    app::{Common, Exit, Failure},
    text::human_duration,
    words::config::Config,
    world::{
        clock::{Clock, SystemClock},
        lock::{self, Lock},
        orphans,
        signals::Stop,
    },
};

use crate::{
    one_off::{End, OneOff},
    pace::Pace,
};

const NAME: &str = "bw-iperf3-server";

/// Serves the tests of iperf3, each with a server of its own; one that gets stuck is ended
#[derive(Debug, Parser)]
#[command(name = NAME, version)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// The TCP and UDP port
    #[arg(short, long, default_value_t = 5201, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The address to listen on [default: all, IPv4 and IPv6]
    #[arg(short = 'B', long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// The seconds that a test may take; then its server is ended, and a new one comes
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// The program.
///
/// # Errors
/// The configuration is wrong, or the processes of this machine cannot be seen or waited for.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let config = args.common.load()?;
    Common::is_ours(&config)?;
    let stop = Stop::on_signals().map_err(|error| failed("listening to signals").because(error))?;
    let Some(_lock) = alone(args.port, &config)? else { return Ok(Exit::TryLater) };
    let server = Server { args, config: &config, tag: tag(args.port, &config) };
    server.end_what_was_left();
    server.serve(&stop)
}

fn failed(doing: &str) -> Failure {
    Failure::new(Exit::NeedsPerson, doing)
}

/// Nothing if another one serves this port.
fn alone(port: u16, config: &Config) -> Result<Option<Lock>, Failure> {
    let folder = &config.paths.keepalives;
    let lock = lock::try_lock(folder, &format!("{NAME}-{port}"))
        .map_err(|error| failed(&format!("locking in {}", folder.display())).because(error))?;
    if lock.is_none() {
        log::error!("one serves port {port} already");
    }
    Ok(lock)
}

/// By this a server of iperf3 is known to be ours.
fn tag(port: u16, config: &Config) -> String {
    format!("{}:{NAME}:{port}:", config.paths.home.display())
}

struct Server<'a> {
    args: &'a Args,
    config: &'a Config,
    tag: String,
}

impl Server<'_> {
    /// One of us that was killed has left its server on our port.
    fn end_what_was_left(&self) {
        if let Err(error) = orphans::end(NAME, &self.tag, &[]) {
            log::error!("{error}");
        }
    }

    fn serve(&self, stop: &Stop) -> Result<Exit, Failure> {
        let mut pace = Pace::default();
        log::info!("serves port {}", self.args.port);
        while !stop.asked() {
            let began = SystemClock.moment().monotonic;
            let end = self.serve_once(stop)?;
            let rest = pace.ended(began.until(SystemClock.moment().monotonic), &end);
            // What ends together with us is no failure.
            if !stop.asked() {
                tell(&end, &pace);
            }
            stop.wait(rest);
        }
        Ok(Exit::Well)
    }

    fn serve_once(&self, stop: &Stop) -> Result<End, Failure> {
        let limit = Duration::from_secs(self.args.limit.into());
        let started =
            OneOff::start(&self.words(), self.args.port, &self.config.paths.bin, &self.tag);
        match started {
            Ok(one_off) => one_off
                .watch(limit, stop)
                .map_err(|error| failed("waiting for iperf3").because(error)),
            Err(error) => Ok(End::NotStarted(error.to_string())),
        }
    }

    fn words(&self) -> Vec<String> {
        let port = self.args.port.to_string();
        let mut words = ["iperf3", "-s", "-1", "-p", &port].map(str::to_owned).to_vec();
        words.extend(
            self.args.bind.iter().flat_map(|address| ["-B".to_owned(), address.to_string()]),
        );
        words
    }
}

/// What a person may want to know of the end of a one-off server; of a row of failures, some.
fn tell(end: &End, pace: &Pace) {
    let failed = pace.failures() > 0 && pace.is_news();
    match end {
        End::Stuck(length) => log::warn!(
            "a test had not ended after {}: its server was ended, and a new one comes",
            human_duration(*length)
        ),
        End::NotStarted(why) if failed => {
            log::error!("iperf3 cannot be started: {why}; it is tried again, more and more seldom");
        }
        End::Ended(how) if failed => log::error!(
            "iperf3 ended at once ({how}), it has said why; it is started again, more and more seldom; if its port is \
             taken, end who has it, or name another by --port"
        ),
        End::Ended(_) | End::Asked | End::NotStarted(_) => {}
    }
}
