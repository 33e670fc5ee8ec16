//! Nothing makes a reader panic, and whatever it gives can be written as JSON.

mod common;

use std::sync::LazyLock;

use common::Capture;
use proptest::{prelude::*, sample::Index};
use readings::{
    Direction, End, Output, Reading, TOOLS, read,
    throughput::{Flow, Interval},
};

/// Read once: the properties ask for them hundreds of times.
static CAPTURES: LazyLock<Vec<Capture>> = LazyLock::new(common::all);

#[test]
fn every_capture_is_a_reading_and_can_be_written_as_json() {
    for capture in CAPTURES.iter().filter(|capture| !is_of_a_server(capture)) {
        let reading = read(capture.tool(), &capture.output()).expect("a reading");
        let json = serde_json::to_value(&reading).expect("JSON");
        let kind = match capture.tool() {
            "iperf" | "iperf3" => "throughput",
            tool => tool,
        };
        assert_eq!(json["tool"], kind, "{}", capture.name());
        assert!(json["complete"].is_boolean());
        assert!(sound(&reading), "{}", capture.name());
    }
}

#[test]
fn the_json_of_a_reading_reads_well() {
    let json = |folder, case| {
        let capture = Capture::of(folder, case);
        serde_json::to_value(read(capture.tool(), &capture.output()).expect("a reading"))
    };
    let ping = json("ping", "kill-middle").expect("JSON");
    assert_eq!(
        ping["packets"][0].to_string(),
        r#"{"bytes":64,"duplicate":false,"rtt_us":21600,"seq":1,"ttl":61}"#
    );
    assert_eq!(ping["problem"]["kind"], "killed");
    assert_eq!(ping["transmitted"], serde_json::Value::Null);
    let trace = json("traceroute", "lossy").expect("JSON");
    assert_eq!(trace["hops"][0]["answers"][0].to_string(), r#"{"address":null,"rtt_us":null}"#);
}

/// Its many tests are not one reading, and a server that could not start measured nothing.
fn is_of_a_server(capture: &Capture) -> bool {
    capture.tool().starts_with("iperf") && capture.case.starts_with("server")
}

#[test]
fn every_beginning_of_every_capture_is_a_reading_or_has_a_reason() {
    for capture in &*CAPTURES {
        let text = shortened(&capture.stdout);
        for length in 0..=text.len() {
            for end in [capture.end, End::Signalled(9), End::TimedOut] {
                let stdout = &text[..length];
                check(capture.tool(), &Output { stdout, end, ..capture.output() });
            }
        }
    }
}

#[test]
fn a_large_capture_may_end_after_any_line() {
    for capture in CAPTURES.iter().filter(|capture| capture.stdout.len() > LARGE) {
        let lines = capture.stdout.split_inclusive(|byte| *byte == b'\n');
        let mut length = 0;
        for (number, line) in lines.enumerate() {
            length += line.len();
            if number % 7 == 0 {
                let stdout = &capture.stdout[..length];
                check(capture.tool(), &Output { stdout, ..capture.output() });
            }
        }
    }
}

/// A capture of more bytes has lines taken out before each of its beginnings is read.
const LARGE: usize = 6 * 1024;

/// The text; of a large one about as many lines from its begin and its end as make half of that.
fn shortened(text: &[u8]) -> Vec<u8> {
    const EDGE: usize = 2200;
    if text.len() <= LARGE {
        return text.to_vec();
    }
    let whole_lines =
        |part: &[u8]| part.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let begin = whole_lines(&text[..EDGE]);
    let end = whole_lines(&text[..text.len() - EDGE]);
    [&text[..begin], &text[end..]].concat()
}

#[test]
fn the_mean_rate_of_a_capture_lies_between_the_smallest_and_the_largest() {
    for capture in CAPTURES.iter().filter(|capture| !is_of_a_server(capture)) {
        let Ok(Reading::Throughput(reading)) = read(capture.tool(), &capture.output()) else {
            continue;
        };
        for flow in &reading.flows {
            let own = if flow.direction == Direction::To { &flow.sent } else { &flow.received };
            let mean = own.as_ref().and_then(|own| own.bits_per_s);
            let Some(((min, max), mean)) = flow.thrumin_bps.zip(flow.thrumax_bps).zip(mean) else {
                continue;
            };
            // A rest at the end counts only in the mean.
            assert!(min <= mean * 1.25 && mean <= max * 1.25, "{}", capture.name());
        }
    }
}

#[test]
fn what_is_read_of_a_beginning_was_there() {
    for capture in CAPTURES.iter().filter(|capture| capture.tool() == "ping") {
        let whole = readings::ping::read(&capture.output()).expect("a reading");
        for length in 0..=capture.stdout.len() {
            let stdout = &capture.stdout[..length];
            let output = Output { stdout, stderr: &[], end: End::Signalled(9) };
            let Ok(part) = readings::ping::read(&output) else { continue };
            assert!(whole.packets.starts_with(&part.packets), "{} to {length}", capture.name());
            assert!(part.transmitted.is_none_or(|sent| Some(sent) == whole.transmitted));
        }
    }
}

#[test]
fn no_tool_without_a_reader_is_read() {
    let wrong = read("nosuch", &output(b"")).expect_err("no reader");
    assert_eq!(wrong.to_string(), "there is no reader for \"nosuch\"");
}

/// A reader that takes more than linear time, or keeps what it reads, does not come to its end here.
#[test]
fn huge_rubbish_is_read_to_its_end_or_rejected_before() {
    const MEGABYTE: usize = 1 << 20;
    let ping = b"PING h (192.0.2.2) 56(84) bytes of data.\n";
    let traceroute = b"traceroute to h (192.0.2.2)\n 1 ";
    let iperf = b"Client connecting to h, TCP port 5001\n";
    let iperf3 = b"Connecting to host h, port 5201\n";
    let second = b"[  3]  1.0- 2.0 sec  1.00 MBytes  8.39 Mbits/sec\n";
    let document = b"{\"intervals\":[";
    for text in [
        vec![b'x'; 50 * MEGABYTE],
        b"x\n".repeat(25 * MEGABYTE),
        b"\n".repeat(5 * MEGABYTE),
        [&ping[..], &b"x y\n".repeat(MEGABYTE)].concat(),
        [&ping[..], &b".".repeat(50 * MEGABYTE)].concat(),
        [&traceroute[..], &b" *".repeat(25 * MEGABYTE)].concat(),
        [&iperf[..], &second.repeat(MEGABYTE / 4)].concat(),
        [&iperf3[..], &second.repeat(MEGABYTE / 4)].concat(),
        [&document[..], &b"{},".repeat(10 * MEGABYTE), &b"{}]}"[..]].concat(),
        [&document[..], &b"[".repeat(10 * MEGABYTE)].concat(),
    ] {
        // The two iperfs have one reader.
        for tool in TOOLS.iter().filter(|tool| **tool != "miperf") {
            check(tool, &output(&text));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_reading_or_have_a_reason(stdout: Vec<u8>, stderr: Vec<u8>) {
        for tool in TOOLS {
            check(tool, &Output { stdout: &stdout, stderr: &stderr, end: End::Exited(1) });
        }
    }

    #[test]
    fn a_damaged_capture_is_a_reading_or_has_a_reason(
        which: Index,
        damage in prop::collection::vec((any::<Index>(), piece()), 1..6),
    ) {
        let mut text = which.get(&CAPTURES).stdout.clone();
        for (place, piece) in damage {
            let place = place.index(text.len() + 1);
            let end = (place + piece.len()).min(text.len());
            text.splice(place..end, piece);
        }
        for tool in TOOLS {
            check(tool, &output(&text));
        }
    }

    #[test]
    fn a_capture_with_its_lines_in_disorder_is_a_reading_or_has_a_reason(
        which: Index,
        order in prop::collection::vec(any::<Index>(), 1..40),
    ) {
        let capture = which.get(&CAPTURES);
        let lines: Vec<&[u8]> = capture.stdout.split_inclusive(|byte| *byte == b'\n').collect();
        let Some(first) = lines.first() else { return Ok(()) };
        let mut text = first.to_vec();
        text.extend(order.iter().flat_map(|index| *index.get(&lines)));
        check(capture.tool(), &output(&text));
    }
}

/// What may be written into a capture: anything, or a number or word that hurts.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let evil = prop::sample::select(vec![
        "nan",
        "inf",
        "-1",
        "0",
        "65535",
        "65536",
        "4294967296",
        "18446744073709551615",
        "1e309",
        "\n",
        "\r",
        "\0",
        "(",
        ")",
        ": ",
        "=",
        "%",
        "[",
        "]",
        "!",
        "<",
        "*",
        "'",
        " ms",
        "\u{fffd}",
        "=-",
        "-nan",
        "\"",
        "{",
        "}",
        ",",
        "null",
        " sec ",
        "[SUM]",
        "[  4]",
        "*",
        " MBytes  ",
        " Gbits/sec",
    ]);
    prop_oneof![
        evil.prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ]
}

fn output(stdout: &[u8]) -> Output<'_> {
    Output { stdout, stderr: &[], end: End::Exited(0) }
}

fn check(tool: &str, output: &Output<'_>) {
    match read(tool, output) {
        Ok(reading) => {
            assert!(sound(&reading));
            let json = serde_json::to_string(&reading).expect("JSON");
            assert!(json.starts_with('{'));
        }
        Err(wrong) => assert!(!wrong.to_string().is_empty() && wrong.reason.len() < 2000),
    }
}

/// What holds of every reading.
fn sound(reading: &Reading) -> bool {
    match reading {
        Reading::Ping(ping) => {
            let figures = [ping.min_ms, ping.avg_ms, ping.max_ms, ping.mdev_ms, ping.loss_ratio];
            let ratio = ping.loss_ratio.is_none_or(|ratio| (0.0..=1.0).contains(&ratio));
            let lost = ping.transmitted.map(|sent| sent - ping.received) == ping.lost;
            let explained = ping.complete || ping.problem.is_some();
            ratio && lost && explained && figures.iter().flatten().all(|figure| figure.is_finite())
        }
        Reading::Traceroute(trace) => {
            let explained = trace.complete || trace.problem.is_some();
            explained && trace.numhops <= 255 && trace.route().len() == trace.numhops as usize
        }
        Reading::Throughput(throughput) => {
            let explained = throughput.complete || throughput.problem.is_some();
            explained && throughput.warnings.len() <= 16 && throughput.flows.iter().all(is_sound)
        }
        Reading::Available(_) | Reading::OneWay(_) => {
            unreachable!("no such capture")
        }
    }
}

/// What holds of everything that went one way.
fn is_sound(flow: &Flow) -> bool {
    let rates = [flow.thrumin_bps, flow.thruavg_bps, flow.thrumax_bps];
    let ordered = flow.thrumin_bps.zip(flow.thrumax_bps).is_none_or(|(min, max)| min <= max);
    let intervals = flow.intervals.iter().chain(&flow.by_stream);
    let mut all = intervals.chain(&flow.sent).chain(&flow.received);
    ordered && rates.iter().flatten().all(|rate| is_figure(*rate)) && all.all(can_be)
}

fn can_be(interval: &Interval) -> bool {
    let rates = [interval.bits_per_s, interval.jitter_us];
    let lost = interval.lost.zip(interval.datagrams).is_none_or(|(lost, sent)| lost <= sent);
    let times =
        0.0 <= interval.start_s && interval.start_s <= interval.end_s && is_figure(interval.end_s);
    lost && times && rates.iter().flatten().all(|figure| is_figure(*figure))
}

fn is_figure(number: f64) -> bool {
    number.is_finite() && number >= 0.0
}
