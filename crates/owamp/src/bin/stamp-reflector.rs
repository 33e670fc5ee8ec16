//! `stamp-reflector`: answers STAMP and TWAMP-Light test packets.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run_daemon(owamp::stamp::reflector::run)
}
