//! `thrulayd`: the server of thrulay.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run_daemon(thrulay::server::run)
}
