//! A table of the target is made as it is in one state of the source, part by part.

use station::world::store::{
    Error, Kind, Session, Store, Value,
    bulk::{self, Batch, Cells, Limit, Table},
};

use super::{
    carry_out::{Copied, Pace},
    checksum::Checksum,
    compare::{self, Change},
    ends::Claim,
    patience::Patience,
    progress::Progress,
};

/// One state of the source is gone through.
pub(super) struct Settling<'a> {
    pub(super) to: &'a mut Store,
    pub(super) claim: &'a Claim,
    pub(super) patience: &'a mut Patience,
    pub(super) progress: &'a mut Progress,
}

/// The same part of a table at both ends.
struct Part {
    ours: Vec<Cells>,
    theirs: Vec<Cells>,
    /// Where it ends, if not with the table.
    until: Option<Cells>,
}

impl Settling<'_> {
    /// Makes a table as it is in the source.
    pub(super) fn table(
        &mut self,
        source: &mut dyn Session,
        copied: &mut Copied,
    ) -> Result<(), Error> {
        match self.sweep(source, copied) {
            // What must be unique stands further on in the target, in a row that is of before: all of before
            // goes first.
            Err(error) if error.kind() == Kind::Conflict => {}
            done => return done,
        }
        let cleared = self.clear(source, &copied.table)?;
        self.sweep(source, copied)?;
        copied.new = copied.new.saturating_sub(cleared.changed);
        copied.changed += cleared.changed;
        copied.gone += cleared.gone;
        Ok(())
    }

    /// Goes through a table, puts right what differs, and sums up what both ends hold.
    fn sweep(&mut self, source: &mut dyn Session, copied: &mut Copied) -> Result<(), Error> {
        (copied.source, copied.target) = (Checksum::default(), Checksum::default());
        let table = copied.table.clone();
        self.parts(source, &table, &mut |settling, mut part, after, limit| {
            let change = compare::compare(&table, &part.ours, &part.theirs);
            if !change.is_empty() {
                settling.write(&table, &change)?;
                part.theirs = settling.written(&table, &part, after, limit)?;
                copied.new += change.new_rows();
                copied.changed += change.changed;
                copied.gone += change.gone();
            }
            part.ours.iter().for_each(|row| copied.source.add(row));
            part.theirs.iter().for_each(|row| copied.target.add(row));
            Ok(())
        })
    }

    /// Deletes what the source has not, or has otherwise; says how many rows these were.
    fn clear(&mut self, source: &mut dyn Session, table: &Table) -> Result<Cleared, Error> {
        let mut cleared = Cleared::default();
        self.parts(source, table, &mut |settling, part, _, _| {
            let mut change = compare::compare(table, &part.ours, &part.theirs);
            cleared.changed += change.changed;
            cleared.gone += change.gone();
            change.insert.clear();
            settling.write(table, &change)
        })?;
        Ok(cleared)
    }

    /// Hands over a table, part by part.
    fn parts(
        &mut self,
        source: &mut dyn Session,
        table: &Table,
        each: &mut EachPart<'_, Self>,
    ) -> Result<(), Error> {
        self.progress.begin("comparing", table);
        self.progress.goal(bulk::last_key(source, table)?.as_ref());
        let (mut after, mut pace): (Option<Cells>, _) = (None, Pace::new());
        loop {
            let limit = pace.0;
            let mut ours = bulk::rows_after(source, table, after.as_deref(), limit)?;
            let mut theirs = self.target(table, after.as_deref(), limit)?;
            pace.after(&ours);
            let until = compare::cut(table, &mut ours, &mut theirs);
            self.progress.on(ours.rows.len(), until.as_ref());
            let part = Part { ours: ours.rows, theirs: theirs.rows, until: until.clone() };
            each(self, part, after.as_deref(), limit)?;
            match until {
                Some(until) => after = Some(until),
                None => return Ok(()),
            }
        }
    }

    fn target(
        &mut self,
        table: &Table,
        after: Option<&[Value<'static>]>,
        limit: Limit,
    ) -> Result<Batch, Error> {
        let to = &mut *self.to;
        let read = |session: &mut dyn Session| bulk::rows_after(session, table, after, limit);
        self.patience.keep_trying(|_| to.read(read))
    }

    /// What the target holds of a part after it was written: what it was told, or it cannot hold it.
    fn written(
        &mut self,
        table: &Table,
        part: &Part,
        after: Option<&[Value<'static>]>,
        limit: Limit,
    ) -> Result<Vec<Cells>, Error> {
        let mut theirs = self.target(table, after, limit)?;
        if let Some(until) = &part.until {
            compare::keep_until(table, &mut theirs, until);
        }
        let change = compare::compare(table, &part.ours, &theirs.rows);
        let wrong = change.insert.first().map(|row| table.key_of(row));
        match wrong.or_else(|| change.delete.first().cloned()) {
            None => Ok(theirs.rows),
            Some(key) => {
                let end = part.until.as_ref().map_or("the end".to_owned(), |key| table.told(key));
                let what = format!(
                    "the table {} is not in the target what it is in the source, from {} to {end}: rows were written and \
                     are read as others ({} of them). Somebody else writes to the target, or it cannot hold these values",
                    table.name(),
                    table.told(&key),
                    change.insert.len().max(change.delete.len())
                );
                Err(Error::new(Kind::Other, what))
            }
        }
    }

    fn write(&mut self, table: &Table, change: &Change) -> Result<(), Error> {
        let (to, claim, mut again) = (&mut *self.to, self.claim, false);
        let written = self.patience.keep_trying(|_| {
            let written = to.transaction(|session| {
                claim.holds(session)?;
                if again {
                    // They may be there already: whether the last change was made is not known.
                    let keys = change.insert.iter().map(|row| table.key_of(row));
                    keys.into_iter().try_for_each(|key| bulk::delete(session, table, &key))?;
                }
                change.delete.iter().try_for_each(|key| bulk::delete(session, table, key))?;
                bulk::insert(session, table, &change.insert)
            });
            again = true;
            written
        });
        written.map_err(|error| culprit(to, table, &change.insert, error))
    }
}

/// What is done with a part: it, the key that it begins behind, and how much was read of it.
type EachPart<'a, S> =
    dyn FnMut(&mut S, Part, Option<&[Value<'static>]>, Limit) -> Result<(), Error> + 'a;

/// Rows that were in the way.
#[derive(Debug, Default)]
struct Cleared {
    changed: u64,
    gone: u64,
}

/// Names the row that cannot be written: each is tried by itself, and none stays written.
pub(super) fn culprit(store: &mut Store, table: &Table, rows: &[Cells], error: Error) -> Error {
    if error.kind() != Kind::Other {
        return error;
    }
    let mut alone = |row: &Cells| {
        let tried = store.transaction(|session| {
            bulk::delete(session, table, &table.key_of(row))?;
            bulk::insert(session, table, std::slice::from_ref(row))?;
            Err::<(), _>(Error::new(Kind::Closed, ""))
        });
        tried.err().filter(|error| error.kind() == Kind::Other)
    };
    let found = rows.iter().find_map(|row| alone(row).map(|why| (row, why)));
    let Some((row, why)) = found else { return error };
    let key = table.told(&table.key_of(row));
    Error::new(Kind::Other, format!("the row {key} of {} cannot be written: {why}", table.name()))
}
