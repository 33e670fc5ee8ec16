//! The packets of a receiving session that are not decided yet: due, or soon to be, and not yet past their time-out.
//! Memory is for these alone, so a session may go on for ever.

use std::collections::VecDeque;

use super::timetable::Timetable;

/// The most packets that are undecided at one time: 36 MB. A schedule that has more within two time-outs is one
/// that no receiver was meant to keep up with; packets beyond are refused until there is room.
pub(crate) const MOST_OPEN: usize = 4_000_000;
/// Octets that each of them takes.
pub(crate) const OPEN: usize = 9;
/// Packets that are taken in at one time: other sessions have their turn in between.
pub(super) const AT_ONCE: usize = 10_000;

/// The undecided packets, in order of their numbers.
#[derive(Debug)]
pub(super) struct Window {
    timetable: Timetable,
    /// The number of the first undecided packet; beyond the last number of all when all are decided.
    first: u64,
    due: VecDeque<u64>,
    copies: VecDeque<u8>,
    is_complete: bool,
    most: usize,
}

/// A packet whose time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decided {
    /// Its number.
    pub number: u32,
    /// When it was due, units of 2^-32 s after the start.
    pub due: u64,
    /// Whether it came.
    pub came: bool,
}

/// How a number stands to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Its time has passed.
    Passed,
    /// It is undecided, due so many units after the start, and came so many times before.
    Open {
        /// Units of 2^-32 s.
        due: u64,
        /// 255 if it is more.
        copies: u8,
    },
    /// It is not due yet, nor soon.
    Ahead,
    /// There is no such packet in the session.
    Beyond,
}

impl Window {
    /// Of all packets of a timetable.
    #[must_use]
    pub(super) fn new(timetable: Timetable) -> Self {
        Self {
            timetable,
            first: 0,
            due: VecDeque::new(),
            copies: VecDeque::new(),
            is_complete: false,
            most: MOST_OPEN,
        }
    }

    /// Takes in the packets that are due until `horizon`, and the first one after it; [`AT_ONCE`] at most. Whether
    /// there are more.
    pub(super) fn extend(&mut self, horizon: u64) -> bool {
        for _ in 0..AT_ONCE {
            if !self.wants(horizon) {
                return false;
            }
            // The numbers end with 2^32 - 1.
            let number = self.first + self.due.len() as u64;
            match self.timetable.next_due().filter(|_| u32::try_from(number).is_ok()) {
                Some(due) => {
                    self.due.push_back(due);
                    self.copies.push_back(0);
                }
                None => self.is_complete = true,
            }
        }
        self.wants(horizon)
    }

    fn wants(&self, horizon: u64) -> bool {
        !self.is_complete
            && self.due.len() < self.most
            && self.due.back().is_none_or(|last| *last <= horizon)
    }

    /// Where a number lies.
    #[must_use]
    pub(super) fn place(&self, number: u32) -> Place {
        let Some(index) = self.index(number) else { return Place::Passed };
        match (self.due.get(index), self.copies.get(index)) {
            (Some(due), Some(copies)) => Place::Open { due: *due, copies: *copies },
            _ if self.is_complete => Place::Beyond,
            _ => Place::Ahead,
        }
    }

    /// An open packet came.
    pub(super) fn mark(&mut self, number: u32) {
        let index = self.index(number);
        if let Some(copies) = index.and_then(|index| self.copies.get_mut(index)) {
            *copies = copies.saturating_add(1);
        }
    }

    /// The next packet that is decided because it was due before `limit`.
    pub(super) fn pass(&mut self, limit: u64) -> Option<Decided> {
        if *self.due.front()? >= limit {
            return None;
        }
        let (due, copies) = (self.due.pop_front()?, self.copies.pop_front()?);
        let number = u32::try_from(self.first).ok()?;
        self.first += 1;
        Some(Decided { number, due, came: copies > 0 })
    }

    /// When the last packet of all is due; none as long as that is far ahead.
    #[must_use]
    pub(super) fn last_due(&self) -> Option<u64> {
        self.due.back().copied().filter(|_| self.is_complete)
    }

    /// Whether all packets are decided.
    #[must_use]
    pub(super) fn is_over(&self) -> bool {
        self.is_complete && self.due.is_empty()
    }

    /// Whether all numbers below `next` are decided or came.
    #[must_use]
    pub(super) fn is_settled(&self, next: u32) -> bool {
        let open = self.index(next).unwrap_or(0);
        let open = if self.is_complete { open.min(self.copies.len()) } else { open };
        open <= self.copies.len() && self.copies.iter().take(open).all(|copies| *copies > 0)
    }

    /// How many are undecided.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.due.len()
    }

    fn index(&self, number: u32) -> Option<usize> {
        usize::try_from(u64::from(number).checked_sub(self.first)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_ten_every_100() -> Window {
        Window::new(Timetable::new((1..=10).map(|number| number * 100)))
    }

    #[test]
    fn it_holds_what_is_due_and_forgets_what_has_passed() {
        let mut window = of_ten_every_100();
        window.extend(250);
        assert_eq!(window.place(2), Place::Open { due: 300, copies: 0 });
        assert_eq!(window.place(3), Place::Ahead);
        window.mark(1);
        assert_eq!(window.place(1), Place::Open { due: 200, copies: 1 });
        let passed: Vec<_> = std::iter::from_fn(|| window.pass(250)).collect();
        let decided = |number, due, came| Decided { number, due, came };
        assert_eq!(passed, [decided(0, 100, false), decided(1, 200, true)]);
        assert_eq!(window.place(1), Place::Passed);
    }

    #[test]
    fn it_ends_with_the_last_packet() {
        let mut window = of_ten_every_100();
        window.extend(900);
        assert_eq!(window.last_due(), None, "the end was not seen yet");
        window.extend(2_000);
        assert_eq!((window.last_due(), window.place(10)), (Some(1_000), Place::Beyond));
        assert_eq!(std::iter::from_fn(|| window.pass(u64::MAX)).count(), 10);
        assert!(window.is_over());
    }

    #[test]
    fn a_schedule_without_gaps_does_not_fill_the_memory() {
        let mut window = Window::new(Timetable::new(std::iter::repeat(0)));
        window.most = 1_000;
        window.extend(5);
        assert_eq!((window.due.len(), window.place(1_000)), (1_000, Place::Ahead));
        assert!(window.pass(1).is_some());
        window.extend(5);
        assert!(matches!(window.place(1_000), Place::Open { .. }));
    }

    #[test]
    fn many_packets_are_taken_in_by_and_by() {
        let mut window = Window::new(Timetable::new(1..=25_000));
        assert_eq!([(); 4].map(|()| window.extend(30_000)), [true, true, false, false]);
        assert_eq!((window.due.len(), window.last_due()), (25_000, Some(25_000)));
    }

    #[test]
    fn all_below_a_number_is_settled_when_it_came_or_its_time_has_passed() {
        let mut window = of_ten_every_100();
        assert!(window.is_settled(0) && !window.is_settled(1), "nothing is known of it yet");
        window.extend(2_000);
        window.mark(1);
        assert!(!window.is_settled(2));
        assert!(window.pass(101).is_some());
        assert!(window.is_settled(2) && window.is_settled(0) && !window.is_settled(3));
        (2..10).for_each(|number| window.mark(number));
        assert!(window.is_settled(u32::MAX), "there are no more");
    }

    #[test]
    fn numbers_end_where_they_no_longer_fit_a_packet() {
        let mut window = Window::new(Timetable::new(1..));
        window.first = u64::from(u32::MAX);
        window.extend(10);
        assert!(matches!(window.place(u32::MAX), Place::Open { .. }));
        assert!(window.pass(u64::MAX).is_some() && window.is_over());
    }
}
