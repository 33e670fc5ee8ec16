//! Every capture of an owping, and what its reader must make of it.
//!
//! Each line of the table was checked by eye against the text of the capture.

mod common;

use std::fmt::Write;

use common::Capture;
use readings::{
    Direction, End, Kind, Output, Unreadable,
    oneway::{OneWay, Session},
    owping,
};

/// Capture; of each session direction, hosts, target's address, lost/sent `+`duplicates `~`reordered, min/median/max,
/// P95 less P50, clocks, hops, packets that were printed; then problem, and whether all sessions ended.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("owping/M", "to cli.lab.example>192.0.2.2 192.0.2.2 0/20 lost +0 ~0, 10.598/10.800/10.832 ms, jitter 0.100, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/20 lost +0 ~0, 10.583/10.800/13.872 ms, jitter 0.200, unsync, hops 3-3"),
    ("owping/R", "to ? 0/10 lost +0 ~0, 10.641/10.675/10.866 ms, jitter 0.191, unsync, hops 3-3, 10 packets; from ? 0/10 lost +0 ~0, 10.707/10.754/11.170 ms, jitter 0.416, unsync, hops 3-3, 10 packets"),
    ("owping/a99-b", "to cli.lab.example>192.0.2.2 192.0.2.2 0/20 lost +0 ~0, 10.600/10.800/10.800 ms, jitter 0.000, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/20 lost +0 ~0, 10.600/10.800/10.800 ms, jitter 0.200, unsync, hops 3-3"),
    ("owping/against-twampd", "refused!; cut"),
    ("owping/dark-long", "from 192.0.2.2>cli.lab.example 192.0.2.2 23/50 lost +0 ~0, 11.100/12.500/14.100 ms, jitter -, unsync, hops 3-3; broken off!; cut"),
    ("owping/default", "to cli.lab.example>192.0.2.2 192.0.2.2 0/100 lost +0 ~0, 10.600/10.700/12.000 ms, jitter 0.200, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/100 lost +0 ~0, 10.600/10.800/12.300 ms, jitter 0.200, unsync, hops 3-3"),
    ("owping/dupreorder-R", "to ? 0/15 lost +2 ~2, 12.708/46.984/68.809 ms, jitter 21.825, unsync, hops 3-3, 17 packets"),
    ("owping/files", "to cli.lab.example>192.0.2.2 192.0.2.2 0/20 lost +0 ~0, 10.600/10.700/10.900 ms, jitter 0.100, err 0.504, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/20 lost +0 ~0, 10.600/10.700/11.600 ms, jitter 0.300, err 0.504, hops 3-3"),
    ("owping/from", "from 192.0.2.2>cli.lab.example 192.0.2.2 0/20 lost +0 ~0, 10.600/10.800/10.800 ms, jitter 0.100, unsync, hops 3-3"),
    ("owping/halfsync", "to cli.lab.example>192.0.2.2 192.0.2.2 0/10 lost +0 ~0, 10.700/10.800/10.900 ms, jitter 0.200, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/10 lost +0 ~0, 10.600/10.700/11.200 ms, jitter 0.500, unsync, hops 3-3"),
    ("owping/hops-vary", "to cli.lab.example>192.0.2.2 192.0.2.2 0/20 lost +0 ~0, 10.600/10.700/10.800 ms, jitter 0.200, err 0.504, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/20 lost +0 ~0, 10.600/10.700/13.400 ms, jitter 0.200, err 0.504, hops 5-5"),
    ("owping/hostunreach", "refused!; cut"),
    ("owping/int-middle", "from 192.0.2.2>cli.lab.example 192.0.2.2 0/0 lost +0 ~0, -/-/- ms, jitter -, ?, hops ?; broken off!; cut"),
    ("owping/loss-M", "to cli.lab.example>192.0.2.2 192.0.2.2 10/40 lost +0 ~0, 10.597/10.700/10.806 ms, jitter -, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 9/40 lost +0 ~0, 10.569/10.700/11.616 ms, jitter -, unsync, hops 3-3"),
    ("owping/loss-R", "to ? 2/15 lost +0 ~0, 10.575/10.631/11.304 ms, jitter -, unsync, hops 3-3, 15 packets; from ? 2/15 lost +0 ~0, 10.591/10.642/10.699 ms, jitter -, unsync, hops 3-3, 15 packets"),
    ("owping/loss", "to cli.lab.example>192.0.2.2 192.0.2.2 6/50 lost +0 ~0, 10.600/10.700/13.600 ms, jitter -, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 10/50 lost +0 ~0, 10.600/10.700/12.900 ms, jitter -, unsync, hops 3-3"),
    ("owping/name", "to cli.lab.example>srv.lab.example ? 0/10 lost +0 ~0, 10.600/10.800/12.300 ms, jitter 1.600, unsync, hops 3-3; from srv.lab.example>cli.lab.example ? 0/10 lost +0 ~0, 10.600/10.700/11.900 ms, jitter 1.300, unsync, hops 3-3"),
    ("owping/netunreach", "refused!; cut"),
    ("owping/noargs", "usage!; cut"),
    ("owping/nu", "to cli.lab.example>192.0.2.2 192.0.2.2 0/10 lost +0 ~0, 10.600/10.800/10.900 ms, jitter 0.200, unsync, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/10 lost +0 ~0, 10.600/10.700/10.900 ms, jitter 0.200, unsync, hops 3-3"),
    ("owping/refused", "refused!; cut"),
    ("owping/server-dies", "broken off!; cut"),
    ("owping/sync-v", "to cli.lab.example>192.0.2.2 192.0.2.2 0/10 lost +0 ~0, 10.600/10.800/11.000 ms, jitter 0.300, err 0.504, hops 3-3, 10 packets"),
    ("owping/sync", "to cli.lab.example>192.0.2.2 192.0.2.2 0/50 lost +0 ~0, 10.600/10.700/10.900 ms, jitter 0.200, err 0.504, hops 3-3; from 192.0.2.2>cli.lab.example 192.0.2.2 0/50 lost +0 ~0, 10.600/10.700/12.400 ms, jitter 0.300, err 0.504, hops 3-3"),
    ("owping/term-middle", "from 192.0.2.2>cli.lab.example 192.0.2.2 0/0 lost +0 ~0, -/-/- ms, jitter -, ?, hops ?; broken off!; cut"),
    ("owping/total-loss-M", "to cli.lab.example>192.0.2.2 192.0.2.2 20/20 lost +0 ~0, -/-/- ms, jitter -, unsync, hops ?"),
    ("owping/total-loss-R", "to ? 5/5 lost +0 ~0, -/-/- ms, jitter -, ?, hops ?, 5 packets"),
    ("owping/total-loss", "to cli.lab.example>192.0.2.2 192.0.2.2 20/20 lost +0 ~0, -/-/- ms, jitter -, unsync, hops ?; from 192.0.2.2>cli.lab.example 192.0.2.2 20/20 lost +0 ~0, -/-/- ms, jitter -, unsync, hops ?"),
    ("owping/unknownhost", "unknown host!; cut"),
    ("owping/v3-U", "to cli.lab.example>192.0.2.2 192.0.2.2 0/3 lost +0 ~0, 10.600/10.700/10.700 ms, jitter 0.000, unsync, hops 3-3, 3 packets; from 192.0.2.2>cli.lab.example 192.0.2.2 0/3 lost +0 ~0, 10.600/10.700/11.300 ms, jitter 0.700, unsync, hops 3-3, 3 packets"),
];

#[test]
fn every_capture_says_what_the_table_says() {
    for (name, expected) in TABLE {
        let (_, case) = name.split_once('/').expect("folder/case");
        assert_eq!(told(&of_capture(case)), *expected, "{name}");
    }
}

#[test]
fn no_capture_is_missing_from_the_table() {
    let captures = common::all().into_iter().filter(|capture| capture.tool() == "owping");
    let names: Vec<String> = captures.map(|capture| capture.name()).collect();
    let table: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, table);
}

fn of_capture(case: &str) -> OneWay {
    owping::read(&Capture::of("owping", case).output()).expect("a reading")
}

fn read(end: End, stdout: &str, stderr: &str) -> Result<OneWay, Unreadable> {
    owping::read(&Output { stdout: stdout.as_bytes(), stderr: stderr.as_bytes(), end })
}

fn told(reading: &OneWay) -> String {
    let mut parts: Vec<String> = reading.sessions.iter().map(told_session).collect();
    if let Some(problem) = &reading.problem {
        parts.push(format!("{}!", problem.kind));
    }
    if !reading.complete {
        parts.push("cut".to_owned());
    }
    parts.join("; ")
}

fn told_session(session: &Session) -> String {
    let mut text = session.direction.as_str().to_owned();
    if let (Some(from), Some(to)) = (&session.from, &session.to) {
        write!(text, " {from}>{to}").expect("text");
    }
    let address = session.address.map_or("?".to_owned(), |address| address.to_string());
    write!(text, " {address} {}/{} lost", whole(session.lost), whole(session.sent)).expect("text");
    let more = (whole(session.duplicates), whole(session.reordered));
    write!(text, " +{} ~{}, ", more.0, more.1).expect("text");
    let delays = [session.min_ms, session.median_ms, session.max_ms];
    let delays: Vec<String> = delays.iter().map(|delay| ms(*delay)).collect();
    write!(text, "{} ms, jitter {}", delays.join("/"), ms(session.p95_less_p50_ms)).expect("text");
    let clocks = match session.synchronised {
        None => "?".to_owned(),
        Some(false) => "unsync".to_owned(),
        Some(true) => format!("err {}", ms(session.error_ms)),
    };
    let hops = session.hops.map_or("?".to_owned(), |(least, most)| format!("{least}-{most}"));
    write!(text, ", {clocks}, hops {hops}").expect("text");
    if !session.packets.is_empty() {
        write!(text, ", {} packets", session.packets.len()).expect("text");
    }
    text
}

fn whole(number: Option<u64>) -> String {
    number.map_or("?".to_owned(), |number| number.to_string())
}

fn ms(delay: Option<f64>) -> String {
    delay.map_or("-".to_owned(), |delay| format!("{delay:.3}"))
}
