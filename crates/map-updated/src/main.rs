//! `map-updated`: keeps a station's web page up to date.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run_daemon(map_updated::run)
}
