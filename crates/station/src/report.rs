//! What a station reports to the others of its database: a row of MONHOSTS, every few seconds.
//!
//! `load-scheduled` writes it, which comes round in the database anyway, and `iepm doctor --alert` does, with
//! what it found. A report that fails stops nothing. Before a report it is decided whether the station may go
//! by its name ([`Stand`]): if another machine does, with a copied configuration perhaps, nothing is to be
//! scheduled or claimed here, and a file in the keep-alives directory says so to the daemons.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    app::{Exit, Failure},
    daemon,
    text::Timestamp,
    words::{
        config::Config,
        monhost::{self, Daemon, Held, Identity, Monhost, Rival, Stand, State},
    },
    world::{
        clock::{self, Moment, Monotonic},
        elsewhere,
        files::{self, Durable},
        hold::{self, Hold},
        keepalive, lock,
        store::{self, Error, Kind, Session, Store},
    },
};

/// The longest time between two reports.
const OFTEN: Duration = Duration::from_secs(20);
/// So many reports may fail before a station is silent.
const MISSED: u32 = 4;
/// How long the database may be locked when a daemon starts.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked whose the name is, by who waits for it.
const AGAIN: Duration = Duration::from_secs(1);

/// How a station stands with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// It goes by it.
    Ours,
    /// Another does: who.
    Theirs(Box<Monhost>),
}

/// What the machine says of the station.
#[derive(Debug, Clone)]
struct Look {
    host: String,
    identity: Identity,
    daemons: Vec<Daemon>,
    hold: Option<(Hold, Duration)>,
    clock: Timestamp,
    synchronised: bool,
}

/// Who reports for a station.
#[derive(Debug, Default)]
pub struct Reporter {
    held: Option<Held>,
    next: Option<Monotonic>,
}

impl Reporter {
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
        let (name, held) =
            store.transaction(|session| write(session, config, &seen, held, stops))?;
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
            let (name, _) = write(session, config, &seen, None, false)?;
            let now = session.now()?;
            if name == Name::Ours {
                store::put_findings(session, station, found, now)?;
            }
            Ok(name == Name::Ours)
        })
    }
}

/// Waits until no other machine or home goes by the station's name and lives: what runs under that name until
/// then, or waits, is the other's. Once that is so, the daemon is told by the file of [`tell_daemons`]. `once`
/// it does not wait. Says whether the name is ours; it is not known when a stop is asked for.
///
/// # Errors
/// [`Exit::TryLater`] when the database is away; `once` also when another goes by the name.
pub fn wait_for_name(program: &mut daemon::Daemon, once: bool) -> Result<bool, Failure> {
    let mut store = Store::of(&program.config.database, PATIENCE);
    let mut told = false;
    while !program.stop.asked() {
        let rival = rival(&mut store, &program.config).map_err(|error| {
            Failure::store(format!("asking who goes by the name {}", program.config.node), error)
        })?;
        let Some(rival) = rival else { return Ok(true) };
        let whose = whose(&rival);
        if once {
            return Err(Failure::new(Exit::TryLater, "claiming runs").why(whose));
        }
        if !told {
            log::error!("nothing is claimed: {whose}");
        }
        told = true;
        program.rest(AGAIN, &format!("nothing: {whose}"));
    }
    Ok(false)
}

/// Who else goes by the station's name, and lives.
fn rival(store: &mut Store, config: &Config) -> Result<Option<Monhost>, Error> {
    let row = |session: &mut dyn Session| {
        Ok((store::monhost_of(session, config.node.as_str())?, session.now()?))
    };
    let (Some(row), now) = store.read(row)? else { return Ok(None) };
    // It had its id before it reported, so after the row is read the id is there, if the row is its own.
    let home = fs::read_to_string(id_path(&config.paths.keepalives)).unwrap_or_default();
    let me = identified(config, home.trim());
    Ok((monhost::stand(&me, None, Some(&row), now) == Stand::Theirs).then_some(row))
}

/// Whether another goes by the station's name, for who only looks; not if it has never reported.
#[must_use]
pub fn is_elsewhere(config: &Config, all: &[Monhost], now: Timestamp) -> bool {
    let row = all.iter().find(|it| it.node == config.node.as_str());
    let known = fs::read_to_string(id_path(&config.paths.keepalives)).ok();
    let me = known.map(|home| identified(config, home.trim()));
    let stand = me.zip(row).map(|(me, row)| monhost::stand(&me, None, Some(row), now));
    stand == Some(Stand::Theirs)
}

fn unseen(config: &Config, error: &io::Error) -> Error {
    let folder = config.paths.keepalives.display();
    Error::new(Kind::Other, format!("telling the station in {folder} from others: {error}"))
}

/// How often a station reports.
fn often(config: &Config) -> Duration {
    OFTEN.min(config.silent_after / MISSED)
}

fn write(
    session: &mut dyn Session,
    config: &Config,
    seen: &Look,
    held: Option<Held>,
    stops: bool,
) -> Result<(Name, Option<Held>), Error> {
    let now = session.now()?;
    let row = store::monhost_of(session, config.node.as_str())?;
    let Stand::Ours(claimed) = monhost::stand(&seen.identity, held, row.as_ref(), now) else {
        let rival =
            Rival { host: seen.host.clone(), home: config.paths.home.display().to_string() };
        store::note_rival(session, config.node.as_str(), &rival, now)?;
        return Ok((row.map_or(Name::Ours, |row| Name::Theirs(Box::new(row))), None));
    };
    let new = seen.reported(config, claimed, row.as_ref(), now, stops);
    if !store::put_monhost(session, &new, row.as_ref())? {
        return Err(Error::new(
            Kind::Busy,
            "another program of this station's name has just reported",
        ));
    }
    Ok((Name::Ours, Some(Held { claimed, reported: now })))
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
        host: text("/proc/sys/kernel/hostname"),
        identity: identity(config)?,
        daemons: daemons(config, moment, &boot),
        hold: hold.and_then(left),
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

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Which station this is: the home has a name of its own, made once; machine and boot have theirs
/// (machine-id(5), random(4)).
fn identity(config: &Config) -> io::Result<Identity> {
    home_id(&config.paths.keepalives).map(|home| identified(config, &home))
}

fn identified(config: &Config, home: &str) -> Identity {
    let home = home.chars().take(64).collect();
    let path = config.paths.home.display().to_string();
    Identity { home, path, machine: text("/etc/machine-id"), boot: keepalive::boot_id() }
}

fn id_path(folder: &Path) -> PathBuf {
    folder.join("station.id")
}

fn home_id(folder: &Path) -> io::Result<String> {
    let path = id_path(folder);
    match fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    files::replace(&path, id.as_bytes(), Durable::AgainstPowerLoss)?;
    Ok(id.trim().to_owned())
}

/// Tells the station's daemons how it stands with its name.
pub fn tell_daemons(config: &Config, name: &Name) {
    let folder = &config.paths.keepalives;
    let told = match name {
        Name::Ours => elsewhere::clear(folder),
        Name::Theirs(other) => elsewhere::set(folder, &whose(other)),
    };
    if let Err(error) = told {
        log::warn!("telling the daemons whose name it is in {}: {error}", folder.display());
    }
}

/// Whose name it is, and what to change, in one line.
#[must_use]
pub fn whose(other: &Monhost) -> String {
    format!(
        "the station {} is {} on {}, which reports to the same database: give this one a name of its own \
         (node in iepm.toml, and its rows in nodes.csv and toolspecs.csv), or stop that one",
        other.node, other.home, other.host
    )
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::world::clock::{Clock, SystemClock};

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
            let (config, moment) = (&self.configs[home], SystemClock.moment());
            reporter.report(&mut self.store, config, &moment, stops).expect("reported")
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
        assert!(whose(&other).contains("/one on "), "{}", whose(&other));
        let row = homes.row();
        let rival = row.contested(row.seen).expect("noted");
        assert!(rival.home.ends_with("/two"), "{rival:?}");
        assert!(second.is_due(&SystemClock.moment()), "it asks again and again");
        // Its doctor takes no name either.
        let (config, moment) = (homes.configs[1].clone(), SystemClock.moment());
        let found = ("[]", "{}");
        let told = Reporter::report_findings(&mut homes.store, &config, &moment, found);
        assert!(!told.expect("asked"));
        homes.age(301);
        assert_eq!(homes.report(&mut second, 1, false), Name::Ours);
        assert!(homes.row().home.ends_with("/two"));
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
        tell_daemons(config, &theirs);
        assert!(elsewhere::is_set(&config.paths.keepalives));
        tell_daemons(config, &Name::Ours);
        assert!(!elsewhere::is_set(&config.paths.keepalives));
    }
}
