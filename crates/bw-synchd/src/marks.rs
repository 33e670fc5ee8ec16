//! Rows that move on: what became of runs, as the tables say it.

use station::{
    text::Timestamp,
    words::run::Machine,
    world::{
        probe::Order,
        store::{self, Error, Session, Try},
    },
};

use crate::PROGRAM;

/// A row that moves on.
#[derive(Debug)]
pub(crate) enum Mark {
    Started(Box<Order>, Timestamp, Machine),
    Finished(Box<Order>, (Timestamp, Timestamp), Option<String>, Try),
    Again(Box<Order>, Timestamp, Try),
    /// It could not be started, though it may have had the channel, with the ping beside it, until then.
    Failed(Box<Order>, String, Timestamp),
    Missed(Box<Order>, String),
    PutBack(Box<Order>, Option<Timestamp>),
}

impl Mark {
    /// A row that is no longer ours to change was closed by somebody else, who said why.
    pub(crate) fn write(&self, session: &mut dyn Session, station: &str) -> Result<(), Error> {
        let order = match self {
            Self::Started(order, at, machine) => {
                return store::begin_try(session, station, order, *at, machine);
            }
            Self::Finished(order, times, remark, tried) => {
                store::end_try(session, order.run, tried)?;
                store::finish(session, order, *times, remark.as_deref())?;
                order
            }
            Self::Again(order, at, tried) => {
                store::end_try(session, order.run, tried)?;
                let why = format!("try {}: {}", order.run.attempt, tried.outcome);
                store::try_again(session, order.run, *at, &why)?;
                order
            }
            Self::Failed(order, reason, end) => {
                let tried = Try { end: *end, outcome: reason.clone(), ..Try::default() };
                store::end_try(session, order.run, &tried)?;
                store::fail(session, order.run, reason)?;
                order
            }
            Self::Missed(order, reason) => {
                store::miss(session, order.run, reason)?;
                order
            }
            Self::PutBack(order, ended) => {
                put_back(session, order, *ended)?;
                order
            }
        };
        store::release(session, station, &order.node, order.run)
    }
}

fn put_back(
    session: &mut dyn Session,
    order: &Order,
    ended: Option<Timestamp>,
) -> Result<(), Error> {
    if let Some(end) = ended {
        let outcome = format!("ended with {PROGRAM}");
        store::end_try(session, order.run, &Try { end, outcome, ..Try::default() })?;
    }
    store::put_back(session, order.run).map(|_| ())
}

/// Makes a claim pending again of which nobody knew whether it was made, if it was, with its lease.
pub(crate) fn undo(session: &mut dyn Session, order: &Order, station: &str) -> Result<(), Error> {
    // A lease that was not taken by it is of a later try.
    if store::put_back(session, order.run)? {
        store::release(session, station, &order.node, order.run)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use station::{
        words::run::RunId,
        world::store::{Holder, Store, all, claim_alone, migrate, of_test, waiting_alone},
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
    const UNTIL: Timestamp = Timestamp::from_seconds(1_790_000_060);

    /// Claims the run that waits, as this daemon does; gives its order.
    fn claims(session: &mut dyn Session) -> Result<Order, Error> {
        let waiting = waiting_alone(session, "s", NOW, 1)?.remove(0);
        let who = Holder { station: "s", program: PROGRAM };
        assert!(claim_alone(session, who, &waiting, (NOW, UNTIL))?);
        Ok(waiting.plan.expect("it is whole").order)
    }

    fn states(session: &mut dyn Session) -> Result<(Vec<String>, usize), Error> {
        let states = all(session, "SELECT state FROM SCHEDULE", &[], |row| Ok(row.text(0)))?;
        Ok((states, all(session, "SELECT destNodeID FROM LEASES", &[], |_| Ok(()))?.len()))
    }

    #[test]
    fn a_claim_in_doubt_is_undone_with_its_lease_and_a_later_one_of_the_run_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::of(&of_test(folder.path()), Duration::from_secs(6));
        store.create().expect("made");
        let fill = |session: &mut dyn Session| {
            migrate(session, NOW)?;
            session
                .execute("INSERT INTO NODES (nodeID, hostName) VALUES ('d', 'd.example')", &[])?;
            session.execute(
                "INSERT INTO TOOLSPECS (srcNodeID, destNodeID, toolName, toolPath, testtype, time2run, runinterval) \
                 VALUES ('s', 'd', 'iperf', 'iperf', 'background-syn', 10, 3600)",
                &[],
            )?;
            session.execute(
                "INSERT INTO SCHEDULE (toolspecsID, opentoolspecsID, srcNodeID, destNodeID, toolName, testtype, target, \
                 command, dueepoch, due_us, latest_us, limit_s, state) VALUES (1, 1, 's', 'd', 'iperf', \
                 'background-syn', 'd.example', '[\"iperf\",\"-c\",\"d.example\"]', 0, ?, ?, 10, 'pending')",
                &[NOW.into(), UNTIL.into()],
            )
        };
        store.unchecked(fill).expect("filled");
        let undone = store.transaction(|session| {
            let first = claims(session)?;
            undo(session, &first, "s")?;
            states(session)
        });
        assert_eq!(undone.expect("done"), (vec!["pending".to_owned()], 0));
        let kept = store.transaction(|session| {
            let second = claims(session)?;
            let first = RunId { attempt: second.run.attempt - 1, ..second.run };
            undo(session, &Order { run: first, ..second }, "s")?;
            states(session)
        });
        assert_eq!(kept.expect("done"), (vec!["running".to_owned()], 1));
    }
}
