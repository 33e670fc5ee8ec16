//! `pathload_rcv`: measures the available bandwidth from a `pathload_snd` to here.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(pathload::client::run)
}
