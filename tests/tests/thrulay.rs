//! Throughput by our own thrulay, on networks whose figures are known beforehand: a narrow link, a long wire, packets
//! that the wire loses, doubles and lets overtake one another, a server that dies, a path that goes dark, and clients
//! that mean no good.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use rstest::rstest;
use serde_json::Value;
use stories::{
    Bed, Lab, Program,
    program::{binaries, said, succeed},
    until,
    wire::{Direction, Line, Traffic, Which},
};

const V4: &str = "192.0.2.2";
const V6: &str = "2001:db8:2::2";

/// A server on the lab's server.
struct Served {
    lab: Lab,
    folder: tempfile::TempDir,
    server: Program,
}

impl Served {
    fn over(lab: Lab, args: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let mut command = lab.host("server").command(&binaries().join("thrulayd"));
        command.args(args.split_whitespace());
        let server = Program::start(command, &log);
        until("the server listens", || server.log().contains("serves [::]:5003").then_some(()));
        Self { lab, folder, server }
    }

    fn client(&self, args: &str) -> Command {
        let mut command = self.lab.host("client").command(&binaries().join("thrulay"));
        command.args(args.split_whitespace()).current_dir(self.folder.path());
        command
    }

    fn measure(&self, args: &str) -> Output {
        self.client(args).output().expect("it starts")
    }

    fn measured(&self, args: &str) -> Value {
        let output = self.measure(&format!("--json {args}"));
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// A client whose output goes to a file.
    fn starts(&self, args: &str) -> Program {
        Program::start(self.client(args), &self.folder.path().join("client"))
    }
}

fn number(it: &Value, at: &str) -> f64 {
    it.pointer(at).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {at} in {it}"))
}

fn mbps(it: &Value, at: &str) -> f64 {
    number(it, &format!("{at}/bits_per_s")) / 1e6
}

#[rstest]
#[case(V4)]
#[case(V6)]
#[ignore = "needs root for network namespaces"]
fn a_narrow_link_is_found_and_its_queue_is_in_the_round_trip(#[case] server: &str) {
    let served = Served::over(Lab::up(), "");
    served.lab.router_shapes("s0 root tbf rate 20mbit burst 64kb latency 80ms");
    let it = served.measured(&format!("-t 4 {server}"));
    let rate = mbps(&it, "/tcp/total");
    assert!((10.0..21.0).contains(&rate), "{rate} of 20 Mbit/s: {it}");
    let [min, median, max] =
        ["min", "median", "max"].map(|of| number(&it, &format!("/tcp/total/rtt/{of}_ms")));
    assert!(min < 40.0 && median > 5.0 && max > 40.0, "the queue fills: {it}");
    let several = served.measured(&format!("-t 4 -m 4 {server}"));
    let rate = mbps(&several, "/tcp/total");
    assert!((10.0..21.0).contains(&rate), "{rate} of 20 Mbit/s: {several}");
    assert!(
        (0..4).all(|stream| mbps(&several, &format!("/tcp/by_stream/{stream}")) > 0.1),
        "{several}"
    );
}

#[test]
#[ignore = "needs root for network namespaces"]
fn what_the_path_loses_is_sent_again_and_counted() {
    let served = Served::over(Lab::up(), "");
    served.lab.router_filters(
        "-p tcp --dport 5003 -m statistic --mode nth --every 50 --packet 49 -j DROP",
    );
    let it = served.measured(&format!("-t 2 {V4}"));
    assert!(number(&it, "/tcp/total/retransmits") > 5.0, "{it}");
}

#[rstest]
#[case(V4)]
#[case(V6)]
#[ignore = "needs root for network namespaces"]
fn the_delay_of_a_wire_is_in_the_round_trip_and_ping_beside_sees_the_same(#[case] server: &str) {
    let served = Served::over(Lab::with_wire(), "");
    let line = |millis| Line { delay: Duration::from_millis(millis), ..Line::default() };
    served.lab.wire().set(Direction::Out, line(30));
    served.lab.wire().set(Direction::Back, line(10));
    // A window of 16 kB on a way of 40 ms: nothing waits for anything.
    let it = served.measured(&format!("-t 3 -w 16384 -l 1024 {server}"));
    let [min, median] = ["min", "median"].map(|of| number(&it, &format!("/tcp/total/rtt/{of}_ms")));
    assert!((40.0..60.0).contains(&min) && median >= min, "{it}");
    assert!(mbps(&it, "/tcp/total") > 0.3, "{it}");
    let mut ping = served.lab.host("client").command(Path::new("ping"));
    let output = ping.args(["-n", "-c", "5", "-i", "0.05", server]).output().expect("ping starts");
    assert!(said(&output).contains("time=4"), "ping sees 40 ms too: {}", said(&output));
}

#[test]
#[ignore = "needs root for network namespaces"]
fn many_streams_join_on_a_long_way() {
    let served = Served::over(Lab::with_wire(), "");
    served.lab.wire().set_both(&Line { delay: Duration::from_millis(60), ..Line::default() });
    // One after the other they would take 23 s.
    let it = served.measured(&format!("-t 2 -m 64 -w 16384 -l 1024 {V4}"));
    let streams = it["tcp"]["by_stream"].as_array().expect("a list");
    assert_eq!(streams.len(), 64, "{it}");
    assert!(streams.iter().all(|stream| stream["bytes"].as_u64() > Some(0)), "{it}");
}

#[rstest]
#[case(V4)]
#[case(V6)]
#[ignore = "needs root for network namespaces"]
fn packets_that_are_too_long_for_the_way_are_cut_and_counted_at_the_first_try(
    #[case] server: &str,
) {
    let served = Served::over(Lab::up(), "");
    let mut ip = served.lab.host("router").command(Path::new("ip"));
    succeed(ip.args(["link", "set", "s0", "mtu", "1300"]));
    let it = served.measured(&format!("-u 2M -t 1 {server}"));
    let received = &it["udp"]["received"];
    assert_eq!((&received["unique"], &received["lost"]), (&it["udp"]["sent"], &0.into()), "{it}");
}

#[rstest]
#[case(V4)]
#[case(V6)]
#[ignore = "needs root for network namespaces"]
fn what_the_wire_does_to_packets_is_found_by_number(#[case] server: &str) {
    let served = Served::over(Lab::with_wire(), "");
    // The number of a packet stands behind its token.
    let marked = |numbers: &[u32]| Which::Marked(16, numbers.to_vec());
    let line = Line {
        delay: Duration::from_millis(20),
        loses: marked(&[5, 6, 17]),
        doubles: (marked(&[30, 31]), Duration::from_millis(5)),
        holds: vec![(marked(&[60]), Duration::from_millis(100))],
        counts: Traffic::Udp,
        ..Line::default()
    };
    served.lab.wire().set(Direction::Out, line);
    // A packet in 20 ms.
    let it = served.measured(&format!("-u 600k -t 2 {server}"));
    assert_eq!(served.lab.wire().missed(), 0);
    let received = &it["udp"]["received"];
    let counts = ["unique", "lost", "duplicates", "dropped_by_server"]
        .map(|what| received[what].as_u64().unwrap_or_else(|| panic!("{it}")));
    assert_eq!(counts, [97, 3, 2, 0], "{it}");
    let reordered = received["n_reordered"].as_array().expect("a list");
    assert!((3..=6).contains(&reordered.len()), "100 ms are five packets: {it}");
    assert!(reordered.iter().all(|count| *count == 1), "only 60 was overtaken: {it}");
    let [min, p50, p95, max] =
        ["min", "p50", "p95", "max"].map(|of| number(received, &format!("/delay_ms/{of}")));
    assert!(min >= 20.0 && p50 < 60.0 && p95 < 120.0 && max >= 120.0, "{it}");
    let text = said(&served.measure(&format!("-u 600k -t 2 {server}")));
    for line in [
        "Client said it sent 100 packets",
        "Loss:\t\t 3.000%",
        "Duplication:\t 2.020%",
        "\t1-reordering = ",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_server_that_is_killed_in_the_middle_and_a_path_that_goes_dark_are_errors() {
    let mut served = Served::over(Lab::up(), "");
    let row = |client: &Program| client.log().contains("\n ( 0)").then_some(());
    let mut client = served.starts(&format!("-t 5 {V4}"));
    until("a row is printed", || row(&client));
    served.lab.router_filters("-d 192.0.2.2 -j DROP").router_filters("-s 192.0.2.2 -j DROP");
    let status = until("the client ends", || client.ended());
    let text = client.log();
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("timed out after") && text.contains("#(**)"), "{text}");
    assert!(text.contains("    0.000    0.000    0.000\n"), "nothing came any more: {text}");

    let mut client = served.starts(&format!("-t 60 {V6}"));
    until("a row is printed", || client.log().matches("\n ( 0)").count().gt(&5).then_some(()));
    served.server.kill();
    let status = until("the client ends", || client.ended());
    let text = client.log();
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("premature end of test") && text.matches("#(**)").count() == 2, "{text}");
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_crowd_from_another_host_does_not_disturb_a_test() {
    let served = Served::over(Lab::up(), "");
    served.lab.router_shapes("s0 root tbf rate 20mbit burst 64kb latency 50ms");
    let mut client = served.starts(&format!("-t 4 --json {V4}"));
    let crowd: Vec<TcpStream> = served.lab.host("server").inside(|| {
        let place = SocketAddr::new(V6.parse().expect("an address"), 5003);
        let mut crowd = Vec::new();
        for number in 0..500_u32 {
            let Ok(mut stream) = TcpStream::connect(place) else { continue };
            let said: &[u8] = if number % 2 == 0 { &[] } else { &[0xff; 40] };
            let _ = stream.write_all(said);
            crowd.push(stream);
        }
        crowd
    });
    assert!(crowd.len() > 300, "they came in: {}", crowd.len());
    let status = until("the client ends", || client.ended());
    assert_eq!(status, Some(0), "{}", client.log());
    let it: Value = serde_json::from_str(&client.log()).expect("JSON");
    assert!(mbps(&it, "/tcp/total") > 8.0, "{it}");
    assert!(served.measure(&format!("-t 1 {V4}")).status.success(), "and others come in too");
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_station_measures_by_the_names_of_the_originals_tables() {
    let mut bed = Bed::up().limited("20mbit", "50ms");
    for name in ["tlaytcp", "mtlaytcp"] {
        let link = bed.station.path(&format!("bin/{name}"));
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(binaries().join("thrulay"), link).expect("a link");
    }
    let mut command = bed.lab.host("server").command(&binaries().join("thrulayd"));
    command.arg("-d");
    let server = Program::start(command, &bed.station.path("log/thrulayd"));
    until("the server listens", || server.log().contains("serves [::]:5003").then_some(()));
    bed.measures(&[
        "one,tlaytcp,,-t 3,4,10",
        "three,mtlaytcp,,-m 3 -t 3 --json,4,10",
        "packets,thrulay,tlaytcp,-u 2M -t 2,4,10",
    ]);
    for (node, streams, protocol) in [("one", 1, "tcp"), ("three", 3, "tcp"), ("packets", 1, "udp")]
    {
        let reading = bed.reading(node);
        assert_eq!((&*reading.problem, &*reading.state.0), ("", "loaded"), "{reading:?}");
        let row: (i64, String) =
            (bed.figure(&reading, "streams"), bed.figure(&reading, "protocol"));
        assert_eq!(row, (streams, protocol.to_owned()), "{reading:?}");
        if protocol == "tcp" {
            let rate = reading.thruavg.unwrap_or_default();
            assert!((10.0..21.0).contains(&rate), "{reading:?}");
            let rtt: f64 = bed.figure(&reading, "rttavg");
            assert!(rtt > 1.0 && rtt < 1_000.0, "{rtt} ms: {reading:?}");
        }
    }
    bed.nobody_overlapped();
}
