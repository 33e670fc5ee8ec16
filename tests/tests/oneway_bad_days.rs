//! What owampd and owping do when the other end, or everybody else, misbehaves.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use rustix::process::Signal;
use stories::{
    Host, Lab, Line, Program,
    mischief::{Flood, connections, noise},
    owamp::{NOTHING_LOST, Served, Test, numbered, packets},
    until, until_within,
    wire::{Direction, Which},
};

/// The longest that owping may take to see that nobody answers any more.
const BOUND: Duration = Duration::from_secs(120);
/// What a test of the control port's attackers leaves owampd, kB.
const MOST_MEMORY: u64 = 60_000;

/// owping has ended by itself, has said why, and no packet is called lost of which nobody knows.
#[track_caller]
fn ended_with_a_reason(mut owping: Program) -> Test {
    let status = until_within(BOUND, "owping ends by itself", || owping.ended());
    let test = Test::read(&owping.log());
    assert_eq!(status, Some(1), "{}", test.problem());
    assert!(test.problem().contains("OWAMP server"), "{:?}", test.problem());
    assert!(!test.sessions().is_empty(), "what came is told");
    for session in test.sessions() {
        assert_eq!(session["lost"], 0, "{}", session["direction"]);
        assert_eq!(session["finished"], false, "{}", session["direction"]);
    }
    test
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_path_that_goes_dark_ends_the_test_and_is_no_loss() {
    let served = Served::on(Lab::with_wire());
    let owping = served.begins("-c 1000 -i 0.01f 192.0.2.2");
    served.lab.wire().set_both(&Line { loses: Which::All, ..Line::default() });
    ended_with_a_reason(owping);
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_server_that_dies_ends_the_test_and_is_no_loss() {
    let mut served = Served::on(Lab::with_wire());
    let owping = served.begins("-c 3000 -i 0.01f 192.0.2.2");
    served.owampd.kill();
    ended_with_a_reason(owping);
}

const CONTROL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 861);

/// A connection's first message of a client (RFC 4656 section 3.1): it chooses the open mode.
fn setup() -> Vec<u8> {
    let mut message = vec![0; 164];
    message[3] = 1;
    message
}

/// Noise, half messages, and messages with noise behind them.
fn babble(host: &Host) {
    for (seed, mut stream) in (1..).zip(connections(host, CONTROL, 150)) {
        let noise = noise(seed, 4_096);
        let half = usize::from(noise[0]) % 164;
        let message = match seed % 3 {
            0 => noise,
            1 => setup()[..half].to_vec(),
            _ => [setup(), noise].concat(),
        };
        // It may have been shown the door already.
        let _ = stream.write_all(&message);
    }
}

/// Forged test packets to the ports of test packets.
fn flood(host: &Host) -> Flood {
    Flood::begin(host, Duration::from_millis(1), |round| {
        let forged = (8_760..8_780).map(|port| {
            let seed = round * 20 + u64::from(port);
            let number = u32::try_from(seed % 1_000).expect("small").to_be_bytes();
            let packet = [&number[..], &noise(seed, 10 + usize::from(number[3]))].concat();
            (SocketAddr::new(CONTROL.ip(), port), packet)
        });
        forged.collect()
    })
}

#[test]
#[ignore = "needs root for network namespaces"]
fn an_honest_test_goes_on_undisturbed_while_the_server_is_under_attack() {
    let served = Served::on(Lab::up());
    let (client, router) = (served.lab.host("client"), served.lab.host("router"));
    let mut honest = served.begins("-c 800 -i 0.01f 192.0.2.2");
    let floods = [flood(&client), flood(&router)];
    let _silent = [&client, &router].map(|host| connections(host, CONTROL, 300));
    while honest.ended().is_none() {
        babble(&client);
        babble(&router);
    }
    // Who comes now is served as well, from the attackers' own address.
    let test = served.measures("-c 100 -i 0.01f 192.0.2.2");
    let forged: u64 = floods.map(Flood::end).iter().sum();
    assert!(forged > 10_000, "{forged} forged packets");
    for (test, sent) in [(Test::read(&honest.log()), 800), (test, 100)] {
        assert_eq!(test.problem(), "");
        for direction in ["to", "from"] {
            test.is(direction, &NOTHING_LOST);
            test.is(direction, &[("/sent", sent), ("/own_drops", 0)]);
            assert_eq!(test.session(direction)["finished"], true);
        }
    }
    assert_eq!(honest.ended(), Some(Some(0)), "{}", honest.log());
    assert!(served.peak() < MOST_MEMORY, "{} kB", served.peak());
    assert!(
        served.owampd.log().contains("one that had said nothing went"),
        "nobody was turned away"
    );
    // A line for each kind of mischief, not for each of its thousands.
    assert!(served.owampd.log().lines().count() < 200, "{}", served.owampd.log());
}

/// Some packets never come, and it is stopped before the time-out of any is over: they came to no end that anybody
/// knows.
#[test]
#[ignore = "needs root for network namespaces"]
fn a_test_that_is_stopped_calls_no_packet_lost_or_unkept_that_is_on_its_way() {
    let served = Served::on(Lab::with_wire());
    let some: Vec<u32> = (0..5_000).step_by(7).collect();
    for direction in [Direction::Out, Direction::Back] {
        served.lab.wire().set(direction, Line { loses: numbered(&some), ..packets() });
    }
    let mut test = served.begins("-c 5000 -i 0.01f -L 20 192.0.2.2");
    test.signal(Signal::INT);
    until("it ends", || test.ended());
    let told = test.log();
    assert!(!told.contains("no record of"), "{told}");
    let test = Test::read(&told);
    for direction in ["to", "from"] {
        test.is(direction, &NOTHING_LOST);
        assert_eq!(test.session(direction)["finished"], false);
    }
}
