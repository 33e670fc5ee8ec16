//! Daemons that are started twice, asked to end, or killed.

use std::fs;

use rstest::rstest;
use rustix::process::Signal;
use stories::{
    Engine::{self, Mariadb, Sqlite},
    Station, until,
};

/// Waits until the station's tool `slow` runs: its name is in the command line of a process.
fn until_slow_runs(station: &Station) {
    let slow = station.path("bin/slow").display().to_string();
    until("the tool runs", || {
        let all = fs::read_dir("/proc").expect("a proc").filter_map(Result::ok);
        let mut commands = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        commands.any(|command| String::from_utf8_lossy(&command).contains(&slow)).then_some(())
    });
}

#[rstest]
fn a_daemon_runs_once_on_a_station(#[values(Sqlite, Mariadb)] engine: Engine) {
    let station = Station::of(engine);
    for daemon in ["load-scheduled", "pingd", "traced", "owpingd", "pathchirpd", "load-datad"] {
        let _first = station.start(daemon);
        let alive = format!("{daemon}.alive");
        until("it beats", || station.files("keepalives").contains(&alive).then_some(()));
        let second = station.run(daemon, &[]);
        assert_eq!(second.status.code(), Some(75), "{}", stories::program::said(&second));
        let said = String::from_utf8_lossy(&second.stderr);
        assert!(said.contains("runs already on this station, pid"), "{said}");
    }
}

#[rstest]
fn a_daemon_that_is_asked_to_end_lets_probes_end(#[values(Sqlite, Mariadb)] engine: Engine) {
    let station = Station::of(engine);
    station.tool("slow", "sleep 2; echo gibberish");
    station.measures(&["here,127.0.0.1"], &["here,ping,slow,-x,5,6,1"]);
    let _scheduler = station.start("load-scheduled");
    let mut pingd = station.start("pingd");
    until_slow_runs(&station);
    assert_eq!(pingd.terminate(), Some(0));
    assert_eq!(station.files("data").len(), 1, "{}", station.logs());
    assert_eq!(station.count("SCHEDULE WHERE state = 'running'"), 0);
}

#[rstest]
fn probes_that_take_too_long_are_put_back_when_the_daemon_ends(
    #[values(Sqlite, Mariadb)] engine: Engine,
) {
    let station = Station::of(engine);
    station.configure("[probes]\ndrain = '1s'").tool("slow", "sleep 60");
    station.measures(&["here,127.0.0.1"], &["here,ping,slow,-x,20,20,1"]);
    let mut scheduler = station.start("load-scheduled");
    let mut pingd = station.start("pingd");
    until_slow_runs(&station);
    // Nobody may expire the row before the story has looked at it.
    scheduler.kill();
    assert_eq!(pingd.terminate(), Some(0));
    assert_eq!(
        station.count("SCHEDULE WHERE state = 'pending' AND attempt = 1"),
        1,
        "{}",
        station.logs()
    );
    assert!(
        pingd.log().contains("1 runs are ended with the daemon and put back"),
        "{}",
        pingd.log()
    );
}

#[rstest]
fn what_a_killed_daemon_left_is_put_right_by_the_next(#[values(Sqlite, Mariadb)] engine: Engine) {
    let station = Station::of(engine);
    station.tool("slow", "sleep 600");
    station.measures(&["here,127.0.0.1"], &["here,ping,slow,-x,5,6,1"]);
    let _scheduler = station.start("load-scheduled");
    let mut pingd = station.start("pingd");
    until_slow_runs(&station);
    pingd.signal(Signal::KILL);
    until("it is gone", || pingd.ended());
    let again = station.start("pingd");
    station.until_reason("lost", "pingd died before its result was written");
    assert!(again.log().contains("that pingd left running"), "{}", again.log());
}

#[test]
#[ignore = "needs root to become another user"]
fn a_user_who_may_not_look_into_ping_finds_his_own_and_no_other() {
    let user = 47_110;
    let station = Station::of_user(user);
    station.measures(&["here,127.0.0.1"], &["here,ping,,-n -i 2 -c 300,600,601,1"]);
    // The row is made by hand: its time would come some minutes later.
    let words = r#"["ping","-n","-i","2","-c","300","127.0.0.1"]"#;
    let row = "INSERT INTO SCHEDULE (toolspecsID, opentoolspecsID, srcNodeID, destNodeID, toolName, testtype, target, \
               command, dueepoch, due_us, latest_us, limit_s, state) SELECT toolspecsID, toolspecsID, 'station', 'here', \
               'ping', 'background', '127.0.0.1', ?, 0, strftime('%s') * 1000000, 9e15, 600, 'pending' FROM TOOLSPECS";
    station.database().execute(row, [words]).expect("a row");
    let innocent = "exec setsid ping -n -i 2 -c 300 127.0.0.1";
    let mut innocent_command = station.as_user(user, std::path::Path::new("/bin/sh"));
    innocent_command.args(["-c", innocent]);
    let mut innocent = stories::Program::start(innocent_command, &station.path("log/innocent"));

    let mut pingd = station.start("pingd");
    until("the run goes on", || {
        (station.count("SCHEDULE WHERE state = 'running'") == 1).then_some(())
    });
    let ours = || {
        let all = fs::read_dir("/proc").expect("a proc").filter_map(Result::ok);
        let commands = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        commands
            .filter(|command| command.starts_with(b"/usr/bin/ping\0-n\0-i\x002\0-c\x00300"))
            .count()
    };
    until("its ping runs", || (ours() == 1).then_some(()));
    pingd.signal(Signal::KILL);
    until("the daemon is gone", || pingd.ended());
    let _again = station.start("pingd");
    station.until_reason("lost", "pingd died before its result was written");
    until("its ping is ended", || (ours() == 0).then_some(()));
    assert_eq!(innocent.ended(), None, "an innocent ping was ended");
}
