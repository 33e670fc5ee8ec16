//! `iepm status --all`: a line for each station, and what is wrong, the worst first.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use station::{
    text::{Align, Columns, Timestamp, human_duration},
    words::monhost::{Monhost, State},
};

use crate::doctor::{self, Finding, Severity, count};

use super::{Network, Outside, Queue, found, from_outside};

/// All stations as text; those that are well only if `all` are asked for.
pub(crate) fn text(network: &Network, all: bool) -> String {
    if network.stations.is_empty() {
        return "no station has reported to this database: `load-scheduled` does\n".to_owned();
    }
    let outside = from_outside(network);
    let left = |head| (head, Align::Left);
    let mut columns = Columns::new(&[
        left("STATION"),
        left("HEALTH"),
        ("SEEN", Align::Right),
        ("DAEMONS", Align::Right),
        ("PENDING", Align::Right),
        ("RUNNING", Align::Right),
        ("TO LOAD", Align::Right),
        left("VERSION"),
        left("SPECIFICATIONS"),
    ]);
    let mut quiet = 0;
    for station in &network.stations {
        let health = health(station, network.now, &outside);
        if !all && is_quiet(station, &health) {
            quiet += 1;
        } else {
            columns.push(row(station, &health, network));
        }
    }
    let shown = if quiet == network.stations.len() { String::new() } else { columns.plain() };
    let quiet = match quiet {
        0 => String::new(),
        quiet => format!("{} well or retired (-v shows all)\n", count(quiet, "station")),
    };
    format!("{} at {}\n\n{shown}{quiet}{}", counted(network), network.now, wrong(network, &outside))
}

fn counted(network: &Network) -> String {
    count(network.stations.iter().filter(|it| !it.retired).count(), "station")
}

fn is_quiet(station: &Monhost, health: &str) -> bool {
    health == "well" || station.retired
}

fn row(station: &Monhost, health: &str, network: &Network) -> [String; 9] {
    let running = station.daemons.iter().filter(|it| it.running == Some(true)).count();
    let queue = network.queues.get(&station.node).copied().unwrap_or_default();
    let Queue { pending, running: runs, finished } = queue;
    [
        station.node.clone(),
        health.to_owned(),
        ago(station.seen, network.now),
        format!("{running}/{}", station.daemons.len()),
        pending.to_string(),
        runs.to_string(),
        finished.to_string(),
        station.version.clone(),
        specifications(station, network.now),
    ]
}

fn ago(then: Timestamp, now: Timestamp) -> String {
    human_duration(Duration::from_secs(then.until(now).as_secs()))
}

/// `12 ok, 1 down (4m ago)`: as of its doctor's last look.
fn specifications(station: &Monhost, now: Timestamp) -> String {
    let (Some(at), counts) = (station.findings_at, healths(station)) else {
        return "not looked at".to_owned();
    };
    let parts: Vec<String> =
        counts.iter().map(|(health, count)| format!("{count} {health}")).collect();
    let parts = if parts.is_empty() { "none".to_owned() } else { parts.join(", ") };
    format!("{parts} ({} ago)", ago(at, now))
}

fn healths(station: &Monhost) -> BTreeMap<String, u64> {
    serde_json::from_str(&station.specifications).unwrap_or_default()
}

/// How a station does, in a word or two.
fn health(station: &Monhost, now: Timestamp, outside: &[Outside]) -> String {
    if station.retired {
        return "retired".to_owned();
    }
    if station.silent(now).is_some() {
        return format!("silent since {}", station.seen);
    }
    if station.state != State::Running {
        return station.state.as_str().to_owned();
    }
    let of_it = outside.iter().filter(|(of, _)| of.as_deref() == Some(&*station.node));
    let seen = of_it.map(|(_, finding)| finding.severity);
    let found = found(station);
    let known = found.is_some();
    let own = found.into_iter().flatten().map(|finding| finding.severity);
    let all: Vec<Severity> = own.chain(seen).collect();
    let number = |severity| all.iter().filter(|it| **it == severity).count();
    match (number(Severity::Critical), number(Severity::Warning)) {
        (0, 0) if known => "well".to_owned(),
        (0, 0) => "not looked at".to_owned(),
        (0, warnings) => format!("warnings {warnings}"),
        (critical, _) => format!("critical {critical}"),
    }
}

/// What is wrong, the worst first: a line each. What the doctors said is as old as their last looks.
fn wrong(network: &Network, outside: &[Outside]) -> String {
    let mut all = merged(network, outside);
    all.retain(|(_, finding)| finding.severity > Severity::Note);
    let line = |(of, finding): &Outside| {
        let of = of.as_deref().map_or_else(String::new, |of| format!("{of}: "));
        format!("{:<10}{of}{}\n", finding.severity.as_str(), finding.what)
    };
    let lines: String = all.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// What is seen from outside and what the doctors found, the worst first.
pub(crate) fn merged(network: &Network, outside: &[Outside]) -> Vec<Outside> {
    let mut all = outside.to_vec();
    for station in network.stations.iter().filter(|it| !it.retired) {
        let own = found(station).into_iter().flatten();
        all.extend(own.map(|finding| (Some(station.node.clone()), finding)));
    }
    all.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
    all
}

/// All of it as data.
pub(crate) fn as_json(network: &Network) -> Value {
    let outside = from_outside(network);
    let findings: Vec<Value> = outside.iter().map(outside_json).collect();
    let stations: Vec<Value> =
        network.stations.iter().map(|it| station_json(it, network, &outside)).collect();
    let all = merged(network, &outside);
    let well = doctor::is_well(all.iter().map(|(_, finding)| finding));
    json!({ "now_us": network.now, "well": well, "stations": stations, "findings": findings })
}

fn outside_json((of, finding): &Outside) -> Value {
    let Finding { severity, key, what, todo } = finding;
    json!({ "station": of, "severity": severity, "key": key, "what": what, "todo": todo })
}

fn station_json(station: &Monhost, network: &Network, outside: &[Outside]) -> Value {
    let now = network.now;
    let age = |then: Timestamp| then.until(now).as_secs();
    json!({
        "station": station.node,
        "health": health(station, now, outside),
        "silent_seconds": station.silent(now).map(|length| length.as_secs()),
        "state": station.state,
        "reason": Some(&station.reason).filter(|reason| !reason.is_empty()),
        "retired": station.retired,
        "host": station.host,
        "home": station.home,
        "version": station.version,
        "first_seen_us": station.first_seen,
        "seen_us": station.seen,
        "seen_seconds": age(station.seen),
        "promised_seconds": station.within.as_secs(),
        "clock_ahead_seconds": station.clock_ahead(),
        "clock_synchronised": station.clock_synchronised,
        "daemons": station.daemons,
        "queue": network.queues.get(&station.node).copied().unwrap_or_default(),
        "specifications": station.findings_at.map(|_| healths(station)),
        "findings": found(station),
        "findings_seconds": station.findings_at.map(age),
    })
}

#[cfg(test)]
mod tests {
    use crate::testing;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn station(name: &str, age: u64, findings: &[Finding]) -> Monhost {
        let seen = NOW - Duration::from_secs(age);
        Monhost {
            findings: serde_json::to_string(findings).expect("plain values"),
            findings_at: Some(NOW - Duration::from_secs(240)),
            specifications: "{\"down\":1,\"ok\":12}".to_owned(),
            daemons: serde_json::from_str(
                "[{\"name\":\"pingd\",\"running\":true,\"beat_seconds\":3},\
                  {\"name\":\"traced\",\"running\":false,\"beat_seconds\":null}]",
            )
            .expect("daemons"),
            ..testing::monhost(name, seen)
        }
    }

    fn network() -> Network {
        let disk = Finding::critical("disk /", "the disk is full", "make room");
        let late = Finding::warning("d", "a daemon is late", "wait");
        Network {
            now: NOW,
            stations: vec![
                station("a", 5, &[Finding::note("n", "a note", "nothing")]),
                station("b", 5, &[late.clone(), disk]),
                station("c", 600, &[]),
                station("d", 5, &[late]),
                Monhost { state: State::Held, ..station("e", 5, &[]) },
                Monhost { retired: true, ..station("f", 90_000, &[]) },
            ],
            queues: [("b".to_owned(), Queue { pending: 3, running: 2, finished: 1 })].into(),
            leases: Vec::new(),
            differing: Vec::new(),
            strangers: Vec::new(),
        }
    }

    #[test]
    fn what_is_wrong_stands_below_the_stations_and_those_that_are_well_are_counted() {
        let expected = "5 stations at 1970-01-12T13:46:40Z

STATION  HEALTH                             SEEN  DAEMONS  PENDING  RUNNING  TO LOAD  VERSION  SPECIFICATIONS
b        critical 1                           5s      1/2        3        2        1  1.2      1 down, 12 ok (4m ago)
c        silent since 1970-01-12T13:36:40Z   10m      1/2        0        0        0  1.2      1 down, 12 ok (4m ago)
d        warnings 1                           5s      1/2        0        0        0  1.2      1 down, 12 ok (4m ago)
e        held                                 5s      1/2        0        0        0  1.2      1 down, 12 ok (4m ago)
2 stations well or retired (-v shows all)

critical  c: station c has been silent for 10m (last seen 1970-01-12T13:36:40Z)
critical  b: the disk is full
warning   b: a daemon is late
warning   d: a daemon is late
";
        assert_eq!(text(&network(), false), expected);
        let all = text(&network(), true);
        assert!(all.contains("\na        well ") && all.contains("\nf        retired "), "{all}");
    }

    #[test]
    fn json_holds_everything_as_data() {
        let json = as_json(&network());
        let names: Vec<&Value> =
            json["stations"].as_array().expect("a list").iter().map(|it| &it["health"]).collect();
        assert_eq!(names.len(), 6);
        assert_eq!((&json["well"], names[0]), (&json!(false), &json!("well")));
        assert_eq!(json["stations"][1]["queue"]["pending"], 3);
        assert_eq!(json["stations"][2]["silent_seconds"], 600);
        assert_eq!(json["stations"][1]["specifications"]["ok"], 12);
        assert_eq!(json["findings"][0]["key"], "station c");
    }
}
