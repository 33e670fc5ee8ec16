//! `load-test-data`: loads result files into the tables, each exactly once.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(load_test_data::run)
}
