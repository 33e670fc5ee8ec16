//! The sessions of a server: who gets one, and who gets a chirp next, and when. Decides; sends nothing.
//!
//! - `past`: requests that were granted before. `turns`: whose turn it is.

mod past;
mod turns;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use station::world::peers;
use timed_udp::clock::Mono;

use super::limits::Limits;
use crate::{
    protocol::{
        message::{Reason, Wish},
        pause::MOST_STRETCH,
    },
    shape::{HEADERS_V4, HEADERS_V6},
};
use past::Past;
pub(crate) use turns::{Next, Order};

/// Whoever says nothing for so long is gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address and port.
    pub(crate) peer: SocketAddr,
    /// The address of ours that it speaks to; none if the kernel did not tell.
    pub(crate) own: Option<IpAddr>,
    /// Which of our sockets it speaks to.
    pub(crate) socket: usize,
}

#[derive(Debug, Clone)]
struct Session {
    client: Client,
    id: u64,
    nonce: u64,
    granted: Wish,
    /// What the next chirp is to be, bit/s.
    range: (u64, u64),
    until: Mono,
    heard: Mono,
    /// What it has earned for its next chirp, bits.
    earned: f64,
    /// When its last chirp began; before its first, when it began itself.
    since: Mono,
    /// Its next chirp is not sent before.
    due: Mono,
    /// How long that one is, as far as it was reckoned.
    length: Duration,
    chirp: u32,
}

impl Session {
    fn new(client: Client, (id, nonce): (u64, u64), granted: Wish, now: Mono) -> Self {
        Self {
            client,
            id,
            nonce,
            granted,
            range: (granted.low, granted.high),
            until: now + Duration::from_millis(granted.duration.into()),
            heard: now,
            earned: 0.0,
            since: now,
            due: now,
            length: Duration::ZERO,
            chirp: 0,
        }
    }
}

/// What a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A session begins, or goes on: its number and what was granted.
    Accepted { session: u64, granted: Wish, is_new: bool },
    /// None does.
    Refused { reason: Reason, wait: u32, limit: u64 },
    /// It was granted before, and is over.
    Replayed,
}

/// All sessions.
#[derive(Debug)]
pub(crate) struct Table {
    limits: Limits,
    sessions: Vec<Session>,
    past: Past,
    /// When sessions were last given what they had earned.
    settled: Mono,
}

impl Table {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, sessions: Vec::new(), past: Past::default(), settled: Mono(0) }
    }

    /// How many sessions there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Decides about a request of a client that has given its cookie back. `session` is random.
    pub(crate) fn request(
        &mut self,
        client: Client,
        nonce: u64,
        wish: Wish,
        session: u64,
        now: Mono,
    ) -> Decision {
        let same = |it: &&Session| it.client.peer == client.peer && it.nonce == nonce;
        if let Some(it) = self.sessions.iter().find(same) {
            return Decision::Accepted { session: it.id, granted: it.granted, is_new: false };
        }
        self.past.forget(now);
        if self.past.has(client.peer, nonce) {
            return Decision::Replayed;
        }
        let granted = match self.limits.grant(wish, headers(&client)) {
            Ok(granted) => granted,
            Err((reason, limit)) => return Decision::Refused { reason, wait: 0, limit },
        };
        if let Some(wait) = self.past.full_for(peers::party(client.peer.ip()), now) {
            return busy(Reason::BusyForAddress, wait, past::MOST_OF_NET);
        }
        // Who asks anew from the same port has forgotten what it had.
        self.remove(|it| it.client.peer == client.peer, now);
        if let Some(refused) = self.is_full_for(client.peer.ip(), &granted, now) {
            return refused;
        }
        self.settle(now);
        self.sessions.push(Session::new(client, (session, nonce), granted, now));
        Decision::Accepted { session, granted, is_new: true }
    }

    /// Whether one session more were too many. A client takes a sender for dead whose pauses grow by more than its
    /// patience; and no net may have all that the others' patience leaves.
    fn is_full_for(&self, address: IpAddr, granted: &Wish, now: Mono) -> Option<Decision> {
        let party = peers::party(address);
        let its = || self.sessions.iter().filter(|it| peers::party(it.client.peer.ip()) == party);
        let soonest = |all: &mut dyn Iterator<Item = &Session>| {
            let left = all.map(|it| it.until.since(now).as_secs() + 1).min();
            u32::try_from(left.unwrap_or(1)).unwrap_or(u32::MAX)
        };
        let most = self.limits.total.saturating_mul(MOST_STRETCH.into());
        let is_beyond = |all: &mut dyn Iterator<Item = &Session>, most| {
            all.map(|it| it.granted.average).sum::<u64>().saturating_add(granted.average) > most
        };
        let (its_count, count) = (its().count(), self.sessions.len());
        let (reason, wait, limit) =
            if its_count >= self.limits.per_address || is_beyond(&mut its(), most / 2) {
                (Reason::BusyForAddress, soonest(&mut its()), its_count)
            } else if count >= self.limits.sessions || is_beyond(&mut self.sessions.iter(), most) {
                (Reason::Busy, soonest(&mut self.sessions.iter()), count)
            } else {
                return None;
            };
        Some(busy(reason, wait, limit))
    }

    /// A client lives, and wants this range next. Whether there is such a session.
    pub(crate) fn feedback(
        &mut self,
        peer: SocketAddr,
        session: u64,
        range: (u64, u64),
        now: Mono,
    ) -> bool {
        let found = self.sessions.iter_mut().find(|it| it.id == session && it.client.peer == peer);
        found.is_some_and(|it| {
            (it.heard, it.range) = (now, range);
            true
        })
    }

    /// A client wants no more. Whether there was such a session.
    pub(crate) fn end(&mut self, peer: SocketAddr, session: u64, now: Mono) -> bool {
        self.remove(|it| it.id == session && it.client.peer == peer, now)
    }

    /// Ends all sessions, and tells whose they were.
    pub(crate) fn end_all(&mut self) -> Vec<(Client, u64)> {
        self.sessions.drain(..).map(|it| (it.client, it.id)).collect()
    }

    fn remove(&mut self, is_it: impl Fn(&Session) -> bool, now: Mono) -> bool {
        self.settle(now);
        let before = self.sessions.len();
        let (past, sessions) = (&mut self.past, &mut self.sessions);
        sessions.retain(|it| {
            if is_it(it) {
                past.add(it.client.peer, it.nonce, now);
            }
            !is_it(it)
        });
        sessions.len() < before
    }
}

fn busy(reason: Reason, wait: u32, limit: usize) -> Decision {
    Decision::Refused { reason, wait, limit: limit as u64 }
}

fn headers(client: &Client) -> u32 {
    if client.peer.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 }
}

#[cfg(test)]
mod tests {
    use super::{
        super::limits::tests::{LIMITS, WISH},
        *,
    };
    use crate::protocol::cookie;

    pub(super) fn client(peer: &str) -> Client {
        Client { peer: peer.parse().expect("an address"), own: None, socket: 0 }
    }

    pub(super) const fn ms(number: u64) -> Mono {
        Mono(number * 1_000_000)
    }

    pub(super) fn begin(table: &mut Table, peer: &str, id: u64, now: Mono) -> Decision {
        table.request(client(peer), id, WISH, id, now)
    }

    #[test]
    fn one_address_cannot_have_all_and_who_is_refused_hears_when_to_come_again() {
        let mut table = Table::new(LIMITS);
        let busy = |reason, wait, limit| Decision::Refused { reason, wait, limit };
        for port in 1..=2 {
            let peer = format!("192.0.2.1:{port}");
            assert!(matches!(begin(&mut table, &peer, port, ms(0)), Decision::Accepted { .. }));
        }
        let third = begin(&mut table, "192.0.2.1:3", 3, ms(4_000));
        assert_eq!(third, busy(Reason::BusyForAddress, 7, 2));
        let other = begin(&mut table, "192.0.2.2:1", 4, ms(4_000));
        assert!(matches!(other, Decision::Accepted { is_new: true, .. }));
        let full = begin(&mut table, "192.0.2.3:1", 5, ms(4_000));
        assert_eq!(full, busy(Reason::Busy, 7, 3));
    }

    #[test]
    fn nobody_gets_a_session_that_would_make_pauses_longer_than_clients_wait() {
        let limits = Limits { sessions: 100, per_address: 100, ..LIMITS };
        let mut table = Table::new(limits);
        // Of 10 Mbit/s for all, a quarter of this is left to each of eight.
        let wish = Wish { average: 5_000_000, ..WISH };
        let mut ask = |net, port: u64| {
            let peer = client(&format!("192.0.2.{net}:{port}"));
            table.request(peer, port, wish, port, ms(0))
        };
        let busy = |reason, limit| Decision::Refused { reason, wait: 11, limit };
        for net in 1..=2 {
            for port in 1..=4 {
                assert!(matches!(ask(net, port), Decision::Accepted { .. }), "{net} {port}");
            }
            assert_eq!(ask(net, 5), busy(Reason::BusyForAddress, 4), "half of it is an address's");
        }
        assert_eq!(ask(3, 1), busy(Reason::Busy, 8));
        assert!(matches!(ask(2, 9), Decision::Refused { .. }));
        // Who asks anew has its own place.
        let anew = table.request(client("192.0.2.1:1"), 77, wish, 77, ms(0));
        assert!(matches!(anew, Decision::Accepted { is_new: true, .. }));
    }

    #[test]
    fn addresses_of_one_net_of_ipv6_count_together() {
        let mut table = Table::new(LIMITS);
        begin(&mut table, "[2001:db8::1]:1", 1, ms(0));
        begin(&mut table, "[2001:db8::2]:1", 2, ms(0));
        let third = begin(&mut table, "[2001:db8::3]:1", 3, ms(0));
        assert!(matches!(third, Decision::Refused { reason: Reason::BusyForAddress, .. }));
    }

    #[test]
    fn the_same_request_again_is_the_same_session_and_after_its_end_none() {
        let mut table = Table::new(LIMITS);
        begin(&mut table, "192.0.2.1:1", 1, ms(0));
        let again = table.request(client("192.0.2.1:1"), 1, WISH, 99, ms(5));
        assert!(matches!(again, Decision::Accepted { session: 1, is_new: false, .. }));
        assert!(table.end(client("192.0.2.1:1").peer, 1, ms(6)));
        assert_eq!(begin(&mut table, "192.0.2.1:1", 1, ms(10)), Decision::Replayed);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn nobody_else_can_end_or_steer_a_session() {
        let mut table = Table::new(LIMITS);
        begin(&mut table, "192.0.2.1:1", 1, ms(0));
        let other = client("192.0.2.1:2").peer;
        let range = (1_000_000, 2_000_000);
        assert!(!table.end(other, 1, ms(1)) && !table.feedback(other, 1, range, ms(1)));
        assert!(!table.feedback(client("192.0.2.1:1").peer, 2, range, ms(1)));
        assert!(table.feedback(client("192.0.2.1:1").peer, 1, range, ms(1)));
        let Next::Chirp(order) = table.next(ms(2_000)) else { panic!("one is due") };
        assert_eq!(order.range, range);
    }

    #[test]
    fn who_begins_one_session_after_the_other_has_to_wait_until_its_cookie_is_old() {
        let mut table = Table::new(LIMITS);
        let ask = |table: &mut Table, nonce, now| {
            table.request(client("192.0.2.1:1"), nonce, WISH, nonce, now)
        };
        let begun = (0..10_000)
            .filter(|nonce| {
                matches!(ask(&mut table, *nonce, ms(*nonce / 100)), Decision::Accepted { .. })
            })
            .count();
        // And one that goes on.
        assert_eq!((begun, table.len()), (past::MOST_OF_NET + 1, 1));
        assert!(matches!(begin(&mut table, "192.0.2.2:1", 1, ms(99)), Decision::Accepted { .. }));
        let later = ms(100) + cookie::LIFE;
        assert!(matches!(ask(&mut table, 10_000, later), Decision::Accepted { .. }));
    }
}
