//! Every capture of a thrulay, and what its reader must make of it.
//!
//! Each line of the table was checked by eye against the text of the capture.

mod common;

use std::fmt::Write;

use common::Capture;
use readings::{
    End, Kind, Output, Unreadable,
    throughput::{Flow, Interval, Protocol, RoundTrip, Throughput},
    thrulay,
};

/// Capture; protocol, streams and intervals, rate min/avg/max in Mbit/s, round-trip times in ms; over UDP lost/sent
/// `+`duplicates `~`1-reordered and percentiles of the delay; problem, and whether the total is missing.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("thrulay/basic", "Tcp, 1 of 5, 18.347/18.975/19.393, rtt -/2301337/-"),
    ("thrulay/dark-middle", "Tcp, 1 of 6, 0.000/7.514/19.399, rtt -/1224336/-"),
    ("thrulay/i0", "Tcp, 1 of 0, -/19.001/-, rtt -/2046226/-"),
    ("thrulay/i2-w", "Tcp, 1 of 3, 18.874/19.046/19.135, rtt -/136982/-"),
    ("thrulay/l", "Tcp, 1 of 3, 17.816/18.742/19.522, rtt -/1525285/-"),
    ("thrulay/m3", "Tcp, 3 of 4, 18.348/19.003/19.926, rtt -/2041139/-"),
    ("thrulay/netunreach", "refused!, cut"),
    ("thrulay/noargs", "usage!, cut"),
    ("thrulay/refused", "refused!, cut"),
    ("thrulay/server-dies", "Tcp, 1 of 6, 0.000/6.990/19.400, rtt -/1142816/-, broken off!, cut"),
    ("thrulay/tcp-loss", "Tcp, 1 of 4, 104.853/188.983/267.875, rtt -/263451/-"),
    ("thrulay/term-middle", "Tcp, 1 of 2, 18.333/-/19.404, killed!, cut"),
    ("thrulay/udp-loss", "Udp, 1 of 0, -/-/-, 90/1666 lost +43 ~31, delay 10614 11362 12184 12945 13508"),
    ("thrulay/udp-overload", "Udp, 1 of 0, -/-/-, 4980/10000 lost +0 ~0, delay 11874 50971 51050 51133 51197"),
    ("thrulay/v", "Tcp, 1 of 5, 18.333/18.978/19.416, rtt 22074/1784764/2347748"),
    ("thrulayjson/refused", "refused!, cut"),
    ("thrulayjson/server-dies", "Tcp, 1 of 2, 18.962/18.964/18.962, rtt 205/76630/253796, broken off!, cut"),
    ("thrulayjson/tcp", "Tcp, 2 of 2, 19.031/19.217/19.403, rtt 143/115394/551661"),
    ("thrulayjson/udp", "Udp, 1 of 0, -/4.907/-, 43/833 lost +12 ~9, delay -2250 7500 8250 9125 11500"),
];

#[test]
fn every_capture_says_what_the_table_says() {
    for (name, expected) in TABLE {
        let (folder, case) = name.split_once('/').expect("folder/case");
        assert_eq!(told(&of(folder, case)), *expected, "{name}");
    }
}

#[test]
fn no_capture_is_missing_from_the_table() {
    let captures = common::all().into_iter().filter(|capture| capture.tool() == "thrulay");
    let names: Vec<String> = captures.map(|capture| capture.name()).collect();
    let table: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, table);
}

#[test]
fn rows_of_a_dead_path_are_figures_without_a_delay() {
    let flow = &of_capture("dark-middle").flows[0];
    let dead = &flow.intervals[3];
    assert_eq!((dead.bits_per_s, dead.bytes, dead.rtt), (Some(0.0), Some(0), None));
    assert_eq!(flow.intervals[2].rtt.and_then(|rtt| rtt.avg_us), Some(2_233_914));
}

#[test]
fn what_streams_send_side_by_side_is_added_up() {
    let flow = &of_capture("m3").flows[0];
    let rates: Vec<String> = flow.intervals.iter().map(|it| mbps(it.bits_per_s)).collect();
    assert_eq!(rates, ["18.861", "18.348", "19.926", "18.876"]);
    let rates: Vec<String> = flow.by_stream.iter().map(|it| mbps(it.bits_per_s)).collect();
    assert_eq!(rates, ["6.422", "6.946", "5.635"]);
}

#[test]
fn a_part_of_which_a_stream_is_missing_is_left_out() {
    let capture = Capture::of("thrulay", "m3");
    let text = String::from_utf8(capture.stdout).expect("text");
    let cut = text.find(" ( 2)    3.001").expect("the last row of the last part");
    let flow = &read(End::Signalled(15), &text[..cut], "").expect("a reading").flows[0];
    assert_eq!((flow.streams, flow.intervals.len(), flow.sent.is_some()), (3, 3, false));
}

#[test]
fn bytes_follow_from_rate_and_time() {
    let reading = of_capture("basic");
    assert_eq!(reading.bytes(), 11_861_747, "18.975 Mb/s for 5.001 s");
    assert_eq!(reading.flows[0].intervals[0].bytes, Some(2_293_375));
}

#[test]
fn a_short_interval_at_the_end_does_not_count_in_the_extremes() {
    let text = "#(ID) begin\n ( 0) 0.000 1.000 10.000 1.0 1.0\n ( 0) 1.000 1.100 90.000 1.0 1.0\n";
    let flow = &read(End::Exited(0), text, "").expect("a reading").flows[0];
    assert_eq!((flow.thrumin_bps, flow.thrumax_bps), (Some(10e6), Some(10e6)));
    assert_eq!(flow.intervals.len(), 2);
}

#[test]
fn the_delay_of_an_interval_is_its_median_or_with_v_its_mean() {
    let rtt = |case| of_capture(case).flows[0].intervals[0].rtt;
    let median = RoundTrip { avg_us: Some(539_910), ..RoundTrip::default() };
    assert_eq!(rtt("basic"), Some(median));
    let (min_us, avg_us, max_us) = (Some(22_074), Some(523_901), Some(977_810));
    assert_eq!(rtt("v"), Some(RoundTrip { min_us, avg_us, max_us }));
}

#[test]
fn a_report_on_datagrams_may_have_delays_before_zero_and_no_counts() {
    let text = "Delay:\t\t -1.5ms\n\t  0th:   -2.250ms\nLoss:\t\t 5.402%\n\
                Jitter:\t\t nanms\nDuplication:\t nan%\nReordering:\t nan%\n";
    let reading = read(End::Exited(0), text, "").expect("a reading");
    let flow = &reading.flows[0];
    assert_eq!(flow.delay.and_then(|delay| delay.min_us), Some(-2250));
    let counts = flow.received.as_ref().map(|it| (it.lost, it.datagrams, it.reordered));
    assert_eq!(counts, Some((None, None, None)));
    assert_eq!((reading.protocol, reading.complete), (Some(Protocol::Udp), true));
}

#[test]
fn our_own_document_tells_what_was_sent_again_and_where_it_was_measured() {
    let reading = of("thrulayjson", "tcp");
    assert_eq!(reading.address.map(|it| it.to_string()).as_deref(), Some("192.0.2.2"));
    let flow = &reading.flows[0];
    let again: Vec<_> = flow.intervals.iter().map(|it| it.retransmits).collect();
    assert_eq!((again, flow.by_stream.len()), (vec![Some(898), Some(0)], 2));
    assert_eq!(reading.bytes(), 4_804_464);
    assert_eq!(of("thrulayjson", "udp").warnings.len(), 2, "of the document and of standard error");
}

#[test]
fn a_document_that_is_none_of_ours_says_why() {
    for (text, complaint) in [
        (
            "{",
            "line 1: this is no whole document of thrulay's JSON: EOF while parsing an object at line 1 column 1",
        ),
        ("{\"thrulay\":2}", "expected version 1 of thrulay's JSON at most, found 2"),
        (
            "{\"thrulay\":1,\"tcp\":{\"streams\":1,\"intervals\":[],\"by_stream\":[],\
             \"total\":{\"start_s\":2,\"end_s\":1,\"bytes\":1,\"bits_per_s\":1}}}",
            "expected times and rates that are not below zero, in their order",
        ),
        (
            "{\"thrulay\":1,\"udp\":{\"sent\":1,\"received\":{\"unique\":2,\"duplicates\":0,\
             \"n_reordered\":[],\"span_s\":1}}}",
            "expected no more datagrams received than sent",
        ),
    ] {
        let wrong = read(End::Exited(1), text, "").expect_err(text);
        assert_eq!(wrong.to_string(), complaint);
    }
}

#[test]
fn the_death_of_the_server_is_told_in_its_words() {
    let problem = of_capture("server-dies").problem.expect("a problem");
    assert_eq!(
        (problem.kind, problem.text.as_str()),
        (Kind::Broken, "read: Connection reset by peer")
    );
}

#[test]
fn a_test_that_hung_keeps_its_rows() {
    let capture = Capture::of("thrulay", "term-middle");
    let text = String::from_utf8(capture.stdout).expect("text");
    let reading = read(End::TimedOut, &text, "").expect("a reading");
    assert_eq!(reading.problem.expect("a problem").kind, Kind::Hung);
    assert_eq!(reading.flows[0].intervals.len(), 2);
}

#[test]
fn what_cannot_be_understood_says_why_and_where() {
    let header = "#(ID) begin, s   end, s   Mb/s  RTT delay,ms jitter\n";
    for (text, complaint) in [
        ("", "nothing was printed (exit status 0)"),
        ("hello\n", "line 1: expected a line of thrulay, found \"hello\""),
        (
            &format!("{header} ( 0) 1.0 0.5 1.0 1.0 1.0\n"),
            "line 2: expected a row of thrulay, found \"( 0) 1.0 0.5 1.0 1.0 1.0\"",
        ),
        (
            &format!("{header} ( 0) 0.0 1.0 nan 1.0 1.0\n"),
            "line 2: expected a row of thrulay, found \"( 0) 0.0 1.0 nan 1.0 1.0\"",
        ),
        (
            &format!("{header} (**) 0.0 1.0 1.0 1.0 1.0\n"),
            "line 2: expected the number of a stream, found \"(**) 0.0 1.0 1.0 1.0 1.0\"",
        ),
        (
            "Server used UDP buffer size of 1 bytes\nClient said it sent 1 packets\n\
             Server received 2 unique packets\n",
            "expected fewer datagrams received than sent, and fewer unique than received",
        ),
        ("Delay:\t 1ms\n 0th: xms\n", "line 2: expected a delay, found \"0th: xms\""),
    ] {
        let wrong = read(End::Exited(0), text, "").expect_err(text);
        assert_eq!(wrong.to_string(), complaint);
    }
}

#[test]
fn what_is_read_of_a_beginning_was_there() {
    for capture in common::all().into_iter().filter(|capture| capture.tool() == "thrulay") {
        let whole = of(&capture.folder, &capture.case);
        for length in 0..=capture.stdout.len() {
            let stdout = &capture.stdout[..length];
            let output = Output { stdout, stderr: &[], end: End::Signalled(9) };
            let Ok(part) = thrulay::read(&output) else { continue };
            for (part, whole) in part.flows.iter().zip(&whole.flows) {
                let as_many = part.streams == whole.streams;
                assert!(!as_many || whole.intervals.starts_with(&part.intervals));
                assert!(whole.by_stream.starts_with(&part.by_stream), "{}", capture.name());
                assert!(part.sent.is_none() || part.sent == whole.sent);
            }
        }
    }
}

fn of_capture(case: &str) -> Throughput {
    of("thrulay", case)
}

fn of(folder: &str, case: &str) -> Throughput {
    thrulay::read(&Capture::of(folder, case).output()).expect("a reading")
}

fn read(end: End, stdout: &str, stderr: &str) -> Result<Throughput, Unreadable> {
    thrulay::read(&Output { stdout: stdout.as_bytes(), stderr: stderr.as_bytes(), end })
}

fn told(reading: &Throughput) -> String {
    let mut parts: Vec<String> = reading.protocol.iter().map(|it| format!("{it:?}")).collect();
    parts.extend(reading.flows.iter().map(told_flow));
    if let Some(problem) = &reading.problem {
        parts.push(format!("{}!", problem.kind));
    }
    if !reading.complete {
        parts.push("cut".to_owned());
    }
    parts.join(", ")
}

fn told_flow(flow: &Flow) -> String {
    let rates = [flow.thrumin_bps, flow.thruavg_bps, flow.thrumax_bps];
    let rates: Vec<String> = rates.iter().map(|rate| mbps(*rate)).collect();
    let mut text = format!("{} of {}, {}", flow.streams, flow.intervals.len(), rates.join("/"));
    if let Some(rtt) = &flow.rtt {
        write!(text, ", rtt {}", told_rtt(rtt)).expect("text");
    }
    if let Some(part) = &flow.received {
        write!(text, ", {}", told_datagrams(part)).expect("text");
    }
    if let Some(delay) = &flow.delay {
        let delays = [delay.min_us, delay.p25_us, delay.p50_us, delay.p75_us, delay.p95_us];
        write!(text, ", delay {}", delays.map(|us| us.expect("a delay").to_string()).join(" "))
            .expect("text");
    }
    text
}

fn told_rtt(rtt: &RoundTrip) -> String {
    let times = [rtt.min_us, rtt.avg_us, rtt.max_us];
    times.map(|us| us.map_or("-".to_owned(), |us| us.to_string())).join("/")
}

fn told_datagrams(part: &Interval) -> String {
    let counts = [part.lost, part.datagrams, part.duplicates, part.reordered];
    let [lost, sent, duplicates, reordered] =
        counts.map(|count| count.map_or("?".to_owned(), |count| count.to_string()));
    format!("{lost}/{sent} lost +{duplicates} ~{reordered}")
}

fn mbps(rate: Option<f64>) -> String {
    rate.map_or("-".to_owned(), |rate| format!("{:.3}", rate / 1e6))
}
