//! `pathchirp_snd`: sends chirps to clients that measure the available bandwidth.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run_daemon(pathchirp::server::run)
}
