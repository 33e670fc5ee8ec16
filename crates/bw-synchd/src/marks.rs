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
