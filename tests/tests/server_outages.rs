//! A server that dies again and again under load, whose disk is full, that takes no more connections: time is
//! lost, never data.

use std::{fs, time::Duration};

use mysql::prelude::Queryable;
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
    until("every file is away", || station.files("data").is_empty().then_some(()));
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
    let server = Server::up_in(disk.path());
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

/// Connections of somebody else, as many as the server still takes.
fn take_the_rest(server: &Server, taken: &mut Vec<mysql::Conn>) {
    let opts = || {
        let opts = mysql::OptsBuilder::new().ip_or_hostname(Some("127.0.0.1")).user(Some("me"));
        opts.tcp_port(server.port()).prefer_socket(false)
    };
    while let Ok(one_more) = mysql::Conn::new(opts()) {
        taken.push(one_more);
    }
}

#[test]
fn a_server_that_takes_no_more_connections_is_waited_for() {
    let mut server = Server::up();
    let mut station = Station::of_server(&server);
    let mut root = server.look("");
    root.execute("CREATE USER me@'127.0.0.1'");
    root.execute("GRANT ALL ON iepm.* TO me@'127.0.0.1'");
    drop(root);
    server.kill();
    server.start_with(&["--max-connections=10"]);
    station.is_at(&format!("mysql://me@127.0.0.1:{}/iepm", server.port()));
    station.configure("[load]\npause = '1s'");
    pings(&station, 5, 1);
    let mut daemons = station.start_all(&DAEMONS);
    readings_come_in(&station, 10);
    let (mut root, mut taken) = (mysql::Conn::new(server.opts("")).expect("a connection"), vec![]);
    // Daemons have theirs; a loader, which is started anew each time, finds none.
    until("results wait as files", || {
        take_the_rest(&server, &mut taken);
        (station.files("data").len() > 5).then_some(())
    });
    until("nobody gets in", || {
        let own = "SELECT id FROM information_schema.processlist WHERE user = 'me' AND db = 'iepm'";
        let own: Vec<u64> = root.query(own).expect("a list");
        for id in own {
            // It may be gone by itself.
            let _ = root.query_drop(format!("KILL {id}"));
        }
        take_the_rest(&server, &mut taken);
        daemons.iter().all(|it| it.log().contains("Too many connections")).then_some(())
    });
    all_live(&mut daemons);
    drop(taken);
    readings_come_in(&station, 10);
    comes_to_its_end(&station);
}
