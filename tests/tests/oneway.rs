//! One-way delay with the real owampd and owping, on a path whose delay, losses, duplicates and reordering are known
//! beforehand; and what they do when the other end, or everybody else, misbehaves.

use std::{
    fs,
    io::Write,
    net::{TcpStream, UdpSocket},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::{Signal, kill_process};
use serde_json::Value;
use stories::{
    Host, Lab, Line, Program, Station, pause,
    program::{binaries, said},
    until, until_within,
    wire::{Cause, Direction, End, Passage, Traffic, UDP, Which},
};
use tempfile::TempDir;

/// The longest that owping may take to see that nobody answers any more.
const BOUND: Duration = Duration::from_secs(120);
/// What a test of the control port's attackers leaves owampd, kB.
const MOST_MEMORY: u64 = 60_000;

/// An owampd on the lab's server; its port is the standard one.
struct Served {
    owampd: Program,
    lab: Lab,
    folder: TempDir,
}

impl Served {
    #[track_caller]
    fn on(lab: Lab) -> Self {
        Self::with(lab, &[])
    }

    /// With files of its configuration: name and text.
    #[track_caller]
    fn with(lab: Lab, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            write_private(&folder.path().join(name), text);
        }
        // A server of a station goes by the name `owampd`: these are nobody's.
        let program = folder.path().join("a-server");
        symlink(binaries().join("owampd"), &program).expect("a link");
        let mut command = lab.host("server").command(&program);
        command.arg("-Z").arg("-c").arg(folder.path());
        let owampd = Program::start(command, &folder.path().join("log"));
        until("owampd serves", || owampd.log().contains("serves ").then_some(()));
        Self { owampd, lab, folder }
    }

    fn owping(&self, options: &str) -> std::process::Command {
        let mut command = self.lab.host("client").command(&binaries().join("owping"));
        command.args(options.split(' '));
        command
    }

    /// A test that goes well.
    #[track_caller]
    fn measures(&self, options: &str) -> Test {
        let output = self.owping(&format!("--json --packets {options}")).output().expect("starts");
        assert!(output.status.success(), "{}\n{}", said(&output), self.owampd.log());
        Test::of(&output)
    }

    /// A test that is in the middle of its packets when this returns.
    #[track_caller]
    fn begins(&self, options: &str) -> Program {
        let client = self.lab.host("client");
        let before = client.received();
        let command = self.owping(&format!("--json --packets {options}"));
        let program = Program::start(command, &self.folder.path().join("owping"));
        // A hundred packets of the least length, beside what was agreed upon.
        until("packets come", || (client.received() > before + 8_000).then_some(()));
        program
    }

    /// What became of the test packets of a direction on the wire.
    fn on_the_wire(&self, direction: &str) -> Vec<Passage> {
        let to = if direction == "to" { Direction::Out } else { Direction::Back };
        let mut passages = self.lab.wire().passages();
        passages.retain(|passage| passage.to == to && passage.seen.protocol == UDP);
        passages
    }

    /// What owping says of a direction is what the wire did: the same packets lost and come, in the same order,
    /// and each took as long as it was on the wire, and a little more for the hosts and the router.
    #[track_caller]
    fn agrees_with_the_wire(&self, test: &Test, direction: &str) {
        assert_eq!(self.lab.wire().missed(), 0);
        let (mut left, lost): (Vec<_>, Vec<_>) =
            self.on_the_wire(direction).into_iter().partition(|passage| passage.left().is_some());
        assert!(lost.iter().all(|passage| passage.end == End::Lost(Cause::Chosen)));
        let number = |passage: &Passage| u64::from(passage.seen.mark(0).expect("a test packet"));
        let lost: Vec<_> = lost.iter().map(number).collect();
        assert_eq!(sorted(test.numbers(direction, true)), lost);
        left.sort_by_key(Passage::left);
        let came: Vec<_> = left.iter().map(number).collect();
        assert_eq!(test.numbers(direction, false), came);
        let mut errors: Vec<i64> = test
            .delays(direction)
            .into_iter()
            .zip(&left)
            .map(|(told, passage)| told - nanoseconds(passage.delay().expect("it left")))
            .collect();
        errors.sort_unstable();
        let median = errors[errors.len() / 2];
        println!("{direction}: {median} ns beside the wire at the median, from {}", errors[0]);
        // The record in a packet is as fine as a quarter of a nanosecond, JSON's a nanosecond.
        assert!(errors[0] > -1_000 && median < 1_000_000, "{errors:?}");
    }

    /// The most memory that owampd has had, kB.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.owampd.pid()));
        let status = status.expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

fn nanoseconds(length: Duration) -> i64 {
    i64::try_from(length.as_nanos()).expect("a short time")
}

/// A line for which the test packets count.
fn packets() -> Line {
    Line { counts: Traffic::Udp, ..Line::default() }
}

/// Test packets by the number that they begin with (RFC 4656 section 4.1.2).
fn numbered(numbers: &[u32]) -> Which {
    Which::Marked(0, numbers.to_vec())
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("made private");
}

/// What owping's JSON says.
#[derive(Debug)]
struct Test(Value);

impl Test {
    #[track_caller]
    fn of(output: &Output) -> Self {
        Self::read(&String::from_utf8_lossy(&output.stdout))
    }

    #[track_caller]
    fn read(text: &str) -> Self {
        let line = text.lines().find(|line| line.starts_with('{'));
        let line = line.unwrap_or_else(|| panic!("no JSON: {text}"));
        Self(serde_json::from_str(line).expect("JSON"))
    }

    fn problem(&self) -> String {
        self.0["problem"].as_str().unwrap_or_default().to_owned()
    }

    fn sessions(&self) -> &[Value] {
        self.0["sessions"].as_array().expect("sessions")
    }

    #[track_caller]
    fn session(&self, direction: &str) -> &Value {
        let all = self.sessions();
        all.iter().find(|it| it["direction"] == direction).expect("the direction")
    }

    /// A figure of a direction, by the path to it.
    #[track_caller]
    fn figure(&self, direction: &str, pointer: &str) -> f64 {
        let value = self.session(direction).pointer(pointer);
        let number = value.and_then(Value::as_f64);
        number.unwrap_or_else(|| panic!("{pointer} of {direction}: {value:?}"))
    }

    /// Numbers of the packets of a direction, in the order of arrival: of those that came, or of the lost.
    fn numbers(&self, direction: &str, lost: bool) -> Vec<u64> {
        let packets = self.session(direction)["packets"].as_array().expect("packets");
        let wanted = packets.iter().filter(|packet| packet[2].is_null() == lost);
        wanted.map(|packet| packet[0].as_u64().expect("a number")).collect()
    }

    /// Delays of the packets that came, ns, in the order of arrival.
    fn delays(&self, direction: &str) -> Vec<i64> {
        let packets = self.session(direction)["packets"].as_array().expect("packets");
        packets.iter().filter_map(|packet| packet[2].as_i64()).collect()
    }

    #[track_caller]
    fn is(&self, direction: &str, figures: &[(&str, u32)]) {
        for (pointer, expected) in figures {
            let found = self.figure(direction, pointer);
            let wanted = f64::from(*expected);
            assert!(
                (found - wanted).abs() < 1e-9,
                "{pointer} of {direction}: {found}, not {wanted}"
            );
        }
    }
}

const NOTHING_LOST: [(&str, u32); 4] =
    [("/lost", 0), ("/duplicates", 0), ("/loss_periods/count", 0), ("/skipped", 0)];

#[test]
#[ignore = "needs root for network namespaces"]
fn delays_are_told_apart_by_direction() {
    let served = Served::on(Lab::with_wire());
    let takes =
        |milliseconds| Line { delay: Duration::from_millis(milliseconds), ..Line::default() };
    served.lab.wire().set(Direction::Out, takes(10));
    served.lab.wire().set(Direction::Back, takes(25));
    let test = served.measures("-c 100 -i 0.01f 192.0.2.2");
    for (direction, least) in [("to", 10.0), ("from", 25.0)] {
        let median = test.figure(direction, "/delay/median_ns") / 1e6;
        assert!((least..least + 8.0).contains(&median), "{direction}: {median} ms");
        let shortest = test.figure(direction, "/delay/min_ns") / 1e6;
        assert!((least..least + 3.0).contains(&shortest), "{direction}: {shortest} ms");
        test.is(direction, &NOTHING_LOST);
        test.is(direction, &[("/sent", 100), ("/hops/min", 1), ("/hops/max", 1)]);
        assert_eq!(test.numbers(direction, false), (0..100).collect::<Vec<_>>());
        served.agrees_with_the_wire(&test, direction);
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn packets_that_are_lost_are_named_and_their_periods_counted() {
    let served = Served::on(Lab::with_wire());
    let loses = |numbers: &[u32]| Line { loses: numbered(numbers), ..packets() };
    served.lab.wire().set(Direction::Out, loses(&[3, 7, 8, 9]));
    served.lab.wire().set(Direction::Back, loses(&[5]));
    let test = served.measures("-c 30 -i 0.02f 192.0.2.2");
    let periods = [("/loss_periods/count", 2), ("/loss_periods/longest", 3)];
    test.is("to", &[("/sent", 30), ("/lost", 4), ("/duplicates", 0), periods[0], periods[1]]);
    assert_eq!(sorted(test.numbers("to", true)), [3, 7, 8, 9]);
    let periods = [("/loss_periods/count", 1), ("/loss_periods/longest", 1)];
    test.is("from", &[("/sent", 30), ("/lost", 1), ("/duplicates", 0), periods[0], periods[1]]);
    assert_eq!(sorted(test.numbers("from", true)), [5]);
    served.agrees_with_the_wire(&test, "to");
    served.agrees_with_the_wire(&test, "from");
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

#[test]
#[ignore = "needs root for network namespaces"]
fn packets_that_come_twice_or_late_are_found_by_number() {
    let served = Served::on(Lab::with_wire());
    let late = Duration::from_millis(400);
    let doubles = (numbered(&[4, 6, 20]), Duration::from_millis(1));
    served.lab.wire().set(Direction::Out, Line { doubles, ..packets() });
    let holds = vec![(numbered(&[10, 25]), late)];
    served.lab.wire().set(Direction::Back, Line { holds, ..packets() });
    let test = served.measures("-c 100 -i 0.02f 192.0.2.2");
    test.is(
        "to",
        &[("/sent", 100), ("/lost", 0), ("/duplicates", 3), ("/reordering/reordered", 0)],
    );
    let came = test.numbers("to", false);
    let twice = |number: &u64| came.iter().filter(|it| *it == number).count() == 2;
    assert_eq!((0..100).filter(twice).collect::<Vec<_>>(), [4, 6, 20]);

    test.is("from", &NOTHING_LOST);
    test.is("from", &[("/sent", 100), ("/reordering/reordered", 2)]);
    assert_eq!(came_after_a_later_one(&test.numbers("from", false)), [10, 25]);
    served.agrees_with_the_wire(&test, "to");
    served.agrees_with_the_wire(&test, "from");
}

/// The reordered ones (RFC 4737 section 3.3).
fn came_after_a_later_one(numbers: &[u64]) -> Vec<u64> {
    let highest = numbers.iter().scan(0, |highest, number| {
        *highest = (*highest).max(*number);
        Some(*highest)
    });
    numbers.iter().zip(highest).filter(|(it, highest)| *it < highest).map(|(it, _)| *it).collect()
}

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

#[test]
#[ignore = "needs root for network namespaces"]
fn those_who_know_the_passphrase_are_served_over_ipv6_and_no_others() {
    let secrets = "iepm 73746174696f6e2d736563726574\n";
    let conf = "authmode A,E\n";
    let files = [("owamp-server.pfs", secrets), ("owamp-server.conf", conf)];
    let served = Served::with(Lab::up(), &files);
    let (right, wrong) = (served.folder.path().join("right"), served.folder.path().join("wrong"));
    write_private(&right, secrets);
    write_private(&wrong, "iepm 77726f6e67\n");
    for mode in ["A", "E"] {
        let options = |file: &Path| {
            format!("-6 -c 20 -i 0.02f -A {mode} -u iepm -k {} server6.example", file.display())
        };
        let test = served.measures(&options(&right));
        for direction in ["to", "from"] {
            test.is(direction, &NOTHING_LOST);
            test.is(direction, &[("/sent", 20), ("/hops/max", 1)]);
            assert!(test.session(direction)["to"]["address"].as_str().expect("one").contains(':'));
        }
        let output = served.owping(&options(&wrong)).output().expect("starts");
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("passphrase"), "{told}");
        assert!(!told.contains("77726f6e67"), "{told}");
    }
    let output = served.owping("-6 -c 20 -A O server6.example").output().expect("starts");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("no common mode"), "{}", said(&output));
}

/// Octets that nobody can foresee, and everybody can repeat.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut octet = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| octet()).collect()
}

/// Connections to owampd's control port.
fn connections(host: &Host, number: usize) -> Vec<TcpStream> {
    host.inside(move || {
        (0..number).filter_map(|_| TcpStream::connect("192.0.2.2:861").ok()).collect()
    })
}

/// A connection's first message of a client (RFC 4656 section 3.1): it chooses the open mode.
fn setup() -> Vec<u8> {
    let mut message = vec![0; 164];
    message[3] = 1;
    message
}

/// Noise, half messages, and messages with noise behind them.
fn babble(host: &Host) {
    for (seed, mut stream) in (1..).zip(connections(host, 150)) {
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

/// Sends forged test packets to the ports of test packets until `ends`; gives how many.
fn flood(host: &Host, ends: &Arc<AtomicBool>) -> thread::JoinHandle<u64> {
    let socket = host.inside(|| UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    let ends = ends.clone();
    thread::spawn(move || {
        let mut sent = 0;
        while !ends.load(Ordering::Relaxed) {
            for port in 8_760..8_780 {
                let number = u32::try_from(sent % 1_000).expect("small").to_be_bytes();
                let packet = [&number[..], &noise(sent, 10 + usize::from(number[3]))].concat();
                sent += u64::from(socket.send_to(&packet, ("192.0.2.2", port)).is_ok());
            }
            pause(Duration::from_millis(1));
        }
        sent
    })
}

#[test]
#[ignore = "needs root for network namespaces"]
fn an_honest_test_goes_on_undisturbed_while_the_server_is_under_attack() {
    let served = Served::on(Lab::up());
    let (client, router) = (served.lab.host("client"), served.lab.host("router"));
    let mut honest = served.begins("-c 800 -i 0.01f 192.0.2.2");
    let ends = Arc::new(AtomicBool::new(false));
    let floods = [flood(&client, &ends), flood(&router, &ends)];
    let _silent = [connections(&client, 300), connections(&router, 300)];
    while honest.ended().is_none() {
        babble(&client);
        babble(&router);
    }
    // Who comes now is served as well, from the attackers' own address.
    let test = served.measures("-c 100 -i 0.01f 192.0.2.2");
    ends.store(true, Ordering::Relaxed);
    let forged: u64 = floods.map(|flood| flood.join().expect("it ended")).iter().sum();
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

/// Ends what runs on a host when it is dropped.
struct Ending(Host);

impl Drop for Ending {
    fn drop(&mut self) {
        for pid in self.0.running() {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
#[ignore = "needs root for network namespaces"]
fn a_station_keeps_owampd_alive_and_another_has_its_delays_in_a_table() {
    let lab = Lab::up();
    let server = Station::on(Some(lab.host("server")));
    let _ending = Ending(lab.host("server"));
    symlink(binaries().join("owampd"), server.path("bin/owampd")).expect("a link");
    let shipped = fs::read_to_string(server.path("config/servers.alive")).expect("init made it");
    let line = shipped.lines().find(|line| line.starts_with("owampd,")).expect("its line");
    fs::write(server.path("config/servers.alive"), format!("{line}\n")).expect("written");
    let output = server.run("keep-servers-alive", &[]);
    assert!(output.status.success(), "{}\n{}", said(&output), server.logs());
    // It gave up root's rights, and is known all the same: nobody starts a second one.
    let output = server.run("keep-servers-alive", &["-v"]);
    assert!(output.status.success(), "{}\n{}", said(&output), server.logs());
    assert_eq!(lab.host("server").running_as("owampd").len(), 1, "{}", said(&output));

    let station = Station::on(Some(lab.host("client")));
    symlink(binaries().join("owping"), station.path("bin/owping")).expect("a link");
    station.configure("[load]\npause = '1s'");
    station
        .measures(&["server4,server.example,4"], &["server4,owping,,-c 20 -i 0.02 -L 1,10,15,5"]);
    let _daemons = station.start_all(&["load-scheduled", "owpingd", "load-datad"]);
    let wanted = "OWAMPDATA WHERE destNodeID = 'server4' AND to_sent = 20 AND from_sent = 20 AND to_lost = 0 \
                  AND from_lost = 0 AND tmed IS NOT NULL AND fmed IS NOT NULL AND tmin <= tmed AND tmed <= tmax \
                  AND to_hops_max = 1 AND from_hops_max = 1";
    until("delays are in OWAMPDATA", || (station.count(wanted) > 0).then_some(()));
    station.accounts_are_right();
}
