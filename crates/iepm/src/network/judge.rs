//! What is wrong with stations, as far as it is only seen from outside.

use std::{collections::BTreeSet, time::Duration};

use station::{
    text::{Timestamp, human_duration},
    words::monhost::{self, Monhost, Rival, State},
};

use crate::doctor::{Finding, count};

use super::{Network, found};

/// A clock is off by more than this, s; both are read in whole seconds.
const CLOCK: i64 = 5;

/// A finding, and the station that it is of; nothing if it is of several.
pub(crate) type Outside = (Option<String>, Finding);

/// All of it.
pub(crate) fn from_outside(network: &Network) -> Vec<Outside> {
    let now = network.now;
    let mut outside: Vec<Outside> = silent(network);
    for station in network.stations.iter().filter(|it| !it.retired) {
        let is_silent = station.silent(now).is_some();
        let lives = [two_machines(station, now), clock(station), stale(station, now)];
        let lives = lives.into_iter().flatten().filter(|_| !is_silent);
        outside.extend(lives.map(|finding| (Some(station.node.clone()), finding)));
    }
    outside.extend(differing(network));
    outside.extend(leases(network));
    outside.extend(network.strangers.iter().map(stranger));
    outside.extend(versions(&network.stations).map(|finding| (None, finding)));
    outside
}

/// What a finding is about that says that a station is silent.
pub(crate) fn silence_key(station: &str) -> String {
    format!("station {station}")
}

fn silent(network: &Network) -> Vec<Outside> {
    let silent = monhost::silent(&network.stations, network.now);
    silent.into_iter().map(|(it, age)| (Some(it.node.clone()), silence(it, age))).collect()
}

fn silence(station: &Monhost, age: Duration) -> Finding {
    let Monhost { node, seen, host, .. } = station;
    let before = match station.state {
        State::Running => "",
        State::Held => "; it was held",
        State::Stopped => "; it was stopped and has not come back",
    };
    let age = human_duration(Duration::from_secs(age.as_secs()));
    let what = format!("station {node} has been silent for {age} (last seen {seen}{before})");
    let todo = format!(
        "see whether {host} runs, load-scheduled on it, and whether it reaches the database; if it is gone for \
         good: `iepm retire-station {node}`"
    );
    Finding::critical(silence_key(node), what, todo)
}

/// That two machines go by one name.
pub(crate) fn two_machines(station: &Monhost, now: Timestamp) -> Option<Finding> {
    let Rival { host, home } = station.contested(now)?;
    let Monhost { node, host: first_host, home: first_home, .. } = station;
    let what = format!(
        "two machines go by the name {node}: {first_home} on {first_host}, which schedules, and {home} on {host}"
    );
    let todo = "give one of them another name: node in its iepm.toml, and its rows in nodes.csv and toolspecs.csv";
    Some(Finding::critical(format!("name {node}"), what, todo))
}

fn clock(station: &Monhost) -> Option<Finding> {
    let ahead = station.clock_ahead();
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    (ahead.abs() > CLOCK).then(|| {
        let off = human_duration(Duration::from_secs(ahead.unsigned_abs()));
        let what = format!("the clock of {} is {off} {way} the database's", station.node);
        let todo =
            "see which of the two is wrong; chrony, ntpsec or systemd-timesyncd keeps it right";
        Finding::warning(format!("clock {}", station.node), what, todo)
    })
}

fn stale(station: &Monhost, now: Timestamp) -> Option<Finding> {
    let key = format!("findings {}", station.node);
    let todo = "there, cron is to call `iepm doctor --alert`: `iepm crontab --install`";
    let Some(at) = station.findings_at.filter(|_| found(station).is_some()) else {
        let what = format!("nobody looks what is wrong with {}", station.node);
        return Some(Finding::note(key, what, todo));
    };
    let age = at.until(now);
    (age > monhost::LOOKED_AFTER && station.state == State::Running).then(|| {
        let what = format!(
            "the doctor of {} has not looked for {}",
            station.node,
            human_duration(Duration::from_secs(age.as_secs()))
        );
        Finding::warning(key, what, todo)
    })
}

fn differing(network: &Network) -> Vec<Outside> {
    let finding = |(node, says): &(String, String)| {
        let what = format!("node {node} is elsewhere for a station: {says}, NODES another place");
        let todo =
            "put that file right and apply it; `iepm apply --redefine` there if NODES is wrong";
        (None, Finding::warning(format!("node {node}"), what, todo))
    };
    network.differing.iter().map(finding).collect()
}

fn leases(network: &Network) -> Vec<Outside> {
    let gone = |name: &str| {
        let is_gone = |it: &&Monhost| it.retired || it.silent(network.now).is_some();
        network.stations.iter().any(|it| it.node == name && is_gone(&it))
    };
    let held =
        network.leases.iter().filter(|(_, holder, until)| *until > network.now && gone(holder));
    let finding = |(node, holder, until): &(String, String, Timestamp)| {
        let what = format!("{holder}, which is gone, has {node} for itself until {until}");
        let todo = "nothing: then others measure to it";
        (Some(holder.clone()), Finding::note(format!("lease {node}"), what, todo))
    };
    held.map(finding).collect()
}

fn stranger((name, specs): &(String, i64)) -> Outside {
    let specs = count(usize::try_from(*specs).unwrap_or(usize::MAX), "specification");
    let what = format!("{specs} of {name}, which has never reported");
    let todo = format!("start it; if there is no such station: `iepm retire-station {name}`");
    (Some(name.clone()), Finding::note(format!("stranger {name}"), what, todo))
}

fn versions(stations: &[Monhost]) -> Option<Finding> {
    let lives = || stations.iter().filter(|it| !it.retired);
    let versions: BTreeSet<&str> = lives().map(|it| it.version.as_str()).collect();
    let told = |version: &&str| {
        let of: Vec<&str> =
            lives().filter(|it| it.version == **version).map(|it| it.node.as_str()).collect();
        let more = if of.len() > 3 { format!(" and {} more", of.len() - 3) } else { String::new() };
        format!("{version} on {}{more}", of.iter().take(3).copied().collect::<Vec<_>>().join(", "))
    };
    (versions.len() > 1).then(|| {
        let all: Vec<String> = versions.iter().map(told).collect();
        let what = format!("stations run different versions of the suite: {}", all.join("; "));
        Finding::note("versions", what, "bring all to the newest")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::{doctor::Severity, testing};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn seen(name: &str, age: u64) -> Monhost {
        let findings = "[]".to_owned();
        let seen = NOW - Duration::from_secs(age);
        Monhost { findings, findings_at: Some(NOW), ..testing::monhost(name, seen) }
    }

    fn network(stations: Vec<Monhost>) -> Network {
        Network {
            now: NOW,
            stations,
            queues: BTreeMap::new(),
            leases: Vec::new(),
            differing: Vec::new(),
            strangers: Vec::new(),
        }
    }

    fn told(network: &Network) -> Vec<(Severity, String)> {
        from_outside(network).into_iter().map(|(_, it)| (it.severity, it.what)).collect()
    }

    #[test]
    fn stations_that_report_and_are_looked_at_are_well() {
        assert_eq!(told(&network(vec![seen("a", 5), seen("b", 20)])), []);
    }

    #[test]
    fn a_silent_station_is_critical_and_says_how_it_was() {
        let all = told(&network(vec![seen("a", 5), seen("b", 420)]));
        let what = "station b has been silent for 7m (last seen 1970-01-12T13:39:40Z)";
        assert_eq!(all, [(Severity::Critical, what.to_owned())]);
        let stopped = Monhost { state: State::Stopped, ..seen("b", 420) };
        let all = told(&network(vec![seen("a", 5), stopped]));
        assert!(all[0].1.contains("; it was stopped and has not come back)"), "{all:?}");
    }

    #[test]
    fn each_thing_that_is_only_seen_from_outside_has_its_finding() {
        let rival = Rival { host: "copy".to_owned(), home: "/srv".to_owned() };
        let mut all = network(vec![
            Monhost { rival: Some((rival, NOW)), ..seen("a", 5) },
            Monhost { clock: NOW + Duration::from_secs(3_600), ..seen("b", 0) },
            Monhost { findings_at: Some(NOW - Duration::from_secs(1_801)), ..seen("c", 5) },
            Monhost { findings_at: None, version: "2".to_owned(), ..seen("d", 5) },
            Monhost { retired: true, version: "0".to_owned(), ..seen("e", 90_000) },
        ]);
        all.leases = vec![
            ("gw".to_owned(), "e".to_owned(), NOW + Duration::from_secs(60)),
            ("far".to_owned(), "a".to_owned(), NOW + Duration::from_secs(60)),
        ];
        all.strangers = vec![("x".to_owned(), 3)];
        all.differing = vec![("gw".to_owned(), "nodes.csv of b says h (any)".to_owned())];
        let expected = [
            (
                Severity::Critical,
                "two machines go by the name a: /home/iepm on host-of-a, which schedules, and /srv on copy",
            ),
            (Severity::Warning, "the clock of b is 1h ahead of the database's"),
            (Severity::Warning, "the doctor of c has not looked for 30m1s"),
            (Severity::Note, "nobody looks what is wrong with d"),
            (
                Severity::Warning,
                "node gw is elsewhere for a station: nodes.csv of b says h (any), NODES another place",
            ),
            (Severity::Note, "e, which is gone, has gw for itself until 1970-01-12T13:47:40Z"),
            (Severity::Note, "3 specifications of x, which has never reported"),
            (
                Severity::Note,
                "stations run different versions of the suite: 1.2 on a, b, c; 2 on d",
            ),
        ];
        let told = told(&all);
        let told: Vec<(Severity, &str)> = told.iter().map(|(is, what)| (*is, &**what)).collect();
        assert_eq!(told, expected);
    }
}
