//! From one chirp of a session to the next: how long a sender makes it at the most, and so how long a client waits.

use std::time::Duration;

use crate::shape::Shape;

/// A chirp is never longer, nanoseconds: others wait for it.
pub const LONGEST_CHIRP: u64 = 1_000_000_000;
/// By how much pauses grow at the most where sessions share what the sender may send.
pub const MOST_STRETCH: u32 = 4;
/// From a chirp to the next, so many times its length have to pass at the most: the sender's time is everybody's.
pub const MOST_PARTS: u32 = 32;

/// What a client waits for a chirp of this shape before it takes the sender for dead, beyond what any answer may take.
/// `average` is what it was granted, bit/s.
#[must_use]
pub fn longest(shape: &Shape, average: f64) -> Duration {
    let pause = Duration::try_from_secs_f64(shape.bits() / average).unwrap_or(Duration::MAX);
    let length = Duration::from_nanos(shape.length().min(LONGEST_CHIRP));
    // Its own part and, when it is due, that of those who are due before.
    let others = length * (2 * MOST_PARTS);
    pause.saturating_mul(MOST_STRETCH).saturating_add(others)
}
