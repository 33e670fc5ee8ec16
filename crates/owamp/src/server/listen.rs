//! Takes connections, and gives each a thread.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    thread,
    time::Duration,
};

use station::{
    app::{Exit, Failure},
    world::{
        clock,
        doors::{self, Options},
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
/// Connections that are taken before the sessions are looked at.
const AT_ONCE: usize = 1_024;
/// How long conversations may take to end when we do.
const ENDING: Duration = Duration::from_secs(5);

/// Listens, on all addresses of both families if none is named.
pub(super) fn bind(source: &Source) -> Result<Vec<TcpListener>, Failure> {
    let options = Options { port: "-S :PORT", address: "-S, or by srcnode in owamp-server.conf" };
    doors::listen(source.address.as_slice(), port_of(source), options)
}

/// Serves until it is told to stop.
pub(super) fn serve(server: &Arc<Server>, listeners: &[TcpListener], stop: &Stop) -> Exit {
    doors::announce(listeners);
    let mut swept = now();
    while !stop.asked() {
        let mut fds: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
        fds.push(stop.fd());
        wait_for(&fds, SWEEP);
        for listener in listeners {
            take_all(server, listener);
        }
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
    let taken = doors::take(listener, AT_ONCE, |stream, peer| take(server, stream, peer));
    if let Err(error) = taken {
        server.news.tell(Cause::Ours, || format!("taking a connection: {error}"));
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
