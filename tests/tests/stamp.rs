//! STAMP between a client and a server with a router in between, which loses and delays packets on one way only.

use serde_json::Value;
use stories::{
    Lab, Program,
    program::{binaries, said},
    until,
};

const SERVERS: [&str; 2] = ["192.0.2.2", "[2001:db8:2::2]"];

/// A reflector on the server, and the network.
struct Bed {
    lab: Lab,
    folder: tempfile::TempDir,
    _reflector: Program,
}

impl Bed {
    fn new(args: &str) -> Self {
        let lab = Lab::up();
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let mut command = lab.host("server").command(&binaries().join("stamp-reflector"));
        command.args(args.split_whitespace());
        let reflector = Program::start(command, &log);
        until("the reflector listens", || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.contains("answers on [::]:862").then_some(())
        });
        Self { lab, folder, _reflector: reflector }
    }

    fn open() -> Self {
        Self::new("--allow 198.51.100.0/24 --allow 2001:db8::/32")
    }

    fn sender(&self, args: &str) -> std::process::Output {
        let mut command = self.lab.host("client").command(&binaries().join("stamp-sender"));
        command.args(args.split_whitespace()).current_dir(self.folder.path());
        command.output().expect("it starts")
    }

    fn measured(&self, args: &str) -> Value {
        let output = self.sender(&format!("--json {args}"));
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

fn number(it: &Value, at: &str) -> i64 {
    it.pointer(at).and_then(Value::as_i64).unwrap_or_else(|| panic!("no {at} in {it}"))
}

#[test]
#[ignore = "needs root for network namespaces"]
fn what_is_lost_on_either_way_is_told_apart_to_the_packet_and_hops_are_counted() {
    let bed = Bed::open();
    let nth = "-p udp -m statistic --mode nth";
    bed.lab
        .router_filters(&format!("-d 192.0.2.2 {nth} --every 10 --packet 3 -j DROP"))
        .router_filters(&format!("-s 192.0.2.2 {nth} --every 9 --packet 4 -j DROP"));
    let it = bed.measured("-c 100 -i 0.01 -L 1 192.0.2.2");
    let losses =
        serde_json::json!({"there": 10, "back": 10, "unknown": 0, "reflector_numbers": "own"});
    assert_eq!((&it["lost"], &it["losses"]), (&20.into(), &losses), "{it}");
    for server in SERVERS {
        let it = bed.measured(&format!("-c 5 -i 0.01 -L 1 {server}"));
        for hops in ["/there/hops/min", "/there/hops/max", "/back/hops/min", "/back/hops/max"] {
            assert_eq!(number(&it, hops), 1, "{it}");
        }
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_way_that_is_slow_in_one_direction_is_found_by_direction() {
    let bed = Bed::open();
    // 40 packets of 1,086 octets in 0.2 s want 1.7 Mbit/s: at the end the queue holds most of them.
    bed.lab.router_shapes("c0 root tbf rate 400kbit burst 3000 limit 100000");
    for server in SERVERS {
        let it = bed.measured(&format!("-c 40 -i 0.005 -s 1000 -L 5 {server}"));
        assert_eq!(number(&it, "/lost"), 0, "{it}");
        let (there, back) = (number(&it, "/there/delay/p95_ns"), number(&it, "/back/delay/p95_ns"));
        assert!(back > 300_000_000 && there < 100_000_000, "{it}");
        let round = number(&it, "/round_trip/p95_ns");
        assert!((round - back).abs() < 100_000_000, "{it}");
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn who_is_not_allowed_is_told_what_to_have_changed_and_an_unreachable_host_is_told_at_once() {
    let bed = Bed::new("");
    let output = bed.sender("-c 2 -i 0.01 -L 0.3 192.0.2.2");
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("nobody answered 2 packets"), "{text}");
    assert!(text.contains("have its --allow") && text.contains("name 198.51.100.2"), "{text}");
    bed.lab.router_filters("-d 192.0.2.3 -j REJECT --reject-with icmp-host-unreachable");
    let text = said(&bed.sender("-c 3 -i 0.1 -L 60 192.0.2.3"));
    assert!(text.contains("No route to host") && text.contains("no way leads there"), "{text}");
}
