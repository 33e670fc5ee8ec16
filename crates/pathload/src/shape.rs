//! The form of a stream: how many packets, how long, how far apart, for a given rate.
//!
//! Rates are of the octets of IP, header and all, as the original counts: 200 octets of UDP's data every 228
//! microseconds are 8 Mbit/s.

use std::time::Duration;

/// The fewest packets that a stream has (K of the paper, SIGCOMM 2002 section 4).
pub const PACKETS: u32 = 100;
/// The longest packet of IP, octets: what any Ethernet carries.
pub const LONGEST: u32 = 1_500;
/// The shortest packet of IP, octets: 200 of data as in the paper, and the headers. Where headers of the links below
/// are a large part of a packet, the rate in octets of IP is not the rate that a link sees.
pub const SHORTEST: u32 = 228;

/// A slow stream is to last so long, and twice as long where so many of the longest packets need it: the others' packets
/// on a slow link are few in a short time, and their number then says little of their rate. The paper has some 10 to
/// 30 ms, with packets of 200 octets at 10 Mbit/s and less. There a link sees another 7 % of Ethernet's headers, and a
/// handful of the others' packets decides over the trend; longer streams of longer packets tell a twentieth of a rate
/// apart.
const SLOW: (f64, f64) = (0.06, 0.12);
const ENOUGH: f64 = 50.0;
/// A fast stream is to last so long at least, by more packets: a hundred packets at 500 Mbit/s are over in 2.4 ms, in
/// which a single pause of the scheduler, or the burst of a token bucket, is all that there is to be seen.
const FAST: Duration = Duration::from_millis(25);

/// What a stream may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The most packets.
    pub packets: u32,
    /// The highest rate, bit/s.
    pub rate: f64,
    /// The longest packet of IP that the path carries whole, octets.
    pub octets: u32,
}

/// A stream: `packets` of `octets` each, one every `gap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Packets.
    pub packets: u32,
    /// Octets of each at IP.
    pub octets: u32,
    /// From one to the next, nanoseconds.
    pub gap: u64,
}

impl Shape {
    /// The stream for a rate, bit/s. The rate is kept within bounds; what comes out is within a hundredth of it.
    #[must_use]
    pub fn of(rate: f64, bounds: &Bounds) -> Self {
        let rate = rate.clamp(1e3, bounds.rate);
        let longest = bounds.octets.clamp(SHORTEST, LONGEST);
        let slow = (ENOUGH * f64::from(LONGEST) * 8.0 / rate).clamp(SLOW.0, SLOW.1);
        // A stream of a hundred packets that lasts as long as a slow one is to.
        let wanted = rate * slow / f64::from(PACKETS) / 8.0;
        let octets = whole(wanted).clamp(SHORTEST.into(), longest.into());
        let octets = u32::try_from(octets).unwrap_or(longest);
        let gap = whole(f64::from(octets) * 8e9 / rate).max(1);
        let packets = whole(FAST.as_secs_f64() * 1e9).div_ceil(gap);
        let packets = u32::try_from(packets).unwrap_or(u32::MAX);
        let packets = packets.clamp(PACKETS, bounds.packets.max(PACKETS));
        Self { packets, octets, gap }
    }

    /// A train: packets as close together as the bounds allow.
    #[must_use]
    pub fn train(packets: u32, bounds: &Bounds) -> Self {
        Self { packets, ..Self::of(bounds.rate, bounds) }
    }

    /// Its rate, bit/s.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "gaps are below 2^52 ns")]
    pub fn rate(&self) -> f64 {
        f64::from(self.octets) * 8e9 / self.gap as f64
    }

    /// From its first packet to one gap after its last.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_nanos(self.gap.saturating_mul(self.packets.into()))
    }

    /// How long nothing is sent after it: five times its length, so that the average is a sixth of its rate, and long
    /// enough for a queue to empty. The paper has nine times; with that, a slow path takes minutes.
    #[must_use]
    pub fn pause(&self) -> Duration {
        (self.length() * 5).max(Duration::from_millis(20))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
pub(crate) fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { packets: 2_000, rate: 1e9, octets: 1_500 };

    #[test]
    fn slow_streams_are_of_a_hundred_packets_and_fast_ones_of_more() {
        let of = |rate| Shape::of(rate, &BOUNDS);
        assert_eq!(of(8e6), Shape { packets: 100, octets: 750, gap: 750_000 });
        assert_eq!(of(4e6), Shape { packets: 100, octets: 600, gap: 1_200_000 });
        assert_eq!(of(30e6), Shape { packets: 100, octets: 1_500, gap: 400_000 });
        assert_eq!(of(480e6), Shape { packets: 1_000, octets: 1_500, gap: 25_000 });
        assert_eq!(of(1e6).octets, SHORTEST, "slower ones take longer");
    }

    #[test]
    fn a_fleet_is_a_sixth_of_its_rate() {
        let shape = Shape::of(50e6, &BOUNDS);
        assert_eq!(shape.pause(), shape.length() * 5);
    }

    proptest! {
        #[test]
        fn a_shape_has_the_rate_that_was_asked_for(rate in 5e4_f64..1e9, most in 100_u32..3_000) {
            let bounds = Bounds { packets: most, ..BOUNDS };
            let shape = Shape::of(rate, &bounds);
            prop_assert!((shape.rate() / rate - 1.0).abs() < 0.01, "{shape:?}");
            prop_assert!((PACKETS..=most).contains(&shape.packets));
            prop_assert!((SHORTEST..=LONGEST).contains(&shape.octets));
        }
    }
}
