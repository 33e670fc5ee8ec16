//! The ping beside a run, in the result file of a run that had the channel.

use std::fmt::Write;

use load_test_data::{
    file::Content,
    load::{self, Fate},
};
use readings::{Kind, Problem, Reading, available::Available, throughput::Throughput};
use station::{
    text::Timestamp,
    words::run::{Alone, Beside, Ended, Header, Machine},
};

use crate::desk::{Desk, PING, header};

/// A ping of an interval of 0.2 s; each reply takes as many milliseconds as its number.
fn ping(sent: u64) -> String {
    let mut text = "PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.\n".to_owned();
    for seq in 1..=sent {
        let _ = writeln!(text, "64 bytes from 192.0.2.1: icmp_seq={seq} ttl=60 time={seq}.0 ms");
    }
    text + &format!(
        "\n--- 192.0.2.1 ping statistics ---\n{sent} packets transmitted, {sent} received, 0% packet loss, time 1ms\n"
    )
}

/// The result of a run from second 5 to 6 with a ping beside it from second 4 on.
fn result(desk: &Desk, id: i64, beside: &str) {
    let argv = ["ping", "-i", "0.2", "192.0.2.1"].map(str::to_owned).to_vec();
    let beside_of = Beside {
        argv,
        start_us: Timestamp::from_seconds(4),
        ended: Ended::Exited { status: 0 },
        stdout_bytes: beside.len() as u64,
        stderr_bytes: 0,
    };
    let machine = Machine { load: Some(0.1), ..Machine::default() };
    let alone = Alone { machine, unclean: None, beside: Some(beside_of) };
    let (stdout_bytes, alone) = (PING.len() as u64, Some(alone));
    let header = Header { stdout_bytes, alone, ..header(id, "ping", 1) };
    desk.result(&header, &format!("{PING}{beside}"));
}

/// What the files hold, as if their runs had measured this.
fn loaded(desk: &mut Desk, reading: &Reading) {
    let mut batch = desk.prepared();
    for prepared in &mut batch {
        let Content::Reading(measured) = &mut prepared.content else { panic!("{prepared:?}") };
        measured.reading = reading.clone();
    }
    let fates = load::load(&mut desk.store, "station", &batch).expect("a database");
    assert!(fates.iter().all(|fate| *fate == Fate::Loaded), "{fates:?}");
}

fn throughput() -> Reading {
    Reading::Throughput(Throughput::default())
}

#[test]
fn the_delay_on_the_idle_and_on_the_loaded_path_stands_beside_the_rate() {
    let mut desk = Desk::new();
    desk.row(1, "ping", "finished", 1);
    result(&desk, 1, &ping(12));
    loaded(&mut desk, &throughput());
    let column = |name: &str| desk.ask::<i64>(&format!("SELECT {name} FROM BWDATA"));
    // Five were sent in second 4, five in second 5.
    assert_eq!((column("idle_rtt_p50_us"), column("loaded_rtt_p50_us")), (3_000, 8_000));
    assert_eq!((column("loaded_rtt_p95_us"), column("loaded_rtt_max_us")), (10_000, 10_000));
    assert_eq!((column("loaded_sent"), column("loaded_lost")), (5, 0));
    let packets = desk.ask::<String>("SELECT loaded_packets FROM BWDATA");
    assert_eq!(packets, "[[6,6000,60],[7,7000,60],[8,8000,60],[9,9000,60],[10,10000,60]]");
    assert_eq!(desk.ask::<i64>("SELECT COUNT(*) FROM BWDATA WHERE problem IS NULL"), 1);
}

#[test]
fn a_ping_that_is_not_understood_takes_nothing_from_the_run() {
    let mut desk = Desk::new();
    desk.row(1, "ping", "finished", 1);
    result(&desk, 1, "to be or not to be\n");
    loaded(&mut desk, &throughput());
    let problem = desk.ask::<String>("SELECT problem FROM BWDATA");
    assert!(
        problem.starts_with("the ping beside it: its output was not understood: "),
        "{problem}"
    );
    assert_eq!(desk.ask::<Option<i64>>("SELECT loaded_sent FROM BWDATA"), None);
    assert_eq!(desk.state(1), "loaded");
}

#[test]
fn available_bandwidth_has_the_delays_of_the_ping_beside_it_too() {
    let mut desk = Desk::new();
    desk.row(1, "ping", "finished", 1);
    result(&desk, 1, &ping(12));
    let measured = Available { min_bps: Some(5e6), ..Available::default() };
    loaded(&mut desk, &Reading::Available(measured));
    let column = |name: &str| desk.ask::<i64>(&format!("SELECT {name} FROM BWDATA"));
    assert_eq!((column("idle_rtt_p50_us"), column("loaded_rtt_p50_us")), (3_000, 8_000));
    assert_eq!((column("loaded_rtt_p95_us"), column("loaded_rtt_max_us")), (10_000, 10_000));
    assert_eq!((column("loaded_sent"), column("loaded_lost")), (5, 0));
    let packets = desk.ask::<String>("SELECT loaded_packets FROM BWDATA");
    assert!(packets.starts_with("[[6,6000,60],"), "{packets}");
    assert_eq!(desk.ask::<Option<f64>>("SELECT thrumin FROM BWDATA"), Some(5.0));
    assert_eq!(desk.ask::<i64>("SELECT COUNT(*) FROM BWDATA WHERE problem IS NULL"), 1);
}

#[test]
fn why_its_ping_tells_nothing_stands_after_why_available_bandwidth_was_not_found() {
    let mut desk = Desk::new();
    desk.row(1, "ping", "finished", 1);
    result(&desk, 1, "to be or not to be\n");
    let refused = Problem { kind: Kind::Refused, text: "not now".to_owned() };
    let measured = Available { problem: Some(refused), ..Available::default() };
    loaded(&mut desk, &Reading::Available(measured));
    let problem = desk.ask::<String>("SELECT problem FROM BWDATA");
    let both = "refused: not now; the ping beside it: its output was not understood: ";
    assert!(problem.starts_with(both), "{problem}");
    assert_eq!(desk.ask::<Option<i64>>("SELECT loaded_sent FROM BWDATA"), None);
}
