//! `show-probe-commands`: see the library half of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(show_probe_commands::run)
}
