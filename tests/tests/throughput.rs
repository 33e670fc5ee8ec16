//! Throughput with the real iperf and iperf3, on a network whose figures are known beforehand.

use stories::{Bed, Reading};

/// The router's rate, Mbit/s.
const LIMIT: f64 = 20.0;

fn limited() -> Bed {
    Bed::up().limited("20mbit", "50ms")
}

#[track_caller]
fn within_a_tenth(bed: &Bed, node: &str, of: f64) -> Reading {
    let reading = bed.reading(node);
    let thruavg = reading.thruavg.unwrap_or_default();
    println!("{node}: {thruavg} Mbit/s of {of}");
    assert!((thruavg / of - 1.0).abs() <= 0.1, "{thruavg} Mbit/s of {of}: {reading:?}");
    assert_eq!(reading.state, ("loaded".to_owned(), String::new()), "{reading:?}");
    assert_eq!((&*reading.problem, &*reading.tries), ("", &["well".to_owned()][..]));
    reading
}

#[test]
#[ignore = "needs root for network namespaces"]
fn tcp_finds_the_rate_of_the_narrowest_link() {
    let mut bed = limited();
    let _servers = [
        bed.serves("iperf", 5101, &[]),
        bed.serves("iperf3", 5201, &[]),
    ];
    bed.measures(&[
        "one,iperf,,-p 5101 -t 3 -i 1,4,10",
        "four,miperf,iperf,-p 5101 -t 3 -P 4,4,10",
        "three,iperf3,,-p 5201 -t 3 -J,4,10",
    ]);
    for node in ["one", "four", "three"] {
        let r = bed.reading(node);
        println!("{r:?} {}", bed.figure::<i64>(&r, "streams"));
        println!("{:?}", bed.station.files("data/loaded"));
    }
    within_a_tenth(&bed, "one", LIMIT);
}
