//! The sessions of a server: who gets a chirp next, and when. Decides; sends nothing.
//!
//! Chirps of all sessions are sent one after the other, so that none disturbs another. Where all sessions together would
//! send more than the server may, each has its share.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use station::world::peers;
use timed_udp::clock::Mono;

use super::limits::Limits;
use crate::{
    protocol::message::{End, Reason, Wish, rate},
    shape::{HEADERS_V4, HEADERS_V6, Shape},
};

/// Whoever says nothing for so long is gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);
/// Requests that were granted and whose sessions are over: the same again, which somebody may have recorded, begins none.
/// A cookie is of no use long before so many others came.
const REMEMBERED: usize = 4_096;

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
    due: Mono,
    chirp: u32,
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

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// Send this.
    Chirp(Order),
    /// Tell a client that its session is over.
    End(Client, u64, End),
    /// Nothing before this.
    Wait(Mono),
    /// Nothing before somebody comes.
    Idle,
}

/// A chirp to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) client: Client,
    pub(crate) session: u64,
    pub(crate) chirp: u32,
    pub(crate) shape: Shape,
    /// Its lowest and highest rate, bit/s.
    pub(crate) range: (u64, u64),
}

/// All sessions.
#[derive(Debug)]
pub(crate) struct Table {
    limits: Limits,
    sessions: Vec<Session>,
    past: VecDeque<(SocketAddr, u64)>,
}

impl Table {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, sessions: Vec::new(), past: VecDeque::new() }
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
        if self.past.contains(&(client.peer, nonce)) {
            return Decision::Replayed;
        }
        let granted = match self.limits.grant(wish) {
            Ok(granted) => granted,
            Err((reason, limit)) => return Decision::Refused { reason, wait: 0, limit },
        };
        // Who asks anew from the same port has forgotten what it had.
        self.remove(|it| it.client.peer == client.peer);
        if let Some(refused) = self.is_full_for(client.peer.ip(), now) {
            return refused;
        }
        let until = now + Duration::from_millis(granted.duration.into());
        let range = (granted.low, granted.high);
        self.sessions.push(Session {
            client,
            id: session,
            nonce,
            granted,
            range,
            until,
            heard: now,
            due: now,
            chirp: 0,
        });
        Decision::Accepted { session, granted, is_new: true }
    }

    fn is_full_for(&self, address: IpAddr, now: Mono) -> Option<Decision> {
        let party = peers::party(address);
        let its = || self.sessions.iter().filter(|it| peers::party(it.client.peer.ip()) == party);
        let soonest = |all: &mut dyn Iterator<Item = &Session>| {
            let left = all.map(|it| it.until.since(now).as_secs() + 1).min();
            u32::try_from(left.unwrap_or(1)).unwrap_or(u32::MAX)
        };
        let refused = |reason, wait, limit: usize| {
            Some(Decision::Refused { reason, wait, limit: limit as u64 })
        };
        if its().count() >= self.limits.per_address {
            return refused(Reason::BusyForAddress, soonest(&mut its()), self.limits.per_address);
        }
        if self.sessions.len() >= self.limits.sessions {
            return refused(Reason::Busy, soonest(&mut self.sessions.iter()), self.limits.sessions);
        }
        None
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
    pub(crate) fn end(&mut self, peer: SocketAddr, session: u64) -> bool {
        self.remove(|it| it.id == session && it.client.peer == peer)
    }

    /// Ends all sessions, and tells whose they were.
    pub(crate) fn end_all(&mut self) -> Vec<(Client, u64)> {
        let all = self.sessions.iter().map(|it| (it.client, it.id)).collect();
        self.remove(|_| true);
        all
    }

    fn remove(&mut self, is_it: impl Fn(&Session) -> bool) -> bool {
        let before = self.sessions.len();
        let (past, sessions) = (&mut self.past, &mut self.sessions);
        sessions.retain(|it| {
            if is_it(it) {
                past.push_back((it.client.peer, it.nonce));
            }
            !is_it(it)
        });
        while past.len() > REMEMBERED {
            past.pop_front();
        }
        sessions.len() < before
    }

    /// What is to be done at `now`. A chirp that it tells of is taken to be sent.
    pub(crate) fn next(&mut self, now: Mono) -> Next {
        if let Some((client, id, why)) = self.over(now) {
            self.remove(|it| it.id == id);
            return Next::End(client, id, why);
        }
        let average = self.share();
        let limits = self.limits;
        let Some(next) = self.sessions.iter_mut().min_by_key(|it| it.due) else {
            return Next::Idle;
        };
        if next.due > now {
            let silent = self.sessions.iter().map(|it| it.heard + SILENCE).min();
            let due = self.sessions.iter().map(|it| it.due).min();
            return Next::Wait(due.into_iter().chain(silent).min().unwrap_or(now));
        }
        let (shape, range) = limits.shape(&next.granted, next.range, headers(&next.client));
        let pause = pause(&shape, average(&next.granted));
        if now + pause > next.until {
            // What it would cost is not earned before the end.
            let (client, id) = (next.client, next.id);
            self.remove(|it| it.id == id);
            return Next::End(client, id, End::Over);
        }
        let order =
            Order { client: next.client, session: next.id, chirp: next.chirp, shape, range };
        next.due = now + pause;
        next.chirp = next.chirp.wrapping_add(1);
        Next::Chirp(order)
    }

    fn over(&self, now: Mono) -> Option<(Client, u64, End)> {
        let is_over = |it: &&Session| now >= it.until || now.since(it.heard) >= SILENCE;
        let it = self.sessions.iter().find(is_over)?;
        let why = if now >= it.until { End::Over } else { End::Silence };
        Some((it.client, it.id, why))
    }

    /// What a session may send on average, bit/s: what was granted, or its part of what all may.
    fn share(&self) -> impl Fn(&Wish) -> f64 + use<> {
        let wanted: f64 = self.sessions.iter().map(|it| rate(it.granted.average)).sum();
        let part = (rate(self.limits.total) / wanted).min(1.0);
        move |granted| rate(granted.average) * part
    }
}

/// From a chirp to the next.
fn pause(shape: &Shape, average: f64) -> Duration {
    Duration::try_from_secs_f64(shape.bits() / average).unwrap_or(Duration::MAX)
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

    fn client(peer: &str) -> Client {
        Client { peer: peer.parse().expect("an address"), own: None, socket: 0 }
    }

    const fn ms(number: u64) -> Mono {
        Mono(number * 1_000_000)
    }

    fn begin(table: &mut Table, peer: &str, id: u64, now: Mono) -> Decision {
        table.request(client(peer), id, WISH, id, now)
    }

    /// Bits that are sent to each session in a while, all of which say something once a second.
    fn sent(table: &mut Table, ids: &[(&str, u64)], length: u64) -> Vec<f64> {
        let mut bits = vec![0.0; ids.len()];
        for now in 0..length {
            for (peer, id) in ids {
                if now % 1_000 == 0 {
                    let peer = client(peer).peer;
                    table.feedback(peer, *id, (WISH.low, WISH.high), ms(now));
                }
            }
            while let Next::Chirp(order) = table.next(ms(now)) {
                let place = ids.iter().position(|(_, id)| *id == order.session).expect("ours");
                bits[place] += order.shape.bits();
            }
        }
        bits
    }

    #[test]
    fn a_session_never_sends_more_than_its_average_whatever_its_range() {
        for average in [300_000, 2_000_000, 5_000_000] {
            let mut table = Table::new(LIMITS);
            let wish = Wish { average, ..WISH };
            table.request(client("192.0.2.1:5000"), 1, wish, 1, ms(0));
            let bits = sent(&mut table, &[("192.0.2.1:5000", 1)], 12_000)[0];
            let most = rate(average) * 10.0;
            assert!(bits <= most && bits > most * 0.85, "{average}: {bits}");
            assert_eq!(table.len(), 0, "its time is over");
        }
    }

    #[test]
    fn all_sessions_together_send_no_more_than_the_server_may_and_each_has_its_share() {
        let mut table = Table::new(Limits { total: 600_000, ..LIMITS });
        let ids = [("192.0.2.1:1", 1), ("192.0.2.2:1", 2), ("192.0.2.3:1", 3)];
        for (peer, id) in ids {
            begin(&mut table, peer, id, ms(0));
        }
        let bits = sent(&mut table, &ids, 12_000);
        assert!(bits.iter().sum::<f64>() <= 6_000_000.0, "{bits:?}");
        assert!(bits.iter().all(|it| *it > 1_500_000.0), "{bits:?}");
    }

    #[test]
    fn who_says_nothing_for_three_seconds_gets_no_more() {
        let mut table = Table::new(LIMITS);
        begin(&mut table, "192.0.2.1:1", 1, ms(0));
        assert!(matches!(table.next(ms(0)), Next::Chirp(_)));
        assert!(matches!(table.next(ms(2_990)), Next::Chirp(_)));
        let over = Next::End(client("192.0.2.1:1"), 1, End::Silence);
        assert_eq!(table.next(ms(3_000)), over);
        assert_eq!(table.next(ms(3_000)), Next::Idle);
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
        assert!(table.end(client("192.0.2.1:1").peer, 1));
        assert_eq!(begin(&mut table, "192.0.2.1:1", 1, ms(10)), Decision::Replayed);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn nobody_else_can_end_or_steer_a_session() {
        let mut table = Table::new(LIMITS);
        begin(&mut table, "192.0.2.1:1", 1, ms(0));
        let other = client("192.0.2.1:2").peer;
        let range = (1_000_000, 2_000_000);
        assert!(!table.end(other, 1) && !table.feedback(other, 1, range, ms(1)));
        assert!(!table.feedback(client("192.0.2.1:1").peer, 2, range, ms(1)));
        assert!(table.feedback(client("192.0.2.1:1").peer, 1, range, ms(1)));
        let Next::Chirp(order) = table.next(ms(2)) else { panic!("one is due") };
        assert_eq!(order.range, range);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut table = Table::new(LIMITS);
        for nonce in 0..10_000 {
            table.request(client("192.0.2.1:1"), nonce, WISH, nonce, ms(0));
        }
        assert_eq!((table.len(), table.past.len()), (1, REMEMBERED));
    }
}
