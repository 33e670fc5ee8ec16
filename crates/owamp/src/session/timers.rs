//! When each session is to be looked after next: one heap for all.

use std::{cmp::Reverse, collections::BinaryHeap};

use timed_udp::clock::Mono;

/// Which session, and which of the sessions that had its place one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Token {
    pub(super) place: u32,
    pub(super) life: u32,
}

impl Token {
    pub(super) const fn to_u64(self) -> u64 {
        (self.life as u64) << 32 | self.place as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "two halves")]
    pub(super) const fn from_u64(value: u64) -> Self {
        Self { place: value as u32, life: (value >> 32) as u32 }
    }
}

/// The alarms. One that was set anew stays in the heap, and is known by its time to be an old one.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Mono, Token)>>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Mono, token: Token) {
        self.heap.push(Reverse((at, token)));
    }

    pub(super) fn next(&self) -> Option<Mono> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The first alarm that is due at `now`.
    pub(super) fn pop(&mut self, now: Mono) -> Option<(Mono, Token)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(alarm)| alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_go_off_in_the_order_of_their_times() {
        let mut timers = Timers::default();
        let token = |place| Token { place, life: 7 };
        for (at, place) in [(30, 3), (10, 1), (20, 2)] {
            timers.set(Mono(at), token(place));
        }
        assert_eq!(timers.pop(Mono(9)), None);
        assert_eq!(timers.pop(Mono(20)), Some((Mono(10), token(1))));
        assert_eq!(timers.pop(Mono(20)), Some((Mono(20), token(2))));
        assert_eq!((timers.pop(Mono(20)), timers.next()), (None, Some(Mono(30))));
        assert_eq!(Token::from_u64(token(9).to_u64()), token(9));
    }
}
