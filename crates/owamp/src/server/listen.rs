//! Takes connections, and gives each a thread.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    thread,
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use station::{
    app::{Exit, Failure},
    doors::{self, Options},
    news::Cause,
    world::{
        clock,
        signals::{Stop, wait_for},
    },
};

use super::{
    Server,
    doors::{Place, State},
    greet::{Ended, greet},
    patience::{Patient, now},
    port_of,
    settings::Source,
    talk::Talk,
    who::Who,
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
/// A client that says nothing for so long is asked by the kernel whether it is there,
const QUIET: Duration = Duration::from_secs(30);
/// again after each of these,
const PROBE: Duration = Duration::from_secs(10);
/// and so often.
const PROBES: u32 = 3;
/// What was sent to a client and is not acknowledged after this ends the connection.
const UNHEARD: Duration = Duration::from_secs(60);

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
    let Some((place, gone)) = server.doors.admit(address, &stream) else {
        server.news.tell(Cause::Crowd, || {
            format!("there is no place for {address}: all others are at work")
        });
        return;
    };
    if let Some(state) = gone {
        let what = if state == State::Silent { "said nothing" } else { "nothing going on" };
        server.news.tell(Cause::Crowd, || {
            format!("many connections: one that had {what} went for {address}")
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
    watch(&stream)?;
    let local = stream.local_addr()?.ip().to_canonical();
    let peer = peer.ip().to_canonical();
    let client = greet(server, Patient::new(stream, SETUP), peer)?;
    place.is(State::Known);
    let who = Who::at(peer);
    Talk { server, place, peer, local, who, client, sessions: Vec::new(), asked: None }.serve()
}

/// Has the kernel end a connection whose other end has vanished without a word: sessions go on for as long as it
/// lasts, and one of them may have no end.
fn watch(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(QUIET).with_interval(PROBE).with_retries(PROBES);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(UNHEARD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_vanishes_is_noticed_within_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let _client = TcpStream::connect(listener.local_addr().expect("bound")).expect("there");
        let (stream, _) = listener.accept().expect("a connection");
        watch(&stream).expect("a socket");
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().expect("a socket"));
        let (quiet, probe, probes) = (
            socket.tcp_keepalive_time().expect("a socket"),
            socket.tcp_keepalive_interval().expect("a socket"),
            socket.tcp_keepalive_retries().expect("a socket"),
        );
        let minute = Duration::from_secs(60);
        assert!(quiet + probe * probes <= minute, "{quiet:?} {probe:?} {probes}");
        assert_eq!(socket.tcp_user_timeout().expect("a socket"), Some(minute));
    }
}
