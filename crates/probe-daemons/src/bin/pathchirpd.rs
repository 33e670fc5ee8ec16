//! `pathchirpd`: carries out the pathchirp runs of SCHEDULE side by side.

use std::process::ExitCode;

use clap::Parser;
use probe_daemons::{Args, Kind};

/// Carries out the pathchirp runs of SCHEDULE side by side, each at its second
#[derive(Debug, Parser)]
#[command(name = "pathchirpd", version)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn main() -> ExitCode {
    station::app::run_daemon(|command: &Command| {
        probe_daemons::run(Kind { program: "pathchirpd", tool: "pathchirp" }, &command.args)
    })
}
