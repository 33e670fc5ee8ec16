//! `pathload_snd`: sends streams to clients that measure the available bandwidth.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run_daemon(pathload::server::run)
}
