//! `bench`: speed and size of the suite, each figure against its yardstick from the same run.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(bench::run)
}
