//! What a stream shows: delays that grow, delays that do not, or nothing that can be believed.
//!
//! The tests and their thresholds are those of the tool (PAM 2002 section 2.3): the delays are divided into groups, and of
//! the groups' medians PCT is the share of pairs that grow, PDT how much of all their ups and downs is one way up. Beyond
//! that a rise counts only if it is more than what the machines at both ends do to delays by themselves.

use timed_udp::train::Gaps;

/// A packet of a stream that came, times in nanoseconds after the stream's start, each by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Its number in the stream.
    pub number: u32,
    /// When it left.
    pub left: u64,
    /// When it came.
    pub came: u64,
}

/// What a stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trend {
    /// Delays grow: the stream is faster than what is left.
    Increasing,
    /// They do not.
    Level,
    /// The two tests do not agree.
    Ambiguous,
    /// It is not to be believed.
    Void(Flaw),
}

/// Why a stream is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The sender did not keep its gaps.
    LateSender,
    /// Packets came in bunches that the network did not make (interrupt coalescence).
    Coalesced,
    /// Our own receive queue had no room.
    OwnDrops,
}

/// Above this PCT is increasing, below the next it is not.
const PCT: (f64, f64) = (0.66, 0.54);
/// And PDT.
const PDT: (f64, f64) = (0.55, 0.45);
/// Groups of a stream, as the paper has them for its streams of a hundred packets.
const MOST_GROUPS: usize = 10;
/// A stream of which more is lost is faster than the path, whatever the delays of the rest are (the paper, section 4).
const MOST_LOST: f64 = 0.1;
/// A rise below this can be any machine's, nanoseconds: a virtual one's interrupts and its scheduler.
const NOISE: f64 = 60_000.0;
/// A sender may be late by this part of the stream's length, or by the time, nanoseconds: it then sent at another rate
/// for so long.
const LATE: (u64, u64) = (12, 400_000);
/// More than this part of the gaps closed, and so many in a row: bunches.
const CLOSED: (f64, usize) = (0.5, 3);

/// What the sender tells of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    /// How many packets were to be sent.
    pub packets: u32,
    /// From the first to after the last, nanoseconds.
    pub length: u64,
    /// How late the latest packet was, nanoseconds.
    pub late: u64,
    /// Packets that did not leave its machine.
    pub unsent: u32,
}

/// Judges a stream. `packets` are those that came, in the order of their numbers, without copies; `dropped` of them our
/// own queue had no room for.
#[must_use]
pub fn judge(sending: &Sending, packets: &[Packet], dropped: u32) -> Trend {
    if dropped > 0 {
        return Trend::Void(Flaw::OwnDrops);
    }
    if sending.unsent > 0 || sending.late > (sending.length / LATE.0).max(LATE.1) {
        return Trend::Void(Flaw::LateSender);
    }
    let came = u32::try_from(packets.len()).unwrap_or(u32::MAX);
    let lost = 1.0 - f64::from(came) / f64::from(sending.packets.max(1));
    if lost > MOST_LOST {
        return Trend::Increasing;
    }
    let times: Vec<_> = packets.iter().map(|packet| (packet.left, packet.came)).collect();
    let gaps = Gaps::of(&times);
    if gaps.closed_part() > CLOSED.0 && gaps.run >= CLOSED.1 {
        return Trend::Void(Flaw::Coalesced);
    }
    of_delays(&delays(packets))
}

/// Relative one-way delays, nanoseconds: the clocks' offset is in all of them alike.
#[expect(clippy::cast_precision_loss, reason = "delays of a stream are far below 2^52 ns apart")]
fn delays(packets: &[Packet]) -> Vec<f64> {
    let delay = |packet: &Packet| packet.came.wrapping_sub(packet.left).cast_signed();
    let first = packets.first().map_or(0, delay);
    packets.iter().map(|packet| delay(packet).wrapping_sub(first) as f64).collect()
}

/// How much the delay grows in a second, in seconds: the line of least squares through the delays.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a stream is far below 2^52 ns long")]
pub fn growth(packets: &[Packet]) -> f64 {
    let count = packets.len() as f64;
    let left: Vec<f64> = packets.iter().map(|packet| packet.left as f64).collect();
    let delays = delays(packets);
    let (x, y) = (left.iter().sum::<f64>() / count, delays.iter().sum::<f64>() / count);
    let sxy: f64 = left.iter().zip(&delays).map(|(at, delay)| (at - x) * (delay - y)).sum();
    let sxx: f64 = left.iter().map(|at| (at - x).powi(2)).sum();
    if sxx > 0.0 { sxy / sxx } else { 0.0 }
}

fn of_delays(delays: &[f64]) -> Trend {
    let medians = group_medians(delays);
    let Some((pct, pdt, rise)) = figures(&medians) else { return Trend::Level };
    if rise < NOISE {
        return Trend::Level;
    }
    match (verdict(pct, PCT), verdict(pdt, PDT)) {
        (Some(true), Some(true) | None) | (None, Some(true)) => Trend::Increasing,
        (Some(false), Some(false) | None) | (None, Some(false)) => Trend::Level,
        _ => Trend::Ambiguous,
    }
}

/// Whether it is increasing; none if that cannot be told.
fn verdict(figure: f64, (above, below): (f64, f64)) -> Option<bool> {
    if figure > above {
        Some(true)
    } else if figure < below {
        Some(false)
    } else {
        None
    }
}

/// The medians of as many groups as each has members, at most ten. In a longer stream more groups would be shorter than
/// what others' packets do to the queue by chance: those ups and downs hide a slow rise.
fn group_medians(delays: &[f64]) -> Vec<f64> {
    let size = delays.len().isqrt().max(delays.len().div_ceil(MOST_GROUPS)).max(1);
    delays.chunks_exact(size).map(median).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// PCT, PDT, and how much the delays grew from the first third to the last, nanoseconds.
fn figures(medians: &[f64]) -> Option<(f64, f64, f64)> {
    let count = medians.len().checked_sub(1).filter(|pairs| *pairs > 0)?;
    let steps = || medians.windows(2).map(|pair| pair[1] - pair[0]);
    let ups = u32::try_from(steps().filter(|step| *step > 0.0).count()).ok()?;
    let travelled: f64 = steps().map(f64::abs).sum();
    let net = medians[count] - medians[0];
    let pct = f64::from(ups) / f64::from(u32::try_from(count).ok()?);
    let pdt = if travelled > 0.0 { net / travelled } else { 0.0 };
    let third = (medians.len() / 3).max(1);
    let rise = median(&medians[medians.len() - third..]) - median(&medians[..third]);
    Some((pct, pdt, rise))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SENDING: Sending = Sending { packets: 100, length: 50_000_000, late: 20_000, unsent: 0 };

    fn stream(delay: impl Fn(u64) -> u64) -> Vec<Packet> {
        let packet = |number: u32| {
            let left = u64::from(number) * 500_000;
            Packet { number, left, came: left + delay(u64::from(number)) }
        };
        (0..100).map(packet).collect()
    }

    #[test]
    fn delays_that_grow_are_told_from_those_that_only_vary() {
        let grows = stream(|number| 1_000_000 + number * 20_000);
        assert_eq!(judge(&SENDING, &grows, 0), Trend::Increasing);
        let varies = stream(|number| 1_000_000 + number * 7_919 % 13 * 30_000);
        assert_eq!(judge(&SENDING, &varies, 0), Trend::Level);
        let bump = stream(|number| if (30..40).contains(&number) { 3_000_000 } else { 1_000_000 });
        assert_eq!(judge(&SENDING, &bump, 0), Trend::Level);
        let slight = stream(|number| 1_000_000 + number * 200);
        assert_eq!(judge(&SENDING, &slight, 0), Trend::Level, "20 us are any machine's");
    }

    #[test]
    fn a_stream_that_is_lost_is_too_fast_and_one_that_our_queue_lost_says_nothing() {
        let mut half = stream(|_| 1_000_000);
        half.retain(|packet| packet.number % 2 == 0);
        assert_eq!(judge(&SENDING, &half, 0), Trend::Increasing);
        assert_eq!(judge(&SENDING, &half, 3), Trend::Void(Flaw::OwnDrops));
        assert_eq!(judge(&SENDING, &[], 0), Trend::Increasing);
    }

    #[test]
    fn a_stream_whose_sender_paused_is_void() {
        let level = stream(|_| 1_000_000);
        let paused = Sending { late: 5_000_000, ..SENDING };
        assert_eq!(judge(&paused, &level, 0), Trend::Void(Flaw::LateSender));
        let unsent = Sending { unsent: 1, ..SENDING };
        assert_eq!(judge(&unsent, &level, 0), Trend::Void(Flaw::LateSender));
    }

    #[test]
    fn packets_that_a_card_collects_say_nothing() {
        // Each interrupt brings eight.
        let collected = stream(|number| (8 - number % 8) * 500_000);
        assert_eq!(judge(&SENDING, &collected, 0), Trend::Void(Flaw::Coalesced));
    }

    proptest! {
        #[test]
        fn no_clock_offset_and_no_stream_is_too_odd_for_a_judgement(
            offset in any::<u64>(),
            times in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..300),
        ) {
            let grows = stream(|number| 1_000_000 + number * 20_000);
            let moved: Vec<_> = grows.iter().map(|it| Packet { came: it.came.wrapping_add(offset), ..*it }).collect();
            prop_assume!(moved[0].came < moved[99].came);
            prop_assert_eq!(judge(&SENDING, &moved, 0), Trend::Increasing);
            let odd: Vec<_> = times.iter().map(|&(left, came)| Packet { number: 0, left, came }).collect();
            let _ = judge(&SENDING, &odd, 0);
        }
    }
}
