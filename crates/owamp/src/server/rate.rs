//! How fast the packets of a session go: on average, and in its bursts. Pure.

use std::time::Duration;

use super::judge::Refused;
use crate::{
    protocol::{Accept, Mode, PacketKey, RequestSession, Slot},
    session::MOST_PADDING,
};

/// Headers of IP and UDP.
const HEADERS: [u64; 2] = [28, 48];
/// Octets that may leave at once, however slow the session is. The longest packet is shorter.
const A_BURST: u64 = 64 << 10;
/// And so much of what the session sends on average.
const A_BURST_OF: Duration = Duration::from_millis(100);
/// What is later than this is not sent, however slow the session is.
const LATEST: Duration = Duration::from_secs(2);

/// The packets of a session, with their headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// Bits a second, on average.
    average: u64,
    /// Octets of its greatest burst: what goes beyond the average, at least one packet.
    burst: u64,
}

impl Rate {
    /// That of the schedule that is asked for.
    ///
    /// # Errors
    /// It has no time between packets, or packets that cannot be.
    pub(super) fn of(request: &RequestSession, mode: Mode) -> Result<Self, Refused> {
        if request.padding as usize > MOST_PADDING {
            let why = format!("{} octets of padding do not fit a packet", request.padding);
            return Err(Refused::new(Accept::PermanentLimit, why));
        }
        let headers = HEADERS[usize::from(request.receiver.is_ipv6())];
        let packet = PacketKey::shortest(mode) as u64 + u64::from(request.padding) + headers;
        let packets = request.slots.len() as u64;
        let units: u128 = request.slots.iter().map(|slot| u128::from(slot.mean())).sum();
        let bits = u128::from(packet * 8 * packets) << 32;
        let average = bits.checked_div(units).and_then(|rate| u64::try_from(rate).ok());
        let average = average.ok_or_else(|| {
            Refused::new(Accept::PermanentLimit, "a schedule without any time between packets")
        })?;
        Ok(Self { average, burst: burst(&request.slots, packet, units) })
    }

    /// Bits a second that it uses. Where we send, a burst counts as if it took a second: sessions may follow one
    /// another quickly, each with a burst.
    pub(super) fn bandwidth(&self, is_sent: bool) -> u64 {
        if is_sent { self.average.max(self.burst * 8) } else { self.average }
    }

    /// Whether its bursts are no more than a line's queue takes.
    pub(super) fn is_steady(&self) -> Result<(), Refused> {
        let most = A_BURST.max(self.average / 8 * millis(A_BURST_OF) / 1_000);
        if self.burst <= most {
            return Ok(());
        }
        let why = format!("a schedule with bursts of {} octets, where {most} may be", self.burst);
        Err(Refused::new(Accept::PermanentLimit, why))
    }

    /// What is later than this is not sent any more: nothing is caught up with that would be a burst.
    pub(super) fn too_late(&self) -> Duration {
        let length = (A_BURST * 8 * 1_000).checked_div(self.average).map(Duration::from_millis);
        length.unwrap_or(LATEST).max(A_BURST_OF).min(LATEST)
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// Octets that wait at most in a queue which drains at the average, when the slots are gone through twice.
fn burst(slots: &[Slot], packet: u64, units: u128) -> u64 {
    // In octets times `units`, so that nothing is rounded. A million slots of 2^64 would fit.
    let (whole, all) = (u128::from(packet) * units, u128::from(packet * slots.len() as u64));
    let (mut waits, mut most) = (0_u128, 0);
    for slot in slots.iter().chain(slots) {
        waits = waits.saturating_sub(u128::from(slot.mean()) * all) + whole;
        most = most.max(waits);
    }
    most.checked_div(units).and_then(|octets| u64::try_from(octets).ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::Sid, session::units_of};

    fn rate(padding: u32, slots: Vec<Slot>) -> Rate {
        let request = RequestSession {
            server_sends: true,
            server_receives: false,
            packets: 10,
            sender: "0.0.0.0:0".parse().expect("a place"),
            receiver: "192.0.2.7:9000".parse().expect("a place"),
            sid: Sid::default(),
            padding,
            start: timed_udp::clock::wall(),
            timeout: 0,
            type_p: 0,
            slots,
        };
        Rate::of(&request, Mode::Open).expect("it has time")
    }

    fn every(micros: u64) -> Slot {
        Slot::Fixed { offset: units_of(Duration::from_micros(micros)) + 1 }
    }

    #[test]
    fn a_steady_stream_has_no_burst_but_its_packets() {
        for (padding, slot) in
            [(58, every(100_000)), (1_358, every(500)), (65_000, every(u32::MAX.into()))]
        {
            let rate = rate(padding, vec![slot]);
            assert_eq!(rate.burst, u64::from(padding) + 42);
            assert!(rate.is_steady().is_ok());
        }
        let poisson = rate(58, vec![Slot::Exponential { mean: u64::MAX }; 1_000]);
        assert_eq!((poisson.burst, poisson.average), (100, 0));
        let pairs = rate(58, [every(0), every(200_000)].repeat(500));
        assert!(pairs.is_steady().is_ok());
        assert_eq!(pairs.burst, 199, "two packets, less what a unit of time drains");
    }

    #[test]
    fn packets_without_time_between_them_are_a_burst_wherever_the_time_is() {
        let mut slots = vec![every(0); 999];
        slots.push(every(300_000_000));
        for _ in 0..2 {
            let rate = rate(6_558, slots.clone());
            assert!((6_500_000..6_600_000).contains(&rate.burst), "{}", rate.burst);
            assert!(rate.is_steady().is_err());
            slots.rotate_left(500);
        }
        let small = rate(0, slots);
        assert!(small.is_steady().is_ok(), "42 kB");
        assert_eq!(small.bandwidth(true), small.burst * 8);
        assert!(small.bandwidth(false) < 2_000);
    }

    #[test]
    fn what_is_late_is_given_up_the_sooner_the_faster_it_goes() {
        let late = |padding, micros| rate(padding, vec![every(micros)]).too_late().as_millis();
        assert_eq!(late(58, 100_000), 2_000);
        assert_eq!(late(1_358, 10_000), 468);
        assert_eq!(late(1_358, 500), 100);
    }
}
