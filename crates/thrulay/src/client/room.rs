//! How much of a stream may wait in this machine's own queue: what waits there is no round trip of the network, and what
//! is missing there is throughput that the network would have had room for.

/// So long the network is to have work while this thread sleeps, nanoseconds. A machine that is busy wakes it some
/// milliseconds late.
const LENGTH: u128 = 4_000_000;
/// Octets: below, it is two segments; above, no machine gains anything.
const LEAST: u32 = 4 << 10;
const MOST: u32 = 8 << 20;
/// Octets while nothing is known of the rate.
const FIRST: u32 = 256 << 10;

/// What may wait unsent, octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room(pub(super) u32);

impl Room {
    pub(super) const fn new() -> Self {
        Self(FIRST)
    }

    /// In so many nanoseconds the other end got so many octets. Says whether there is to be another room.
    pub(super) fn tune(&mut self, received: u64, nanos: u64) -> bool {
        let octets = u128::from(received) * LENGTH / u128::from(nanos.max(1));
        let octets = u32::try_from(octets).unwrap_or(MOST).clamp(LEAST, MOST);
        let is_other = octets.abs_diff(self.0) > self.0 / 8;
        if is_other {
            self.0 = octets;
        }
        is_other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_follows_the_rate_within_its_bounds() {
        const TURN: u64 = 50_000_000;
        let mut room = Room::new();
        assert!(room.tune(625_000, TURN));
        assert_eq!(room, Room(50_000), "four milliseconds of 100 Mbit/s");
        assert!(!room.tune(600_000, TURN), "about the same");
        assert!(room.tune(0, TURN));
        assert_eq!(room, Room(LEAST));
        assert!(room.tune(u64::MAX, 1));
        assert_eq!(room, Room(MOST));
    }
}
