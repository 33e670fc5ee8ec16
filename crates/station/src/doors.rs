//! Where a server takes connections.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use crate::{
    app::{Exit, Failure},
    world::clock,
};

/// Connections that may wait to be taken: a crowd at the door is to wait there, not to try again after a second.
const BACKLOG: i32 = 1_024;
/// How long nobody is taken after one could not be.
const PAUSE: Duration = Duration::from_millis(20);

/// The options of a program by which an operator says where it listens.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Names the port, as `-p`.
    pub port: &'static str,
    /// Names an address, as `-B`.
    pub address: &'static str,
}

/// Listens: on the addresses that were named, else on all of both families. What is taken by these listeners is
/// nonblocking.
///
/// # Errors
/// The port cannot be bound, with what to change. A machine without IPv6 has the other.
pub fn listen(
    addresses: &[IpAddr],
    port: u16,
    options: Options,
) -> Result<Vec<TcpListener>, Failure> {
    let listen = |address: IpAddr| {
        listen_at(SocketAddr::new(address, port)).map_err(|error| (address, error))
    };
    let failed = |(_, error): (IpAddr, io::Error)| failure(port, &error, options);
    if !addresses.is_empty() {
        let all = addresses.iter().map(|address| listen(*address)).collect::<Result<_, _>>();
        return all.map_err(failed);
    }
    let four = listen(Ipv4Addr::UNSPECIFIED.into()).map_err(failed)?;
    match listen(Ipv6Addr::UNSPECIFIED.into()) {
        Ok(six) => Ok(vec![four, six]),
        Err(taken) if taken.1.kind() == io::ErrorKind::AddrInUse => Err(failed(taken)),
        Err((_, error)) => {
            log::info!("serves IPv4 only: {error}");
            Ok(vec![four])
        }
    }
}

fn listen_at(place: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(place), Type::STREAM, None)?;
    if place.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // One that is started again at once finds the connections of the one before in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&place.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn failure(port: u16, error: &io::Error, options: Options) -> Failure {
    let Options { port: by_port, address: by_address } = options;
    let (exit, advice) = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let advice = format!(
                "a port below 1024 is root's, or for CAP_NET_BIND_SERVICE: name another by {by_port}"
            );
            (Exit::Config, advice)
        }
        io::ErrorKind::AddrInUse => (Exit::TryLater, "another server has it already".to_owned()),
        io::ErrorKind::AddrNotAvailable => {
            let advice = format!("that is no address of this machine: name one by {by_address}");
            (Exit::Config, advice)
        }
        _ => {
            (Exit::Config, format!("name another port by {by_port}, or an address by {by_address}"))
        }
    };
    let failure = Failure::new(exit, format!("listening on TCP port {port}"));
    failure.why(format_args!("{error}; {advice}"))
}

/// Says in the log where they listen.
pub fn announce(listeners: &[TcpListener]) {
    for listener in listeners {
        let place =
            listener.local_addr().map_or_else(|error| error.to_string(), |it| it.to_string());
        log::info!("serves {place}");
    }
}

/// Takes those who wait at a door, `most` of them at most.
///
/// # Errors
/// As accept(2), after a short pause: whoever is out of descriptors gets some by those who go.
pub fn take(
    listener: &TcpListener,
    most: usize,
    mut each: impl FnMut(TcpStream, SocketAddr),
) -> io::Result<()> {
    for _ in 0..most {
        match listener.accept() {
            Ok((stream, peer)) => each(stream, peer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => {
                clock::pause(PAUSE);
                return Err(error);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options { port: "-p", address: "-B" };

    fn told(addresses: &[IpAddr], port: u16) -> (Exit, String) {
        let failure = listen(addresses, port, OPTIONS).expect_err("it cannot");
        (failure.exit(), failure.to_string())
    }

    #[test]
    fn who_listens_on_all_addresses_is_found_over_both_families() {
        let port = TcpListener::bind("[::]:0").and_then(|it| it.local_addr()).expect("one").port();
        let listeners = listen(&[], port, OPTIONS).expect("it is free");
        let mut from = Vec::new();
        for listener in &listeners {
            let mut place = listener.local_addr().expect("bound");
            let own: IpAddr = if place.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            };
            place.set_ip(own);
            let client = TcpStream::connect(place).expect("it listens");
            take(listener, 1, |_, peer| from.push(peer)).expect("one");
            assert_eq!(from.last(), client.local_addr().ok().as_ref());
            take(listener, 1, |_, _| unreachable!("nobody else has come")).expect("none");
        }
        assert_eq!(from.len(), 2, "{listeners:?}");
    }

    #[test]
    fn what_stands_in_the_way_is_told_with_what_to_change() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = taken.local_addr().expect("bound");
        let (exit, why) = told(&[place.ip()], place.port());
        assert_eq!(exit, Exit::TryLater);
        assert!(why.ends_with("another server has it already"), "{why}");
        // TEST-NET-1 of RFC 5737, which no machine has.
        let (exit, why) = told(&["192.0.2.1".parse().expect("an address")], 5_003);
        assert_eq!(exit, Exit::Config);
        assert!(why.ends_with("no address of this machine: name one by -B"), "{why}");
    }
}
