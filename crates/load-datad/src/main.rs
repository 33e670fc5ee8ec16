//! `load-datad`: has the results of all probe types loaded, in turn.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run_daemon(load_datad::run)
}
