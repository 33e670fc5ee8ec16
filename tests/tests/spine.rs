//! From a specification to a stored reading, over a network of the stories' own.

use rstest::rstest;
use stories::{
    Engine::{self, Mariadb, Sqlite},
    Lab, Station, until,
};

const DAEMONS: [&str; 4] = ["load-scheduled", "pingd", "traced", "load-datad"];

/// A ping specification that runs every two seconds.
fn ping(node: &str) -> String {
    format!("{node},ping,,-n -c 3 -i 0.2 -w 3,4,5,5")
}

fn trace(node: &str) -> String {
    format!("{node},traceroute,,-q 1 -w 1 -m 4,6,10,5")
}

#[rstest]
#[ignore = "needs root for network namespaces"]
fn pings_and_traceroutes_become_readings(#[values(Sqlite, Mariadb)] engine: Engine) {
    let lab = Lab::up();
    let station = Station::of_on(engine, Some(lab.host("client")));
    station.configure("[load]\npause = '1s'");
    let (ping4, ping6) = (ping("server4"), ping("server6"));
    let (trace4, trace6) = (trace("server4"), trace("server6"));
    station.measures(
        &["server4,server.example,4", "server6,server6.example,6"],
        &[&ping4, &ping6, &trace4, &trace6],
    );
    let _daemons = station.start_all(&DAEMONS);

    for node in ["server4", "server6"] {
        let wanted = format!(
            "PINGDATA WHERE destNodeID = '{node}' AND received = 3 AND lost = 0 AND min > 0"
        );
        until(&format!("{node} is pinged"), || (station.count(&wanted) > 0).then_some(()));
        let routed = format!(
            "ROUTEDATA WHERE destNodeID = '{node}' AND reached = 1 AND numhops = 2 AND routeno = 1"
        );
        until(&format!("{node} is traced"), || (station.count(&routed) > 0).then_some(()));
    }
    let address: String = station
        .ask("SELECT address FROM PINGDATA WHERE destNodeID = 'server6' LIMIT 1")
        .expect("one");
    assert_eq!(address, "2001:db8:2::2");
    let route: String =
        station.ask("SELECT route FROM ROUTENO WHERE destNodeID = 'server4'").expect("one");
    assert_eq!(route, "198.51.100.1 192.0.2.2");
    let packets: String = station.ask("SELECT packets FROM PINGDATA LIMIT 1").expect("one");
    let packets: Vec<(u64, Option<u64>, Option<u64>)> =
        serde_json::from_str(&packets).expect("packets");
    assert_eq!(packets.iter().map(|packet| packet.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(packets.iter().all(|packet| packet.1.is_some_and(|rtt| rtt < 1_000_000)));
    station.accounts_are_right();
}

#[rstest]
#[ignore = "needs root for network namespaces"]
fn losses_darkness_and_refusals_are_told_apart(#[values(Sqlite, Mariadb)] engine: Engine) {
    let lab = Lab::up();
    // Every third echo request is lost; 192.0.2.3 is dark; 192.0.2.4 is refused by the router; .5 is nobody.
    lab.router_filters(
        "-p icmp --icmp-type echo-request -d 192.0.2.2 -m statistic --mode nth --every 3 --packet 0 -j DROP",
    )
    .router_filters("-d 192.0.2.3 -j DROP")
    .router_filters("-d 192.0.2.4 -j REJECT --reject-with icmp-host-prohibited");
    let station = Station::of_on(engine, Some(lab.host("client")));
    station.configure("[load]\npause = '1s'");
    let specs = ["lossy", "dark", "refused", "nobody", "unknown", "off"].map(|node| match node {
        "lossy" => "lossy,ping,,-n -c 9 -i 0.2 -W 1,4,6,5".to_owned(),
        "nobody" => "nobody,ping,,-n -c 2 -i 1 -w 6,7,10,5".to_owned(),
        node => ping(node),
    });
    station.measures(
        &[
            "lossy,192.0.2.2",
            "dark,192.0.2.3",
            "refused,192.0.2.4",
            "nobody,192.0.2.5",
            "unknown,nosuch.example",
            "off,203.0.113.9",
        ],
        &specs.each_ref().map(String::as_str),
    );
    let _daemons = station.start_all(&DAEMONS);

    let reading = |node: &str, wanted: &str| {
        let sql = format!("PINGDATA WHERE destNodeID = '{node}' AND {wanted}");
        until(&format!("{node}: {wanted}"), || (station.count(&sql) > 0).then_some(()));
    };
    reading(
        "lossy",
        "received = 6 AND lost = 3 AND ABS(lossratio - 0.3333) < 0.001 AND rtt_p50_us > 0 AND rtt_p95_us IS NULL",
    );
    reading(
        "dark",
        "received = 0 AND lossratio = 1 AND min IS NULL AND rtt_p50_us IS NULL AND errors IS NULL",
    );
    reading("refused", "received = 0 AND errors LIKE '%prohibited%'");
    reading("nobody", "received = 0 AND errors LIKE '%host unreachable%'");
    reading("unknown", "transmitted IS NULL AND problem LIKE 'unknown host%'");
    reading("off", "received = 0 AND errors LIKE '%net unreachable%'");
    station.accounts_are_right();
}

#[rstest]
fn a_run_by_hand_goes_the_same_way(#[values(Sqlite, Mariadb)] engine: Engine) {
    let station = Station::of(engine);
    station.measures(&["here,127.0.0.1,4"], &["here,ping,,-n -c 2 -i 0.2 -w 3,4,600,5"]);
    let output = station.run("iepm", &["run", "here", "ping"]);
    assert!(output.status.success(), "{}", stories::program::said(&output));
    assert_eq!(station.count("PINGDATA WHERE received = 2"), 1);
    assert_eq!(station.states().get("loaded"), Some(&1));
    assert_eq!(station.files("data"), [""; 0]);
    assert_eq!(station.files("data/tmp"), [""; 0]);
    station.accounts_are_right();
}

#[rstest]
fn cron_alone_can_drive_a_station(#[values(Sqlite, Mariadb)] engine: Engine) {
    let station = Station::of(engine);
    station.measures(&["here,127.0.0.1,4"], &["here,ping,,-n -c 1 -w 3,4,10,5"]);
    until("a ping is loaded", || {
        for program in ["load-scheduled", "pingd", "load-datad"] {
            let output = station.run(program, &["--once"]);
            assert!(output.status.success(), "{program}: {}", stories::program::said(&output));
        }
        (station.count("PINGDATA WHERE received = 1") > 0).then_some(())
    });
    station.accounts_are_right();
}

#[rstest]
fn the_specifications_of_the_tables_can_be_had_back_as_a_file(
    #[values(Sqlite, Mariadb)] engine: Engine,
) {
    let station = Station::of(engine);
    station.measures(
        &["a,127.0.0.1,4", "b,::1,6"],
        &["a,ping,,-s 100 -c 3,5,60,7,30", "b,traceroute,/usr/sbin/traceroute,-q 1,5,60"],
    );
    let csv = station.run("fetch-toolspecs", &["--csv"]);
    assert!(csv.status.success(), "{}", stories::program::said(&csv));
    std::fs::write(station.path("config/toolspecs.csv"), &csv.stdout).expect("written");
    let applied = station.run("iepm", &["apply"]);
    assert_eq!(String::from_utf8_lossy(&applied.stdout), "nothing to change\n");
    let commands = station.run("show-probe-commands", &["--tool", "ping"]);
    let commands = String::from_utf8_lossy(&commands.stdout).into_owned();
    assert!(commands.trim_end().ends_with("ping -4 -s 100 -c 3 127.0.0.1"), "{commands}");
}
