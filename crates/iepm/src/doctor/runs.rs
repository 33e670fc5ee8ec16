//! What the database says: whether it is there, and which specifications do badly.

use std::{collections::BTreeMap, time::Duration};

use station::{
    filter::Filter,
    text::{Timestamp, human_duration},
    words::{config::Config, toolspec::ToolSpec},
    world::store::{self, Error, Kind, Session},
};

use super::finding::{Finding, count};
use crate::{
    apply,
    schedule::{self, Outcome},
    status::{self, Health, Line},
    tables::Tables,
};

const DAY: Duration = Duration::from_secs(86_400);
/// A result that waits longer is not on its way any more.
const LONG: Duration = Duration::from_secs(600);
/// So many groups are told one by one.
const MOST: usize = 5;

/// What the database says.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The specifications that this station carries out.
    pub(super) specs: Vec<ToolSpec>,
    lines: Vec<Line>,
    /// Rows of TOOLSPECS that are no specifications, and why.
    wrong: Vec<String>,
    /// Runs of the last day that left no reading.
    outcomes: Vec<Outcome>,
    /// Runs whose results have waited for long.
    finished: usize,
    /// Changes of the files that are not applied.
    changes: usize,
    /// Nodes of which other stations' files say otherwise.
    conflicts: Vec<apply::Conflict>,
}

impl Runs {
    /// How many specifications are of each health.
    pub(super) fn healths(&self) -> BTreeMap<&'static str, usize> {
        let mut healths = BTreeMap::new();
        for line in &self.lines {
            *healths.entry(line.health.as_str()).or_default() += 1;
        }
        healths
    }
}

/// Why the database cannot be read. What to do about it depends on whether it is a server.
#[derive(Debug)]
pub(super) struct Unreadable {
    error: Error,
    is_server: bool,
}

impl Unreadable {
    fn of(config: &Config, error: Error) -> Self {
        Self { error, is_server: config.database.file().is_none() }
    }
}

/// Asks the database.
pub(super) fn look(config: &Config, now: Timestamp) -> Result<Runs, Unreadable> {
    read_and_lock(config, now).map_err(|error| Unreadable::of(config, error))
}

fn read_and_lock(config: &Config, now: Timestamp) -> Result<Runs, Error> {
    let tables = Tables::read(&config.paths.config);
    let mut store = crate::store(config);
    let runs = store.read(|session| ask(session, config, &tables, now))?;
    // What can be read may still not be written to.
    store.transaction(|_| Ok(()))?;
    Ok(runs)
}

fn ask(
    session: &mut dyn Session,
    config: &Config,
    tables: &Tables,
    now: Timestamp,
) -> Result<Runs, Error> {
    let (all, station) = (Filter::default(), config.node.as_str());
    let (lines, wrong) = status::lines(session, config, &all, now)?;
    // Files with mistakes cannot be applied: the mistakes are told.
    let plan = match tables.mistakes() {
        0 => Some(apply::planned(session, tables, station)?),
        _ => None,
    };
    Ok(Runs {
        specs: schedule::active(session, config)?.into_iter().map(|(_, spec)| spec).collect(),
        lines,
        wrong,
        outcomes: schedule::outcomes(session, station, now - DAY, &all, &schedule::BAD)?,
        finished: store::finished_long_ago(session, station, now - LONG)?.len(),
        changes: plan.as_ref().map_or(0, apply::Plan::len),
        conflicts: plan.map(|plan| plan.conflicts).unwrap_or_default(),
    })
}

/// What is wrong with a database that cannot be read.
pub(super) fn judge_database(unreadable: &Unreadable) -> Finding {
    let Unreadable { error, is_server } = unreadable;
    let what = format!("the database: {error}");
    let todo = if *is_server { todo_of_server(error.kind()) } else { todo_of_file(error.kind()) };
    if error.kind() == Kind::Busy {
        Finding::warning("database", what, todo)
    } else {
        Finding::critical("database", what, todo)
    }
}

fn todo_of_file(kind: Kind) -> &'static str {
    match kind {
        Kind::Busy => "some program holds it: `fuser -v` on the file tells which",
        Kind::Away => "see why it is away, or put a copy back",
        Kind::Full => "make room on its file system",
        Kind::ReadOnly => "see to whom it belongs, and how it is mounted",
        Kind::Newer | Kind::Older | Kind::Closed => todo_of_schema(kind),
        Kind::Corrupt | Kind::Conflict | Kind::Other => {
            "end the daemons and put a copy back, as the README says"
        }
    }
}

fn todo_of_server(kind: Kind) -> &'static str {
    match kind {
        Kind::Busy => {
            "`SHOW PROCESSLIST` on the server tells who is at work, `SHOW ENGINE INNODB STATUS` who waits for \
             whose lock"
        }
        Kind::Away => "see whether the server runs, is to be reached, and knows the account",
        Kind::Full => "make room on the server: for its tables, its logs and its temporary files",
        Kind::ReadOnly => {
            "`iepm init` prints the rights that the account needs; or see whether the server is read_only"
        }
        Kind::Newer | Kind::Older | Kind::Closed => todo_of_schema(kind),
        Kind::Corrupt | Kind::Conflict | Kind::Other => "see what the server's log says of it",
    }
}

/// What is to be done where the database is well, and not for this suite.
fn todo_of_schema(kind: Kind) -> &'static str {
    match kind {
        Kind::Newer => "install the suite of that version",
        Kind::Older => "`iepm migrate` brings it to this version",
        _ => "see the moving of a station in docs/database.md",
    }
}

/// What is wrong with the runs; `waiting` is whether old result files wait, which is told by itself.
pub(super) fn judge(runs: &Runs, waiting: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> = runs.wrong.iter().take(MOST).map(|row| wrong(row)).collect();
    let failing = failing(&runs.lines);
    findings.extend(told(&failing));
    findings.extend(stale(&runs.lines));
    if runs.finished > 0 && !waiting {
        let what = format!(
            "{} finished more than {} ago and are not loaded",
            count(runs.finished, "run"),
            human_duration(LONG)
        );
        findings.push(Finding::warning(
            "finished",
            what,
            "load-datad takes them up, or says in its log why not",
        ));
    }
    findings.extend(missing(&runs.outcomes, &failing));
    findings.extend(runs.conflicts.iter().take(MOST).map(|conflict| {
        let todo =
            "put the file right that is wrong; `iepm apply --redefine` where the node has moved";
        Finding::warning(format!("node {}", conflict.node()), conflict.text(), todo)
    }));
    if runs.changes > 0 {
        let what = format!("{} of the files not applied", count(runs.changes, "change"));
        let todo = "`iepm apply --dry-run` shows them, `iepm apply` carries them out";
        findings.push(Finding::note("changes", what, todo));
    }
    findings
}

fn wrong(row: &str) -> Finding {
    let what = format!("a row of TOOLSPECS is no specification: {row}");
    Finding::warning("row", what, "put it right in toolspecs.csv; `iepm apply`")
}

/// Specifications whose last run left no reading, alike ones together: the tool and why, and how many.
type Failing = BTreeMap<(String, String), usize>;

fn failing(lines: &[Line]) -> Failing {
    let mut groups = Failing::new();
    for line in lines.iter().filter(|line| line.health == Health::Failing) {
        *groups.entry((line.tool.clone(), schedule::alike(&line.remark))).or_default() += 1;
    }
    groups
}

fn told(failing: &Failing) -> Vec<Finding> {
    let mut groups: Vec<_> = failing.iter().collect();
    groups.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    let todo = "`iepm status` shows which; `iepm run NODE TOOL` does one run at once, and shows it";
    let mut findings: Vec<Finding> = groups
        .iter()
        .take(MOST)
        .map(|((tool, why), number)| {
            let what = format!("{} of {tool} left no reading: {why}", count(**number, "last run"));
            Finding::warning(format!("runs {tool} {}", without_digits(why)), what, todo)
        })
        .collect();
    let others: usize = groups.iter().skip(MOST).map(|(_, number)| **number).sum();
    if others > 0 {
        let what = format!("{} left no reading for other reasons", count(others, "last run"));
        findings.push(Finding::warning("runs", what, todo));
    }
    findings
}

/// Figures change from run to run, and what is wrong does not.
fn without_digits(why: &str) -> String {
    why.chars().filter(|c| !c.is_ascii_digit()).collect()
}

fn stale(lines: &[Line]) -> Option<Finding> {
    let stale: Vec<&Line> = lines.iter().filter(|line| line.health == Health::Stale).collect();
    let oldest = stale.iter().max_by_key(|line| line.age_seconds)?;
    let age = human_duration(Duration::from_secs(oldest.age_seconds.unwrap_or(0)));
    let what = format!(
        "{} without a reading for more than two intervals; the oldest is {} to {}, {age} ago",
        count(stale.len(), "specification"),
        oldest.tool,
        oldest.node
    );
    let todo = "`iepm schedule` shows what runs and what is missed; see the daemons and their logs";
    Some(Finding::warning("stale", what, todo))
}

/// Runs of the last day that left no reading, unless their reason is told for what is failing now.
fn missing(outcomes: &[Outcome], failing: &Failing) -> Vec<Finding> {
    let is_told = |outcome: &Outcome| {
        let why = format!("{}: {}", outcome.state.as_str(), outcome.reason);
        failing.keys().any(|(_, remark)| *remark == why)
    };
    let mut bad: Vec<&Outcome> = outcomes.iter().filter(|outcome| !is_told(outcome)).collect();
    bad.sort_by_key(|outcome| std::cmp::Reverse(outcome.slots));
    let note = |outcome: &&Outcome| {
        let runs = count(usize::try_from(outcome.slots).unwrap_or(0), "run");
        let (state, reason) = (outcome.state.as_str(), &outcome.reason);
        let what = format!("in the last 24 hours {runs} {state}: {reason}");
        Finding::note(
            format!("missing {state} {}", without_digits(reason)),
            what,
            "`iepm schedule` shows all",
        )
    };
    bad.iter().take(MOST).map(note).collect()
}

#[cfg(test)]
mod tests {
    use station::words::database::Database;

    use super::super::finding::Severity::{Critical, Note, Warning};
    use super::*;
    use crate::testing::Station;

    const NOW: i64 = 1_000_000;
    const FILE: &str = "sqlite:///nowhere/iepm.db";
    const SERVER: &str = "mysql://db.example/iepm";

    /// A specification whose last run, a minute ago, ended so.
    fn ended(station: &mut Station, dest: &'static str, state: &'static str, reason: &'static str) {
        let id = station.rows::<1>("SELECT COUNT(*) FROM TOOLSPECS")[0][0]
            .parse::<i64>()
            .expect("a count")
            + 1;
        station.execute(
            "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, runinterval) \
             VALUES ('s', ?, 'ping', 'ping', 'background', 15, 600)",
            &[dest.into()],
        );
        let due = Timestamp::from_seconds(NOW - 60);
        station.execute(
            "INSERT INTO SCHEDULE (toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, due_us, \
             latest_us, end_us, state, reason) VALUES (?, 's', ?, 'ping', 'background', 0, ?, 0, 0, ?, ?)",
            &[id.into(), dest.into(), due.into(), state.into(), reason.into()],
        );
    }

    fn findings(station: &Station) -> Vec<Finding> {
        judge(&look(&station.config, Timestamp::from_seconds(NOW)).expect("a database"), false)
    }

    #[test]
    fn runs_that_failed_alike_are_told_together() {
        let mut station = Station::new();
        assert_eq!(findings(&station), []);
        ended(&mut station, "a", "failed", "ping is not installed");
        ended(&mut station, "b", "failed", "ping is not installed");
        ended(&mut station, "c", "missed", "pingd was not running");
        ended(&mut station, "d", "loaded", "");
        let told: Vec<_> = findings(&station).into_iter().map(|f| (f.severity, f.what)).collect();
        let failed = "2 last runs of ping left no reading: failed: ping is not installed";
        let missed = "1 last run of ping left no reading: missed: pingd was not running";
        assert_eq!(told, [(Warning, failed.to_owned()), (Warning, missed.to_owned())]);
    }

    #[test]
    fn more_than_five_reasons_are_not_told_one_by_one() {
        let failing: Failing = (0_u8..8)
            .map(|n| (("ping".to_owned(), ["why ", &"x".repeat(n.into())].concat()), 1))
            .collect();
        let told = told(&failing);
        assert_eq!(told.len(), 6);
        assert_eq!(told[5].what, "3 last runs left no reading for other reasons");
    }

    #[test]
    fn what_is_over_is_good_to_know() {
        let mut station = Station::new();
        ended(&mut station, "a", "missed", "the machine was suspended");
        station.execute(
            "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, \
             received, duplicates, reordered, clock_synchronised) VALUES (9, 1, 's', 'a', ?, ?, 0, 1, 0, 0, 1)",
            &[(NOW - 30).into(), Timestamp::from_seconds(NOW - 30).into()],
        );
        let told = findings(&station);
        assert_eq!((told.len(), told[0].severity), (1, Note), "{told:?}");
        assert_eq!(told[0].what, "in the last 24 hours 1 run missed: the machine was suspended");
    }

    #[test]
    fn results_that_are_not_loaded_are_told_unless_they_wait_as_files() {
        let mut station = Station::new();
        ended(&mut station, "a", "finished", "");
        let runs = look(&station.config, Timestamp::from_seconds(NOW)).expect("a database");
        assert!(judge(&runs, false)[0].what.starts_with("1 run finished more than 10m ago"));
        assert_eq!(judge(&runs, true), []);
    }

    #[test]
    fn a_reading_that_is_too_old_is_told() {
        let mut station = Station::new();
        ended(&mut station, "a", "loaded", "");
        station.execute(
            "INSERT INTO PINGDATA (scheduleID, toolspecsID, srcNodeID, destNodeID, startepoch, start_us, end_us, \
             received, duplicates, reordered, clock_synchronised) VALUES (9, 1, 's', 'a', 0, ?, 0, 1, 0, 0, 1)",
            &[Timestamp::from_seconds(NOW - 7_200).into()],
        );
        let told = findings(&station);
        assert_eq!(told[0].key, "stale");
        assert!(told[0].what.ends_with("the oldest is ping to a, 2h ago"), "{}", told[0].what);
    }

    #[test]
    fn a_database_is_away_or_of_another_version() {
        let station = Station::new();
        let config = Config {
            database: station.config.database.clone(),
            ..Config::default_at("/nowhere".as_ref())
        };
        for url in [FILE, SERVER] {
            assert_eq!(judged(Kind::Busy, url).severity, Warning);
            assert_eq!(judged(Kind::Other, url).severity, Critical);
            let older = judged(Kind::Older, url);
            assert!(older.todo.contains("iepm migrate"), "{older:?}");
        }
        assert!(look(&config, Timestamp(0)).is_ok());
    }

    fn judged(kind: Kind, url: &str) -> Finding {
        let config = Config {
            database: Database::parse(url).expect("a place"),
            ..Config::default_at("/nowhere".as_ref())
        };
        judge_database(&Unreadable::of(&config, Error::new(kind, "it is so")))
    }

    #[test]
    fn what_to_do_about_a_server_is_not_what_to_do_about_a_file() {
        for (kind, of_file, of_server) in [
            (Kind::Busy, "fuser -v", "SHOW PROCESSLIST"),
            (Kind::Away, "a copy back", "whether the server runs"),
            (Kind::Full, "its file system", "room on the server"),
            (Kind::ReadOnly, "how it is mounted", "`iepm init` prints the rights"),
            (Kind::Corrupt, "a copy back", "the server's log"),
            (Kind::Conflict, "a copy back", "the server's log"),
            (Kind::Other, "a copy back", "the server's log"),
        ] {
            let (file, server) = (judged(kind, FILE).todo, judged(kind, SERVER).todo);
            assert!(file.contains(of_file) && !server.contains(of_file), "{file}\n{server}");
            assert!(server.contains(of_server) && !file.contains(of_server), "{file}\n{server}");
        }
    }
}
