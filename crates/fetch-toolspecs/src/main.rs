//! `fetch-toolspecs`: see the library half of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    station::app::run(fetch_toolspecs::run)
}
