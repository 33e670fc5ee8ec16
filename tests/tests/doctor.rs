//! Faults put into stations for real, and what `iepm doctor` says of them; and how its alerts are sent.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Output,
    time::Duration,
};

use rustix::process::Signal;
use stories::{
    Program, Station,
    program::{command, said, succeed},
    until,
    watched::{DAEMONS, Watched},
};

/// A finding: how grave, about what, what it is.
type Finding = (String, String, String);

/// What the doctor finds, the worst first.
#[track_caller]
fn findings(station: &Station) -> Vec<Finding> {
    let output = station.run("iepm", &["doctor", "--json"]);
    let seen: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    let word = |finding: &serde_json::Value, key: &str| {
        finding[key].as_str().unwrap_or_else(|| panic!("{key} of {finding}")).to_owned()
    };
    let list = seen["findings"].as_array().expect("a list").iter();
    let findings: Vec<Finding> = list
        .map(|finding| {
            assert!(!word(finding, "todo").is_empty(), "{finding}");
            (word(finding, "severity"), word(finding, "key"), word(finding, "what"))
        })
        .collect();
    let well = findings.iter().all(|(severity, ..)| severity == "note");
    assert_eq!(seen["well"], well, "{seen}");
    assert_eq!(output.status.code(), Some(i32::from(!well)), "{}", said(&output));
    findings
}

/// What the doctor says about `key`.
#[track_caller]
fn finding(station: &Station, key: &str) -> (String, String) {
    let all = findings(station);
    let found = all.iter().find(|(_, about, _)| about == key);
    let (severity, _, what) = found.unwrap_or_else(|| panic!("no {key} in {all:#?}"));
    (severity.clone(), what.clone())
}

#[track_caller]
fn is_not_found(station: &Station, key: &str) {
    let all = findings(station);
    assert!(all.iter().all(|(_, about, _)| about != key), "{all:#?}");
}

/// A station that measures, with its daemons started as the quickstart starts them.
fn measuring() -> (Station, Vec<Program>) {
    let station = Station::new();
    station.configure("[load]\npause = '1s'");
    station.measures(&["a,127.0.0.1"], &["a,ping,,-n -c 1 -w 1,1,2,0"]);
    let daemons = station.start_all(&DAEMONS);
    until("there is a reading", || (station.count("PINGDATA") > 0).then_some(()));
    (station, daemons)
}

#[test]
fn a_station_as_the_quickstart_makes_it_is_well() {
    let (station, _daemons) = measuring();
    let output = station.run("iepm", &["doctor"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.starts_with("well\n"), "{told}");
    let graves = ["critical", "warning"];
    assert!(told.lines().all(|line| graves.iter().all(|grave| !line.starts_with(grave))), "{told}");
}

#[test]
fn a_daemon_that_ended_is_critical_until_somebody_looks_after_it() {
    let (station, mut daemons) = measuring();
    let traced = DAEMONS.iter().position(|name| *name == "traced").expect("there");
    daemons[traced].kill();
    let nobody = "traced does not run, and nothing starts it".to_owned();
    assert_eq!(finding(&station, "daemon traced"), ("critical".to_owned(), nobody));
    fs::write(station.path("keepalives/keep-em-alive.state"), "{}").expect("room");
    let watched = ("warning".to_owned(), "traced does not run".to_owned());
    assert_eq!(finding(&station, "daemon traced"), watched);
    succeed(station.command("iepm").args(["hold", "5m", "--reason", "new disk"]));
    let held = ("note".to_owned(), "traced does not run; the station is held".to_owned());
    assert_eq!(finding(&station, "daemon traced"), held);
    let (severity, what) = finding(&station, "hold");
    assert!(severity == "note" && what.ends_with(": new disk"), "{what}");
    // The watchdog leaves the time of its call behind, so that nothing is critical when the hold ends.
    fs::remove_file(station.path("keepalives/keep-em-alive.state")).expect("there");
    succeed(&mut station.command("keep-em-alive"));
    succeed(station.command("iepm").arg("release"));
    assert_eq!(finding(&station, "daemon traced"), watched);
}

#[test]
fn a_stopped_daemon_has_not_come_round() {
    let (station, daemons) = measuring();
    station.configure("[watch]\nstale-after = '15s'");
    let pingd = DAEMONS.iter().position(|name| *name == "pingd").expect("there");
    daemons[pingd].signal(Signal::STOP);
    let stale = || findings(&station).into_iter().find(|(_, key, _)| key == "daemon pingd");
    let (severity, _, what) = until("its beat is too old", stale);
    daemons[pingd].signal(Signal::CONT);
    assert_eq!(severity, "critical");
    assert!(what.starts_with("pingd runs and has not come round for"), "{what}");
    until("it comes round", || stale().is_none().then_some(()));
}

#[test]
fn a_crash_loop_is_told_with_its_count() {
    let watched = Watched::station("[watch]\ndaemons = ['traced']");
    let path = watched.0.path("bin/traced");
    fs::remove_file(&path).expect("a link");
    watched.0.tool("traced", "exit 3");
    watched.look();
    let (severity, what) = finding(&watched.0, "daemon traced");
    assert_eq!(severity, "critical");
    assert_eq!(what, "traced does not run: it ended as soon as it was started");
    let state = watched.0.path("keepalives/keep-em-alive.state");
    let kept = fs::read_to_string(&state).expect("a state");
    let looping = kept.replace("\"told\":\"ended\"", "\"told\":\"loops\"");
    fs::write(&state, looping.replace("\"in_a_row\":1", "\"in_a_row\":7")).expect("room");
    let (_, what) = finding(&watched.0, "daemon traced");
    assert_eq!(what, "traced does not run: it did not stay up, 7 times in a row");
}

#[test]
fn a_missing_tool_and_a_run_that_failed_are_told() {
    let (station, _daemons) = measuring();
    station.tool("slowping", "exec ping \"$@\"");
    station.measures(&["a,127.0.0.1"], &["a,ping,slowping,-n -c 1 -w 1,1,2,0"]);
    is_not_found(&station, "tool slowping");
    fs::remove_file(station.path("bin/slowping")).expect("there");
    let (severity, what) = finding(&station, "tool slowping");
    let expected = "slowping is not installed: 1 specification cannot run";
    assert_eq!((severity.as_str(), what.as_str()), ("critical", expected));
    station.until_reason("failed", "slowping is not installed");
    let failed = || findings(&station).into_iter().find(|(_, key, _)| key.starts_with("runs ping"));
    let (severity, _, what) = until("the failed run is told", failed);
    assert_eq!(severity, "warning");
    assert!(
        what.contains("of ping left no reading: failed: ") && what.contains("slowping"),
        "{what}"
    );
}

#[test]
fn a_result_that_is_not_understood_is_told() {
    let (station, _daemons) = measuring();
    station.tool("badping", "echo nonsense");
    station.measures(&["a,127.0.0.1"], &["a,ping,badping,-n -c 1 -w 1,1,2,0"]);
    let rejected = || findings(&station).into_iter().find(|(_, key, _)| key == "rejected");
    let (severity, _, what) = until("a file is rejected", rejected);
    assert_eq!(severity, "warning");
    assert!(what.ends_with("not understood in the last 24 hours"), "{what}");
}

#[test]
fn a_database_that_is_newer_or_gone_hides_nothing_else() {
    let station = Station::new();
    let database = station.database();
    database.execute("INSERT INTO SCHEMAVERSION VALUES (99, 0)", []).expect("newer");
    let (severity, what) = finding(&station, "database");
    assert_eq!(severity, "critical");
    assert!(what.contains("schema is version 99"), "{what}");
    finding(&station, "daemon pingd");
    drop(database);
    for beside in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(station.path(&format!("db/iepm.db{beside}")));
    }
    let (_, what) = finding(&station, "database");
    assert!(what.contains("`iepm init` makes one"), "{what}");
}

#[test]
fn a_broken_configuration_is_told_and_the_last_good_one_says_where_things_are() {
    let watched = Watched::station("[watch]\ndaemons = ['pingd']");
    watched.look();
    until("pingd runs", || watched.pid("pingd"));
    let file = watched.0.path("iepm.toml");
    fs::write(&file, "[watch\n").expect("room");
    let (severity, what) = finding(&watched.0, "iepm.toml");
    assert_eq!(severity, "critical");
    assert!(what.contains("iepm.toml:1:7") && !what.contains('\n'), "{what}");
    is_not_found(&watched.0, "daemon traced");
    fs::remove_file(watched.0.path("keepalives/iepm.toml.good")).expect("there");
    let output = watched.0.run("iepm", &["doctor"]);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
}

#[test]
fn files_that_are_wrong_are_told() {
    let station = Station::new();
    let old = |path: &Path| {
        let hours = Duration::from_secs(7_200);
        let file = File::options().append(true).open(path).expect("there");
        let now = file.metadata().and_then(|file| file.modified()).expect("a time");
        file.set_modified(now - hours).expect("mine");
    };
    let shared = station.path("db");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).expect("mine");
    let waiting = station.path("data/7.ping");
    fs::write(&waiting, "x").expect("room");
    old(&waiting);
    let log = File::create(station.path("log/pingd.log")).expect("made");
    log.set_len(3 << 30).expect("a hole");
    let state = station.path("keepalives/keep-em-alive.state");
    fs::write(&state, "odd").expect("room");
    old(&state);
    fs::write(station.path("config/cleanup-list"), "ping\n").expect("room");

    let warned = |key: &str| {
        let (severity, what) = finding(&station, key);
        assert_eq!(severity, "warning", "{what}");
        what
    };
    assert_eq!(warned("open"), format!("everybody may write to {}", shared.display()));
    let what = warned("waiting");
    assert!(
        what.starts_with("1 result file waiting") && what.ends_with("the oldest for 2h"),
        "{what}"
    );
    let path = station.path("log/pingd.log");
    assert_eq!(
        warned(&format!("log {}", path.display())),
        format!("{} has 3072 MiB", path.display())
    );
    let what = warned("overdue keep-em-alive");
    // Two hours, or since the machine was started.
    assert!(
        what.starts_with("keep-em-alive has not run for ")
            && what.ends_with(": cron does not call it"),
        "{what}"
    );
    let what = warned("check");
    assert!(what.contains("cleanup-list:1:1: expected a name and minutes"), "{what}");
}

#[test]
fn what_keeps_a_crontab_from_working_is_told() {
    let station = Station::new();
    station.tool("crontab", "cat \"$0.kept\"");
    let kept = station.path("bin/crontab.kept");
    fs::write(&kept, "# none of the station\n").expect("room");
    let (severity, what) = finding(&station, "cron");
    assert_eq!(severity, "note");
    assert!(what.contains("the crontab has no lines of it"), "{what}");
    let block = station.run("iepm", &["crontab", "--show"]).stdout;
    let block = String::from_utf8(block).expect("text");
    fs::write(&kept, block.replace("*/10", "*/9")).expect("room");
    assert!(finding(&station, "cron").1.contains("of another version"));
    let first = block.lines().next().expect("a line");
    fs::write(&kept, format!("{first}\n")).expect("room");
    let (severity, what) = finding(&station, "cron");
    assert!(severity == "warning" && what.contains("line 1, \"# BEGIN iepm"), "{what}");
}

/// A file system of its own, of 8 MiB; it is taken away when this is dropped.
struct Disk(tempfile::TempDir);

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = command("umount").args(["-l".as_ref(), self.0.path()]).output();
    }
}

#[test]
#[ignore = "needs root"]
fn a_disk_that_grows_full_is_told_in_two_steps() {
    let disk = Disk(tempfile::tempdir().expect("a folder"));
    let mut mount = command("mount");
    succeed(mount.args(["-t", "tmpfs", "-o", "size=8m", "none"]).arg(disk.0.path()));
    let station = Station::new();
    let data = disk.0.path().join("data");
    fs::create_dir(&data).expect("made");
    station.configure(&format!("[paths]\ndata = '{}'", data.display()));
    let key = format!("disk {}", data.display());
    is_not_found(&station, &key);
    let fill =
        |kib: usize| fs::write(disk.0.path().join("fill"), vec![0; kib << 10]).expect("room");
    fill(7_600);
    assert_eq!(finding(&station, &key).0, "warning");
    fill(8_000);
    let (severity, what) = finding(&station, &key);
    assert!(severity == "critical" && what.starts_with("2 % free"), "{what}");
}

/// A station whose alerts go to a script, which keeps them in files.
struct Paged(Station);

impl Paged {
    fn station() -> Self {
        let station = Station::new();
        station.configure(
            "[alert]\ncommand = 'pager --subject %subject'\n[watch]\ndaemons = ['pingd']",
        );
        station.tool("pager", "{ echo \"$2\"; cat; } >>\"$0.kept\"");
        Self(station)
    }

    fn doctor(&self) -> Output {
        self.0.run("iepm", &["doctor", "--alert"])
    }

    /// What is sent when the doctor is called once; it says nothing itself.
    #[track_caller]
    fn sent(&self) -> String {
        let output = self.doctor();
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", said(&output));
        let kept = self.0.path("bin/pager.kept");
        let sent = fs::read_to_string(&kept).unwrap_or_default();
        let _ = fs::remove_file(kept);
        sent
    }
}

#[test]
fn an_alert_is_sent_when_something_begins_and_when_it_is_over() {
    let paged = Paged::station();
    let down = "iepm station: critical: pingd does not run, and nothing starts it\n";
    let sent = paged.sent();
    assert!(sent.starts_with(down) && sent.contains("keep-em-alive` starts it"), "{sent}");
    assert_eq!(paged.sent(), "", "it is told once");
    let _pingd = paged.0.start("pingd");
    until("pingd runs", || paged.0.holder_of("pingd"));
    assert_eq!(paged.sent(), "", "it may be down again at once");
    let sent = paged.sent();
    assert!(sent.starts_with("iepm station: well again\nover      pingd does not run"), "{sent}");

    let folder = paged.0.path("db");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("mine");
    assert_eq!(paged.sent(), "", "a warning waits for a second run");
    assert!(paged.sent().starts_with("iepm station: warning: everybody may write to "));
    fs::write(paged.0.path("keepalives/doctor.state"), "{\"told\": 3").expect("room");
    assert_eq!(paged.sent(), "", "a file that is none is no memory");
    assert!(paged.sent().starts_with("iepm station: warning: "));
}

#[test]
fn an_alert_that_cannot_be_sent_is_told_once_and_tried_again() {
    let paged = Paged::station();
    paged.0.tool("pager", "echo 'no route to ann' >&2; exit 5");
    let output = paged.doctor();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("pager: it ended with status 5: no route to ann"), "{told}");
    assert!(paged.doctor().stderr.is_empty(), "it is told once");
    paged.0.tool("pager", "{ echo \"$2\"; cat; } >>\"$0.kept\"");
    assert!(paged.sent().starts_with("iepm station: critical: pingd does not run"));
    assert_eq!(paged.sent(), "");
}

#[test]
fn an_alert_that_hangs_is_ended_with_all_that_it_started() {
    let paged = Paged::station();
    paged.0.tool("pager", "trap '' TERM; flock \"$0.lock\" sh -c 'trap \"\" TERM; sleep 600'");
    let output = paged.doctor();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("pager: it took more than 10s and was ended"), "{told}");
    let lock = paged.0.path("bin/pager.lock");
    // What was killed with it may be a moment behind.
    until("nobody holds its lock", || {
        let free = command("flock").arg("--nonblock").arg(&lock).arg("true").status();
        free.is_ok_and(|status| status.success()).then_some(())
    });
}

#[test]
fn nothing_is_sent_where_nobody_wants_it_and_a_command_that_is_not_there_is_told() {
    let paged = Paged::station();
    paged.0.configure("[alert]\ncommand = ''\n[watch]\ndaemons = ['pingd']");
    assert_eq!(paged.sent(), "");
    paged.0.configure("[alert]\ncommand = 'no-such-pager'\n[watch]\ndaemons = ['pingd']");
    let (severity, what) = finding(&paged.0, "alert");
    assert_eq!(severity, "warning");
    assert_eq!(what, "alerts cannot be sent: no-such-pager is not installed");
}
