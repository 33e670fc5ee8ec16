//! Connections that have not yet said what they want. They cost a descriptor and a few octets, no thread; whoever takes
//! too long goes, and when there are too many, one of those who have the most: a thousand that say nothing keep nobody
//! out.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use station::world::peers::party;
use timed_udp::clock::Mono;

/// Newcomers at once.
const MOST: usize = 256;
/// And of one address, of IPv6 of one /64.
const PER_ADDRESS: usize = 64;
/// How long one may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// Those who wait, the oldest first.
#[derive(Debug)]
pub(super) struct Lobby<T> {
    guests: Vec<Guest<T>>,
}

#[derive(Debug)]
pub(super) struct Guest<T> {
    pub(super) address: IpAddr,
    party: IpAddr,
    since: Mono,
    pub(super) what: T,
}

impl<T> Lobby<T> {
    pub(super) const fn new() -> Self {
        Self { guests: Vec::new() }
    }

    /// Takes another one in; whoever has to go for it is given back.
    pub(super) fn admit(&mut self, address: IpAddr, now: Mono, what: T) -> Option<T> {
        let party = party(address);
        let of_it = self.guests.iter().filter(|guest| guest.party == party).count();
        let of_whom = if of_it >= PER_ADDRESS {
            Some(party)
        } else if self.guests.len() >= MOST {
            self.crowd()
        } else {
            None
        };
        let place = of_whom.and_then(|of| self.guests.iter().position(|it| it.party == of));
        let gone = place.map(|place| self.guests.remove(place).what);
        self.guests.push(Guest { address, party, since: now, what });
        gone
    }

    /// Who has the most connections.
    fn crowd(&self) -> Option<IpAddr> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        self.guests.iter().for_each(|guest| *counts.entry(guest.party).or_default() += 1);
        counts.into_iter().max_by_key(|(party, count)| (*count, *party)).map(|(it, _)| it)
    }

    /// Those whose time is over.
    pub(super) fn expired(&mut self, now: Mono) -> Vec<Guest<T>> {
        self.guests.extract_if(.., |guest| now.since(guest.since) >= PATIENCE).collect()
    }

    /// How long until somebody's time is over.
    pub(super) fn patience(&self, now: Mono) -> Duration {
        let first = self.guests.first();
        first.map_or(Duration::from_secs(60), |it| (it.since + PATIENCE).since(now))
    }

    pub(super) fn guests(&self) -> impl Iterator<Item = &Guest<T>> {
        self.guests.iter()
    }

    /// Looks at those of which `is_ready` has a true at their place, and takes out whom `is_done` names.
    pub(super) fn take(
        &mut self,
        is_ready: &[bool],
        mut is_done: impl FnMut(&mut T) -> bool,
    ) -> Vec<Guest<T>> {
        let mut place = 0;
        let looked = |guest: &mut Guest<T>| {
            let ready = is_ready.get(place).copied().unwrap_or(false);
            place += 1;
            ready && is_done(&mut guest.what)
        };
        self.guests.extract_if(.., looked).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> IpAddr {
        [192, 0, 2, u8::try_from(number).expect("small")].into()
    }

    #[test]
    fn who_comes_in_crowds_makes_room_and_nobody_else() {
        let mut lobby = Lobby::new();
        assert_eq!(lobby.admit(address(1), Mono(0), 1_000), None);
        for number in 0..PER_ADDRESS {
            assert_eq!(lobby.admit(address(2), Mono(1), number), None);
        }
        assert_eq!(lobby.admit(address(2), Mono(2), 64), Some(0), "its own oldest");
        for other in 3..200 {
            lobby.admit(address(other), Mono(3), 0);
        }
        assert_eq!(lobby.guests().count(), MOST);
        assert_eq!(lobby.admit(address(201), Mono(4), 0), Some(7), "the crowd's, not the oldest");
        assert!(lobby.guests().any(|guest| guest.address == address(1)));
    }

    #[test]
    fn all_addresses_of_a_net_of_ipv6_are_one_crowd() {
        let mut lobby = Lobby::new();
        let six = |number: u16| [0x2001, 0xdb8, 0, 0, number, number, 0, number].into();
        for number in 0..64 {
            assert_eq!(lobby.admit(six(number), Mono(0), number), None);
        }
        assert_eq!(lobby.admit(six(64), Mono(1), 64), Some(0));
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut lobby = Lobby::new();
        lobby.admit(address(1), Mono(0), 1);
        let later = Mono(0) + Duration::from_secs(4);
        lobby.admit(address(2), later, 2);
        assert_eq!(lobby.patience(later), Duration::from_secs(6));
        let gone = lobby.expired(Mono(0) + PATIENCE);
        assert_eq!(gone.iter().map(|it| it.what).collect::<Vec<_>>(), [1]);
        let taken = lobby.take(&[true], |what| *what == 2);
        assert_eq!(taken.len(), 1);
    }
}
