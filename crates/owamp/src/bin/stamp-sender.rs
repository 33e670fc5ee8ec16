//! `stamp-sender`: round-trip and one-way delay to a reflector of STAMP or TWAMP-Light.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(owamp::stamp::sender::run)
}
