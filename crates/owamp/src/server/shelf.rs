//! Sessions that are over, for as long as they can be fetched.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use station::world::clock::Monotonic;

use super::usage::Taken;
use crate::{
    protocol::{Finished, RequestSession, Sid, SkipRange},
    session::Records,
};

/// Whose a session is: who else may fetch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// A client without a name.
    Address(IpAddr),
    /// A user.
    User(String),
}

/// A session that is over.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) owner: Owner,
    /// As it was asked for, with the ports and the identifier that it got.
    pub(super) session: RequestSession,
    pub(super) finished: Finished,
    pub(super) next_seq: u32,
    pub(super) skips: Vec<SkipRange>,
    pub(super) records: Records,
    pub(super) until: Monotonic,
    /// The room of its records; given back when it is forgotten.
    pub(super) _room: Taken,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<HashMap<Sid, Arc<Kept>>>);

impl Shelf {
    pub(super) fn put(&self, kept: Kept) {
        self.all().insert(kept.session.sid, Arc::new(kept));
    }

    /// A session, for its owner.
    pub(super) fn get(&self, sid: &Sid, owner: &Owner, now: Monotonic) -> Option<Arc<Kept>> {
        let kept = self.all().get(sid).cloned()?;
        (kept.owner == *owner && kept.until > now).then_some(kept)
    }

    pub(super) fn forget(&self, sid: &Sid) {
        self.all().remove(sid);
    }

    /// Forgets those whose time is over.
    pub(super) fn sweep(&self, now: Monotonic) {
        self.all().retain(|_, kept| kept.until > now);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Sid, Arc<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
