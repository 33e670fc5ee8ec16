//! Making the target as the source is.
//!
//! First what is behind the target's last keys is filled in, batch by batch, each read by itself: the bulk,
//! during which the source keeps no state of its past. Then, on one state of the source, each table is gone
//! through in the order of its key, a part of the source beside the same part of the target: what differs is
//! written, and what was written is read again. So all that has changed meanwhile, wherever it stands, comes
//! over; what was deleted goes; and each row of the source has been seen beside that of the target.
//!
//! How far a copy has come stands in the target itself: its rows. One that was killed anywhere goes on from
//! there.

use station::world::store::{
    Error, Kind, Session, Store,
    bulk::{self, Batch, Cells, Limit, Table},
};

use super::{
    checksum::Checksum,
    ends::{Claim, End},
    patience::Patience,
    progress::Progress,
    settle::{Settling, culprit},
};

/// What became of a table.
#[derive(Debug, Clone)]
pub(super) struct Copied {
    pub(super) table: Table,
    /// Rows that the target did not have.
    pub(super) new: u64,
    pub(super) changed: u64,
    /// Rows that the source has no more.
    pub(super) gone: u64,
    pub(super) source: Checksum,
    pub(super) target: Checksum,
}

impl Copied {
    pub(super) fn of(table: &Table) -> Self {
        let (source, target) = (Checksum::default(), Checksum::default());
        Self { table: table.clone(), new: 0, changed: 0, gone: 0, source, target }
    }

    /// Whether both ends hold the same.
    pub(super) fn is_right(&self) -> bool {
        self.source.rows() == self.target.rows() && self.source.hex() == self.target.hex()
    }
}

/// So much goes over at once.
const ROWS: usize = 4_000;
const BYTES: usize = 4_000_000;

/// How many rows to ask for next, lest a server send a thousand long ones when a few fill the room.
#[derive(Debug)]
pub(super) struct Pace(pub(super) Limit);

impl Pace {
    pub(super) fn new() -> Self {
        Self(Limit { rows: 100, bytes: BYTES })
    }

    pub(super) fn after(&mut self, batch: &Batch) {
        if let Some(each) = batch.bytes.checked_div(batch.rows.len()) {
            self.0.rows = (BYTES / each.max(1)).clamp(1, ROWS);
        }
    }
}

/// The copy: both ends, and what it needs to go on.
pub(super) struct Copy<'a> {
    pub(super) from: &'a mut End,
    pub(super) to: &'a mut End,
    pub(super) claim: &'a Claim,
    pub(super) patience: Patience,
    pub(super) progress: Progress,
}

impl<'a> Copy<'a> {
    pub(super) fn new(from: &'a mut End, to: &'a mut End, claim: &'a Claim) -> Self {
        Self { from, to, claim, patience: Patience::default(), progress: Progress::new() }
    }
}

impl Copy<'_> {
    /// Fills in what is behind the last keys of the target.
    pub(super) fn fill(&mut self, copied: &mut [Copied]) -> Result<(), Error> {
        copied.iter_mut().try_for_each(|copied| self.fill_table(copied))
    }

    fn fill_table(&mut self, copied: &mut Copied) -> Result<(), Error> {
        let table = copied.table.clone();
        self.progress.begin("filling in", &table);
        let (to, from) = (&mut self.to.store, &mut self.from.store);
        let last = |session: &mut dyn Session| bulk::last_key(session, &table);
        let mut after = self.patience.keep_trying(|_| to.read(last))?;
        self.progress.goal(self.patience.keep_trying(|_| from.read(last))?.as_ref());
        let mut pace = Pace::new();
        loop {
            let (to, from) = (&mut self.to.store, &mut self.from.store);
            let read = |session: &mut dyn Session| {
                bulk::rows_after(session, &table, after.as_deref(), pace.0)
            };
            let mut batch = self.patience.keep_trying(|_| from.read(read))?;
            let added = self.patience.keep_trying(|_| append(to, self.claim, &table, &batch.rows));
            match added {
                Ok(()) => {}
                // What the target has of before stands in the way: when all is compared it is put right.
                Err(error) if error.kind() == Kind::Conflict => return Ok(()),
                Err(error) => return Err(culprit(to, &table, &batch.rows, error)),
            }
            copied.new += batch.rows.len() as u64;
            pace.after(&batch);
            self.progress.on(batch.rows.len(), batch.until.as_ref());
            match batch.until.take() {
                Some(until) => after = Some(until),
                None => return Ok(()),
            }
        }
    }

    /// Makes every table as it is in one state of the source, and compares both ends to the last value.
    pub(super) fn settle(&mut self, copied: &mut [Copied]) -> Result<(), Error> {
        let (from, to) = (&mut self.from.store, &mut self.to.store);
        let (claim, progress) = (self.claim, &mut self.progress);
        self.patience.keep_trying(|patience| {
            // When the source's state is lost all begins anew; what is the same already costs no writing.
            from.read(|source| {
                let mut settling =
                    Settling { to: &mut *to, claim, patience: &mut *patience, progress };
                copied.iter_mut().try_for_each(|copied| settling.table(source, copied))
            })
        })
    }

    /// Has the target's tables go on counting where the source's do, so that no key is given twice.
    pub(super) fn count_on(&mut self, copied: &[Copied]) -> Result<(), Error> {
        for table in copied.iter().map(|copied| &copied.table).filter(|table| table.counts()) {
            let (from, to) = (&mut self.from.store, &mut self.to.store);
            let next = |session: &mut dyn Session| session.next_key(table);
            let ours = self.patience.keep_trying(|_| from.read(next))?;
            self.patience.keep_trying(|_| {
                if to.read(next)? >= ours {
                    return Ok(());
                }
                to.transaction(|session| {
                    self.claim.holds(session)?;
                    session.raise_next_key(table, ours)
                })
            })?;
            let theirs = self.patience.keep_trying(|_| to.read(next))?;
            if theirs < ours {
                let what = format!(
                    "the table {} goes on with the key {ours} in the source and {theirs} in the target",
                    table.name()
                );
                return Err(Error::new(Kind::Other, what));
            }
        }
        Ok(())
    }
}

/// Writes rows behind the last of a table; what is there already was written before the connection was lost.
fn append(store: &mut Store, claim: &Claim, table: &Table, rows: &[Cells]) -> Result<(), Error> {
    store.transaction(|session| {
        claim.holds(session)?;
        let last = bulk::last_key(session, table)?;
        let is_there = |row: &Cells| {
            last.as_ref().is_some_and(|last| bulk::key_order(&table.key_of(row), last).is_le())
        };
        bulk::insert(session, table, &rows[rows.partition_point(is_there)..])
    })
}
