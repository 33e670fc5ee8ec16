//! `pathchirp_rcv`: measures the available bandwidth from a `pathchirp_snd` to here.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(pathchirp::client::run)
}
