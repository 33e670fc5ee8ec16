//! A disk that is full and a database that is locked, missing, damaged or too new: said once, nothing
//! lost, and all goes on when it is over.

use std::{fs, os::unix::fs::PermissionsExt};

use stories::{
    Program, SmallDisk, Station,
    program::{command, said, succeed},
    until,
};

const DAEMONS: [&str; 3] = ["load-scheduled", "pingd", "load-datad"];

/// A station that loads what it measured every second.
fn quick() -> Station {
    let station = Station::new();
    station.configure("[load]\npause = '1s'");
    station
}

/// Has a station ping itself every second.
fn pinging(station: &Station) -> Vec<Program> {
    station.measures(
        &["a,127.0.0.1", "b,127.0.0.2"],
        &["a,ping,,-n -c 1 -w 1,1,1,1,0", "b,ping,,-n -c 1 -w 1,1,1,1,0"],
    );
    let daemons = station.start_all(&DAEMONS);
    goes_on(station);
    daemons
}

#[track_caller]
fn goes_on(station: &Station) {
    let loaded =
        || station.ask::<i64>("SELECT COUNT(*) FROM PINGDATA WHERE received = 1").unwrap_or(0);
    let before = loaded();
    until("readings come in", || (loaded() >= before + 4).then_some(()));
}

/// All daemons run, and the log of `daemon` has told `what` exactly once in this outage.
#[track_caller]
fn all_live(daemons: &mut [Program]) {
    for daemon in daemons {
        assert_eq!(daemon.ended(), None, "{}", daemon.log());
    }
}

fn until_told(daemon: &Program, what: &str) {
    until(&format!("it says \"{what}\""), || daemon.log().contains(what).then_some(()));
}

#[test]
fn a_locked_database_holds_up_nothing_but_itself() {
    let station = quick();
    station.tool("slowping", "sleep 2; exec ping \"$@\"");
    let mut daemons = pinging(&station);
    station.measures(&["slow,127.0.0.1"], &["slow,ping,slowping,-n -c 1 -w 1,4,4,1"]);
    until("a run goes on", || {
        let goes_on = "SCHEDULE WHERE destNodeID = 'slow' AND state = 'running'";
        (station.count(goes_on) > 0).then_some(())
    });
    let database = station.database();
    database.execute_batch("BEGIN IMMEDIATE").expect("locked");
    until_told(&daemons[0], "is locked by another program; trying again");
    until("results wait as files", || (!station.files("data").is_empty()).then_some(()));
    all_live(&mut daemons);
    database.execute_batch("ROLLBACK").expect("free");
    goes_on(&station);
    until_told(&daemons[0], "goes on after");
    assert_eq!(
        daemons[0].log().matches("is locked").count(),
        daemons[0].log().matches("goes on after").count()
    );
    station.accounts_are_right();
}

#[test]
fn a_database_that_went_missing_is_waited_for() {
    let station = quick();
    let mut daemons = pinging(&station);
    let (db, aside) = (station.path("db"), station.path("db-aside"));
    fs::rename(&db, &aside).expect("moved");
    until_told(&daemons[0], "there is no database");
    until_told(&daemons[1], "there is no database");
    all_live(&mut daemons);
    fs::rename(&aside, &db).expect("back");
    goes_on(&station);
    all_live(&mut daemons);
    station.accounts_are_right();
}

#[test]
fn a_damaged_database_is_named_and_its_copy_taken_up() {
    let station = quick();
    let mut daemons = pinging(&station);
    let path = station.path("db/iepm.db");
    // A whole copy, as an operator would have one.
    let copy = station.path("copy.db");
    station.database().execute("VACUUM INTO ?", [copy.display().to_string()]).expect("a copy");
    let damaged = station.path("db/damaged");
    fs::write(&damaged, "this is no database ".repeat(1_000)).expect("written");
    for beside in ["db/iepm.db-wal", "db/iepm.db-shm"] {
        let _ = fs::remove_file(station.path(beside));
    }
    fs::rename(&damaged, &path).expect("replaced");
    until_told(&daemons[0], "is damaged");
    let status = station.run("iepm", &["status"]);
    assert_eq!(status.status.code(), Some(1), "{}", said(&status));
    all_live(&mut daemons);
    for beside in ["db/iepm.db-wal", "db/iepm.db-shm"] {
        let _ = fs::remove_file(station.path(beside));
    }
    fs::rename(&copy, &path).expect("replaced");
    goes_on(&station);
    all_live(&mut daemons);
}

#[test]
fn a_newer_schema_is_refused() {
    let station = Station::new();
    station.database().execute("INSERT INTO SCHEMAVERSION VALUES (99, 0)", []).expect("newer");
    for program in
        ["iepm status", "load-scheduled --once", "pingd --once", "load-test-data", "iepm apply"]
    {
        let words: Vec<&str> = program.split(' ').collect();
        let output = station.run(words[0], &words[1..]);
        assert_eq!(output.status.code(), Some(78), "{program}: {}", said(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("the database's schema is version 99"), "{program}: {said}");
    }
}

#[test]
#[ignore = "needs root for a small file system"]
fn a_full_disk_loses_no_result() {
    let disk = SmallDisk::of(8);
    let station = Station::at(&disk.path().join("home"), None);
    station.configure("[load]\npause = '1s'");
    let mut daemons = pinging(&station);
    let filler = disk.fill();
    until("somebody says that the disk is full", || {
        let full =
            |log: String| log.contains("No space left") || log.contains("no room for the database");
        // Their logs are on the same disk and may have no room for it.
        let doing =
            fs::read_to_string(station.path("keepalives/load-scheduled.alive")).unwrap_or_default();
        (full(daemons[0].log()) || full(daemons[1].log()) || full(doing)).then_some(()).or_else(
            || {
                let stuck = station.ask::<i64>("SELECT COUNT(*) FROM PINGDATA");
                stories::pause(std::time::Duration::from_secs(3));
                (station.ask::<i64>("SELECT COUNT(*) FROM PINGDATA") == stuck).then_some(())
            },
        )
    });
    all_live(&mut daemons);
    fs::remove_file(&filler).expect("room again");
    goes_on(&station);
    all_live(&mut daemons);
    station.accounts_are_right();
}

#[test]
#[ignore = "needs root for a file system that becomes read-only"]
fn a_data_directory_that_may_not_be_written_to_is_waited_for() {
    let disk = SmallDisk::of(32);
    let station = Station::new();
    let data = disk.path().join("data");
    station.configure(&format!("[paths]\ndata = '{}'", data.display()));
    let mut daemons = pinging(&station);
    succeed(command("mount").args(["-o", "remount,ro"]).arg(disk.path()));
    until_told(&daemons[1], "Read-only file system (os error 30); they are kept meanwhile");
    all_live(&mut daemons);
    succeed(command("mount").args(["-o", "remount,rw"]).arg(disk.path()));
    goes_on(&station);
    all_live(&mut daemons);
    station.accounts_are_right();
}

#[test]
fn a_configuration_that_others_may_write_is_refused() {
    let station = Station::new();
    let path = station.path("iepm.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("set");
    let output = station.run("pingd", &["--once"]);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("chmod go-w"), "{}", said(&output));
}

#[test]
fn all_mistakes_of_a_configuration_are_told_at_once() {
    let station = Station::new();
    station.configure("colour = 1\n[probes]\nside-by-side = 0");
    let output = station.run("pingd", &["--once"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(
        told.contains("there is no setting \"colour\"") && told.contains("side-by-side: expected"),
        "{told}"
    );
    assert_eq!(told.matches('^').count(), 7, "a mark under each: {told}");
}
