//! Our own reader reads both forms that we print to the same figures.

use proptest::{collection::vec, prelude::*};
use readings::{
    End, Output,
    throughput::{Protocol, RoundTrip, Throughput},
};
use thrulay::{
    report::{
        KernelView, Outcome, Run, TcpOutcome, TcpSetup, Told, UdpOutcome, header, json, row,
        totals, udp,
    },
    statistics::{Datagrams, Lateness, Meter},
};

const SECOND: u64 = 1_000_000_000;

fn setup(streams: u16) -> TcpSetup {
    TcpSetup {
        local_window: 8_388_608,
        remote_window: 8_388_608,
        block: 65_536,
        mtu: 1_500,
        mss: 1_448,
        duration_s: 3,
        interval_s: 1,
        streams,
    }
}

/// A test of some seconds: in each of them, of each stream, the round trips of its blocks in microseconds.
fn test(streams: u16, seconds: &[Vec<u64>]) -> TcpOutcome {
    let mut meter = Meter::of(streams);
    let (mut intervals, mut octets) = (Vec::new(), vec![0; usize::from(streams)]);
    for (end, blocks) in (1..).zip(seconds) {
        for (place, rtt) in blocks.iter().enumerate() {
            let stream = place % usize::from(streams);
            octets[stream] += 65_536;
            meter.note(stream, rtt * 1_000, octets[stream]);
        }
        let kernel = Some(KernelView { retransmits: 2, ..KernelView::default() });
        let rows = meter.rows(end * SECOND);
        intervals.extend(rows.into_iter().map(|row| Told { row, kernel }));
    }
    let (streams, total) = meter.totals(seconds.len() as u64 * SECOND);
    let kernel = Some(KernelView { retransmits: 5, ..KernelView::default() });
    let streams: Vec<Told> = streams.into_iter().map(|row| Told { row, kernel }).collect();
    let setup = setup(u16::try_from(streams.len()).expect("few"));
    TcpOutcome { setup, intervals, streams, total, server_octets: Some(octets.iter().sum()) }
}

fn text(outcome: &TcpOutcome, verbose: bool) -> String {
    let rows: String = outcome.intervals.iter().map(|it| row(&it.row, verbose)).collect();
    header(&outcome.setup, verbose) + &rows + &totals(outcome, verbose)
}

fn read(stdout: &str) -> Throughput {
    let output = Output { stdout: stdout.as_bytes(), stderr: b"", end: End::Exited(0) };
    let reading = readings::thrulay::read(&output).expect("a reading");
    assert!(reading.complete && reading.problem.is_none(), "{reading:?}");
    reading
}

fn document(outcome: Outcome) -> String {
    let server = Some("192.0.2.2:5003".parse().expect("an address"));
    json(&Run { host: "server".to_owned(), server, outcome: Some(outcome), ..Run::default() })
}

/// Three digits of a mega.
fn near(one: Option<f64>, two: Option<f64>) -> bool {
    match (one, two) {
        (Some(one), Some(two)) => (one - two).abs() <= 501.0,
        (one, two) => one == two,
    }
}

/// A mean that ends in half a microsecond is rounded twice in the document.
fn alike(one: Option<RoundTrip>, two: Option<RoundTrip>) -> bool {
    let figures = |it: RoundTrip| [it.min_us, it.avg_us, it.max_us].map(Option::unwrap_or_default);
    let (one, two) = (one.map(figures), two.map(figures));
    let near =
        |(one, two): ([u64; 3], [u64; 3])| one.iter().zip(two).all(|(a, b)| a.abs_diff(b) <= 1);
    one.is_some() == two.is_some() && one.zip(two).is_none_or(near)
}

proptest! {
    #[test]
    fn a_tcp_test_is_read_alike_from_text_and_json(
        streams in 1_u16..4,
        seconds in vec(vec(1_u64..3_000_000, 0..40), 1..4),
    ) {
        let outcome = test(streams, &seconds);
        let (text, json) = (read(&text(&outcome, true)), read(&document(Outcome::Tcp(outcome))));
        prop_assert_eq!((text.protocol, json.protocol), (Some(Protocol::Tcp), Some(Protocol::Tcp)));
        let (text, json) = (&text.flows[0], &json.flows[0]);
        prop_assert_eq!(text.streams, json.streams);
        prop_assert!(near(text.thruavg_bps, json.thruavg_bps));
        prop_assert!(alike(text.rtt, json.rtt), "{:?} {:?}", text.rtt, json.rtt);
        prop_assert_eq!(text.intervals.len(), json.intervals.len());
        prop_assert_eq!(text.by_stream.len(), json.by_stream.len());
        for (one, two) in text.intervals.iter().zip(&json.intervals) {
            // Each stream's rate is rounded by itself.
            let slack = f64::from(text.streams) * 501.0;
            prop_assert!((one.bits_per_s.unwrap() - two.bits_per_s.unwrap()).abs() <= slack);
            prop_assert_eq!(two.retransmits, Some(2 * u64::from(json.streams)));
        }
    }

    #[test]
    fn a_udp_test_is_read_alike_from_text_and_json(
        numbers in vec(0_u32..60, 0..120),
        offset in -5_000_i64..5_000,
    ) {
        let mut datagrams = Datagrams::of(60);
        for (at, number) in (0_u64..).zip(&numbers) {
            datagrams.note(*number, (offset + i64::from(*number) * 10) * 1_000, at * 1_000_000);
        }
        let mut lateness = Lateness::default();
        (0..60).for_each(|_| lateness.note(Some(100)));
        let outcome = UdpOutcome {
            buffer: 8_388_608,
            size: 1_500,
            payload: 1_472,
            rate: 5_000_000,
            proposed: 60,
            lateness,
            synchronised: true,
            report: Some(datagrams.report(0, true)),
        };
        let (text, json) = (read(&udp(&outcome)), read(&document(Outcome::Udp(outcome))));
        prop_assert_eq!(text.protocol, json.protocol);
        let (text, json) = (&text.flows[0], &json.flows[0]);
        prop_assert_eq!(text.delay, json.delay);
        let counts = |it: &readings::throughput::Flow| {
            it.received.as_ref().map(|it| (it.datagrams, it.lost, it.duplicates, it.reordered))
        };
        prop_assert_eq!(counts(text), counts(json));
    }
}

#[test]
fn a_test_that_ended_early_keeps_its_rows_and_tells_why() {
    let outcome = Some(Outcome::Tcp(test(1, &[vec![10_000; 5], vec![]])));
    let problem = Some("premature end of test: the server closed its connection".to_owned());
    let text = json(&Run { outcome, problem, ..Run::default() });
    let output = Output { stdout: text.as_bytes(), stderr: b"", end: End::Exited(1) };
    let reading = readings::thrulay::read(&output).expect("a reading");
    assert_eq!(reading.problem.map(|it| it.kind), Some(readings::Kind::Broken));
    assert!(!reading.complete && reading.flows[0].intervals.len() == 2);
}
