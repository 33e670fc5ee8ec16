//! Other stations: `iepm doctor --all`, and what a station's own doctor tells of the others.

use serde_json::json;
use station::{
    app::{self, Common, Exit, Failure},
    name,
    text::Timestamp,
    words::{config::Config, monhost},
    world::store::Error,
};

use super::finding::{self, Finding};
use crate::network::{self, Network, Outside};

/// What is seen of others, and of the station's own name.
#[derive(Debug, Default)]
pub(super) struct Others {
    pub(super) findings: Vec<Finding>,
    /// What another station tells whoever is to be told; here it is only shown.
    pub(super) quiet: Vec<String>,
}

/// Looks at the other stations.
///
/// # Errors
/// What the database says.
pub(super) fn look(config: &Config) -> Result<Others, Error> {
    let network = crate::store(config).read(|session| network::look(session))?;
    Ok(others(&network, config))
}

fn others(network: &Network, config: &Config) -> Others {
    let (me, now) = (config.node.as_str(), network.now);
    let mut others = Others::default();
    let silent = monhost::silent(&network.stations, now);
    let silent: Vec<String> = silent.iter().map(|(it, _)| network::silence_key(&it.node)).collect();
    let outside = network::from_outside(network).into_iter().map(|(_, finding)| finding);
    let (own_silence, own_clock) = (network::silence_key(me), format!("clock {me}"));
    let is_told =
        |it: &Finding| it.key == own_clock || (silent.contains(&it.key) && it.key != own_silence);
    others.findings.extend(outside.filter(is_told));
    if monhost::speaker(&network.stations, now).is_some_and(|speaker| speaker != me) {
        others.quiet = silent;
    }
    let own = network.stations.iter().find(|it| it.node == me);
    if let Some(own) = own.filter(|_| name::is_elsewhere(config, &network.stations, now)) {
        let what = format!("nothing is scheduled: the name {me} is another's");
        others.findings.push(Finding::critical(format!("name {me}"), what, name::whose(own)));
    } else {
        others.findings.extend(own.and_then(|own| network::two_machines(own, now)));
    }
    others
}

/// `iepm doctor --all`.
pub(super) fn all(json: bool, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    let network = crate::store(&config)
        .read(|session| network::look(session))
        .map_err(|error| Failure::store("looking at all stations", error))?;
    let all = network::merged(&network, &network::from_outside(&network));
    let well = finding::is_well(all.iter().map(|(_, finding)| finding));
    if json {
        app::print(&format!("{:#}\n", network::as_json(&network)))?;
    } else {
        app::print(&text(&network, &all, well))?;
    }
    Ok(if well { Exit::Well } else { Exit::NeedsPerson })
}

fn text(network: &Network, all: &[Outside], well: bool) -> String {
    let line = |(of, finding): &Outside| {
        let of = of.as_deref().map_or_else(String::new, |of| format!("{of}: "));
        let what = format!("{of}{}", finding.what);
        Finding { what, ..finding.clone() }.text()
    };
    let ages: Vec<String> = network
        .stations
        .iter()
        .filter_map(|it| {
            let at = it.findings_at.filter(|_| !it.retired)?;
            Some(format!("{} {} ago", it.node, age(at, network.now)))
        })
        .collect();
    let looked = match ages.len() {
        0 => String::new(),
        _ => format!("\ntheir doctors looked: {}\n", ages.join(", ")),
    };
    let well = if well { "well\n" } else { "" };
    format!("{well}{}{looked}", all.iter().map(line).collect::<String>())
}

fn age(then: Timestamp, now: Timestamp) -> String {
    let length = std::time::Duration::from_secs(then.until(now).as_secs());
    station::text::human_duration(length)
}

/// What the doctor found, as others are told it: findings and how many specifications are of each health.
pub(super) fn told(
    findings: &[Finding],
    healths: &std::collections::BTreeMap<&'static str, usize>,
) -> (String, String) {
    (json!(findings).to_string(), json!(healths).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Station};

    /// What the doctor of a station tells of others: what it finds, and what it leaves to another.
    fn seen(station: &mut Station, name: &str) -> (Vec<String>, Vec<String>) {
        let network = station.store.read(|session| network::look(session)).expect("asked");
        let config = Config { node: name.parse().expect("a node"), ..station.config.clone() };
        let Others { findings, quiet } = others(&network, &config);
        (findings.into_iter().map(|finding| finding.key).collect(), quiet)
    }

    #[test]
    fn all_stations_see_one_that_is_silent_and_one_of_them_tells_of_it() {
        let mut station = Station::new();
        for (name, age) in [("a", 5), ("b", 400), ("c", 5)] {
            testing::reports(&mut station, name, age);
        }
        // Whose doctors have never looked tell of nothing: then everybody does.
        assert_eq!(seen(&mut station, "c").1, [""; 0]);
        station.execute("UPDATE MONHOSTS SET findings = '[]', findings_us = seen_us", &[]);
        let silent = || vec!["station b".to_owned()];
        assert_eq!(seen(&mut station, "a"), (silent(), vec![]));
        assert_eq!(seen(&mut station, "c"), (silent(), silent()));
        assert_eq!(seen(&mut station, "b").0, [""; 0], "of itself it says nothing");
    }

    #[test]
    fn with_the_clock_of_a_station_an_hour_off_nobody_is_silent() {
        let mut station = Station::new();
        testing::reports(&mut station, "a", 5);
        testing::reports(&mut station, "b", 5);
        let skewed = "UPDATE MONHOSTS SET clock_us = clock_us - 3600000000 WHERE nodeID = 'b'";
        station.execute(skewed, &[]);
        assert_eq!(seen(&mut station, "a").0, [""; 0]);
        assert_eq!(seen(&mut station, "b").0, ["clock b"]);
        let network = station.store.read(|session| network::look(session)).expect("asked");
        let keys: Vec<String> =
            network::from_outside(&network).into_iter().map(|(_, finding)| finding.key).collect();
        assert!(keys.contains(&"clock b".to_owned()), "{keys:?}");
    }
}
