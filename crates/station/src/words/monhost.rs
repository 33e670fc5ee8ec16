//! A row of MONHOSTS: one station among those that share a database, and what others may conclude from it.
//!
//! Ages are judged on the database's clock alone, which stamps every report and is asked by every observer:
//! a station whose own clock is an hour off is no more silent than any other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text::Timestamp;

/// Which station it really is: a name can be copied with a configuration.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Of the home directory, made once.
    pub home: String,
    /// Where that is.
    pub path: String,
    /// Of the machine; empty where it has none.
    pub machine: String,
    /// Of the machine's boot.
    pub boot: String,
}

impl Identity {
    /// Whether it is the same home, where it was, in the same boot. A machine may be given a name meanwhile.
    #[must_use]
    pub fn is_here(&self, other: &Self) -> bool {
        (&self.home, &self.path, &self.boot) == (&other.home, &other.path, &other.boot)
    }

    /// Whether it may be the same machine: after another boot, with the same home, or with one in the same place whose
    /// keep-alive files, and so its identity, did not last; in the same boot with the latter.
    fn may_be_again(&self, other: &Self) -> bool {
        let unknown = self.machine.is_empty() || other.machine.is_empty();
        let same_machine = !unknown && self.machine == other.machine;
        let (same_home, same_place) = (self.home == other.home, self.path == other.path);
        if self.boot == other.boot {
            same_machine && same_place
        } else {
            (same_home && unknown) || (same_machine && (same_home || same_place))
        }
    }
}

/// How a station said it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It schedules.
    Running,
    /// An operator keeps the watchdogs off; what does not run then, does not on purpose.
    Held,
    /// Its scheduler was asked to end, and ended.
    Stopped,
}

impl State {
    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Held => "held",
            Self::Stopped => "stopped",
        }
    }

    /// The state of a word; what is none of them runs.
    #[must_use]
    pub fn of(word: &str) -> Self {
        let all = [Self::Held, Self::Stopped];
        all.into_iter().find(|state| state.as_str() == word).unwrap_or(Self::Running)
    }
}

/// A daemon of a station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// Its name.
    pub name: String,
    /// Whether its lock is held; nothing when that cannot be told.
    pub running: Option<bool>,
    /// How long before the report its last useful cycle ended, s; nothing if that was in an earlier boot.
    pub beat_seconds: Option<u64>,
}

/// Another machine that goes by the name of a station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rival {
    /// Its host name.
    pub host: String,
    /// Its home directory.
    pub home: String,
}

/// A station as it reported last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monhost {
    /// Its name in NODES.
    pub node: String,
    /// The machine's host name.
    pub host: String,
    /// Its home directory.
    pub home: String,
    /// The version of its suite.
    pub version: String,
    /// Which it really is.
    pub identity: Identity,
    /// Since when this home on this machine goes by the name, by the database's clock.
    pub claimed: Timestamp,
    /// When it reported first.
    pub first_seen: Timestamp,
    /// Since when there was no gap between its reports that was longer than it promised.
    pub since: Timestamp,
    /// When it reported last, by the database's clock.
    pub seen: Timestamp,
    /// When that was by its own.
    pub clock: Timestamp,
    /// It promised to report again within so long.
    pub within: Duration,
    /// How it said it was.
    pub state: State,
    /// Why, when that is not the usual.
    pub reason: String,
    /// Whether its kernel holds its clock to be synchronised.
    pub clock_synchronised: bool,
    /// Its daemons.
    pub daemons: Vec<Daemon>,
    /// What its doctor found last, as JSON; empty when it never did.
    pub findings: String,
    /// How many specifications are of each health, as JSON; of the same time.
    pub specifications: String,
    /// When that was, by the database's clock.
    pub findings_at: Option<Timestamp>,
    /// Who else went by its name, and when last.
    pub rival: Option<(Rival, Timestamp)>,
    /// Whether it was retired, and has not reported since.
    pub retired: bool,
}

/// Until it has been seen for so long that others report, nobody is called silent: a database that was away
/// comes back with old reports of all.
const SETTLED: Duration = Duration::from_secs(300);

impl Monhost {
    /// For how long it has been silent at `now` of the database's clock, if that is longer than it promised. One
    /// that was retired is not.
    #[must_use]
    pub fn silent(&self, now: Timestamp) -> Option<Duration> {
        let age = self.seen.until(now);
        (!self.retired && age > self.within).then_some(age)
    }

    /// How far its clock was before (positive) or behind the database's when it reported, s.
    #[must_use]
    pub fn clock_ahead(&self) -> i64 {
        self.clock.seconds() - self.seen.seconds()
    }

    /// Who goes by its name beside it, if that was seen as lately as it promises to be.
    #[must_use]
    pub fn contested(&self, now: Timestamp) -> Option<&Rival> {
        let (rival, seen) = self.rival.as_ref()?;
        (seen.until(now) <= self.within).then_some(rival)
    }
}

/// The stations that are silent at `now`, and for how long, as far as it can be told: only when some station
/// has been reporting for so long that the silent one could have, too.
#[must_use]
pub fn silent(all: &[Monhost], now: Timestamp) -> Vec<(&Monhost, Duration)> {
    let reporting = all.iter().filter(|it| !it.retired && it.silent(now).is_none());
    let settled = |it: &Monhost| it.since.until(now) >= it.within.min(SETTLED);
    if !reporting.clone().any(settled) {
        return Vec::new();
    }
    all.iter().filter_map(|it| Some((it, it.silent(now)?))).collect()
}

/// Cron has a doctor look every ten minutes; one that has not for so long tells nobody of anything.
pub const LOOKED_AFTER: Duration = Duration::from_secs(1_800);

/// The station that tells of silent ones, lest each of twenty sends a mail: the first by name of those that
/// report, and whose doctors look.
#[must_use]
pub fn speaker(all: &[Monhost], now: Timestamp) -> Option<&str> {
    let looks = |it: &Monhost| it.findings_at.is_some_and(|at| at.until(now) <= LOOKED_AFTER);
    let may = |it: &&Monhost| {
        !it.retired && it.silent(now).is_none() && it.state == State::Running && looks(it)
    };
    all.iter().filter(may).map(|it| it.node.as_str()).min()
}

/// What a program knows of the name that it goes by, from its own last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Since when.
    pub claimed: Timestamp,
    /// When it reported last, by the database's clock.
    pub reported: Timestamp,
}

/// Whether a station may go by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// It does, since then.
    Ours(Timestamp),
    /// Another machine or another home did, and has been silent for longer than it promised; it may have been unable
    /// to report.
    Silent,
    /// Another machine or another home does, and lives.
    Theirs,
}

/// Decides whether `me`, which `held` the name, may go by it at `now`, from the row that is there. The machine has been
/// up for `up`; zero where the database is the station's own, and nothing follows from it.
///
/// Who lives keeps the name. What reported after this machine was started is no boot of its own. Of two that both
/// believe to have it, the elder does.
#[must_use]
pub fn stand(
    (me, up): (&Identity, Duration),
    held: Option<Held>,
    row: Option<&Monhost>,
    now: Timestamp,
) -> Stand {
    let Some(row) = row else { return Stand::Ours(now) };
    let theirs = &row.identity;
    if me.is_here(theirs) {
        return Stand::Ours(row.claimed);
    }
    let held = held.filter(|held| held.reported.until(now) <= row.within);
    if let Some(held) = held {
        let elder = (held.claimed, &me.boot) < (row.claimed, &theirs.boot);
        return if elder { Stand::Ours(held.claimed) } else { Stand::Theirs };
    }
    // A report of the future, by a clock that was wrong, says nothing of when it was.
    let before_boot = me.boot == theirs.boot || row.seen > now || row.seen.until(now) >= up;
    let again = me.may_be_again(theirs) && before_boot;
    let moved = me.home == theirs.home && row.state == State::Stopped;
    if row.retired || again || moved {
        Stand::Ours(now)
    } else if row.silent(now).is_some() {
        Stand::Silent
    } else {
        Stand::Theirs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(100_000);

    fn identity(home: &str, machine: &str, boot: &str) -> Identity {
        // Copies are in the same place, mostly.
        let path = "/home/iepm".to_owned();
        let [home, machine, boot] = [home, machine, boot].map(str::to_owned);
        Identity { home, path, machine, boot }
    }

    /// A station that has reported since long ago, and `age` seconds ago for the last time.
    fn station(node: &str, age: u64) -> Monhost {
        let seen = NOW - Duration::from_secs(age);
        Monhost {
            node: node.to_owned(),
            host: "host".to_owned(),
            home: "/home/iepm".to_owned(),
            version: "1".to_owned(),
            identity: identity("h", "m", "b"),
            claimed: Timestamp(0),
            first_seen: Timestamp(0),
            since: Timestamp(0),
            seen,
            clock: seen,
            within: Duration::from_secs(300),
            state: State::Running,
            reason: String::new(),
            clock_synchronised: true,
            daemons: Vec::new(),
            findings: String::new(),
            specifications: String::new(),
            findings_at: None,
            rival: None,
            retired: false,
        }
    }

    fn names(all: &[Monhost]) -> Vec<&str> {
        silent(all, NOW).into_iter().map(|(it, _)| it.node.as_str()).collect()
    }

    #[test]
    fn who_has_not_reported_within_its_promise_is_silent() {
        assert_eq!(names(&[station("a", 10), station("b", 301), station("c", 300)]), ["b"]);
        let retired = Monhost { retired: true, ..station("b", 9_000) };
        assert_eq!(names(&[station("a", 10), retired]), [""; 0]);
        let held = Monhost { within: Duration::from_secs(4_000), ..station("b", 3_000) };
        assert_eq!(names(&[station("a", 10), held]), [""; 0], "it said so");
    }

    #[test]
    fn a_clock_that_is_an_hour_off_makes_nobody_silent_and_hides_nobody() {
        for off in [-3_600, 3_600] {
            let skewed = |age| {
                let station = station("b", age);
                Monhost { clock: Timestamp::from_seconds(station.seen.seconds() + off), ..station }
            };
            assert_eq!(skewed(10).clock_ahead(), off);
            assert_eq!(names(&[station("a", 10), skewed(10)]), [""; 0]);
            assert_eq!(names(&[station("a", 10), skewed(400)]), ["b"]);
        }
    }

    #[test]
    fn a_database_that_was_away_makes_nobody_silent_when_it_is_back() {
        let back =
            |seconds| Monhost { since: NOW - Duration::from_secs(seconds), ..station("a", 0) };
        assert_eq!(names(&[back(299), station("b", 900)]), [""; 0]);
        assert_eq!(names(&[back(300), station("b", 900)]), ["b"]);
        assert_eq!(names(&[station("a", 900), station("b", 900)]), [""; 0], "who could tell?");
    }

    #[test]
    fn the_first_of_those_that_report_tells_of_the_others() {
        let looked = |node, age| Monhost { findings_at: Some(NOW), ..station(node, age) };
        let held = Monhost { state: State::Held, ..looked("a", 10) };
        let blind = Monhost { findings_at: Some(Timestamp(0)), ..station("b", 1) };
        let all = [held, blind, looked("b2", 900), looked("d", 1), looked("c", 1)];
        assert_eq!(speaker(&all, NOW), Some("c"));
        assert_eq!(speaker(&all[..3], NOW), None, "then everybody does");
    }

    /// How one that never held the name stands, five seconds after its machine was started.
    fn started(me: &Identity, row: &Monhost) -> Stand {
        stand((me, Duration::from_secs(5)), None, Some(row), NOW)
    }

    #[test]
    fn a_station_keeps_its_name_over_restarts_and_boots() {
        let me = identity("h", "m", "b");
        assert_eq!(stand((&me, Duration::ZERO), None, None, NOW), Stand::Ours(NOW));
        let row = station("s", 10);
        assert_eq!(started(&me, &row), Stand::Ours(Timestamp(0)));
        let named = identity("h", "m2", "b");
        assert_eq!(started(&named, &row), Stand::Ours(Timestamp(0)), "it has a machine-id now");
        assert_eq!(started(&identity("h", "m", "b2"), &row), Stand::Ours(NOW));
        let wiped = |boot| identity("h2", "m", boot);
        assert_eq!(started(&wiped("b2"), &row), Stand::Ours(NOW), "its keepalives");
        assert_eq!(started(&wiped("b"), &row), Stand::Ours(NOW), "a container's");
        assert_eq!(started(&identity("h", "", "b2"), &row), Stand::Ours(NOW), "a container");
        let future = Monhost { seen: NOW + Duration::from_secs(3_600), ..row };
        assert_eq!(started(&identity("h", "m", "b2"), &future), Stand::Ours(NOW), "its clock");
    }

    #[test]
    fn a_copied_configuration_waits_until_the_other_has_been_silent_for_long() {
        let copy = identity("h2", "m2", "b2");
        assert_eq!(started(&copy, &station("s", 300)), Stand::Theirs);
        assert_eq!(started(&copy, &station("s", 301)), Stand::Silent);
        let stopped = Monhost { state: State::Stopped, ..station("s", 10) };
        assert_eq!(started(&copy, &stopped), Stand::Theirs, "it comes back");
        let moved = identity("h", "m2", "b2");
        assert_eq!(started(&moved, &station("s", 10)), Stand::Theirs);
        assert_eq!(started(&moved, &stopped), Stand::Ours(NOW), "with its home");
        let retired = Monhost { retired: true, ..station("s", 10) };
        assert_eq!(started(&copy, &retired), Stand::Ours(NOW));
    }

    #[test]
    fn a_copied_machine_is_no_boot_of_the_one_that_lives() {
        let cloned = identity("h", "m", "b2");
        let lives = station("s", 3);
        assert_eq!(started(&cloned, &lives), Stand::Theirs, "it reported when we were up");
        let beside = Identity { path: "/home/iepm2".to_owned(), ..identity("h", "m", "b") };
        assert_eq!(started(&beside, &station("s", 10)), Stand::Theirs, "a copied home");
    }

    #[test]
    fn of_a_machine_and_its_copy_the_elder_keeps_the_name() {
        let held = |claimed, reported| {
            Some(Held {
                claimed: Timestamp(claimed),
                reported: NOW - Duration::from_secs(reported),
            })
        };
        let (original, up) = (identity("h", "m", "b"), Duration::from_secs(5));
        // The copy has started, and looks like the original after a boot.
        let copys = Monhost {
            identity: identity("h", "m", "b2"),
            claimed: Timestamp(7),
            ..station("s", 5)
        };
        assert_eq!(
            stand((&original, up), held(1, 20), Some(&copys), NOW),
            Stand::Ours(Timestamp(1))
        );
        let back = Monhost { claimed: Timestamp(1), ..station("s", 5) };
        assert_eq!(stand((&copys.identity, up), held(7, 20), Some(&back), NOW), Stand::Theirs);
        // One that slept for an hour has lost it.
        let slept = identity("h3", "m3", "b3");
        assert_eq!(stand((&slept, up), held(1, 3_600), Some(&back), NOW), Stand::Theirs);
    }
}
