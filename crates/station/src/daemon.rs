//! What all daemons share: one lock, one keep-alive file, one wish to stop, and one line per outage.

use std::{path::Path, time::Duration};

use crate::{
    app::{Common, Exit, Failure},
    text::{Timestamp, human_duration},
    words::{config::Config, suite},
    world::{
        clock::{Clock, Moment, SystemClock},
        files,
        keepalive::{self, KeepAlive},
        lock::{self, Lock},
        orphans, probe, process,
        signals::Stop,
        spool::Spool,
        strays,
    },
};

/// A daemon that has begun: it is the only one of its kind on this station.
#[derive(Debug)]
pub struct Daemon {
    /// The station.
    pub config: Config,
    /// The machine's clocks.
    pub clock: SystemClock,
    /// Asked for by signals.
    pub stop: Stop,
    /// The daemon's keep-alive file.
    pub keepalive: KeepAlive,
    name: &'static str,
    _lock: Lock,
}

impl Daemon {
    /// Begins the daemon `name`.
    ///
    /// # Errors
    /// [`Exit::TryLater`] when one runs already, [`Exit::Config`] for a wrong configuration.
    pub fn begin(name: &'static str, common: &Common) -> Result<Self, Failure> {
        let config = common.load()?;
        let lock = alone(name, &config.paths.keepalives)?;
        let stop = Stop::on_signals().map_err(|error| {
            Failure::new(Exit::TryLater, "preparing for signals").because(error)
        })?;
        let clock = SystemClock;
        let keepalive = KeepAlive::of(name, &config.paths.keepalives, &clock);
        log::info!("started for the station {} in {}", config.node, config.paths.home.display());
        Ok(Self { config, clock, stop, keepalive, name, _lock: lock })
    }

    /// Begins a daemon that carries out runs: what they leave becomes its own to end, what runs of an earlier one
    /// are left is ended, and their results have a place.
    ///
    /// # Errors
    /// As [`Self::begin`]; also when the data directory is away.
    pub fn of_runs(name: &'static str, common: &Common) -> Result<(Self, Spool), Failure> {
        let daemon = Self::begin(name, common)?;
        process::raise_descriptor_limit();
        if let Err(error) = strays::adopt() {
            log::warn!("what runs leave outside of their groups cannot be ended: {error}");
        }
        // Whatever is to be waited for: what nobody watches any more is not to go on for that.
        if let Err(error) = orphans::end(name, &probe::tag(&daemon.config.paths.home, name), &[]) {
            log::error!("{error}");
        }
        let data = &daemon.config.paths.data;
        let spool = Spool::open(data).map_err(|error| {
            let doing = format!("preparing the data directory {}", data.display());
            Failure::new(Exit::TryLater, doing).because(error)
        })?;
        Ok((daemon, spool))
    }

    /// Does cycles until a stop is asked for, or just one. A cycle says what the daemon is about and
    /// how long it may rest; one that takes long beats by itself while it gets on.
    pub fn cycles(
        &mut self,
        once: bool,
        mut cycle: impl FnMut(&Config, &Moment, &Stop, &mut KeepAlive) -> (String, Duration),
    ) {
        loop {
            let moment = self.clock.moment();
            let (doing, rest) = cycle(&self.config, &moment, &self.stop, &mut self.keepalive);
            self.keepalive.beat(&self.clock.moment(), doing.clone());
            if once || self.stop.asked() {
                break;
            }
            self.rest(rest, &doing);
            if self.stop.asked() {
                break;
            }
        }
        log::info!("{} ends", self.name);
    }

    /// Waits, and beats while it does.
    fn rest(&mut self, length: Duration, doing: &str) {
        let mut left = length;
        while !left.is_zero() && !self.stop.asked() {
            let part = left.min(keepalive::BEAT);
            self.stop.wait(part);
            left -= part;
            if !left.is_zero() {
                self.keepalive.beat(&self.clock.moment(), doing.to_owned());
            }
        }
    }
}

/// Makes sure that the program `name` runs once on the station whose keep-alive files are in `folder`.
///
/// # Errors
/// [`Exit::TryLater`] when it runs already, or cannot be locked.
fn alone(name: &str, folder: &Path) -> Result<Lock, Failure> {
    let locking =
        || Failure::new(Exit::TryLater, format!("locking {}/{name}.lock", folder.display()));
    files::make_directory(folder).map_err(|error| locking().because(error))?;
    match lock::try_lock(folder, name) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => {
            let pid = keepalive::look(folder, name)
                .ok()
                .flatten()
                .map(|alive| format!(", pid {}", alive.pid));
            let pid = pid.unwrap_or_default();
            Err(Failure::new(Exit::TryLater, format!("{name} runs already on this station{pid}")))
        }
        Err(error) => Err(locking().because(error)),
    }
}

/// The daemons that a station looks after: those that its configuration names, or those of the suite
/// that are installed in its `bin`.
#[must_use]
pub fn watched(config: &Config) -> Vec<String> {
    if let Some(daemons) = &config.watch.daemons {
        return daemons.iter().map(ToString::to_string).collect();
    }
    let installed = suite::DAEMONS.iter().filter(|name| config.paths.bin.join(name).exists());
    installed.map(|name| (*name).to_owned()).collect()
}

/// Something that is away for a while, told when it begins and when it is over, and not in between.
#[derive(Debug, Default)]
pub struct Outage(Option<Away>);

#[derive(Debug)]
struct Away {
    since: Timestamp,
    /// Each thing that was said of it; the last one last.
    said: Vec<String>,
}

impl Away {
    /// Takes note of what is said of it now; says whether that is new. What comes again is not: a server that
    /// is refused and silent by turns is one outage.
    fn says(&mut self, message: String) -> bool {
        let known = self.said.iter().position(|before| *before == message);
        let is_new = known.is_none() && self.said.len() < MOST_SAID;
        if let Some(known) = known {
            self.said.remove(known);
        }
        self.said.truncate(MOST_SAID - 1);
        self.said.push(message);
        is_new
    }
}

/// So many different lines are said of one outage.
const MOST_SAID: usize = 8;

impl Outage {
    /// Takes note of a result: of the first failure, of each that was not told yet, and of the end of them.
    pub fn note<T, E: std::fmt::Display>(
        &mut self,
        now: Timestamp,
        result: Result<T, E>,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                if let Some(Away { since, .. }) = self.0.take() {
                    log::info!("goes on after {}", human_duration(since.until(now)));
                }
                Some(value)
            }
            Err(error) => {
                let message = error.to_string();
                let away = self.0.get_or_insert_with(|| Away { since: now, said: Vec::new() });
                if away.says(message.clone()) {
                    log::error!("{message}; trying again");
                }
                None
            }
        }
    }

    /// What is away, for the keep-alive file; nothing if all is well.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        let Away { since, said } = self.0.as_ref()?;
        Some(format!("since {since}: {}", said.last()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_goes_in_one_outage_is_told_once_and_shown_as_it_is_now() {
        let mut away = Away { since: Timestamp(0), said: Vec::new() };
        let told = ["refused", "silent", "refused", "silent"].map(|it| away.says(it.to_owned()));
        assert_eq!(told, [true, true, false, false]);
        assert!(!away.says("refused".to_owned()));
        assert_eq!(away.said.last().map(String::as_str), Some("refused"));
        let news = (0..100).filter(|number| away.says(number.to_string())).count();
        assert_eq!(news, MOST_SAID - 2);
        assert_eq!(away.said.last().map(String::as_str), Some("99"));
    }

    #[test]
    fn an_outage_is_shown_since_its_beginning() {
        let mut outage = Outage::default();
        assert_eq!(outage.shown(), None);
        outage.note(Timestamp(0), Err::<(), _>("refused"));
        outage.note(Timestamp::from_seconds(9), Err::<(), _>("silent"));
        assert_eq!(outage.shown().as_deref(), Some("since 1970-01-01T00:00:00Z: silent"));
        outage.note(Timestamp::from_seconds(10), Ok::<_, String>(()));
        assert_eq!(outage.shown(), None);
    }
}
