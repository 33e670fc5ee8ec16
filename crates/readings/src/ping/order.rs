//! The order of the replies: unrolled numbers, duplicates, and those that came late.

use std::collections::HashSet;

use super::Reply;

/// Sequence numbers on the wire: 0 to 65535, and again.
const ROUND: u64 = 1 << 16;

/// What the order of the replies tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Requests that were answered.
    pub(super) answered: u64,
    pub(super) duplicates: u64,
    pub(super) reordered: u64,
}

/// Unrolls the numbers of the replies, marks the duplicates the tool did not mark (it does not on
/// multicast), and counts.
///
/// `last` is the highest number sent, if that is known.
pub(super) fn settle(packets: &mut [Reply], last: Option<u64>) -> Order {
    if last.is_none_or(|last| last >= ROUND) && packets.iter().all(|reply| reply.seq < ROUND) {
        unroll(packets);
    }
    let mut order = Order::default();
    let mut seen = HashSet::new();
    let mut highest = None;
    for reply in packets.iter_mut().filter(|reply| reply.is_sound()) {
        reply.duplicate |= !seen.insert(reply.seq);
        if reply.duplicate {
            order.duplicates += 1;
            continue;
        }
        order.answered += 1;
        order.reordered += u64::from(Some(reply.seq) < highest);
        highest = highest.max(Some(reply.seq));
    }
    order
}

/// Gives each number the round that brings it nearest to the highest before it.
fn unroll(packets: &mut [Reply]) {
    let mut highest = 0;
    for reply in packets {
        reply.seq = nearest(reply.seq, highest);
        highest = highest.max(reply.seq);
    }
}

fn nearest(seq: u64, highest: u64) -> u64 {
    let same_round = highest - highest % ROUND + seq;
    if same_round + ROUND / 2 < highest {
        same_round + ROUND
    } else if same_round > highest + ROUND / 2 {
        // A long gap in the first round: there is no round before it.
        same_round.checked_sub(ROUND).unwrap_or(same_round)
    } else {
        same_round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(seqs: &[u64]) -> Vec<Reply> {
        let blank =
            Reply { seq: 0, rtt_us: None, ttl: None, bytes: None, duplicate: false, remark: None };
        seqs.iter().map(|seq| Reply { seq: *seq, ..blank.clone() }).collect()
    }

    fn settled(seqs: &[u64], last: Option<u64>) -> (Vec<u64>, Order) {
        let mut packets = replies(seqs);
        let order = settle(&mut packets, last);
        (packets.iter().map(|reply| reply.seq).collect(), order)
    }

    #[test]
    fn numbers_that_start_again_go_on() {
        let (seqs, order) = settled(&[65_533, 65_535, 65_534, 0, 1], None);
        assert_eq!(seqs, [65_533, 65_535, 65_534, 65_536, 65_537]);
        assert_eq!(order, Order { answered: 5, duplicates: 0, reordered: 1 });
    }

    #[test]
    fn a_late_packet_of_the_round_before_stays_there() {
        assert_eq!(settled(&[65_534, 0, 65_535, 1], None).0, [65_534, 65_536, 65_535, 65_537]);
    }

    #[test]
    fn numbers_go_through_many_rounds() {
        let printed: Vec<u64> = (0..300_000).step_by(1000).map(|seq| seq % ROUND).collect();
        let unrolled: Vec<u64> = (0..300_000).step_by(1000).collect();
        assert_eq!(settled(&printed, Some(300_000)).0, unrolled);
    }

    #[test]
    fn a_run_too_short_to_start_again_is_left_alone() {
        let (seqs, order) = settled(&[60_000, 5], Some(60_000));
        assert_eq!((seqs, order.reordered), (vec![60_000, 5], 1));
    }

    #[test]
    fn a_long_gap_is_no_new_round() {
        assert_eq!(settled(&[1, 40_000, 40_001], None).0, [1, 40_000, 40_001]);
    }

    #[test]
    fn a_repeated_number_is_a_duplicate_marked_or_not() {
        let mut packets = replies(&[1, 2, 2, 1, 3]);
        let order = settle(&mut packets, Some(3));
        assert_eq!(order, Order { answered: 3, duplicates: 2, reordered: 0 });
        let marks: Vec<bool> = packets.iter().map(|reply| reply.duplicate).collect();
        assert_eq!(marks, [false, false, true, true, false]);
    }
}
