//! Several stations on one database: each does its own, and sees how the others do.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use serde_json::Value;
use stories::{
    Look, Program, Server, Station, monotonic,
    program::{binaries, command, said, succeed},
    until,
};

/// So long a station of a story may be silent; it reports four times as often.
const SETTINGS: &str = "[network]\nsilent-after = '8s'\n[watch]\ndaemons = ['load-scheduled', 'pingd']\n\
                        [load]\npause = '1s'\n[alert]\ncommand = 'pager %subject'\n";
const COLUMNS: &str =
    "#srcNodeID,destNodeID,toolName,testtype,toolOpts1,time2run,runinterval,grace,phase";

/// A station of that name on a server.
fn named(server: &Server, name: &str) -> Station {
    let station = Station::of_server(server);
    station.configure(&format!("node = '{name}'\n{SETTINGS}"));
    station.tool("pager", "cat >> \"$(dirname \"$0\")/../paged\"");
    station
}

/// Two stations with one database, which lies on a server, or in the home of the first.
fn two(server: Option<&Server>) -> [Station; 2] {
    if let Some(server) = server {
        return ["s1", "s2"].map(|name| named(server, name));
    }
    let stations = [Station::new(), Station::new()];
    let file = stations[0].path("db/iepm.db").display().to_string();
    for (station, name) in stations.iter().zip(["s1", "s2"]) {
        station.configure(&format!("node = '{name}'\ndatabase = 'sqlite://{file}'\n{SETTINGS}"));
    }
    stations
}

/// Writes the files of a station that pings some nodes of the loopback every second.
fn writes(station: &Station, name: &str, nodes: &[&str]) {
    let hosts: Vec<String> = nodes.iter().map(|node| node.replace('=', ",")).collect();
    let lists = |node: &&str| node.split('=').next().unwrap_or_default().to_owned();
    let specs: Vec<String> = nodes
        .iter()
        .map(|node| format!("{name},{},ping,background,-n -c 1 -w 1,1,1,1,0", lists(node)))
        .collect();
    let nodes =
        format!("TABLENAME=NODES\n#nodeID,hostName\n{name},localhost\n{}\n", hosts.join("\n"));
    fs::write(station.path("config/nodes.csv"), nodes).expect("written");
    let specs = format!("TABLENAME=TOOLSPECS\n{COLUMNS}\n{}\n", specs.join("\n"));
    fs::write(station.path("config/toolspecs.csv"), specs).expect("written");
}

fn measures(station: &Station, name: &str) {
    writes(station, name, &[&format!("{name}-a=127.0.0.1")]);
    succeed(station.command("iepm").arg("apply"));
}

fn json(station: &Station, arguments: &[&str]) -> Value {
    let output = station.run("iepm", arguments);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)))
}

/// What is found about `key`, by `iepm doctor --json`, or `--all --json`.
fn finding(station: &Station, all: bool, key: &str) -> Option<Value> {
    let arguments = if all { &["doctor", "--all", "--json"][..] } else { &["doctor", "--json"] };
    let seen = json(station, arguments);
    let findings = seen["findings"].as_array().expect("a list").iter();
    findings.clone().find(|finding| finding["key"] == key).cloned()
}

/// How `iepm status --all` sees a station.
fn health(station: &Station, name: &str) -> String {
    let seen = json(station, &["status", "--all", "--json"]);
    let stations = seen["stations"].as_array().expect("a list").iter();
    let found = stations.clone().find(|it| it["station"] == name);
    found.map_or_else(String::new, |it| it["health"].as_str().unwrap_or_default().to_owned())
}

fn paged(station: &Station) -> String {
    fs::read_to_string(station.path("paged")).unwrap_or_default()
}

fn readings(look: &mut Look, name: &str) -> i64 {
    look.count(&format!("PINGDATA WHERE srcNodeID = '{name}'"))
}

#[test]
fn a_station_that_falls_silent_is_seen_by_the_others_and_one_of_them_tells() {
    let server = Server::up();
    let names = ["s1", "s2", "s3"];
    let stations = names.map(|name| named(&server, name));
    for (station, name) in stations.iter().zip(names) {
        measures(station, name);
    }
    let start = |station: &Station| station.start_all(&["load-scheduled", "pingd"]);
    let mut daemons: Vec<Vec<Program>> = stations.iter().map(start).collect();
    let [first, second, third] = &stations;
    let alert = |station: &Station| station.run("iepm", &["doctor", "--alert"]);
    for station in &stations {
        alert(station);
    }
    until("all report, and nobody is silent", || {
        let healths = names.map(|name| health(third, name));
        healths.iter().all(|it| !it.is_empty() && !it.starts_with("silent")).then_some(())
    });

    daemons[1].iter_mut().for_each(Program::kill);
    let key = "station s2";
    let silent = until("the first sees that the second is silent", || finding(first, true, key));
    assert_eq!((&silent["severity"], &silent["station"]), (&"critical".into(), &"s2".into()));
    let what = silent["what"].as_str().expect("a text");
    assert!(what.starts_with("station s2 has been silent for "), "{what}");
    assert!(what.contains("(last seen 20"), "{what}");
    assert!(health(third, "s2").starts_with("silent since "));
    for station in [first, third] {
        assert_eq!(finding(station, false, key).expect("seen")["severity"], "critical");
        assert_eq!(alert(station).status.code(), Some(1));
    }
    assert_eq!(finding(second, false, key), None, "of itself it says nothing");
    assert_eq!(paged(first).matches("station s2 has been silent").count(), 1, "{}", paged(first));
    assert_eq!(paged(third).matches("station s2 has been silent").count(), 0, "{}", paged(third));
    let output = first.run("iepm", &["doctor", "--all"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("critical  s2: station s2 has been silent"),
        "{}",
        said(&output)
    );

    daemons[1] = start(second);
    until("it is not silent any more", || finding(first, true, key).is_none().then_some(()));
    for _ in 0..2 {
        alert(first);
    }
    let told = paged(first);
    assert!(told.contains("over      station s2 has been silent"), "{told}");

    // What is stopped on purpose is not silent, for as long as its hold.
    succeed(&mut second.command("kill-all-servers"));
    until("it was seen last longer ago than it usually promises", || {
        let seen = json(first, &["status", "--all", "--json"]);
        (seen["stations"][1]["seen_seconds"].as_u64() > Some(9)).then_some(())
    });
    assert_eq!(health(first, "s2"), "stopped");
    assert_eq!(finding(first, true, key), None);
}

#[test]
fn a_further_station_joins_with_an_account_that_makes_no_tables() {
    let server = Server::up();
    let first = named(&server, "s1");
    measures(&first, "s1");
    let again = first.run("iepm", &["init", "--home", &first.home().display().to_string()]);
    let mut look = server.look("iepm");
    let told = String::from_utf8_lossy(&again.stdout).into_owned();
    for statement in told.lines().filter(|line| line.ends_with(';')) {
        look.execute(&statement.replace("'iepm'@'localhost'", "'far'@'127.0.0.1'"));
    }

    let home = tempfile::tempdir().expect("a folder");
    let options = home.path().join("my.cnf");
    fs::write(&options, "[client]\nuser = far\npassword = ...\n").expect("written");
    fs::set_permissions(&options, fs::Permissions::from_mode(0o600)).expect("private");
    let (port, options) = (server.port(), options.display());
    let url = format!("mysql://127.0.0.1:{port}/iepm?option-file={options}");
    let far = home.path().join("far");
    let iepm = || command(binaries().join("iepm"));
    succeed(iepm().arg("init").arg(&far).args(["--database", &url, "--node", "far"]));
    let far = Station::at(&far, None);
    let settings = fs::read_to_string(far.path("iepm.toml")).expect("there");
    let short = settings.replace("#silent-after = \"5m\"", "silent-after = \"8s\"");
    fs::write(far.path("iepm.toml"), short).expect("written");
    measures(&far, "far");
    let daemons = far.start_all(&["load-scheduled", "pingd", "load-datad"]);
    until("it measures", || (readings(&mut look, "far") > 0).then_some(()));
    until("its doctor is seen", || {
        let _ = far.run("iepm", &["doctor", "--alert"]);
        (look.count("MONHOSTS WHERE nodeID = 'far' AND findings IS NOT NULL") > 0).then_some(())
    });
    assert!(!health(&first, "far").is_empty());
    assert!(!daemons[0].log().contains("reporting"), "{}", daemons[0].log());
    assert_eq!(look.count("TOOLSPECS WHERE retiredepoch IS NULL"), 2);
    for command in [&["prune"][..], &["doctor", "--all"], &["status", "--all"]] {
        let output = far.run("iepm", command);
        assert!(!said(&output).contains("denied"), "{}", said(&output));
        assert!([Some(0), Some(1)].contains(&output.status.code()), "{}", said(&output));
    }
}

#[test]
fn a_copied_configuration_schedules_nothing_while_the_station_lives() {
    let server = Server::up();
    let [station, copy] = ["s1", "s1"].map(|name| named(&server, name));
    measures(&station, "s1");
    let programs = ["load-scheduled", "pingd", "load-datad"];
    let mut daemons = station.start_all(&programs);
    let mut look = server.look("iepm");
    until("readings come in", || (readings(&mut look, "s1") > 0).then_some(()));
    let long = "s1,s1-b,ping,background,-n -c 12 -w 14,14,15,1,0\n";
    for (file, row) in [("nodes.csv", "s1-b,127.0.0.1\n"), ("toolspecs.csv", long)] {
        let file = station.path("config").join(file);
        fs::write(&file, fs::read_to_string(&file).expect("there") + row).expect("written");
    }
    succeed(station.command("iepm").arg("apply"));
    let goes_on = "SCHEDULE WHERE state = 'running' AND destNodeID = 's1-b' \
                   AND due_us < 1000000 * UNIX_TIMESTAMP()";
    until("a long run goes on", || (look.count(goes_on) > 0).then_some(()));

    // Its daemons are before its scheduler, and what the station's own have claimed is not left by a dead one.
    let mut waiting = copy.start_all(&["pingd", "bw-synchd", "load-datad"]);
    until("the copy's daemons say whose name it is", || {
        let waits = |it: &Program| it.log().contains("nothing is claimed: the station s1 is ");
        waiting[..2].iter().all(waits).then_some(())
    });
    until("no watchdog takes them for dead", || {
        let beats = |daemon| copy.path("keepalives").join(format!("{daemon}.alive")).exists();
        (beats("pingd") && beats("bw-synchd")).then_some(())
    });
    assert_eq!(waiting[1].terminate(), Some(0), "{}", waiting[1].log());
    let once = copy.run("owpingd", &["--once"]);
    assert_eq!(once.status.code(), Some(75), "{}", said(&once));
    assert!(said(&once).contains("the station s1 is "), "{}", said(&once));
    let scheduler = copy.start("load-scheduled");
    until("the copy says whose name it is", || {
        scheduler.log().contains("nothing is scheduled: the station s1 is ").then_some(())
    });
    for each in [&station, &copy] {
        let found = until("both are told", || finding(each, false, "name s1"));
        assert_eq!(found["severity"], "critical", "{found}");
        assert!(found["todo"].as_str().expect("a text").contains("iepm.toml"), "{found}");
    }
    assert!(finding(&copy, true, "name s1").is_some());
    let before = readings(&mut look, "s1");
    until("the station goes on", || (readings(&mut look, "s1") > before + 3).then_some(()));
    assert_eq!(copy.files("data/loaded"), [""; 0]);
    let loaded = || fs::read_dir(copy.path("data/loaded")).expect("a folder").count();
    assert_eq!((loaded(), copy.files("data").len()), (0, 0), "the copy measured nothing");
    // The copy's pingd took none for a dead one's.
    assert_eq!(look.count("SCHEDULE WHERE state = 'lost' OR attempt > 1"), 0);

    daemons.iter_mut().for_each(Program::kill);
    until("the copy takes the name over, as a station that has moved", || {
        scheduler.log().contains("the name is this station's").then_some(())
    });
    until("it measures", || (loaded() > 0).then_some(()));
}

#[test]
fn a_copy_that_was_started_while_the_database_was_away_takes_over_when_the_station_ends() {
    let mut server = Server::up();
    let [station, copy] = ["s1", "s1"].map(|name| named(&server, name));
    measures(&station, "s1");
    let mut scheduler = station.start("load-scheduled");
    until("it reports", || (health(&station, "s1") == "not looked at").then_some(()));
    server.stop();
    let waiting = copy.start("load-scheduled");
    until("the copy's is told that", || waiting.log().contains("trying again").then_some(()));
    server.start();
    until("it says whose name it is", || {
        waiting.log().contains("nothing is scheduled: the station s1 is ").then_some(())
    });
    scheduler.kill();
    until("it takes over", || waiting.log().contains("the name is this station's").then_some(()));
}

#[test]
fn a_station_that_is_started_anew_and_anew_keeps_its_name() {
    for server in [None, Some(Server::up())] {
        let [station, _] = two(server.as_ref());
        measures(&station, "s1");
        for turn in 0..3 {
            let mut scheduler = station.start("load-scheduled");
            let rows = || station.count("SCHEDULE WHERE srcNodeID = 's1'");
            let before = if turn == 0 { 0 } else { rows() };
            let pinger = station.start("pingd");
            until("it schedules", || (rows() > before).then_some(()));
            scheduler.kill();
            assert!(!scheduler.log().contains("nothing is scheduled"), "{}", scheduler.log());
            drop(pinger);
        }
    }
}

#[test]
fn what_one_station_applies_and_prunes_leaves_the_others_rows_alone() {
    for server in [None, Some(Server::up())] {
        let stations = two(server.as_ref());
        let [first, second] = &stations;
        let mut look = match &server {
            None => Look::Sqlite(first.database()),
            Some(server) => server.look("iepm"),
        };
        writes(first, "s1", &["gw=127.0.0.1", "one=127.0.0.2"]);
        writes(second, "s2", &["gw=127.0.0.1", "two=127.0.0.3"]);
        for station in stations.iter().chain(&stations) {
            succeed(station.command("iepm").arg("apply"));
        }
        for station in &stations {
            let again = station.run("iepm", &["apply"]);
            assert_eq!(said(&again), "exit status: 0\nnothing to change\n");
        }
        let live = "WHERE retiredepoch IS NULL";
        assert_eq!(look.count(&format!("NODES {live}")), 5);
        assert_eq!(look.count(&format!("TOOLSPECS {live}")), 4);

        // What a station takes out goes, unless it is another's, too.
        writes(first, "s1", &["one=127.0.0.2"]);
        let told = succeed(first.command("iepm").arg("apply"));
        assert!(told.contains("- node gw  (other stations have it still: it stays)"), "{told}");
        assert_eq!(look.count(&format!("NODES {live}")), 5);
        assert_eq!(look.count(&format!("TOOLSPECS {live} AND srcNodeID = 's2'")), 2);

        // Two files that say of a node that it is elsewhere.
        writes(first, "s1", &["gw=127.0.0.9", "one=127.0.0.2"]);
        let refused = first.run("iepm", &["apply"]);
        assert_eq!(refused.status.code(), Some(78), "{}", said(&refused));
        assert!(said(&refused).contains("that of s2 says 127.0.0.1"), "{}", said(&refused));
        assert!(finding(first, false, "node gw").is_some());
        assert_eq!(look.count("NODES WHERE nodeID = 'gw' AND hostName = '127.0.0.1'"), 1);
        writes(first, "s1", &["gw=127.0.0.1", "one=127.0.0.2"]);
        succeed(first.command("iepm").arg("apply"));

        let daemons: Vec<Program> = stations
            .iter()
            .flat_map(|station| station.start_all(&["load-scheduled", "pingd", "load-datad"]))
            .collect();
        for name in ["s1", "s2"] {
            until("both measure", || (readings(&mut look, name) > 2).then_some(()));
        }
        drop(daemons);
        for (table, column) in [("PINGDATA", "startepoch"), ("SCHEDULE", "due_us")] {
            look.execute(&format!("UPDATE {table} SET {column} = 5"));
        }
        let theirs = [readings(&mut look, "s2"), look.count("SCHEDULE WHERE srcNodeID = 's2'")];
        succeed(first.command("iepm").arg("prune"));
        assert_eq!(readings(&mut look, "s1"), 0);
        assert_eq!(
            [readings(&mut look, "s2"), look.count("SCHEDULE WHERE srcNodeID = 's2'")],
            theirs
        );
        for command in ["fetch-toolspecs", "show-probe-commands"] {
            let told = succeed(&mut first.command(command));
            assert!(told.contains("one") || told.contains("127.0.0.2"), "{told}");
            assert!(!told.contains("two") && !told.contains("127.0.0.3"), "{told}");
        }
    }
}

#[test]
fn a_station_that_is_gone_for_good_is_retired_and_its_rows_are_pruned_on_demand() {
    let server = Server::up();
    let [first, second] = two(Some(&server));
    for (station, name) in [(&first, "s1"), (&second, "s2")] {
        measures(station, name);
    }
    let mut daemons = second.start_all(&["load-scheduled", "pingd", "load-datad"]);
    let scheduler = first.start("load-scheduled");
    let mut look = server.look("iepm");
    until("the second measures", || (readings(&mut look, "s2") > 0).then_some(()));
    let lives = first.run("iepm", &["retire-station", "s2"]);
    assert!(said(&lives).contains("end it there first"), "{}", said(&lives));
    daemons.iter_mut().for_each(Program::kill);
    until("it is silent", || finding(&first, true, "station s2"));
    let early = first.run("iepm", &["prune", "--station", "s2"]);
    assert!(said(&early).contains("it is not retired"), "{}", said(&early));
    succeed(first.command("iepm").args(["retire-station", "s2"]));
    assert_eq!(finding(&first, true, "station s2"), None);
    assert_eq!(health(&first, "s2"), "retired");
    let open = "SCHEDULE WHERE srcNodeID = 's2' AND state IN ('pending', 'running', 'finished')";
    assert_eq!(look.count(open), 0);
    assert!(readings(&mut look, "s2") > 0);
    look.execute("UPDATE PINGDATA SET startepoch = 5");
    succeed(first.command("iepm").args(["prune", "--station", "s2"]));
    assert_eq!(readings(&mut look, "s2"), 0);

    // It comes back after all.
    succeed(second.command("iepm").arg("apply"));
    let _daemons = second.start_all(&["load-scheduled", "pingd", "load-datad"]);
    until("it measures again", || (readings(&mut look, "s2") > 0).then_some(()));
    assert_ne!(health(&first, "s2"), "retired");
    drop(scheduler);
}

#[test]
fn a_clock_that_is_an_hour_off_is_told_and_makes_nobody_silent() {
    for server in [None, Some(Server::up())] {
        let stations = two(server.as_ref());
        for (station, name) in stations.iter().zip(["s1", "s2"]) {
            measures(station, name);
        }
        let mut daemons: Vec<Program> =
            stations.iter().map(|station| station.start("load-scheduled")).collect();
        until("both report", || (health(&stations[0], "s2") == "not looked at").then_some(()));
        // As it would have reported with such a clock.
        daemons[1].kill();
        let mut look = match &server {
            None => Look::Sqlite(stations[0].database()),
            Some(server) => server.look("iepm"),
        };
        for off in ["- 3605000000", "+ 7210000000"] {
            let skew = format!(
                "UPDATE MONHOSTS SET clock_us = clock_us {off}, within_s = 600 WHERE nodeID = 's2'"
            );
            look.execute(&skew);
            let found = finding(&stations[0], true, "clock s2").expect("told");
            assert!(found["what"].as_str().expect("a text").contains("1h"), "{found}");
            assert_eq!(finding(&stations[0], true, "station s2"), None);
            assert_eq!(finding(&stations[0], false, "station s2"), None);
        }
    }
}

#[test]
fn fifty_stations_of_a_thousand_specifications_are_seen_at_a_glance() {
    for server in [None, Some(Server::up())] {
        let [station, _] = two(server.as_ref());
        let mut look = match &server {
            None => Look::Sqlite(station.database()),
            Some(server) => server.look("iepm"),
        };
        fill(&mut look);
        let begun = monotonic();
        let seen = json(&station, &["status", "--all", "--json"]);
        let took = monotonic().saturating_sub(begun);
        println!("status --all of 50 stations, 50,000 specifications: {} ms", took.as_millis());
        assert_eq!(seen["stations"].as_array().map(Vec::len), Some(50));
        assert_eq!(seen["stations"][7]["queue"]["pending"], 100);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

/// Fifty stations that report, with a thousand specifications, a hundred pending runs and ten findings each.
fn fill(look: &mut Look) {
    let now = match look {
        Look::Sqlite(_) => "CAST(strftime('%s', 'now') AS INTEGER) * 1000000",
        Look::Mysql(_) => "UNIX_TIMESTAMP() * 1000000",
    };
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)";
    let finding = "{\"severity\":\"warning\",\"key\":\"k\",\"what\":\"something is wrong\",\"todo\":\"look\"}";
    let findings = format!("[{}]", [finding; 10].join(","));
    look.execute(&format!(
        "INSERT INTO MONHOSTS (nodeID, hostName, home, version, homeID, machineID, bootID, claimed_us, firstseen_us, \
         since_us, seen_us, clock_us, within_s, state, clock_synchronised, daemons, findings, specifications, \
         findings_us) {numbers} SELECT 'st' || i, 'h', '/h', '1', 'h' || i, 'm', 'b', 0, 0, 0, {now}, {now}, 300, \
         'running', 1, '[]', '{findings}', '{{\"ok\":1000}}', {now} FROM n"
    ));
    look.execute(&format!(
        "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, variant, toolPath, testtype, time2run, runinterval) \
         {numbers} SELECT 'st' || a.i, 'd' || b.i, 'ping', 'v' || c.i, 'ping', 'background', 15, 600 \
         FROM n a, n b, n c WHERE c.i <= 20"
    ));
    look.execute(&format!(
        "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, latest_us, \
         state) {numbers} SELECT 1, 'st' || a.i, 'd' || b.i, 'ping', 'background', 0, c.i, 0, \
         CASE WHEN c.i <= 2 THEN 'pending' ELSE 'loaded' END FROM n a, n b, n c WHERE c.i <= 20"
    ));
}
