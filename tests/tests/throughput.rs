//! Throughput with the real iperf and iperf3, on a network whose figures are known beforehand: the router lets
//! twenty megabits a second through, either way.

use stories::{Bed, Reading, until};

/// The router's rate, Mbit/s.
const LIMIT: f64 = 20.0;

fn limited(latency: &str) -> Bed {
    Bed::up().limited("20mbit", latency)
}

/// Whether a rate is the one that was to be found: a test's end takes its time on a busy machine, and nothing comes faster.
fn is_about(found: f64, expected: f64) -> bool {
    (0.75..1.1).contains(&(found / expected))
}

/// The first test to a node, which went well and found about `expected` Mbit/s.
#[track_caller]
fn finds(bed: &Bed, node: &str, expected: f64) -> Reading {
    let reading = bed.reading(node);
    let found = reading.thruavg.unwrap_or_default();
    assert!(is_about(found, expected), "{found} of {expected} Mbit/s: {reading:?}");
    assert_eq!(reading.state, ("loaded".to_owned(), String::new()), "{reading:?}");
    assert_eq!((&*reading.problem, &*reading.tries), ("", &["well".to_owned()][..]));
    reading
}

#[test]
#[ignore = "needs root for network namespaces"]
fn tcp_finds_the_rate_of_the_narrowest_link() {
    let mut bed = limited("50ms");
    let _servers = [
        bed.serves("iperf", 5101, &[]),
        bed.serves("iperf", 5102, &[]),
        bed.serves("iperf3", 5201, &[]),
    ];
    bed.measures(&[
        "one,iperf,,-p 5101 -t 3 -i 1,4,10",
        "four,miperf,iperf,-p 5102 -t 3 -P 4,4,10",
        "json,iperf3,,-p 5201 -t 3 -J,4,10",
        "back,iperf3,,-p 5201 -t 3 -J -R,4,10",
    ]);
    for (node, way, streams) in
        [("one", "to", 1), ("four", "to", 4), ("json", "to", 1), ("back", "from", 1)]
    {
        let reading = finds(&bed, node, LIMIT);
        let row: (String, String, String, i64) = (
            bed.figure(&reading, "direction"),
            bed.figure(&reading, "protocol"),
            bed.figure(&reading, "address"),
            bed.figure(&reading, "streams"),
        );
        assert_eq!(row, (way.to_owned(), "tcp".to_owned(), "192.0.2.2".to_owned(), streams));
        let (bytes, length): (f64, f64) =
            (bed.figure(&reading, "bytes * 1.0"), bed.figure(&reading, "duration_s"));
        let rate = bytes * 8.0 / length / 1e6;
        assert!(is_about(rate, LIMIT), "{bytes} bytes in {length} s of {node}");
        assert!((2.9..6.0).contains(&length), "{length} s of {node}");
    }
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn udp_finds_what_was_offered_and_loses_what_does_not_fit() {
    let mut bed = limited("50ms");
    let _servers = [bed.serves("iperf", 5101, &["-u"]), bed.serves("iperf3", 5201, &[])];
    bed.measures(&[
        "fits2,iperf,,-p 5101 -u -b 5M -t 3,4,10",
        "fits3,iperf3,,-p 5201 -u -b 5M -t 3 -J,4,10",
        "twice2,iperf,,-p 5101 -u -b 40M -t 3,4,10",
        "twice3,iperf3,,-p 5201 -u -b 40M -t 3 -J,4,10",
    ]);
    let lossratio = |node: &str, expected: f64| -> f64 {
        let reading = finds(&bed, node, expected);
        assert_eq!(bed.figure::<String>(&reading, "protocol"), "udp");
        assert!(bed.figure::<f64>(&reading, "jitter_us") > 0.0, "{reading:?}");
        let (lost, sent): (i64, i64) =
            (bed.figure(&reading, "lost"), bed.figure(&reading, "datagrams"));
        assert!(0 <= lost && lost < sent && sent > 1_000, "{lost} of {sent}: {reading:?}");
        bed.figure(&reading, "lossratio")
    };
    for node in ["fits2", "fits3"] {
        let lost = lossratio(node, 5.0);
        assert!(lost < 0.05, "{node}: {lost}");
    }
    for node in ["twice2", "twice3"] {
        let lost = lossratio(node, LIMIT);
        assert!((0.4..0.6).contains(&lost), "{node}: {lost}");
    }
    bed.nobody_overlapped();
    bed.station.accounts_are_right();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_ping_beside_a_test_sees_the_queue_that_the_test_makes() {
    let mut bed = limited("150ms");
    let _servers = [
        bed.serves("iperf", 5101, &[]),
        bed.serves("iperf", 5102, &["-u"]),
        bed.serves("iperf3", 5201, &[]),
    ];
    bed.measures(&[
        "two,iperf,,-p 5101 -t 4,5,10,,-n -i 0.2",
        "three,iperf3,,-p 5201 -t 4 -J,5,10,,-n -i 0.2",
        "full,iperf,,-p 5102 -u -b 25M -t 4,5,10,,-n -i 0.2",
    ]);
    // How much of the queue a connection over TCP uses is its own affair; datagrams fill it.
    for (node, least) in [("two", 1_000), ("three", 1_000), ("full", 75_000)] {
        let reading = finds(&bed, node, LIMIT);
        let us = |column: &str| bed.figure::<i64>(&reading, column);
        let (idle, loaded) = (us("idle_rtt_p50_us"), us("loaded_rtt_p50_us"));
        assert!(0 < idle && idle * 3 < loaded && loaded > least, "{node}: {idle}, {loaded} us");
        assert!(loaded <= us("loaded_rtt_max_us") && us("loaded_rtt_max_us") < 1_000_000);
        let (sent, lost) = (us("loaded_sent"), us("loaded_lost"));
        assert!((10..40).contains(&sent) && lost <= sent, "{node}: {lost} of {sent}");
        let packets: Vec<(u64, u64, Option<u64>)> =
            serde_json::from_str(&bed.figure::<String>(&reading, "loaded_packets")).expect("JSON");
        assert_eq!(i64::try_from(packets.len()), Ok(sent - lost));
    }
    bed.nobody_overlapped();
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_ping_that_went_on_beside_a_test_names_it_and_no_other_does() {
    let mut bed = limited("50ms");
    let _server = bed.serves("iperf", 5101, &[]);
    bed.measures_beside(&["test,iperf,,-p 5101 -t 4,5,10"], &["pinged,ping,,-n -c 1 -w 1,1,1"]);
    let test = finds(&bed, "test", LIMIT);
    let during = "p.start_us <= t.end_us AND t.start_us <= p.end_us";
    let pings = |which: &str| {
        let own = format!("t.scheduleID = {}", test.run);
        bed.station.count(&format!("PINGDATA p JOIN TRIES t ON {own} WHERE {which}"))
    };
    until("pings during the test and after it are in PINGDATA", || {
        let wanted = [during, "p.start_us > t.end_us"];
        wanted.iter().all(|which| pings(which) > 0).then_some(())
    });
    let named = format!("p.overlapped IS {}", test.run);
    assert_eq!(pings(&format!("({during}) AND NOT ({named})")), 0, "beside it and unnamed");
    assert_eq!(pings(&format!("NOT ({during}) AND ({named})")), 0, "named, and not beside it");
    assert!(pings("p.overlapped IS NULL") > 0);
    assert_eq!(bed.station.count("BWDATA WHERE overlapped IS NOT NULL"), 0);
}
