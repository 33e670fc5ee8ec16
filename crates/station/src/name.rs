//! Whether the station may go by its name, where stations share a database.
//!
//! Another machine may, with a copied configuration perhaps. Then nothing is to be scheduled or claimed here:
//! `load-scheduled` finds that out before it [reports](crate::report), and says so to the daemons by a
//! [file](crate::world::elsewhere); at their start they ask for themselves.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    app::{Exit, Failure},
    daemon::{Daemon, Outage},
    text::Timestamp,
    words::{
        config::Config,
        monhost::{self, Identity, Monhost, Stand},
    },
    world::{
        clock::{Clock, Moment, SystemClock},
        elsewhere,
        files::{self, Durable},
        keepalive, processes,
        store::{self, Error, Kind, Session, Store},
    },
};

/// How long the database may be locked when a daemon starts.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked whose the name is, by who waits for it.
const AGAIN: Duration = Duration::from_secs(5);

/// How a station stands with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// It goes by it.
    Ours,
    /// Another does: who.
    Theirs(Box<Monhost>),
}

/// Waits until the station may go by its name: what runs under it until then, or waits, is another's. Once that is
/// so, the daemon is told by the file of [`tell_daemons`]. `once` it does not wait. Says whether the name is ours; it
/// is not known when a stop is asked for.
///
/// # Errors
/// [`Exit::TryLater`] when the database is away at first; `once` also when another goes by the name.
pub fn wait(daemon: &mut Daemon, once: bool) -> Result<bool, Failure> {
    let mut store = Store::of(&daemon.config.database, PATIENCE);
    let (mut told, mut outage) = (false, Outage::default());
    while !daemon.stop.asked() {
        let moment = SystemClock.moment();
        let theirs = match theirs(&mut store, &daemon.config) {
            Err(error) if !told || !matches!(error.kind(), Kind::Away | Kind::Busy) => {
                let doing = format!("asking who goes by the name {}", daemon.config.node);
                return Err(Failure::store(doing, error));
            }
            asked => outage.note(moment.wall, asked),
        };
        let why = match theirs {
            Some(None) => return Ok(true),
            Some(Some(whose)) if once => {
                return Err(Failure::new(Exit::TryLater, "claiming runs").why(whose));
            }
            Some(Some(whose)) => whose,
            None => outage.shown().unwrap_or_default(),
        };
        if !told {
            log::error!("nothing is claimed: {why}");
        }
        told = true;
        daemon.keepalive.beat(&moment, format!("nothing: {why}"));
        daemon.stop.wait(AGAIN);
    }
    Ok(false)
}

/// Whose the name is, and what to change, if it is another's; by the file that says so, too. Who has only been silent
/// is for [`Reporter`](crate::report::Reporter) to relieve.
fn theirs(store: &mut Store, config: &Config) -> Result<Option<String>, Error> {
    Ok(match asked(store, config)? {
        (Stand::Ours(_), _) => elsewhere::why(&config.paths.keepalives),
        (_, row) => row.map(|row| whose(&row)),
    })
}

/// Who else goes by the station's name, and lives.
///
/// # Errors
/// What the engine says.
pub fn rival(store: &mut Store, config: &Config) -> Result<Option<Monhost>, Error> {
    Ok(match asked(store, config)? {
        (Stand::Theirs, row) => row,
        _ => None,
    })
}

/// How the station stands with its name, and who reported by it last.
fn asked(store: &mut Store, config: &Config) -> Result<(Stand, Option<Monhost>), Error> {
    let row = |session: &mut dyn Session| {
        Ok((store::monhost_of(session, config.node.as_str())?, session.now()?))
    };
    let (row, now) = store.read(row)?;
    // A home has its id before it reports: after the row is read the id is there, if the row is its own.
    let home = fs::read_to_string(id_path(&config.paths.keepalives)).unwrap_or_default();
    let me = identified(config, home.trim());
    Ok((monhost::stand((&me, up(config, &SystemClock.moment())), None, row.as_ref(), now), row))
}

/// For how long the machine has been up; nothing where the database is its own: a copied machine has its own, too, and
/// the clock by which it reports may have been wrong before it was started.
pub(crate) fn up(config: &Config, moment: &Moment) -> Duration {
    if config.database.file().is_some() { Duration::ZERO } else { processes::up(moment.boot) }
}

/// Whether another goes by the station's name, and lives, for who only looks; not if it has never reported.
#[must_use]
pub fn is_elsewhere(config: &Config, all: &[Monhost], now: Timestamp) -> bool {
    let row = all.iter().find(|it| it.node == config.node.as_str());
    let known = fs::read_to_string(id_path(&config.paths.keepalives)).ok();
    let me = known.map(|home| identified(config, home.trim()));
    let up = up(config, &SystemClock.moment());
    let stand = me.zip(row).map(|(me, row)| monhost::stand((&me, up), None, Some(row), now));
    stand == Some(Stand::Theirs)
}

/// Which station this is: the home has a name of its own, made once; machine and boot have theirs
/// (machine-id(5), random(4)).
///
/// # Errors
/// The home's name could not be read or written.
pub(crate) fn identity(config: &Config) -> io::Result<Identity> {
    home_id(&config.paths.keepalives).map(|home| identified(config, &home))
}

fn identified(config: &Config, home: &str) -> Identity {
    let home = home.chars().take(64).collect();
    let path = config.paths.home.display().to_string();
    Identity { home, path, machine: text("/etc/machine-id"), boot: keepalive::boot_id() }
}

/// What a file of the machine says, in one line.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
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
