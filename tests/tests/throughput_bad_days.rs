//! Throughput on bad days, with the real iperf and iperf3: servers that are not there, not alone, not the right
//! ones, not answering, and paths that end in the dark. Each run ends with its reason, and the channel goes on.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use stories::{Bed, Program, Reading, Witness, until};

/// A run that is ended at its limit has ended so many seconds later: INT, TERM and KILL lie a second apart, and
/// the machine may be busy.
const ENDING: f64 = 6.0;

#[track_caller]
fn is_well(bed: &Bed, node: &str) -> Reading {
    let reading = bed.reading(node);
    assert_eq!(reading.state, ("loaded".to_owned(), String::new()), "{reading:?}");
    assert_eq!(reading.problem, "", "{reading:?}");
    assert_eq!(reading.tries.last().map(String::as_str), Some("well"), "{reading:?}");
    assert!(reading.thruavg.is_some_and(|rate| rate > 0.0), "{reading:?}");
    reading
}

/// A run that came to nothing, for the reason that begins with `problem`.
#[track_caller]
fn fails(bed: &Bed, node: &str, problem: &str) -> Reading {
    let reading = bed.reading(node);
    assert!(reading.problem.starts_with(problem), "{problem} of {reading:?}");
    assert_eq!(reading.state, ("loaded".to_owned(), reading.problem.clone()), "{reading:?}");
    assert_eq!(reading.tries.last(), Some(&reading.problem), "{reading:?}");
    assert_eq!(reading.thruavg, None, "{reading:?}");
    reading
}

/// A run that was ended when its `limit` in seconds had passed.
#[track_caller]
fn hangs(bed: &Bed, node: &str, limit: f64) -> Reading {
    let reading = bed.reading(node);
    let state = ("loaded".to_owned(), "hung and was ended at its limit".to_owned());
    assert_eq!(reading.state, state, "{reading:?}");
    assert_eq!(reading.problem, "hung: ended at its limit of time", "{reading:?}");
    assert_eq!(reading.tries, [&*reading.problem], "a hang is not tried again: {reading:?}");
    assert!((limit..limit + ENDING).contains(&reading.took), "{limit} s of {reading:?}");
    reading
}

/// Seconds between the starts of the tries of a run.
fn pauses(bed: &Bed, reading: &Reading) -> Vec<f64> {
    let sql = "SELECT start_us / 1e6 FROM TRIES WHERE scheduleID = ? ORDER BY attempt";
    let database = bed.station.database();
    let mut statement = database.prepare(sql).expect("a query");
    let starts = statement.query_map([reading.run], |row| row.get::<_, f64>(0)).expect("rows");
    let starts: Vec<f64> = starts.map(|start| start.expect("a time")).collect();
    starts.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_server_that_comes_late_is_found_by_a_later_try() {
    let mut bed = Bed::up();
    bed.measures(&[
        "late2,iperf,,-p 5101 -t 1,3,10",
        "late3,iperf3,,-p 5201 -t 1 -J,3,10",
        "late-udp,iperf,,-p 5102 -u -b 1M -t 1,3,10",
    ]);
    until("all were refused", || {
        let sql = "(SELECT DISTINCT destNodeID FROM TRIES WHERE outcome LIKE 'refused: %')";
        (bed.station.count(sql) == 3).then_some(())
    });
    let waits = "SCHEDULE WHERE state = 'pending' AND reason LIKE 'try 1: refused: %'";
    assert!(bed.station.count(waits) > 0, "{:?}", bed.station.states());
    let _servers = [
        bed.serves("iperf", 5101, &[]),
        bed.serves("iperf3", 5201, &[]),
        bed.serves("iperf", 5102, &["-u"]),
    ];
    for node in ["late2", "late3", "late-udp"] {
        let reading = is_well(&bed, node);
        assert!(reading.tries.len() >= 2, "{reading:?}");
        let (_, before) = reading.tries.split_last().expect("some");
        assert!(before.iter().all(|outcome| outcome.starts_with("refused: ")), "{reading:?}");
        assert!(pauses(&bed, &reading)[0] >= 5.0, "{:?}", pauses(&bed, &reading));
    }
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_server_that_never_comes_is_tried_while_its_window_lasts() {
    let mut bed = Bed::up();
    bed.measures(&["never2,iperf,,-p 5101 -t 1,3,10,17", "never3,iperf3,,-p 5201 -t 1 -J,3,10,17"]);
    for node in ["never2", "never3"] {
        let reading = fails(&bed, node, "refused: ");
        // Tried again 5 and 10 s later, unless it began late; the next pause would outlast its window.
        assert!((2..=3).contains(&reading.tries.len()), "{reading:?}");
        let pauses = pauses(&bed, &reading);
        let grow = pauses.iter().zip([5.0, 10.0]).all(|(pause, least)| *pause >= least);
        assert!(grow, "{pauses:?}");
        let first = &reading.tries[0];
        assert!(reading.tries.iter().all(|outcome| outcome == first), "{reading:?}");
    }
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_server_that_cannot_be_reached_takes_no_more_than_its_time() {
    let mut bed = Bed::up();
    bed.lab.router_filters("-p tcp --dport 5901 -j DROP");
    let _server = bed.serves("iperf3", 5201, &[]);
    bed.measures(&[
        "dark2,iperf,,-p 5901 -t 1,2,1",
        "dark3,iperf3,,-p 5901 -t 1 -J,2,1",
        "gives-up,iperf3,,-p 5901 -t 1 -J --connect-timeout 500,2,1",
        "open,iperf3,,-p 5201 -t 1 -J,2,10",
    ]);
    for node in ["dark2", "dark3"] {
        let reading = hangs(&bed, node, 3.0);
        assert_eq!(reading.thruavg, None);
        bed.goes_on_after(&reading);
    }
    let gave_up = fails(&bed, "gives-up", "no answer: ");
    assert!(gave_up.took < 3.0 && gave_up.tries.len() == 1, "{gave_up:?}");
    is_well(&bed, "open");
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_server_that_dies_in_the_middle_breaks_its_test_off() {
    let mut bed = Bed::up().limited("20mbit", "50ms");
    let mut two = bed.serves("iperf", 5101, &[]);
    let mut three = bed.serves("iperf3", 5201, &[]);
    bed.measures(&["two,iperf,,-p 5101 -t 5 -i 1,6,10", "three,iperf3,,-p 5201 -t 5 -J,6,10"]);
    bed.in_the_middle(&["two", "three"], |node| match node {
        "two" => two.kill(),
        _ => three.kill(),
    });
    for node in ["two", "three"] {
        let reading = fails(&bed, node, "broken off: ");
        assert_eq!(reading.tries.len(), 1, "{reading:?}");
        assert!(reading.took < 5.0, "{reading:?}");
    }
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_path_that_goes_dark_in_the_middle_is_given_up_at_the_limit() {
    let mut bed = Bed::up().limited("20mbit", "50ms");
    let _servers = [bed.serves("iperf", 5101, &[]), bed.serves("iperf3", 5201, &[])];
    bed.measures(&["two,iperf,,-p 5101 -t 4 -i 1,5,1", "three,iperf3,,-p 5201 -t 4 -J,5,1"]);
    bed.in_the_middle(&["two", "three"], |node| {
        let port = if node == "two" { 5101 } else { 5201 };
        bed.lab.router_filters(&format!("-p tcp --dport {port} -j DROP"));
    });
    for node in ["two", "three"] {
        let reading = hangs(&bed, node, 6.0);
        bed.goes_on_after(&reading);
    }
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn what_takes_connections_and_never_answers_is_no_server() {
    let mut bed = Bed::up().limited("20mbit", "50ms");
    let deaf = bed.lab.host("server").listens();
    let witness = Witness::of(bed.lab.host("server").listens());
    let (deaf_port, silent) = (deaf.local_addr().expect("bound").port(), witness.port());
    bed.measures(&[
        // A client of iperf 2 needs no answer, only somebody who takes what it sends.
        &format!("taken2,iperf,,-p {silent} -t 1,3,10"),
        &format!("silent3,iperf3,,-p {silent} -t 1 -J,1,1"),
        &format!("deaf2,iperf,,-p {deaf_port} -n 50M,1,2"),
    ]);
    hangs(&bed, "silent3", 2.0);
    hangs(&bed, "deaf2", 3.0);
    is_well(&bed, "taken2");
    assert_eq!(witness.seen().overlaps, 0);
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_server_that_serves_somebody_else_is_tried_again() {
    let mut bed = Bed::up().limited("20mbit", "50ms");
    let _server = bed.serves("iperf3", 5201, &[]);
    let mut other = bed.lab.host("router").command(Path::new("iperf3"));
    other.args(["-c", "192.0.2.2", "-p", "5201", "-t", "55", "-b", "5M"]);
    let mut other = Program::start(other, &bed.station.path("log/other"));
    bed.until_data_flow();
    bed.measures(&["busy,iperf3,,-p 5201 -t 1 -J,3,10"]);
    until("it was busy", || {
        (bed.station.count("TRIES WHERE outcome LIKE 'busy: %'") > 0).then_some(())
    });
    other.kill();
    let reading = is_well(&bed, "busy");
    assert!(reading.tries[0].starts_with("busy: ") && reading.tries.len() >= 2, "{reading:?}");
    assert!(pauses(&bed, &reading)[0] >= 5.0);
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn the_server_of_another_version_is_no_server() {
    let mut bed = Bed::up().limited("20mbit", "50ms");
    let _servers = [bed.serves("iperf", 5101, &[]), bed.serves("iperf3", 5201, &[])];
    bed.measures(&[
        "two-to-three,iperf,,-p 5201 -t 2,3,2",
        "three-to-two,iperf3,,-p 5101 -t 1 -J,2,1",
        "three,iperf3,,-p 5201 -t 1 -J,2,10",
    ]);
    // What a client of iperf 2 sends is taken by a server of iperf3 for the length of a very long request: it goes
    // on, and the rate is the path's, unless the server has enough.
    let taken = bed.reading("two-to-three");
    let right = match &*taken.problem {
        "" => taken.thruavg.is_some_and(|rate| (18.0..22.0).contains(&rate)),
        problem => problem.starts_with("broken off: ") && taken.thruavg.is_none(),
    };
    assert!(right && taken.state.0 == "loaded" && taken.tries.len() == 1, "{taken:?}");
    // And a server of iperf 2 swallows what a client of iperf3 says, or answers what means nothing to it.
    let asked = bed.reading("three-to-two");
    let is_told = ["hung: ", "broken off: "].iter().any(|kind| asked.problem.starts_with(kind));
    assert!(is_told && asked.thruavg.is_none() && asked.state.0 == "loaded", "{asked:?}");
    is_well(&bed, "three");
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_client_that_does_not_end_is_ended() {
    let mut bed = Bed::up().limited("20mbit", "50ms");
    let _server = bed.serves("iperf", 5101, &[]);
    let script = "trap '' TERM INT\niperf \"$@\"\nwhile :; do sleep 1; done";
    bed.station.tool("stubborn", script);
    bed.measures(&[
        "stubborn,iperf,stubborn,-p 5101 -t 1,2,1",
        "stopped,miperf,iperf,-p 5101 -t 2 -P 2,3,1",
    ]);
    let stopped = bed.until_it_runs("stopped", "iperf");
    kill_process(Pid::from_raw(stopped).expect("a pid"), Signal::STOP).expect("it runs");
    for (node, limit) in [("stubborn", 3.0), ("stopped", 4.0)] {
        let reading = hangs(&bed, node, limit);
        bed.goes_on_after(&reading);
    }
    assert!(!Path::new(&format!("/proc/{stopped}")).exists(), "it is gone");
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn datagrams_that_stop_arriving_in_the_middle_are_lost() {
    let mut bed = Bed::up();
    let _servers = [bed.serves("iperf", 5101, &["-u"]), bed.serves("iperf3", 5201, &[])];
    bed.measures(&[
        "two,iperf,,-p 5101 -u -b 8M -t 4,8,10",
        "three,iperf3,,-p 5201 -u -b 8M -t 4 -J,5,10",
    ]);
    bed.in_the_middle(&["two", "three"], |node| {
        let port = if node == "two" { 5101 } else { 5201 };
        bed.lab.router_filters(&format!("-p udp --dport {port} -j DROP"));
    });
    let reading = fails(&bed, "two", "no answer: ");
    assert!(bed.figure::<f64>(&reading, "sent_bps") > 7e6, "what was sent is known");
    // A client of iperf3 talks to its server beside the datagrams, which tells how many have arrived.
    let reading = is_well(&bed, "three");
    let lost: f64 = bed.figure(&reading, "lossratio");
    let rate = reading.thruavg.expect("a rate") / 8.0;
    assert!(lost > 0.1 && (lost + rate - 1.0).abs() < 0.1, "{lost} lost, {rate} of what was sent");
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn datagrams_of_which_none_arrives_are_no_throughput() {
    let mut bed = Bed::up();
    bed.lab.router_filters("-p udp -d 192.0.2.2 -j DROP");
    let _servers = [bed.serves("iperf", 5101, &["-u"]), bed.serves("iperf3", 5201, &[])];
    bed.measures(&[
        "two,iperf,,-p 5101 -u -b 1M -t 1,5,10",
        "three,iperf3,,-p 5201 -u -b 1M -t 1 -J,2,1",
    ]);
    let reading = fails(&bed, "two", "no answer: ");
    assert_eq!(reading.tries.len(), 1, "{reading:?}");
    assert!(bed.figure::<f64>(&reading, "sent_bps") > 900_000.0, "what was sent is known");
    // A client of iperf3 waits for the answer to its first datagram, however long.
    assert_eq!(hangs(&bed, "three", 3.0).thruavg, None);
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}
