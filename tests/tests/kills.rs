//! Any program may be killed at any instruction: nothing is lost, nothing counts twice.

use std::time::Duration;

use rstest::rstest;
use stories::{
    Engine::{self, Mariadb, Sqlite},
    Program, Station, pause, until,
};

/// A generator of pauses that is the same in every run (a linear congruence): what is random here is
/// where the programs are when they are killed.
struct Pauses(u64);

impl Pauses {
    fn next(&mut self, most_ms: u64) -> Duration {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % most_ms)
    }
}

const DAEMONS: [&str; 4] = ["load-scheduled", "pingd", "traced", "load-datad"];
const KILLS: usize = 200;

#[rstest]
fn two_hundred_kills_lose_nothing_and_load_nothing_twice(
    #[values(Sqlite, Mariadb)] engine: Engine,
) {
    let station = Station::of(engine);
    station.configure("[load]\npause = '1s'\n[probes]\ndrain = '3s'");
    let specs: Vec<String> = (0..12)
        .flat_map(|node| {
            [
                format!("n{node},ping,,-n -c 1 -w 1,1,1,1"),
                format!("n{node},traceroute,,-n -q 1 -w 1 -m 2,2,3,1"),
            ]
        })
        .collect();
    let nodes: Vec<String> = (0..12).map(|node| format!("n{node},127.0.0.{}", node + 1)).collect();
    let of = |texts: &[String]| texts.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let (nodes, specs) = (of(&nodes), of(&specs));
    station.measures(&nodes.lines().collect::<Vec<_>>(), &specs.lines().collect::<Vec<_>>());

    let mut pauses = Pauses(7);
    let mut daemons: Vec<(usize, Program)> =
        DAEMONS.iter().enumerate().map(|(index, name)| (index, station.start(name))).collect();
    for kill in 0..KILLS {
        pause(pauses.next(150));
        let (index, daemon) = &mut daemons[kill % DAEMONS.len()];
        daemon.kill();
        *daemon = station.start(DAEMONS[*index]);
    }

    let loaded = |station: &Station| station.count("SCHEDULE WHERE state = 'loaded'");
    let before = loaded(&station);
    until("measurements go on after the last kill", || {
        (loaded(&station) > before + 30).then_some(())
    });
    // No new runs; what runs ends, what waits is loaded.
    station.look().execute("UPDATE TOOLSPECS SET toolDo = 0");
    until("every row is in a final state", || {
        (station.count("SCHEDULE WHERE state IN ('pending', 'running', 'finished')") == 0)
            .then_some(())
    });
    for (_, daemon) in &mut daemons {
        assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
    }
    station.accounts_are_right();
    assert_eq!(station.count("SCHEDULE WHERE state = 'rejected'"), 0);
    assert_eq!(station.files("data"), [""; 0]);
    assert_eq!(station.files("data/tmp"), [""; 0]);
    let unexplained = "SCHEDULE WHERE state IN ('missed', 'lost', 'failed', 'cancelled') AND COALESCE(reason, '') = ''";
    assert_eq!(station.count(unexplained), 0);
    println!("after {KILLS} kills: {:?}", station.states());
}

/// Runs a program again and again and kills it somewhere in the middle, a little later as time goes on,
/// until `done`.
fn kill_until_done(
    station: &Station,
    words: &[&str],
    most_ms: u64,
    mut done: impl FnMut() -> bool,
) -> u64 {
    let mut pauses = Pauses(11);
    let mut kills = 0;
    while !done() {
        assert!(kills < 1_000, "it never comes to its end between two kills: {}", station.logs());
        let mut command = station.command(words[0]);
        command.args(&words[1..]);
        let mut program = Program::start(command, &station.path("log/killed.log"));
        pause(pauses.next(most_ms + most_ms * kills / 20));
        program.kill();
        kills += 1;
    }
    kills
}

#[rstest]
fn a_loader_that_is_killed_anywhere_loads_each_file_once(
    #[values(Sqlite, Mariadb)] engine: Engine,
) {
    let station = Station::of(engine);
    station.measures(&["n,127.0.0.1"], &["n,ping,,-n -c 1,5,600"]);
    let output = "PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.\n\
                  64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.020 ms\n\n--- 127.0.0.1 ping statistics ---\n\
                  1 packets transmitted, 1 received, 0% packet loss, time 0ms\n\
                  rtt min/avg/max/mdev = 0.020/0.020/0.020/0.000 ms\n";
    let mut database = station.look();
    database.execute("BEGIN");
    for id in 1..=3_000 {
        let sql = "INSERT INTO SCHEDULE (scheduleID, toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, \
                   due_us, latest_us, state, attempt) VALUES";
        let row = "1, 'station', 'n', 'ping', 'background', 0, 0, 0, 'finished', 1";
        database.execute(&format!("{sql} ({id}, {row})"));
        let header = serde_json::json!({
            "version": 1, "schedule_id": id, "attempt": 1, "probetype": "ping", "toolspecsID": 1, "due_us": 0, "argv": ["ping"], "node": "n",
            "start_us": 1, "end_us": 2, "ended": {"how": "exited", "status": 0}, "clock_synchronised": true,
            "stdout_bytes": output.len(), "stderr_bytes": 0,
        });
        std::fs::write(station.path(&format!("data/{id}.ping")), format!("{header}\n{output}"))
            .expect("written");
    }
    database.execute("COMMIT");

    let loaded = || station.count("SCHEDULE WHERE state = 'loaded'");
    let kills = kill_until_done(&station, &["load-test-data", "ping"], 250, || {
        station.accounts_are_right();
        loaded() == 3_000 && station.files("data").is_empty()
    });
    assert_eq!(station.count("PINGDATA"), 3_000);
    println!("{kills} kills");
}

#[rstest]
fn an_apply_that_is_killed_has_changed_all_or_nothing(#[values(Sqlite, Mariadb)] engine: Engine) {
    let station = Station::of(engine);
    let nodes: Vec<String> =
        (0..400).map(|node| format!("n{node},127.0.1.{}", node % 250 + 1)).collect();
    let specs: Vec<String> = (0..400).map(|node| format!("n{node},ping,,-n -c 1,5,600")).collect();
    let of = |texts: &[String]| texts.join("\n");
    let (nodes, specs) = (of(&nodes), of(&specs));
    let (nodes, specs): (Vec<&str>, Vec<&str>) = (nodes.lines().collect(), specs.lines().collect());
    station.measures(&nodes[..1], &specs[..1]);
    station.writes_specifications(&nodes, &specs);
    let on = || station.count("TOOLSPECS WHERE retiredepoch IS NULL");
    let kills = kill_until_done(&station, &["iepm", "apply"], 60, || {
        assert!([1, 400].contains(&on()), "{} specifications", on());
        assert!([2, 401].contains(&station.count("NODES WHERE retiredepoch IS NULL")));
        on() == 400
    });
    println!("{kills} kills");
}
