//! How the station stands with its name, which it shares a database under: what it reports, and whether
//! another machine goes by it.

use station::{
    daemon::Outage,
    name::{self, Name},
    report::Reporter,
    words::config::Config,
    world::{
        clock::Moment,
        store::{Error, Kind, Store},
    },
};

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    reporter: Reporter,
    outage: Outage,
    /// Whether it was ever found out whose name it is.
    known: bool,
    /// Whose it is, if it is another's.
    theirs: Option<String>,
}

impl Standing {
    /// One that looks once.
    pub(crate) fn once() -> Self {
        Self { reporter: Reporter::once(), ..Self::default() }
    }

    /// Reports if it is time for that; says whose name it is if it is another's. A report that fails changes
    /// nothing. While cycles fail (`away`) none is tried, so that nobody waits for the database twice.
    ///
    /// # Errors
    /// The database is away, and it was never found out whose name it is.
    pub(crate) fn look(
        &mut self,
        store: &mut Store,
        config: &Config,
        moment: &Moment,
        away: bool,
    ) -> Result<Option<String>, Error> {
        if self.reporter.is_due(moment) && !(away && self.known) {
            self.report(store, config, moment)?;
        }
        Ok(self.theirs.clone())
    }

    fn report(&mut self, store: &mut Store, config: &Config, moment: &Moment) -> Result<(), Error> {
        let reported = self.reporter.report(store, config, moment, false);
        // What the cycle will tell is not told twice.
        let is_away = |error: &Error| matches!(error.kind(), Kind::Away | Kind::Busy);
        let reported = match reported {
            Err(error) if is_away(&error) => return if self.known { Ok(()) } else { Err(error) },
            reported => reported.map_err(|error| format!("reporting to other stations: {error}")),
        };
        if let Some(name) = self.outage.note(moment.wall, reported) {
            self.known = true;
            name::tell_daemons(config, &name);
            self.take_note(name);
        }
        Ok(())
    }

    fn take_note(&mut self, name: Name) {
        let theirs = match name {
            Name::Ours => None,
            Name::Theirs(other) => Some(name::whose(&other)),
        };
        match (&self.theirs, &theirs) {
            (None, Some(whose)) => log::error!("nothing is scheduled: {whose}"),
            (Some(_), None) => log::info!("the name is this station's: it schedules"),
            _ => {}
        }
        self.theirs = theirs;
    }

    /// Reports that the scheduler ends, because it was asked to.
    pub(crate) fn farewell(&mut self, store: &mut Store, config: &Config, moment: &Moment) {
        if self.theirs.is_none()
            && let Err(error) = self.reporter.report(store, config, moment, true)
        {
            log::warn!("reporting to other stations that this one was stopped: {error}");
        }
    }
}
