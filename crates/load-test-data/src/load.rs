//! Files into tables: each exactly once, whatever is killed when.
//!
//! The row of SCHEDULE and the readings change in one transaction; only then the file is moved. A
//! program that dies in between leaves a file whose row says that it is loaded: the next one moves it
//! and loads nothing.

use std::{collections::BTreeMap, sync::LazyLock};

use station::{
    text::Timestamp,
    words::run::{Header, RunId, State},
    world::{
        inbox::Inbox,
        store::{self, Error, Kind, Session, Store, Value},
    },
};

use crate::{
    file::{Content, Measured, Prepared},
    overlap::Tries,
    tables::{self, Sheets},
    waiting::{self, Plain, Row},
};

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Its readings are in the tables, since now or since before.
    Loaded,
    /// It was not understood, or belongs to no run that waits for it.
    Rejected(String),
    /// It stays where it is.
    Kept(String),
}

/// How many files came to which end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Loaded.
    pub loaded: u64,
    /// Rejected.
    pub rejected: u64,
    /// Left where they are.
    pub kept: u64,
}

impl Tally {
    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        self.loaded += other.loaded;
        self.rejected += other.rejected;
        self.kept += other.kept;
    }
}

/// Loads files of `station` in one transaction; if one of them makes the transaction fail, each in its own.
///
/// # Errors
/// The database is away; then nothing was changed and no file was moved.
pub fn load(store: &mut Store, station: &str, batch: &[Prepared]) -> Result<Vec<Fate>, Error> {
    match store.transaction(|session| load_together(session, station, batch)) {
        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Other) && batch.len() > 1 => {
            batch.iter().map(|file| load_alone(store, station, file)).collect()
        }
        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Other) => {
            Ok(vec![Fate::Kept(error.to_string())])
        }
        other => other,
    }
}

fn load_alone(store: &mut Store, station: &str, file: &Prepared) -> Result<Fate, Error> {
    let alone = |session: &mut dyn Session| {
        let tries = Tries::during(session, station, std::slice::from_ref(file))?;
        load_one(session, station, file, &tries)
    };
    let loaded = match store.transaction(alone) {
        // Another loader has just given the same new route its number: it is there the next time.
        Err(error) if error.kind() == Kind::Conflict => store.transaction(alone),
        loaded => loaded,
    };
    match loaded {
        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Other) => {
            Ok(Fate::Kept(error.to_string()))
        }
        other => other,
    }
}

fn load_together(
    session: &mut dyn Session,
    station: &str,
    batch: &[Prepared],
) -> Result<Vec<Fate>, Error> {
    let tries = Tries::during(session, station, batch)?;
    let rows = waiting::rows_of(session, batch)?;
    let waited_for = waiting::waited_for(station, batch, &rows);
    let plain: Vec<Plain<'_>> = waited_for.iter().copied().flatten().collect();
    load_plain(session, &plain, &tries)?;
    let fate = |(file, plain): (&Prepared, Option<_>)| match plain {
        Some(_) => Ok(Fate::Loaded),
        None => load_one(session, station, file, &tries),
    };
    batch.iter().zip(waited_for).map(fate).collect()
}

/// Loads readings whose rows wait for them: few statements, however many they are.
fn load_plain(session: &mut dyn Session, plain: &[Plain<'_>], tries: &Tries) -> Result<(), Error> {
    if leave_loaded(session, plain)? != plain.len() as u64 {
        // The next try sees what that one has done.
        let what = "another program changed the rows of results that were being loaded";
        return Err(Error::new(Kind::Busy, what));
    }
    let mut sheets = Sheets::default();
    for (measured, row) in plain {
        let overlapped = tries.overlapping(&measured.header);
        tables::add(session, &mut sheets, row, measured, overlapped)?;
    }
    sheets.write(session)
}

/// Moves the rows of readings on to `loaded`; says how many were where they are to leave from. Those that
/// need nothing else are changed many by one statement, for each attempt, and nearly all are of the first.
fn leave_loaded(session: &mut dyn Session, plain: &[Plain<'_>]) -> Result<u64, Error> {
    let mut settled = BTreeMap::<i64, Vec<(&Row, &Header)>>::new();
    let mut others = Vec::new();
    for &(measured, row) in plain {
        let (header, reason) = (&measured.header, reason(measured));
        if row.is_settled(header, reason.as_deref()) {
            settled.entry(header.attempt).or_default().push((row, header));
        } else {
            others.push(leaving(&row.src, header, State::Loaded, reason.map(Value::from)));
        }
    }
    let mut moved = 0;
    for (attempt, headers) in settled {
        let whole = headers.chunks_exact(TOGETHER);
        let rest = whole.remainder().iter();
        others.extend(rest.map(|(row, header)| leaving(&row.src, header, State::Loaded, None)));
        for some in whole {
            let ids = some.iter().map(|(_, header)| header.schedule_id.into());
            let values: Vec<Value<'_>> = std::iter::once(attempt.into()).chain(ids).collect();
            moved += session.execute(&LEAVE_TOGETHER, &values)?;
        }
    }
    Ok(moved + session.execute_many(LEAVE, &others)?)
}

/// So many rows are changed by one statement.
const TOGETHER: usize = 100;

/// Takes an attempt and keys of SCHEDULE. The state stands in an expression: by its index a planner would
/// go through all runs that are finished.
static LEAVE_TOGETHER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE SCHEDULE SET state = 'loaded', opentoolspecsID = NULL WHERE COALESCE(state, '') = 'finished' AND attempt = ? \
         AND scheduleID IN ({})",
        ["?"; TOGETHER].join(", ")
    )
});

fn reason(measured: &Measured) -> Option<String> {
    measured.header.ended.remark().or_else(|| tables::problem(&measured.reading))
}

fn load_one(
    session: &mut dyn Session,
    station: &str,
    file: &Prepared,
    tries: &Tries,
) -> Result<Fate, Error> {
    match &file.content {
        Content::Reading(measured) => {
            let header = &measured.header;
            if !leave(session, station, header, State::Loaded, reason(measured).as_deref())? {
                return superseded(session, station, file, Some(header));
            }
            let rows = waiting::rows_of(session, std::slice::from_ref(file))?;
            let mut sheets = Sheets::default();
            for row in rows.values() {
                tables::add(session, &mut sheets, row, measured, tries.overlapping(header))?;
            }
            sheets.write(session)?;
            Ok(Fate::Loaded)
        }
        Content::Rejected(Some(header), why) => {
            let rejected = leave(session, station, header, State::Rejected, Some(why))?;
            if rejected {
                Ok(Fate::Rejected(why.clone()))
            } else {
                superseded(session, station, file, Some(header))
            }
        }
        Content::Rejected(None, why) => reject_headless(session, station, file, why),
        // Another loader was quicker: its row is loaded, or that loader's to tell of.
        Content::Unreachable(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Fate::Loaded)
        }
        Content::Unreachable(error) => Ok(Fate::Kept(error.to_string())),
    }
}

/// Moves the row of a run on from `finished`, or from `running` when its daemon has not come to it yet.
fn leave(
    session: &mut dyn Session,
    station: &str,
    header: &Header,
    to: State,
    reason: Option<&str>,
) -> Result<bool, Error> {
    Ok(session.execute(LEAVE, &leaving(station, header, to, reason.map(Value::from)))? == 1)
}

const LEAVE: &str = "UPDATE SCHEDULE SET state = ?, opentoolspecsID = NULL, start_us = ?, end_us = ?, \
     reason = COALESCE(?, reason) WHERE scheduleID = ? AND attempt = ? AND state IN ('finished', 'running') \
     AND srcNodeID = ? AND toolspecsID = ? AND toolName = ? AND due_us = ?";

/// The values of [`LEAVE`].
fn leaving<'a>(
    station: &'a str,
    header: &'a Header,
    to: State,
    reason: Option<Value<'a>>,
) -> Vec<Value<'a>> {
    let RunId { schedule_id, attempt } = header.run();
    vec![
        to.as_str().into(),
        header.start_us.into(),
        header.end_us.into(),
        reason.unwrap_or(Value::Null),
        schedule_id.into(),
        attempt.into(),
        station.into(),
        header.spec_id.into(),
        header.probetype.as_str().into(),
        header.due_us.into(),
    ]
}

/// Why a run's row would not be moved on: a crash between the transaction and the move of the file,
/// or a file that nobody waits for.
fn superseded(
    session: &mut dyn Session,
    station: &str,
    file: &Prepared,
    header: Option<&Header>,
) -> Result<Fate, Error> {
    let sql = "SELECT state, attempt, reason, toolspecsID, toolName, due_us, srcNodeID FROM SCHEDULE WHERE scheduleID = ?";
    let row = store::one(session, sql, &[file.schedule_id.into()], |row| {
        let same = |header: &Header| {
            Ok::<bool, Error>(
                (header.spec_id, header.due_us) == (row.int(3)?, row.timestamp(5)?)
                    && header.probetype == row.text(4),
            )
        };
        let attempt = row.int(1)?;
        let same = header.map_or(Ok(row.text(4) == file.tool), same)?;
        let this_attempt = same && header.is_none_or(|header| header.attempt == attempt);
        Ok((row.text(0), attempt, row.text(2), same, this_attempt, row.text(6)))
    })?;
    Ok(match row {
        None => Fate::Rejected(format!("there is no row {} in SCHEDULE", file.schedule_id)),
        Some((.., of)) if of != station => Fate::Rejected(format!(
            "the row {} of SCHEDULE is of the station {of}, and this is {station}",
            file.schedule_id
        )),
        Some((_, _, _, false, ..)) => Fate::Rejected(format!(
            "the row {} of SCHEDULE is of another run: this file is from another database",
            file.schedule_id
        )),
        Some((state, .., true, _)) if state == State::Loaded.as_str() => Fate::Loaded,
        Some((state, _, reason, ..)) if state == State::Rejected.as_str() => Fate::Rejected(reason),
        Some((state, attempt, ..)) => Fate::Rejected(format!(
            "its row in SCHEDULE is {state}, attempt {attempt}: nobody waits for this file"
        )),
    })
}

/// Without a header only the file's name tells the run; a run that still goes on writes no file in place.
fn reject_headless(
    session: &mut dyn Session,
    station: &str,
    file: &Prepared,
    why: &str,
) -> Result<Fate, Error> {
    let changed = session.execute(
        "UPDATE SCHEDULE SET state = 'rejected', opentoolspecsID = NULL, reason = ? \
         WHERE scheduleID = ? AND srcNodeID = ? AND toolName = ? AND state = 'finished'",
        &[why.into(), file.schedule_id.into(), station.into(), file.tool.as_str().into()],
    )?;
    if changed == 1 {
        Ok(Fate::Rejected(why.to_owned()))
    } else {
        headless_superseded(session, station, file, why)
    }
}

fn headless_superseded(
    session: &mut dyn Session,
    station: &str,
    file: &Prepared,
    why: &str,
) -> Result<Fate, Error> {
    // Whatever the row says, these bytes are no result: they are never filed as loaded.
    Ok(match superseded(session, station, file, None)? {
        Fate::Loaded => {
            Fate::Rejected(format!("{why}; the readings of this run are loaded already"))
        }
        other => other,
    })
}

/// Moves files where their fates belong, and tells what a person should know.
#[must_use]
pub fn carry_out(inbox: &mut Inbox, now: Timestamp, batch: &[(String, Fate)]) -> Tally {
    let mut tally = Tally::default();
    for (name, fate) in batch {
        let moved = match fate {
            Fate::Loaded => inbox.archive(name, now),
            Fate::Rejected(why) => {
                log::warn!("{}: rejected: {why}", inbox.path(name).display());
                inbox.reject(name)
            }
            Fate::Kept(why) => Err(std::io::Error::other(why.clone())),
        };
        match (moved, fate) {
            (Ok(()), Fate::Loaded) => tally.loaded += 1,
            (Ok(()), _) => tally.rejected += 1,
            // Another loader was quicker.
            (Err(error), _)
                if error.kind() == std::io::ErrorKind::NotFound && !inbox.path(name).exists() =>
            {
                tally.loaded += 1;
            }
            (Err(error), _) => {
                log::error!("{}: stays: {error}", inbox.path(name).display());
                tally.kept += 1;
            }
        }
    }
    tally
}
