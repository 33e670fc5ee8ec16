//! `keep-servers-alive`: starts the servers that do not run or do not answer.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(keep_servers_alive::run)
}
