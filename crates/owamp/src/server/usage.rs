//! What classes use: taken before a session is granted, given back by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::classes::{Class, Classes};
use crate::protocol::Accept;

/// What something uses of a class and of all its parents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    /// Bits a second.
    pub(super) bandwidth: u64,
    /// Octets of records.
    pub(super) disk: u64,
    /// Test sessions.
    pub(super) sessions: u64,
}

/// Why there is not so much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooMuch {
    /// What a client is answered: whether it may try again.
    pub(super) accept: Accept,
    /// For the log.
    pub(super) why: String,
}

/// What all classes use.
#[derive(Debug)]
pub(super) struct Usage {
    classes: Arc<Classes>,
    used: Mutex<Vec<Amount>>,
}

impl Usage {
    pub(super) fn new(classes: Arc<Classes>) -> Arc<Self> {
        let used = Mutex::new(vec![Amount::default(); classes.len()]);
        Arc::new(Self { classes, used })
    }

    /// Takes so much for a class, as long as what is given back lives.
    ///
    /// # Errors
    /// A limit of the class, or of one of its parents, is in the way.
    pub(super) fn take(self: &Arc<Self>, class: usize, amount: Amount) -> Result<Taken, TooMuch> {
        let mut used = self.used();
        for (place, class) in self.classes.line_of(class) {
            room(class, used[place], amount)?;
        }
        for (place, _) in self.classes.line_of(class) {
            used[place].add(amount);
        }
        Ok(Taken { usage: Arc::clone(self), class, amount })
    }

    /// A panic elsewhere leaves numbers that are right: they are changed by plain sums.
    fn used(&self) -> MutexGuard<'_, Vec<Amount>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Amount {
    fn add(&mut self, more: Self) {
        self.bandwidth += more.bandwidth;
        self.disk += more.disk;
        self.sessions += more.sessions;
    }

    fn sub(&mut self, less: Self) {
        self.bandwidth -= less.bandwidth;
        self.disk -= less.disk;
        self.sessions -= less.sessions;
    }
}

fn room(class: &Class, used: Amount, more: Amount) -> Result<(), TooMuch> {
    let each = [
        ("bandwidth, bit/s", class.bandwidth, used.bandwidth, more.bandwidth),
        ("disk, octets", class.disk, used.disk, more.disk),
        ("test sessions", class.sessions, used.sessions, more.sessions),
    ];
    for (what, limit, used, more) in each {
        let Some(limit) = limit else { continue };
        if used.checked_add(more).is_none_or(|sum| sum > limit) {
            let ever = more <= limit;
            let accept = if ever { Accept::TemporaryLimit } else { Accept::PermanentLimit };
            let name = &class.name;
            let why = format!("class {name} has {limit} ({what}), {used} in use, {more} asked for");
            return Err(TooMuch { accept, why });
        }
    }
    Ok(())
}

/// Something taken. Dropped, it is given back.
#[derive(Debug)]
pub(super) struct Taken {
    usage: Arc<Usage>,
    class: usize,
    amount: Amount,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut used = self.usage.used();
        for (place, _) in self.usage.classes.line_of(self.class) {
            used[place].sub(self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::secrets::Secrets;

    #[test]
    fn what_is_taken_is_taken_of_parents_too_and_given_back() {
        let text = "limit root with bandwidth=100, sessions=3\nlimit a with parent=root, bandwidth=80\n\
                    limit b with parent=root, bandwidth=80\n";
        let (classes, mistakes) = super::super::classes::parse(text, &Secrets::default());
        assert_eq!(mistakes, []);
        let usage = Usage::new(Arc::new(classes));
        let bits = |bandwidth| Amount { bandwidth, ..Amount::default() };
        let first = usage.take(1, bits(60)).expect("room");
        assert_eq!(usage.take(1, bits(30)).expect_err("its own").accept, Accept::TemporaryLimit);
        assert_eq!(usage.take(2, bits(50)).expect_err("the root's").accept, Accept::TemporaryLimit);
        assert_eq!(usage.take(2, bits(90)).expect_err("ever").accept, Accept::PermanentLimit);
        assert!(usage.take(2, bits(u64::MAX)).is_err());
        let second = usage.take(2, bits(40)).expect("room");
        drop(first);
        let third = usage.take(2, bits(40)).expect("room again");
        drop((second, third));
        assert_eq!(*usage.used(), vec![Amount::default(); 3]);
    }
}
