//! The real owampd and owping on a lab's network, and what owping's JSON says beside what the wire did.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Output,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Lab, Line, Program,
    program::{binaries, said},
    until,
    wire::{Cause, Direction, End, Passage, Traffic, UDP, Which},
};

/// The figures of a direction in which every packet came, once and in order.
pub const NOTHING_LOST: [(&str, u32); 4] =
    [("/lost", 0), ("/duplicates", 0), ("/loss_periods/count", 0), ("/skipped", 0)];

/// An owampd on the lab's server; its port is the standard one.
#[derive(Debug)]
pub struct Served {
    /// The server.
    pub owampd: Program,
    /// Its network.
    pub lab: Lab,
    /// Its configuration and its log.
    pub folder: TempDir,
}

impl Served {
    /// With the configuration as it is shipped.
    #[track_caller]
    pub fn on(lab: Lab) -> Self {
        Self::with(lab, &[])
    }

    /// With files of its configuration: name and text.
    #[track_caller]
    pub fn with(lab: Lab, files: &[(&str, &str)]) -> Self {
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

    /// The command of a test from the lab's client.
    pub fn owping(&self, options: &str) -> std::process::Command {
        let mut command = self.lab.host("client").command(&binaries().join("owping"));
        command.args(options.split(' '));
        command
    }

    /// A test that goes well.
    #[track_caller]
    pub fn measures(&self, options: &str) -> Test {
        let output = self.owping(&format!("--json --packets {options}")).output().expect("starts");
        assert!(output.status.success(), "{}\n{}", said(&output), self.owampd.log());
        Test::of(&output)
    }

    /// A test that is in the middle of its packets when this returns.
    #[track_caller]
    pub fn begins(&self, options: &str) -> Program {
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
    pub fn agrees_with_the_wire(&self, test: &Test, direction: &str) {
        assert_eq!(self.lab.wire().missed(), 0);
        let (mut left, lost): (Vec<_>, Vec<_>) =
            self.on_the_wire(direction).into_iter().partition(|passage| passage.left().is_some());
        assert!(lost.iter().all(|passage| passage.end == End::Lost(Cause::Chosen)));
        let number = |passage: &Passage| u64::from(passage.seen.mark(0).expect("a test packet"));
        let lost: Vec<_> = lost.iter().map(number).collect();
        assert_eq!(test.lost(direction), lost);
        left.sort_by_key(Passage::left);
        let came: Vec<_> = left.iter().map(number).collect();
        assert_eq!(test.came(direction), came);
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
    pub fn peak(&self) -> u64 {
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
pub fn packets() -> Line {
    Line { counts: Traffic::Udp, ..Line::default() }
}

/// Test packets by the number that they begin with (RFC 4656 section 4.1.2).
pub fn numbered(numbers: &[u32]) -> Which {
    Which::Marked(0, numbers.to_vec())
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("made private");
}

/// What owping's JSON says.
#[derive(Debug)]
pub struct Test(Value);

impl Test {
    #[track_caller]
    fn of(output: &Output) -> Self {
        Self::read(&String::from_utf8_lossy(&output.stdout))
    }

    /// What owping has printed.
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let line = text.lines().find(|line| line.starts_with('{'));
        let line = line.unwrap_or_else(|| panic!("no JSON: {text}"));
        Self(serde_json::from_str(line).expect("JSON"))
    }

    /// Why it did not end as it should; empty if it did.
    pub fn problem(&self) -> String {
        self.0["problem"].as_str().unwrap_or_default().to_owned()
    }

    /// Both directions, as far as there are any.
    pub fn sessions(&self) -> &[Value] {
        self.0["sessions"].as_array().expect("sessions")
    }

    /// A direction, `to` or `from`.
    #[track_caller]
    pub fn session(&self, direction: &str) -> &Value {
        let all = self.sessions();
        all.iter().find(|it| it["direction"] == direction).expect("the direction")
    }

    /// A figure of a direction, by the path to it.
    #[track_caller]
    pub fn figure(&self, direction: &str, pointer: &str) -> f64 {
        let value = self.session(direction).pointer(pointer);
        let number = value.and_then(Value::as_f64);
        number.unwrap_or_else(|| panic!("{pointer} of {direction}: {value:?}"))
    }

    /// Numbers of the packets of a direction that came, in the order of arrival.
    pub fn came(&self, direction: &str) -> Vec<u64> {
        self.numbers(direction, false)
    }

    /// Numbers of the packets of a direction that are lost, in their own order.
    pub fn lost(&self, direction: &str) -> Vec<u64> {
        let mut numbers = self.numbers(direction, true);
        numbers.sort_unstable();
        numbers
    }

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

    /// A direction has these figures, each by the path to it.
    #[track_caller]
    pub fn is(&self, direction: &str, figures: &[(&str, u32)]) {
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
