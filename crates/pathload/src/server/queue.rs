//! Who is measured next: one at a time, as two would measure each other, in the order of their coming, an address once.
//! Pure.

use std::{collections::VecDeque, net::IpAddr};

use station::world::peers::party;

/// A client's place in the queue is kept by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The address has one already.
    Twice,
    /// All are taken.
    Full,
}

/// The client that is measured, and behind it those that wait.
#[derive(Debug)]
pub(super) struct Queue {
    places: VecDeque<(u64, IpAddr)>,
    most: usize,
    next: u64,
}

impl Queue {
    /// With room for so many, the one that is measured among them.
    pub(super) fn new(most: usize) -> Self {
        Self { places: VecDeque::new(), most, next: 0 }
    }

    /// Takes a place at its end.
    pub(super) fn enter(&mut self, address: IpAddr) -> Result<Ticket, Refusal> {
        let address = party(address);
        if self.places.iter().any(|(_, other)| *other == address) {
            return Err(Refusal::Twice);
        }
        if self.places.len() >= self.most {
            return Err(Refusal::Full);
        }
        self.next += 1;
        self.places.push_back((self.next, address));
        Ok(Ticket(self.next))
    }

    /// How many are before.
    pub(super) fn before(&self, ticket: Ticket) -> usize {
        self.places.iter().take_while(|(id, _)| *id != ticket.0).count()
    }

    /// Gives a place back.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.places.retain(|(id, _)| *id != ticket.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn clients_come_in_their_order_and_who_leaves_makes_room() {
        let mut queue = Queue::new(3);
        let tickets = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
            .map(|it| queue.enter(address(it)).expect("a place"));
        assert_eq!(tickets.map(|ticket| queue.before(ticket)), [0, 1, 2]);
        assert_eq!(queue.enter(address("192.0.2.4")), Err(Refusal::Full));
        queue.leave(tickets[1]);
        assert_eq!(queue.before(tickets[2]), 1);
        queue.leave(tickets[0]);
        assert_eq!(queue.before(tickets[2]), 0);
        assert!(queue.enter(address("192.0.2.4")).is_ok());
    }

    #[test]
    fn an_address_has_one_place_and_a_net_of_ipv6_too() {
        let mut queue = Queue::new(9);
        let first = queue.enter(address("2001:db8::1")).expect("a place");
        assert_eq!(queue.enter(address("2001:db8::2")), Err(Refusal::Twice));
        assert!(queue.enter(address("2001:db8:0:1::1")).is_ok());
        assert!(queue.enter(address("::ffff:192.0.2.1")).is_ok());
        assert_eq!(queue.enter(address("192.0.2.1")), Err(Refusal::Twice));
        queue.leave(first);
        assert!(queue.enter(address("2001:db8::2")).is_ok());
    }
}
