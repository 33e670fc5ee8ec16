//! What is granted of a proposal: a plain function of it and the server's limits.

use super::{tcp::PIECE, usage::Amount};
use crate::{
    protocol::{PACKET, RECORD, TcpProposal, UdpProposal},
    statistics::Datagrams,
};

/// What a server takes upon itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Tests at once.
    pub(super) tests: usize,
    /// And of one address, of IPv6 of one /64.
    pub(super) per_address: usize,
    /// Seconds of a test.
    pub(super) duration_s: u32,
    /// Streams of a test.
    pub(super) streams: u16,
    /// Octets of a receive buffer.
    pub(super) window: u32,
    /// Bits a second of all UDP tests together; one address has half of it at the most.
    pub(super) rate: u64,
    /// Octets of all tests together; one address has half of it at the most.
    pub(super) memory: u64,
}

/// Octets that a thread and its socket take, whatever it does.
const A_TEST: u64 = 512 << 10;
/// What a kernel chooses at most, where nothing is said.
const USUAL_WINDOW: u64 = 6 << 20;
/// Headers of IPv6 and UDP; those of IPv4 are shorter.
const HEADERS: usize = 48;

/// A TCP test that can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TcpPlan {
    pub(super) duration_s: u32,
    pub(super) window: u32,
    pub(super) amount: Amount,
}

/// Lets a test over TCP be, with no more than the limits; or says why not.
pub(super) fn judge_tcp(wanted: &TcpProposal, limits: &Limits) -> Result<TcpPlan, String> {
    if wanted.streams > limits.streams {
        let (streams, most) = (wanted.streams, limits.streams);
        return Err(format!("{streams} streams are more than the {most} that are allowed here"));
    }
    let window = wanted.window.min(limits.window);
    // The kernel counts its own books too, and doubles what it is asked for.
    let queue = if window == 0 { USUAL_WINDOW } else { u64::from(window) * 2 };
    let each = queue + records(wanted.block);
    Ok(TcpPlan {
        duration_s: wanted.duration_s.min(limits.duration_s),
        window,
        amount: Amount { rate: 0, memory: A_TEST + each * u64::from(wanted.streams) },
    })
}

/// Octets of records that wait for a client that does not take them.
fn records(block: u32) -> u64 {
    (PIECE as u64).div_ceil(block.max(1).into()) * RECORD as u64
}

/// A UDP test that can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UdpPlan {
    pub(super) buffer: u32,
    pub(super) amount: Amount,
}

/// Lets a test over UDP be as it was proposed, or says why not: at another rate it would be another test.
pub(super) fn judge_udp(wanted: &UdpProposal, limits: &Limits) -> Result<UdpPlan, String> {
    let seconds = wanted.length().div_ceil(1_000_000_000);
    if usize::from(wanted.size) < PACKET + HEADERS {
        let (size, least) = (wanted.size, PACKET + HEADERS);
        return Err(format!("packets of {size} octets are shorter than {least}"));
    }
    if wanted.rate > limits.rate {
        let (rate, most) = (wanted.rate, limits.rate);
        return Err(format!("{rate} bit/s are more than the {most} that are allowed here"));
    }
    if seconds > u64::from(limits.duration_s) {
        let most = limits.duration_s;
        return Err(format!("{seconds} s are more than the {most} s that are allowed here"));
    }
    let buffer = wanted.buffer.min(limits.window);
    // At its end a test needs its delays twice more, in two other orders.
    let memory = A_TEST + u64::from(buffer) * 2 + Datagrams::room(wanted.packets) * 3;
    Ok(UdpPlan { buffer, amount: Amount { rate: wanted.rate, memory } })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        tests: 2,
        per_address: 1,
        duration_s: 100,
        streams: 4,
        window: 1_000_000,
        rate: 10_000_000,
        memory: 1 << 30,
    };

    #[test]
    fn a_tcp_test_gets_what_it_wants_up_to_the_limits() {
        let wanted = TcpProposal { streams: 2, duration_s: 60, block: 65_536, window: 4_194_304 };
        let plan = judge_tcp(&wanted, &LIMITS).expect("granted");
        assert_eq!((plan.duration_s, plan.window), (60, 1_000_000));
        assert_eq!(plan.amount.memory, A_TEST + 2 * (2_000_000 + 4 * 24));
        let plan = judge_tcp(&TcpProposal { duration_s: 101, ..wanted }, &LIMITS);
        assert_eq!(plan.map(|it| it.duration_s), Ok(100));
        assert!(judge_tcp(&TcpProposal { streams: 5, ..wanted }, &LIMITS).is_err());
        let plan = judge_tcp(&TcpProposal { window: 0, ..wanted }, &LIMITS).expect("granted");
        assert!(plan.amount.memory > 2 * USUAL_WINDOW, "what the kernel may take counts");
    }

    #[test]
    fn a_udp_test_is_as_it_was_proposed_or_is_not() {
        let wanted = UdpProposal { packets: 1_666, size: 1_500, rate: 5_000_000, buffer: 1 << 20 };
        let plan = judge_udp(&wanted, &LIMITS).expect("granted");
        assert_eq!((plan.buffer, plan.amount.rate), (1_000_000, 5_000_000));
        for wrong in [
            UdpProposal { rate: 10_000_001, ..wanted },
            UdpProposal { packets: 100_000, ..wanted },
            UdpProposal { size: 79, ..wanted },
        ] {
            assert!(judge_udp(&wrong, &LIMITS).is_err(), "{wrong:?}");
        }
    }
}
