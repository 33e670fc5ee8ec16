//! Requests of which the session is over: the same again, which somebody may have recorded, begins none while its cookie
//! is good.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use station::world::peers::party;
use timed_udp::clock::Mono;

use crate::protocol::cookie;

/// The most of all. Who has got so many nets' cookies can have the oldest forgotten before their time.
const MOST: usize = 4_096;
/// The most of an address, of IPv6 of a /64: it begins no more sessions until some are forgotten.
pub(super) const MOST_OF_NET: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Past {
    /// Whose, which, and when it was over.
    all: VecDeque<(SocketAddr, u64, Mono)>,
}

impl Past {
    pub(super) fn has(&self, peer: SocketAddr, nonce: u64) -> bool {
        self.all.iter().any(|it| (it.0, it.1) == (peer, nonce))
    }

    pub(super) fn add(&mut self, peer: SocketAddr, nonce: u64, now: Mono) {
        self.forget(now);
        if self.all.len() >= MOST {
            self.all.pop_front();
        }
        self.all.push_back((peer, nonce, now));
    }

    /// Forgets those whose cookies are of no use any more.
    pub(super) fn forget(&mut self, now: Mono) {
        while self.all.front().is_some_and(|it| now.since(it.2) >= cookie::LIFE) {
            self.all.pop_front();
        }
    }

    /// If a net has as many as one may: when it has not, seconds from now.
    pub(super) fn full_for(&self, of: IpAddr, now: Mono) -> Option<u32> {
        let mut its = self.all.iter().filter(|it| party(it.0.ip()) == of).map(|it| it.2);
        let oldest = its.next()?;
        let left = (oldest + cookie::LIFE).since(now).as_secs() + 1;
        (its.count() + 1 >= MOST_OF_NET).then(|| u32::try_from(left).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(number: u64) -> Mono {
        Mono(number * 1_000_000_000)
    }

    fn peer(net: usize, port: u16) -> SocketAddr {
        let net = u32::try_from(net).expect("small");
        SocketAddr::new(IpAddr::V4(net.into()), port)
    }

    #[test]
    fn a_request_is_remembered_as_long_as_its_cookie_is_good_and_no_longer() {
        let mut past = Past::default();
        past.add(peer(1, 1), 7, seconds(100));
        past.forget(seconds(131));
        assert!(past.has(peer(1, 1), 7));
        assert!(!past.has(peer(1, 2), 7) && !past.has(peer(1, 1), 8));
        past.forget(seconds(132));
        assert!(!past.has(peer(1, 1), 7));
    }

    #[test]
    fn who_ends_one_after_the_other_has_to_wait_and_nobody_else_has_and_nothing_grows() {
        let mut past = Past::default();
        for nonce in 0..MOST_OF_NET as u64 {
            assert_eq!(past.full_for(peer(1, 1).ip(), seconds(110)), None);
            past.add(peer(1, 1), nonce, seconds(100));
        }
        assert_eq!(past.full_for(peer(1, 9).ip(), seconds(110)), Some(23));
        assert_eq!(past.full_for(peer(2, 1).ip(), seconds(110)), None);
        (0..10_000).for_each(|net| past.add(peer(net, 1), 5, seconds(111)));
        assert_eq!(past.all.len(), MOST);
    }
}
