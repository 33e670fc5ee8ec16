//! Other hosts: what their names stand for, which of our addresses leads to one, and who is behind an address.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket},
};

use crate::text::Family;

/// The addresses of a host, of the wanted family. `host` is a name or an address, in brackets or without. May take as
/// long as the resolver does.
///
/// # Errors
/// The name has none, or none of this family, or cannot be looked up.
pub fn addresses(host: &str, port: u16, family: Family) -> Result<Vec<SocketAddr>, String> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
    let found: Vec<_> = found.filter(|address| family.has(address.ip())).collect();
    if found.is_empty() {
        return Err(format!("no address associated with it is of {}", family.protocol()));
    }
    Ok(found)
}

/// The address that the system gives to who sends there. Nothing is sent: a route is chosen when a UDP socket is
/// connected (udp(7)).
///
/// # Errors
/// As connect(2): there is no way.
pub fn own_address(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// Who is behind an address, for limits of each one: a host of IPv4; of IPv6 a net, as whoever has one address has all
/// of its /64.
#[must_use]
pub fn party(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)).into(),
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_itself_where_its_family_is_wanted() {
        let found = addresses("[::1]", 5, Family::V6).expect("an address");
        assert_eq!(found, ["[::1]:5".parse().expect("a place")]);
        let why = addresses("127.0.0.1", 5, Family::V6).expect_err("of the other family");
        assert_eq!(why, "no address associated with it is of IPv6");
        assert!(addresses("127.0.0.1", 5, Family::Any).is_ok());
    }

    #[test]
    fn a_net_of_ipv6_is_one_party_and_a_host_of_ipv4_whatever_its_address_is_written_as() {
        let party = |text: &str| party(text.parse().expect("an address"));
        assert_eq!(party("2001:db8::1"), party("2001:db8::ffff:0:0:2"));
        assert_ne!(party("2001:db8::1"), party("2001:db8:0:1::1"));
        assert_eq!(party("::ffff:192.0.2.1"), party("192.0.2.1"));
        assert_ne!(party("192.0.2.1"), party("192.0.2.2"));
    }

    #[test]
    fn whoever_sends_to_this_machine_does_so_from_its_own_address() {
        for own in ["127.0.0.1:9", "[::1]:9"] {
            let to: SocketAddr = own.parse().expect("a place");
            assert_eq!(own_address(to).ok(), Some(to.ip()));
        }
    }
}
