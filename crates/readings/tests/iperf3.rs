//! Every capture of an iperf 3, and what its reader must make of it.
//!
//! Each line of the table was checked by eye against the text of the capture.

mod common;

use common::{Capture, throughput::told};
use readings::{Direction, End, Kind, Output, Unreadable, iperf3, throughput::Throughput};

/// Capture; server, protocol; by direction the streams, the totals (bytes, seconds, retransmits, lost, of how
/// many, how many late, jitter in us), how many intervals with the smallest and largest rate, the mean rate in
/// Mbit/s, round-trip times in us; problem.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("iperf3/P3", "192.0.2.2:5201 tcp; to x3: sent 7895777 B in 3.0000 s retr 173, received 7245660 B in 3.0600 s, 3 of 17.700-24.000, avg 18.900"),
    ("iperf3/R", "192.0.2.2:5201 tcp; from x1: sent 7927235 B in 3.0200 s retr 27, received 7109345 B in 3.0000 s, 3 of 18.600-19.100, avg 19.000"),
    ("iperf3/badopt", "?:? ?; usage!"),
    ("iperf3/busy-json", "?:? ?; busy!"),
    ("iperf3/dark-R-long", "192.0.2.2:5397 tcp; from x1: received 655360 B in 6.0000 s, 6 of 0.000-2.100, avg 0.874; broken off!"),
    ("iperf3/dark-long", "192.0.2.2:5399 tcp; to x1: sent 655360 B in 6.0000 s retr 31, 6 of ---, avg -; broken off!"),
    ("iperf3/dark-middle-json", "?:? ?; killed!"),
    ("iperf3/hostunreach", "?:? ?; network unreachable!"),
    ("iperf3/i0", "192.0.2.2:5201 tcp; to x1: sent 7591690 B in 3.0000 s retr 27, received 7130317 B in 3.0300 s, 1 of 20.200-20.200, avg 18.800"),
    ("iperf3/kill-middle", "?:? ?; killed!"),
    ("iperf3/logged", "192.0.2.2:5201 tcp; to x1: sent 5316280 B in 2.0000 s retr 28, received 4729078 B in 2.0200 s, 2 of 18.200-24.300, avg 18.700"),
    ("iperf3/netunreach-json", "?:? ?; network unreachable!"),
    ("iperf3/refused-json", "?:? ?; refused!"),
    ("iperf3/refused", "?:? ?; refused!"),
    ("iperf3/server-dark", "unreadable: line 5: expected a client's header, not a server's output, found \"[  5] local 192.0.2.2 port 5201 connected to 198.51.100.2 port 49786\""),
    ("iperf3/server-json", "unreadable: expected a client's document, found a server's"),
    ("iperf3/server-killed", "?:? ?; killed!"),
    ("iperf3/server-termd", "unreadable: line 5: expected a client's header, not a server's output, found \"[  5] local 192.0.2.2 port 5201 connected to 198.51.100.2 port 49768\""),
    ("iperf3/server", "unreadable: line 5: expected a client's header, not a server's output, found \"[  5] local 192.0.2.2 port 5201 connected to 198.51.100.2 port 34248\""),
    ("iperf3/term-middle", "192.0.2.2:5201 tcp; to x1: sent 6155141 B in 2.3800 s retr 13, 3 of 18.200-23.700, avg 20.700; interrupted!"),
    ("iperf3/text-fk", "192.0.2.2:5201 tcp; to x1: sent 7591690 B in 3.0000 s retr 29, received 7119831 B in 3.0200 s, 3 of 18.244-24.266, avg 18.843"),
    ("iperf3/text", "192.0.2.2:5201 tcp; to x1: sent 10202644 B in 4.0000 s retr 27, received 9521070 B in 4.0300 s, 4 of 18.200-24.300, avg 18.900"),
    ("iperf3/udp-json", "192.0.2.2:5201 udp; to x1: sent 1875160 B in 3.0001 s of 1295, received 1875160 B in 3.0218 s lost 0 of 1295 late 0 jitter 15, 3 of ---, avg 4.964"),
    ("iperf3/udp-loss", "192.0.2.2:5201 udp; to x1: sent 1876951 B in 3.0000 s of 1295, received 1772093 B in 3.0200 s lost 69 of 1295 jitter 28, 3 of ---, avg 4.700"),
    ("iperf3/unknownhost-json", "?:? ?; unknown host!"),
    ("iperf3/unknownhost", "?:? ?; unknown host!"),
    ("iperf3loopback/RJ", "127.0.0.1:16504 tcp; from x1: sent 2621440 B in 1.0007 s retr 0, received 2621440 B in 1.0001 s, 1 of 20.969-20.969, avg 20.969"),
    ("iperf3loopback/V", "127.0.0.1:16510 tcp; to x1: sent 2621440 B in 1.0000 s retr 0, received 2621440 B in 1.0000 s, 1 of 21.000-21.000, avg 21.000"),
    ("iperf3loopback/bid", "127.0.0.1:16501 tcp; to x1: sent 5117051 B in 2.0000 s retr 0, received 5117051 B in 2.0000 s, 2 of 19.900-21.000, avg 20.400; from x1: sent 5117051 B in 2.0000 s retr 0, received 5117051 B in 2.0000 s, 2 of 19.900-21.000, avg 20.400"),
    ("iperf3loopback/bidJ", "127.0.0.1:16503 tcp; to x2: sent 5242880 B in 1.0001 s retr 0, received 5242880 B in 1.0002 s, 1 of 41.939-41.939, avg 41.937, rtt 64/73/82; from x2: sent 5242880 B in 1.0001 s retr 0, received 5242880 B in 1.0002 s, 1 of 41.939-41.939, avg 41.937, rtt 5/6/7"),
    ("iperf3loopback/bidP", "127.0.0.1:16502 tcp; to x2: sent 5242880 B in 1.0000 s retr 0, received 5242880 B in 1.0000 s, 1 of 41.900-41.900, avg 41.900; from x2: sent 5242880 B in 1.0000 s retr 0, received 5242880 B in 1.0000 s, 1 of 41.900-41.900, avg 41.900"),
    ("iperf3loopback/cross3", "?:? ?; broken off!"),
    ("iperf3loopback/fG", "127.0.0.1:16514 tcp; to x1: sent 2899102925 B in 1.0000 s retr 0, received 2888365507 B in 1.0000 s, 1 of 23192.823-23192.823, avg 23106.924"),
    ("iperf3loopback/fK", "127.0.0.1:16513 tcp; to x1: sent 2684354560 B in 1.0000 s retr 7, received 2684354560 B in 1.0000 s, 1 of 21450.883-21450.883, avg 21372.166"),
    ("iperf3loopback/fT", "127.0.0.1:16515 tcp; to x1: sent 2759516488 B in 1.0000 s retr 1, received 2759516488 B in 1.0000 s, 1 of 22076.132-22076.132, avg 22076.132"),
    ("iperf3loopback/gso", "127.0.0.1:16516 tcp; to x1: sent 2621440 B in 1.0000 s retr 0, received 2621440 B in 1.0000 s, 1 of 21.000-21.000, avg 21.000"),
    ("iperf3loopback/intJ", "127.0.0.1:16517 tcp; to x1: sent 1048576 B in 1.4929 s retr 0, 2 of 5.242-5.242, avg 5.619, rtt 38/43/48; interrupted!"),
    ("iperf3loopback/om", "127.0.0.1:16511 tcp; to x1: sent 4980736 B in 2.0000 s retr 0, received 4980736 B in 2.0000 s, 2 of 19.900-19.900, avg 19.900"),
    ("iperf3loopback/ts", "127.0.0.1:16512 tcp; to x1: sent 2621440 B in 1.0000 s retr 0, received 2621440 B in 1.0000 s, 1 of 21.000-21.000, avg 20.900"),
    ("iperf3loopback/uP", "127.0.0.1:16507 udp; to x2: sent 1310720 B in 1.0000 s of 40, received 1310720 B in 1.0000 s lost 0 of 40 jitter 61, 1 of ---, avg 10.500"),
    ("iperf3loopback/uR", "127.0.0.1:16506 udp; from x1: sent 1279263 B in 2.0000 s of 39, received 1279263 B in 2.0000 s lost 0 of 39 jitter 159, 2 of 4.980-5.240, avg 5.110"),
    ("iperf3loopback/uRJ", "127.0.0.1:16508 udp; from x1: sent 655360 B in 1.0037 s of 20, received 655360 B in 1.0037 s lost 0 of 20 late 0 jitter 5, 1 of 5.224-5.224, avg 5.224"),
    ("iperf3loopback/ubJ", "127.0.0.1:16509 udp; to x1: sent 655360 B in 1.0001 s of 20, received 655360 B in 1.0004 s lost 0 of 20 late 0 jitter 3, 1 of ---, avg 5.241; from x1: sent 655360 B in 1.0001 s of 20, received 655360 B in 1.0004 s lost 0 of 20 late 0 jitter 77, 1 of 5.242-5.242, avg 5.241"),
];

#[test]
fn every_capture_says_what_the_table_says() {
    for (name, expected) in TABLE {
        let (folder, case) = name.split_once('/').expect("folder/case");
        let capture = Capture::of(folder, case);
        assert_eq!(told(&iperf3::read(&capture.output())), *expected, "{name}");
    }
}

#[test]
fn no_capture_is_missing_from_the_table() {
    let captures = common::all().into_iter().filter(|capture| capture.tool() == "iperf3");
    let names: Vec<String> = captures.map(|capture| capture.name()).collect();
    let table: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    for name in &names {
        assert!(table.contains(&name.as_str()), "{name} is not in the table");
    }
    assert_eq!(names.len(), table.len());
}

const HEADER: &str = "Connecting to host 192.0.2.2, port 5201\n\
     [  5] local 198.51.100.2 port 40000 connected to 192.0.2.2 port 5201\n";

#[test]
fn totals_are_read_in_every_unit() {
    for (figures, bytes, mbps) in [
        ("0.00 Bytes  0.00 bits/sec", 0, 0.0),
        ("1024 KBytes  8389 Kbits/sec", 1_048_576, 8.389),
        ("1.00 MBytes  1.00 MBytes/sec", 1_048_576, 8.388_608),
        ("1,00 MBytes  8,39 Mbits/sec", 1_048_576, 8.39),
        ("46.6 GBytes  400 Gbits/sec", 50_036_368_998, 400_000.0),
        ("46.6 GBytes  0.40 Tbits/sec", 50_036_368_998, 400_000.0),
        ("512 KBytes  0.00 Gbits/sec", 524_288, 4.194_304),
    ] {
        let reading = done(&format!(
            "[  5]   0.00-1.00   sec  {figures}    0    sender\n\
             [  5]   0.00-1.00   sec  {figures}         receiver\n"
        ));
        let flow = &reading.flows[0];
        assert_eq!(flow.received.as_ref().and_then(|total| total.bytes), Some(bytes), "{figures}");
        let rate = flow.thruavg_bps.expect("a rate") / 1e6;
        assert!((rate - mbps).abs() < 0.001, "{figures}: {rate}");
        assert!(reading.complete);
    }
}

#[test]
fn after_an_interrupt_what_the_other_side_had_is_no_figure() {
    let reading = of_capture("iperf3", "term-middle");
    let flow = &reading.flows[0];
    assert_eq!(flow.received, None, "0.00 Bytes are printed");
    assert_eq!(flow.thruavg_bps, Some(20.7e6));
    assert_eq!(reading.problem.expect("a problem").kind, Kind::Interrupted);
    let json = of_capture("iperf3loopback", "intJ");
    assert_eq!(json.flows[0].received, None);
    assert_eq!(json.problem.expect("a problem").kind, Kind::Interrupted);
}

#[test]
fn a_run_at_its_limit_hung_although_the_tool_calls_it_an_interrupt() {
    let capture = Capture::of("iperf3", "term-middle");
    let reading = iperf3::read(&Output { end: End::TimedOut, ..capture.output() });
    assert_eq!(reading.expect("a reading").problem.expect("a problem").kind, Kind::Hung);
}

#[test]
fn nothing_that_arrives_over_udp_is_a_rate_of_zero() {
    let header =
        "[ ID] Interval           Transfer     Bitrate         Jitter    Lost/Total Datagrams\n";
    let reading = done(&format!(
        "{header}[  5]   0.00-3.00   sec  1.79 MBytes  5.00 Mbits/sec  0.000 ms  0/1295 (0%)  sender\n\
         [  5]   0.00-3.02   sec  0.00 Bytes  0.00 bits/sec  0.000 ms  1295/1295 (100%)  receiver\n"
    ));
    let received = reading.flows[0].received.clone().expect("a count");
    assert_eq!(
        (received.lost, received.datagrams, received.jitter_us),
        (Some(1295), Some(1295), None)
    );
    assert_eq!((reading.flows[0].thruavg_bps, reading.complete), (Some(0.0), true));
}

#[test]
fn what_was_sent_after_the_last_datagram_that_arrived_is_lost() {
    let header =
        "[ ID] Interval           Transfer     Bitrate         Jitter    Lost/Total Datagrams\n";
    let reading = done(&format!(
        "{header}[  5]   0.00-2.00   sec  2.38 MBytes  10.0 Mbits/sec  0.000 ms  0/1726 (0%)  sender\n\
         [  5]   0.00-2.00   sec  542 KBytes  2.22 Mbits/sec  0.245 ms  3/383 (0.8%)  receiver\n"
    ));
    let received = reading.flows[0].received.clone().expect("a count");
    assert_eq!((received.lost, received.datagrams), (Some(3 + 1726 - 383), Some(1726)));
    // What was lost while a test warmed up may be counted by one end only.
    let more = done(&format!(
        "{header}[  5]   0.00-2.00   sec  2.38 MBytes  10.0 Mbits/sec  0.000 ms  0/1700 (0%)  sender\n\
         [  5]   0.00-2.00   sec  2.38 MBytes  10.0 Mbits/sec  0.245 ms  3/1726 (0.2%)  receiver\n"
    ));
    let received = more.flows[0].received.clone().expect("a count");
    assert_eq!((received.lost, received.datagrams), (Some(3), Some(1726)));
}

#[test]
fn an_error_in_a_document_is_the_problem_whatever_the_status() {
    for (case, kind) in [
        ("busy-json", Kind::Busy),
        ("refused-json", Kind::Refused),
        ("unknownhost-json", Kind::UnknownHost),
        ("netunreach-json", Kind::NetworkUnreachable),
    ] {
        let capture = Capture::of("iperf3", case);
        assert_eq!(capture.end, End::Exited(0));
        assert_eq!(of_capture("iperf3", case).problem.expect("a problem").kind, kind);
    }
}

#[test]
fn errors_of_the_tool_have_their_kinds() {
    for (said, kind) in [
        ("unable to connect to server: Connection timed out", Kind::NoAnswer),
        ("unable to connect to server: No route to host", Kind::NetworkUnreachable),
        ("the server is busy running a test. try again later", Kind::Busy),
        ("control socket has closed unexpectedly", Kind::Broken),
        ("unable to receive control message: Connection reset by peer", Kind::Broken),
        ("unable to read from stream socket: Connection refused", Kind::Refused),
        ("the server has terminated", Kind::Broken),
        ("idle timeout for receiving data", Kind::NoAnswer),
        ("test authorization failed", Kind::NotPermitted),
        ("parameter error - bad format specifier", Kind::Usage),
        ("something new", Kind::Other),
    ] {
        let reading = read(End::Exited(1), "", &format!("iperf3: error - {said}\n"));
        let problem = reading.expect("a reading").problem.expect("a problem");
        assert_eq!((problem.kind, problem.text), (kind, format!("iperf3: error - {said}")));
    }
}

#[test]
fn a_document_that_breaks_off_says_where() {
    let capture = Capture::of("iperf3", "udp-json");
    let half = &capture.stdout[..1000];
    let output = |end| Output { stdout: half, stderr: b"", end };
    let wrong = iperf3::read(&output(End::Exited(0))).expect_err("half a document");
    assert!(wrong.reason.starts_with("this is no whole document of JSON: EOF while parsing"));
    assert_eq!(wrong.line, Some(46));
    let killed = iperf3::read(&output(End::Signalled(9))).expect("a reading");
    assert_eq!(killed.problem.expect("a problem").kind, Kind::Killed);
}

#[test]
fn both_ways_at_once_are_two_flows_in_text_and_in_json() {
    for case in ["bid", "bidP", "bidJ", "ubJ"] {
        let flows = of_capture("iperf3loopback", case).flows;
        let ways: Vec<Direction> = flows.iter().map(|flow| flow.direction).collect();
        assert_eq!(ways, [Direction::To, Direction::From], "{case}");
    }
}

#[test]
fn intervals_to_warm_up_do_not_count() {
    let flow = of_capture("iperf3loopback", "om").flows.remove(0);
    assert_eq!((flow.intervals.len(), flow.intervals[0].start_s), (2, 0.0));
}

#[test]
fn impossible_numbers_of_a_document_are_no_figures() {
    let start = r#""start":{"connected":[{"remote_host":"192.0.2.2","remote_port":5201}],"test_start":{"protocol":"TCP","num_streams":1}}"#;
    for sum in [
        r#""end":1,"bytes":-1,"bits_per_second":8"#,
        r#""end":1,"bytes":1,"bits_per_second":null"#,
        r#""end":1,"bytes":1,"bits_per_second":1e300"#,
        r#""end":1,"bytes":1e300,"bits_per_second":8"#,
        r#""end":-1,"bytes":1,"bits_per_second":8"#,
    ] {
        let text = format!(r#"{{{start},"end":{{"sum_sent":{{{sum}}}}}}}"#);
        let reading = read(End::Exited(0), &text, "").expect("a reading");
        assert_eq!(reading.flows[0].thruavg_bps, None, "{sum}");
        assert!(!reading.complete, "{sum}");
    }
}

#[test]
fn what_cannot_be_understood_says_why_and_where() {
    for (text, complaint) in [
        ("", "nothing was printed (exit status 0)"),
        (
            "Client connecting to h, TCP port 5001\n",
            "line 1: expected \"Connecting to host\", found \"Client connecting to h, TCP port 5001\"",
        ),
        (
            "{]",
            "line 1: this is no whole document of JSON: key must be a string at line 1 column 2",
        ),
        (
            "{\"start\":{\"accepted_connection\":{}}}",
            "expected a client's document, found a server's",
        ),
    ] {
        let wrong = read(End::Exited(0), text, "").expect_err(text);
        assert_eq!(wrong.to_string(), complaint);
    }
}

fn of_capture(folder: &str, case: &str) -> Throughput {
    iperf3::read(&Capture::of(folder, case).output()).expect("a reading")
}

fn read(end: End, stdout: &str, stderr: &str) -> Result<Throughput, Unreadable> {
    iperf3::read(&Output { stdout: stdout.as_bytes(), stderr: stderr.as_bytes(), end })
}

/// A run to its end, after the header.
#[track_caller]
fn done(lines: &str) -> Throughput {
    read(End::Exited(0), &format!("{HEADER}{lines}\niperf Done.\n"), "").expect("a reading")
}
