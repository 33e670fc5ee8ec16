//! What every fuzzing target does: bytes are made into what a run left behind, and what comes of it must be
//! a sound reading or a reason.
//!
//! The first byte says how the run ended, the second and third how long standard error is, the least byte first;
//! standard error follows, and the rest is standard output. `scripts/fuzz` writes its seeds, the captures, so.
//! A target for messages takes the octets as they come from the network.

pub use libfuzzer_sys;
use readings::{End, Output};

#[path = "../../crates/pathchirp/tests/common/soundness.rs"]
mod chirps;
#[path = "../../crates/owamp/tests/common/soundness.rs"]
mod messages;
#[path = "../../crates/pathload/tests/common/soundness.rs"]
mod pathload_messages;
#[path = "../../crates/readings/tests/common/soundness.rs"]
mod soundness;
#[path = "../../crates/thrulay/tests/common/soundness.rs"]
mod thrulay_messages;

/// A target for the reader of the named tool.
#[macro_export]
macro_rules! target {
    ($tool:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::check($tool, data));
    };
}

/// A target for messages of OWAMP.
#[macro_export]
macro_rules! message_target {
    ($what:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::check_message($what, data));
    };
}

/// A target for messages of thrulay.
#[macro_export]
macro_rules! thrulay_target {
    ($what:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::check_thrulay($what, data));
    };
}

/// Gives the bytes to the readers of thrulay's messages, and panics if one breaks one of its promises.
pub fn check_thrulay(what: &str, data: &[u8]) {
    thrulay_messages::check(what, data);
}

/// A target for messages of pathchirp.
#[macro_export]
macro_rules! chirp_target {
    ($what:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::check_chirp($what, data));
    };
}

/// Gives the bytes to the readers of these messages of pathchirp, and panics if one breaks one of its promises.
pub fn check_chirp(what: &str, data: &[u8]) {
    chirps::check(what, data);
}

/// Gives the bytes to the readers of these messages, and panics if one breaks one of its promises.
pub fn check_message(what: &str, data: &[u8]) {
    messages::check(what, data);
}

/// Gives the bytes to the readers of pathload's lines and packets, and panics if one breaks one of its promises.
pub fn check_pathload(data: &[u8]) {
    pathload_messages::check(data);
}

/// Gives the bytes to the reader of the tool, and panics if it breaks one of its promises.
pub fn check(tool: &str, data: &[u8]) {
    let [end, low, high, rest @ ..] = data else { return };
    let stderr = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let (stderr, stdout) = rest.split_at(stderr);
    soundness::check(tool, &Output { stdout, stderr, end: how(*end) });
}

/// 0 to 127: exited with this status; then a signal, and 255: hung.
fn how(byte: u8) -> End {
    match byte {
        0..=127 => End::Exited(byte.into()),
        255 => End::TimedOut,
        _ => End::Signalled((byte - 127).into()),
    }
}
