//! Available bandwidth with the real `pathload_snd` and `pathload_rcv`, on a path whose narrow link is known.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    time::Duration,
};

use rstest::rstest;
use serde_json::Value;
use stories::{
    Lab, Program,
    bottleneck::{Bottleneck, CrossTraffic},
    mischief::{Flood, connections, noise},
    program::{binaries, said},
    until,
};
use tempfile::TempDir;

const V4: &str = "192.0.2.2";
const CONTROL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 55_002);
const UDP: SocketAddr = SocketAddr::new(CONTROL.ip(), 55_001);
const V6: &str = "2001:db8:2::2";

struct Served {
    sender: Program,
    lab: Lab,
    _folder: TempDir,
}

impl Served {
    fn on(lab: Lab) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = lab.host("server").command(&binaries().join("pathload_snd"));
        command.arg("-i");
        let sender = Program::start(command, &folder.path().join("log"));
        until("it serves both families", || sender.log().contains("serves [::]").then_some(()));
        Self { sender, lab, _folder: folder }
    }

    /// A measurement that takes at most a minute; what it tells, and how it ended.
    fn measures(&self, server: &str) -> (Value, bool) {
        let mut command = self.lab.host("client").command(&binaries().join("pathload_rcv"));
        let output =
            command.args(["-s", server, "-t", "60", "--json"]).output().expect("it starts");
        let told = serde_json::from_slice(&output.stdout);
        (told.unwrap_or_else(|_| panic!("{}", said(&output))), output.status.success())
    }
}

/// How exactly it is told is the bench's: a machine that is busy makes ranges wide, or none, and says why. A short queue
/// loses packets of streams that are too fast, where a long one delays them.
#[rstest]
#[case(V4, 100)]
#[case(V6, 100)]
#[case(V4, 4)]
#[ignore = "needs root for network namespaces"]
fn what_a_narrow_link_has_is_told_or_why_it_cannot_be(#[case] server: &str, #[case] queue: u64) {
    let lab = Lab::up();
    lab.narrows(Bottleneck { bits: 20_000_000, queue: Duration::from_millis(queue) });
    let (told, is_well) = Served::on(lab).measures(server);
    println!("{told:#}");
    assert_eq!(told["address"], server);
    let (low, high) = (told["min_bit_per_s"].as_f64(), told["max_bit_per_s"].as_f64());
    if is_well {
        assert!(low.is_none_or(|low| low < 22e6) && high.is_none_or(|high| high > 18e6));
        assert!(low.or(high).is_some() && told["problem"].is_null());
    } else {
        assert!(
            told["problem"].as_str().is_some_and(|why| why.starts_with("Measurement terminated"))
        );
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn other_traffic_leaves_less() {
    let lab = Lab::up();
    lab.narrows(Bottleneck { bits: 20_000_000, queue: Duration::from_millis(100) });
    let served = Served::on(lab);
    let crossing = served.lab.crosses(CrossTraffic { bits: 12_000_000, packet: 1_500 });
    let (told, _) = served.measures(V4);
    println!("{told:#}\n{}", crossing.rate());
    // At 20 Mbit/s every stream is too fast now.
    assert!(told["max_bit_per_s"].as_f64().is_none_or(|high| high < 19e6), "{told:#}");
    let verdicts = told["fleets"].as_array().expect("fleets");
    let is_above = |fleet: &Value| fleet["verdict"] == "above" || fleet["verdict"] == "late sender";
    assert!(verdicts.iter().any(is_above), "{told:#}");
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_filter_on_the_way_is_told_and_nothing_is_sent() {
    let lab = Lab::up();
    lab.router_filters("-p udp -j DROP");
    let served = Served::on(lab);
    let before = served.lab.host("client").received();
    let mut command =
        served.lab.host("client").command(Path::new(&binaries().join("pathload_rcv")));
    let output = command.args(["-s", V4]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("did not hear us by UDP"), "{}", said(&output));
    // A connection and some lines; a stream would be more.
    assert!(served.lab.host("client").received() < before + 20_000);
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_way_that_closes_in_the_middle_is_no_slow_one() {
    let lab = Lab::up();
    lab.narrows(Bottleneck { bits: 20_000_000, queue: Duration::from_millis(100) });
    let served = Served::on(lab);
    let mut command = served.lab.host("client").command(&binaries().join("pathload_rcv"));
    command.args(["-s", V4, "-t", "60"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = command.spawn().expect("it starts");
    let mut lines = BufReader::new(client.stdout.take().expect("piped")).lines();
    while !lines.next().expect("a line").expect("text").starts_with("Receiving Fleet") {}
    served.lab.router_filters("-p udp -s 192.0.2.2 -j DROP");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let status = client.wait().expect("it ends");
    assert_eq!(status.code(), Some(1), "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains("did a filter on the way close?")), "{rest:#?}");
    assert!(!rest.iter().any(|line| line.contains("Available bandwidth")), "{rest:#?}");
}

/// Who says nothing, who talks nonsense, and forged packets, also from the client's own host: it is measured all the same,
/// and once more.
#[test]
#[ignore = "needs root for network namespaces"]
fn hostile_clients_keep_nobody_from_measuring() {
    let lab = Lab::up();
    lab.narrows(Bottleneck { bits: 20_000_000, queue: Duration::from_millis(100) });
    let mut served = Served::on(lab);
    let (client, router) = (served.lab.host("client"), served.lab.host("router"));
    let floods = [&client, &router].map(|host| {
        Flood::begin(host, Duration::from_millis(1), |round| {
            let length = usize::try_from(round % 1_400).expect("small");
            vec![(UDP, noise(round, length)), (UDP, vec![0; 64])]
        })
    });
    let _silent = connections(&router, CONTROL, 200);
    for round in 0..2 {
        for (seed, mut stream) in (1..).zip(connections(&router, CONTROL, 100)) {
            // It may have been shown the door already.
            let _ = stream.write_all(&noise(seed, 4_096));
        }
        // A crowd at the door may take the place of a connection: who comes again gets in.
        let is_measured =
            |told: &Value| told["fleets"].as_array().is_some_and(|fleets| !fleets.is_empty());
        let told = (0..5).map(|_| served.measures(V4).0).find(is_measured);
        let told = told.unwrap_or_else(|| panic!("round {round}: {}", served.sender.log()));
        println!("{round}: {told:#}");
        assert!(told["max_bit_per_s"].as_f64().is_none_or(|high| high > 18e6), "{told:#}");
    }
    let forged: u64 = floods.map(Flood::end).iter().sum();
    assert!(forged > 10_000, "{forged} forged packets");
    assert_eq!(served.sender.terminate(), Some(0), "{}", served.sender.log());
    // A line a minute for each kind of mischief, not for each of its hundreds.
    assert!(served.sender.log().lines().count() < 50, "{}", served.sender.log());
}

/// The first long packet is told to be too long for a link behind the first hop; the next ones go in fragments.
#[test]
#[ignore = "needs root for network namespaces"]
fn a_path_of_short_packets_is_measured_at_the_first_time() {
    let lab = Lab::up();
    lab.router_carries("c0", 1_400);
    lab.narrows(Bottleneck { bits: 20_000_000, queue: Duration::from_millis(100) });
    let (told, _) = Served::on(lab).measures(V4);
    println!("{told:#}");
    let problem = told["problem"].as_str().unwrap_or_default();
    assert!(!problem.contains("went away"), "{problem}");
    let fleets = told["fleets"].as_array().expect("fleets");
    assert!(fleets.iter().any(|fleet| fleet["verdict"] != "late sender"), "{told:#}");
}
