//! What becomes of files, whoever is killed when.

use std::fs;

use load_test_data::load::{self, Fate, Tally};

use crate::desk::{Desk, PING};

#[test]
fn a_file_becomes_a_reading_and_goes_to_the_archive() {
    let mut desk = Desk::new();
    desk.row(1, "ping", "finished", 1).file(1, "ping", 1, PING);
    assert_eq!(desk.load(), Tally { loaded: 1, rejected: 0, kept: 0 });
    assert_eq!(desk.state(1), "loaded");
    assert_eq!(desk.ask::<String>("SELECT packets FROM PINGDATA"), "[[1,20,64],[2,40,64]]");
    let average = desk.ask::<Option<f64>>("SELECT avg FROM PINGDATA");
    assert!(average.is_some_and(|ms| (ms - 0.03).abs() < 1e-9));
    assert_eq!(desk.ask::<i64>("SELECT startepoch FROM PINGDATA"), 5);
    assert_eq!(desk.ask::<i64>("SELECT end_us FROM SCHEDULE"), 6_000_000);
    assert!(desk.folder.path().join("data/loaded/1970-01-01/1.ping").is_file());
}

#[test]
fn a_loader_that_died_before_it_moved_the_file_loads_nothing_twice() {
    let mut desk = Desk::new();
    desk.row(1, "ping", "finished", 1).file(1, "ping", 1, PING);
    let batch = desk.prepared();
    assert_eq!(load::load(&mut desk.store, "station", &batch).expect("a database"), [Fate::Loaded]);
    // It dies here; the next one finds the file where it was.
    assert_eq!(desk.load(), Tally { loaded: 1, rejected: 0, kept: 0 });
    assert_eq!(desk.readings(), 1);
    assert_eq!(desk.prepared().len(), 0);
}

#[test]
fn a_result_is_loaded_even_before_its_daemon_has_marked_the_row() {
    let mut desk = Desk::new();
    desk.row(1, "ping", "running", 2).file(1, "ping", 2, PING);
    desk.load();
    assert_eq!((desk.state(1).as_str(), desk.readings()), ("loaded", 1));
}

#[test]
fn rubbish_is_rejected_and_the_row_says_why() {
    let mut desk = Desk::new();
    desk.row(1, "ping", "finished", 1).file(1, "ping", 1, "to be or not to be\n");
    desk.row(2, "ping", "finished", 1).raw("2.ping", "no header");
    desk.row(3, "ping", "finished", 1).file(3, "ping", 1, PING);
    assert_eq!(desk.load(), Tally { loaded: 1, rejected: 2, kept: 0 });
    let reason = |desk: &Desk, id| {
        desk.ask::<String>(&format!("SELECT reason FROM SCHEDULE WHERE scheduleID = {id}"))
    };
    assert!(
        reason(&desk, 1).starts_with("the output of ping was not understood: "),
        "{}",
        reason(&desk, 1)
    );
    assert_eq!(reason(&desk, 2), "no first line: this is no whole result file");
    assert_eq!([desk.state(1), desk.state(2), desk.state(3)], ["rejected", "rejected", "loaded"]);
    assert_eq!(fs::read_dir(desk.spool.rejected()).expect("a folder").count(), 2);
}

#[test]
fn a_file_that_nobody_waits_for_is_kept_apart_and_changes_nothing() {
    let mut desk = Desk::new();
    desk.file(9, "ping", 1, PING);
    desk.row(2, "ping", "lost", 1).file(2, "ping", 1, PING);
    desk.row(3, "ping", "running", 2).file(3, "ping", 1, PING);
    desk.row(4, "ping", "finished", 1).file(5, "ping", 1, PING);
    fs::rename(desk.spool.data().join("5.ping"), desk.spool.data().join("4.ping"))
        .expect("renamed");
    assert_eq!(desk.load(), Tally { loaded: 0, rejected: 4, kept: 0 });
    assert_eq!(desk.readings(), 0);
    assert_eq!([desk.state(2), desk.state(3), desk.state(4)], ["lost", "running", "rejected"]);
}

#[test]
fn a_file_from_another_database_never_becomes_a_reading_of_this_one() {
    let mut desk = Desk::new();
    desk.file(1, "ping", 1, PING).row(1, "ping", "finished", 1);
    desk.change("UPDATE SCHEDULE SET due_us = 77, toolspecsID = 2", &[]);
    assert_eq!(desk.load(), Tally { loaded: 0, rejected: 1, kept: 0 });
    assert_eq!((desk.state(1).as_str(), desk.readings()), ("finished", 0));
}

#[test]
fn the_file_of_another_station_of_the_database_is_left_to_that_one() {
    let mut desk = Desk::new();
    desk.row(1, "ping", "finished", 1).file(1, "ping", 1, PING);
    desk.row(2, "ping", "finished", 1).raw("2.ping", "rubbish");
    desk.change("UPDATE SCHEDULE SET srcNodeID = 'other'", &[]);
    assert_eq!(desk.load(), Tally { loaded: 0, rejected: 2, kept: 0 });
    assert_eq!([desk.state(1), desk.state(2)], ["finished", "finished"]);
    assert_eq!(desk.readings(), 0);
}

#[test]
fn rubbish_of_one_tool_does_not_touch_the_result_of_another() {
    let mut desk = Desk::new();
    desk.row(1, "ping", "finished", 1).file(1, "ping", 1, PING).raw("1.traceroute", "rubbish");
    assert_eq!(desk.load(), Tally { loaded: 1, rejected: 1, kept: 0 });
    assert_eq!((desk.state(1).as_str(), desk.readings()), ("loaded", 1));
}

#[test]
fn one_file_that_the_database_refuses_does_not_hold_up_the_others() {
    let mut desk = Desk::new();
    for id in 1..=3 {
        desk.row(id, "ping", "finished", 1).file(id, "ping", 1, PING);
    }
    // A reading is there already though its run is not loaded: something that must never be made worse.
    desk.change(
            "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, received, \
             duplicates, reordered, clock_synchronised) VALUES (2, 1, 'station', 'n', 0, 0, 0, 0, 0, 0, 0)",
            &[],
        );
    assert_eq!(desk.load(), Tally { loaded: 2, rejected: 0, kept: 1 });
    assert_eq!([desk.state(1), desk.state(2), desk.state(3)], ["loaded", "finished", "loaded"]);
    assert_eq!(desk.prepared().len(), 1);
}

#[test]
fn a_ping_that_could_not_resolve_is_a_reading_with_its_reason() {
    let mut desk = Desk::new();
    desk.row(1, "ping", "finished", 1).file(1, "ping", 1, "");
    let path = desk.spool.data().join("1.ping");
    let file = fs::read_to_string(&path).expect("there");
    let stderr = "ping: nosuch.example: Name or service not known\n";
    let file = file.replace("\"stderr_bytes\":0", &format!("\"stderr_bytes\":{}", stderr.len()));
    fs::write(&path, file.replace("\"status\":0", "\"status\":2") + stderr).expect("room");
    assert_eq!(desk.load(), Tally { loaded: 1, rejected: 0, kept: 0 });
    let problem = desk.ask::<String>("SELECT problem FROM PINGDATA");
    assert!(problem.starts_with("unknown host: "), "{problem}");
    assert_eq!(desk.ask::<String>("SELECT reason FROM SCHEDULE"), problem);
    assert_eq!(desk.ask::<Option<f64>>("SELECT min FROM PINGDATA"), None);
}

#[test]
fn routes_of_a_pair_are_numbered_in_the_order_of_their_appearance() {
    let mut desk = Desk::new();
    let trace = |middle: &str| {
        format!(
            "traceroute to 192.0.2.2 (192.0.2.2), 30 hops max, 60 byte packets\n 1  198.51.100.1  0.050 ms\n 2  {middle}\n \
             3  192.0.2.2  0.900 ms\n"
        )
    };
    for (id, middle) in [
        (1, "203.0.113.2  0.5 ms"),
        (2, "203.0.113.6  0.5 ms"),
        (3, "*"),
        (4, "203.0.113.2  0.4 ms"),
    ] {
        desk.row(id, "traceroute", "finished", 1).file(id, "traceroute", 1, &trace(middle));
        assert_eq!(desk.load().loaded, 1);
    }
    let numbers: Vec<i64> = (1..=4)
        .map(|id| desk.ask(&format!("SELECT routeno FROM ROUTEDATA WHERE scheduleID = {id}")))
        .collect();
    // The third has a silent hop: it is the route that it agrees with and that was seen last.
    assert_eq!(numbers[..2], [1, 2]);
    assert!(numbers[2] == 1 || numbers[2] == 2);
    assert_eq!(numbers[3], 1);
    assert_eq!(desk.ask::<i64>("SELECT COUNT(*) FROM ROUTENO"), 2);
    assert_eq!(desk.ask::<i64>("SELECT rtt_us FROM ROUTEDATA WHERE scheduleID = 1"), 900);
    assert_eq!(desk.ask::<i64>("SELECT numhops FROM ROUTEDATA WHERE scheduleID = 3"), 3);
}

/// Rows whose daemon has said all of them, and their files.
fn many(desk: &Desk, count: i64) {
    for id in 1..=count {
        desk.row(id, "ping", "finished", 1).file(id, "ping", 1, PING);
    }
    desk.change("UPDATE SCHEDULE SET start_us = 5000000, end_us = 6000000", &[]);
}

#[test]
fn odd_ones_among_many_are_treated_as_if_they_were_alone() {
    let mut desk = Desk::new();
    many(&desk, 250);
    desk.change("UPDATE SCHEDULE SET state = 'lost' WHERE scheduleID = 10", &[]);
    desk.change("UPDATE SCHEDULE SET attempt = 2 WHERE scheduleID = 20", &[]);
    desk.change("UPDATE SCHEDULE SET state = 'loaded' WHERE scheduleID = 30", &[]);
    desk.change("DELETE FROM SCHEDULE WHERE scheduleID = 40", &[]);
    desk.change("UPDATE SCHEDULE SET state = 'running', end_us = NULL WHERE scheduleID = 50", &[]);
    desk.change("UPDATE SCHEDULE SET end_us = 7 WHERE scheduleID = 60", &[]);
    desk.file(70, "ping", 1, "rubbish\n");
    assert_eq!(desk.load(), Tally { loaded: 246, rejected: 4, kept: 0 });
    assert_eq!(desk.readings(), 245);
    let states = [10, 20, 50, 60, 70, 250].map(|id| desk.state(id));
    assert_eq!(states, ["lost", "finished", "loaded", "loaded", "rejected", "loaded"]);
    let ends = "SELECT COUNT(*) FROM SCHEDULE WHERE state = 'loaded' AND end_us = 6000000";
    assert_eq!(desk.ask::<i64>(ends), 246);
}

#[test]
fn two_loaders_with_the_same_files_load_each_once() {
    let desk = Desk::new();
    many(&desk, 250);
    let load = || {
        let mut store = desk.another_store();
        move |batch: Vec<_>| load::load(&mut store, "station", &batch).expect("a database")
    };
    let (mut one, mut other) = (load(), load());
    let batches = [desk.prepared(), desk.prepared()];
    let fates = std::thread::scope(|scope| {
        let [first, second] = batches;
        let first = scope.spawn(move || one(first));
        [other(second), first.join().expect("no panic")]
    });
    assert!(fates.concat().iter().all(|fate| *fate == Fate::Loaded), "{fates:?}");
    assert_eq!(desk.readings(), 250);
    assert_eq!(desk.ask::<i64>("SELECT COUNT(*) FROM SCHEDULE WHERE state = 'loaded'"), 250);
}
