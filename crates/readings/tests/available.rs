//! Every capture of pathload and pathchirp, and what their readers must make of it.
//!
//! Each line of the table was checked by eye against the text of the capture.

mod common;

use common::Capture;
use readings::{
    End, Kind, Output, Reading, Unreadable, available::Available, pathchirp::MOST_ESTIMATES,
    read as read_any,
};

/// Capture; address, available bandwidth min/avg/max in Mbit/s, bytes sent, warnings, problem, and whether the
/// result is missing.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("pathchirp/basic", "192.0.2.2, -/-/-, ? bytes, other: no estimate was printed!, cut"),
    ("pathchirp/nosender", "192.0.2.2, -/-/-, ? bytes, refused: pathchirp_rcv: read: Connection refused!, cut"),
    ("pathchirpown/bound", "192.0.2.2, 50.00/-/-, ? bytes, pathchirp_rcv: warning: at least 50.000 Mbit/s are available, and no estimate: it is all that was probed: a higher rate by -u would do, if the sender's own limit allows it"),
    ("pathchirpown/boundjson", "192.0.2.2, 50.00/-/-, 622968 bytes, at least 50.000 Mbit/s are available, and no estimate: it is all that was probed: a higher rate by -u would do, if the sender's own limit allows it"),
    ("pathchirpown/json", "192.0.2.2, 6.93/7.17/7.87, 1233600 bytes"),
    ("pathchirpown/refused", "192.0.2.2, -/-/-, ? bytes, refused: pathchirp_rcv: asking the sender 192.0.2.2:99: Connection refused (os error 111); nobody listens on UDP port 99 there: start a pathchirp_snd, or name its port by -U!, cut"),
    ("pathchirpown/refusedjson", "192.0.2.2, -/-/-, ? bytes, refused: asking the sender 192.0.2.2:99: Connection refused (os error 111); nobody listens on UDP port 99 there: start a pathchirp_snd, or name its port by -U!, cut"),
    ("pathchirpown/text", "192.0.2.2, 6.49/7.10/8.83, ? bytes"),
    ("pathload/basic", "192.0.2.2, 7.54/-/7.60, 1753600 bytes"),
    ("pathload/coalesce", "192.0.2.2, 0.00/-/-, 15971200 bytes, Interrupt coalescion detected, Receiver NIC has interrupt coalescence enabled"),
    ("pathload/coalesce2", "192.0.2.2, 0.00/-/-, 3606400 bytes, Interrupt coalescion detected, Receiver NIC has interrupt coalescence enabled"),
    ("pathload/fast", "192.0.2.2, -/-/-, 3606400 bytes, other: Measurement terminated due to frequent CS @ sender/receiver.!, cut"),
    ("pathload/noargs", "?, -/-/-, ? bytes, usage: usage: pathload_rcv [-q|-v] [-o <filename>] [-N <filename>][-w <bw_resol>] [-h|-H] -s <sender>!, cut"),
    ("pathload/refused", "192.0.2.2, -/-/-, ? bytes, refused: Make sure that pathload_snd runs at sender:: Connection refused!, cut"),
    ("pathload/v", "192.0.2.2, -/-/-, ? bytes, killed: ended by signal 11!, cut"),
    ("pathloadown/text", "198.51.100.1, 48.01/-/52.01, 18531000 bytes, 23 streams were left out: late sender"),
    ("pathloadown/json", "198.51.100.1, 49.12/-/51.95, 9432000 bytes, 4 streams were left out: late sender"),
    ("pathloadown/refused", "?, -/-/-, ? bytes, refused: pathload_rcv: connecting to 198.51.100.1:99: Connection refused: make sure that pathload_snd runs there!, cut"),
    ("pathloadown/refusedjson", "?, -/-/-, 0 bytes, refused: connecting to 198.51.100.1:99: Connection refused: make sure that pathload_snd runs there!, cut"),
    ("pathloadown/cut", "198.51.100.1, 50.18/-/-, 2748000 bytes, 3 streams were left out: late sender, the time was over before the range was as small as it should be"),
];

#[test]
fn every_capture_says_what_the_table_says() {
    for (name, expected) in TABLE {
        let (folder, case) = name.split_once('/').expect("folder/case");
        assert_eq!(told(&of_capture(folder, case)), *expected, "{name}");
    }
}

#[test]
fn no_capture_is_missing_from_the_table() {
    let names: Vec<String> = captures().map(|capture| capture.name()).collect();
    let table: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, table);
}

#[test]
fn a_bound_alone_has_no_other_end() {
    for (words, expected) in [
        ("is greater than 5.00", (Some(5e6), None)),
        ("is at least 5.00", (Some(5e6), None)),
        ("is less than 5.00", (None, Some(5e6))),
        ("is at most 5.00", (None, Some(5e6))),
        ("range : 1.00 - 5.00", (Some(1e6), Some(5e6))),
    ] {
        let text = format!("Available bandwidth {words} (Mbps)\n");
        let found = read("pathload", End::Exited(0), &text, "").expect("a reading");
        assert_eq!((found.min_bps, found.max_bps), expected, "{words}");
        assert!(found.complete && found.problem.is_none());
    }
}

#[test]
fn a_measurement_that_was_given_up_says_why() {
    let text = "\t*****  RESULT *****\nMeasurements terminated due to insufficient probing rate.\n";
    let problem = read("pathload", End::Exited(0), text, "").expect("a reading").problem;
    let problem = problem.expect("a problem");
    assert_eq!(problem.text, "Measurements terminated due to insufficient probing rate.");
    assert_eq!(problem.kind, Kind::Other);
}

/// The words of `crates/pathload/src/client`; its JSON has the same among its warnings.
#[test]
fn what_is_to_be_known_of_a_range_is_kept_beside_it() {
    for said in [
        "3 streams were left out: late sender",
        "Interrupt coalescion detected in 2 streams",
        "the time was over before the range was as small as it should be",
        "the range is wider than it could be: Measurement terminated: timed out: no stream",
    ] {
        let range = "Available bandwidth range : 1.00 - 5.00 (Mbps)";
        let text = format!("\t*****  RESULT *****\n{said}\n{range}\n");
        let found = read("pathload", End::Exited(0), &text, "").expect("a reading");
        assert_eq!(told(&found), format!("?, 1.00/-/5.00, ? bytes, {said}"));
    }
}

#[test]
fn what_breaks_off_within_a_number_is_no_result() {
    let text = "\t*****  RESULT *****\nAvailable bandwidth range : 7.54 - 7.60 (Mbps)";
    let found = read("pathload", End::Exited(0), text, "").expect("a reading");
    assert_eq!((found.min_bps, found.problem.map(|it| it.kind)), (None, Some(Kind::CutShort)));
}

#[test]
fn estimates_are_kept_in_the_order_of_their_lines() {
    let text = "1795398339.123 7.52\n1795398338.5\t8.48\n\n1795398340 nan\n1795398341 -1.0\n";
    let found = read("pathchirp", End::Exited(0), text, "Chirp Number=1\n").expect("a reading");
    let times: Vec<f64> = found.estimates.iter().map(|estimate| estimate.time_s).collect();
    assert_eq!(times, [1_795_398_339.123, 1_795_398_338.5]);
    let rates = [found.min_bps, found.avg_bps, found.max_bps];
    assert_eq!(rates, [Some(7.52e6), Some(8e6), Some(8.48e6)]);
    assert!(found.complete && found.problem.is_none());
}

#[test]
fn a_run_without_an_end_keeps_its_estimates() {
    for (end, stderr, kind) in [
        (End::Signalled(15), "", Kind::Killed),
        (End::TimedOut, "", Kind::Hung),
        (End::Exited(1), "pathchirp_rcv: read: Connection reset by peer\n", Kind::Broken),
        (End::Exited(1), SENDER_DIED, Kind::Broken),
        (End::Exited(1), "", Kind::CutShort),
    ] {
        let found = read("pathchirp", end, "1795398339 7.5\n", stderr).expect("a reading");
        assert_eq!(found.problem.as_ref().map(|problem| problem.kind), Some(kind));
        assert_eq!((found.estimates.len(), found.complete), (1, false));
    }
}

const SENDER_DIED: &str = "pathchirp_rcv: the sender 192.0.2.2:8365 closed unexpectedly: no word\n";

const DISOWNED: &str = "no estimate that can be believed: 9 of 60 chirps count: late sender";

#[test]
fn estimates_that_the_tool_itself_does_not_believe_in_the_end_are_no_figures() {
    let stderr = format!(
        "Sender host is:  192.0.2.2 \n\
         pathchirp_rcv: warning: late sender: 51 of 60 chirps do not count: rest it\n\
         pathchirp_rcv: 0 estimates of 60 chirps; 900 packets of 900 came, 925200 bytes were sent\n\
         pathchirp_rcv: {DISOWNED}\n"
    );
    for stdout in ["1795398339 7.5\n1795398340 8.5\n", "1795398339 7.5", ""] {
        let found = read("pathchirp", End::Exited(1), stdout, &stderr).expect("a reading");
        let why = format!(
            "192.0.2.2, -/-/-, ? bytes, \
             pathchirp_rcv: warning: late sender: 51 of 60 chirps do not count: rest it, \
             other: pathchirp_rcv: {DISOWNED}!, cut"
        );
        assert_eq!(told(&found), why);
        assert!(found.estimates.is_empty(), "{found:?}");
    }
    let json = format!(r#"{{"pathchirp":1,"estimates":[],"problem":"{DISOWNED}"}}"#);
    let found = read("pathchirp", End::Exited(1), &json, "").expect("a reading");
    assert_eq!(told(&found), format!("?, -/-/-, ? bytes, other: {DISOWNED}!, cut"));
}

#[test]
fn the_exit_status_of_the_original_takes_nothing_from_its_estimates() {
    let stderr = "Sender host is:  192.0.2.2 \nOpening file: a.instbw\n\nChirp Number=1\n";
    for status in [0, 1, 255] {
        let found = read("pathchirp", End::Exited(status), "1795398339 7.5\n", stderr);
        assert_eq!(told(&found.expect("a reading")), "192.0.2.2, 7.50/7.50/7.50, ? bytes");
    }
}

/// The words of `crates/pathchirp/src/client/trouble.rs`; pathload and owping test theirs there.
#[test]
fn what_keeps_pathchirp_from_measuring_is_told_by_its_words() {
    for (said, kind) in [
        ("finding a.example: Name or service not known", Kind::UnknownHost),
        ("asking the sender 192.0.2.2:8365: timed out: nobody answered; start one", Kind::NoAnswer),
        ("the sender 192.0.2.2:8365 is busy running a test of others: try again", Kind::Busy),
        ("server denied test: the sender sends no more than 9 packets in a chirp", Kind::Refused),
        ("server denied test: the sender sends no more than 99 octets in a packet", Kind::Refused),
        ("the sender 192.0.2.2:8365 unexpectedly closed the session: it was told to", Kind::Broken),
        ("the client has terminated before its time, as it was told to", Kind::Interrupted),
        ("no estimate: no chirp came", Kind::Other),
    ] {
        let stderr = format!("Sender host is:  192.0.2.2 \npathchirp_rcv: {said}\n");
        let found = read("pathchirp", End::Exited(1), "", &stderr).expect("a reading");
        assert_eq!(found.problem.map(|problem| problem.kind), Some(kind), "{said}");
    }
}

#[test]
fn all_estimates_count_though_not_all_are_kept() {
    let text = "1 2\n".repeat(MOST_ESTIMATES) + "1 8\n";
    let found = read("pathchirp", End::Exited(0), &text, "").expect("a reading");
    assert_eq!((found.estimates.len(), found.max_bps), (MOST_ESTIMATES, Some(8e6)));
}

#[test]
fn what_cannot_be_understood_says_why_and_where() {
    for (tool, text, complaint) in [
        ("pathload", "", "nothing was printed (exit status 0)"),
        ("pathchirp", "", "nothing was printed (exit status 0)"),
        (
            "pathload",
            "hello\n",
            "line 1: expected \"Receiver ... starts measurements\", found \"hello\"",
        ),
        (
            "pathload",
            "Available bandwidth range : 2.00 - 1.00 (Mbps)\n",
            "line 1: expected the lower end first, found \"range : 2.00 - 1.00\"",
        ),
        (
            "pathload",
            "Available bandwidth is nan (Mbps)\n",
            "line 1: expected a range or a bound in Mbps, found \"is nan (Mbps)\"",
        ),
        ("pathchirp", "hello\n", "line 1: expected a time and a rate, found \"hello\""),
        ("pathchirp", "1 2 3\n", "line 1: expected a time and a rate, found \"1 2 3\""),
    ] {
        let wrong = read(tool, End::Exited(0), text, "").expect_err(text);
        assert_eq!(wrong.to_string(), complaint);
    }
}

/// The sender waits for a receiver: it is a server, and nobody's tool.
#[test]
fn the_output_of_a_sender_is_no_reading() {
    let text = "Waiting for receiver to establish control stream => OK\n";
    assert!(read("pathload", End::Signalled(9), text, "").is_err());
}

fn captures() -> impl Iterator<Item = Capture> {
    common::all().into_iter().filter(|it| ["pathload", "pathchirp"].contains(&it.tool()))
}

fn of_capture(tool: &str, case: &str) -> Available {
    let capture = Capture::of(tool, case);
    of(read_any(capture.tool(), &capture.output())).expect("a reading")
}

fn read(tool: &str, end: End, stdout: &str, stderr: &str) -> Result<Available, Unreadable> {
    of(read_any(tool, &Output { stdout: stdout.as_bytes(), stderr: stderr.as_bytes(), end }))
}

fn of(reading: Result<Reading, Unreadable>) -> Result<Available, Unreadable> {
    match reading? {
        Reading::Available(found) => Ok(found),
        other => panic!("{other:?} is of another form"),
    }
}

fn told(reading: &Available) -> String {
    let address = reading.address.map_or("?".to_owned(), |address| address.to_string());
    let rates = [reading.min_bps, reading.avg_bps, reading.max_bps];
    let rates = rates.map(|rate| rate.map_or("-".to_owned(), |rate| format!("{:.2}", rate / 1e6)));
    let bytes = reading.overhead_bytes.map_or("?".to_owned(), |bytes| bytes.to_string());
    let mut parts = vec![address, rates.join("/"), format!("{bytes} bytes")];
    parts.extend(reading.warnings.clone());
    if let Some(problem) = &reading.problem {
        parts.push(format!("{}: {}!", problem.kind, problem.text));
    }
    if !reading.complete {
        parts.push("cut".to_owned());
    }
    parts.join(", ")
}
