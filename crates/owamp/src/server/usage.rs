//! What classes use, and which client of it how much: taken before a session is granted, given back by itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use station::world::clock::Monotonic;

use super::{
    classes::{Class, Classes, SHARE},
    patience::now,
    share::{Limit, TooMuch},
    who::Who,
};

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

/// What all classes use.
#[derive(Debug)]
pub(super) struct Usage {
    classes: Arc<Classes>,
    /// How many ports there are for test packets; none: as many as the system has.
    ports: Option<u64>,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// One of each class, and one of all sessions, which have a port each.
    accounts: Vec<Account>,
    /// What was given back before its time.
    owed: Vec<(Monotonic, Entry)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Account {
    all: Amount,
    of: HashMap<Who, Amount>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    class: usize,
    who: Who,
    amount: Amount,
}

impl Usage {
    /// Nothing is used yet. Sessions have ports of their own, of so many.
    pub(super) fn new(classes: Arc<Classes>, ports: Option<u64>) -> Arc<Self> {
        let accounts = vec![Account::default(); classes.len() + 1];
        let books = Mutex::new(Books { accounts, owed: Vec::new() });
        Arc::new(Self { classes, ports, books })
    }

    /// Takes so much for a client of a class, as long as what is given back lives.
    ///
    /// # Errors
    /// A limit of the class, or of one of its parents, is in the way, or the client's share of it.
    pub(super) fn take(
        self: &Arc<Self>,
        class: usize,
        who: Who,
        amount: Amount,
    ) -> Result<Taken, TooMuch> {
        let mut books = self.books();
        self.settle(&mut books);
        for (place, class) in self.classes.line_of(class) {
            books.accounts[place].room(class, who, amount)?;
        }
        if let (Some(ports), Some(all)) = (self.ports, books.accounts.last()) {
            // Each address of ours has them all: only the share counts.
            Limit { of: "the server", what: "test ports", most: ports, share: SHARE }.share(
                who,
                (all.all.sessions, all.of(who).sessions),
                amount.sessions,
            )?;
        }
        let entry = Entry { class, who, amount };
        self.each(&mut books, class, |account| account.add(entry));
        Ok(Taken { usage: Arc::clone(self), entry, until: None })
    }

    /// Gives back what was owed until now.
    fn settle(&self, books: &mut Books) {
        let now = now();
        let (owed, over) = std::mem::take(&mut books.owed).into_iter().partition(|it| it.0 > now);
        books.owed = owed;
        let over: Vec<(Monotonic, Entry)> = over;
        for (_, entry) in over {
            self.each(books, entry.class, |account| account.sub(entry));
        }
    }

    fn each(&self, books: &mut Books, class: usize, mut change: impl FnMut(&mut Account)) {
        for (place, _) in self.classes.line_of(class) {
            change(&mut books.accounts[place]);
        }
        books.accounts.last_mut().map(change);
    }

    /// A panic elsewhere leaves numbers that are right: they are changed by plain sums.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Account {
    fn of(&self, who: Who) -> Amount {
        self.of.get(&who).copied().unwrap_or_default()
    }

    fn add(&mut self, entry: Entry) {
        self.all.add(entry.amount);
        self.of.entry(entry.who).or_default().add(entry.amount);
    }

    fn sub(&mut self, entry: Entry) {
        self.all.sub(entry.amount);
        if let Some(of) = self.of.get_mut(&entry.who) {
            of.sub(entry.amount);
            if *of == Amount::default() {
                self.of.remove(&entry.who);
            }
        }
    }

    fn room(&self, class: &Class, who: Who, more: Amount) -> Result<(), TooMuch> {
        let (all, of) = (self.all, self.of(who));
        let each = [
            ("bandwidth, bit/s", class.bandwidth, (all.bandwidth, of.bandwidth), more.bandwidth),
            ("disk, octets", class.disk, (all.disk, of.disk), more.disk),
            ("test sessions", class.sessions, (all.sessions, of.sessions), more.sessions),
        ];
        for (what, most, used, more) in each {
            let Some(most) = most else { continue };
            let limit = Limit { of: &class.name, what, most, share: class.share };
            limit.all(used.0, more)?;
            limit.share(who, used, more)?;
        }
        Ok(())
    }
}

/// Something taken. Dropped, it is given back.
#[derive(Debug)]
pub(super) struct Taken {
    usage: Arc<Usage>,
    entry: Entry,
    until: Option<Monotonic>,
}

impl Taken {
    /// Its bandwidth is given back then at the earliest.
    pub(super) fn hold_until(&mut self, until: Monotonic) {
        self.until = Some(until);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut entry = self.entry;
        let mut books = self.usage.books();
        if let Some(until) = self.until.filter(|until| *until > now()) {
            let bandwidth = std::mem::take(&mut entry.amount.bandwidth);
            let held = Amount { bandwidth, ..Amount::default() };
            books.owed.push((until, Entry { amount: held, ..entry }));
        }
        self.usage.each(&mut books, entry.class, |account| account.sub(entry));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{protocol::Accept, server::secrets::Secrets};

    fn usage(text: &str, ports: Option<u64>) -> Arc<Usage> {
        let (classes, mistakes) = super::super::classes::parse(text, &Secrets::default());
        assert_eq!(mistakes, []);
        Usage::new(Arc::new(classes), ports)
    }

    fn who(last: u8) -> Who {
        Who::at([192, 0, 2, last].into())
    }

    fn bits(bandwidth: u64) -> Amount {
        Amount { bandwidth, ..Amount::default() }
    }

    fn sessions(sessions: u64) -> Amount {
        Amount { sessions, ..Amount::default() }
    }

    fn is_empty(usage: &Arc<Usage>) -> bool {
        usage.books().accounts.iter().all(|account| *account == Account::default())
    }

    #[test]
    fn what_is_taken_is_taken_of_parents_too_and_given_back() {
        let usage = usage(
            "limit root with bandwidth=100, sessions=3, share=100\n\
             limit a with parent=root, bandwidth=80, share=100\n\
             limit b with parent=root, bandwidth=80, share=100\n",
            None,
        );
        let take = |class, bandwidth| usage.take(class, who(1), bits(bandwidth));
        let first = take(1, 60).expect("room");
        assert_eq!(take(1, 30).expect_err("its own").accept, Accept::TemporaryLimit);
        assert_eq!(take(2, 50).expect_err("the root's").accept, Accept::TemporaryLimit);
        assert_eq!(take(2, 90).expect_err("ever").accept, Accept::PermanentLimit);
        assert!(take(2, u64::MAX).is_err());
        let second = take(2, 40).expect("room");
        drop(first);
        let third = take(2, 40).expect("room again");
        drop((second, third));
        assert!(is_empty(&usage));
    }

    #[test]
    fn who_takes_all_that_it_can_leaves_something_to_everybody_else() {
        let usage = usage("limit all with bandwidth=1k, disk=1k, sessions=1000\n", None);
        let mut held = Vec::new();
        // Each takes one by one until it is refused.
        for greedy in 1..=4 {
            let of_it: Vec<_> =
                std::iter::from_fn(|| usage.take(0, who(greedy), sessions(1)).ok()).collect();
            held.push(of_it);
        }
        let counts: Vec<_> = held.iter().map(Vec::len).collect();
        assert_eq!(counts, [750, 188, 47, 12]);
        let honest = usage.take(0, who(9), sessions(1)).expect("there is one for it");
        let refused = usage.take(0, who(1), sessions(1)).expect_err("it has its share");
        assert_eq!(refused.accept, Accept::TemporaryLimit);
        assert!(refused.why.contains("192.0.2.1 has 750"), "{}", refused.why);
        // Alone it would never get more than its share.
        assert_eq!(usage.take(0, who(1), bits(751)).expect_err("").accept, Accept::PermanentLimit);
        assert!(usage.take(0, who(1), bits(750)).is_ok());
        drop((held, honest));
        assert!(is_empty(&usage));
    }

    #[test]
    fn a_lone_client_of_a_small_class_has_all_its_sessions() {
        let usage = usage("limit small with sessions=2\n", None);
        let _both = (
            usage.take(0, who(1), sessions(1)).expect("to"),
            usage.take(0, who(1), sessions(1)).expect("from"),
        );
        assert!(usage.take(0, who(1), sessions(1)).is_err());
    }

    #[test]
    fn test_ports_are_shared_where_no_class_has_a_limit() {
        let usage = usage("limit all\n", Some(1_201));
        let mut held: Vec<_> =
            std::iter::from_fn(|| usage.take(0, who(1), sessions(1)).ok()).collect();
        assert_eq!(held.len(), 901);
        held.push(usage.take(0, who(2), sessions(1)).expect("there are ports for another"));
    }

    #[test]
    fn what_is_held_is_given_back_when_its_time_is_over() {
        let usage = usage("limit all with bandwidth=100, sessions=4, share=100\n", None);
        let all = Amount { sessions: 4, ..bits(100) };
        let take = || usage.take(0, who(1), all);
        let mut first = take().expect("room");
        first.hold_until(now() + Duration::from_secs(3_600));
        drop(first);
        assert!(take().is_err(), "the bandwidth is not there yet");
        assert!(usage.take(0, who(1), sessions(4)).is_ok(), "the sessions are");
        for (until, _) in &mut usage.books().owed {
            *until = Monotonic::default();
        }
        drop(take().expect("it is there again"));
        assert!(is_empty(&usage));
    }
}
