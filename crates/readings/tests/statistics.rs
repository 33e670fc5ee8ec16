//! The definitions, by example and by the laws they must keep.

use std::collections::BTreeMap;

use proptest::prelude::*;
use readings::statistics::{
    Delay, LossPeriods, Spread, Stream, ipdv_abs_mean, loss_periods, percentile,
};

#[test]
fn a_percentile_is_a_delay_that_occurred() {
    let delays = [10, 20, 30, 40];
    let found = [0, 25, 26, 50, 75, 76, 100].map(|percent| percentile(&delays, 0, percent));
    assert_eq!(found, [10, 10, 20, 20, 30, 40, 40].map(Some));
}

#[test]
fn the_median_of_an_even_number_is_the_lower_of_the_two() {
    assert_eq!(percentile(&[10, 20], 0, 50), Some(10));
}

#[test]
fn a_lost_packet_is_slower_than_any_other() {
    let delays = [10, 20, 30, 40];
    assert_eq!(percentile(&delays, 4, 50), Some(40));
    assert_eq!(percentile(&delays, 5, 50), None);
    assert_eq!(percentile::<u64>(&[], 3, 0), None);
    assert_eq!(percentile::<u64>(&[], 0, 50), None);
}

#[test]
fn a_percentile_of_the_largest_numbers_does_not_overflow() {
    assert_eq!(percentile(&[1], u64::MAX, 100), None);
}

#[test]
fn the_variation_is_between_consecutive_packets_only() {
    let delays =
        BTreeMap::from([(1, Some(10)), (2, Some(16)), (4, Some(99)), (5, None), (6, Some(0))]);
    assert_eq!(ipdv_abs_mean(&delays), Some(6.0));
    assert_eq!(ipdv_abs_mean(&BTreeMap::from([(1, Some(10)), (3, Some(16))])), None);
}

#[test]
fn loss_periods_are_counted_at_both_ends_too() {
    let periods = loss_periods(1, 10, [3, 4, 8, 9]);
    assert_eq!(periods, Some(LossPeriods { count: 3, longest: 3 }));
    assert_eq!(loss_periods(1, 3, []), Some(LossPeriods { count: 1, longest: 3 }));
    assert_eq!(loss_periods(0, 0, []), Some(LossPeriods::default()));
}

#[test]
fn a_packet_that_was_never_sent_makes_the_loss_unknown() {
    assert_eq!(loss_periods(1, 3, [4]), None);
    assert_eq!(loss_periods(1, 3, [0]), None);
    assert_eq!(loss_periods(1, 3, [2, 2]), None);
    assert_eq!(loss_periods(u64::MAX, 3, []), None);
}

#[test]
fn without_the_number_sent_there_are_no_percentiles() {
    let delay = Delay::of(&Stream { transmitted: None, ..stream(&[Some(10), Some(20)]) });
    assert_eq!((delay.p25_us, delay.pdv_p95_us, delay.loss_period_max), (None, None, None));
    assert_eq!(delay.ipdv_abs_mean_us, Some(10.0));
}

#[test]
fn with_a_delay_nobody_knows_there_are_no_percentiles() {
    let mut stream = stream(&[Some(10), Some(20)]);
    stream.delays.insert(2, None);
    assert_eq!(Delay::of(&stream).p25_us, None);
}

#[test]
fn the_spread_is_that_of_the_population() {
    let spread = Spread::of(&[2, 4, 4, 4, 5, 5, 7, 9]).expect("a spread");
    assert_eq!(spread, Spread { min: 2.0, mean: 5.0, max: 9.0, deviation: 2.0 });
    assert_eq!(Spread::of(&[]), None);
}

proptest! {
    #[test]
    fn percentiles_rise(packets in packets()) {
        let stream = stream(&packets);
        let delay = Delay::of(&stream);
        let least = stream.delays.values().copied().flatten().min();
        let ladder = [least, delay.p25_us, delay.p50_us, delay.p75_us, delay.p95_us, delay.p99_us];
        prop_assert!(ladder.map(infinite_if_none).is_sorted());
    }

    #[test]
    fn percentiles_do_not_depend_on_the_order((packets, shuffled) in packets().prop_flat_map(|packets| {
        (Just(packets.clone()), Just(packets).prop_shuffle())
    })) {
        prop_assert_eq!(percentiles(&packets), percentiles(&shuffled));
    }

    #[test]
    fn another_loss_never_lowers_a_percentile(packets in packets()) {
        let mut worse = packets.clone();
        worse.push(None);
        for (before, after) in percentiles(&packets).into_iter().zip(percentiles(&worse)) {
            prop_assert!(infinite_if_none(before) <= infinite_if_none(after));
        }
    }

    #[test]
    fn at_least_that_share_had_the_delay_or_less(packets in packets(), percent in 1u8..=100) {
        let mut delays: Vec<u64> = packets.iter().copied().flatten().collect();
        delays.sort_unstable();
        let lost = (packets.len() - delays.len()) as u64;
        let share = |limit| 100 * delays.iter().filter(|delay| **delay <= limit).count();
        let enough = usize::from(percent) * packets.len();
        match percentile(&delays, lost, percent) {
            Some(found) => {
                prop_assert!(share(found) >= enough);
                prop_assert!(found == 0 || share(found - 1) < enough);
            }
            None => prop_assert!(100 * delays.len() < enough),
        }
    }

    #[test]
    fn loss_periods_are_those_one_finds_by_walking(packets in packets()) {
        let (mut count, mut longest, mut run) = (0, 0, 0);
        for packet in &packets {
            run = if packet.is_none() { run + 1 } else { 0 };
            count += u64::from(run == 1);
            longest = longest.max(run);
        }
        let delay = Delay::of(&stream(&packets));
        prop_assert_eq!((delay.loss_periods, delay.loss_period_max), (Some(count), Some(longest)));
    }

    #[test]
    fn the_same_delay_for_all_has_no_variation(delay in 0..1_000_000u64, count in 2..50usize) {
        let found = Delay::of(&stream(&vec![Some(delay); count]));
        prop_assert_eq!((found.pdv_p95_us, found.ipdv_abs_mean_us), (Some(0), Some(0.0)));
    }
}

/// The delay of each packet, `None` if it was lost.
fn packets() -> impl Strategy<Value = Vec<Option<u64>>> {
    prop::collection::vec(prop::option::weighted(0.8, 0..2_000u64), 1..60)
}

fn stream(packets: &[Option<u64>]) -> Stream {
    let numbered = (1..).zip(packets).filter(|(_, delay)| delay.is_some());
    let delays: BTreeMap<u64, Option<u64>> = numbered.map(|(seq, delay)| (seq, *delay)).collect();
    Stream {
        first: 1,
        transmitted: Some(packets.len() as u64),
        received: delays.len() as u64,
        delays,
    }
}

fn percentiles(packets: &[Option<u64>]) -> [Option<u64>; 5] {
    let delay = Delay::of(&stream(packets));
    [delay.p25_us, delay.p50_us, delay.p75_us, delay.p95_us, delay.p99_us]
}

fn infinite_if_none(delay: Option<u64>) -> u64 {
    delay.unwrap_or(u64::MAX)
}
