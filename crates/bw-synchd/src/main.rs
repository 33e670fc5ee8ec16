//! `bw-synchd`: carries out the runs of SCHEDULE that must be alone, strictly one at a time.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run_daemon(bw_synchd::run)
}
