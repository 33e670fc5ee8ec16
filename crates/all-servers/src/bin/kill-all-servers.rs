//! `kill-all-servers`: stops all daemons and servers of a station, in an order that loses nothing.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(all_servers::kill)
}
