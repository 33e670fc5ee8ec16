//! Tools that misbehave: each run ends as a row with its reason, and the next one is not held up.

use std::{fs, os::unix::fs::PermissionsExt};

use rstest::rstest;
use stories::{
    Engine::{self, Mariadb, Sqlite},
    Program, Station, until,
};

/// A station that calls a script of the story's own as `ping`, beside a well-behaved one.
fn station(engine: Engine, script: &str) -> (Station, Vec<Program>) {
    let station = Station::of(engine);
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

#[rstest]
fn a_tool_that_ignores_term_is_ended_at_its_limit(#[values(Sqlite, Mariadb)] engine: Engine) {
    let (station, mut daemons) = station(engine, "trap '' TERM INT; while :; do sleep 1; done");
    station.until_reason("loaded", "hung");
    let late = "SCHEDULE WHERE destNodeID = 'bad' AND end_us - start_us > 4500000";
    assert_eq!(station.count(late), 0, "1 s, then INT, TERM and KILL a second apart");
    good_ones_go_on(&station);
    assert_eq!(daemons[1].terminate(), Some(0));
    nothing_is_left(&station, "");
}

#[rstest]
fn a_tool_that_is_stopped_is_ended_too(#[values(Sqlite, Mariadb)] engine: Engine) {
    let (station, mut daemons) = station(engine, "kill -STOP $$");
    station.until_reason("loaded", "hung");
    good_ones_go_on(&station);
    daemons[1].terminate();
    nothing_is_left(&station, "");
}

#[rstest]
fn what_a_tool_leaves_running_is_ended_with_it(#[values(Sqlite, Mariadb)] engine: Engine) {
    let (station, mut daemons) =
        station(engine, "sleep 600 & (trap '' TERM HUP; sleep 601) & echo gibberish");
    station.until_reason("rejected", "not understood");
    good_ones_go_on(&station);
    daemons[1].terminate();
    nothing_is_left(&station, "");
}

#[rstest]
fn what_left_the_group_of_its_run_is_ended_while_the_daemon_goes_on(
    #[values(Sqlite, Mariadb)] engine: Engine,
) {
    let (station, mut daemons) =
        station(engine, "setsid --fork sleep 600; setsid --fork sleep 601; echo gibberish");
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

#[rstest]
fn rubbish_is_rejected_whole(#[values(Sqlite, Mariadb)] engine: Engine) {
    let (station, _daemons) =
        station(engine, "echo to be or not to be; echo that is no ping >&2; exit 3");
    let reason = station.until_reason("rejected", "not understood");
    assert!(reason.starts_with("the output of ping was not understood"), "{reason}");
    let name = until("the file is kept", || station.files("data/rejected").pop());
    let file = fs::read_to_string(station.path("data/rejected").join(name)).expect("readable");
    assert!(file.contains("to be or not to be\nthat is no ping\n"), "{file}");
    good_ones_go_on(&station);
}

#[rstest]
fn a_tool_that_says_nothing_is_rejected(#[values(Sqlite, Mariadb)] engine: Engine) {
    let (station, _daemons) = station(engine, "exit 0");
    station.until_reason("rejected", "not understood");
    good_ones_go_on(&station);
}

#[rstest]
fn a_flood_of_output_is_stopped_and_cut(#[values(Sqlite, Mariadb)] engine: Engine) {
    let (station, _daemons) = station(engine, "exec head -c 50000000 /dev/zero");
    let reason = station.until_reason("rejected", "not understood");
    assert!(!reason.is_empty());
    let name = until("the file is kept", || station.files("data/rejected").pop());
    let size = fs::metadata(station.path("data/rejected").join(name)).expect("a file").len();
    assert!((1_000_000..1_010_000).contains(&size), "{size} bytes were kept of 50 MB");
    good_ones_go_on(&station);
}

#[rstest]
fn an_endless_flood_is_ended_before_its_limit(#[values(Sqlite, Mariadb)] engine: Engine) {
    let station = Station::of(engine);
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

#[rstest]
fn a_tool_that_is_not_installed_is_named(#[values(Sqlite, Mariadb)] engine: Engine) {
    let (station, _daemons) = station(engine, "true");
    fs::remove_file(station.path("bin/badtool")).expect("removed");
    station.until_reason("failed", "badtool is not installed");
    good_ones_go_on(&station);
}

#[rstest]
fn a_tool_that_is_no_program_is_named(#[values(Sqlite, Mariadb)] engine: Engine) {
    let station = Station::of(engine);
    let path = station.path("bin/broken");
    fs::write(&path, "no program").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
    let spec = format!("bad,ping,{},-x,1,2,0,0", path.display());
    station.measures(&["bad,127.0.0.1"], &[&spec]);
    let _daemons = station.start_all(&["load-scheduled", "pingd"]);
    station.until_reason("failed", "ermission denied");
}

#[rstest]
fn a_row_of_the_database_cannot_become_a_command(#[values(Sqlite, Mariadb)] engine: Engine) {
    let (station, _daemons) = station(engine, "true");
    let mut database = station.look();
    database.execute("UPDATE NODES SET hostName = '-f' WHERE nodeID = 'bad'");
    station.until_reason("failed", "expected a host name or an IP address");
    database.execute("UPDATE NODES SET hostName = '127.0.0.1' WHERE nodeID = 'bad'");
    database.execute("UPDATE TOOLSPECS SET toolOpts1 = '; reboot' WHERE destNodeID = 'bad'");
    station.until_reason("failed", "its row of TOOLSPECS is wrong");
    good_ones_go_on(&station);
}
