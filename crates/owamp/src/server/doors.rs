//! Which control connections there are. When there are too many, the oldest that has not yet said who it is goes:
//! a thousand that say nothing keep nobody out.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A connection.
#[derive(Debug)]
struct Guest {
    address: IpAddr,
    is_known: bool,
    stream: TcpStream,
}

/// All connections, by the order in which they came.
#[derive(Debug)]
pub(super) struct Doors {
    most: usize,
    per_address: usize,
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
    pub(super) fn new(most: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { most, per_address, guests: Mutex::default() })
    }

    /// A place for a connection; whether another one had to go for it. None if all others are at work.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        stream: &TcpStream,
    ) -> Option<(Place, bool)> {
        // A descriptor more, which lives as long as the place.
        let stream = stream.try_clone().ok()?;
        let mut guests = self.guests();
        let of_it = guests.here.values().filter(|guest| guest.address == address).count();
        let of_whom = if of_it >= self.per_address {
            Some(Some(address))
        } else if guests.here.len() >= self.most {
            Some(None)
        } else {
            None
        };
        if let Some(of_whom) = of_whom {
            send_away(&mut guests.here, of_whom)?;
        }
        let number = guests.next;
        guests.next += 1;
        guests.here.insert(number, Guest { address, is_known: false, stream });
        Some((Place { doors: Arc::clone(self), number }, of_whom.is_some()))
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

/// Ends the oldest connection of this address, or of any, whose client is not known.
fn send_away(here: &mut BTreeMap<u64, Guest>, address: Option<IpAddr>) -> Option<()> {
    let is_meant = |guest: &Guest| address.is_none_or(|address| guest.address == address);
    let (number, guest) = here.iter().find(|(_, guest)| !guest.is_known && is_meant(guest))?;
    let number = *number;
    // Its thread wakes, finds the end, and goes.
    let _ = guest.stream.shutdown(Shutdown::Both);
    here.remove(&number);
    Some(())
}

impl Place {
    /// The client has said who it is: it is not sent away any more.
    pub(super) fn is_known(&self) {
        if let Some(guest) = self.doors.guests().here.get_mut(&self.number) {
            guest.is_known = true;
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

    #[test]
    fn the_oldest_silent_one_goes_for_a_newcomer_and_nobody_who_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let connect = || {
            let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("there");
            (client, listener.accept().expect("a connection").0)
        };
        let doors = Doors::new(3, 2);
        let (one, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let ((mut a, a_here), (_b, b_here), (_c, c_here)) = (connect(), connect(), connect());
        let (_first, went) = doors.admit(one, &a_here).expect("room");
        assert!(!went);
        let (second, _) = doors.admit(one, &b_here).expect("room");
        second.is_known();
        let (third, went) = doors.admit(one, &c_here).expect("the first goes");
        assert!(went);
        assert_eq!(a.read(&mut [0]).expect("the end"), 0);
        third.is_known();
        let (_d, d_here) = connect();
        assert!(doors.admit(one, &d_here).is_none(), "both are known");
        let (_fourth, went) = doors.admit(other, &d_here).expect("room");
        assert!(!went);
        drop(second);
        assert_eq!(doors.count(), 2);
    }
}
