//! The command as its users call it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

#[expect(clippy::disallowed_methods, reason = "the test calls the program as a user does")]
fn iepm(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iepm"));
    command.env_remove("IEPM_CONFIG").env("IEPM_HOME", home).args(arguments);
    command.output().expect("it starts")
}

#[track_caller]
fn told(output: &Output, status: i32) -> String {
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert_eq!(output.status.code(), Some(status), "{}{}", said[0], said[1]);
    said.concat()
}

fn station() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    let said = told(&iepm(&home, &["init", &home.display().to_string(), "--node", "here"]), 0);
    assert!(said.contains("+ ") && !said.contains("\n  "), "{said}");
    (folder, home)
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn a_new_station_has_no_mistakes_and_applies_once() {
    let (_folder, home) = station();
    let said = told(&iepm(&home, &["check"]), 0);
    assert!(said.contains("3 nodes, 4 specifications (4 carried out here)"), "{said}");
    assert!(said.contains("not applied yet: 7 changes"), "{said}");
    let said = told(&iepm(&home, &["apply", "--dry-run"]), 0);
    assert!(said.contains("+ ping here -> localhost-v4\n"), "{said}");
    assert!(said.ends_with("7 changes, nothing was changed\n"), "{said}");
    assert!(told(&iepm(&home, &["apply"]), 0).ends_with("7 changes, done\n"));
    assert_eq!(told(&iepm(&home, &["apply"]), 0), "nothing to change\n");
    assert!(!told(&iepm(&home, &["check"]), 0).contains("not applied"));
}

#[test]
fn a_second_init_changes_nothing() {
    let (_folder, home) = station();
    let file = home.join("config/nodes.csv");
    fs::write(&file, "TABLENAME=NODES\n#nodeID,hostName\n").expect("written");
    let said = told(&iepm(&home, &["init", &home.display().to_string()]), 0);
    // Where there is no iperf, that is said each time.
    let is_left = |line: &str| line.starts_with("  ") || line.contains(" is not made: ");
    assert!(said.lines().all(is_left), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("there").lines().count(), 2);
    let init = ["init", "--home", &home.display().to_string(), "--node", "there"];
    let said = told(&iepm(&home, &init), 1);
    assert!(said.contains("it says node = \"here\"; to rename a station"), "{said}");
    let said = told(&iepm(&home, &["init", "--node", ".x"]), 2);
    assert!(said.contains("the name of a node begins with a letter"), "{said}");
}

#[test]
fn others_cannot_look_into_a_new_station() {
    let (_folder, home) = station();
    let mode =
        |name: &str| fs::metadata(home.join(name)).expect(name).permissions().mode() & 0o7777;
    for directory in
        ["bin", "keepalives", "data/tmp", "data/loaded", "data/rejected", "db", "log", "www"]
    {
        assert_eq!(mode(directory), 0o750, "{directory}");
    }
    for file in ["iepm.toml", "config/nodes.csv", "config/servers.alive", "db/iepm.db"] {
        assert_eq!(mode(file), 0o640, "{file}");
    }
}

#[test]
fn mistakes_are_told_with_their_places_and_nothing_is_applied() {
    let (_folder, home) = station();
    let file = home.join("config/toolspecs.csv");
    let text = fs::read_to_string(&file).expect("there");
    fs::write(&file, text.replacen("localhost-v4,ping,ping,1", "nobody,ping,ping,2", 1))
        .expect("written");
    for command in ["apply", "check"] {
        let said = told(&iepm(&home, &[command]), 78);
        assert!(said.contains("toolspecs.csv:6:23: toolDo: expected 1 (on) or 0 (off)"), "{said}");
    }
    fs::write(&file, text.replacen("localhost-v4,ping", "nobody,ping", 1)).expect("written");
    let said = told(&iepm(&home, &["apply"]), 78);
    assert!(said.contains("toolspecs.csv:6:6: destNodeID: there is no node nobody"), "{said}");
    assert!(told(&iepm(&home, &["status"]), 0).contains("no such specifications"));
}

#[test]
fn a_broken_configuration_does_not_hide_other_mistakes() {
    let (_folder, home) = station();
    fs::write(home.join("iepm.toml"), "node = \"here\"\nspeed = 3\n").expect("written");
    fs::write(home.join("config/cleanup-list"), "ping\n").expect("written");
    let said = told(&iepm(&home, &["check"]), 78);
    assert!(said.contains("iepm.toml:2:1: there is no setting \"speed\""), "{said}");
    assert!(said.contains("cleanup-list:1:1: expected a name and minutes"), "{said}");
    let said = told(&iepm(&home, &["init", &home.display().to_string()]), 78);
    assert!(said.contains("speed = 3\n  ^^^^^"), "{said}");
}

#[test]
fn the_files_of_the_project_have_no_mistakes() {
    let (folder, _) = station();
    // A checkout's own modes depend on who made it.
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).expect("made");
    for name in ["iepm.toml", "nodes.csv", "toolspecs.csv", "cleanup-list", "servers.alive"] {
        fs::copy(project().join("config").join(name), copy.join(name)).expect(name);
        fs::set_permissions(copy.join(name), fs::Permissions::from_mode(0o644)).expect("mine");
    }
    let (config, files) = (copy.join("iepm.toml"), copy.display().to_string());
    let arguments = ["check", "--config", &config.display().to_string(), "--files", &files];
    let said = told(&iepm(&copy, &arguments), 0);
    assert!(said.contains("13 names in cleanup-list, 7 servers: no mistakes"), "{said}");
}

#[test]
fn every_view_of_an_applied_station_is_there_as_text_and_as_json() {
    let (_folder, home) = station();
    told(&iepm(&home, &["apply"]), 0);
    let said = told(&iepm(&home, &["status", "--node", "localhost-v4"]), 0);
    assert!(said.contains("localhost-v4  traceroute  waiting"), "{said}");
    assert!(!said.contains("localhost-v6") && !said.contains('\x1b'), "{said}");
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&told(&iepm(&home, arguments), 0)).expect("JSON")
    };
    assert_eq!(json(&["status", "--json"])["specifications"].as_array().map(Vec::len), Some(4));
    let waited = told(&iepm(&home, &["status", "--wait", "0"]), 1);
    assert!(waited.contains("waiting for first readings: 0 of 4\n"), "{waited}");
    let schedule = json(&["schedule", "--json", "-n", "3", "--tool", "ping"]);
    assert_eq!(schedule["next"].as_array().map(Vec::len), Some(3));
    assert_eq!(schedule["next"][0]["state"], "planned");
    assert_eq!(schedule["next"][0]["tool"], "ping");
    assert_eq!(json(&["schedule", "--past", "--json"]), serde_json::json!([]));
    let said = told(&iepm(&home, &["schedule"]), 0);
    assert!(said.contains("starts per minute  0.4 on average"), "{said}");
}

#[test]
fn what_comes_from_cron_is_quiet_and_a_dry_run_is_not() {
    let (_folder, home) = station();
    assert_eq!(told(&iepm(&home, &["prune"]), 0), "");
    assert!(told(&iepm(&home, &["prune", "-v"]), 0).contains("iepm: deleted 0 readings, "));
    assert!(told(&iepm(&home, &["prune", "--dry-run"]), 0).starts_with("would delete 0 readings"));
    assert!(told(&iepm(&home, &["migrate"]), 0).ends_with("already: nothing to change\n"));
}

#[test]
fn without_a_database_it_says_what_makes_one() {
    let (_folder, home) = station();
    for beside in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(home.join(format!("db/iepm.db{beside}")));
    }
    for command in ["apply", "status", "schedule", "check", "migrate", "prune"] {
        let said = told(&iepm(&home, &[command]), 75);
        assert!(said.contains("`iepm init` makes one"), "{command}: {said}");
    }
}

#[test]
fn a_set_of_runs_that_does_not_fit_fits_after_the_advice() {
    let (_folder, home) = station();
    let apply = |interval: u32| {
        let nodes: Vec<String> = (0..31).map(|n| format!("n{n},192.0.2.{n}\n")).collect();
        let nodes =
            format!("TABLENAME=NODES\n#nodeID,hostName\nhere,localhost\n{}", nodes.concat());
        let row = |n| {
            let of = |tool| format!("here,n{n},{tool},background-syn,30,{interval}\n");
            of("iperf") + &of("miperf")
        };
        let rows: String = (0..31).map(row).collect();
        let columns = "srcNodeID,destNodeID,toolName,testtype,time2run,runinterval";
        let specs = format!("TABLENAME=TOOLSPECS\n#{columns}\n{rows}");
        fs::write(home.join("config/nodes.csv"), nodes).expect("written");
        fs::write(home.join("config/toolspecs.csv"), specs).expect("written");
        told(&iepm(&home, &["apply"]), 0);
    };
    apply(1_800);
    let said = told(&iepm(&home, &["schedule", "--capacity"]), 1);
    assert!(said.contains("103.3 % of the time is allotted, 137.8 % if"), "{said}");
    assert!(said.contains("  runinterval 1800 -> 1860 for all (100.0 %)\n"), "{said}");
    let said = told(&iepm(&home, &["check"]), 78);
    assert!(said.contains("need 103 % of the time") && said.contains("--capacity"), "{said}");
    apply(1_860);
    let json = told(&iepm(&home, &["schedule", "--capacity", "--json"]), 0);
    let seen: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&seen["fits"], &seen["advice"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(seen["specifications"][0]["worst_wait_s"], 61 * 40);
    let said = told(&iepm(&home, &["schedule", "--capacity", "--past"]), 2);
    assert!(said.contains("cannot be used with"), "{said}");
}

#[test]
fn a_copy_is_told_before_it_is_made_and_made_only_into_a_database_without_rows() {
    let (_folder, home) = station();
    told(&iepm(&home, &["apply"]), 0);
    let file = home.join("db/other.db");
    let to = format!("sqlite://{}", file.display());
    let said = told(&iepm(&home, &["copy", "--to", &to, "--dry-run"]), 0);
    assert!(said.contains(" 3  NODES\n") && said.contains("other.db would be made"), "{said}");
    assert!(!file.exists());
    let said = told(&iepm(&home, &["copy", "--to", &to]), 0);
    assert!(said.contains("verified row by row") && said.contains("--final"), "{said}");
    assert_eq!(fs::metadata(&file).expect("made").permissions().mode() & 0o777, 0o640);
    let said = told(&iepm(&home, &["copy", "--to", &to, "--dry-run"]), 0);
    assert!(said.contains("has what was copied before"), "{said}");
    let said = told(&iepm(&home, &["copy", "--to", &to, "--final"]), 0);
    assert!(said.contains(&format!("make `database = \"{to}\"`")), "{said}");
    told(&iepm(&home, &["status"]), 78);
    let said = told(&iepm(&home, &["doctor"]), 1);
    assert!(said.contains("its rows are moved to"), "{said}");
    let said = told(&iepm(&home, &["copy", "--reopen"]), 0);
    assert!(said.contains("is open again"), "{said}");
    let said = told(&iepm(&home, &["copy", "--to", &to]), 1);
    assert!(said.contains("rows that are not of this copy; nothing was changed"), "{said}");
    told(&iepm(&home, &["status"]), 0);
}

#[test]
fn a_copy_needs_two_databases() {
    let (_folder, home) = station();
    let own = format!("sqlite://{}", home.join("db/iepm.db").display());
    assert!(told(&iepm(&home, &["copy", "--to", &own]), 2).contains("the same database"));
    told(&iepm(&home, &["copy"]), 2);
    let missing = format!("sqlite://{}", home.join("none.db").display());
    let said = told(&iepm(&home, &["copy", "--from", &missing, "--to", &own]), 75);
    assert!(said.contains("there is no database"), "{said}");
    let said = told(&iepm(&home, &["copy", "--to", "mysql://a:b@h/x"]), 2);
    assert!(said.contains("option-file"), "{said}");
}
