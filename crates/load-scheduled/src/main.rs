//! `load-scheduled`: schedules the runs of the specifications that are due.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run_daemon(load_scheduled::run)
}
