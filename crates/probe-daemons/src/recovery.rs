//! What a daemon of this kind that was killed left behind, put right before the first claim.

use std::time::Duration;

use station::{
    app::Failure,
    text::Timestamp,
    words::{config::Config, run},
    world::{
        orphans::{self, Appearance},
        probe,
        spool::Spool,
        store::{self, Claimed, Error, Session, Store},
    },
};

use crate::Kind;

/// How long the database may be locked at the start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends processes that were left running, closes rows that were left open and removes half files.
///
/// A run whose result is a file already is finished. One that was claimed ahead of its time was not
/// started and is pending again. Any other is lost.
///
/// # Errors
/// The database or the spool is away.
pub fn recover(kind: Kind, config: &Config, spool: &Spool, now: Timestamp) -> Result<(), Failure> {
    let failure = |error| {
        Failure::store(format!("recovering runs that an earlier {} left", kind.program), error)
    };
    let mut store = Store::of(&config.database, PATIENCE);
    let left = store
        .read(|session| store::running_of(session, &kind.claimant(config)))
        .map_err(failure)?;
    let orders = left.iter().filter_map(|(_, order)| order.as_ref().ok());
    let runs: Vec<Appearance> = orders.filter_map(|order| Appearance::of(order, config)).collect();
    if let Err(error) =
        orphans::end(kind.program, &probe::tag(&config.paths.home, kind.program), &runs)
    {
        log::error!("{error}");
    }
    if let Err(error) = spool.clear_tmp(kind.tool) {
        log::warn!("cannot clear {}: {error}", spool.tmp().display());
    }
    if left.is_empty() {
        return Ok(());
    }
    let lost =
        store.transaction(|session| close(session, kind, spool, now, &left)).map_err(failure)?;
    log::warn!(
        "an earlier {} left {} runs open; {lost} of them are lost",
        kind.program,
        left.len()
    );
    Ok(())
}

type Left = (run::RunId, Claimed);

fn close(
    session: &mut dyn Session,
    kind: Kind,
    spool: &Spool,
    now: Timestamp,
    left: &[Left],
) -> Result<usize, Error> {
    let mut lost = 0;
    for (run, order) in left {
        match order {
            Err((_, fault)) => store::fail(session, *run, fault)?,
            Ok(order) => match spool.published(order) {
                Some(header) => {
                    let times = (header.start_us, header.end_us);
                    store::finish(session, order, times, header.ended.remark().as_deref())?
                }
                None if order.due > now => store::put_back(session, *run)?,
                None => {
                    lost += 1;
                    store::lose(
                        session,
                        *run,
                        &format!("{} died before its result was written", kind.program),
                    )?
                }
            },
        };
    }
    Ok(lost)
}
