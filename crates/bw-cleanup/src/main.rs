//! `bw-cleanup`: ends processes that hang.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(bw_cleanup::run)
}
