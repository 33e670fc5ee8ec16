//! `keep-em-alive`: restarts the daemons of a station that ended or hang.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(keep_em_alive::run)
}
