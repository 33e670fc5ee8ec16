//! Cookies: a server gives one to whoever says hello, and keeps nothing. Who gives it back has got it, and so is where
//! its packets say that it is.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hmac::{Hmac, Mac};
use sha1::Sha1;
use timed_udp::clock::Mono;

/// Octets of a cookie.
pub const LENGTH: usize = 16;
/// What a client is given, and gives back.
pub type Cookie = [u8; LENGTH];

/// How long a time slot is, nanoseconds: 16 s. A cookie is good in its own slot and in the next.
const SLOT: u64 = 16_000_000_000;
/// After this, a cookie is good no more.
pub const LIFE: Duration = Duration::from_nanos(2 * SLOT);

/// What only the server knows. It is made anew at each start.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Of random octets.
    #[must_use]
    pub const fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// The cookie of a client.
    #[must_use]
    pub fn cookie(&self, client: SocketAddr, now: Mono) -> Cookie {
        let whole = self.sum(client, now.0 / SLOT).finalize().into_bytes();
        let mut cookie = [0; LENGTH];
        cookie.copy_from_slice(&whole[..LENGTH]);
        cookie
    }

    /// Whether a client has got this cookie, not long ago.
    #[must_use]
    pub fn is_of(&self, cookie: &Cookie, client: SocketAddr, now: Mono) -> bool {
        let slot = now.0 / SLOT;
        [Some(slot), slot.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|slot| self.sum(client, slot).verify_truncated_left(cookie).is_ok())
    }

    fn sum(&self, client: SocketAddr, slot: u64) -> Hmac<Sha1> {
        let mut sum: Hmac<Sha1> =
            Mac::new_from_slice(&self.0).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
        let address = match client.ip() {
            IpAddr::V4(four) => four.to_ipv6_mapped(),
            IpAddr::V6(six) => six,
        };
        sum.update(&address.octets());
        sum.update(&client.port().to_be_bytes());
        sum.update(&slot.to_be_bytes());
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(place: &str) -> SocketAddr {
        place.parse().expect("an address")
    }

    const fn seconds(number: u64) -> Mono {
        Mono(number * 1_000_000_000)
    }

    #[test]
    fn a_cookie_is_good_for_who_got_it_and_for_half_a_minute_at_the_most() {
        let secret = Secret::new([7; 32]);
        let cookie = secret.cookie(at("192.0.2.1:5000"), seconds(100));
        let is_good = |place, now| secret.is_of(&cookie, at(place), seconds(now));
        assert!(is_good("192.0.2.1:5000", 100) && is_good("192.0.2.1:5000", 115));
        assert!(!is_good("192.0.2.1:5000", 132));
        assert!(!is_good("192.0.2.1:5001", 100) && !is_good("192.0.2.2:5000", 100));
        assert!(!Secret::new([8; 32]).is_of(&cookie, at("192.0.2.1:5000"), seconds(100)));
    }

    #[test]
    fn no_cookie_with_one_bit_changed_is_good() {
        let (secret, client) = (Secret::new([7; 32]), at("[2001:db8::1]:9"));
        let cookie = secret.cookie(client, Mono(0));
        assert!(secret.is_of(&cookie, client, Mono(0)));
        for bit in 0..LENGTH * 8 {
            let mut changed = cookie;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!secret.is_of(&changed, client, Mono(0)), "bit {bit}");
        }
    }

    #[test]
    fn a_secret_is_not_told() {
        assert_eq!(format!("{:?}", Secret::new([65; 32])), "Secret(..)");
    }
}
