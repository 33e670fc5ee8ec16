//! What a `bw-synchd` that was killed left behind, put right before anything has the channel.

use std::{fs, io, time::Duration};

use station::{
    app::{Exit, Failure},
    text::Timestamp,
    words::{config::Config, run},
    world::{
        channel,
        orphans::{self, Appearance},
        probe::{self, Order},
        spool::Spool,
        store::{self, Error, Holder, Session, StillRunning, Store, Try},
        turn::{ENDING, LEAD},
    },
};

use crate::PROGRAM;

/// How long the database may be locked at the start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends processes that were left running, closes rows that were left open and removes half files.
///
/// A run whose result is a file already is finished; one whose process was never started is pending
/// again; any other is lost.
///
/// # Errors
/// A process cannot be ended; the database is away.
pub fn recover(config: &Config, spool: &Spool, now: Timestamp) -> Result<(), Failure> {
    let doing = || format!("recovering runs that an earlier {PROGRAM} left");
    let failure = |error| Failure::store(doing(), error);
    let stuck = |error: io::Error| Failure::new(Exit::TryLater, doing()).because(error);
    channel::clear(&config.exclusive.channel).map_err(stuck)?;
    let mut store = Store::of(&config.database, PATIENCE);
    let who = Holder { station: config.node.as_str(), program: PROGRAM };
    let left = store.read(|session| store::running_alone(session, who)).map_err(failure)?;
    end_processes(config, &left).map_err(stuck)?;
    clear_tmp(spool, &left);
    let lost = store.transaction(|session| close(session, who.station, spool, now, &left));
    let lost = lost.map_err(failure)?;
    if !left.is_empty() {
        log::warn!("an earlier {PROGRAM} left {} runs open; {lost} of them are lost", left.len());
    }
    Ok(())
}

fn end_processes(config: &Config, left: &[StillRunning]) -> io::Result<()> {
    let orders = left.iter().filter_map(|left| left.order.as_ref().ok());
    let runs: Vec<Appearance> = orders.filter_map(|order| Appearance::of(order, config)).collect();
    orphans::end(PROGRAM, &probe::tag(&config.paths.home, PROGRAM), &runs)
}

/// Removes half files of these runs.
fn clear_tmp(spool: &Spool, left: &[StillRunning]) {
    for order in left.iter().filter_map(|left| left.order.as_ref().ok()) {
        let half = spool.tmp().join(run::file_name(order.run, &order.tool));
        if let Err(error) = fs::remove_file(&half).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }) {
            log::warn!("cannot remove {}: {error}", half.display());
        }
    }
}

fn close(
    session: &mut dyn Session,
    station: &str,
    spool: &Spool,
    now: Timestamp,
    left: &[StillRunning],
) -> Result<usize, Error> {
    let mut lost = 0;
    for StillRunning { run, order, started } in left {
        let header = order.as_ref().ok().and_then(|order| Some((order, spool.published(order)?)));
        let (outcome, end) = match (header, started) {
            (Some((order, header)), _) => {
                let times = (header.start_us, header.end_us);
                store::finish(session, order, times, header.ended.remark().as_deref())?;
                ("its result was written", header.end_us)
            }
            (None, None) => {
                store::put_back(session, *run)?;
                continue;
            }
            (None, Some(start)) => {
                lost += 1;
                let reason = format!("{PROGRAM} died before its result was written");
                store::lose(session, *run, &reason)?;
                let limit = order.as_ref().map_or(Duration::ZERO, |order| order.limit);
                ("bw-synchd died", now.min(*start + LEAD + limit + ENDING))
            }
        };
        let tried = Try { end, outcome: outcome.to_owned(), ..Try::default() };
        store::end_try(session, *run, &tried)?;
    }
    store::clear_leases(session, station)?;
    Ok(lost)
}

/// Puts back what was claimed when nobody took it any more.
pub(crate) fn put_back_at_last(config: &Config, orders: &[Order]) {
    if orders.is_empty() {
        return;
    }
    let mut store = Store::of(&config.database, PATIENCE);
    let put_back = |session: &mut dyn Session| {
        orders.iter().try_for_each(|order| {
            store::put_back(session, order.run)?;
            store::release(session, config.node.as_str(), &order.node, order.run)
        })
    };
    if let Err(error) = store.transaction(put_back) {
        log::error!("putting {} claimed runs back: {error}", orders.len());
    }
}
