//! What the tests use: taken before one is granted, given back by itself.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::judge::Limits;

/// What a test uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    /// Bits a second of UDP.
    pub(super) rate: u64,
    /// Octets.
    pub(super) memory: u64,
}

/// Why a test cannot be: whether it never can, and in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooMuch {
    pub(super) ever: bool,
    pub(super) why: String,
}

/// All tests that go on.
#[derive(Debug)]
pub(super) struct Usage {
    limits: Limits,
    going: Mutex<Vec<(IpAddr, Amount)>>,
}

impl Usage {
    pub(super) fn of(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, going: Mutex::default() })
    }

    /// Takes so much for a client, as long as what is given back lives.
    ///
    /// # Errors
    /// A limit is in the way.
    pub(super) fn take(
        self: &Arc<Self>,
        address: IpAddr,
        amount: Amount,
    ) -> Result<Taken, TooMuch> {
        let mut going = self.going();
        room(&self.limits, &going, address, amount)?;
        going.push((address, amount));
        drop(going);
        Ok(Taken { usage: Arc::clone(self), address, amount })
    }

    /// A panic elsewhere leaves a list that is right: it is changed by whole elements.
    fn going(&self) -> MutexGuard<'_, Vec<(IpAddr, Amount)>> {
        self.going.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn room(
    limits: &Limits,
    going: &[(IpAddr, Amount)],
    address: IpAddr,
    more: Amount,
) -> Result<(), TooMuch> {
    let count = |tests: usize| tests as u64;
    let sum = |part: fn(&Amount) -> u64| going.iter().map(|(_, it)| part(it)).sum::<u64>();
    let of_it = going.iter().filter(|(theirs, _)| *theirs == address).count();
    let each = [
        ("tests of one address", count(limits.per_address), count(of_it), 1),
        ("tests", count(limits.tests), count(going.len()), 1),
        ("bit/s of UDP", limits.rate, sum(|it| it.rate), more.rate),
        ("octets of memory", limits.memory, sum(|it| it.memory), more.memory),
    ];
    for (what, limit, used, more) in each {
        if used.saturating_add(more) > limit {
            let ever = more <= limit;
            let why = format!("{limit} {what} are allowed here, {used} in use, {more} more wanted");
            return Err(TooMuch { ever, why });
        }
    }
    Ok(())
}

/// Something taken. Dropped, it is given back.
#[derive(Debug)]
pub(super) struct Taken {
    usage: Arc<Usage>,
    address: IpAddr,
    amount: Amount,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut going = self.usage.going();
        if let Some(place) = going.iter().position(|it| *it == (self.address, self.amount)) {
            going.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_his_share_and_what_is_over_is_given_back() {
        let limits = Limits {
            tests: 3,
            per_address: 2,
            duration_s: 1,
            streams: 1,
            window: 1,
            rate: 100,
            memory: 1_000,
        };
        let usage = Usage::of(limits);
        let (one, other): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let amount = |rate, memory| Amount { rate, memory };
        let first = usage.take(one, amount(60, 300)).expect("room");
        let second = usage.take(one, amount(0, 300)).expect("room");
        let refused = usage.take(one, amount(0, 1)).expect_err("its third");
        assert!(refused.ever && refused.why.contains("2 tests of one address"), "{refused:?}");
        assert!(usage.take(other, amount(50, 1)).expect_err("too fast together").ever);
        assert!(!usage.take(other, amount(101, 1)).expect_err("too fast").ever);
        assert!(usage.take(other, amount(0, 500)).is_err(), "no memory");
        drop(first);
        let third = usage.take(other, amount(100, 700)).expect("room again");
        drop((second, third));
        assert!(usage.going().is_empty());
    }
}
