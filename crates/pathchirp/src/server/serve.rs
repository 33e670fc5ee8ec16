//! The sockets of a server. One thread hears and answers, another sends chirps, one after the other; both know the
//! sessions.

use std::{
    fs::File,
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, BorrowedFd},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use station::{
    app::{Exit, Failure},
    world::signals::{Stop, wait_for},
};
use timed_udp::{
    clock::Mono,
    inbox::Inbox,
    pace::{Pacer, Precision},
    socket::{OpenError, Opening, Port, TimedSocket},
};

use super::{
    chirp::send_chirp,
    limits::Limits,
    table::{Client, Next, Table},
    talk::{self, Heard},
    tally::{A_MINUTE, Tally},
};
use crate::protocol::{
    cookie::Secret,
    message::{self, Answer, End},
};

/// Room for messages that come while others are answered, octets.
const QUEUE: usize = 4 << 20;
/// Room for a group of packets that leaves at once, octets.
const SEND_QUEUE: usize = 4 << 20;

/// Binds the port on the addresses that were named, else on all of both families.
///
/// # Errors
/// It cannot be bound. A machine without IPv6 has the other.
pub(super) fn open(addresses: &[IpAddr], port: u16) -> Result<Vec<TimedSocket>, Failure> {
    if !addresses.is_empty() {
        let all = addresses.iter().map(|address| bind(port, *address));
        return all.collect::<Result<_, _>>().map_err(|error| failure(port, &error));
    }
    let four = bind(port, Ipv4Addr::UNSPECIFIED.into()).map_err(|error| failure(port, &error))?;
    match bind(port, Ipv6Addr::UNSPECIFIED.into()) {
        Ok(six) => Ok(vec![four, six]),
        Err(error) if kind(&error) == Some(io::ErrorKind::AddrInUse) => Err(failure(port, &error)),
        Err(error) => {
            log::info!("serves IPv4 only: {error}");
            Ok(vec![four])
        }
    }
}

fn bind(port: u16, address: IpAddr) -> Result<TimedSocket, OpenError> {
    Opening {
        port: Port::One(port),
        receive_buffer: QUEUE,
        send_buffer: SEND_QUEUE,
        ..Opening::at(address)
    }
    .open()
}

fn kind(error: &OpenError) -> Option<io::ErrorKind> {
    error.io().map(io::Error::kind)
}

fn failure(port: u16, error: &OpenError) -> Failure {
    let (exit, advice) = match kind(error) {
        Some(io::ErrorKind::PermissionDenied) => {
            (Exit::Config, "a port below 1024 is root's: name another by -U")
        }
        Some(io::ErrorKind::AddrInUse) => {
            (Exit::TryLater, "another sender has it already; a second one wants another port (-U)")
        }
        _ => (Exit::Config, "name another port by -U, or another address by -B"),
    };
    let failure = Failure::new(exit, format!("opening UDP port {port}"));
    failure.why(format_args!("{error}; {advice}"))
}

/// What both threads know.
struct Shared<'a> {
    sockets: &'a [TimedSocket],
    stop: &'a Stop,
    table: Mutex<Table>,
    changed: Condvar,
    tally: Mutex<Tally>,
}

impl Shared<'_> {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, client: &Client, octets: &[u8]) -> io::Result<()> {
        let socket = &self.sockets[client.socket];
        match client.own {
            Some(own) => socket.send_from(octets, client.peer, own),
            None => socket.send_to(octets, client.peer),
        }
    }

    /// Sends a group of packets of `size` octets at once, or, where that cannot be, one after the other. When the first of
    /// them had left.
    fn send_group(&self, client: &Client, octets: &[u8], size: usize) -> io::Result<Mono> {
        let cut = u16::try_from(size).ok().zip(client.own).filter(|_| octets.len() > size);
        if let Some((size, own)) = cut {
            let socket = &self.sockets[client.socket];
            match socket.send_cut_from(octets, size, client.peer, own) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
                other => return other.map(|()| Mono::now()),
            }
        }
        let mut packets = octets.chunks(size);
        self.send(client, packets.next().unwrap_or_default())?;
        let left = Mono::now();
        packets.try_for_each(|packet| self.send(client, packet))?;
        Ok(left)
    }

    fn dropped(&self) -> u64 {
        self.sockets.iter().map(|socket| u64::from(socket.dropped())).sum()
    }
}

/// Serves until it is told to stop.
///
/// # Errors
/// There is no randomness.
pub(super) fn serve(sockets: &[TimedSocket], limits: Limits, stop: &Stop) -> Result<Exit, Failure> {
    let secret = Secret::new(random().map_err(|error| {
        Failure::new(Exit::NeedsPerson, "making a secret of /dev/urandom").because(error)
    })?);
    for socket in sockets {
        log::info!("serves on {}", socket.local());
    }
    let shared = Shared {
        sockets,
        stop,
        table: Mutex::new(Table::new(limits)),
        changed: Condvar::new(),
        tally: Mutex::new(Tally::new(Mono::now())),
    };
    thread::scope(|scope| {
        scope.spawn(|| send_chirps(&shared));
        hear(&shared, &secret);
        // Under the lock, so that the other is before its look at `stop`, or waits already.
        let table = shared.table();
        shared.changed.notify_all();
        drop(table);
    });
    for (client, session) in shared.table().end_all() {
        // Whoever does not hear it notices the silence.
        let _ = shared.send(&client, &Answer::End { session, why: End::Stopped }.octets());
    }
    shared.tally().tell(shared.dropped());
    log::info!("ends, as it was told to");
    Ok(Exit::Well)
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(octets)
}

/// Hears and answers, until it is told to stop.
fn hear(shared: &Shared<'_>, secret: &Secret) {
    let mut inbox = Inbox::new(message::LONGEST);
    let mut fds: Vec<BorrowedFd<'_>> = shared.sockets.iter().map(AsFd::as_fd).collect();
    fds.push(shared.stop.fd());
    while !shared.stop.asked() {
        wait_for(&fds, A_MINUTE);
        for (place, socket) in shared.sockets.iter().enumerate() {
            // What the network says of an earlier packet is of no use here.
            if inbox.receive(socket).is_ok() {
                for (arrival, octets) in inbox.batch() {
                    let client = Client { peer: arrival.from, own: arrival.to, socket: place };
                    take(shared, secret, client, octets);
                }
            }
        }
        shared.tally().look(Mono::now(), shared.dropped());
    }
}

fn take(shared: &Shared<'_>, secret: &Secret, client: Client, octets: &[u8]) {
    // No number twice is what matters; without randomness, time is one.
    let session = || random().map_or_else(|_| Mono::now().0, u64::from_be_bytes);
    let now = Mono::now();
    let (heard, answer) = talk::hear(&mut shared.table(), secret, client, octets, session, now);
    if let Some(answer) = answer {
        // It comes again and asks again.
        let _ = shared.send(&client, &answer.octets());
    }
    shared.tally().count(heard);
    match (heard, answer) {
        (Heard::Began, Some(Answer::Accepted { granted, .. })) => {
            shared.changed.notify_all();
            let seconds = granted.duration / 1_000;
            let average = message::rate(granted.average) / 1e6;
            let line =
                format!("{} begins a session of {seconds} s at {average} Mbit/s", client.peer);
            shared.tally().session(&line);
        }
        (Heard::Ended, _) => shared.tally().session(&format!("{} ends its session", client.peer)),
        _ => {}
    }
}

/// Sends what is due, until it is told to stop.
fn send_chirps(shared: &Shared<'_>) {
    let mut pacer = Pacer::new(Precision::Exact);
    let mut octets = Vec::new();
    loop {
        let mut table = shared.table();
        if shared.stop.asked() {
            return;
        }
        match table.next(Mono::now()) {
            Next::Chirp(order) => {
                drop(table);
                let send = |octets: &[u8], size| {
                    if shared.stop.asked() {
                        return Err(io::Error::other("it was told to end"));
                    }
                    shared.send_group(&order.client, octets, size)
                };
                send_chirp(&order, send, &mut pacer, &mut octets);
            }
            Next::End(client, session, why) => {
                drop(table);
                let _ = shared.send(&client, &Answer::End { session, why }.octets());
                let said = if why == End::Silence { "is not heard of any more" } else { "is done" };
                shared.tally().session(&format!("{} {said}", client.peer));
            }
            // A session that begins, or the end, wakes it before.
            Next::Wait(until) => {
                let length = until.since(Mono::now());
                drop(shared.changed.wait_timeout(table, length));
            }
            Next::Idle => {
                drop(shared.changed.wait_timeout(table, A_MINUTE));
            }
        }
    }
}
