//! Keys are made of passphrases one at a time: each takes a core for a while, and the thread that keeps the time of
//! test packets has to have one.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::who::Who;

/// Who waits for his turn, in order; the first one has it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queue: Mutex<Queue>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    here: BTreeMap<u64, Who>,
}

impl Queue {
    fn first(&self) -> Option<u64> {
        self.here.keys().next().copied()
    }
}

/// It is one's turn, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    number: u64,
}

/// How many of one client may wait: who sends hundreds at once holds up others for as long as these take.
const MOST: usize = 32;
/// How long one waits at most: the client's first message is answered within 10 s.
const LONGEST: Duration = Duration::from_secs(5);

impl Turns {
    /// Waits for a turn; none if too many of this client wait, or it takes too long.
    pub(super) fn take(&self, who: Who) -> Option<Turn<'_>> {
        let mut queue = self.queue();
        if queue.here.values().filter(|other| **other == who).count() >= MOST {
            return None;
        }
        let number = queue.next;
        queue.next += 1;
        queue.here.insert(number, who);
        // Dropped without having come to it, it leaves the queue.
        let turn = Turn { turns: self, number };
        let waited = self
            .moved
            .wait_timeout_while(queue, LONGEST, |queue| queue.first() != Some(number))
            .unwrap_or_else(PoisonError::into_inner);
        let is_first = waited.0.first() == Some(number);
        drop(waited);
        is_first.then_some(turn)
    }

    /// How many wait or have their turn.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.queue().here.len()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.queue().here.remove(&self.number);
        self.turns.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, thread};

    use super::*;

    fn until(is_so: impl Fn() -> bool) {
        while !is_so() {
            thread::yield_now();
        }
    }

    #[test]
    fn they_come_one_after_the_other_and_who_sends_hundreds_has_few_of_them_wait() {
        let turns = Turns::default();
        let (one, other) = (Who::at([192, 0, 2, 1].into()), Who::at([192, 0, 2, 2].into()));
        let held = turns.take(one).expect("nobody else is there");
        let (tell, told) = channel();
        thread::scope(|scope| {
            let come = |who: Who, count| {
                let tell = tell.clone();
                let turns = &turns;
                scope.spawn(move || {
                    let turn = turns.take(who).expect("in time");
                    tell.send(who).expect("heard");
                    drop(turn);
                });
                until(|| turns.count() == count);
            };
            (2..=MOST).for_each(|count| come(one, count));
            assert!(turns.take(one).is_none(), "too many of it wait");
            come(other, MOST + 1);
            assert!(told.try_recv().is_err(), "it is nobody's turn yet");
            drop(held);
        });
        drop(tell);
        let order: Vec<_> = told.iter().collect();
        assert_eq!((order.len(), order.last()), (MOST, Some(&other)), "in the order they came");
        assert_eq!(turns.count(), 0);
    }
}
