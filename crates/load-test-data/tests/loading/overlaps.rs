//! Which readings name the run that had the channel meanwhile.

use load_test_data::overlap;
use rusqlite::Connection;
use station::{
    text::Timestamp,
    words::run::{Alone, Header, Machine},
};

use crate::desk::{Desk, PING, header};

/// Seconds, as the tables have them.
const SECOND: i64 = 1_000_000;

impl Desk {
    /// A run had the channel of a station between these seconds, or has it still.
    fn tried(&self, id: i64, station: &str, start: i64, end: Option<i64>) -> &Self {
        let sql = "INSERT INTO TRIES (scheduleID, attempt, toolspecsID, srcNodeID, destNodeID, start_us, end_us) \
             VALUES (?, 1, 1, ?, 'n', ?, ?)";
        let times = [(start * SECOND).into(), end.map(|end| end * SECOND).into()];
        let [start, end] = times;
        self.change(sql, &[id.into(), station.into(), start, end])
    }

    /// A ping that went on between these seconds.
    fn pinged(&self, id: i64, start: i64, end: i64) -> &Self {
        let header = Header {
            start_us: Timestamp::from_seconds(start),
            end_us: Timestamp::from_seconds(end),
            stdout_bytes: PING.len() as u64,
            ..header(id, "ping", 1)
        };
        self.row(id, "ping", "finished", 1).result(&header, PING)
    }

    fn overlapped(&self, id: i64) -> Option<i64> {
        self.ask(&format!("SELECT overlapped FROM PINGDATA WHERE scheduleID = {id}"))
    }
}

#[test]
fn a_reading_names_the_run_that_had_the_channel_at_some_time_of_it() {
    let mut desk = Desk::new();
    desk.tried(101, "station", 100, Some(120)).tried(102, "station", 130, Some(150));
    desk.tried(103, "station", 160, None).tried(104, "elsewhere", 0, None);
    for (id, start, end) in [(1, 80, 99), (2, 90, 100), (3, 110, 112), (4, 119, 131), (5, 121, 129)]
    {
        desk.pinged(id, start, end);
    }
    desk.pinged(6, 151, 159).pinged(7, 155, 165).pinged(8, 170, 180);
    assert_eq!(desk.load().loaded, 8);
    let seen: Vec<Option<i64>> = (1..=8).map(|id| desk.overlapped(id)).collect();
    let (first, last) = (Some(101), Some(103));
    assert_eq!(seen, [None, first, first, first, None, None, last, last]);
}

#[test]
fn a_try_without_an_end_does_not_go_on_for_ever() {
    let mut desk = Desk::new();
    desk.tried(101, "station", 1_000, None);
    // Its run is not there to say its limit: half a minute is all it gets.
    desk.pinged(1, 1_000 + 30, 1_040).pinged(2, 1_000 + 31, 1_041);
    desk.load();
    assert_eq!([desk.overlapped(1), desk.overlapped(2)], [Some(101), None]);
}

#[test]
fn routes_are_marked_and_runs_with_the_channel_are_not() {
    let mut desk = Desk::new();
    desk.tried(2, "station", 5, Some(6)).tried(101, "station", 6, Some(7));
    let trace = "traceroute to 192.0.2.2 (192.0.2.2), 30 hops max, 60 byte packets\n 1  192.0.2.2  0.9 ms\n";
    desk.row(1, "traceroute", "finished", 1).file(1, "traceroute", 1, trace);
    // By hand, without the ping's being alone: it is its own, and so it does not overlap itself.
    desk.row(2, "ping", "finished", 1).file(2, "ping", 1, PING);
    let alone = Alone { machine: Machine::default(), unclean: None, beside: None };
    let header =
        Header { alone: Some(alone), stdout_bytes: PING.len() as u64, ..header(3, "ping", 1) };
    desk.row(3, "ping", "finished", 1).result(&header, PING);
    assert_eq!(desk.load().loaded, 3);
    assert_eq!(desk.ask::<Option<i64>>("SELECT overlapped FROM ROUTEDATA"), Some(2));
    assert_eq!([desk.overlapped(2), desk.overlapped(3)], [Some(101), None]);
}

#[test]
fn tries_are_found_by_their_index() {
    let desk = Desk::new();
    // The plans of a server are told otherwise, and depend on how many rows there are.
    let Some(file) = desk.database.file() else { return };
    let look = Connection::open(file).expect("a database");
    let plan = format!("EXPLAIN QUERY PLAN {}", overlap::SPAN);
    let mut statement = look.prepare(&plan).expect("a plan");
    let steps = statement.query_map(["", "0", "", "0"], |row| row.get::<_, String>(3));
    let steps: Vec<String> = steps.expect("a plan").map(|step| step.expect("a step")).collect();
    let searches = steps.iter().filter(|step| step.contains("tries_station")).count();
    assert_eq!(searches, 2, "{steps:?}");
    assert!(!steps.iter().any(|step| step.contains("SCAN TRIES") || step.contains("B-TREE")));
}
