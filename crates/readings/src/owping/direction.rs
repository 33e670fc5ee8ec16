//! Which way a session went.
//!
//! owping prints the session towards the target first and the way back second, but also only one of them:
//! if it was asked for one (`-t`, `-f`), or if the other broke. Nothing says which host is ours. The rules, in
//! this order:
//!
//! 1. Two sessions between the same hosts: the first is towards the target, the one that goes the other way
//!    is from it.
//! 2. One alone, and standard error says that data could not be fetched: only what the target received is
//!    fetched, so the one that is there is from the target.
//! 3. One alone, and one of its ends is an address and the other a name: owping names the target as it was
//!    asked for, and looks up its own name. So the address is the target.
//! 4. Else it is towards the target.
//!
//! Rule 3 is wrong for a station whose own address has no name, and rule 4 for `-f` with a target given by
//! name. Who knows the target compares it with `from` and `to` of the session.

use std::net::IpAddr;

use crate::{
    Direction, Output, Unreadable,
    oneway::Session,
    text::{self, quote},
};

use super::Draft;

/// What standard error says of a session that only the target knows.
const NOT_FETCHED: &str = "Unable to fetch data";

/// Both ends of a session.
#[derive(Clone, Default)]
pub(super) struct Ends {
    pub(super) from: End,
    pub(super) to: End,
}

impl Ends {
    pub(super) fn is_between(&self, other: &Self) -> bool {
        self.from.host == other.from.host && self.to.host == other.to.host
    }
}

/// One end of a session.
#[derive(Clone, Default)]
pub(super) struct End {
    /// As printed.
    pub(super) host: Option<String>,
    /// Printed beside it (`-M`).
    pub(super) address: Option<IpAddr>,
}

impl End {
    pub(super) fn named(host: &str) -> Self {
        Self { host: Some(quote(host)), ..Self::default() }
    }

    fn is_address(&self) -> bool {
        self.host.as_deref().and_then(text::address).is_some()
    }

    fn address(&self) -> Option<IpAddr> {
        self.address.or_else(|| self.host.as_deref().and_then(text::address))
    }
}

/// The sessions with their directions, those towards the target first.
pub(super) fn settle(drafts: Vec<Draft>, output: &Output<'_>) -> Result<Vec<Session>, Unreadable> {
    let Some(first) = drafts.first() else { return Ok(Vec::new()) };
    let there = first.ends.clone();
    let with_itself = there.from.host.is_some() && there.from.host == there.to.host;
    let goes_back = |place: usize, draft: &Draft| {
        draft.second || !draft.ends.is_between(&there) || (with_itself && place > 0)
    };
    let alone = !drafts.iter().enumerate().any(|(place, draft)| goes_back(place, draft));
    let turned = alone && is_from_target(&there, output);
    let directed = drafts.into_iter().enumerate().map(|(place, draft)| {
        let back = turned || goes_back(place, &draft);
        finish(draft, if back { Direction::From } else { Direction::To })
    });
    let mut sessions: Vec<Session> = directed.collect::<Result<_, _>>()?;
    sessions.sort_by_key(|session| session.direction);
    Ok(sessions)
}

/// Rules 2 to 4, for a session that is alone.
fn is_from_target(ends: &Ends, output: &Output<'_>) -> bool {
    let unfetched = || text::lines(output.stderr).any(|line| line.text.contains(NOT_FETCHED));
    unfetched() || (ends.from.is_address() && ends.to.host.is_some() && !ends.to.is_address())
}

/// What follows for a session from its direction, and from what was read of it.
fn finish(draft: Draft, direction: Direction) -> Result<Session, Unreadable> {
    let Draft { mut session, ends, .. } = draft;
    session.direction = direction;
    session.address = match direction {
        Direction::To => ends.to.address(),
        Direction::From => ends.from.address(),
    };
    (session.from, session.to) = (ends.from.host, ends.to.host);
    sound(session)
}

/// The session, if it does not contradict itself.
pub(super) fn sound(mut session: Session) -> Result<Session, Unreadable> {
    if session.sent.zip(session.lost).is_some_and(|(sent, lost)| lost > sent) {
        return Err(contradiction("at most as many packets lost as sent"));
    }
    if session.sent == Some(0) {
        (session.synchronised, session.error_ms) = (None, None);
    }
    let (min, max) = (session.min_ms, session.max_ms);
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        return Err(contradiction("a smallest delay below the largest"));
    }
    let least = session.median_ms.map(|median| min.map_or(median, |min| median.max(min)));
    session.median_ms = least.map(|median| max.map_or(median, |max| median.min(max)));
    Ok(session)
}

fn contradiction(expected: &str) -> Unreadable {
    Unreadable { reason: format!("expected {expected}"), line: None }
}
