//! What a wire sees of a frame: as much of its headers as is needed to choose it and to find it again.

/// Octets of a packet's content that are kept.
const KEPT: usize = 64;

/// A packet as it came by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// IPv6; else IPv4.
    pub is_v6: bool,
    /// What IP carries: [`UDP`], [`ICMP`], [`ICMP6`], ...
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Ports of its source and its destination, of UDP and TCP.
    pub ports: Option<(u16, u16)>,
    /// Octets of the whole frame, its Ethernet header included.
    pub length: usize,
    /// The first octets of what UDP carries; of other protocols, what follows the header of IP.
    pub content: Vec<u8>,
}

/// Protocol numbers (IANA).
pub const UDP: u8 = 17;
/// As [`UDP`].
pub const ICMP: u8 = 1;
/// As [`UDP`].
pub const ICMP6: u8 = 58;
const TCP: u8 = 6;
const HOP_BY_HOP: u8 = 0;

impl Seen {
    /// Reads an Ethernet frame. Nothing: it is no IP packet, or one that hosts of a link keep house with
    /// (neighbours, routers, groups), which a wire lets pass.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(14..)?;
        let seen = match frame.get(12..14)? {
            [0x08, 0x00] => v4(packet)?,
            [0x86, 0xdd] => v6(packet)?,
            _ => return None,
        };
        Some(Self { length: frame.len(), ..seen })
    }

    /// The number that stands at this octet of the content, four octets in the network's order.
    pub fn mark(&self, at: usize) -> Option<u32> {
        let octets = self.content.get(at..at.checked_add(4)?)?;
        Some(u32::from_be_bytes(octets.try_into().ok()?))
    }

    /// Whether it is an echo request or reply.
    pub fn is_echo(&self) -> bool {
        let kind = self.content.first();
        match self.protocol {
            ICMP => matches!(kind, Some(0 | 8)),
            ICMP6 => matches!(kind, Some(128 | 129)),
            _ => false,
        }
    }

    fn of(is_v6: bool, protocol: u8, ttl: u8, rest: &[u8], is_first: bool) -> Self {
        let number = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
        let has_ports = matches!(protocol, UDP | TCP) && is_first;
        let ports = if has_ports { number(0).zip(number(2)) } else { None };
        let content = if protocol == UDP && is_first { rest.get(8..) } else { Some(rest) };
        let content = content.unwrap_or_default();
        let content = content[..content.len().min(KEPT)].to_vec();
        Self { is_v6, protocol, ttl, ports, length: 0, content }
    }
}

/// RFC 791, 3.1.
fn v4(packet: &[u8]) -> Option<Seen> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff;
    let (ttl, protocol) = (*packet.get(8)?, *packet.get(9)?);
    Some(Seen::of(false, protocol, ttl, packet.get(header..)?, fragment == 0))
}

/// RFC 8200, 3; neighbours and routers are RFC 4861, groups RFC 3810, which come with a hop-by-hop header.
fn v6(packet: &[u8]) -> Option<Seen> {
    let (protocol, ttl) = (*packet.get(6)?, *packet.get(7)?);
    let rest = packet.get(40..)?;
    let keeps_house = match protocol {
        HOP_BY_HOP => true,
        ICMP6 => matches!(rest.first(), Some(130..=137 | 143)),
        _ => false,
    };
    (!keeps_house).then(|| Seen::of(true, protocol, ttl, rest, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: [u8; 2], header: &[u8], rest: &[u8]) -> Vec<u8> {
        [&[0; 12], &kind[..], header, rest].concat()
    }

    fn over_v4(protocol: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = [0; 20];
        (header[0], header[8], header[9]) = (0x45, 63, protocol);
        frame([0x08, 0x00], &header, rest)
    }

    fn over_v6(protocol: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = [0; 40];
        (header[0], header[6], header[7]) = (0x60, protocol, 63);
        frame([0x86, 0xdd], &header, rest)
    }

    const DATAGRAM: [u8; 13] = [0x03, 0x5d, 0x13, 0x89, 0, 13, 0, 0, 0, 0, 1, 2, 9];

    #[test]
    fn a_datagram_is_known_by_its_ports_and_the_number_in_it() {
        for frame in [over_v4(UDP, &DATAGRAM), over_v6(UDP, &DATAGRAM)] {
            let seen = Seen::read(&frame).unwrap();
            assert_eq!((seen.protocol, seen.ttl, seen.ports), (UDP, 63, Some((861, 5001))));
            assert_eq!((seen.length, &*seen.content), (frame.len(), &DATAGRAM[8..]));
            assert_eq!((seen.mark(0), seen.mark(1), seen.mark(2)), (Some(258), Some(66_057), None));
        }
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let mut frame = over_v4(UDP, &DATAGRAM);
        frame[14 + 7] = 0xb9;
        let seen = Seen::read(&frame).unwrap();
        assert_eq!((seen.ports, &*seen.content), (None, &DATAGRAM[..]));
    }

    #[test]
    fn echoes_are_told_from_what_hosts_keep_house_with() {
        assert!(Seen::read(&over_v4(ICMP, &[8, 0])).unwrap().is_echo());
        assert!(Seen::read(&over_v6(ICMP6, &[129, 0])).unwrap().is_echo());
        assert!(!Seen::read(&over_v6(ICMP6, &[3, 0])).unwrap().is_echo(), "time exceeded");
        assert_eq!(Seen::read(&over_v6(ICMP6, &[135, 0])), None, "a neighbour is looked for");
        assert_eq!(Seen::read(&over_v6(HOP_BY_HOP, &[ICMP6])), None, "a group is joined");
        assert_eq!(Seen::read(&frame([0x08, 0x06], &[0; 28], &[])), None, "ARP");
    }

    #[test]
    fn a_frame_that_breaks_off_is_no_packet() {
        let whole = over_v4(UDP, &DATAGRAM);
        for length in 0..34 {
            assert_eq!(Seen::read(&whole[..length]), None);
        }
    }
}
