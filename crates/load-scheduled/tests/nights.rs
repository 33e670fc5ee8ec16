//! Nights on which time misbehaves, on a real database; only the clocks are told by the story.

use std::{cell::RefCell, path::Path, time::Duration};

use load_scheduled::{Tally, cycle};
use station::{
    text::Timestamp,
    words::config::Config,
    world::{
        clock::{Moment, Monotonic},
        files,
        store::{self, Store, Value},
    },
};
use tempfile::TempDir;

const HOUR: i64 = 3_600;
/// 2026-11-24T00:00:00Z.
const MIDNIGHT: i64 = 1_795_478_400;

/// A station at night: its clocks go as the story wants.
struct Night {
    store: Store,
    config: Config,
    look: RefCell<Store>,
    now: Moment,
    before: Option<Moment>,
    _folder: TempDir,
}

impl Night {
    /// A station with pings of a pinned phase: `(runinterval, phase)` each.
    fn with(specs: &[(i64, i64)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = store::of_test(folder.path());
        let config = Config { database, ..Config::default_at(folder.path()) };
        files::make_directory(&folder.path().join("keepalives")).expect("made");
        let mut store = Store::of(&config.database, Duration::from_secs(5));
        store.create().expect("a database");
        store.unchecked(|session| store::migrate(session, Timestamp(0))).expect("a schema");
        let look = RefCell::new(Store::of(&config.database, Duration::from_secs(5)));
        let now = Moment {
            wall: Timestamp::from_seconds(MIDNIGHT),
            monotonic: Monotonic(Duration::from_secs(1_000)),
            boot: Duration::from_secs(1_000),
        };
        let night = Self { store, config, look, now, before: None, _folder: folder };
        night.change("INSERT INTO NODES (nodeID, hostName) VALUES ('n', '127.0.0.1')", &[]);
        for (number, (interval, phase)) in specs.iter().enumerate() {
            night.change(
                "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, variant, toolPath, testtype, time2run, \
                 runinterval, phase) VALUES ('station', 'n', 'ping', ?, 'ping', 'background', 1, ?, ?)",
                &[format!("v{number}").into(), (*interval).into(), phase.to_string().into()],
            );
        }
        night
    }

    /// What others change in the database.
    #[track_caller]
    fn change(&self, sql: &'static str, values: &[Value<'_>]) {
        let mut look = self.look.borrow_mut();
        look.transaction(|session| session.execute(sql, values)).expect(sql);
    }

    fn cycle(&mut self) -> Tally {
        let tally =
            cycle(&mut self.store, &self.config, &self.now, self.before.as_ref()).expect("a cycle");
        self.before = Some(self.now);
        tally
    }

    /// Time goes on by so many seconds, with a cycle in every fifth and all pending runs done at once.
    fn passes(&mut self, seconds: i64) -> Tally {
        let mut sum = Tally::default();
        for _ in 0..seconds / 5 {
            self.clock_moves(5, 5, 5);
            let tally = self.cycle();
            sum.scheduled += tally.scheduled;
            sum.missed += tally.missed;
            self.everything_due_is_run();
        }
        sum
    }

    fn everything_due_is_run(&self) {
        self.change(
            "UPDATE SCHEDULE SET state = 'loaded', opentoolspecsID = NULL WHERE state = 'pending' AND due_us <= ?",
            &[self.now.wall.into()],
        );
    }

    fn clock_moves(&mut self, wall: i64, monotonic: u64, boot: u64) {
        self.now.wall = Timestamp(self.now.wall.0 + wall * 1_000_000);
        self.now.monotonic = self.now.monotonic + Duration::from_secs(monotonic);
        self.now.boot += Duration::from_secs(boot);
    }

    fn restarts(&mut self) {
        self.before = None;
    }

    fn count(&self, rows: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {rows}");
        let count =
            self.look.borrow_mut().read(|session| store::one(session, &sql, &[], |row| row.int(0)));
        count.expect("a query").expect("a count")
    }

    /// Slots and reason of the rows in a state.
    fn rows(&self, state: &str) -> Vec<(i64, String)> {
        let sql =
            "SELECT slots, COALESCE(reason, '') FROM SCHEDULE WHERE state = ? ORDER BY scheduleID";
        let rows = self.look.borrow_mut().read(|session| {
            store::all(session, sql, &[state.into()], |row| Ok((row.int(0)?, row.text(1))))
        });
        rows.expect("rows")
    }
}

#[test]
fn a_quiet_hour_has_every_run_at_its_second() {
    let mut night = Night::with(&[(600, 120), (60, 7)]);
    night.cycle();
    let tally = night.passes(HOUR);
    // 6 and 60 slots in the hour, those of the look-ahead at its end included.
    assert!((66..=68).contains(&tally.scheduled), "{tally:?}");
    assert_eq!(tally.missed, 0);
    assert_eq!(night.count("SCHEDULE WHERE due_us % 1000000 <> 0"), 0);
    assert_eq!(night.count("SCHEDULE WHERE toolspecsID = 1 AND dueepoch % 600 <> 120"), 0);
    assert_eq!(night.count("SCHEDULE WHERE toolspecsID = 2 AND dueepoch % 60 <> 7"), 0);
}

#[test]
fn a_suspended_machine_does_not_flood_the_network_when_it_wakes() {
    let specs: Vec<(i64, i64)> = (0..100).map(|number| (600, number * 6)).collect();
    let mut night = Night::with(&specs);
    night.cycle();
    night.passes(600);
    let before = night.count("SCHEDULE WHERE state = 'loaded'");
    night.clock_moves(6 * HOUR, 1, 6 * 3_600);
    let woken = night.cycle();
    // The look-ahead of 30 s holds five or six of the hundred; a flood would be all of them.
    assert!(woken.scheduled <= 7, "{woken:?}");
    let missed = night.rows("missed");
    assert!(
        missed.iter().all(|(_, reason)| reason == "the machine was suspended for 5h59m"),
        "{missed:?}"
    );
    // Six hours of 600 s are 36 slots for each of the 100, in one row each; what was pending is a row of its own.
    assert!(
        (3_590..=3_600).contains(&missed.iter().map(|(slots, _)| slots).sum::<i64>()),
        "{missed:?}"
    );
    assert!(missed.len() <= 107, "{}", missed.len());
    night.passes(600);
    assert!(night.count("SCHEDULE WHERE state = 'loaded'") - before >= 99);
}

#[test]
fn a_clock_set_forward_an_hour_says_so() {
    let mut night = Night::with(&[(600, 300)]);
    night.cycle();
    night.passes(300);
    night.clock_moves(HOUR + 5, 5, 5);
    night.cycle();
    assert_eq!(night.rows("missed"), [(6, "the clock was set forward by 1h".to_owned())]);
    assert_eq!(night.passes(600).scheduled, 1);
}

#[test]
fn a_clock_set_back_an_hour_does_not_stop_the_measurements() {
    let mut night = Night::with(&[(600, 10), (600, 320)]);
    night.cycle();
    night.passes(HOUR);
    // The first is pending for 01:00:10 when the clock goes back to midnight.
    assert_eq!(night.count("SCHEDULE WHERE state = 'pending'"), 1);
    night.clock_moves(5 - HOUR, 5, 5);
    night.cycle();
    let cancelled = night.rows("cancelled");
    assert_eq!(cancelled.len(), 1);
    assert!(cancelled[0].1.contains("set back"), "{cancelled:?}");
    assert_eq!(night.rows("missed"), []);
    let tally = night.passes(HOUR);
    assert!((12..=13).contains(&tally.scheduled), "{tally:?}");
}

#[test]
fn a_clock_set_back_while_nobody_ran_is_noticed_at_the_start() {
    let mut night = Night::with(&[(600, 300)]);
    night.cycle();
    night.passes(600);
    night.clock_moves(-HOUR, 60, 60);
    night.restarts();
    night.cycle();
    assert_eq!(night.passes(600).scheduled, 1);
}

#[test]
fn a_clock_set_back_a_few_seconds_repeats_nothing() {
    let mut night = Night::with(&[(600, 10)]);
    night.cycle();
    night.passes(60);
    assert_eq!(night.count("SCHEDULE"), 1);
    night.clock_moves(-45, 5, 5);
    night.cycle();
    night.passes(300);
    assert_eq!(night.count("SCHEDULE"), 1);
}

#[test]
fn an_outage_is_one_row_and_the_grid_goes_on() {
    let mut night = Night::with(&[(600, 120)]);
    night.cycle();
    night.passes(300);
    night.clock_moves(24 * HOUR, 86_400, 86_400);
    night.restarts();
    night.cycle();
    let missed = night.rows("missed");
    assert_eq!(missed.len(), 1);
    assert_eq!(missed[0].0, 144);
    assert!(
        missed[0].1.starts_with("load-scheduled did not run from 2026-11-24T00:0"),
        "{missed:?}"
    );
    assert_eq!(night.count("SCHEDULE WHERE state = 'pending'"), 0);
    assert_eq!(night.passes(600).scheduled, 1);
    assert_eq!(night.count("SCHEDULE WHERE dueepoch % 600 <> 120"), 0);
}

#[test]
fn what_nobody_started_is_missed_and_names_the_daemon() {
    let mut night = Night::with(&[(60, 30)]);
    night.cycle();
    for _ in 0..12 {
        night.clock_moves(5, 5, 5);
        night.cycle();
    }
    assert_eq!(night.rows("missed"), [(1, "pingd was not running".to_owned())]);
    assert_eq!(night.count("SCHEDULE WHERE state = 'pending'"), 1);
}

#[test]
fn a_specification_has_one_open_run_at_most() {
    let mut night = Night::with(&[(5, 0)]);
    night.cycle();
    night.change("UPDATE SCHEDULE SET state = 'running', claimedby = 'pingd'", &[]);
    for _ in 0..20 {
        night.clock_moves(1, 1, 1);
        night.cycle();
        assert_eq!(night.count("SCHEDULE WHERE opentoolspecsID IS NOT NULL"), 1);
    }
    let missed = night.rows("missed");
    assert_eq!(missed.len(), 3, "{missed:?}");
    assert!(
        missed.iter().all(|(_, reason)| reason == "the run before it, 1, had not ended (pingd)"),
        "{missed:?}"
    );
}

#[test]
fn a_specification_that_is_switched_off_stops_at_once() {
    let mut night = Night::with(&[(60, 0)]);
    night.clock_moves(40, 40, 40);
    night.cycle();
    assert_eq!(night.count("SCHEDULE WHERE state = 'pending'"), 1);
    night.change("UPDATE TOOLSPECS SET toolDo = 0", &[]);
    assert_eq!(night.passes(300).scheduled, 0);
    assert_eq!(night.rows("cancelled"), [(1, "its specification was switched off".to_owned())]);
}

#[test]
fn a_row_that_is_no_specification_is_on_record_and_hinders_nobody() {
    let mut night = Night::with(&[(60, 0), (60, 0)]);
    night.change("UPDATE TOOLSPECS SET time2run = -1 WHERE toolspecsID = 1", &[]);
    night.cycle();
    night.passes(600);
    let failed = night.rows("failed");
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed[0].1.contains("time2run: expected whole seconds"), "{failed:?}");
    assert!(night.count("SCHEDULE WHERE toolspecsID = 2 AND state = 'loaded'") >= 10);
}

#[test]
fn a_result_whose_file_is_gone_for_a_day_is_lost_and_one_that_waits_is_not() {
    let mut night = Night::with(&[]);
    let data = night.config.paths.data.clone();
    for id in [1_i64, 2] {
        night.change(
                "INSERT INTO SCHEDULE (scheduleID, toolspecsID, srcNodeID, destNodeID, toolName, testtype, dueepoch, \
                 due_us, latest_us, state, attempt, end_us) \
                 VALUES (?, 1, 'station', 'n', 'ping', 'background', 0, 0, 0, 'finished', 1, ?)",
                &[id.into(), night.now.wall.into()],
            );
    }
    let finished = |night: &Night| night.count("SCHEDULE WHERE state = 'finished'");
    night.clock_moves(25 * HOUR, 90_000, 90_000);
    night.cycle();
    assert_eq!(finished(&night), 2, "a data directory that is away says nothing");
    files::make_directory(&data.join("loaded/2026-11-24")).expect("made");
    std::fs::write(data.join("1.ping"), "waits").expect("room");
    night.cycle();
    assert_eq!(finished(&night), 1);
    let reason = format!("its result file 2.ping is gone from {}", data.display());
    assert_eq!(night.rows("lost"), [(1, reason)]);
}

#[test]
fn a_database_that_was_never_made_is_named() {
    let mut store =
        Store::of(&Config::default_at(Path::new("/nowhere")).database, Duration::from_secs(1));
    let night = Night::with(&[]);
    let error = cycle(&mut store, &night.config, &night.now, None).expect_err("there is none");
    assert_eq!(
        error.to_string(),
        "there is no database /nowhere/db/iepm.db; `iepm init` makes one"
    );
}

#[test]
fn what_another_station_of_the_database_did_says_nothing_of_this_ones_outage() {
    let mut night = Night::with(&[(600, 0)]);
    night.cycle();
    night.passes(60);
    // The other one goes on all night, and this one does not.
    night.clock_moves(2 * HOUR, 7_200, 7_200);
    let other = Config { node: "other".parse().expect("a name"), ..night.config.clone() };
    cycle(&mut night.store, &other, &night.now, None).expect("a cycle of the other one");
    night.restarts();
    night.cycle();
    let missed = night.rows("missed");
    assert!(missed[0].1.starts_with("load-scheduled did not run from "), "{missed:?}");
    assert_eq!(night.count("NOTES WHERE name LIKE 'load-scheduled.last-cycle %'"), 2);
    // Nor is the other one's clock that stands back.
    let back = Moment { wall: Timestamp(night.now.wall.0 - 3_600_000_000), ..night.now };
    cycle(&mut night.store, &other, &back, None).expect("a cycle of the other one");
    assert_eq!(night.cycle().missed, 0);
}
