//! `owping`: one-way delay, loss and reordering to a host with an `owampd`, and back.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(owamp::client::run)
}
