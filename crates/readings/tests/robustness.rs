//! Nothing makes a reader panic, and whatever it gives can be written as JSON.

mod common;

use std::sync::LazyLock;

use common::{
    Capture,
    soundness::{check, sound},
};
use proptest::{prelude::*, sample::Index};
use readings::{Direction, End, Output, Reading, TOOLS, read};

/// Read once: the properties ask for them hundreds of times.
static CAPTURES: LazyLock<Vec<Capture>> = LazyLock::new(common::all);

#[test]
fn every_capture_is_a_reading_and_can_be_written_as_json() {
    for capture in CAPTURES.iter().filter(|capture| !is_of_a_server(capture)) {
        let reading = read(capture.tool(), &capture.output()).expect("a reading");
        let json = serde_json::to_value(&reading).expect("JSON");
        assert_eq!(json["tool"], kind(capture.tool()), "{}", capture.name());
        assert!(json["complete"].is_boolean());
        assert!(sound(&reading), "{}", capture.name());
    }
}

/// The word by which the JSON of a reading tells its form.
fn kind(tool: &str) -> &str {
    match tool {
        "owping" => "oneway",
        "iperf" | "iperf3" | "thrulay" => "throughput",
        "pathload" | "pathchirp" => "available",
        other => other,
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
        for length in beginnings(&capture.stdout) {
            for end in [capture.end, End::Signalled(9), End::TimedOut] {
                let stdout = &capture.stdout[..length];
                check(capture.tool(), &Output { stdout, end, ..capture.output() });
            }
        }
    }
}

/// Where a text may break off: everywhere, or if it is long at its begin, its end, and about each line's end.
fn beginnings(text: &[u8]) -> Vec<usize> {
    const LONG: usize = 8 * 1024;
    const MARGIN: usize = 2 * 1024;
    let near_a_line_end = |place: usize| {
        let around = place.saturating_sub(1)..(place + 1).min(text.len());
        text.get(around).is_some_and(|bytes| bytes.contains(&b'\n'))
    };
    let everywhere = 0..=text.len();
    let chosen = |place: &usize| {
        text.len() <= LONG
            || *place <= MARGIN
            || text.len() - *place <= MARGIN
            || near_a_line_end(*place)
    };
    everywhere.filter(chosen).collect()
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
        vec![b'x'; 4 * MEGABYTE],
        b"x\n".repeat(MEGABYTE),
        b"\n".repeat(MEGABYTE),
        [&ping[..], &b"x y\n".repeat(MEGABYTE / 4)].concat(),
        [&ping[..], &b".".repeat(4 * MEGABYTE)].concat(),
        [&traceroute[..], &b" *".repeat(2 * MEGABYTE)].concat(),
        b"1795398339.123 7.52\n".repeat(MEGABYTE / 8),
        b"1 1 0 0 2 0 0 255\n".repeat(MEGABYTE / 8),
        [&b"#(ID)\n"[..], &b" ( 0) 0 1 18.3 1.0 1.0\n".repeat(MEGABYTE / 8)].concat(),
        b"Available bandwidth range : 1 - 2 (Mbps)\nx coalesc\n".repeat(MEGABYTE / 8),
        [
            &b"--- owping statistics from [a]:1 to [b]:2 ---\n"[..],
            &b"seq_no=1 *LOST*\n".repeat(MEGABYTE / 8),
        ]
        .concat(),
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
        "\t",
        "#",
        "e",
        "nan/nan",
        "[a]",
        "-nan",
        "\"",
        "{",
        "}",
        ",",
        "null",
        " sec ",
        "[SUM]",
        "[  4]",
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
