//! `bw-iperf3-server`: an iperf3 server that does not get stuck.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run_daemon(bw_iperf3_server::run)
}
