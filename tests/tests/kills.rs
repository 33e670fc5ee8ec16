//! Any program may be killed at any instruction: nothing is lost, nothing counts twice.

use std::time::Duration;

use stories::{Program, Station, pause, until};

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

#[test]
fn two_hundred_kills_lose_nothing_and_load_nothing_twice() {
    let station = Station::new();
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
    station.database().execute("UPDATE TOOLSPECS SET toolDo = 0", []).expect("switched off");
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
