//! What the tests use: taken before one is granted, given back by itself.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use station::world::peers::party;

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

/// All tests that go on, each with who has it: addresses of one net of IPv6 are one.
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
        let party = party(address);
        let mut going = self.going();
        room(&self.limits, &going, party, amount)?;
        going.push((party, amount));
        drop(going);
        Ok(Taken { usage: Arc::clone(self), party, amount })
    }

    /// A panic elsewhere leaves a list that is right: it is changed by whole elements.
    fn going(&self) -> MutexGuard<'_, Vec<(IpAddr, Amount)>> {
        self.going.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn room(
    limits: &Limits,
    going: &[(IpAddr, Amount)],
    party: IpAddr,
    more: Amount,
) -> Result<(), TooMuch> {
    let (mut all, mut its) = (Sum::default(), Sum::default());
    for (whose, amount) in going {
        all.add(amount);
        if *whose == party {
            its.add(amount);
        }
    }
    let [per_address, tests] = [limits.per_address, limits.tests].map(|tests| tests as u64);
    let each = [
        ("tests of one address", per_address, its.tests, 1),
        ("tests", tests, all.tests, 1),
        // Whoever wants all is one among others: half of it stays theirs.
        ("bit/s of UDP of one address", limits.rate / 2, its.rate, more.rate),
        ("bit/s of UDP", limits.rate, all.rate, more.rate),
        ("octets of memory of one address", limits.memory / 2, its.memory, more.memory),
        ("octets of memory", limits.memory, all.memory, more.memory),
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

/// What several tests use.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    tests: u64,
    rate: u64,
    memory: u64,
}

impl Sum {
    fn add(&mut self, amount: &Amount) {
        self.tests += 1;
        self.rate += amount.rate;
        self.memory += amount.memory;
    }
}

/// Something taken. Dropped, it is given back.
#[derive(Debug)]
pub(super) struct Taken {
    usage: Arc<Usage>,
    party: IpAddr,
    amount: Amount,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut going = self.usage.going();
        if let Some(place) = going.iter().position(|it| *it == (self.party, self.amount)) {
            going.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        tests: 4,
        per_address: 2,
        duration_s: 1,
        streams: 1,
        window: 1,
        rate: 100,
        memory: 1_000,
    };

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    const fn amount(rate: u64, memory: u64) -> Amount {
        Amount { rate, memory }
    }

    #[test]
    fn nobody_has_more_than_his_share_and_what_is_over_is_given_back() {
        let usage = Usage::of(LIMITS);
        let [one, other, third] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(address);
        let first = usage.take(one, amount(40, 300)).expect("room");
        let second = usage.take(one, amount(0, 100)).expect("room");
        let refused = usage.take(one, amount(0, 1)).expect_err("its third");
        assert!(refused.ever && refused.why.contains("2 tests of one address"), "{refused:?}");
        let others =
            usage.take(other, amount(50, 500)).expect("the half that nobody else can have");
        assert!(usage.take(third, amount(20, 1)).expect_err("too fast together").ever);
        assert!(usage.take(third, amount(0, 200)).expect_err("no memory").ever);
        drop(first);
        let last = usage.take(third, amount(50, 400)).expect("room again");
        drop((second, others, last));
        assert!(usage.going().is_empty());
    }

    #[test]
    fn one_address_has_half_of_rate_and_memory_at_the_most_by_one_test_or_several() {
        let usage = Usage::of(LIMITS);
        let one = address("192.0.2.1");
        for (amount, word) in [
            (amount(51, 1), "50 bit/s of UDP of one address"),
            (amount(0, 501), "500 octets of memory of one address"),
        ] {
            let refused = usage.take(one, amount).expect_err("more than half");
            assert!(!refused.ever && refused.why.contains(word), "{refused:?}");
        }
        let _first = usage.take(one, amount(30, 300)).expect("room");
        assert!(usage.take(one, amount(21, 1)).expect_err("too fast together").ever);
        assert!(usage.take(one, amount(0, 201)).expect_err("too much together").ever);
        assert!(usage.take(one, amount(20, 200)).is_ok());
    }

    #[test]
    fn addresses_of_one_net_of_ipv6_count_together() {
        let usage = Usage::of(LIMITS);
        let take = |text| usage.take(address(text), amount(0, 1));
        let _first = (take("2001:db8::1").expect("room"), take("2001:db8::2").expect("room"));
        assert!(take("2001:db8::3").expect_err("its third").why.contains("of one address"));
        assert!(take("2001:db8:0:1::1").is_ok(), "another net");
    }
}
