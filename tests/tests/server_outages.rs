//! A server that dies again and again under load, whose disk is full, that takes no more connections: time is
//! lost, never data.

use std::{fs, time::Duration};

use stories::{Program, Server, SmallDisk, Station, pause, until};

const DAEMONS: [&str; 3] = ["load-scheduled", "pingd", "load-datad"];
const OPEN: &str = "SCHEDULE WHERE state IN ('pending', 'running', 'finished')";

#[track_caller]
fn readings_come_in(station: &Station, more: i64) {
    let before = station.count("PINGDATA");
    until("readings come in", || (station.count("PINGDATA") >= before + more).then_some(()));
}

#[track_caller]
fn all_live(daemons: &mut [Program]) {
    for daemon in daemons {
        assert_eq!(daemon.ended(), None, "{}", daemon.log());
    }
}

/// Nothing new is planned; what was planned comes to its end.
fn comes_to_its_end(station: &Station) {
    station.look().execute("UPDATE TOOLSPECS SET toolDo = 0");
    until("every row is final", || (station.count(OPEN) == 0).then_some(()));
    assert_eq!(station.files("data"), [""; 0]);
    assert_eq!(station.files("data/tmp"), [""; 0]);
    station.accounts_are_right();
}

/// So many specifications that ping their own address of the loopback, each every `interval` seconds.
fn pings(station: &Station, count: u32, interval: u32) {
    let address = |number: u32| format!("127.1.{}.{}", number / 250, number % 250 + 1);
    let nodes: Vec<String> = (0..count).map(|n| format!("n{n},{},4", address(n))).collect();
    let specs: Vec<String> =
        (0..count).map(|n| format!("n{n},ping,,-n -c 1 -w 1,1,{interval},5")).collect();
    let of = |texts: &'static [String]| texts.iter().map(String::as_str).collect::<Vec<_>>();
    station.measures(&of(nodes.leak()), &of(specs.leak()));
}

#[test]
fn a_server_that_is_killed_ten_times_under_a_thousand_specifications_loses_no_run() {
    let mut server = Server::up();
    let station = Station::of_server(&server);
    station.configure("[load]\npause = '1s'");
    pings(&station, 1_000, 30);
    let mut daemons = station.start_all(&DAEMONS);
    readings_come_in(&station, 300);
    for kill in 0..10 {
        server.kill();
        pause(Duration::from_millis(kill * 400));
        server.start();
        readings_come_in(&station, 50);
    }
    all_live(&mut daemons);
    comes_to_its_end(&station);
    for daemon in &daemons {
        let lines = daemon.log().lines().count();
        assert!(lines < 60, "{lines} lines of ten outages: {}", daemon.log());
    }
    // From its first to its last slot each specification has a row for every slot.
    let holes = "(SELECT toolspecsID FROM SCHEDULE GROUP BY toolspecsID \
                 HAVING SUM(slots) <> (MAX(COALESCE(lastdue_us, due_us)) - MIN(due_us)) / 30000000 + 1) d";
    assert_eq!(station.count(holes), 0, "specifications with slots that nobody accounts for");
    let twice = "(SELECT 1 FROM SCHEDULE GROUP BY toolspecsID, due_us HAVING COUNT(*) > 1) d";
    assert_eq!(station.count(twice), 0, "slots that were planned twice");
    let unexplained = "SCHEDULE WHERE state <> 'loaded' AND COALESCE(reason, '') = ''";
    assert_eq!(station.count(unexplained), 0);
    println!("10 kills: {:?}", station.states());
}

#[test]
#[ignore = "needs root for a small file system"]
fn a_server_whose_disk_is_full_keeps_results_waiting() {
    let disk = SmallDisk::of(300);
    let server = Server::below(disk.path());
    let station = Station::of_server(&server);
    station.configure("[load]\npause = '1s'");
    pings(&station, 20, 1);
    let mut daemons = station.start_all(&DAEMONS);
    readings_come_in(&station, 20);
    let filler = disk.fill();
    until("it is told that there is no room", || {
        let told = daemons.iter().any(|daemon| daemon.log().contains("no room for the database"));
        told.then_some(())
    });
    all_live(&mut daemons);
    fs::remove_file(filler).expect("room again");
    readings_come_in(&station, 40);
    comes_to_its_end(&station);
    println!("full: {:?}", station.states());
}

#[test]
fn a_server_that_takes_no_more_connections_is_waited_for() {
    let mut server = Server::up();
    let station = Station::of_server(&server);
    server.look("").execute("CREATE USER me@'127.0.0.1'");
    server.look("").execute("GRANT ALL ON iepm.* TO me@'127.0.0.1'");
    server.kill();
    server.start_with(&["--max-connections=10"]);
    let mut station = station;
    station.is_at(&format!("mysql://me@127.0.0.1:{}/iepm", server.port()));
    station.configure("[load]\npause = '1s'");
    pings(&station, 5, 1);
    let mut daemons = station.start_all(&DAEMONS);
    readings_come_in(&station, 10);
    // Everybody else's connections; the station's own are closed, so that each needs one anew.
    let mut root = server.look("");
    let others: Vec<_> = (0..9).map_while(|_| server.connected("me")).collect();
    println!("{} connections are taken", others.len());
    let ours: Vec<i64> = root
        .pairs(
            "SELECT 'x', id FROM information_schema.processlist WHERE user = 'me' AND db = 'iepm'",
        )
        .into_iter()
        .map(|(_, id)| id)
        .collect();
    drop(ours);
    all_live(&mut daemons);
}
