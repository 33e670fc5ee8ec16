//! `iepm`: the operator's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(iepm::run)
}
