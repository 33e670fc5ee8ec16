//! Every capture of an iperf 2, and what its reader must make of it.
//!
//! Each line of the table was checked by eye against the text of the capture.

mod common;

use common::{Capture, throughput::told};
use readings::{
    Direction, End, Kind, Output, Unreadable, iperf,
    throughput::{Flow, Throughput},
};

/// Capture; server, protocol; by direction the streams, the totals (bytes, seconds, retransmits, lost, of how
/// many, how many late, jitter in us), how many intervals with the smallest and largest rate, the mean rate in
/// Mbit/s, round-trip times in us; problem.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("iperf/P4-summary", "192.0.2.2:5001 tcp; to x4: sent 13107200 B in 5.6298 s, avg 18.625, rtt 21765/-/-; 1 warnings"),
    ("iperf/R", "192.0.2.2:5001 tcp; from x1: received 7602176 B in 3.2272 s, avg 18.845, rtt 21437/-/-"),
    ("iperf/badopt", "192.0.2.2:5001 tcp; refused!"),
    ("iperf/basic", "192.0.2.2:5001 tcp; to x1: sent 12687770 B in 5.3822 s, avg 18.900, rtt 21660/-/-"),
    ("iperf/connect-only", "192.0.2.2:5001 tcp; refused!"),
    ("iperf/dark-middle", "192.0.2.2:5001 tcp; to x1: sent 6689915 B in 12.5867 s, 6 of 0.000-23.100, avg 4.250, rtt 21440/-/-"),
    ("iperf/dual", "192.0.2.2:5001 tcp; to x1: sent 7476347 B in 3.4153 s, avg 17.500, rtt 21822/-/-; from x1: received 7465861 B in 3.3953 s, avg 17.600"),
    ("iperf/e", "192.0.2.2:5001 tcp; to x1: sent 7864320 B in 3.3508 s retr 30, 4 of 17.800-23.100, avg 18.800, rtt 21375/26187/27215"),
    ("iperf/filtered", "100.64.2.1:5001 tcp; network unreachable!"),
    ("iperf/fk-i1", "192.0.2.2:5001 tcp; to x1: sent 12582912 B in 5.3175 s, 6 of 17.826-24.118, avg 18.931, rtt 21501/-/-"),
    ("iperf/fk", "192.0.2.2:5001 tcp; to x1: sent 12713984 B in 5.3811 s, avg 18.902, rtt 21713/-/-"),
    ("iperf/fm-w", "192.0.2.2:5001 tcp; to x1: sent 12373197 B in 5.2211 s, 5 of 18.900-21.000, avg 18.900, rtt 21448/-/-; 1 warnings"),
    ("iperf/full-duplex", "192.0.2.2:5001 tcp; to x1: sent 7738491 B in 3.0144 s, avg 20.500, rtt 21550/-/-; from x1: received 7864320 B in 3.5553 s, avg 17.700"),
    ("iperf/hostunreach", "192.0.2.99:5001 tcp; network unreachable!"),
    ("iperf/iepm-1s-name", "192.0.2.2:5001 tcp; to x1: sent 24641536 B in 10.5774 s, avg 18.637, rtt 21780/-/-"),
    ("iperf/iepm-20s", "192.0.2.2:5001 tcp; to x3: sent 48889856 B in 20.8012 s, 4 of 18.874-20.762, avg 18.803, rtt 21963/-/-; 2 warnings"),
    ("iperf/int-middle", "192.0.2.2:5001 tcp; to x1: sent 6553600 B in 2.8054 s, 3 of 21.000-23.100, avg 18.700, rtt 21565/-/-"),
    ("iperf/kill-middle", "192.0.2.2:5001 tcp; to x1: 2 of 21.000-23.100, avg -, rtt 21534/-/-; killed!"),
    ("iperf/local-netunreach", "198.18.0.1:5001 tcp; network unreachable!"),
    ("iperf/n1M", "192.0.2.2:5001 tcp; to x1: sent 1048576 B in 0.4889 s, avg 17.200, rtt 21589/-/-"),
    ("iperf/netunreach", "100.64.1.1:5001 tcp; network unreachable!"),
    ("iperf/refused-csv", "?:? ?; refused!"),
    ("iperf/server-dark", "unreadable: line 7: expected a client's header before any figures, found \"[  1] 0.0000-1.0000 sec  2.21 MBytes  18.6 Mbits/sec\""),
    ("iperf/server-e", "unreadable: line 8: expected a client's header before any figures, found \"[  1] 0.0000-1.0000 sec  2.21 MBytes  18.6 Mbits/sec  1371=1367:0:1:1:0:1:0:1\""),
    ("iperf/server-inuse", "?:? ?; other!"),
    ("iperf/server", "unreadable: line 7: expected a client's header before any figures, found \"[  1] 0.0000-1.0000 sec  2.21 MBytes  18.6 Mbits/sec\""),
    ("iperf/trip-times", "192.0.2.2:5001 tcp; to x1: sent 8000635 B in 3.3984 s retr 30, avg 18.800, rtt 21411/29751/29751"),
    ("iperf/udp-csv", "192.0.2.2:5001 udp; to x1: sent 529200 B in 2.0000 s, avg -; other!"),
    ("iperf/udp-fk", "192.0.2.2:5001 udp; to x1: sent 398336 B in 3.0170 s of 272, received 398336 B in 3.0168 s lost 0 of 271 jitter 37, avg 1.056"),
    ("iperf/udp-overload", "192.0.2.2:5001 udp; to x1: sent 15728640 B in 3.0004 s of 10704, received 7392461 B in 3.0403 s lost 5676 of 10704 jitter 68, 3 of ---, avg 19.400"),
    ("iperf/udp-reorder", "192.0.2.2:5001 udp; to x1: sent 1971323 B in 3.0035 s of 1342, avg -; 1 warnings; other!"),
    ("iperf/unknownhost", "?:? ?; unknown host!"),
    ("iperf2013/P2-e", "192.0.2.2:5001 tcp; to x2: sent 10354688 B in 4.0500 s retr 41, 4 of 18.874-26.214, avg 20.473, rtt 24272/47393/57859"),
    ("iperf2013/csv", "192.0.2.2:5001 tcp; to x1: sent 7733248 B in 3.0000 s, avg 20.345"),
    ("iperf2013/server-udp", "unreadable: line 8: expected a client's header before any figures, found \"[  3]  0.0- 3.0 sec  1.88 MBytes  5.24 Mbits/sec   0.027 ms    0/ 1338 (0%)\""),
    ("iperf2013/server", "unreadable: line 7: expected a client's header before any figures, found \"[  4]  0.0- 1.0 sec  2.21 MBytes  18.6 Mbits/sec\""),
    ("iperf2013/udp-noserver", "192.0.2.2:5001 udp; to x1: sent 263168 B in 2.0000 s of 179, avg -; 1 warnings; refused!"),
    ("iperf2013/udp", "192.0.2.2:5001 udp; to x1: sent 1971323 B in 3.0000 s of 1338, received 1971323 B in 3.0000 s lost 0 of 1338 jitter 27, avg 5.240"),
    ("iperf205/P4-summary", "192.0.2.2:5001 tcp; to x4: sent 13500416 B in 5.3000 s, avg 20.452"),
    ("iperf205/P4", "192.0.2.2:5001 tcp; to x4: sent 13238272 B in 5.3000 s, 5 of 18.874-23.069, avg 20.099"),
    ("iperf205/badopt", "?:? ?; refused!"),
    ("iperf205/basic", "192.0.2.2:5001 tcp; to x1: sent 12582912 B in 5.0000 s, avg 19.900"),
    ("iperf205/blackhole", "?:? ?; no answer!"),
    ("iperf205/csv-P2", "192.0.2.2:5001 tcp; to x2: sent 7995392 B in 3.2000 s, 3 of 18.874-22.020, avg 19.955"),
    ("iperf205/dark-long", "192.0.2.2:5398 tcp; to x1: sent 2275410 B in 979.8000 s, 979 of 0.000-8.390, avg 0.018; 1 warnings"),
    ("iperf205/dual", "192.0.2.2:5001 tcp; to x1: sent 7602176 B in 3.1000 s, avg 19.500; from x1: received 7340032 B in 3.4000 s, avg 17.300"),
    ("iperf205/filtered", "?:? ?; network unreachable!"),
    ("iperf205/fk-i1", "192.0.2.2:5001 tcp; to x1: sent 12582912 B in 5.1000 s, 5 of 17.826-24.117, avg 19.926"),
    ("iperf205/fk", "192.0.2.2:5001 tcp; to x1: sent 12713984 B in 5.1000 s, avg 19.933"),
    ("iperf205/fm-w", "192.0.2.2:5001 tcp; to x1: sent 12163482 B in 5.1000 s, 5 of 18.900-19.900, avg 19.300; 1 warnings"),
    ("iperf205/hostunreach", "?:? ?; network unreachable!"),
    ("iperf205/iepm-1s-name", "192.0.2.2:5001 tcp; to x1: sent 23855104 B in 10.0000 s, avg 19.009"),
    ("iperf205/iepm-20s", "192.0.2.2:5001 tcp; to x3: sent 48889856 B in 20.2000 s, 4 of 18.245-21.181, avg 19.362; 1 warnings"),
    ("iperf205/int-middle", "192.0.2.2:5001 tcp; to x1: sent 6689915 B in 2.6000 s, 2 of 17.800-24.100, avg 20.600"),
    ("iperf205/kill-middle", "192.0.2.2:5001 tcp; to x1: 2 of 18.900-23.100, avg -; killed!"),
    ("iperf205/n1M", "192.0.2.2:5001 tcp; to x1: sent 1048576 B in 0.5000 s, avg 18.500"),
    ("iperf205/netunreach", "?:? ?; network unreachable!"),
    ("iperf205/noargs", "?:? ?; usage!"),
    ("iperf205/refused-csv", "?:? ?; refused!"),
    ("iperf205/refused", "?:? ?; refused!"),
    ("iperf205/server-int", "unreadable: line 8: expected a client's header before any figures, found \"[  4]  0.0- 2.8 sec  6.38 MBytes  18.8 Mbits/sec\""),
    ("iperf205/server-inuse", "unreadable: line 2: expected \"Client connecting to\", found \"Server listening on TCP port 5001\""),
    ("iperf205/server-v6", "unreadable: line 7: expected a client's header before any figures, found \"[  4]  0.0- 3.4 sec  7.50 MBytes  18.7 Mbits/sec\""),
    ("iperf205/server", "unreadable: line 7: expected a client's header before any figures, found \"[  4]  0.0- 1.0 sec  2.22 MBytes  18.6 Mbits/sec\""),
    ("iperf205/term-middle", "192.0.2.2:5001 tcp; to x1: sent 6689915 B in 2.6000 s, 2 of 18.900-23.100, avg 20.700"),
    ("iperf205/tradeoff", "?:? ?; refused!"),
    ("iperf205/udp-csv", "192.0.2.2:5001 udp; to x1: sent 502740 B in 2.0000 s, received 502740 B in 20.7000 s lost 0 of 342 late 0 jitter 27, avg -; 1 warnings; other!"),
    ("iperf205/udp-overload", "192.0.2.2:5001 udp; to x1: sent 14994637 B in 3.0000 s of 10205, received 7392461 B in 11.7000 s lost 5176 of 10203 late 1 jitter 13264, 3 of ---, avg -; 1 warnings; other!"),
    ("iperf205/udp", "192.0.2.2:5001 udp; to x1: sent 3124756 B in 5.0000 s of 2127, received 3124756 B in 5.0000 s lost 0 of 2126 late 1 jitter 14, 5 of ---, avg 5.000"),
    ("iperfloopback/P2e", "127.0.0.1:15001 tcp; to x2: sent 10758390 B in 2.0150 s retr 4, 2 of 41.900-41.900, avg 42.713, rtt 13/925/1919; 1 warnings"),
    ("iperfloopback/RP2", "127.0.0.1:15001 tcp; from x2: received 10695475 B in 2.0552 s, 2 of 41.900-41.900, avg 41.800, rtt 6/-/-"),
    ("iperfloopback/co", "127.0.0.1:16011 tcp; to x3: avg -, rtt 5/-/-"),
    ("iperfloopback/cross2", "127.0.0.1:15201 tcp; to x1: sent 39741030 B in 0.1712 s, avg -, rtt 28/-/-; 1 warnings; broken off!"),
    ("iperfloopback/dP2", "127.0.0.1:16001 tcp; to x2: sent 10758390 B in 2.0107 s, 2 of 41.943-41.943, avg 42.805, rtt 7/-/-; from x2: received 10737418 B in 2.0502 s, 2 of 41.943-41.943, avg 41.898"),
    ("iperfloopback/dtrade", "127.0.0.1:16002 tcp; to x1: sent 2757755 B in 1.0143 s, avg 21.700, rtt 32/-/-; from x1: received 2747269 B in 1.0504 s, avg 21.000"),
    ("iperfloopback/fdP2", "127.0.0.1:15001 tcp; to x2: sent 10758390 B in 2.0002 s, 2 of 41.943-41.943, avg 43.029, rtt 8/-/-; from x2: received 10737418 B in 2.0501 s, 2 of 41.943-41.943, avg 41.900"),
    ("iperfloopback/is", "127.0.0.1:16014 tcp; to x1: sent 139264 B in 1.0045 s retr 0, 1 of 1.030-1.030, avg 1.110, rtt 26/1770/2073"),
    ("iperfloopback/r1", "127.0.0.1:15001 tcp; to x1: sent 2757755 B in 1.0212 s, avg 21.600, rtt 28/-/-; 1 warnings"),
    ("iperfloopback/tte", "127.0.0.1:16012 tcp; to x1: sent 2757755 B in 1.0015 s retr 0, avg 22.000, rtt 26/106/106"),
    ("iperfloopback/uP2", "127.0.0.1:16007 udp; to x2: sent 2631926 B in 2.0032 s of 1792, received 2621440 B in 2.0032 s lost 1 of 1790, 2 of ---, avg 10.469"),
    ("iperfloopback/uRe", "127.0.0.1:16009 udp; from x1: received 658432 B in 1.0024 s lost 0 of 448 jitter 2, 1 of 5.240-5.240, avg 5.260"),
    ("iperfloopback/uda", "127.0.0.1:15002 udp; to x1: sent 1310720 B in 2.0032 s of 896, received 1310720 B in 2.0032 s lost 0 of 895 jitter 1, avg 5.250; from x1: received 1310720 B in 2.0032 s lost 0 of 895 jitter 1, avg 5.250"),
    ("iperfloopback/ufd", "127.0.0.1:16010 udp; to x1: sent 660480 B in 1.0028 s of 450, avg -; from x1: received 658432 B in 1.0030 s lost 0 of 448 jitter 1, avg 5.250; other!"),
    ("iperfloopback/utt", "127.0.0.1:16013 udp; to x1: sent 660480 B in 1.0027 s of 450, received 660480 B in 1.0028 s lost 0 of 449 jitter 1, avg 5.270"),
    ("iperfloopback/ycP", "127.0.0.1:16005 tcp; to x2: sent 10748024 B in 2.0000 s, 2 of 41.943-41.944, avg 42.992"),
    ("iperfloopback/ycR", "127.0.0.1:16004 tcp; from x1: received 2752512 B in 1.0000 s, 1 of 20.972-20.972, avg 20.972"),
    ("iperfloopback/yce", "127.0.0.1:15002 udp; to x1: sent 655620 B in 1.0000 s, 1 of ---, avg -; refused!"),
    ("iperfloopback/ycfd", "127.0.0.1:16006 tcp; to x1: sent 2752572 B in 1.0000 s, 1 of 20.972-20.972, avg 22.015; 2 warnings"),
];

#[test]
fn every_capture_says_what_the_table_says() {
    for (name, expected) in TABLE {
        let (folder, case) = name.split_once('/').expect("folder/case");
        let capture = Capture::of(folder, case);
        assert_eq!(told(&iperf::read(&capture.output())), *expected, "{name}");
    }
}

#[test]
fn no_capture_is_missing_from_the_table() {
    let captures = common::all().into_iter().filter(|capture| capture.tool() == "iperf");
    let names: Vec<String> = captures.map(|capture| capture.name()).collect();
    let table: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    for name in &names {
        assert!(table.contains(&name.as_str()), "{name} is not in the table");
    }
    assert_eq!(names.len(), table.len());
}

const HEADER: &str = "Client connecting to 192.0.2.2, TCP port 5001\n\
     [  3] local 198.51.100.2 port 40000 connected with 192.0.2.2 port 5001\n";
const UDP_HEADER: &str = "Client connecting to 192.0.2.2, UDP port 5001\n\
     [  3] local 198.51.100.2 port 40000 connected with 192.0.2.2 port 5001\n";

#[test]
fn totals_are_read_in_every_unit() {
    for (figures, bytes, mbps) in [
        ("0.00 Bytes  0.00 bits/sec", 0, 0.0),
        ("1048576 Bytes  8388608 bits/sec", 1_048_576, 8.388_608),
        ("1048576 Bytes  1048576 Bytes/sec", 1_048_576, 8.388_608),
        ("1024 KBytes  8389 Kbits/sec", 1_048_576, 8.389),
        ("1024 KBytes  1024 KBytes/sec", 1_048_576, 8.388_608),
        ("1.00 MBytes  8.39 Mbits/sec", 1_048_576, 8.39),
        ("1,00 MBytes  8,39 Mbits/sec", 1_048_576, 8.39),
        ("1.00 MBytes  1.00 MBytes/sec", 1_048_576, 8.388_608),
        ("46.6 GBytes  400 Gbits/sec", 50_036_368_998, 400_000.0),
        ("46.6 GBytes  46.6 GBytes/sec", 50_036_368_998, 400_290.952),
        ("0.046 TBytes  0.400 Tbits/sec", 50_577_534_878, 400_000.0),
    ] {
        let flow = total(&format!("[  3]  0.0- 1.0 sec  {figures}\n"));
        let sent = flow.sent.expect("a total");
        assert_eq!(sent.bytes, Some(bytes), "{figures}");
        let rate = flow.thruavg_bps.expect("a rate") / 1e6;
        assert!((rate - mbps).abs() < 0.001, "{figures}: {rate}");
    }
}

#[test]
fn a_total_that_cannot_be_is_no_figure() {
    for figures in [
        "16.0 EBytes  147573952589675872256 Bytes/sec",
        "4.00 GBytes  -nan bits/sec",
        "4.00 GBytes  inf bits/sec",
        "-1.00 Bytes  -8.00 bits/sec",
        "1.00 MBytes  90.0 Gbits/sec",
        "\u{fffd}\u{fffd} Bytes  1.00 bits/sec",
        "999 PBytes  9999 Pbits/sec",
    ] {
        let text = format!("{HEADER}[  3]  0.0- 1.0 sec  {figures}\n");
        let reading = read(End::Exited(0), &text, "").expect("a reading");
        let flow = &reading.flows[0];
        assert_eq!((flow.thruavg_bps, reading.bytes()), (None, 0), "{figures}");
        assert_eq!(reading.problem.expect("a problem").kind, Kind::Other, "{figures}");
        assert!(!reading.complete && !reading.warnings.is_empty(), "{figures}");
    }
}

#[test]
fn bytes_that_are_no_text_are_no_figure() {
    let mut text = HEADER.as_bytes().to_vec();
    text.extend(b"[  3]  0.0- 1.0 sec  \xff\xfe\x01 Bytes  147573952589675872256 Bytes/sec\n");
    let output = Output { stdout: &text, stderr: b"", end: End::Exited(0) };
    let reading = iperf::read(&output).expect("a reading");
    assert_eq!(reading.flows[0].thruavg_bps, None);
}

#[test]
fn the_only_stretch_of_a_killed_run_is_an_interval_and_no_total() {
    let text = format!("{HEADER}[  3]  0.0- 1.0 sec  1.00 MBytes  8.39 Mbits/sec\n");
    let killed = read(End::Signalled(9), &text, "").expect("a reading");
    assert_eq!((killed.flows[0].intervals.len(), killed.flows[0].thruavg_bps), (1, None));
    let ended = read(End::Exited(0), &text, "").expect("a reading");
    assert_eq!((ended.flows[0].intervals.len(), ended.flows[0].thruavg_bps), (0, Some(8.39e6)));
}

#[test]
fn the_sum_of_streams_that_come_back_is_the_total_also_with_one_interval() {
    let reverse = |number| {
        format!(
            "[  {number}] local 198.51.100.2 port 4000{number} connected with 192.0.2.2 port 5001 (reverse)\n"
        )
    };
    let rows = "[ *1] 0.0000-1.0000 sec  1.00 MBytes  8.39 Mbits/sec\n\
                [ *2] 0.0000-1.0000 sec  1.00 MBytes  8.39 Mbits/sec\n\
                [SUM] 0.0000-1.0000 sec  2.00 MBytes  16.8 Mbits/sec\n\
                [ *1] 0.0000-1.5000 sec  1.50 MBytes  8.39 Mbits/sec\n\
                [ *2] 0.0000-1.5000 sec  1.50 MBytes  8.39 Mbits/sec\n\
                [SUM] 0.0000-1.5000 sec  3.00 MBytes  16.7 Mbits/sec\n";
    let header = "Client connecting to 192.0.2.2, TCP port 5001\n";
    let text = format!("{header}{}{}{rows}", reverse(1), reverse(2));
    let flow = read(End::Exited(0), &text, "").expect("a reading").flows.remove(0);
    assert_eq!((flow.direction, flow.streams), (Direction::From, 2));
    assert_eq!((flow.thrumax_bps, flow.thruavg_bps), (Some(16.8e6), Some(16.7e6)));
}

#[test]
fn a_sum_that_ends_before_its_streams_is_counted_again() {
    let flow = of_capture("iperf", "P4-summary").flows.remove(0);
    let sent = flow.sent.expect("a total");
    assert_eq!((sent.bytes, sent.end_s), (Some(12_800 * 1024), 5.6298));
    let rate = sent.bits_per_s.expect("a rate");
    assert!(
        (rate - 12_800.0 * 1024.0 * 8.0 / 5.6298).abs() < 1.0,
        "less than the printed 20025 Kbits/sec"
    );
    assert_eq!(flow.by_stream.len(), 4);
}

#[test]
fn a_short_interval_at_the_end_is_not_the_smallest() {
    let flow = of_capture("iperf", "fk-i1").flows.remove(0);
    assert_eq!((flow.intervals.len(), flow.thrumin_bps), (6, Some(17_826_000.0)));
}

#[test]
fn both_ways_of_a_dual_test_are_told_apart_by_the_servers_port() {
    let ways = |case| {
        let flows = of_capture("iperf205", case).flows;
        flows.iter().map(|flow| (flow.direction, flow.thruavg_bps)).collect::<Vec<_>>()
    };
    let expected = [(Direction::To, Some(19.5e6)), (Direction::From, Some(17.3e6))];
    assert_eq!(ways("dual"), expected);
}

#[test]
fn what_was_lost_over_udp_is_in_the_report_of_the_server() {
    let report = |counts: &str| {
        let text = format!(
            "{UDP_HEADER}[  3]  0.0-10.0 sec  1.25 MBytes  1.05 Mbits/sec\n[  3] Sent 893 datagrams\n\
             [  3] Server Report:\n[  3]  0.0-10.0 sec  {counts}\n"
        );
        read(End::Exited(0), &text, "").expect("a reading")
    };
    let all = report("0.00 Bytes  0.00 bits/sec   0.000 ms  893/  893 (100%)");
    let received = all.flows[0].received.clone().expect("a report");
    assert_eq!(
        (received.lost, received.datagrams, received.jitter_us),
        (Some(893), Some(893), None)
    );
    assert_eq!((all.flows[0].thruavg_bps, all.complete), (Some(0.0), true));
    for garbage in ["4294966996/0 (0%)", "900/893 (101%)", "-1/893 (-0.1%)", "0/-1 (-0%)"] {
        let reading = report(&format!("1.25 MBytes  1.05 Mbits/sec  0.010 ms {garbage}"));
        assert_eq!(reading.flows[0].received, None, "{garbage}");
        assert_eq!(reading.problem.expect("a problem").kind, Kind::Other, "{garbage}");
    }
}

#[test]
fn over_udp_a_test_without_a_report_has_no_rate() {
    let silent = format!(
        "{UDP_HEADER}[  3]  0.0- 2.0 sec   257 KBytes  1.05 Mbits/sec\n[  3] Sent 179 datagrams\n"
    );
    let ack = "[  3] WARNING: did not receive ack of last datagram after 10 tries.\n";
    let on_stdout = read(End::Exited(0), &format!("{silent}{ack}"), "").expect("a reading");
    let on_stderr = read(End::Exited(0), &silent, ack).expect("a reading");
    for reading in [on_stdout, on_stderr] {
        assert_eq!(reading.flows[0].thruavg_bps, None);
        assert_eq!(reading.problem.expect("a problem").kind, Kind::NoAnswer);
    }
}

#[test]
fn a_count_of_datagrams_does_not_stand_beside_losses_of_another_test() {
    // Found by fuzzing: a line of csv says 34519 lost, a line of text that 2127 were sent.
    let mixed = "[  3] local 198.51.100.2 port 5 connected with 192.0.2.2 port 5001\n\
                 20261123011617,198.51.100.2,5,192.0.2.2,5001,3,0.0-2.0,502740,1999857,5.0,34519,99999,34.5,1\n\
                 [  3] Sent 2127 datagrams\n";
    let flow = total(mixed);
    for whole in [flow.sent, flow.received].into_iter().flatten() {
        assert!(
            whole.lost.zip(whole.datagrams).is_none_or(|(lost, sent)| lost <= sent),
            "{whole:?}"
        );
    }
}

#[test]
fn retransmits_and_round_trip_times_are_there_with_e() {
    let flow = of_capture("iperf", "e").flows.remove(0);
    let retransmits: Vec<_> = flow.intervals.iter().map(|part| part.retransmits).collect();
    assert_eq!(retransmits, [Some(30), Some(0), Some(0), Some(0)]);
    let rtts: Vec<_> =
        flow.intervals.iter().map(|part| part.rtt.and_then(|rtt| rtt.avg_us)).collect();
    assert_eq!(rtts, [Some(27_215), Some(26_744), Some(24_684), Some(26_105)]);
}

#[test]
fn connected_and_then_refused_is_refused() {
    let reading = of_capture("iperf", "badopt");
    assert_eq!(reading.problem.expect("a problem").text, "tcp connect failed: Connection refused");
    assert_eq!(reading.address.map(|address| address.to_string()).as_deref(), Some("192.0.2.2"));
}

#[test]
fn a_run_that_hung_because_nobody_answered_says_so() {
    let header = HEADER.replace("40000", "0");
    let reading = read(End::TimedOut, &header, "connect failed: Connection timed out\n");
    assert_eq!(reading.expect("a reading").problem.expect("a problem").kind, Kind::NoAnswer);
    let reading = read(End::TimedOut, HEADER, "").expect("a reading");
    assert_eq!(reading.problem.expect("a problem").kind, Kind::Hung);
}

#[test]
fn what_cannot_be_understood_says_why_and_where() {
    for (text, complaint) in [
        ("", "nothing was printed (exit status 0)"),
        (
            "Connecting to host h, port 5201\n",
            "line 1: expected \"Client connecting to\", found \"Connecting to host h, port 5201\"",
        ),
        ("Client connecting to h\n", "line 1: expected \"name, TCP port number\", found \"h\""),
        (
            "Client connecting to h, TCP port x\n",
            "line 1: expected \"name, TCP port number\", found \"h, TCP port x\"",
        ),
        (
            "[  3]  0.0- 1.0 sec  1.00 MBytes  8.39 Mbits/sec\n",
            "line 1: expected a client's header before any figures, found \"[  3]  0.0- 1.0 sec  1.00 MBytes  8.39 Mbits/sec\"",
        ),
        ("1,a,65536,b,5001,3,0.0-1.0,1,8\n", "line 1: expected a port, found \"65536\""),
        (
            "1,a,40000,b,5001,x,0.0-1.0,1,8\n",
            "line 1: expected the number of a stream, found \"x\"",
        ),
        (
            "1,a,40000,b,5001,3,0.0,1,8\n",
            "line 1: expected a time, bytes and a rate, found \"1,a,40000,b,5001,3,0.0,1,8\"",
        ),
    ] {
        let wrong = read(End::Exited(0), text, "").expect_err(text);
        assert_eq!(wrong.to_string(), complaint);
    }
}

fn of_capture(folder: &str, case: &str) -> Throughput {
    iperf::read(&Capture::of(folder, case).output()).expect("a reading")
}

fn read(end: End, stdout: &str, stderr: &str) -> Result<Throughput, Unreadable> {
    iperf::read(&Output { stdout: stdout.as_bytes(), stderr: stderr.as_bytes(), end })
}

/// The one flow of a run that ended after these lines.
#[track_caller]
fn total(lines: &str) -> Flow {
    read(End::Exited(0), &format!("{HEADER}{lines}"), "").expect("a reading").flows.remove(0)
}
