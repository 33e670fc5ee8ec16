//! The stage of the stories: a station with the real programs, and a network of its own.
//!
//! Everything that a story starts is ended when its values are dropped, by pid, in whatever way the
//! story ends. Nothing waits for a time: [`until`] waits for a condition.

// Tests fail by panicking, with the place of the failed expectation.
#![allow(clippy::missing_panics_doc, clippy::must_use_candidate)]

pub mod bed;
pub mod bottleneck;
pub mod cluster;
pub mod cutter;
pub mod disk;
pub mod lab;
pub mod look;
pub mod mischief;
pub mod owamp;
pub mod program;
pub mod server;
pub mod station;
pub mod watched;
pub mod wire;
pub mod witness;

use std::time::Duration;

pub use bed::{Bed, Reading};
pub use cluster::Cluster;
pub use cutter::{Cut, Cutter};
pub use disk::SmallDisk;
pub use lab::{Host, Lab};
pub use look::Look;
pub use program::Program;
pub use server::Server;
pub use station::{Engine, Station};
pub use watched::{DAEMONS, Watched};
pub use wire::{Line, Wire};
pub use witness::{Seen, Witness};

/// The longest that a condition may take on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something; panics with `what` when it does not.
#[track_caller]
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, condition)
}

/// As [`until`], with a patience of its own.
#[track_caller]
pub fn until_within<T>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = monotonic() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(monotonic() < deadline, "after {}s still not: {what}", patience.as_secs());
        pause(Duration::from_millis(20));
    }
}

/// Time since the machine was started.
pub fn monotonic() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Does nothing for a while.
#[expect(clippy::disallowed_methods, reason = "stories wait for real programs")]
pub fn pause(length: Duration) {
    std::thread::sleep(length);
}
