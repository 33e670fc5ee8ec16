//! `restart-all-servers`: stops all daemons and servers, rotates logs, prunes, and starts all again.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(all_servers::restart)
}
