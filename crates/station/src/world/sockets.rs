//! Which ports somebody listens on, as `/proc/net` shows them.

use std::{fs, io};

use crate::words::servers::{Port, Protocol};

/// `TCP_LISTEN`, in hexadecimal.
const LISTENS: &str = "0A";

/// The sockets that listen on `port`, over IPv4 and IPv6, by their inodes. Of UDP every socket with that
/// local port counts: a server may connect the socket that it answers on.
///
/// # Errors
/// As `read(2)`; a machine without IPv6 is none.
pub fn listeners(port: Port) -> io::Result<Vec<u64>> {
    let tables = match port.protocol {
        Protocol::Tcp => ["/proc/self/net/tcp", "/proc/self/net/tcp6"],
        Protocol::Udp => ["/proc/self/net/udp", "/proc/self/net/udp6"],
    };
    let mut found = Vec::new();
    for table in tables {
        match fs::read_to_string(table) {
            Ok(text) => found.extend(text.lines().filter_map(|line| listener(line, port))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The inode in a line of such a table, if its socket listens on `port` (`proc_net(5)`).
fn listener(line: &str, port: Port) -> Option<u64> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (_, local) = fields.get(1)?.rsplit_once(':')?;
    let listens = port.protocol == Protocol::Udp || *fields.get(3)? == LISTENS;
    if !listens || u16::from_str_radix(local, 16) != Ok(port.number) {
        return None;
    }
    fields.get(9)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;
    use crate::world::processes;

    fn port(protocol: Protocol, number: u16) -> Port {
        Port { protocol, number }
    }

    #[test]
    fn a_listener_is_found_and_is_ours() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        let sockets = || processes::of(own).expect("a look").expect("us").sockets().expect("ours");
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may have no IPv6.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let tcp = port(Protocol::Tcp, listener.local_addr().expect("bound").port());
            let found = listeners(tcp).expect("a look");
            assert!(found.iter().any(|inode| sockets().contains(inode)), "{address}");
        }
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let udp = port(Protocol::Udp, socket.local_addr().expect("bound").port());
        let found = listeners(udp).expect("a look");
        assert!(found.iter().any(|inode| sockets().contains(inode)));
    }

    #[test]
    fn a_port_that_is_only_used_by_a_client_is_not_listened_on() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let used = port(Protocol::Tcp, client.local_addr().expect("bound").port());
        assert_eq!(listeners(used).expect("a look"), Vec::<u64>::new());
    }

    #[test]
    fn lines_that_are_no_sockets_are_left_out() {
        let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
        for line in [header, "", "0:", "0: x:1388 y 0A"] {
            assert_eq!(listener(line, port(Protocol::Tcp, 5_000)), None, "{line}");
        }
        let line =
            "0: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1";
        assert_eq!(listener(line, port(Protocol::Tcp, 5_000)), Some(4_711));
        assert_eq!(listener(line, port(Protocol::Tcp, 5_001)), None);
    }
}
