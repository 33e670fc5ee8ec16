//! Every capture of pathload and pathchirp, and what their readers must make of it.
//!
//! Each line of the table was checked by eye against the text of the capture.

mod common;

use common::Capture;
use readings::{End, Kind, Output, Reading, Unreadable, available::Available, read as read_any};

/// Capture; address, available bandwidth min/avg/max in Mbit/s, bytes sent, warnings, problem, and whether the
/// result is missing.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("pathchirp/basic", "192.0.2.2, -/-/-, ? bytes, other: no estimate was printed!, cut"),
    ("pathchirp/nosender", "192.0.2.2, -/-/-, ? bytes, refused: pathchirp_rcv: read: Connection refused!, cut"),
    ("pathload/basic", "192.0.2.2, 7.54/-/7.60, 1753600 bytes"),
    ("pathload/coalesce", "192.0.2.2, 0.00/-/-, 15971200 bytes, Interrupt coalescion detected, Receiver NIC has interrupt coalescence enabled"),
    ("pathload/coalesce2", "192.0.2.2, 0.00/-/-, 3606400 bytes, Interrupt coalescion detected, Receiver NIC has interrupt coalescence enabled"),
    ("pathload/fast", "192.0.2.2, -/-/-, 3606400 bytes, other: Measurement terminated due to frequent CS @ sender/receiver.!, cut"),
    ("pathload/noargs", "?, -/-/-, ? bytes, usage: usage: pathload_rcv [-q|-v] [-o <filename>] [-N <filename>][-w <bw_resol>] [-h|-H] -s <sender>!, cut"),
    ("pathload/refused", "192.0.2.2, -/-/-, ? bytes, refused: Make sure that pathload_snd runs at sender:: Connection refused!, cut"),
    ("pathload/v", "192.0.2.2, -/-/-, ? bytes, killed: ended by signal 11!, cut"),
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

fn captures() -> impl Iterator<Item = Capture> {
    common::all().into_iter().filter(|it| ["pathload", "pathchirp"].contains(&it.tool()))
}

fn of_capture(tool: &str, case: &str) -> Available {
    of(read_any(tool, &Capture::of(tool, case).output())).expect("a reading")
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
