//! What the reference's client printed (thrulay 0.9) is printed by ours for the same figures, character by character.

use std::{fs, path::PathBuf};

use thrulay::{
    protocol::UdpReport,
    report::{TcpOutcome, TcpSetup, Told, UdpOutcome, header, row, totals, udp},
    statistics::{Lateness, RoundTrips, Row},
};

fn capture(case: &str) -> String {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../readings/tests/captures/thrulay");
    fs::read_to_string(folder.join(format!("{case}.txt"))).expect("a capture")
}

/// Thousandths of what a column says.
fn thousandths(word: &str) -> u64 {
    word.replace('.', "").parse().expect("a number with three digits behind the point")
}

/// A row as it would be of the figures of this line.
fn figures(line: &str) -> Row {
    let (id, rest) = line.split_once(')').expect("a row");
    let id = id.trim_start_matches(['#', ' ', '(']).trim();
    let columns: Vec<u64> = rest.split_whitespace().map(thousandths).collect();
    let [begin, end] = [columns[0], columns[1]].map(|it| it * 1_000_000);
    // Thousandths of Mb/s are kb/s.
    let bits = u128::from(columns[2]) * 1_000 * u128::from(end - begin) / 1_000_000_000;
    let at = |place: usize| columns.get(place).copied().unwrap_or(0) * 1_000;
    let rtt = RoundTrips {
        count: 1,
        median: at(3),
        quartile_range: at(4),
        min: at(5),
        mean: at(6),
        max: at(7),
    };
    Row {
        stream: id.parse().ok(),
        begin,
        end,
        octets: u64::try_from((bits + 4) / 8).expect("small"),
        rtt: (columns[2] > 0).then_some(rtt),
    }
}

/// The numbers in a line, in their order.
fn numbers(line: &str) -> Vec<u32> {
    let words = line.split(|c: char| !c.is_ascii_digit()).filter(|it| !it.is_empty());
    words.map(|it| it.parse().expect("a number")).collect()
}

fn setup(text: &str, streams: u16) -> TcpSetup {
    let all: Vec<Vec<u32>> = text.lines().take(5).map(numbers).collect();
    TcpSetup {
        local_window: all[0][0],
        remote_window: all[0][1],
        block: all[1][0],
        mtu: all[2][0],
        mss: all[2][1],
        duration_s: all[4][0],
        interval_s: all[4].get(1).copied().unwrap_or(0),
        streams,
    }
}

#[test]
fn every_tcp_test_is_printed_as_the_reference_printed_it() {
    for case in [
        "basic",
        "dark-middle",
        "i0",
        "i2-w",
        "l",
        "m3",
        "server-dies",
        "tcp-loss",
        "term-middle",
        "v",
    ] {
        let text = capture(case);
        let verbose = case == "v";
        let told = |line: &str| Told { row: figures(line), kernel: None };
        let of = |start: &str| text.lines().filter(|it| it.starts_with(start)).map(told).collect();
        let (intervals, ends): (Vec<Told>, Vec<Told>) = (of(" ("), of("#( "));
        let streams = u16::try_from(ends.len().max(1)).expect("few");
        let setup = setup(&text, streams);
        let rows: String = intervals.iter().map(|it| row(&it.row, verbose)).collect();
        let mut printed = header(&setup, verbose) + &rows;
        if let Some(total) = text.lines().find(|it| it.starts_with("#(**)")) {
            let total = figures(total);
            let outcome =
                TcpOutcome { setup, intervals, streams: ends, total, server_octets: None };
            printed += &totals(&outcome, verbose);
        }
        assert_eq!(printed, text, "{case}");
    }
}

fn outcome(proposed: u32, report: UdpReport) -> UdpOutcome {
    let mut lateness = Lateness::default();
    (0..proposed).for_each(|_| lateness.note(Some(0)));
    UdpOutcome {
        buffer: 8_388_608,
        size: 1_500,
        payload: 1_472,
        rate: 5_000_000,
        proposed,
        lateness,
        synchronised: true,
        report: Some(report),
    }
}

#[test]
fn every_udp_test_is_printed_as_the_reference_printed_it() {
    let delays = [10_614_000, 11_362_000, 12_184_000, 12_945_000, 13_508_000, 14_000_000];
    let report = UdpReport {
        received: 1_619,
        unique: 1_576,
        delays: Some(delays),
        reordered: vec![31],
        ..UdpReport::default()
    };
    assert_eq!(udp(&outcome(1_666, report)), capture("udp-loss"));
    let delays = [11_874_000, 50_971_000, 51_050_000, 51_133_000, 51_197_000, 51_200_000];
    let report =
        UdpReport { received: 5_020, unique: 5_020, delays: Some(delays), ..UdpReport::default() };
    assert_eq!(udp(&outcome(10_000, report)), capture("udp-overload"));
}
