//! Roll-ups are computed, wait, and are written together, each time for a few milliseconds.

use std::{ops::Range, time::Duration};

use station::world::{
    clock::{self, Clock, SystemClock},
    store::{Error, Kind as Fault, Session, Store},
};

use super::{
    keep::{self, Rows},
    kinds::Kind,
    work::DAY,
};

/// So many days of a specification are looked at together.
const STRETCH: i64 = 32 * DAY;
/// So many rows are written in one transaction: a few milliseconds.
const ROWS: usize = 200;

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
fn gently<T>(
    store: &mut Store,
    work: impl FnMut(&mut dyn Session) -> Result<T, Error>,
) -> (Result<T, Error>, Duration) {
    let before = SystemClock.moment().monotonic;
    let done = store.transaction(work);
    let took = before.until(SystemClock.moment().monotonic);
    clock::pause((3 * took).min(LONGEST_REST));
    (done, took)
}

/// The longest rest.
const LONGEST_REST: Duration = Duration::from_millis(300);

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
