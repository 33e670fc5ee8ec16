//! `thrulay`: measures throughput, and the round trip in the stream.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(thrulay::client::run)
}
