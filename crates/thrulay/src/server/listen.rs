//! The door: takes connections, hears what each one wants, and has tests carried out.

use std::{
    io::{self, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    thread,
};

use station::{
    app::Exit,
    doors,
    news::Cause as News,
    world::signals::{Stop, wait_for},
};
use timed_udp::{
    clock::Mono,
    socket::{OpenError, Opening, Port},
};

use super::{
    Server,
    control::{Control, Said},
    judge::{judge_tcp, judge_udp},
    lobby::{Guest, Lobby},
    tcp::{self, TcpTest},
    udp::{self, UdpTest},
    usage::{Amount, Taken},
};
use crate::protocol::{
    AcceptedTcp, AcceptedUdp, Answer, Cause, GREETING, Join, Request, TcpProposal, UdpProposal,
};

/// Connections that are held before others are heard.
const AT_ONCE: usize = 64;
/// A test's thread needs little: what is large is on the heap.
const STACK: usize = 256 << 10;

/// A connection that has not said what it wants.
#[derive(Debug)]
struct Newcomer {
    control: Control,
    peer: SocketAddr,
    said: Option<Result<Said, String>>,
}

impl AsFd for Newcomer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

/// Serves until it is told to stop.
pub(super) fn serve(server: &Arc<Server>, listeners: &[TcpListener], stop: &Stop) -> Exit {
    doors::announce(listeners);
    let mut lobby: Lobby<Newcomer> = Lobby::new();
    while !stop.asked() {
        let patience = lobby.patience(Mono::now());
        let mut fds: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
        fds.push(stop.fd());
        fds.extend(lobby.guests().map(|guest| guest.what.as_fd()));
        let ready = wait_for(&fds, patience);
        let first = (listeners.len() + 1).min(ready.len());
        hear(server, &mut lobby, &ready[first..]);
        for (listener, _) in listeners.iter().zip(&ready).filter(|(_, ready)| **ready) {
            take_some(server, &mut lobby, listener);
        }
        for guest in lobby.expired(Mono::now()) {
            let address = guest.address;
            server.news.tell(News::Broken, || format!("{address}: it did not say what it wants"));
        }
    }
    log::info!("ends, as it was told to");
    Exit::Well
}

fn take_some(server: &Server, lobby: &mut Lobby<Newcomer>, listener: &TcpListener) {
    let taken = doors::take(listener, AT_ONCE, |stream, peer| greet(server, lobby, stream, peer));
    if let Err(error) = taken {
        server.news.tell(News::Ours, || format!("taking a connection: {error}"));
    }
}

fn greet(server: &Server, lobby: &mut Lobby<Newcomer>, mut stream: TcpStream, peer: SocketAddr) {
    let address = peer.ip().to_canonical();
    // There is room for sixteen octets in every new connection; one that is broken already is found so when it is read.
    let greeted = stream.set_nonblocking(true).and_then(|()| stream.write_all(&GREETING));
    if greeted.is_err() {
        return;
    }
    let newcomer = Newcomer { control: Control::new(stream), peer, said: None };
    if let Some(gone) = lobby.admit(address, Mono::now(), newcomer) {
        let gone = gone.peer.ip().to_canonical();
        server.news.tell(News::Crowd, || {
            format!("many connections: one of {gone} that had said nothing went for {address}")
        });
    }
}

/// Hears those who have something to say, and does what they want.
fn hear(server: &Arc<Server>, lobby: &mut Lobby<Newcomer>, ready: &[bool]) {
    let heard = lobby.take(ready, |newcomer| {
        let said = newcomer.control.hear();
        let is_done = said != Ok(Said::Nothing);
        newcomer.said = Some(said);
        is_done
    });
    for Guest { address, what: Newcomer { control, peer, said }, .. } in heard {
        match said {
            Some(Ok(Said::This(request))) => {
                Client { server, address, peer, control }.wants(&request);
            }
            Some(Err(why)) => server.news.tell(News::Broken, || format!("{address}: {why}")),
            // Whoever only looks whether there is a server is no news.
            _ => log::debug!("{address}: it went without a word"),
        }
    }
}

/// A connection that has said what it wants.
struct Client<'a> {
    server: &'a Arc<Server>,
    address: IpAddr,
    peer: SocketAddr,
    control: Control,
}

type Refused = (Cause, String);

fn failed(doing: &str, error: &io::Error) -> Refused {
    (Cause::Failed, format!("{doing}: {error}"))
}

impl Client<'_> {
    fn wants(self, request: &Request) {
        match request {
            Request::Tcp(wanted) => self.start_tcp(wanted),
            Request::Udp(wanted) => self.start_udp(wanted),
            Request::Join(join) => self.join(join),
            Request::Finished | Request::Sent(_) => {
                let address = self.address;
                let what = "it says that a test is over, and has none";
                self.server.news.tell(News::Broken, || format!("{address}: {what}"));
            }
        }
    }

    fn join(self, join: &Join) {
        let (server, address) = (self.server, self.address);
        if !server.registry.hand_over(join, address, self.control.into_stream()) {
            let what = "it wants to join a test that is none of its own, or is over";
            server.news.tell(News::Broken, || format!("{address}: {what}"));
        }
    }

    fn take(&self, amount: Amount) -> Result<Taken, Refused> {
        self.server
            .usage
            .take(self.address, amount)
            .map_err(|it| (if it.ever { Cause::Busy } else { Cause::Never }, it.why))
    }

    fn refuse(mut self, (cause, why): Refused) {
        let address = self.address;
        self.server.news.tell(News::Refused, || format!("a test of {address} was refused: {why}"));
        let _ = self.control.say(&Answer::Refused(cause, why));
    }

    fn start_tcp(mut self, wanted: &TcpProposal) {
        let ready = judge_tcp(wanted, &self.server.limits)
            .map_err(|why| (Cause::Never, why))
            .and_then(|plan| {
                let held = self.take(plan.amount)?;
                let token = self.server.token().map_err(|it| failed("making a token", &it))?;
                let door = self.server.registry.open(token, self.address);
                Ok((plan, held, token, door.map_err(|it| failed("making a test", &it))?))
            });
        let (plan, held, token, door) = match ready {
            Ok(ready) => ready,
            Err(refused) => return self.refuse(refused),
        };
        let accepted = AcceptedTcp { token, duration_s: plan.duration_s, window: plan.window };
        if self.control.say(&Answer::Tcp(accepted)).is_err() {
            return;
        }
        let streams = wanted.streams;
        let test = TcpTest { control: self.control, door, wanted: *wanted, plan };
        start(self.server, self.address, held, move || {
            let done = tcp::carry_out(test)?;
            Ok(format!("TCP, streams: {streams}, {:.3} s, {} octets", done.seconds, done.octets))
        });
    }

    fn start_udp(mut self, wanted: &UdpProposal) {
        let ready = judge_udp(wanted, &self.server.limits)
            .map_err(|why| (Cause::Never, why))
            .and_then(|plan| {
                let held = self.take(plan.amount)?;
                let token = self.server.token().map_err(|it| failed("making a token", &it))?;
                Ok((held, token, self.socket(plan.buffer)?))
            });
        let (held, token, socket) = match ready {
            Ok(ready) => ready,
            Err(refused) => return self.refuse(refused),
        };
        let buffer = u32::try_from(socket.receive_buffer()).unwrap_or(u32::MAX);
        let accepted = AcceptedUdp { token, port: socket.local().port(), buffer };
        if self.control.say(&Answer::Udp(accepted)).is_err() {
            return;
        }
        let (packets, peer) = (wanted.packets, self.address);
        let test = UdpTest { control: self.control, socket, token, peer, wanted: *wanted };
        start(self.server, self.address, held, move || {
            let (received, unique) = udp::carry_out(test)?;
            Ok(format!("UDP: {received} packets came, {unique} of {packets} at least once"))
        });
    }

    /// A socket at the address that the client has found us at.
    fn socket(&self, buffer: u32) -> Result<timed_udp::socket::TimedSocket, Refused> {
        let local = self.control.local().map_err(|it| failed("asking for our address", &it))?;
        let port = self.server.ports.as_ref().map_or(Port::Any, Port::Of);
        let scope = if let SocketAddr::V6(six) = self.peer { six.scope_id() } else { 0 };
        let receive_buffer = buffer as usize;
        let opening =
            Opening { port, scope, receive_buffer, ..Opening::at(local.ip().to_canonical()) };
        opening.open().map_err(|error| {
            let is_busy = matches!(error, OpenError::Exhausted { .. });
            (if is_busy { Cause::Busy } else { Cause::Failed }, error.to_string())
        })
    }
}

/// Has a test carried out by a thread of its own; what it takes is given back when that ends.
fn start(
    server: &Arc<Server>,
    address: IpAddr,
    held: Taken,
    test: impl FnOnce() -> Result<String, String> + Send + 'static,
) {
    let ours = Arc::clone(server);
    let thread = thread::Builder::new().name("test".to_owned()).stack_size(STACK);
    let started = thread.spawn(move || {
        match test() {
            Ok(line) => log::info!("test of {address}: {line}"),
            Err(why) => ours.news.tell(News::Broken, || format!("test of {address}: {why}")),
        }
        drop(held);
    });
    if let Err(error) = started {
        server.news.tell(News::Ours, || format!("starting a thread for {address}: {error}"));
    }
}
