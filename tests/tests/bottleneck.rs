//! The narrow link of the test network: it carries what it says, and other traffic takes what it says of it.

use std::{path::Path, time::Duration};

use rstest::rstest;
use stories::{
    Lab,
    bottleneck::{Bottleneck, CrossTraffic, capacity},
};

fn link(mbits: u32) -> Bottleneck {
    Bottleneck { bits: u64::from(mbits) * 1_000_000, queue: Duration::from_millis(50) }
}

#[rstest]
#[case(10)]
#[case(100)]
#[ignore = "needs root for network namespaces"]
fn a_narrow_link_carries_its_rate_and_not_more(#[case] mbits: u32) {
    let lab = Lab::up();
    lab.narrows(link(mbits));
    let found = capacity(&lab, link(mbits), Duration::from_secs(1)) / 1e6;
    println!("{found:.3} of {mbits} Mbit/s");
    // A machine that is busy may give it less to carry.
    assert!(found < f64::from(mbits) * 1.02 && found > f64::from(mbits) * 0.5, "{found} Mbit/s");
}

#[test]
#[ignore = "needs root for network namespaces"]
fn other_traffic_fills_the_part_of_the_link_that_it_was_told_and_waits_with_the_rest() {
    let lab = Lab::up();
    lab.narrows(link(10));
    let ping = |count: &str| {
        let mut ping = lab.host("server").command(Path::new("ping"));
        ping.args(["-n", "-q", "-i", "0.01", "-c", count, "198.51.100.2"]).output().expect("ping")
    };
    let average = |output: &std::process::Output| -> f64 {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (_, times) = text.split_once("mdev = ").expect("round trips");
        times.split('/').nth(1).expect("an average").parse().expect("a number")
    };
    let quiet = average(&ping("100"));
    let cross = lab.crosses(CrossTraffic { bits: 6_000_000, packet: 1_500 });
    let mark = cross.mark();
    let shared = average(&ping("300"));
    let rate = cross.rate_since(mark);
    println!("{rate} bit/s, {quiet} and {shared} ms");
    assert!((4e6..7.5e6).contains(&rate), "{rate} bit/s");
    // M/D/1 at 60 %: 0.9 ms of waiting, more or less.
    assert!(shared > quiet + 0.2, "{quiet} ms alone, {shared} ms beside other traffic");
}
