//! Tools that misbehave: each run ends as a row with its reason, and the next one is not held up.

use std::{fs, os::unix::fs::PermissionsExt};

use stories::{Program, Station, until};

/// A station that calls a script of the story's own as `ping`, beside a well-behaved one.
fn station(script: &str) -> (Station, Vec<Program>) {
    let station = Station::new();
    station.configure("[load]\npause = '1s'\n[probes]\nmost-output = 1000000");
    station.tool("badtool", script);
    station.measures(
        &["bad,127.0.0.1", "good,127.0.0.1"],
        &["bad,ping,badtool,-x,1,3,0,0", "good,ping,,-n -c 1 -w 1,1,2,1,0"],
    );
    let daemons = station.start_all(&["load-scheduled", "pingd", "load-datad"]);
    (station, daemons)
}

fn good_ones_go_on(station: &Station) {
    let done = || station.count("PINGDATA WHERE destNodeID = 'good'");
    let before = done();
    until("the good tool goes on beside the bad one", || (done() >= before + 2).then_some(()));
}

/// Nothing that a tool started is left of a run, or of all: its children carry the station's tag in their
/// environment.
fn nothing_is_left(station: &Station, run: &str) {
    let home = station.home().display().to_string();
    until("no process of a run is left", || {
        let all = fs::read_dir("/proc").expect("a proc");
        let left = all.filter_map(Result::ok).filter(|entry| {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&format!("IEPM_RUN={home}:pingd:{run}"))
        });
        (left.count() == 0).then_some(())
    });
}

#[test]
fn a_tool_that_ignores_term_is_ended_at_its_limit() {
    let (station, mut daemons) = station("trap '' TERM INT; while :; do sleep 1; done");
    station.until_reason("loaded", "hung");
    let late = "SCHEDULE WHERE destNodeID = 'bad' AND end_us - start_us > 4500000";
    assert_eq!(station.count(late), 0, "1 s, then INT, TERM and KILL a second apart");
    good_ones_go_on(&station);
    assert_eq!(daemons[1].terminate(), Some(0));
    nothing_is_left(&station, "");
}

#[test]
fn a_tool_that_is_stopped_is_ended_too() {
    let (station, mut daemons) = station("kill -STOP $$");
    station.until_reason("loaded", "hung");
    good_ones_go_on(&station);
    daemons[1].terminate();
    nothing_is_left(&station, "");
}

#[test]
fn what_a_tool_leaves_running_is_ended_with_it() {
    let (station, mut daemons) =
        station("sleep 600 & (trap '' TERM HUP; sleep 601) & echo gibberish");
    station.until_reason("rejected", "not understood");
    good_ones_go_on(&station);
    daemons[1].terminate();
    nothing_is_left(&station, "");
}

#[test]
fn what_left_the_group_of_its_run_is_ended_while_the_daemon_goes_on() {
    let (station, mut daemons) =
        station("setsid --fork sleep 600; setsid --fork sleep 601; echo gibberish");
    station.until_reason("rejected", "not understood");
    let first: i64 = station
        .ask("SELECT MIN(scheduleID) FROM SCHEDULE WHERE state = 'rejected'")
        .expect("a run");
    nothing_is_left(&station, &first.to_string());
    assert_eq!(daemons[1].ended(), None);
    let zombies = format!("/proc/{}/task/{}/children", daemons[1].pid(), daemons[1].pid());
    until("none stays unreaped", || {
        let children = fs::read_to_string(&zombies).expect("a list");
        let state = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        children.split(' ').all(|pid| !state(pid).contains(") Z")).then_some(())
    });
}

#[test]
fn rubbish_is_rejected_whole() {
    let (station, _daemons) = station("echo to be or not to be; echo that is no ping >&2; exit 3");
    let reason = station.until_reason("rejected", "not understood");
    assert!(reason.starts_with("the output of ping was not understood"), "{reason}");
    let name = until("the file is kept", || station.files("data/rejected").pop());
    let file = fs::read_to_string(station.path("data/rejected").join(name)).expect("readable");
    assert!(file.contains("to be or not to be\nthat is no ping\n"), "{file}");
    good_ones_go_on(&station);
}

#[test]
fn a_tool_that_says_nothing_is_rejected() {
    let (station, _daemons) = station("exit 0");
    station.until_reason("rejected", "not understood");
    good_ones_go_on(&station);
}

#[test]
fn a_flood_of_output_is_stopped_and_cut() {
    let (station, _daemons) = station("exec head -c 50000000 /dev/zero");
    let reason = station.until_reason("rejected", "not understood");
    assert!(!reason.is_empty());
    let name = until("the file is kept", || station.files("data/rejected").pop());
    let size = fs::metadata(station.path("data/rejected").join(name)).expect("a file").len();
    assert!((1_000_000..1_010_000).contains(&size), "{size} bytes were kept of 50 MB");
    good_ones_go_on(&station);
}

#[test]
fn an_endless_flood_is_ended_before_its_limit() {
    let station = Station::new();
    station.configure("[probes]\nmost-output = 1000000").tool("badtool", "exec cat /dev/zero");
    station.measures(&["bad,127.0.0.1"], &["bad,ping,badtool,-x,30,30,0"]);
    let output = station.run("iepm", &["run", "bad", "ping"]);
    assert!(station.until_reason("rejected", "too much output").starts_with("ended for writing"));
    let took: i64 = station.ask("SELECT end_us - start_us FROM SCHEDULE").expect("a run");
    assert!(
        took < 20_000_000,
        "it took {took} us of the 30 s that it had: {}",
        stories::program::said(&output)
    );
}

#[test]
fn a_tool_that_is_not_installed_is_named() {
    let (station, _daemons) = station("true");
    fs::remove_file(station.path("bin/badtool")).expect("removed");
    station.until_reason("failed", "badtool is not installed");
    good_ones_go_on(&station);
}

#[test]
fn a_tool_that_is_no_program_is_named() {
    let station = Station::new();
    let path = station.path("bin/broken");
    fs::write(&path, "no program").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
    let spec = format!("bad,ping,{},-x,1,2,0,0", path.display());
    station.measures(&["bad,127.0.0.1"], &[&spec]);
    let _daemons = station.start_all(&["load-scheduled", "pingd"]);
    station.until_reason("failed", "ermission denied");
}

#[test]
fn a_row_of_the_database_cannot_become_a_command() {
    let (station, _daemons) = station("true");
    let database = station.database();
    database.execute("UPDATE NODES SET hostName = '-f' WHERE nodeID = 'bad'", []).expect("changed");
    station.until_reason("failed", "expected a host name or an IP address");
    database
        .execute("UPDATE NODES SET hostName = '127.0.0.1' WHERE nodeID = 'bad'", [])
        .expect("changed");
    database
        .execute("UPDATE TOOLSPECS SET toolOpts1 = '; reboot' WHERE destNodeID = 'bad'", [])
        .expect("changed");
    station.until_reason("failed", "its row of TOOLSPECS is wrong");
    good_ones_go_on(&station);
}
