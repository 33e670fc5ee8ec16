//! `iepm copy`: a station that measures every second is moved to a server and back, whatever is killed
//! meanwhile; what is incomplete is never taken for whole.

use std::{collections::BTreeMap, fs, process::Child, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use stories::{
    Program, Server, Station, pause,
    program::{said, succeed},
    until,
};

const DAEMONS: [&str; 5] = ["load-scheduled", "pingd", "traced", "bw-synchd", "load-datad"];
const SETTINGS: &str = "[load]\npause = '1s'\n[exclusive]\nbusy-wait = '0s'";
const COLUMNS: &str =
    "srcNodeID,destNodeID,toolName,toolPath,testtype,time2run,runinterval,toolOpts1,grace,phase";

/// Runs that were, each with its reading, so that a copy takes its time.
const PAST: i64 = 60_000;

/// A station with a past that measures in several ways, a ping every second among them.
fn measuring() -> Station {
    let station = Station::new();
    station.configure(SETTINGS);
    station.tool("tester", "sleep 0.2; echo nothing that is known");
    station.measures_with(
        &["a,127.0.0.1,4", "b,127.0.0.2,4"],
        COLUMNS,
        &[
            "station,a,ping,,background,1,1,-n -c 1 -w 1,1,0",
            "station,b,ping,,background,1,1,-n -c 1 -w 1,1,0",
            "station,a,traceroute,,background,4,6,-q 1 -w 1 -m 4,5,0",
            "station,b,iperf,tester,background-syn,2,3,-t 1,1,0",
        ],
    );
    let numbers = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {PAST}) \
         SELECT t.toolspecsID, 'station', t.destNodeID"
    );
    let of_ping = "FROM n, TOOLSPECS t WHERE t.toolName = 'ping' AND t.destNodeID = 'a'";
    let mut look = station.look();
    look.execute(&format!(
        "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, latest_us, \
         start_us, state) {numbers}, 'ping', 'background', i, i * 1000000, 0, i * 1000000, 'loaded' {of_ping}"
    ));
    look.execute(&format!(
        "INSERT INTO PINGDATA (toolspecsID, srcNodeID, destNodeID, scheduleID, startepoch, start_us, end_us, received, \
         duplicates, reordered, clock_synchronised, avg, packets) \
         {numbers}, i, i, i * 1000000, 0, 1, 0, 0, 1, i / 7.0, '[[1,100,64]]' {of_ping}"
    ));
    station
}

/// Numbers that look like chance, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[track_caller]
fn goes_on(station: &Station) {
    let before = station.count("PINGDATA");
    until("readings come in", || (station.count("PINGDATA") >= before + 4).then_some(()));
}

fn copying(station: &Station, arguments: &[&str]) -> Child {
    let log = fs::File::options().create(true).append(true).open(station.path("log/copy.log"));
    let log = log.expect("a log");
    let mut copy = station.command("iepm");
    copy.arg("copy").args(arguments).stdout(log.try_clone().expect("a descriptor")).stderr(log);
    copy.spawn().expect("the program starts")
}

/// Kills a copy after so long; says whether it was still at it.
fn killed_after(station: &Station, arguments: &[&str], length: Duration) -> bool {
    let mut copy = copying(station, arguments);
    pause(length);
    let _ = kill_process(Pid::from_child(&copy), Signal::KILL);
    copy.wait().expect("a child").code().is_none()
}

/// Copies to the end; gives the checksum of each table.
#[track_caller]
fn copied(station: &Station, arguments: &[&str]) -> BTreeMap<String, String> {
    let text = succeed(station.command("iepm").args(["copy", "--json"]).args(arguments));
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let tables = report["tables"].as_array().expect("tables").iter();
    for table in tables.clone() {
        println!(
            "{}: {} rows, {} new, {} changed, {} gone",
            table["table"], table["rows"], table["new"], table["changed"], table["gone"]
        );
    }
    let text = |table: &serde_json::Value, key: &str| table[key].as_str().expect("text").to_owned();
    tables.map(|table| (text(table, "table"), text(table, "checksum"))).collect()
}

#[track_caller]
fn refused(station: &Station, arguments: &[&str], exit: i32, told: &str) {
    let output = station.run("iepm", arguments);
    assert_eq!(output.status.code(), Some(exit), "{}", said(&output));
    assert!(said(&output).contains(told), "{}", said(&output));
}

/// What must be the same whatever was done: no slot twice, every account right.
#[track_caller]
fn is_whole(station: &Station) {
    let doubles = "(SELECT 1 FROM SCHEDULE WHERE state <> 'cancelled' GROUP BY toolspecsID, due_us HAVING COUNT(*) > 1) d";
    assert_eq!(station.count(doubles), 0);
    assert_eq!(station.count("SCHEDULE WHERE state = 'lost'"), 0, "{}", station.logs());
    station.accounts_are_right();
}

fn end(daemons: Vec<Program>) {
    for mut daemon in daemons {
        daemon.terminate();
    }
}

fn last_number(station: &Station) -> i64 {
    station.ask("SELECT MAX(scheduleID) FROM SCHEDULE").expect("a number")
}

/// Waits until rows have come over.
#[track_caller]
fn rows_are_there(server: &Server) {
    let made = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'iepm' AND table_name = 'PINGDATA'";
    until("rows have come over", || {
        let mut look = server.look("");
        (look.ask::<i64>(made) == Some(1) && look.count("iepm.PINGDATA") > 0).then_some(())
    });
}

/// Copies while the station measures; the server is killed once, and then the copy again and again.
fn copied_under_way(station: &Station, server: &mut Server, to: &[&str]) {
    let mut copy = copying(station, to);
    rows_are_there(server);
    server.kill();
    pause(Duration::from_secs(1));
    server.start();
    let status = until("the copy goes on", || copy.try_wait().expect("a child"));
    assert!(status.success(), "{}", station.logs());

    server.look("").execute("DROP DATABASE iepm");
    let (mut chance, mut cut) = (Chance(5), 0);
    for _ in 0..20 {
        let length = Duration::from_millis(chance.below(1_500));
        cut += u32::from(killed_after(station, to, length));
    }
    println!("{cut} of 20 copies were killed at it");
    assert!(cut >= 10, "{cut}");
    copied(station, to);
}

#[test]
fn a_station_under_way_is_moved_to_a_server_whatever_is_killed_and_back() {
    let mut server = Server::up();
    let mut station = measuring();
    let daemons = station.start_all(&DAEMONS);
    goes_on(&station);
    let url = server.url("iepm");
    let to = ["--to", url.as_str()];
    copied_under_way(&station, &mut server, &to);
    goes_on(&station);
    copied(&station, &to);

    // It is not whole, and nobody can take it for that.
    let other = station.path("other.toml");
    fs::write(&other, format!("database = \"{url}\"\n")).expect("written");
    let config = other.display().to_string();
    refused(&station, &["status", "--config", &config], 78, "not to be used yet");
    refused(&station, &["copy", "--final", "--to", &url], 1, "load-scheduled");
    end(daemons);
    let before = last_number(&station);
    let last = ["--final", "--to", url.as_str()];
    let cut = killed_after(&station, &last, Duration::from_millis(300));
    println!("the last copy was {}", if cut { "killed at it" } else { "faster" });
    let sums = if cut { Some(copied(&station, &last)) } else { None };
    refused(&station, &["status"], 78, "its rows are moved to");
    refused(&station, &["copy", "--final", "--to", &url], 0, "was moved to");

    // The way back, on the spot, ends with what was at first.
    let file = station.path("db/back.db");
    let back = format!("sqlite://{}", file.display());
    let from = ["--from", url.as_str(), "--to", back.as_str()];
    let again = copied(&station, &from);
    assert!(sums.is_none_or(|sums| sums == again));

    station.moves_to(Some(&server), SETTINGS);
    let daemons = station.start_all(&DAEMONS);
    goes_on(&station);
    assert!(last_number(&station) > before);
    end(daemons);
    is_whole(&station);
    let after = last_number(&station);
    let there = station.states();

    copied(&station, &["--final", "--from", &url, "--to", &back]);
    refused(&station, &["status"], 78, "its rows are moved to");
    // In place of the first one.
    for name in ["iepm.db", "iepm.db-wal", "iepm.db-shm"] {
        let _ = fs::remove_file(station.path("db").join(name));
    }
    fs::rename(&file, station.path("db/iepm.db")).expect("renamed");
    station.moves_to(None, SETTINGS);
    assert_eq!(station.states(), there);
    let daemons = station.start_all(&DAEMONS);
    goes_on(&station);
    assert!(last_number(&station) > after);
    end(daemons);
    is_whole(&station);
    println!("{:?}", station.states());
}

#[test]
fn a_server_that_does_not_come_back_is_told_and_the_next_copy_goes_on() {
    let mut server = Server::up();
    let station = measuring();
    let url = server.url("iepm");
    let to = ["--to", url.as_str()];
    let mut copy = copying(&station, &to);
    rows_are_there(&server);
    server.kill();
    let patience = Duration::from_secs(180);
    let status =
        stories::until_within(patience, "the copy gives up", || copy.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(75), "{}", station.logs());
    assert!(station.logs().contains("the same command goes on where it was"), "{}", station.logs());
    refused(&station, &["copy", "--to", &url], 75, "cannot use the database");
    server.start();
    let there = server.look("iepm").count("PINGDATA");
    // Others see what is committed before it is on the disk: all that came over may be gone with the server.
    assert!(there < PAST, "{there}");
    let text = succeed(station.command("iepm").args(["copy", "--to", &url]));
    println!("{text}");
    assert_eq!(server.look("iepm").count("PINGDATA"), PAST);
    // The embedded engine's rows are all there, in each of the tables.
    assert!(text.contains("verified row by row"), "{text}");
}
