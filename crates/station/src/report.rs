//! What a station reports to the others of its database: a row of MONHOSTS, every few seconds.
//!
//! `load-scheduled` writes it, which comes round in the database anyway, and `iepm doctor --alert` does, with
//! what it found. A report that fails stops nothing. Before a report it is decided whether the station may go
//! by its [`name`].

use std::{io, time::Duration};

use crate::{
    daemon,
    name::{self, Name},
    text::Timestamp,
    words::{
        config::Config,
        monhost::{self, Daemon, Held, Identity, Monhost, Rival, Stand, State},
    },
    world::{
        clock::{self, Moment, Monotonic},
        hold::{self, Hold},
        keepalive, lock,
        store::{self, Error, Kind, Session, Store},
    },
};

/// The longest time between two reports.
const OFTEN: Duration = Duration::from_secs(20);
/// So many reports may fail before a station is silent.
const MISSED: u32 = 4;

/// What the machine says of the station.
#[derive(Debug, Clone)]
struct Look {
    host: String,
    identity: Identity,
    daemons: Vec<Daemon>,
    hold: Option<(Hold, Duration)>,
    /// For how long the machine has been up.
    up: Duration,
    clock: Timestamp,
    synchronised: bool,
}

/// Who reports for a station.
#[derive(Debug, Default)]
pub struct Reporter {
    held: Option<Held>,
    next: Option<Monotonic>,
    /// The report of another that is silent, and since when there has been none after it.
    silent: Option<(Timestamp, Monotonic)>,
    at_once: bool,
}

impl Reporter {
    /// One that looks once: it takes the name of who has been silent at once.
    #[must_use]
    pub fn once() -> Self {
        Self { at_once: true, ..Self::default() }
    }

    /// Whether it is time for a report. While the name is another's every look asks again.
    #[must_use]
    pub fn is_due(&self, moment: &Moment) -> bool {
        self.next.is_none_or(|next| next <= moment.monotonic)
    }

    /// Reports; says how the station stands with its name. `stops` says that the scheduler ends now.
    ///
    /// # Errors
    /// The machine or the database would not tell; then nothing was written.
    pub fn report(
        &mut self,
        store: &mut Store,
        config: &Config,
        moment: &Moment,
        stops: bool,
    ) -> Result<Name, Error> {
        let seen = look(config, moment).map_err(|error| unseen(config, &error))?;
        let held = self.held;
        let patient = self.silent.filter(|_| !self.at_once);
        let is_over = |seen| {
            // Who could not report while the database was away does so now.
            let waited = patient.filter(|silent| silent.0 == seen);
            self.at_once || waited.is_some_and(|it| moment.monotonic >= it.1 + 2 * often(config))
        };
        let written =
            store.transaction(|session| write(session, config, &seen, held, stops, &is_over));
        if written.is_err() {
            // Whoever is silent could perhaps not report either.
            self.silent = None;
        }
        let (stand, name, held) = written?;
        self.silent = match (stand, &name) {
            (Stand::Silent, Name::Theirs(row)) => {
                self.silent.filter(|it| it.0 == row.seen).or(Some((row.seen, moment.monotonic)))
            }
            _ => None,
        };
        self.held = held;
        self.next = held.map(|_| moment.monotonic + often(config));
        Ok(name)
    }

    /// Does as [`Self::report`], for a program that looks once; with it in one transaction what the doctor
    /// found, as JSON: findings, and how many specifications are of each health. A name that another home went
    /// by is not taken; says whether anything was written.
    ///
    /// # Errors
    /// As [`Self::report`].
    pub fn report_findings(
        store: &mut Store,
        config: &Config,
        moment: &Moment,
        found: (&str, &str),
    ) -> Result<bool, Error> {
        let seen = look(config, moment).map_err(|error| unseen(config, &error))?;
        store.transaction(|session| {
            let station = config.node.as_str();
            let row = store::monhost_of(session, station)?;
            if row.is_some_and(|row| row.identity.home != seen.identity.home) {
                return Ok(false);
            }
            let (_, name, _) = write(session, config, &seen, None, false, &|_| false)?;
            let now = session.now()?;
            if name == Name::Ours {
                store::put_findings(session, station, found, now)?;
            }
            Ok(name == Name::Ours)
        })
    }
}

fn unseen(config: &Config, error: &io::Error) -> Error {
    let folder = config.paths.keepalives.display();
    Error::new(Kind::Other, format!("telling the station in {folder} from others: {error}"))
}

/// How often a station reports.
fn often(config: &Config) -> Duration {
    OFTEN.min(config.silent_after / MISSED)
}

/// Writes the report, if the name is ours, or is to be since who had it `is_over`: silent since the report of that time.
fn write(
    session: &mut dyn Session,
    config: &Config,
    seen: &Look,
    held: Option<Held>,
    stops: bool,
    is_over: &dyn Fn(Timestamp) -> bool,
) -> Result<(Stand, Name, Option<Held>), Error> {
    let now = session.now()?;
    let row = store::monhost_of(session, config.node.as_str())?;
    let stand = monhost::stand((&seen.identity, seen.up), held, row.as_ref(), now);
    let claimed = match (stand, &row) {
        (Stand::Ours(claimed), _) => claimed,
        (Stand::Silent, Some(row)) if is_over(row.seen) => now,
        _ => {
            let rival =
                Rival { host: seen.host.clone(), home: config.paths.home.display().to_string() };
            store::note_rival(session, config.node.as_str(), &rival, now)?;
            return Ok((stand, row.map_or(Name::Ours, |row| Name::Theirs(Box::new(row))), None));
        }
    };
    let new = seen.reported(config, claimed, row.as_ref(), now, stops);
    if !store::put_monhost(session, &new, row.as_ref())? {
        return Err(Error::new(
            Kind::Busy,
            "another program of this station's name has just reported",
        ));
    }
    Ok((stand, Name::Ours, Some(Held { claimed, reported: now })))
}

impl Look {
    /// How it says that it is, why, and how much longer than usual it may be silent for that.
    fn said(&self, stops: bool) -> (State, String, Duration) {
        match (&self.hold, stops) {
            (Some((hold, left)), _) => {
                let state = if stops { State::Stopped } else { State::Held };
                let why = format!("held by {} until {}: {}", hold.by, hold.until_us, hold.reason);
                (state, why, *left)
            }
            (None, true) => (State::Stopped, "asked to end".to_owned(), Duration::ZERO),
            (None, false) => (State::Running, String::new(), Duration::ZERO),
        }
    }

    /// The row to be written.
    fn reported(
        &self,
        config: &Config,
        claimed: Timestamp,
        before: Option<&Monhost>,
        now: Timestamp,
        stops: bool,
    ) -> Monhost {
        let goes_on =
            |row: &&Monhost| row.seen.until(now) <= row.within && row.state != State::Stopped;
        let (state, reason, left) = self.said(stops);
        Monhost {
            node: config.node.to_string(),
            host: self.host.clone(),
            home: config.paths.home.display().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            identity: self.identity.clone(),
            claimed,
            first_seen: before.map_or(now, |row| row.first_seen),
            since: before.filter(goes_on).map_or(now, |row| row.since),
            seen: now,
            clock: self.clock,
            within: config.silent_after + left,
            state,
            reason,
            clock_synchronised: self.synchronised,
            daemons: self.daemons.clone(),
            findings: String::new(),
            specifications: String::new(),
            findings_at: None,
            rival: None,
            retired: false,
        }
    }
}

fn look(config: &Config, moment: &Moment) -> io::Result<Look> {
    let hold = hold::active(&config.paths.keepalives, moment).ok().flatten();
    let boot = keepalive::boot_id();
    let left = |hold: Hold| {
        let left = hold.left(moment, &boot)?;
        Some((hold, left))
    };
    Ok(Look {
        host: name::text("/proc/sys/kernel/hostname"),
        identity: name::identity(config)?,
        daemons: daemons(config, moment, &boot),
        hold: hold.and_then(left),
        up: name::up(config, moment),
        clock: moment.wall,
        synchronised: clock::is_synchronised(),
    })
}

fn daemons(config: &Config, moment: &Moment, boot: &str) -> Vec<Daemon> {
    let folder = &config.paths.keepalives;
    let daemon = |name: String| {
        let alive = keepalive::look(folder, &name).ok().flatten();
        let beat = alive.and_then(|alive| alive.age(moment, boot));
        let running = lock::is_held(folder, &name).ok();
        Daemon { running, beat_seconds: beat.map(|age| age.as_secs()), name }
    };
    daemon::watched(config).into_iter().map(daemon).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::world::{
        clock::{Clock, SystemClock},
        elsewhere, files,
    };

    /// Two homes with one database and one name.
    struct Homes {
        folder: TempDir,
        configs: [Config; 2],
        store: Store,
    }

    impl Homes {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let database = store::of_test(folder.path());
            let configs = ["one", "two"].map(|name| {
                let config = Config::default_at(&folder.path().join(name));
                files::make_directory(&config.paths.keepalives).expect("made");
                Config { database: database.clone(), ..config }
            });
            let mut store = Store::of(&database, Duration::from_secs(5));
            store.create().expect("made");
            store.unchecked(|session| store::migrate(session, Timestamp(0))).expect("migrated");
            Self { folder, configs, store }
        }

        fn report(&mut self, reporter: &mut Reporter, home: usize, stops: bool) -> Name {
            self.report_after(0, reporter, home, stops)
        }

        fn report_after(
            &mut self,
            seconds: u64,
            reporter: &mut Reporter,
            home: usize,
            stops: bool,
        ) -> Name {
            let (config, now) = (&self.configs[home], SystemClock.moment());
            let monotonic = now.monotonic + Duration::from_secs(seconds);
            let moment = Moment { monotonic, ..now };
            reporter.report(&mut self.store, config, &moment, stops).expect("reported")
        }

        /// Whether a daemon of that home would find another at its name.
        fn has_rival(&mut self, home: usize) -> bool {
            name::rival(&mut self.store, &self.configs[home]).expect("asked").is_some()
        }

        fn row(&mut self) -> Monhost {
            let rows = self.store.read(|session| store::monhosts(session)).expect("read");
            let [row] = <[Monhost; 1]>::try_from(rows).expect("one");
            row
        }

        fn age(&mut self, seconds: i64) {
            let sql = "UPDATE MONHOSTS SET seen_us = seen_us - ?";
            let by = [(1_000_000 * seconds).into()];
            self.store.transaction(|session| session.execute(sql, &by)).expect("aged");
        }
    }

    #[test]
    fn a_station_reports_who_it_is_and_how_it_does() {
        let mut homes = Homes::new();
        let mut reporter = Reporter::default();
        assert!(reporter.is_due(&SystemClock.moment()));
        assert_eq!(homes.report(&mut reporter, 0, false), Name::Ours);
        assert!(!reporter.is_due(&SystemClock.moment()), "in twenty seconds");
        let row = homes.row();
        assert_eq!(
            (row.node.as_str(), row.state, row.within.as_secs()),
            ("station", State::Running, 300)
        );
        assert!(Path::new(&row.home).starts_with(homes.folder.path()) && !row.host.is_empty());
        // The database's clock is this machine's, in whole seconds.
        assert!((-1..=2).contains(&row.clock_ahead()), "{row:?}");
        assert_eq!(row.since, row.first_seen);
        homes.report(&mut reporter, 0, true);
        assert_eq!(homes.row().state, State::Stopped);
    }

    #[test]
    fn a_hold_is_a_promise_to_be_back_when_it_ends() {
        let mut homes = Homes::new();
        let hold = Hold::new("ann", "new disk", &SystemClock.moment(), Duration::from_secs(3_600));
        hold::put(&homes.configs[0].paths.keepalives, &hold).expect("held");
        homes.report(&mut Reporter::default(), 0, false);
        let row = homes.row();
        assert_eq!(row.state, State::Held);
        assert!(row.reason.starts_with("held by ann until "), "{row:?}");
        assert!((3_800..=3_900).contains(&row.within.as_secs()), "{row:?}");
        homes.report(&mut Reporter::default(), 0, true);
        assert_eq!(homes.row().state, State::Stopped);
    }

    #[test]
    fn another_home_of_that_name_is_noted_and_waits_until_the_first_is_silent() {
        let mut homes = Homes::new();
        let mut first = Reporter::default();
        homes.report(&mut first, 0, false);
        let mut second = Reporter::default();
        let Name::Theirs(other) = homes.report(&mut second, 1, false) else { panic!("it lives") };
        assert!(name::whose(&other).contains("/one on "), "{}", name::whose(&other));
        let row = homes.row();
        let rival = row.contested(row.seen).expect("noted");
        assert!(rival.home.ends_with("/two"), "{rival:?}");
        assert!(second.is_due(&SystemClock.moment()), "it asks again and again");
        // Its doctor takes no name either.
        let (config, moment) = (homes.configs[1].clone(), SystemClock.moment());
        let found = ("[]", "{}");
        let told = Reporter::report_findings(&mut homes.store, &config, &moment, found);
        assert!(!told.expect("asked"));
        assert_eq!([0, 1].map(|home| homes.has_rival(home)), [false, true]);

        // Who could not report while the database was away does so first when it is back.
        homes.age(301);
        assert_ne!(homes.report(&mut second, 1, false), Name::Ours);
        homes.report(&mut first, 0, false);
        assert_ne!(homes.report_after(41, &mut second, 1, false), Name::Ours, "it lives");
        homes.age(301);
        assert_ne!(homes.report(&mut second, 1, false), Name::Ours);
        assert!(!homes.has_rival(1), "a run by hand is in nobody's way");
        assert_ne!(homes.report_after(39, &mut second, 1, false), Name::Ours);
        assert_eq!(homes.report_after(41, &mut second, 1, false), Name::Ours);
        let row = homes.row();
        assert!(
            row.home.ends_with("/two") && row.rival.is_none(),
            "it is no rival of itself: {row:?}"
        );
        assert_eq!([0, 1].map(|home| homes.has_rival(home)), [true, false]);
    }

    #[test]
    fn who_looks_once_takes_the_name_of_a_silent_one_at_once() {
        let mut homes = Homes::new();
        homes.report(&mut Reporter::default(), 0, false);
        assert_ne!(homes.report(&mut Reporter::once(), 1, false), Name::Ours);
        homes.age(301);
        assert_eq!(homes.report(&mut Reporter::once(), 1, false), Name::Ours);
    }

    #[test]
    fn what_the_doctor_found_stays_over_the_next_reports() {
        let mut homes = Homes::new();
        let (config, moment) = (homes.configs[0].clone(), SystemClock.moment());
        let found = ("[]", "{\"ok\":3}");
        let told = Reporter::report_findings(&mut homes.store, &config, &moment, found);
        assert!(told.expect("told"));
        homes.report(&mut Reporter::default(), 0, false);
        let row = homes.row();
        assert_eq!((row.findings.as_str(), row.specifications.as_str()), found);
        assert!(row.findings_at.is_some());
    }

    #[test]
    fn the_daemons_are_told_whose_name_it_is() {
        let mut homes = Homes::new();
        homes.report(&mut Reporter::default(), 0, false);
        let theirs = homes.report(&mut Reporter::default(), 1, false);
        let config = &homes.configs[1];
        name::tell_daemons(config, &theirs);
        assert!(elsewhere::is_set(&config.paths.keepalives));
        name::tell_daemons(config, &Name::Ours);
        assert!(!elsewhere::is_set(&config.paths.keepalives));
    }
}
