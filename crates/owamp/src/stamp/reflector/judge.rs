//! Which packets are answered, and with what number. Decides; opens and sends nothing.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use station::world::peers::party;
use timed_udp::clock::Mono;

use super::{bucket::Bucket, generations::Generations};
use crate::{server::classes::Net, stamp::packet};

/// Sources in a part of a table.
const MOST: usize = 65_536;
/// A source that says nothing for so long, or twice that, begins anew: RFC 5357's REFWAIT.
const FORGET: Duration = Duration::from_secs(900);
/// Of all answers a second, this part may begin to sources that are not known: a crowd of new ones keeps no known
/// one out, nor has it forgotten before half a minute, if the rate is the usual one.
const NEW_PART: u32 = 10;

/// What is allowed.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Whom to answer.
    pub(crate) nets: Vec<Net>,
    /// Answers a second to an address (of IPv6: to a /64).
    pub(crate) per_source: u32,
    /// Answers a second to everybody.
    pub(crate) all: u32,
    /// Whether answers have their packets' numbers.
    pub(crate) stateless: bool,
}

/// Why a packet is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// An answer would be longer than it.
    TooShort,
    /// It is an answer, or comes from where reflectors and other servers are.
    NotASender,
    /// It was sent to many, or by nobody.
    ToMany,
    /// Its source is in none of the nets.
    NotAllowed,
    /// Its source has had its answers of this second.
    TooManyOfSource,
    /// Everybody together has.
    TooMany,
}

impl Refused {
    pub(super) const ALL: [Self; 6] = [
        Self::TooShort,
        Self::NotASender,
        Self::ToMany,
        Self::NotAllowed,
        Self::TooManyOfSource,
        Self::TooMany,
    ];
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "too short",
            Self::NotASender => "from no sender, but a server or reflector",
            Self::ToMany => "to or from a multicast or unspecified address",
            Self::NotAllowed => "from an address that is not allowed (--allow)",
            Self::TooManyOfSource => "beyond what one source may have (--per-source)",
            Self::TooMany => "beyond what all may have together (--rate)",
        })
    }
}

/// Decides about packet after packet.
#[derive(Debug)]
pub(super) struct Judge {
    rules: Rules,
    numbers: Generations<SocketAddr, u32>,
    sources: Generations<IpAddr, Bucket>,
    all: Bucket,
    new: Bucket,
}

impl Judge {
    pub(super) fn new(rules: Rules, now: Mono) -> Self {
        Self {
            numbers: Generations::new(MOST, FORGET, now),
            sources: Generations::new(MOST, FORGET, now),
            all: Bucket::full(rules.all, now),
            new: Bucket::full(new_rate(&rules), now),
            rules,
        }
    }

    /// The number of the answer to a packet that came from `from` to our port of `local`.
    ///
    /// # Errors
    /// Why it gets none.
    pub(super) fn judge(
        &mut self,
        from: SocketAddr,
        local: (Option<IpAddr>, u16),
        octets: &[u8],
        now: Mono,
    ) -> Result<u32, Refused> {
        let asked = packet::number(octets).ok_or(Refused::TooShort)?;
        self.may_be_sender(from, local)?;
        if packet::is_answer(octets) {
            return Err(Refused::NotASender);
        }
        if self.rules.stateless {
            // No numbers tell who is known, but how much an address has had is kept all the same.
            let is_new = self.sources.get(party(from.ip()), now).is_none();
            self.pay(from, is_new, now)?;
            return Ok(asked);
        }
        let known = self.numbers.get(from, now).copied();
        self.pay(from, known.is_none(), now)?;
        let number = known.unwrap_or(0);
        self.numbers.put(from, number.wrapping_add(1), now);
        Ok(number)
    }

    fn may_be_sender(
        &self,
        from: SocketAddr,
        (to, own_port): (Option<IpAddr>, u16),
    ) -> Result<(), Refused> {
        let source = from.ip().to_canonical();
        if from.port() < LEAST_PORT || from.port() == own_port {
            return Err(Refused::NotASender);
        }
        if is_many(source) || source.is_unspecified() || to.is_some_and(is_many) {
            return Err(Refused::ToMany);
        }
        let allowed = self.rules.nets.iter().any(|net| net.has(source));
        allowed.then_some(()).ok_or(Refused::NotAllowed)
    }

    /// Takes an answer from what its source and all may have; nothing if either has none.
    fn pay(&mut self, from: SocketAddr, is_new: bool, now: Mono) -> Result<(), Refused> {
        let Rules { per_source, all, .. } = self.rules;
        if !self.all.has(all, now) || is_new && !self.new.has(new_rate(&self.rules), now) {
            return Err(Refused::TooMany);
        }
        let source = party(from.ip());
        if let Some(bucket) = self.sources.get(source, now) {
            if !bucket.has(per_source, now) {
                return Err(Refused::TooManyOfSource);
            }
            bucket.take();
        } else {
            let mut bucket = Bucket::full(per_source, now);
            bucket.take();
            self.sources.put(source, bucket, now);
        }
        self.all.take();
        if is_new {
            self.new.take();
        }
        Ok(())
    }
}

/// Below are servers that answer whatever they get: echo, chargen, DNS, and reflectors.
const LEAST_PORT: u16 = 1024;

fn new_rate(rules: &Rules) -> u32 {
    (rules.all / NEW_PART).max(1)
}

fn is_many(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use timed_udp::ntp::{ErrorEstimate, NtpTime};

    use super::*;

    const OURS: (Option<IpAddr>, u16) = (None, 862);

    fn judge(per_source: u32, all: u32, stateless: bool) -> Judge {
        let nets = ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().expect("a net")).to_vec();
        Judge::new(Rules { nets, per_source, all, stateless }, Mono(0))
    }

    fn at(place: &str) -> SocketAddr {
        place.parse().expect("an address")
    }

    fn asked(number: u32) -> Vec<u8> {
        let mut packet = vec![0; 44];
        let error = ErrorEstimate::at_least(1_000, true);
        packet::ask(&mut packet, number, NtpTime(9 << 32), error).expect("room");
        packet
    }

    #[test]
    fn each_source_has_numbers_of_its_own_unless_no_state_is_kept() {
        let (mut stateful, mut stateless) = (judge(9, 99, false), judge(9, 99, true));
        let packets = [("10.0.0.1:5000", 0), ("10.0.0.1:5000", 3), ("10.0.0.1:5001", 7)];
        let numbers = |judge: &mut Judge| {
            packets.map(|(from, number)| judge.judge(at(from), OURS, &asked(number), Mono(1)))
        };
        assert_eq!(numbers(&mut stateful), [Ok(0), Ok(1), Ok(0)]);
        assert_eq!(numbers(&mut stateless), [Ok(0), Ok(3), Ok(7)]);
    }

    #[test]
    fn what_is_no_senders_packet_is_not_answered() {
        let mut judge = judge(9, 99, false);
        let mut of = |from: &str, to: Option<&str>, packet: &[u8]| {
            judge.judge(
                at(from),
                (to.map(|it| it.parse().expect("an address")), 8862),
                packet,
                Mono(1),
            )
        };
        assert_eq!(of("10.0.0.1:5000", None, &asked(0)[..40]), Err(Refused::TooShort));
        for port in [0, 7, 53, 862, 8862] {
            let from = format!("10.0.0.1:{port}");
            assert_eq!(of(&from, None, &asked(0)), Err(Refused::NotASender), "{port}");
        }
        let mut answer = asked(0);
        packet::answer(&mut answer, 0, NtpTime(9 << 32), 64).expect("long enough");
        packet::stamp(&mut answer, NtpTime(9 << 32 | 5), ErrorEstimate::at_least(1, true))
            .expect("long enough");
        assert_eq!(of("10.0.0.1:5000", None, &answer), Err(Refused::NotASender));
        assert_eq!(of("10.0.0.1:5000", Some("224.0.0.1"), &asked(0)), Err(Refused::ToMany));
        assert_eq!(of("192.0.2.1:5000", None, &asked(0)), Err(Refused::NotAllowed));
        assert_eq!(of("[2001:db8::1]:5000", Some("2001:db8::2"), &asked(0)), Ok(0));
    }

    #[test]
    fn a_source_that_asks_too_much_is_kept_back_and_others_are_not() {
        let mut judge = judge(10, 1_000, false);
        let mut of = |from: &str, now: Mono| judge.judge(at(from), OURS, &asked(0), now);
        let mut count = |from: &str, now| (0..50).filter(|_| of(from, now).is_ok()).count();
        assert_eq!(count("[2001:db8::1]:5000", Mono(1)), 10);
        assert_eq!(count("[2001:db8::2]:5001", Mono(1)), 0, "of the same net of 64 bits");
        assert_eq!(count("[2001:db8:0:1::1]:5001", Mono(1)), 10);
        assert_eq!(count("[2001:db8::1]:5000", Mono(500_000_001)), 5, "half a second later");
    }

    /// One of a crowd, each at an address of its own.
    fn stranger(number: u32) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::from_bits(0x0a00_0000 | number).into(), 6_000)
    }

    #[test]
    fn a_crowd_of_new_sources_has_a_tenth_of_all_answers_with_state_and_without() {
        for stateless in [false, true] {
            let mut judge = judge(100, 1_000, stateless);
            let mut is_answered = |from, now| judge.judge(from, OURS, &asked(0), now).is_ok();
            let honest = at("10.255.0.1:5000");
            assert!(is_answered(honest, Mono(0)));
            let mut answers = 0;
            // Ten thousand in a second: what may be had at once, and what comes in that second.
            for tick in 1_u32..=10_000 {
                let now = Mono(u64::from(tick) * 100_000);
                answers += usize::from(is_answered(stranger(tick), now));
                assert!(tick % 1_000 != 0 || is_answered(honest, now), "{stateless} {tick}");
            }
            assert!((190..=200).contains(&answers), "{stateless}: {answers}");
        }
    }

    #[test]
    fn a_crowd_of_new_sources_neither_keeps_out_one_that_is_known_nor_has_it_forgotten() {
        let mut judge = judge(100, 1_000, false);
        let honest = at("10.255.0.1:5000");
        let mut expected = 0;
        for tick in 0_u32..100_000 {
            let now = Mono(u64::from(tick) * 100_000);
            let _ = judge.judge(stranger(tick), OURS, &asked(0), now);
            if tick % 1_000 == 0 {
                assert_eq!(judge.judge(honest, OURS, &asked(0), now), Ok(expected));
                expected += 1;
            }
        }
        assert!(judge.numbers.len() <= 2 * MOST);
    }
}
