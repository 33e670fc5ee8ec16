//! Whom things are counted for.

use std::{fmt, net::IpAddr};

use station::world::peers::party;

/// A client, as far as what it uses goes: an address; of IPv6 a net of 64 bits, since whoever has one address of it
/// has all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Who(IpAddr);

impl Who {
    pub(super) fn at(address: IpAddr) -> Self {
        Self(party(address))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(net) => write!(f, "{net}/64"),
            IpAddr::V4(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_net_of_64_bits_are_one_client() {
        let who = |text: &str| Who::at(text.parse().expect("an address"));
        assert_eq!(who("2001:db8::1"), who("2001:db8::ffff:2"));
        assert_ne!(who("2001:db8::1"), who("2001:db8:0:1::1"));
        assert_eq!(who("::ffff:192.0.2.1"), who("192.0.2.1"));
        assert_ne!(who("192.0.2.1"), who("192.0.2.2"));
        assert_eq!(who("2001:db8::1").to_string(), "2001:db8::/64");
    }
}
