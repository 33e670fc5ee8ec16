//! `owpingd`: carries out the owping runs of SCHEDULE side by side.

use std::process::ExitCode;

use clap::Parser;
use probe_daemons::{Args, Kind};

/// Carries out the owping runs of SCHEDULE side by side, each at its second
#[derive(Debug, Parser)]
#[command(name = "owpingd", version)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn main() -> ExitCode {
    station::app::run_daemon(|command: &Command| {
        probe_daemons::run(Kind { program: "owpingd", tool: "owping" }, &command.args)
    })
}
