//! `iepm roll-up`: the readings of each hour and day in one row, which stay when the readings go.
//!
//! [`columns`] says what the rows are made of, [`figures`] and [`sample`] add readings up, [`kinds`] has
//! the statements, [`work`] decides what has to be done, [`keep`] reads and writes.
//!
//! While readings are there they are right, and roll-ups only what they come to: a roll-up that is of
//! fewer runs than there are readings is computed anew. `iepm prune` makes sure of that right before it
//! deletes them.

mod columns;
mod figures;
pub(crate) mod keep;
pub(crate) mod kinds;
pub(crate) mod late;
mod sample;
pub(crate) mod work;

pub(crate) use columns::RUNS;

use std::{ops::Range, time::Duration};

use station::{
    app::{Common, Exit, Failure},
    words::config::Config,
    world::{
        clock::{self, Clock, SystemClock},
        files, lock,
        store::{self, Error, Kind as Fault, Session, Store},
    },
};

use self::{
    keep::Rows,
    kinds::Kind,
    work::{DAY, begin},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Look through everything that is kept, not only what came since the last time and the week before
    #[arg(long)]
    all: bool,
}

/// A reading that came later than this is counted when it is shown, and when it is pruned.
const LOOK_BACK: i64 = 8 * DAY;
/// So many days of a specification are looked at together.
const STRETCH: i64 = 32 * DAY;
/// So many rows are written in one transaction: a few milliseconds.
const ROWS: usize = 200;

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?;
    Common::is_ours(&config)?;
    let folder = &config.paths.keepalives;
    let locked = files::make_directory(folder).and_then(|()| lock::try_lock(folder, "roll-up"));
    let locked = locked.map_err(|error| {
        Failure::new(Exit::TryLater, format!("locking {}/roll-up.lock", folder.display()))
            .because(error)
    })?;
    let Some(_lock) = locked else {
        log::info!("another one is at it");
        return Ok(Exit::Well);
    };
    let mut store = crate::store(&config);
    let now = SystemClock.now().seconds();
    let told = roll_up(&mut store, &config, now, args.all)
        .map_err(|error| Failure::store("rolling readings up", error))?;
    log::info!("{} roll-ups written; the longest transaction took {:?}", told.rows, told.longest);
    Ok(Exit::Well)
}

/// Rolls up what a station has measured.
fn roll_up(store: &mut Store, config: &Config, now: i64, all: bool) -> Result<Told, Error> {
    let note = format!("rollup {}", config.node);
    let (specs, since) = store.read(|session| {
        let since = store::get_note(session, &note)?.and_then(|note| note.parse::<i64>().ok());
        Ok((specs_of(session, config.node.as_str())?, since))
    })?;
    // A clock that was wrong for a while is no reason to leave out what came after it.
    let from =
        since.filter(|since| !all && *since <= now).map_or(i64::MIN, |since| since - LOOK_BACK);
    let mut desk = Desk::new(store, now);
    for (spec, tool) in specs {
        let kind = Kind::of(&tool);
        if let Some(first) = desk.first_reading(kind, spec)? {
            let days = begin(first.max(from), DAY)..begin(now, DAY) + DAY;
            desk.refresh(kind, spec, days)?;
        }
    }
    desk.flush()?;
    let told = desk.told;
    let today = begin(now, DAY).to_string();
    store.transaction(|session| store::put_note(session, &note, &today))?;
    Ok(told)
}

/// The specifications of a station, those that were taken out of the file included, with their tools.
fn specs_of(session: &mut dyn Session, station: &str) -> Result<Vec<(i64, String)>, Error> {
    let sql =
        "SELECT toolspecsID, toolName FROM TOOLSPECS WHERE srcNodeID = ? ORDER BY toolspecsID";
    store::all(session, sql, &[station.into()], |row| Ok((row.int(0)?, row.text(1))))
}

/// What was done.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Told {
    /// So many roll-ups were written.
    pub(crate) rows: usize,
    /// For so long others may have waited at most.
    pub(crate) longest: Duration,
}

/// Where roll-ups are computed, and wait until there are enough of them to be written.
pub(crate) struct Desk<'a> {
    store: &'a mut Store,
    /// Seconds since the epoch.
    now: i64,
    waiting: Vec<(&'static Kind, i64, Rows)>,
    pub(crate) told: Told,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(store: &'a mut Store, now: i64) -> Self {
        Self { store, now, waiting: Vec::new(), told: Told::default() }
    }

    /// Reads on one state of the database.
    pub(crate) fn read<T>(
        &mut self,
        work: impl FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.store.read(work)
    }

    /// As [`gently`].
    pub(crate) fn change<T>(
        &mut self,
        work: impl FnMut(&mut dyn Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (done, took) = gently(self.store, work);
        self.told.longest = self.told.longest.max(took);
        done
    }

    /// When the first reading of a specification was started.
    pub(crate) fn first_reading(&mut self, kind: &Kind, spec: i64) -> Result<Option<i64>, Error> {
        let read = |session: &mut dyn Session| {
            store::one(session, &kind.sql.first, &[spec.into()], |row| row.optional_int(0))
        };
        Ok(self.read(read)?.flatten())
    }

    /// Has the roll-ups of some whole days computed as far as they are not right.
    pub(crate) fn refresh(
        &mut self,
        kind: &'static Kind,
        spec: i64,
        days: Range<i64>,
    ) -> Result<(), Error> {
        let (now, mut from) = (self.now, days.start);
        while from < days.end {
            let stretch = from..days.end.min(from + STRETCH);
            // What has to be done and what it comes to are of the same state of the database: what is not
            // gone when it is looked at is there when it is computed.
            let (rows, done) =
                self.read(|session| some_days(session, kind, spec, &stretch, now))?;
            from = done;
            self.put(kind, spec, rows)?;
        }
        Ok(())
    }

    fn put(&mut self, kind: &'static Kind, spec: i64, rows: Rows) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        self.waiting.push((kind, spec, rows));
        let waiting: usize = self.waiting.iter().map(|(.., rows)| rows.len()).sum();
        if waiting < ROWS { Ok(()) } else { self.flush() }
    }

    /// What waits to be written, taken away.
    #[cfg(test)]
    pub(crate) fn take_waiting(&mut self) -> Vec<(&'static Kind, i64, Rows)> {
        std::mem::take(&mut self.waiting)
    }

    /// Has something wait to be written that was computed before.
    #[cfg(test)]
    pub(crate) fn wait_with(&mut self, waiting: Vec<(&'static Kind, i64, Rows)>) {
        self.waiting = waiting;
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        self.told.rows += waiting.iter().map(|(.., rows)| rows.len()).sum::<usize>();
        let written = self.change(|session| {
            waiting
                .iter()
                .try_for_each(|(kind, spec, rows)| keep::write(session, kind, *spec, rows))
        });
        match written {
            Err(error) if error.kind() == Fault::Conflict => self.flush_one_by_one(&waiting),
            other => other,
        }
    }

    /// What somebody else has pruned meanwhile is right as it is.
    fn flush_one_by_one(&mut self, waiting: &[(&'static Kind, i64, Rows)]) -> Result<(), Error> {
        for (kind, spec, rows) in waiting {
            match self.change(|session| keep::write(session, kind, *spec, rows)) {
                Err(error) if error.kind() == Fault::Conflict => {}
                other => other?,
            }
        }
        Ok(())
    }
}

/// Changes something in one transaction, and then leaves the database to others for longer than that took:
/// whoever waits for the embedded engine's lock looks for it only now and then.
pub(crate) fn gently<T>(
    store: &mut Store,
    work: impl FnMut(&mut dyn Session) -> Result<T, Error>,
) -> (Result<T, Error>, Duration) {
    let before = SystemClock.moment().monotonic;
    let done = store.transaction(work);
    let took = before.until(SystemClock.moment().monotonic);
    clock::pause((2 * took).min(LONGEST_REST));
    (done, took)
}

/// The longest rest.
const LONGEST_REST: Duration = Duration::from_millis(200);

/// What the first days of a stretch come to that are not right, as many as make up a transaction; and up to
/// where that is.
fn some_days(
    session: &mut dyn Session,
    kind: &'static Kind,
    spec: i64,
    stretch: &Range<i64>,
    now: i64,
) -> Result<(Rows, i64), Error> {
    let mut rows = Rows::new();
    for job in keep::seen(session, kind, spec, stretch)?.jobs(now) {
        rows.extend(keep::compute(session, kind, spec, &job)?);
        if rows.len() >= ROWS {
            return Ok((rows, job.day + DAY));
        }
    }
    Ok((rows, stretch.end))
}
