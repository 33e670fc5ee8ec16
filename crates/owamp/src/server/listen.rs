//! Takes connections, and gives each a thread.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    sync::Arc,
    thread,
    time::Duration,
};

use station::{
    app::{Exit, Failure},
    world::{
        clock,
        signals::{Stop, wait_for},
    },
};

use super::{
    Server,
    doors::Place,
    greet::{Ended, greet},
    news::Cause,
    patience::{Patient, now},
    port_of,
    settings::Source,
    talk::Talk,
};

/// How long a client may take to say who it is.
const SETUP: Duration = Duration::from_secs(10);
/// How often sessions are looked through that nobody fetched.
const SWEEP: Duration = Duration::from_secs(5);
/// A conversation needs little: its messages are read in small parts.
const STACK: usize = 256 << 10;
/// Connections that may wait to be taken.
const BACKLOG: i32 = 1_024;
/// How long conversations may take to end when we do.
const ENDING: Duration = Duration::from_secs(5);

/// Listens, on all addresses of both families if none is named.
pub(super) fn bind(source: &Source) -> Result<TcpListener, Failure> {
    let port = port_of(source);
    let place = |address| SocketAddr::new(address, port);
    let bound = match source.address {
        Some(address) => TcpListener::bind(place(address)),
        // A host without IPv6 has the other.
        None => TcpListener::bind(place(Ipv6Addr::UNSPECIFIED.into()))
            .or_else(|_| TcpListener::bind(place(Ipv4Addr::UNSPECIFIED.into()))),
    };
    let bound = bound.and_then(with_room);
    bound.map_err(|error| {
        let (exit, advice) = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                let advice = "a port below 1024 is root's, or for CAP_NET_BIND_SERVICE: name another by -S :PORT";
                (Exit::Config, advice)
            }
            io::ErrorKind::AddrInUse => (Exit::TryLater, "another server has it already"),
            _ => (Exit::Config, "name another place by -S, or by srcnode in owamp-server.conf"),
        };
        let failure = Failure::new(exit, format!("listening on TCP port {port}"));
        failure.why(format_args!("{error}; {advice}"))
    })
}

/// A crowd at the door is to wait there, not to try again after a second.
fn with_room(listener: TcpListener) -> io::Result<TcpListener> {
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until it is told to stop.
pub(super) fn serve(server: &Arc<Server>, listener: &TcpListener, stop: &Stop) -> Exit {
    let place = listener.local_addr().map_or_else(|error| error.to_string(), |it| it.to_string());
    log::info!("serves {place}");
    let mut swept = now();
    while !stop.asked() {
        wait_for(&[listener.as_fd(), stop.fd()], SWEEP);
        take_all(server, listener);
        if swept.until(now()) >= SWEEP {
            swept = now();
            server.shelf.sweep(swept);
        }
    }
    server.doors.close();
    let until = now() + ENDING;
    while server.doors.count() > 0 && now() < until {
        clock::pause(Duration::from_millis(10));
    }
    log::info!("ends, as it was told to");
    Exit::Well
}

pub(super) fn take_all(server: &Arc<Server>, listener: &TcpListener) {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => take(server, stream, peer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => {
                server.news.tell(Cause::Ours, || format!("taking a connection: {error}"));
                // Out of descriptors: those who go will bring some.
                clock::pause(Duration::from_millis(20));
                return;
            }
        }
    }
}

fn take(server: &Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    let address = peer.ip().to_canonical();
    let Some((place, is_crowded)) = server.doors.admit(address, &stream) else {
        server.news.tell(Cause::Crowd, || {
            format!("there is no place for {address}: all others are at work")
        });
        return;
    };
    if is_crowded {
        server.news.tell(Cause::Crowd, || {
            format!("many connections: one that had said nothing went for {address}")
        });
    }
    let ours = Arc::clone(server);
    let talk = thread::Builder::new().name("client".to_owned()).stack_size(STACK);
    if let Err(error) = talk.spawn(move || host(&ours, stream, peer, &place)) {
        server.news.tell(Cause::Ours, || format!("starting a thread for {address}: {error}"));
    }
}

/// A conversation, from its first word to its last.
fn host(server: &Server, stream: TcpStream, peer: SocketAddr, place: &Place) {
    let address = peer.ip().to_canonical();
    if let Err(Ended { cause, why }) = talk(server, stream, peer, place) {
        server.news.tell(cause, || format!("{address}: {why}"));
    }
}

fn talk(server: &Server, stream: TcpStream, peer: SocketAddr, place: &Place) -> Result<(), Ended> {
    // What a listener that does not wait hands out may be of the same kind.
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?.ip().to_canonical();
    let peer = peer.ip().to_canonical();
    let client = greet(server, Patient::new(stream, SETUP), peer)?;
    place.is_known();
    Talk { server, peer, local, client, sessions: Vec::new() }.serve()
}
