use proptest::prelude::*;
use readings::statistics as round_trips;
use timed_udp::ntp::ErrorEstimate;

use super::*;

const START: u64 = 17_198_707_820_227_989_921;
const MILLISECOND: u64 = (1 << 32) / 1_000;

/// A session of so many packets, one each 10 ms, that waits for 2 s.
fn known(asked: u32) -> Known {
    Known { asked, start: NtpTime(START), timeout: 2 << 32, ..Known::default() }
}

fn schedule() -> impl Iterator<Item = u64> {
    (1..).map(|number| number * 10 * MILLISECOND)
}

fn due(number: u32) -> NtpTime {
    NtpTime(START + (u64::from(number) + 1) * 10 * MILLISECOND)
}

fn came(number: u32, delay_ns: i64) -> Record {
    let sent = due(number);
    let received = NtpTime::from_unix_nanos(sent.unix_nanos() + i128::from(delay_ns));
    let estimate = Some(ErrorEstimate::at_least(1_000, true));
    let (send_error, receive_error) = (estimate, estimate);
    Record { seq: number, sent, send_error, received: Some(received), receive_error, ttl: 252 }
}

fn lost(number: u32) -> Record {
    Record { received: None, send_error: None, receive_error: None, ttl: 255, ..came(number, 0) }
}

fn summary(asked: u32, records: &[Record]) -> Summary {
    Summary::of(&known(asked), schedule(), records)
}

const MS: i64 = 1_000_000;

#[test]
fn a_percentile_that_falls_among_lost_packets_is_none() {
    let records = [came(0, MS), lost(2), came(1, 2 * MS), came(3, 3 * MS)];
    let found = summary(4, &records);
    assert_eq!((found.sent, found.lost, found.received()), (4, 1, 3));
    assert_eq!(found.delays.percentile(Percent::P50), found.delays.sorted().get(1).copied());
    assert_eq!(found.delays.percentile(Percent::P90), None);
    assert_eq!((found.p95_less_p50(), found.delays.pdv(Percent::P99)), (None, None));
    assert!(found.delays.max().is_some_and(|max| (max - 3 * MS).abs() < 2));
}

#[test]
fn a_packet_that_comes_after_its_time_out_is_lost_and_one_before_its_time_is_not() {
    let found = summary(3, &[came(0, 2_000 * MS + 10), came(1, 2_000 * MS - 10), came(2, -MS)]);
    assert_eq!((found.sent, found.lost, found.delays.negative()), (3, 1, 1));
    assert_eq!(found.clocks.impossible, 1, "by more than the 2 us that the clocks admit to");
    assert_eq!(found.verdicts, [Verdict::ClocksDisagree]);
}

#[test]
fn what_was_skipped_is_neither_sent_nor_lost_and_parts_no_loss_period() {
    let mut known = known(6);
    known.skipped = vec![1..=2, 40..=50];
    let found = Summary::of(&known, schedule(), &[lost(0), lost(3), came(4, MS), lost(5)]);
    assert_eq!((found.sent, found.lost, found.skipped), (4, 3, 2));
    let periods = LossPeriods {
        count: 2,
        longest: 2,
        mean: Some(1.5),
        distance_min: Some(1),
        distance_mean: Some(1.5),
    };
    assert_eq!(found.loss_periods, periods);
    assert_eq!(found.verdicts, [Verdict::LateSender]);
}

#[test]
fn lateness_is_told_apart_from_delay() {
    let mut records: Vec<Record> = (0..100).map(|number| came(number, MS)).collect();
    for record in &mut records[..2] {
        let late = |time: NtpTime| NtpTime(time.0 + 3 * MILLISECOND);
        (record.sent, record.received) = (late(record.sent), record.received.map(late));
    }
    let found = summary(100, &records);
    assert_eq!((found.lateness.notable, found.lateness.beyond_error), (2, 2));
    assert!(found.lateness.max().is_some_and(|most| (most - 3 * MS).abs() < 2));
    assert_eq!(found.lateness.percentile(Percent::P50), Some(0));
    assert_eq!(found.verdicts, [Verdict::LateSender]);
    assert!(found.delays.max().is_some_and(|max| max < MS + 2), "delays count from the sending");
    records[0] = came(0, MS);
    assert_eq!(summary(100, &records).verdicts, [], "one in a hundred may be late");
}

#[test]
fn clocks_are_synchronised_if_both_were_with_every_packet() {
    let found = summary(2, &[came(0, MS), came(1, MS)]);
    assert_eq!(found.clocks.synchronised, Some(true));
    assert!(found.clocks.error_s.is_some_and(|error| (2e-6..2.1e-6).contains(&error)));
    let unsynchronised = Some(ErrorEstimate::at_least(5_000_000, false));
    let other = Record { receive_error: unsynchronised, ..came(1, MS) };
    let found = summary(2, &[came(0, MS), other]);
    assert_eq!(found.clocks.synchronised, Some(false));
    assert!(found.clocks.error_s.is_some_and(|error| (5e-3..6e-3).contains(&error)));
    assert_eq!(summary(1, &[lost(0)]).clocks, Clocks::default());
    let silent = Record { receive_error: None, ..came(1, MS) };
    assert_eq!(summary(2, &[silent]).clocks.synchronised, Some(false));
}

#[test]
fn steps_and_drops_of_our_own_are_verdicts() {
    let known = Known { own_drops: 3, clock_steps: vec![5, -7 * MS], ..known(1) };
    let found = Summary::of(&known, schedule(), &[came(0, MS)]);
    assert_eq!((found.clocks.steps, found.clocks.largest_step), (2, Some(-7 * MS)));
    assert_eq!(found.verdicts, [Verdict::OwnDrops, Verdict::ClockStep]);
    assert_eq!(Verdict::OwnDrops.to_string(), "own drops");
}

#[test]
fn buckets_are_counted_away_from_zero() {
    let delays = Delays::of([-150, -100, -1, 0, 1, 100, 101].into_iter(), 0);
    assert_eq!(delays.buckets(100), [(-2, 1), (-1, 2), (0, 1), (1, 2), (2, 1)]);
}

#[test]
fn the_extent_is_how_far_back_the_first_overtaker_is() {
    // RFC 4737 appendix: 1 2 3 7 8 9 10 4 5 6 11.
    let numbers = [1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11];
    let records: Vec<Record> = numbers.iter().map(|number| came(*number, MS)).collect();
    let found = summary(12, &records).reordering;
    assert_eq!((found.reordered, found.extent_max()), (3, Some(6)));
    assert_eq!(found.extent(Percent::P50), Some(5));
    assert_eq!(found.n_reordered, [1, 1, 1, 1], "packet 4 came right behind four later ones");
}

#[test]
fn a_percentage_is_read_to_the_thousandth() {
    assert_eq!("99.9".parse::<Percent>().map(|it| it.to_string()), Ok("99.9".to_owned()));
    assert_eq!("50".parse(), Ok(Percent::P50));
    assert!("101".parse::<Percent>().is_err() && "nan".parse::<Percent>().is_err());
}

/// What became of each packet of a session: its delays in microseconds, none if it was lost; in any order.
fn fates(least: i64) -> impl Strategy<Value = Vec<Vec<i64>>> {
    prop::collection::vec(prop::collection::vec(least..80_000i64, 0..3), 1..40)
}

/// Their records in the order of arrival, lost ones last.
fn records(fates: &[Vec<i64>]) -> Vec<Record> {
    let numbered = || (0..).zip(fates);
    let mut records: Vec<Record> = numbered()
        .flat_map(|(number, delays)| delays.iter().map(move |us| came(number, us * 1_000)))
        .collect();
    records.sort_by_key(|record| record.received);
    records.extend(numbered().filter(|(_, it)| it.is_empty()).map(|(number, _)| lost(number)));
    records
}

proptest! {
    #[test]
    fn figures_that_pings_have_too_are_the_same(fates in fates(0)) {
        let asked = u32::try_from(fates.len()).expect("few");
        let found = summary(asked, &records(&fates));
        let firsts = (0u64..).zip(&fates).filter_map(|(number, delays)| {
            Some((number, Some(delays.iter().min()?.unsigned_abs())))
        });
        let delays: std::collections::BTreeMap<_, _> = firsts.collect();
        let stream = round_trips::Stream {
            first: 0,
            transmitted: Some(asked.into()),
            received: delays.len() as u64,
            delays,
        };
        let expected = round_trips::Delay::of(&stream);
        let micros = |ns: Option<i64>| ns.map(|ns| (ns + 500).unsigned_abs() / 1_000);
        let at = |percent| micros(found.delays.percentile(percent));
        prop_assert_eq!(at(Percent::P50), expected.p50_us);
        prop_assert_eq!((at(Percent::P95), at(Percent::P99)), (expected.p95_us, expected.p99_us));
        prop_assert_eq!(micros(found.delays.pdv(Percent::P95)), expected.pdv_p95_us);
        prop_assert_eq!(Some(found.loss_periods.count), expected.loss_periods);
        prop_assert_eq!(Some(found.loss_periods.longest), expected.loss_period_max);
        let means = (found.ipdv.abs_mean, expected.ipdv_abs_mean_us);
        prop_assert_eq!(means.0.is_some(), means.1.is_some());
        let apart = means.0.unwrap_or(0.0) / 1e3 - means.1.unwrap_or(0.0);
        prop_assert!(apart.abs() < 0.01, "{:?}", means);
    }

    #[test]
    fn every_packet_is_counted_once(fates in fates(-80_000)) {
        let asked = u32::try_from(fates.len()).expect("few");
        let found = summary(asked, &records(&fates));
        let count = |is: fn(&Vec<i64>) -> bool| fates.iter().filter(|it| is(it)).count() as u64;
        prop_assert_eq!((found.sent, found.lost), (asked.into(), count(Vec::is_empty)));
        prop_assert_eq!(found.duplicated, count(|delays| delays.len() > 1));
        prop_assert_eq!(found.duplicates, count(|delays| delays.len() > 1));
        prop_assert_eq!(found.delays.sorted().len() as u64, found.received());
        prop_assert_eq!(found.ttls.values().sum::<u64>(), found.received());
        let buckets = found.delays.buckets(7_777);
        prop_assert_eq!(buckets.iter().map(|(_, packets)| packets).sum::<u64>(), found.received());
        prop_assert!(buckets.is_sorted_by(|one, other| one.0 < other.0));
        prop_assert!(found.ipdv.pairs < u64::from(asked));
    }

    #[test]
    fn reordering_is_what_its_definitions_say(fates in fates(0)) {
        let asked = u32::try_from(fates.len()).expect("few");
        let records = records(&fates);
        let found = summary(asked, &records).reordering;
        let arrivals: Vec<u32> =
            records.iter().filter(|it| it.received.is_some()).map(|it| it.seq).collect();
        let mut firsts: Vec<u32> = Vec::new();
        for number in &arrivals {
            if !firsts.contains(number) {
                firsts.push(*number);
            }
        }
        let extent = |place: usize| {
            let earlier = firsts[..place].iter().position(|other| *other > firsts[place]);
            earlier.map(|first| (place - first) as u64)
        };
        let mut extents: Vec<u64> = (0..firsts.len()).filter_map(extent).collect();
        extents.sort_unstable();
        prop_assert_eq!(found.reordered, extents.len() as u64);
        prop_assert_eq!(found.extent_max(), extents.last().copied());
        let is_n_reordered = |n: usize, place: usize| {
            place >= n && arrivals[place - n..place].iter().all(|other| *other > arrivals[place])
        };
        let of = |n| (0..arrivals.len()).filter(|place| is_n_reordered(n, *place)).count() as u64;
        let all: Vec<u64> = (1..=arrivals.len()).map(of).take_while(|packets| *packets > 0).collect();
        prop_assert_eq!(&found.n_reordered, &all);
    }

    #[test]
    fn parts_together_are_the_session(fates in fates(-80_000), size in 1u32..12, cut in 0u32..50) {
        let asked = u32::try_from(fates.len()).expect("few");
        let known = known(asked);
        let records = records(&fates);
        let mut parts = Parts::new(known.clone(), size);
        for record in &records {
            parts.take(*record);
        }
        let mut all = parts.close_before(cut);
        prop_assert!(all.iter().all(|part| part.known.first + part.known.asked <= cut.min(asked)));
        all.extend(parts.finish());
        prop_assert_eq!(all.len(), fates.len().div_ceil(size as usize));
        let mut schedule = schedule();
        let summaries: Vec<Summary> = all
            .iter()
            .map(|part| Summary::of(&part.known, schedule.by_ref(), &part.records))
            .collect();
        let whole = summary(asked, &records);
        let sum = |of: fn(&Summary) -> u64| summaries.iter().map(of).sum::<u64>();
        prop_assert_eq!(sum(|it| it.sent), whole.sent);
        prop_assert_eq!(sum(|it| it.lost), whole.lost);
        prop_assert_eq!(sum(|it| it.lateness.beyond_error), 0, "the schedule goes on");
        let ends = |of: &Summary| of.span.map(|(_, last)| last);
        prop_assert_eq!(summaries.last().and_then(ends), ends(&whole));
    }
}
