//! Which control connections there are. When there are too many, the oldest that has not yet said who it is goes; if
//! all have, one that has no sessions going on, of whoever has the most connections: a thousand that say nothing, or
//! nothing more, keep nobody out.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::who::Who;

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It has not said who it is.
    Silent,
    /// It has.
    Known,
    /// Its sessions go on, or it fetches what they left: it is left alone.
    AtWork,
}

/// A connection.
#[derive(Debug)]
struct Guest {
    who: Who,
    state: State,
    stream: TcpStream,
}

/// All connections, by the order in which they came.
#[derive(Debug)]
pub(super) struct Doors {
    most: usize,
    per_client: usize,
    guests: Mutex<Guests>,
}

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    here: BTreeMap<u64, Guest>,
}

/// A place; dropped, it is free.
#[derive(Debug)]
pub(super) struct Place {
    doors: Arc<Doors>,
    number: u64,
}

impl Doors {
    pub(super) fn new(most: usize, per_client: usize) -> Arc<Self> {
        Arc::new(Self { most, per_client, guests: Mutex::default() })
    }

    /// A place for a connection; and how far one had come that had to go for it. None if all others are at work.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        stream: &TcpStream,
    ) -> Option<(Place, Option<State>)> {
        // A descriptor more, which lives as long as the place.
        let stream = stream.try_clone().ok()?;
        let who = Who::at(address);
        let mut guests = self.guests();
        let of_it = guests.here.values().filter(|guest| guest.who == who).count();
        let gone = if of_it >= self.per_client {
            Some(send_away(&mut guests.here, Some(who))?)
        } else if guests.here.len() >= self.most {
            Some(send_away(&mut guests.here, None)?)
        } else {
            None
        };
        let number = guests.next;
        guests.next += 1;
        guests.here.insert(number, Guest { who, state: State::Silent, stream });
        Some((Place { doors: Arc::clone(self), number }, gone))
    }

    /// Ends all connections.
    pub(super) fn close(&self) {
        for guest in self.guests().here.values() {
            let _ = guest.stream.shutdown(Shutdown::Both);
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.guests().here.len()
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a connection of this client, or of any, that is not at work; how far it had come.
fn send_away(here: &mut BTreeMap<u64, Guest>, whose: Option<Who>) -> Option<State> {
    let is_meant = |guest: &Guest| whose.is_none_or(|who| guest.who == who);
    let of = |state| move |(_, guest): &(&u64, &Guest)| guest.state == state && is_meant(guest);
    let silent = here.iter().find(of(State::Silent)).map(|(number, _)| *number);
    let number = silent.or_else(|| {
        let mut counts: HashMap<Who, usize> = HashMap::new();
        for guest in here.values() {
            *counts.entry(guest.who).or_default() += 1;
        }
        let idle = here.iter().filter(of(State::Known));
        let most = idle.max_by_key(|(number, guest)| (counts.get(&guest.who), Reverse(**number)));
        most.map(|(number, _)| *number)
    })?;
    let guest = here.remove(&number)?;
    // Its thread wakes, finds the end, and goes.
    let _ = guest.stream.shutdown(Shutdown::Both);
    Some(guest.state)
}

impl Place {
    /// The client has come so far.
    pub(super) fn is(&self, state: State) {
        if let Some(guest) = self.doors.guests().here.get_mut(&self.number) {
            guest.state = state;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.doors.guests().here.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpListener};

    use super::*;

    /// Connections, both ends.
    fn connections() -> impl FnMut() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        move || {
            let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("there");
            (client, listener.accept().expect("a connection").0)
        }
    }

    fn is_over(client: &mut TcpStream) -> bool {
        client.set_nonblocking(true).expect("a socket");
        matches!(client.read(&mut [0]), Ok(0))
    }

    #[test]
    fn the_oldest_silent_one_goes_for_a_newcomer_then_an_idle_one_and_none_that_is_at_work() {
        let mut connect = connections();
        let doors = Doors::new(3, 2);
        let (one, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let ((mut a, a_here), (_b, b_here), (_c, c_here)) = (connect(), connect(), connect());
        let (_first, went) = doors.admit(one, &a_here).expect("room");
        assert_eq!(went, None);
        let (second, _) = doors.admit(one, &b_here).expect("room");
        second.is(State::AtWork);
        let (third, went) = doors.admit(one, &c_here).expect("the first goes");
        assert_eq!((went, is_over(&mut a)), (Some(State::Silent), true));
        third.is(State::AtWork);
        let (_d, d_here) = connect();
        assert!(doors.admit(one, &d_here).is_none(), "both are at work");
        let (_fourth, went) = doors.admit(other, &d_here).expect("room");
        assert_eq!(went, None);
        second.is(State::Known);
        let (_e, e_here) = connect();
        let (_fifth, went) = doors.admit(one, &e_here).expect("the second goes");
        assert_eq!(went, Some(State::Known));
        drop(second);
        assert_eq!(doors.count(), 3);
    }

    #[test]
    fn who_opens_many_connections_and_says_no_more_loses_them_to_others() {
        let mut connect = connections();
        let doors = Doors::new(8, 4);
        let at = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut stay = Vec::new();
        let mut come = |address| {
            let (client, here) = connect();
            let (place, went) = doors.admit(address, &here)?;
            place.is(State::Known);
            stay.push((client, place));
            Some(went)
        };
        assert_eq!(come(at("192.0.2.1")), Some(None), "the oldest of all, and honest");
        // One host has as many addresses as it likes, of one net.
        for last in 1..=4 {
            assert_eq!(come(at(&format!("2001:db8::{last}"))), Some(None));
        }
        assert_eq!(come(at("2001:db8::5")), Some(Some(State::Known)), "one of its own");
        for _ in 0..3 {
            assert_eq!(come(at("192.0.2.2")), Some(None));
        }
        assert_eq!(come(at("192.0.2.3")), Some(Some(State::Known)));
        assert!(!is_over(&mut stay[0].0), "who has one connection keeps it");
        let mut over = Vec::new();
        for (number, (client, _)) in stay.iter_mut().enumerate() {
            over.extend(is_over(client).then_some(number));
        }
        assert_eq!(over, [1, 2], "the oldest of who has the most");
    }
}
