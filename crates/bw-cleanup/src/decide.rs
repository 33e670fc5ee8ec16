//! Whom to end: a plain function from the list, what was seen and the time to verdicts.
//!
//! # How old a process is
//!
//! Its start is told on the boot clock, which goes on while the machine is suspended: one that was young
//! before a night's suspend seems old after it. It counts as too old when it certainly ran so long: when
//! its age without all of the suspended time of this boot is beyond its minutes, as is its whole age on a
//! machine that was never suspended. Any other one must be seen too old twice, with [`BETWEEN`] of
//! running time in between.
//!
//! # Whose a process is
//!
//! What the daemons start carries the station's home in its environment (`IEPM_RUN`), and their children
//! with it. One with the tag of another home is another station's business, and is left alone. One with
//! our tag is judged by its name and its minutes like any other of our user: the tag tells whose a run is,
//! not that it hangs. Daemons and servers have no tag, and need none: what the list names is ended, a
//! daemon too if somebody puts one there, and what it does not name is not.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use station::{
    words::cleanup::Entry,
    world::{
        clock::{Moment, Monotonic},
        processes::Identity,
    },
};

use crate::names;

/// The least running time between two scans that both find a process too old.
pub const BETWEEN: Duration = Duration::from_secs(50);
/// The clocks are read one after the other: so far apart they are without any suspend.
const SLACK: Duration = Duration::from_millis(100);

/// A process of our user, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub identity: Identity,
    /// When it was started, on the boot clock.
    pub started: Duration,
    /// Its state (`proc_pid_stat(5)`, field 3).
    pub state: char,
    /// Its program, if we may know it.
    pub program: Option<PathBuf>,
    /// Its arguments, each ended by a NUL.
    pub arguments: Vec<u8>,
    /// The tag that it was started with, if it has one that we may read.
    pub tag: Option<String>,
}

/// A process that was too old in an earlier scan of this boot, or is in this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Its number.
    pub pid: i32,
    /// When it was started, in clock ticks.
    pub start_ticks: u64,
    /// When it was first seen too old, on the monotonic clock, microseconds.
    pub first_us: u64,
    /// Whether it could not be ended. That is told once.
    #[serde(default)]
    pub stays: bool,
}

/// All that is known beside the processes.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Who may grow how old.
    pub list: &'a [Entry],
    /// The station's home.
    pub home: &'a Path,
    /// The time.
    pub now: &'a Moment,
    /// This process and its ancestors.
    pub lineage: &'a [i32],
    /// What earlier scans saw.
    pub sightings: &'a [Sighting],
}

/// What is to happen to a process that is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is ended.
    End,
    /// It is left until another scan finds it too old again.
    Wait,
}

/// What was decided about a process that is too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Which one of those that were seen.
    pub index: usize,
    /// The entry that names it.
    pub entry: &'a Entry,
    /// What it is called, as the entry means it.
    pub name: String,
    /// How long ago it was started.
    pub age: Duration,
    /// What is to happen to it.
    pub fate: Fate,
    /// For the next scan.
    pub sighting: Sighting,
}

/// Decides about all that was seen; of processes that are not too old, or not ours to end, nothing is said.
#[must_use]
pub fn decide<'a>(known: &Known<'a>, table: &[Seen]) -> Vec<Verdict<'a>> {
    table.iter().enumerate().filter_map(|(index, seen)| verdict(known, index, seen)).collect()
}

fn verdict<'a>(known: &Known<'a>, index: usize, seen: &Seen) -> Option<Verdict<'a>> {
    let (entry, name) = names::entry(known.list, seen.program.as_deref(), &seen.arguments)?;
    if is_spared(known, seen) {
        return None;
    }
    let before = known.sightings.iter().find(|sighting| sighting.is_of(seen.identity));
    let first = before.map(|sighting| Monotonic(Duration::from_micros(sighting.first_us)));
    // A sighting from the future was written by nobody of this boot.
    let first = first.filter(|first| *first <= known.now.monotonic);
    let fate = fate(seen.started, entry.age, known.now, first)?;
    let first = first.unwrap_or(known.now.monotonic);
    let stays = before.is_some_and(|sighting| sighting.stays);
    let sighting = Sighting { stays, ..Sighting::new(seen.identity, first) };
    let name = String::from_utf8_lossy(name).into_owned();
    let age = known.now.boot.saturating_sub(seen.started);
    Some(Verdict { index, entry, name, age, fate, sighting })
}

/// Who is left alone whatever the list says.
fn is_spared(known: &Known<'_>, seen: &Seen) -> bool {
    let Identity { pid, .. } = seen.identity;
    let has_ended = matches!(seen.state, 'Z' | 'X' | 'x');
    pid <= 1 || has_ended || known.lineage.contains(&pid) || is_others(known.home, seen)
}

/// Whether another station's daemons started it. A tag that is none is somebody's, too.
fn is_others(home: &Path, seen: &Seen) -> bool {
    let Some(tag) = &seen.tag else { return false };
    // A home may hold colons; programs and runs do not.
    let station = tag.rsplitn(3, ':').nth(2);
    station.is_none_or(|station| Path::new(station) != home)
}

/// What is to happen to a process that was started at `started` and may grow as old as `limit`; nothing
/// when it is not too old. `first` is when it was first seen so.
#[must_use]
pub fn fate(
    started: Duration,
    limit: Duration,
    now: &Moment,
    first: Option<Monotonic>,
) -> Option<Fate> {
    let age = now.boot.saturating_sub(started);
    if age < limit {
        return None;
    }
    let ran_so_long =
        suspended(now).is_some_and(|suspended| age.saturating_sub(suspended) >= limit);
    let seen_twice = first.is_some_and(|first| first.until(now.monotonic) >= BETWEEN);
    Some(if ran_so_long || seen_twice { Fate::End } else { Fate::Wait })
}

/// How long the machine was suspended in this boot; nothing when the clocks do not tell.
fn suspended(now: &Moment) -> Option<Duration> {
    let Monotonic(monotonic) = now.monotonic;
    if monotonic > now.boot + SLACK {
        return None;
    }
    let apart = now.boot.saturating_sub(monotonic);
    Some(if apart <= SLACK { Duration::ZERO } else { apart })
}

impl Sighting {
    fn new(identity: Identity, first: Monotonic) -> Self {
        let first_us = u64::try_from(first.0.as_micros()).unwrap_or(u64::MAX);
        Self { pid: identity.pid, start_ticks: identity.start_ticks, first_us, stays: false }
    }

    fn is_of(&self, identity: Identity) -> bool {
        self.pid == identity.pid && self.start_ticks == identity.start_ticks
    }
}

/// A process and its ancestors, as `parent_of` tells them.
#[must_use]
pub fn lineage(pid: i32, parent_of: impl Fn(i32) -> Option<i32>) -> Vec<i32> {
    let mut lineage = vec![pid];
    let mut next = parent_of(pid);
    // While it is asked for, parents end and their numbers go round: a circle must not hold us.
    while let Some(parent) = next.filter(|parent| *parent > 0 && !lineage.contains(parent)) {
        lineage.push(parent);
        next = parent_of(parent);
    }
    lineage
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use station::{text::Timestamp, words::cleanup};

    use super::*;

    const HOME: &str = "/home/a:b/iepm";
    const MINUTE: u64 = 60;

    /// A moment so long after the start of a machine that was suspended for `suspended`.
    fn moment(boot: u64, suspended: u64) -> Moment {
        let running = Duration::from_secs(boot - suspended);
        let wall = Timestamp::from_seconds(1_800_000_000);
        Moment { wall, monotonic: Monotonic(running), boot: Duration::from_secs(boot) }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// `gnuplot`, pid 70, started at 1,000 s.
    fn gnuplot() -> Seen {
        Seen {
            identity: Identity { pid: 70, start_ticks: 100_000 },
            started: seconds(1_000),
            state: 'R',
            program: Some("/usr/bin/gnuplot".into()),
            arguments: b"gnuplot\0-persist\0".to_vec(),
            tag: None,
        }
    }

    /// What is decided about one process by the list `gnuplot,5`, at a moment of a machine that was
    /// never suspended.
    fn decided(seen: &Seen, boot: u64, lineage: &[i32]) -> Option<Fate> {
        let (list, _) = cleanup::parse("gnuplot,5");
        let now = moment(boot, 0);
        let known =
            Known { list: &list, home: Path::new(HOME), now: &now, lineage, sightings: &[] };
        decide(&known, std::slice::from_ref(seen)).first().map(|verdict| verdict.fate)
    }

    #[test]
    fn a_process_is_ended_at_its_minutes_and_not_before() {
        assert_eq!(decided(&gnuplot(), 1_000 + 5 * MINUTE - 1, &[]), None);
        assert_eq!(decided(&gnuplot(), 1_000 + 5 * MINUTE, &[]), Some(Fate::End));
        // One that seems to be started in the future is young.
        assert_eq!(decided(&gnuplot(), 10, &[]), None);
    }

    #[test]
    fn self_ancestors_the_first_process_and_the_dead_are_spared() {
        let old = 1_000 + 6 * MINUTE;
        assert_eq!(decided(&gnuplot(), old, &[99, 70, 1]), None);
        let init = Seen { identity: Identity { pid: 1, start_ticks: 0 }, ..gnuplot() };
        assert_eq!(decided(&init, old, &[]), None);
        assert_eq!(decided(&Seen { state: 'Z', ..gnuplot() }, old, &[]), None);
        assert_eq!(decided(&Seen { state: 'T', ..gnuplot() }, old, &[]), Some(Fate::End));
    }

    #[test]
    fn the_tag_tells_whose_a_process_is() {
        let tagged = |tag: &str| Seen { tag: Some(tag.to_owned()), ..gnuplot() };
        let decided = |tag: &str| decided(&tagged(tag), 1_000 + 6 * MINUTE, &[]);
        assert_eq!(decided("/home/a:b/iepm:pingd:17"), Some(Fate::End));
        assert_eq!(decided("/home/a:b/iepm:load-datad:"), Some(Fate::End));
        for others in ["/home/c:pingd:17", "/home/a:b:pingd:17", "/home/a:b/iepm", "", "x"] {
            assert_eq!(decided(others), None, "{others}");
        }
    }

    #[test]
    fn how_old_is_told_by_running_time() {
        let limit = seconds(5 * MINUTE);
        let first = |seconds| Some(Monotonic(Duration::from_secs(seconds)));
        let fate = |now: Moment, before| fate(seconds(1_000), limit, &now, before);
        let night = 8 * 3_600;
        for (case, now, before, expected) in [
            ("young", moment(1_299, 0), None, None),
            ("young, seen old before", moment(1_299, 0), first(0), None),
            ("never suspended", moment(1_300, 0), None, Some(Fate::End)),
            ("slept, ran longer by itself", moment(1_301 + night, night), None, Some(Fate::End)),
            ("slept, young before", moment(1_100 + night, night), None, Some(Fate::Wait)),
            ("seen just now", moment(1_100 + night, night), first(1_080), Some(Fate::Wait)),
            ("seen twice", moment(1_100 + night, night), first(1_050), Some(Fate::End)),
            ("slept between scans", moment(1_110 + night, night), first(1_061), Some(Fate::Wait)),
            ("from the future", moment(1_100 + night, night), first(9_000), Some(Fate::Wait)),
        ] {
            assert_eq!(fate(now, before), expected, "{case}");
        }
        // In a namespace of its own time the clocks may stand to each other as they like.
        let odd = Moment { monotonic: Monotonic(seconds(9_999)), ..moment(1_300, 0) };
        assert_eq!(fate(odd, None), Some(Fate::Wait));
    }

    #[test]
    fn a_sighting_is_of_one_process_and_keeps_its_first_time() {
        let (list, _) = cleanup::parse("gnuplot,5");
        let now = moment(1_310 + 9_000, 9_000);
        let decide_with = |sightings: &[Sighting]| {
            let home = Path::new(HOME);
            let known = Known { list: &list, home, now: &now, lineage: &[], sightings };
            let young = Seen { started: seconds(10_000), ..gnuplot() };
            let verdicts = decide(&known, &[young]);
            let sighting =
                |verdict: &Verdict<'_>| (verdict.sighting.first_us, verdict.sighting.stays);
            verdicts.first().map(|verdict| (verdict.fate, sighting(verdict)))
        };
        let sighting =
            Sighting { pid: 70, start_ticks: 100_000, first_us: 1_200_000_000, stays: true };
        assert_eq!(decide_with(&[]), Some((Fate::Wait, (1_310_000_000, false))));
        assert_eq!(decide_with(&[sighting]), Some((Fate::End, (1_200_000_000, true))));
        let reused = Sighting { start_ticks: 7, ..sighting };
        assert_eq!(decide_with(&[reused]), Some((Fate::Wait, (1_310_000_000, false))));
        let future = Sighting { first_us: u64::MAX, ..sighting };
        assert_eq!(decide_with(&[future]), Some((Fate::Wait, (1_310_000_000, true))));
    }

    #[test]
    fn a_lineage_ends_also_where_numbers_go_round() {
        let parents = |pid| [(9, 7), (7, 3), (3, 1), (1, 0)].iter().find(|(of, _)| *of == pid);
        assert_eq!(lineage(9, |pid| parents(pid).map(|(_, parent)| *parent)), [9, 7, 3, 1]);
        assert_eq!(lineage(9, |pid| Some(if pid == 9 { 8 } else { 9 })), [9, 8]);
        assert_eq!(lineage(9, |_| None), [9]);
    }

    fn any_seen() -> impl Strategy<Value = Seen> {
        let word =
            prop::sample::select(vec!["gnuplot", "/bin/ping", "sh", "asn.pl", "-c", "vi", ""]);
        let words = prop::collection::vec(word.clone(), 0..4);
        let tag =
            prop::option::of(prop::sample::select(vec![HOME, "/home/a:b/iepm:pingd:1", ":::"]));
        (1..12_i32, 0..4_u64, word, words, tag).prop_map(|(pid, start, program, words, tag)| Seen {
            identity: Identity { pid, start_ticks: start },
            started: seconds(start),
            state: 'S',
            program: Some(program.into()),
            arguments: words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect(),
            tag: tag.map(str::to_owned),
        })
    }

    proptest! {
        #[test]
        fn self_and_ancestors_are_never_selected(
            list in "((gnuplot|/bin/ping|sh|asn\\.pl|vi|bw-cleanup),[1-3] ){0,8}",
            table in prop::collection::vec(any_seen(), 0..40),
            parents in prop::collection::vec(0..12_i32, 12),
            own in 1..12_i32,
            boot in 0..10_000_u64,
        ) {
            let parent_of = |pid: i32| parents.get(usize::try_from(pid).ok()?).copied();
            let lineage = lineage(own, parent_of);
            let (list, mistakes) = cleanup::parse(&list);
            prop_assert!(mistakes.is_empty());
            let now = moment(boot, boot / 2);
            let home = Path::new(HOME);
            let known = Known { list: &list, home, now: &now, lineage: &lineage, sightings: &[] };
            for verdict in decide(&known, &table) {
                let pid = table[verdict.index].identity.pid;
                let mut ancestor = Some(own);
                for _ in 0..parents.len() {
                    prop_assert_ne!(ancestor, Some(pid));
                    ancestor = ancestor.and_then(parent_of).filter(|pid| *pid > 0);
                }
                prop_assert!(pid != 1 && verdict.age >= verdict.entry.age);
            }
        }
    }
}
