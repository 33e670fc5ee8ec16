//! What a server lets be asked of it. Pure.

use std::time::Duration;

use crate::{
    protocol::{
        message::{Reason, Wish},
        pause::LONGEST_CHIRP,
    },
    shape::Shape,
};

/// The server's own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The highest rate of a chirp, bit/s.
    pub(crate) high: u64,
    /// The average of a session, bit/s.
    pub(crate) average: u64,
    /// That of all sessions together, bit/s.
    pub(crate) total: u64,
    /// How long a session may be.
    pub(crate) duration: Duration,
    /// Packets of a chirp.
    pub(crate) packets: usize,
    /// Octets of UDP's data in a packet.
    pub(crate) payload: u16,
    /// Sessions at once.
    pub(crate) sessions: usize,
    /// Sessions at once of an address (of IPv6: of a /64).
    pub(crate) per_address: usize,
}

/// Fewer groups are no chirp.
const LEAST_GROUPS: usize = 8;

impl Limits {
    /// What is made of a wish, for packets whose headers have so many octets.
    ///
    /// # Errors
    /// Why it cannot be granted, and the limit.
    pub(crate) fn grant(&self, wish: Wish, headers: u32) -> Result<Wish, (Reason, u64)> {
        if wish.payload > self.payload {
            return Err((Reason::Octets, self.payload.into()));
        }
        if usize::from(wish.group) * LEAST_GROUPS > self.packets {
            return Err((Reason::Packets, self.packets as u64));
        }
        let longest = u32::try_from(self.duration.as_millis()).unwrap_or(u32::MAX);
        let (high, slowest) = (wish.high.min(self.high), slowest(&wish, headers));
        if high < slowest {
            return Err((Reason::Slow, slowest));
        }
        Ok(Wish {
            low: wish.low.min(high),
            high,
            average: wish.average.min(self.average).min(self.total),
            duration: wish.duration.min(longest),
            ..wish
        })
    }

    /// The chirp that is sent if one between `low` and `high` is wanted: never higher than was granted, and so that it
    /// is neither too long nor of too many packets, by rates that are higher. With them, bit/s.
    pub(crate) fn shape(
        &self,
        granted: &Wish,
        (low, high): (u64, u64),
        headers: u32,
    ) -> (Shape, (u64, u64)) {
        let slowest = slowest(granted, headers);
        let high = high.max(slowest).min(granted.high);
        let mut low = low.max(slowest).min(high);
        loop {
            let shape = granted.shape(low, high, headers);
            let is_good = shape.length() <= LONGEST_CHIRP && shape.packets() <= self.packets;
            // Two groups at the highest rate always are.
            if is_good || low >= high {
                return (shape, (low, high));
            }
            low = (low + low / 4 + 1).min(high);
        }
    }
}

/// The lowest rate at which a chirp's first gap alone is not too long already, bit/s.
fn slowest(wish: &Wish, headers: u32) -> u64 {
    let octets = u64::from(wish.payload) + u64::from(headers);
    (octets * u64::from(wish.group) * 8 * 1_000_000_000).div_ceil(LONGEST_CHIRP)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::server) const LIMITS: Limits = Limits {
        high: 1_000_000_000,
        average: 5_000_000,
        total: 10_000_000,
        duration: Duration::from_secs(60),
        packets: 500,
        payload: 1_472,
        sessions: 3,
        per_address: 2,
    };

    pub(in crate::server) const WISH: Wish = Wish {
        low: 10_000_000,
        high: 200_000_000,
        average: 300_000,
        spread: 1_200_000,
        duration: 10_000,
        payload: 1_000,
        group: 1,
    };

    #[test]
    fn what_is_within_the_limits_is_granted_as_it_is_and_what_is_not_is_cut_to_them() {
        assert_eq!(LIMITS.grant(WISH, 28), Ok(WISH));
        let much = Wish {
            low: 2_000_000_000,
            high: 10_000_000_000,
            average: 9_000_000,
            duration: 600_000,
            ..WISH
        };
        let granted = LIMITS.grant(much, 28).expect("granted");
        assert_eq!((granted.low, granted.high), (1_000_000_000, 1_000_000_000));
        assert_eq!((granted.average, granted.duration), (5_000_000, 60_000));
    }

    #[test]
    fn longer_packets_and_larger_groups_than_the_server_sends_are_refused_with_the_limit() {
        let grant = |wish| LIMITS.grant(wish, 28).map_err(|it| it.1);
        assert_eq!(grant(Wish { payload: 1_473, ..WISH }), Err(1_472));
        assert_eq!(grant(Wish { group: 100, ..WISH }), Err(500));
    }

    #[test]
    fn a_chirp_that_would_be_too_long_at_its_highest_rate_is_refused_with_the_least_that_it_needs()
    {
        let wish = |high| Wish { low: 1_000, high, payload: 1_472, group: 50, ..WISH };
        assert_eq!(LIMITS.grant(wish(1_000), 28), Err((Reason::Slow, 600_000)));
        assert_eq!(LIMITS.grant(wish(599_999), 28), Err((Reason::Slow, 600_000)));
        assert_eq!(LIMITS.grant(wish(600_000), 28), Ok(wish(600_000)));
        let slow = Limits { high: 500_000, ..LIMITS };
        assert_eq!(slow.grant(wish(1_000_000), 28), Err((Reason::Slow, 600_000)));
        // Nor is one that is wanted later.
        let (shape, range) = LIMITS.shape(&wish(1_000_000), (1_000, 1_000), 28);
        assert_eq!((shape.length(), range), (1_000_000_000, (600_000, 600_000)));
    }

    proptest! {
        #[test]
        fn no_chirp_is_longer_or_larger_or_faster_than_the_limits(
            low in prop_oneof![1_000..1_000_000_u64, 1_000..1_000_000_000_000_u64],
            times in prop_oneof![Just(1), 1..100_000_u64], most in 1_000_000..1_000_000_000_u64,
            spread in 1_010_000..8_000_000_u32, group in 1..60_u16, payload in 74..1_472_u16,
        ) {
            let wish = Wish { low: 1_000, high: most, spread, payload, group, ..WISH };
            let granted = LIMITS.grant(wish, 28).expect("granted");
            let high = low.saturating_mul(times);
            let (shape, (low, high)) = LIMITS.shape(&granted, (low, high), 28);
            prop_assert!(shape.packets() <= LIMITS.packets);
            prop_assert!(low <= high && high <= granted.high);
            prop_assert!(shape.length() <= LONGEST_CHIRP);
        }
    }
}
