//! Sessions that are over, for as long as they can be fetched. All of them together take so much memory and no more:
//! whoever has the most of it loses its oldest first.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use station::world::clock::Monotonic;

use super::{usage::Taken, who::Who};
use crate::{
    protocol::{Finished, RequestSession, Sid, SkipRange, Slot},
    session::Records,
};

/// Octets of memory that all of them may take.
pub(super) const MOST: usize = 64 << 20;
/// What one takes at least, with its place in the books.
const LEAST: usize = 1_024;

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
    /// Whom its memory is counted for.
    pub(super) who: Who,
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

impl Kept {
    /// Octets of memory that it takes.
    fn octets(&self) -> usize {
        let slots = self.session.slots.capacity() * size_of::<Slot>();
        let skips = self.skips.capacity() * size_of::<SkipRange>();
        LEAST + slots + skips + self.records.memory()
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Shelf {
    most: usize,
    boards: Mutex<Boards>,
}

#[derive(Debug, Default)]
struct Boards {
    all: HashMap<Sid, (u64, Arc<Kept>)>,
    of: HashMap<Who, Board>,
    octets: usize,
    next: u64,
}

/// Those of one client, in the order in which they ended.
#[derive(Debug, Default)]
struct Board {
    octets: usize,
    sids: BTreeMap<u64, Sid>,
}

impl Shelf {
    /// One that takes at most so many octets of memory.
    pub(super) fn new(most: usize) -> Self {
        Self { most, boards: Mutex::default() }
    }

    /// Keeps a session; how many others were forgotten for it.
    pub(super) fn put(&self, kept: Kept) -> usize {
        let mut boards = self.boards();
        boards.put(kept);
        let mut forgotten = 0;
        while boards.octets > self.most && boards.make_room() {
            forgotten += 1;
        }
        forgotten
    }

    /// A session, for its owner.
    pub(super) fn get(&self, sid: &Sid, owner: &Owner, now: Monotonic) -> Option<Arc<Kept>> {
        let (_, kept) = self.boards().all.get(sid).cloned()?;
        (kept.owner == *owner && kept.until > now).then_some(kept)
    }

    pub(super) fn forget(&self, sid: &Sid) {
        self.boards().take(sid);
    }

    /// Forgets those whose time is over.
    pub(super) fn sweep(&self, now: Monotonic) {
        let mut boards = self.boards();
        let over = boards.all.iter().filter(|(_, (_, kept))| kept.until <= now);
        let over: Vec<Sid> = over.map(|(sid, _)| *sid).collect();
        for sid in over {
            boards.take(&sid);
        }
    }

    fn boards(&self) -> MutexGuard<'_, Boards> {
        self.boards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Boards {
    fn put(&mut self, kept: Kept) {
        let (sid, octets, number) = (kept.session.sid, kept.octets(), self.next);
        self.take(&sid);
        self.next += 1;
        self.octets += octets;
        let board = self.of.entry(kept.who).or_default();
        board.octets += octets;
        board.sids.insert(number, sid);
        self.all.insert(sid, (number, Arc::new(kept)));
    }

    fn take(&mut self, sid: &Sid) {
        let Some((number, kept)) = self.all.remove(sid) else { return };
        let octets = kept.octets();
        self.octets -= octets;
        if let Some(board) = self.of.get_mut(&kept.who) {
            board.octets -= octets;
            board.sids.remove(&number);
            if board.sids.is_empty() {
                self.of.remove(&kept.who);
            }
        }
    }

    /// Forgets the oldest of whoever has the most; whether there was any.
    fn make_room(&mut self) -> bool {
        let most = self.of.values().max_by_key(|board| board.octets);
        let oldest = most.and_then(|board| board.sids.values().next().copied());
        if let Some(sid) = &oldest {
            self.take(sid);
        }
        oldest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::RequestSession,
        server::{
            classes::Classes,
            patience::now,
            usage::{Amount, Usage},
        },
    };

    fn kept(number: u32, address: [u8; 4], skips: usize) -> Kept {
        let mut sid = Sid::default();
        sid.0[..4].copy_from_slice(&number.to_be_bytes());
        let usage = Usage::new(Arc::new(Classes::default()), None);
        let who = Who::at(address.into());
        Kept {
            owner: Owner::Address(address.into()),
            who,
            session: RequestSession {
                server_sends: false,
                server_receives: true,
                packets: 0,
                sender: "192.0.2.1:9000".parse().expect("a place"),
                receiver: "192.0.2.2:9000".parse().expect("a place"),
                sid,
                padding: 0,
                start: timed_udp::clock::wall(),
                timeout: 0,
                type_p: 0,
                slots: vec![Slot::Fixed { offset: 1 }; 1_000],
            },
            finished: Finished::Well,
            next_seq: 0,
            skips: vec![SkipRange { first: 0, last: 0 }; skips],
            records: Records::new(0),
            until: now() + std::time::Duration::from_secs(600),
            _room: usage.take(0, who, Amount::default()).expect("room"),
        }
    }

    fn has(shelf: &Shelf, number: u32, address: [u8; 4]) -> bool {
        let sid = kept(number, address, 0).session.sid;
        shelf.get(&sid, &Owner::Address(address.into()), now()).is_some()
    }

    #[test]
    fn who_leaves_much_loses_its_oldest_and_nobody_elses() {
        let shelf = Shelf::new(1 << 20);
        let (honest, greedy) = ([192, 0, 2, 1], [192, 0, 2, 2]);
        assert_eq!(shelf.put(kept(0, honest, 5)), 0);
        // 50 kB each: slots and skip ranges alone, without a single record.
        let forgotten: usize = (1..=100).map(|number| shelf.put(kept(number, greedy, 4_096))).sum();
        assert!((79..100).contains(&forgotten), "{forgotten}");
        assert!(shelf.boards().octets <= 1 << 20);
        assert!(has(&shelf, 0, honest) && has(&shelf, 100, greedy) && !has(&shelf, 1, greedy));
        shelf.sweep(now() + std::time::Duration::from_secs(3_600));
        let boards = shelf.boards();
        assert_eq!((boards.octets, boards.all.len(), boards.of.len()), (0, 0, 0));
    }
}
