//! Whose turn it is to get a chirp.
//!
//! Chirps of all sessions are sent one after the other, so that none disturbs another. Each is paid for before it is sent,
//! by what its session has earned since the one before, or since it began; so nobody gains by ending a session and
//! beginning another. Where all sessions together would send more than the server may, each earns its share. It is paid
//! for by time, too: the sender's time is everybody's.

use std::time::Duration;

use timed_udp::clock::Mono;

use super::{Client, SILENCE, Session, Table, headers};
use crate::{
    protocol::{
        message::{End, Wish, rate},
        pause::MOST_PARTS,
    },
    shape::Shape,
};

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

impl Table {
    /// What is to be done at `now`. A chirp that it tells of is taken to be sent.
    pub(crate) fn next(&mut self, now: Mono) -> Next {
        self.settle(now);
        if let Some((client, id, why)) = self.over(now) {
            self.remove(|it| it.id == id, now);
            return Next::End(client, id, why);
        }
        let (average, parts) = (self.share(), self.parts());
        let limits = self.limits;
        while let Some(next) = self.most_urgent(now) {
            // Its range and its share may be others than when this was reckoned last.
            let (shape, range) = limits.shape(&next.granted, next.range, headers(&next.client));
            next.length = Duration::from_nanos(shape.length());
            let missing = (shape.bits() - next.earned).max(0.0) / average(&next.granted);
            let earned = Duration::try_from_secs_f64(missing).unwrap_or(Duration::MAX);
            next.due = (now + earned).max(next.since + next.length * parts);
            if next.due <= now {
                let order = next.order(shape, range);
                (next.earned, next.since, next.chirp) = (0.0, now, next.chirp.wrapping_add(1));
                return Next::Chirp(order);
            }
        }
        let soonest = |it: &Session| it.due.min(it.until).min(it.heard + SILENCE);
        self.sessions.iter().map(soonest).min().map_or(Next::Idle, Next::Wait)
    }

    /// Of the sessions that are due, the one whose time is up first: long chirps may be late by more than short ones, and
    /// so short ones do not wait for a row of long ones.
    fn most_urgent(&mut self, now: Mono) -> Option<&mut Session> {
        let parts = self.parts();
        let due = self.sessions.iter_mut().filter(|it| it.due <= now);
        due.min_by_key(|it| it.due + it.length * parts)
    }

    fn over(&self, now: Mono) -> Option<(Client, u64, End)> {
        let is_over = |it: &&Session| now >= it.until || now.since(it.heard) >= SILENCE;
        let it = self.sessions.iter().find(is_over)?;
        let why = if now >= it.until { End::Over } else { End::Silence };
        Some((it.client, it.id, why))
    }

    /// Gives every session what it has earned since this was done last: before one comes or goes, as then the others'
    /// shares change.
    pub(super) fn settle(&mut self, now: Mono) {
        let seconds = now.since(self.settled).as_secs_f64();
        let share = self.share();
        // Two threads do this, and who was the later one to look at the clock may be the first one here.
        self.settled = self.settled.max(now);
        for it in &mut self.sessions {
            it.earned += share(&it.granted) * seconds;
        }
    }

    /// What a session may send on average, bit/s: what was granted, or its part of what all may.
    fn share(&self) -> impl Fn(&Wish) -> f64 + use<> {
        let wanted: f64 = self.sessions.iter().map(|it| rate(it.granted.average)).sum();
        let part = (rate(self.limits.total) / wanted).min(1.0);
        move |granted| rate(granted.average) * part
    }

    /// From its chirp to its next, a session has to wait for so many times the length of one: all together use half of the
    /// time at the most.
    fn parts(&self) -> u32 {
        u32::try_from(self.sessions.len() * 2).unwrap_or(u32::MAX).min(MOST_PARTS)
    }
}

impl Session {
    fn order(&self, shape: Shape, range: (u64, u64)) -> Order {
        Order { client: self.client, session: self.id, chirp: self.chirp, shape, range }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            super::limits::{
                Limits,
                tests::{LIMITS, WISH},
            },
            Decision,
            tests::{begin, client, ms},
        },
        *,
    };

    /// A client that wants the same all the time, and says so once a second.
    struct Greedy {
        peer: &'static str,
        session: u64,
        range: (u64, u64),
    }

    impl Greedy {
        const fn new(peer: &'static str, session: u64) -> Self {
            Self { peer, session, range: (WISH.low, WISH.high) }
        }
    }

    /// The chirps that are sent to each in a while: when, and how long and how large they are. The thread sends one after
    /// the other.
    fn sent(table: &mut Table, all: &[Greedy], length: u64) -> Vec<Vec<(u64, Shape)>> {
        let mut chirps = vec![Vec::new(); all.len()];
        let mut free = 0;
        for now in 0..length {
            for it in all.iter().filter(|_| now % 1_000 == 0) {
                table.feedback(client(it.peer).peer, it.session, it.range, ms(now));
            }
            while free <= now
                && let Next::Chirp(order) = table.next(ms(now))
            {
                let place = all.iter().position(|it| it.session == order.session).expect("ours");
                free = now + order.shape.length() / 1_000_000;
                chirps[place].push((now, order.shape));
            }
        }
        chirps
    }

    fn bits(chirps: &[(u64, Shape)]) -> f64 {
        chirps.iter().map(|(_, shape)| shape.bits()).sum()
    }

    #[test]
    fn a_session_never_sends_more_than_its_average_whatever_its_range() {
        for average in [300_000, 2_000_000, 5_000_000] {
            let mut table = Table::new(LIMITS);
            let wish = Wish { average, ..WISH };
            table.request(client("192.0.2.1:5000"), 1, wish, 1, ms(0));
            let bits = bits(&sent(&mut table, &[Greedy::new("192.0.2.1:5000", 1)], 12_000)[0]);
            let most = rate(average) * 10.0;
            assert!(bits <= most && bits > most * 0.85, "{average}: {bits}");
            assert_eq!(table.len(), 0, "its time is over");
        }
    }

    #[test]
    fn all_sessions_together_send_no_more_than_the_server_may_and_each_has_its_share() {
        let mut table = Table::new(Limits { total: 600_000, ..LIMITS });
        let all = [("192.0.2.1:1", 1), ("192.0.2.2:1", 2), ("192.0.2.3:1", 3)];
        let all = all.map(|(peer, id)| Greedy::new(peer, id));
        for it in &all {
            begin(&mut table, it.peer, it.session, ms(0));
        }
        let bits: Vec<f64> = sent(&mut table, &all, 12_000).iter().map(|it| bits(it)).collect();
        assert!(bits.iter().sum::<f64>() <= 6_000_000.0, "{bits:?}");
        assert!(bits.iter().all(|it| *it > 1_500_000.0), "{bits:?}");
    }

    #[test]
    fn a_first_chirp_comes_when_it_is_earned_and_a_short_session_has_all_that_it_earns() {
        let mut table = Table::new(LIMITS);
        // 19 packets of 8,224 bits: 521 ms at 0.3 Mbit/s.
        let wish = Wish { duration: 2_000, ..WISH };
        table.request(client("192.0.2.1:1"), 1, wish, 1, ms(0));
        let chirps = sent(&mut table, &[Greedy::new("192.0.2.1:1", 1)], 3_000);
        let at: Vec<u64> = chirps[0].iter().map(|it| it.0).collect();
        assert_eq!(at, [521, 1_042, 1_563]);
    }

    #[test]
    fn who_comes_later_has_earned_nothing_of_the_time_before() {
        let mut table = Table::new(LIMITS);
        begin(&mut table, "192.0.2.1:1", 1, ms(0));
        begin(&mut table, "192.0.2.2:1", 2, ms(1_000));
        assert!(matches!(table.next(ms(1_000)), Next::Chirp(Order { session: 1, .. })));
        assert!(matches!(table.next(ms(1_000)), Next::Wait(_)));
        assert!(matches!(table.next(ms(1_522)), Next::Chirp(_)));
        assert!(matches!(table.next(ms(1_522)), Next::Chirp(_)));
    }

    #[test]
    fn who_says_nothing_for_three_seconds_gets_no_more() {
        let mut table = Table::new(LIMITS);
        begin(&mut table, "192.0.2.1:1", 1, ms(0));
        assert!(matches!(table.next(ms(1_000)), Next::Chirp(_)));
        assert!(matches!(table.next(ms(2_990)), Next::Chirp(_)));
        assert_eq!(table.next(ms(2_990)), Next::Wait(ms(3_000)));
        let over = Next::End(client("192.0.2.1:1"), 1, End::Silence);
        assert_eq!(table.next(ms(3_000)), over);
        assert_eq!(table.next(ms(3_000)), Next::Idle);
    }

    /// Two groups cost next to nothing, and the chirp that is wanted when they are earned costs as much as one may.
    #[test]
    fn who_asks_anew_again_and_again_gets_no_more_than_who_asks_once() {
        let wish = Wish {
            low: 1_000_000_000,
            high: 1_000_000_000,
            average: 5_000_000,
            spread: 1_010_000,
            payload: 1_472,
            group: 8,
            duration: 60_000,
        };
        for (every, ends) in [(10, false), (10, true), (50, false), (200, true), (999, true)] {
            let (mut table, mut bits, mut session) = (Table::new(LIMITS), 0.0, 0);
            let here = client("192.0.2.1:1");
            for now in 0..10_000_u64 {
                if now % every == 0 {
                    if ends {
                        table.end(here.peer, session, ms(now));
                    }
                    if let Decision::Accepted { session: new, .. } =
                        table.request(here, now, wish, now, ms(now))
                    {
                        session = new;
                    }
                }
                if now % every == every / 2 {
                    table.feedback(here.peer, session, (1_000, 1_000_000_000), ms(now));
                }
                while let Next::Chirp(order) = table.next(ms(now)) {
                    bits += order.shape.bits();
                }
            }
            assert!(bits <= 50_000_000.0, "every {every} ms: {bits} in 10 s of 5 Mbit/s");
        }
    }

    #[test]
    fn many_that_come_and_go_together_get_no_more_than_all_may() {
        let limits = Limits { sessions: 16, ..LIMITS };
        for every in [30, 100, 300, 1_000] {
            let (mut table, mut bits) = (Table::new(limits), 0.0);
            let peers: Vec<Client> =
                (1..=16).map(|net| client(&format!("192.0.2.{net}:1"))).collect();
            let wish = Wish { average: 2_500_000, duration: 60_000, ..WISH };
            for now in 0..10_000_u64 {
                for (peer, id) in peers.iter().zip(0..).filter(|_| now % every == 0) {
                    table.end(peer.peer, now.saturating_sub(every) * 100 + id, ms(now));
                    table.request(*peer, now, wish, now * 100 + id, ms(now));
                }
                while let Next::Chirp(order) = table.next(ms(now)) {
                    bits += order.shape.bits();
                }
            }
            assert!(bits <= 100_000_000.0, "every {every} ms: {bits} in 10 s of 10 Mbit/s");
        }
    }

    #[test]
    fn long_chirps_leave_the_sender_half_of_its_time_and_short_ones_wait_for_one_of_them_only() {
        let limits = Limits { sessions: 16, per_address: 15, total: 100_000_000, ..LIMITS };
        let mut table = Table::new(limits);
        let wish = Wish { low: 8_224, high: 8_224, average: 5_000_000, duration: 60_000, ..WISH };
        let mut all: Vec<Greedy> = (0..15)
            .map(|session| Greedy {
                session,
                range: (8_224, 8_224),
                ..Greedy::new("192.0.2.1:1", 0)
            })
            .collect();
        let peers: Vec<String> = (1..=15).map(|port| format!("192.0.2.1:{port}")).collect();
        for (it, peer) in all.iter_mut().zip(peers) {
            it.peer = peer.leak();
            table.request(client(it.peer), it.session, wish, it.session, ms(0));
        }
        all.push(Greedy::new("192.0.2.2:1", 99));
        let honest = Wish { duration: 60_000, ..WISH };
        table.request(client("192.0.2.2:1"), 99, honest, 99, ms(0));
        let mut chirps = sent(&mut table, &all, 50_000);
        let honest = chirps.pop().expect("the last one's");
        let long: u64 = chirps.iter().flatten().map(|(_, shape)| shape.length()).sum();
        assert!(long < 30_000_000_000, "{long} ns of 50 s");
        assert!(chirps.iter().all(|it| !it.is_empty()), "each has its turn");
        let gap = honest.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
        assert!(gap < Some(521 + 1_000), "{gap:?} ms");
    }
}
