//! Readings of each kind as rows.

use std::collections::HashSet;

use load_test_data::{
    file::{Content, Measured, Prepared},
    load::{self, Fate},
};
use readings::{
    Direction, Kind, Problem, Reading,
    available::{Available, Estimate},
    oneway::{Detail, OneWay, Packet, Session},
    throughput::{Flow, Interval, Protocol, RoundTrip, Throughput},
};
use rusqlite::Connection;
use serde_json::Value;
use station::words::run::{Alone, Machine};

use crate::desk::{Desk, header};

/// Loads one reading of run 1; its row is of this tool.
fn load(desk: &mut Desk, tool: &str, reading: Reading, alone: Option<Alone>) {
    desk.row(1, tool, "finished", 1);
    let mut header = header(1, tool, 1);
    header.alone = alone;
    let measured = Measured { header, reading, beside: None };
    let file = Prepared {
        name: format!("1.{tool}"),
        schedule_id: 1,
        tool: tool.to_owned(),
        content: Content::Reading(Box::new(measured)),
    };
    let fates = load::load(&mut desk.store, "station", &[file]).expect("a database");
    assert_eq!(fates, [Fate::Loaded]);
}

/// The columns of the rows of a table, as JSON makes one text of them: those of the direction `to` first.
#[track_caller]
fn columns(desk: &Desk, table: &str, columns: &str) -> Vec<String> {
    let sql = format!("SELECT json_array({columns}) FROM {table} ORDER BY 1 DESC");
    desk.column::<String>(&sql).iter().map(|row| plain(row)).collect()
}

/// JSON as all engines write it: they differ in blanks, and in how a whole number with a fraction looks.
fn plain(json: &str) -> String {
    let mut row: Vec<Value> = serde_json::from_str(json).expect("JSON");
    for value in &mut row {
        if let Some(whole) = value.as_f64().filter(|number| number.fract() == 0.0) {
            #[expect(clippy::cast_possible_truncation, reason = "figures of tests are small")]
            let whole = whole as i64;
            *value = whole.into();
        }
    }
    serde_json::to_string(&row).expect("JSON")
}

fn interval(start_s: f64, end_s: f64, bytes: u64, bits_per_s: f64) -> Interval {
    let (bytes, bits_per_s) = (Some(bytes), Some(bits_per_s));
    Interval { start_s, end_s, bytes, bits_per_s, ..Interval::default() }
}

fn problem(kind: Kind, text: &str) -> Problem {
    Problem { kind, text: text.to_owned() }
}

/// Two streams at 19 Mbit/s together, seen by both ends.
fn tcp() -> Flow {
    let sent = Interval { retransmits: Some(3), ..interval(0.0, 10.0, 23_750_000, 19e6) };
    let rtt = RoundTrip { min_us: Some(10_500), avg_us: Some(20_000), max_us: None };
    Flow {
        streams: 2,
        sent: Some(sent),
        received: Some(interval(0.0, 10.0, 23_500_000, 18.8e6)),
        intervals: vec![interval(0.0, 5.0, 11_000_000, 17.6e6)],
        by_stream: vec![interval(0.0, 10.0, 1, 0.8), interval(0.0, 10.0, 2, 1.6)],
        thrumin_bps: Some(17.6e6),
        thruavg_bps: Some(18.8e6),
        thrumax_bps: Some(20e6),
        rtt: Some(rtt),
        ..Flow::new(Direction::To)
    }
}

#[test]
fn each_direction_of_a_test_is_a_row() {
    let mut desk = Desk::new();
    let back = Flow { thruavg_bps: Some(94.1e6), streams: 1, ..Flow::new(Direction::From) };
    let reading = Throughput {
        protocol: Some(Protocol::Tcp),
        address: "192.0.2.7".parse().ok(),
        flows: vec![tcp(), back],
        complete: true,
        ..Throughput::default()
    };
    let machine =
        Machine { load: Some(0.5), free_memory_bytes: Some(7), interface: None, traffic_bps: None };
    let alone = Alone { machine, unclean: Some("load 0.5 is over 0.4".to_owned()), beside: None };
    load(&mut desk, "miperf", Reading::Throughput(reading), Some(alone));
    let rates =
        "direction, toolName, destNodeID, address, protocol, streams, thrumin, thruavg, thrumax";
    assert_eq!(
        columns(&desk, "BWDATA", rates),
        [
            r#"["to","miperf","n","192.0.2.7","tcp",2,17.6,18.8,20]"#,
            r#"["from","miperf","n","192.0.2.7","tcp",1,null,94.1,null]"#,
        ]
    );
    let more = "direction, duration_s, bytes, sent_bps, received_bps, rttmin, rttavg, rttmax, retransmits, lost";
    let more = columns(&desk, "BWDATA", more);
    assert_eq!(more[0], r#"["to",10,23500000,19000000,18800000,10.5,20,null,3,null]"#);
    assert_eq!(more[1], r#"["from",null,null,null,null,null,null,null,null,null]"#);
    let run = "unclean, machine, problem, startepoch, overlapped, clock_synchronised";
    let run = columns(&desk, "BWDATA", run);
    assert_eq!(
        run[0],
        r#"["load 0.5 is over 0.4","{\"free_memory_bytes\":7,\"load\":0.5}",null,5,null,1]"#
    );
    assert_eq!(run[0], run[1]);
}

#[test]
fn intervals_and_streams_are_kept() {
    let mut desk = Desk::new();
    let reading = Throughput { flows: vec![tcp()], ..Throughput::default() };
    load(&mut desk, "miperf", Reading::Throughput(reading), None);
    let kept: String = desk.ask("SELECT intervals FROM BWDATA");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(kept["intervals"][0]["bits_per_s"], 17.6e6);
    assert_eq!(kept["by_stream"][1]["bytes"], 2);
    assert_eq!(kept["intervals"][0].get("lost"), None);
}

#[test]
fn all_lost_is_a_loss_of_one_and_the_receivers_count() {
    let mut desk = Desk::new();
    let counted = |lost| Interval {
        lost,
        datagrams: Some(893),
        jitter_us: lost.map(|_| 0.0),
        ..interval(0.0, 10.0, 0, 0.0)
    };
    let flow = Flow {
        sent: Some(counted(None)),
        received: Some(counted(Some(893))),
        thruavg_bps: Some(0.0),
        ..Flow::new(Direction::To)
    };
    let reading =
        Throughput { protocol: Some(Protocol::Udp), flows: vec![flow], ..Throughput::default() };
    load(&mut desk, "iperf", Reading::Throughput(reading), None);
    let found =
        columns(&desk, "BWDATA", "protocol, thruavg, datagrams, lost, lossratio, jitter_us");
    assert_eq!(found, [r#"["udp",0,893,893,1,0]"#]);
}

#[test]
fn a_refused_test_leaves_a_row_that_says_so() {
    let mut desk = Desk::new();
    let reading = Throughput {
        problem: Some(problem(Kind::Refused, "connect failed: Connection refused")),
        ..Throughput::default()
    };
    load(&mut desk, "iperf", Reading::Throughput(reading), None);
    let found = columns(&desk, "BWDATA", "direction, thruavg, bytes, streams, intervals, problem");
    let why = "refused: connect failed: Connection refused";
    assert_eq!(found, [format!(r#"["to",null,null,null,null,"{why}"]"#)]);
    assert_eq!(desk.ask::<String>("SELECT reason FROM SCHEDULE"), why);
}

#[test]
fn available_bandwidth_is_of_the_path_from_the_target() {
    let mut desk = Desk::new();
    let estimate = |time_s, bits_per_s| Estimate { time_s, bits_per_s };
    let reading = Available {
        min_bps: Some(61.5e6),
        max_bps: Some(70e6),
        estimates: vec![estimate(0.5, 61.5e6), estimate(1.5, 70e6)],
        overhead_bytes: Some(3_000_000),
        complete: true,
        ..Available::default()
    };
    // Pathchirp goes on beside others: what has the channel meanwhile is named.
    let sql = "INSERT INTO TRIES (scheduleID, attempt, toolspecsID, srcNodeID, destNodeID, start_us) \
         VALUES (77, 1, 9, 'station', 'n', 4000000)";
    desk.change(sql, &[]);
    load(&mut desk, "pathchirp", Reading::Available(reading), None);
    let found = columns(
        &desk,
        "BWDATA",
        "direction, toolName, thrumin, thruavg, thrumax, bytes, overlapped",
    );
    assert_eq!(found, [r#"["from","pathchirp",61.5,null,70,3000000,77]"#]);
    let kept: String = desk.ask("SELECT intervals FROM BWDATA");
    assert_eq!(kept, r#"{"estimates":[[0.5,61500000.0],[1.5,70000000.0]]}"#);
}

#[test]
fn one_way_delays_of_both_directions_are_one_row() {
    let mut desk = Desk::new();
    let packet = |seq, delay_ns, ttl| Packet { seq, delay_ns, ttl };
    let to = Session {
        address: "2001:db8::1".parse().ok(),
        sent: Some(100),
        lost: Some(1),
        duplicates: Some(0),
        min_ms: Some(-0.25),
        median_ms: Some(1.5),
        max_ms: Some(2.0),
        p95_less_p50_ms: Some(0.5),
        error_ms: Some(0.75),
        synchronised: Some(true),
        hops: Some((3, 4)),
        packets: vec![packet(0, Some(-250_000), Some(250)), packet(1, None, None)],
        ..Session::new(Direction::To)
    };
    let from = Session { sent: Some(100), lost: Some(100), ..Session::new(Direction::From) };
    let reading = OneWay { sessions: vec![to, from], complete: true, ..OneWay::default() };
    load(&mut desk, "owping", Reading::OneWay(reading), None);
    let to = "tmin, tmed, tmax, to_sent, to_lost, to_duplicates, to_reordered, to_p95_less_p50_us, to_error_us, \
         to_synchronised, to_hops_min, to_hops_max, to_packets, address";
    assert_eq!(
        columns(&desk, "OWAMPDATA", to),
        [
            r#"[-0.25,1.5,2,100,1,0,null,500,750,1,3,4,"[[0,-250000,250],[1,null,null]]","2001:db8::1"]"#
        ]
    );
    let from = "fmin, fmed, from_sent, from_lost, from_synchronised, from_packets, problem";
    assert_eq!(columns(&desk, "OWAMPDATA", from), ["[null,null,100,100,null,null,null]"]);
}

#[test]
fn what_only_our_own_owping_tells_has_its_columns() {
    let mut desk = Desk::new();
    let detail = Detail {
        skipped: Some(1),
        p95_ms: Some(1.5),
        p99_ms: None,
        negative: Some(2),
        pdv_p95_ms: Some(0.25),
        pdv_p99_ms: Some(0.5),
        ipdv_abs_mean_ms: Some(0.125),
        ipdv_abs_p95_ms: Some(0.75),
        loss_periods: Some(3),
        loss_period_max: Some(4),
        reorder_extent_max: Some(5),
        late_p99_ms: Some(-0.5),
        late_sends: Some(6),
        own_drops: Some(7),
        clock_step_ms: Some(-8.0),
        verdict: Some("late sender, own drops".to_owned()),
    };
    let to = Session { detail, ..Session::new(Direction::To) };
    let reading = OneWay { sessions: vec![to], complete: true, ..OneWay::default() };
    load(&mut desk, "owping", Reading::OneWay(reading), None);
    let to = "to_skipped, to_p95_us, to_p99_us, to_negative, to_pdv_p95_us, to_pdv_p99_us, to_ipdv_abs_mean_us, \
         to_ipdv_abs_p95_us, to_loss_periods, to_loss_period_max, to_reorder_extent, to_late_p99_us, to_late_sends, \
         to_own_drops, to_clock_step_us, to_verdict, from_loss_periods, from_verdict";
    let expected = r#"[1,1500,null,2,250,500,125,750,3,4,5,-500,6,7,-8000,"late sender, own drops",null,null]"#;
    assert_eq!(columns(&desk, "OWAMPDATA", to), [expected]);
}

#[test]
fn an_owping_that_was_refused_is_a_row_too() {
    let mut desk = Desk::new();
    let reading = OneWay { problem: Some(problem(Kind::NoAnswer, "")), ..OneWay::default() };
    load(&mut desk, "owping", Reading::OneWay(reading), None);
    assert_eq!(
        columns(&desk, "OWAMPDATA", "tmin, to_sent, problem"),
        [r#"[null,null,"no answer"]"#]
    );
}

#[test]
fn every_column_is_in_the_page_of_the_tables() {
    let desk = Desk::new();
    // The columns are the same on a server.
    let Some(file) = desk.database.file() else { return };
    let look = Connection::open(file).expect("a database");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tables.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let words: HashSet<&str> = page.split(word).collect();
    let tables = "'PINGDATA','ROUTEDATA','ROUTENO','BWDATA','OWAMPDATA','SCHEDULE','TRIES','LEASES','MONHOSTS','NODELISTS',\
         'PINGROLLUP','ROUTEROLLUP','BWROLLUP','OWAMPROLLUP'";
    let sql = format!(
        "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.name IN ({tables})"
    );
    let mut statement = look.prepare(&sql).expect("a statement");
    let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("columns");
    let columns: Vec<(String, String)> = columns.map(|column| column.expect("a name")).collect();
    assert!(columns.len() > 150, "{}", columns.len());
    for (table, column) in columns {
        assert!(words.contains(column.as_str()), "{table}.{column} is not in docs/tables.md");
    }
}
