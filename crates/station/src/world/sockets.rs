//! Which ports somebody listens on, and what is still being sent, as `/proc/net` shows them.

use std::{collections::BTreeSet, fs, io, time::Duration};

use rustix::fs::{Dir, readlinkat};

use super::{clock, processes::Process};
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

/// Connections that no process has any more, while the kernel still sends what one of them wrote: by their
/// addresses, as the tables show them.
pub type Unsent = BTreeSet<String>;

/// How often, and how long apart, it is looked whether everything is sent.
const LOOKS: (u32, Duration) = (200, Duration::from_millis(25));

/// What is still being sent of processes that have ended; nothing where the tables cannot be read.
#[must_use]
pub fn unsent() -> Unsent {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let texts = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    texts.flat_map(|text| text.lines().filter_map(being_sent).collect::<Vec<_>>()).collect()
}

/// Waits until all is sent of processes that have ended, but for what was `before`; five seconds at most, for a path may
/// have gone dark.
pub fn wait_until_sent(before: &Unsent) {
    let (looks, pause) = LOOKS;
    for _ in 0..looks {
        if unsent().is_subset(before) {
            return;
        }
        clock::pause(pause);
    }
    log::warn!("a connection of a run that is over still has something to send");
}

/// The addresses of a line of such a table, if its socket belongs to nobody and has something to send.
fn being_sent(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (queue, _) = fields.get(4)?.split_once(':')?;
    let has_data = u32::from_str_radix(queue, 16).is_ok_and(|bytes| bytes > 0);
    let is_nobodys = fields.get(9) == Some(&"0");
    (has_data && is_nobodys).then(|| format!("{} {}", fields[1], fields[2]))
}

/// The inodes of a process's sockets, if we may know them.
///
/// # Errors
/// As `open(2)`: the process has ended, or does not let us look (it has capabilities).
pub fn of(process: &Process) -> io::Result<Vec<u64>> {
    let folder = process.descriptors()?;
    let mut inodes = Vec::new();
    for entry in Dir::read_from(&folder)? {
        // A descriptor that is closed meanwhile is no fault.
        let Ok(link) = readlinkat(&folder, entry?.file_name(), Vec::new()) else { continue };
        inodes.extend(inode(link.to_bytes()));
    }
    Ok(inodes)
}

/// `socket:[4711]`, as the link of a descriptor says it.
fn inode(link: &[u8]) -> Option<u64> {
    let inode = std::str::from_utf8(link).ok()?.strip_prefix("socket:[")?;
    inode.strip_suffix(']')?.parse().ok()
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
        let us = processes::of(own).expect("a look").expect("us");
        let sockets = || of(&us).expect("ours");
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
    fn what_is_still_being_sent_is_waited_for() {
        use std::io::{Read, Write};

        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let mut client = TcpStream::connect(address).expect("connected");
        let (mut server, _) = listener.accept().expect("a client");
        client.set_nonblocking(true).expect("a socket");
        // More than the server's buffer takes.
        while client.write(&[0; 8_192]).is_ok() {}
        let before = unsent();
        drop(client);
        let port = format!(":{:04X} ", address.port());
        let ours = |all: &Unsent| all.iter().any(|line| format!("{line} ").contains(&port));
        assert!(!ours(&before) && ours(&unsent()), "{:?}", unsent());
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            server.read_to_end(&mut all).expect("all that was sent");
        });
        wait_until_sent(&before);
        assert!(!ours(&unsent()));
        reader.join().expect("read to its end");
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
