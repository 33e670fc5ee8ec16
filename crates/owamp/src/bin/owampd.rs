//! `owampd`: the server of OWAMP.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run_daemon(owamp::server::run)
}
